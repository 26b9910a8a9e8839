"""The WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from shrew.serve import limits
from shrew.serve.answering import Answer, Request
from shrew.serve.message import client_message, decode, encode, message_id, question, require_unique
from shrew.serve.refusal import Refusal
from shrew.serve.service import Service

#: Errors that close the connection, with the close code.
CLOSE: Final = {"size": 1009, "frame": 1003}


class Chat:
    """One connection."""

    def __init__(self, service: Service, websocket: WebSocket) -> None:
        self._service = service
        self._websocket = websocket
        self._unanswered: dict[int, Request] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Runs until the connection ends, then cancels its requests."""
        await self._websocket.accept()
        self._service.watchers.add(self._changed.set)
        self._start(self._announce())
        try:
            fatal = await self._read()
        finally:
            self._service.watchers.discard(self._changed.set)
            for request in self._unanswered.values():
                self._service.answering.cancel(request)
            for task in self._tasks:
                task.cancel()
        if fatal:
            with suppress(WebSocketDisconnect, RuntimeError):
                await self._websocket.close(CLOSE[fatal.code], fatal.message)

    async def _read(self) -> Refusal | None:
        """Handles messages until the client leaves, or makes an error that closes the connection."""
        while (event := await self._websocket.receive())["type"] == "websocket.receive":
            number = None
            try:
                data = _frame(event)
                message = decode(data)
                number = message_id(message)
                require_unique(data)
                await self._take(*client_message(message))
            except Refusal as refusal:
                await self._refuse(number, refusal)
                if refusal.code in CLOSE:
                    return refusal
        return None

    async def _take(self, kind: str, values: dict[str, Any]) -> None:
        if kind == "info":
            await self._send("info", **await self._service.info())
            return
        number = values["id"]
        if kind == "cancel":
            if number in self._unanswered:
                self._service.answering.cancel(self._unanswered[number])
            return
        if number in self._unanswered:
            raise Refusal("id", f"request {number} is still unanswered")
        request = self._service.answering.ask(self, question(values, self._service.defaults))
        self._unanswered[number] = request
        self._start(self._answer(number, request))

    async def _answer(self, number: int, request: Request) -> None:
        if request.ahead:
            await self._send("queued", id=number, ahead=request.ahead)
        async for text in request.pieces():
            await self._send("token", id=number, text=text)
        del self._unanswered[number]
        if isinstance(request.outcome, Answer):
            await self._send("done", id=number, **request.outcome.fields())
        elif request.outcome:
            await self._refuse(number, request.outcome)

    async def _announce(self) -> None:
        """Sends ``info`` whenever it has changed."""
        while await self._changed.wait():
            self._changed.clear()
            await self._send("info", **await self._service.info())

    async def _refuse(self, number: int | None, refusal: Refusal) -> None:
        await self._send("error", id=number, code=refusal.code, message=refusal.message)

    async def _send(self, kind: str, **fields: Any) -> None:
        """Sends a message. Ignores that the connection has ended, since its reader notices that too."""
        with suppress(WebSocketDisconnect, RuntimeError):  # the latter if this side has closed it
            await self._websocket.send_text(encode({"type": kind, **fields}).decode())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _frame(event: Any) -> bytes:
    """The text of a frame."""
    if event.get("text") is None:
        raise Refusal("frame", "messages are unfragmented text frames")
    data: bytes = event["text"].encode()
    if len(data) > limits.MESSAGE_BYTES:
        raise Refusal("size", f"the message has {len(data):,} bytes, at most {limits.MESSAGE_BYTES:,} are taken")
    return data
