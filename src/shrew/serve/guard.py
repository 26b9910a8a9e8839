"""Checks that every request must pass before it is read."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from shrew.serve import limits
from shrew.serve.refusal import Refusal
from shrew.serve.service import Service

HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """Limits connections, refuses requests from other sites, and adds the headers of every answer."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._service = service
        own = socket.gethostname().lower()
        self._names = {"localhost", own, f"{own}.local", service.options.host.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        self._service.clients += 1
        try:
            self._check(Headers(scope=scope))
            await self._app(scope, receive, send_guarded)
        except Refusal as refusal:
            await refuse(refusal, scope, receive, send_guarded)
        finally:
            self._service.clients -= 1

    def _check(self, headers: Headers) -> None:
        host, origin = headers.get("host", "").lower(), headers.get("origin")
        if not self._is_ours(host):
            raise Refusal("origin", f"{host[:80]!r} is not a name of this server; use its address, or localhost")
        if origin is not None and origin.lower().partition("://")[2] != host:
            raise Refusal("origin", "a page of another site may not use this server")
        if self._service.clients > limits.CLIENTS:
            raise Refusal("busy", f"{limits.CLIENTS} connections are open; try again later")

    def _is_ours(self, host: str) -> bool:
        match = re.fullmatch(r"(?:\[([0-9a-f:.]+)\]|([^:\[\]]+))(?::\d+)?", host)
        if match is None:
            return False
        name = match[1] or match[2]
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._names
        return True


async def refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Sends the answer to a refused request or handshake."""
    response = JSONResponse(refusal.body(), refusal.status, headers(refusal))
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


def headers(refusal: Refusal) -> dict[str, str]:
    more = {"token": {"www-authenticate": "Bearer"}, "timeout": {"connection": "close"}, "busy": {"retry-after": "1"}}
    return more.get(refusal.code, {})
