"""The OpenAI form of questions and answers."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response, StreamingResponse

from shrew.engine import MAX_STOP_BYTES
from shrew.serve.answering import Answer, Request
from shrew.serve.body import json_object
from shrew.serve.message import MAX_TOKENS, SAMPLING, SEED, checked, encode, question
from shrew.serve.refusal import Refusal
from shrew.serve.service import Service

MAX_STOPS: Final = 4


async def completions(service: Service, http: HTTPRequest) -> Response:
    """``POST /v1/chat/completions``."""
    asked = {name: value for name, value in (await json_object(http)).items() if value is not None}
    await _require_loaded(service, asked.get("model"))
    values = _values(asked)
    streams, usage = _flag(asked, "stream"), False
    if "stream_options" in asked:
        if not isinstance(asked["stream_options"], dict):
            raise Refusal("message", "stream_options must be an object")
        usage = _flag(asked["stream_options"], "include_usage")
    request = service.answering.ask(http, question(values, service.defaults))
    assert service.answering.loaded is not None  # ask refuses otherwise
    completion = Completion(service.answering.loaded.name)
    if not streams:
        return JSONResponse(completion.whole(*await _unless_gone(service, http, request)))
    chunks = completion.chunks(service, request, usage)
    first = await anext(chunks)  # an error before any text can still set the HTTP status
    return StreamingResponse(_rest(first, chunks), media_type="text/event-stream")


def models(service: Service) -> Response:
    """``GET /v1/models``: lists the loaded model."""
    loaded = service.answering.loaded
    listed = [{"id": loaded.name, "object": "model", "created": 0, "owned_by": "shrew"}] if loaded else []
    return JSONResponse({"object": "list", "data": listed})


class Completion:
    """Fields that all chunks of an answer share."""

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created = int(time.time())
        self._model = model

    def whole(self, text: str, answer: Answer) -> dict[str, Any]:
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(answer)}
        return {**self._head("chat.completion"), "choices": [choice], "usage": _usage(answer), "shrew": answer.fields()}

    async def chunks(self, service: Service, request: Request, usage: bool) -> AsyncIterator[bytes]:
        """Yields server-sent events. Refusal if the answer fails before it has any text."""
        text_sent = False
        try:
            async for text in request.pieces():
                role = {} if text_sent else {"role": "assistant"}
                text_sent = True
                yield self._chunk({**role, "content": text})
            answer = await request.answer()
            if not text_sent:
                yield self._chunk({"role": "assistant", "content": ""})
            yield self._chunk({}, finish_reason=_finish(answer), shrew=answer.fields())
            if usage:
                yield _event({**self._head("chat.completion.chunk"), "choices": [], "usage": _usage(answer)})
            yield b"data: [DONE]\n\n"
        except Refusal as refusal:
            if not text_sent:
                raise
            yield _event(refusal.body())
        finally:
            service.answering.cancel(request)  # if the client has left before the end

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}


def _event(data: dict[str, Any]) -> bytes:
    return b"data: " + encode(data) + b"\n\n"


async def _rest(first: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in chunks:
        yield chunk


async def _unless_gone(service: Service, http: HTTPRequest, request: Request) -> tuple[str, Answer]:
    """The whole answer. Cancels it if the client leaves."""

    async def whole() -> tuple[str, Answer]:
        text = "".join([piece async for piece in request.pieces()])
        return text, await request.answer()

    async def gone() -> None:
        while (await http.receive())["type"] != "http.disconnect":
            pass
        service.answering.cancel(request)

    watch = asyncio.create_task(gone())
    try:
        return await whole()
    finally:
        watch.cancel()
        service.answering.cancel(request)


def _finish(answer: Answer) -> str:
    return "length" if answer.reason in ("length", "context") else "stop"


def _usage(answer: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": answer.prompt_tokens,
        "completion_tokens": answer.tokens,
        "total_tokens": answer.prompt_tokens + answer.tokens,
    }


async def _require_loaded(service: Service, model: Any) -> None:
    """Refuses the name of a stored model that is not loaded. Any other name is ignored."""
    loaded = service.answering.loaded
    if model is None or (loaded and model == loaded.name):
        return
    if model in [stored["name"] for stored in await asyncio.to_thread(service.models.list)]:
        raise Refusal("value", f"model {model} is stored but not loaded")


def _values(asked: dict[str, Any]) -> dict[str, Any]:
    """The supported fields of a request, checked. Refusal if it asks for something that Shrew cannot do."""
    if asked.get("n", 1) != 1:
        raise Refusal("value", "n must be 1")
    for name in ("tools", "functions"):
        if asked.get(name):
            raise Refusal("value", f"{name} are not supported")
    known = {**SAMPLING, "max_tokens": MAX_TOKENS, "seed": SEED}
    values = checked({name: asked[name] for name in known if name in asked}, known)
    if "max_completion_tokens" in asked:
        values["max_tokens"] = MAX_TOKENS.check("max_completion_tokens", asked["max_completion_tokens"])
    return {**values, "prompt": _prompt(asked.get("messages")), "stop": _stops(asked.get("stop", []))}


def _prompt(messages: Any) -> str:
    """The text of the last message, which must be a user's."""
    if not isinstance(messages, list) or not messages or not isinstance(messages[-1], dict):
        raise Refusal("message", "messages must be a list of messages, at least one")
    last = messages[-1]
    if last.get("role") != "user":
        raise Refusal("value", "the last message must be a user's")
    content = last.get("content")
    parts: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content}]
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise Refusal("message", "content must be text, or a list of parts that have a type")
        if part["type"] != "text":
            raise Refusal("value", f"content of type {part['type'][:40]!r} is not supported, only text")
        if not isinstance(part.get("text"), str):
            raise Refusal("message", "content must be text, or parts that have text")
    return "".join(part["text"] for part in parts)


def _stops(stop: Any) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop
    if not isinstance(stops, list) or not all(isinstance(text, str) for text in stops):
        raise Refusal("message", "stop must be text or a list of texts")
    if len(stops) > MAX_STOPS:
        raise Refusal("value", f"stop has {len(stops)} texts, at most {MAX_STOPS} are taken")
    for text in stops:
        if not 1 <= len(text.encode()) <= MAX_STOP_BYTES or "\0" in text:
            raise Refusal("value", f"each text of stop has 1 to {MAX_STOP_BYTES} bytes, none of them zero")
    return stops


def _flag(asked: dict[str, Any], name: str) -> bool:
    value = asked.get(name, False)
    if not isinstance(value, bool):
        raise Refusal("message", f"{name} must be true or false")
    return value
