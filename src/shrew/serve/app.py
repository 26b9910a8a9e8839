"""The routes of the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket

from shrew.serve import guard, limits, openai
from shrew.serve.body import body, declared_bytes, json_object
from shrew.serve.chat import Chat
from shrew.serve.guard import Guard
from shrew.serve.page import File
from shrew.serve.refusal import Refusal
from shrew.serve.service import Service

Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(service: Service, page: Mapping[str, File]) -> ASGIApp:
    """The ASGI application."""

    async def info(http: Request) -> Response:
        return JSONResponse(await service.info())

    def changing(change: Callable[[Request], Awaitable[None]]) -> Endpoint:
        """An endpoint that needs the token, and answers with the new ``info``."""

        async def endpoint(http: Request) -> Response:
            service.require_token(http.headers.get("authorization", ""))
            await change(http)
            return await info(http)

        return endpoint

    async def settings(http: Request) -> None:
        service.set_defaults(await json_object(http))

    async def upload(http: Request) -> None:
        name = http.path_params["name"]
        if declared_bytes(http) is None:
            raise Refusal("length", "an upload needs a Content-Length")
        async with service.uploading(name):
            await service.store(name, await body(http, limits.UPLOAD_BYTES))

    async def load(http: Request) -> None:
        await service.load(http.path_params["name"])

    async def delete(http: Request) -> None:
        await service.delete(http.path_params["name"])

    async def completions(http: Request) -> Response:
        return await openai.completions(service, http)

    async def models(http: Request) -> Response:
        return openai.models(service)

    async def chat(websocket: WebSocket) -> None:
        await Chat(service, websocket).run()

    async def file(http: Request) -> Response:
        return page[http.url.path].response(http)

    routes = [
        WebSocketRoute("/ws", chat),
        Route("/api/info", info),
        Route("/api/settings", changing(settings), methods=["PUT"]),
        Route("/api/models/{name}", _by_method({"PUT": changing(upload), "DELETE": changing(delete)}),
              methods=["PUT", "DELETE"]),
        Route("/api/models/{name}/load", changing(load), methods=["POST"]),
        Route("/v1/chat/completions", completions, methods=["POST"]),
        Route("/v1/models", models),
        *(Route(address, file) for address in page),
    ]  # fmt: skip
    handlers: Any = {Refusal: _refused, HTTPException: _no_route, ClientDisconnect: _gone, Exception: _failed}
    return Guard(Starlette(routes=routes, exception_handlers=handlers), service)


def _by_method(endpoints: Mapping[str, Endpoint]) -> Endpoint:
    async def endpoint(http: Request) -> Response:
        return await endpoints[http.method](http)

    return endpoint


async def _refused(http: Request, refusal: Refusal) -> Response:
    return JSONResponse(refusal.body(), refusal.status, guard.headers(refusal))


async def _no_route(http: Request, error: HTTPException) -> Response:
    refusal = (
        Refusal("method", f"{http.method} is not possible here")
        if error.status_code == 405
        else Refusal("not_found", f"{http.url.path[:80]}: no such address")
    )
    return JSONResponse(refusal.body(), refusal.status, error.headers)


async def _failed(http: Request, error: Exception) -> Response:
    refusal = Refusal("engine", "the server failed; its log says why")
    return JSONResponse(refusal.body(), refusal.status)


async def _gone(http: Request, error: ClientDisconnect) -> Response:
    return Response(status_code=400)  # the client has gone
