"""A client that can send anything, including invalid messages."""

from __future__ import annotations

import gzip
import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from chat.servers import Server
from websockets.sync.client import ClientConnection, connect

#: Timeout of an answer, in seconds.
PATIENCE = 30


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.json()["error"]["code"]


def request(
    server: Server,
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """One request. A body that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(server.host, timeout=PATIENCE)
    try:
        connection.request(method, path, data, sent)
        response = connection.getresponse()
        answered = {k.lower(): v for k, v in response.getheaders()}
        content = response.read()  # a device has its page only in compressed form
        unpacked = gzip.decompress(content) if answered.get("content-encoding") == "gzip" else content
        return Reply(response.status, answered, unpacked)
    finally:
        connection.close()


def info(server: Server) -> dict[str, Any]:
    return request(server, "GET", "/api/info").json()


def change(server: Server, method: str, path: str, body: object = None) -> Reply:
    """A request with the token."""
    return request(server, method, path, body, token=server.token)


def use(server: Server, name: str, image: bytes) -> None:
    """Stores and loads an image, whatever is stored already."""
    facts = info(server)
    if facts["model"] and facts["model"]["name"] == name:
        return
    if name not in [model["name"] for model in facts["models"]]:
        stored = change(server, "PUT", f"/api/models/{name}", image)
        assert stored.status == 200, stored.body
    loaded = change(server, "POST", f"/api/models/{name}/load")
    assert loaded.status == 200, loaded.body


class Chat:
    """A WebSocket connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))

    def receive(self) -> dict[str, Any]:
        return json.loads(self.socket.recv(timeout=PATIENCE))

    def until(self, *kinds: str) -> dict[str, Any]:
        """The next message of one of these types. Ignores others, except errors."""
        while True:
            message = self.receive()
            if message["type"] in kinds:
                return message
            assert message["type"] != "error", message

    def until_error(self) -> tuple[int | None, str]:
        """Id and code of the next error."""
        while (message := self.receive())["type"] != "error":
            pass
        return message["id"], message["code"]

    def outcome(self, number: int) -> tuple[str, dict[str, Any]]:
        """The text of a request and the message that ended it."""
        text = ""
        while True:
            message = self.receive()
            if message.get("id") != number:
                continue
            if message["type"] == "token":
                text += message["text"]
            elif message["type"] in ("done", "error"):
                return text, message

    def ask(self, number: int = 1, prompt: str = "hello", **fields: Any) -> tuple[str, dict[str, Any]]:
        self.send("generate", id=number, prompt=prompt, **fields)
        return self.outcome(number)


@contextmanager
def chat(server: Server, **options: Any) -> Iterator[Chat]:
    unread: Any = {"max_queue": None}  # so that it closes at once, however much is unread
    with connect(f"ws://{server.host}/ws", max_size=None, ping_interval=None, **unread, **options) as socket:
        yield Chat(socket)
