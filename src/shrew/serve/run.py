"""Runs a server with given options until it is told to end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from shrew.errors import ConfigError
from shrew.ports.sources import source_root
from shrew.serve import limits, page
from shrew.serve.app import make_app
from shrew.serve.service import Options, Service

CLOSING_SECONDS = 3
"""How long cancelled answers may take to end when the server shuts down."""


class HTTPConnection(H11Protocol):
    """A connection with a timeout for its next request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._look_again()

    def _look_again(self) -> None:
        self.loop.call_later(limits.STALL_SECONDS, self._look, self.cycle)

    def _look(self, last: object) -> None:
        """Closes a connection on which no request has begun since the last check."""
        if self.transport.is_closing() or self.transport.get_protocol() is not self:  # it has become a WebSocket
            return
        if self.conn.their_state is h11.IDLE and self.cycle is last:
            self.transport.abort()
        else:
            self._look_again()


class WebSocketConnection(WebSocketsSansIOProtocol):
    """A WebSocket that reports fragmented messages as binary ones, since both are refused."""

    def handle_text(self, event: Frame) -> None:
        if event.fin:
            super().handle_text(event)
        else:
            self.handle_bytes(event)

    def handle_bytes(self, event: Frame) -> None:
        super().handle_bytes(Frame(event.opcode, b"", fin=True))

    def handle_cont(self, event: Frame) -> None:
        """Ignores continuation frames: the message was refused with its first frame."""

    def keepalive_timeout(self) -> None:
        """Closes a connection without pongs at once: its client reads nothing, so pending data cannot be sent."""
        self.transport.abort()


class Server(uvicorn.Server):
    """Cancels answers before it waits for connections to end."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.answering.cancel_all()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A bound socket. ConfigError if it cannot be bound."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=limits.CLIENTS)
    except OSError as error:
        raise ConfigError(f"{host}:{port}: cannot listen there: {error.strerror or error}") from None


def _address(listener: socket.socket) -> str:
    """The address at which to reach the server. If it listens on all addresses, the one used for other machines."""
    host, port = listener.getsockname()[:2]
    if host == "0.0.0.0":
        with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))  # an address reserved for documentation; nothing is sent
            host = probe.getsockname()[0]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def serve(options: Options, ready: Callable[[str, Service], None]) -> None:
    """Serves until SIGINT or SIGTERM. Calls ``ready`` with the address once it listens. ShrewError."""
    asyncio.run(_serve(options, ready))


async def _serve(options: Options, ready: Callable[[str, Service], None]) -> None:
    service = Service(options)
    await service.start()
    listener = listen(options.host, options.port)
    config = uvicorn.Config(
        make_app(service, page.read(source_root() / "web")),
        http=HTTPConnection,
        ws=WebSocketConnection,
        ws_max_size=16 * limits.MESSAGE_BYTES,  # a message that is only somewhat too long is refused in JSON
        ws_per_message_deflate=False,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSING_SECONDS,
    )
    ready(f"http://{_address(listener)}/", service)
    try:
        await Server(config, service).serve(sockets=[listener])
    finally:
        service.answering.close()
