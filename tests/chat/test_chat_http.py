"""Addresses, the token, other sites, settings and stored models of docs/PROTOCOL.md."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from chat import images
from chat.client import PATIENCE, change, chat, info, request, use
from chat.servers import Server
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

QUESTION = {"messages": [{"role": "user", "content": "hello"}]}


class TestAddresses:
    @pytest.mark.parametrize("path", ["/nothing", "/api", "/api/models", "/api/models/a/b", "/v1/completions", "/../x"])
    def test_unknown(self, server: Server, path: str) -> None:
        reply = request(server, "GET", path)
        assert (reply.status, reply.code) == (404, "not_found")

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/"),
            ("POST", "/api/info"),
            ("GET", "/api/settings"),
            ("POST", "/api/models/first"),
            ("GET", "/api/models/first/load"),
            ("GET", "/v1/chat/completions"),
            ("OPTIONS", "/v1/chat/completions"),
            ("PUT", "/v1/models"),
        ],
    )
    def test_other_methods(self, server: Server, method: str, path: str) -> None:
        reply = request(server, method, path)
        assert (reply.status, reply.code) == (405, "method")

    def test_a_websocket_elsewhere(self, server: Server) -> None:
        with pytest.raises(InvalidStatus) as refused, connect(f"ws://{server.host}/api/info"):
            pass
        assert refused.value.response.status_code in (403, 404)

    def test_the_page_and_its_parts(self, server: Server) -> None:
        page = request(server, "GET", "/")
        assert (page.status, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
        parts = re.findall(r'(?:src|href)="([\w.-]+)"', page.body.decode())
        kinds = {"js": "text/javascript", "css": "text/css"}
        assert {part.rpartition(".")[2] for part in parts} >= set(kinds)
        for part in parts:
            reply = request(server, "GET", f"/{part}")
            assert (reply.status, reply.headers["content-type"].partition(";")[0]) == (
                200,
                kinds[part.rpartition(".")[2]],
            )

    def test_nothing_is_guessed_framed_or_fetched_from_elsewhere(self, server: Server) -> None:
        for path in ("/", "/api/info", "/nothing"):
            headers = request(server, "GET", path).headers
            assert headers["x-content-type-options"] == "nosniff"
            policy = headers["content-security-policy"].split("; ")
            assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= set(policy)
            assert "unsafe" not in headers["content-security-policy"]
            assert "access-control-allow-origin" not in headers


class TestOtherSites:
    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io", ""]
    )
    def test_a_foreign_host(self, server: Server, host: str) -> None:
        reply = request(server, "GET", "/api/info", headers={"Host": host})
        assert (reply.status, reply.code) == (403, "origin")

    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1234", "LOCALHOST", "[::1]:80", "192.168.4.1"])
    def test_an_address_or_a_name_of_ours(self, server: Server, host: str) -> None:
        assert request(server, "GET", "/api/info", headers={"Host": host}).status == 200

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://127.0.0.1:1", "http://127.0.0.1"])
    def test_a_foreign_origin(self, server: Server, origin: str) -> None:
        for method, path, body in (("GET", "/api/info", None), ("POST", "/v1/chat/completions", QUESTION)):
            reply = request(server, method, path, body, headers={"Origin": origin})
            assert (reply.status, reply.code) == (403, "origin")
        with pytest.raises(InvalidStatus) as refused, chat(server, additional_headers={"Origin": origin}):
            pass
        assert refused.value.response.status_code == 403

    def test_our_own_origin(self, server: Server) -> None:
        headers = {"Origin": f"http://{server.host}"}
        assert request(server, "POST", "/v1/chat/completions", QUESTION, headers=headers).status == 200
        with chat(server, additional_headers=headers) as client:
            assert client.ask()[0] == images.TEXT


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/settings"),
        ("PUT", "/api/models/other"),
        ("POST", "/api/models/first/load"),
        ("DELETE", "/api/models/first"),
    ],
)
def test_changes_need_the_token(server: Server, method: str, path: str) -> None:
    before = info(server)
    for authorization in (None, "", "Bearer", "Bearer wrong", f"Bearer {server.token}x", f"Basic {server.token}", "é"):
        headers = {} if authorization is None else {"Authorization": authorization}
        reply = request(server, method, path, b"{}", headers=headers)
        assert (reply.status, reply.code) == (401, "token")
    assert info(server)["models"] == before["models"]


class TestSettings:
    def test_are_what_a_request_gets_that_does_not_say(self, server: Server) -> None:
        reply = change(server, "PUT", "/api/settings", {"max_tokens": 2, "temperature": 0.5})
        assert reply.status == 200
        assert reply.json()["defaults"] == info(server)["defaults"]
        assert (reply.json()["defaults"]["max_tokens"], reply.json()["defaults"]["temperature"]) == (2, 0.5)
        with chat(server) as client:
            assert client.ask()[1]["tokens"] == 2
            assert client.ask(max_tokens=3)[1]["tokens"] == 3
        assert change(server, "PUT", "/api/settings", {"max_tokens": 0, "temperature": 0}).status == 200
        with chat(server) as client:
            assert client.ask()[0] == images.TEXT

    def test_nothing_changes_nothing(self, server: Server) -> None:
        before = info(server)["defaults"]
        assert change(server, "PUT", "/api/settings", {}).json()["defaults"] == before

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "json"),
            (b"[]", "json"),
            (b'{"top_p": 1', "json"),
            (b"\xff\xfe", "json"),
            ({"seed": 1}, "message"),
            ({"top_k": "1"}, "message"),
            ({"top_k": None}, "message"),
            (b'{"top_k": 1, "top_k": 2}', "message"),
            ({"temperature": 101}, "value"),
            ({"max_tokens": 65536}, "value"),
            ({"top_k": 5, "top_p": 0}, "value"),
        ],
    )
    def test_errors(self, server: Server, body: object, code: str) -> None:
        before = info(server)["defaults"]
        reply = change(server, "PUT", "/api/settings", body)
        assert (reply.status, reply.code) == (400, code)
        assert info(server)["defaults"] == before

    def test_too_long(self, server: Server) -> None:
        body = b"{" + b" " * info(server)["limits"]["message_bytes"] + b"}"
        reply = change(server, "PUT", "/api/settings", body)
        assert (reply.status, reply.code) == (413, "size")


def names(server: Server) -> set[str]:
    return {model["name"] for model in info(server)["models"]}


class TestModels:
    def test_are_stored_loaded_and_removed(self, server: Server) -> None:
        image = images.looping()
        stored = change(server, "PUT", "/api/models/Other-1.bin", image)
        assert stored.status == 200
        entry = {"name": "Other-1.bin", "bytes": len(image), "active": False}
        assert any(entry.items() <= model.items() for model in stored.json()["models"])
        assert stored.json()["model"]["name"] == "first"
        loaded = change(server, "POST", "/api/models/Other-1.bin/load")
        assert loaded.json()["model"]["name"] == "Other-1.bin"
        with chat(server) as client:
            assert client.ask(max_tokens=3)[0] == "aba"
        use(server, "first", images.answering())
        assert change(server, "DELETE", "/api/models/Other-1.bin").status == 200
        assert "Other-1.bin" not in names(server)
        assert change(server, "DELETE", "/api/models/Other-1.bin").code == "not_found"
        assert change(server, "POST", "/api/models/Other-1.bin/load").code == "not_found"

    def test_can_be_stored_again(self, server: Server) -> None:
        for image in (images.looping(), images.looping(context=32)):
            stored = change(server, "PUT", "/api/models/again", image).json()["models"]
            assert [model["bytes"] for model in stored if model["name"] == "again"] == [len(image)]
        change(server, "DELETE", "/api/models/again")

    @pytest.mark.parametrize("name", [".hidden", "a" * 33, "a%20b", "a%00", "%C3%A9", "a+b", "%2e%2e", "a%0A"])
    def test_have_names(self, server: Server, name: str) -> None:
        for method, path in (("PUT", name), ("DELETE", name), ("POST", f"{name}/load")):
            reply = change(server, method, f"/api/models/{path}", b"")
            assert (reply.status, reply.code) == (400, "name")

    def test_that_answer_stay(self, server: Server) -> None:
        for method, body in (("DELETE", None), ("PUT", images.looping())):
            reply = change(server, method, "/api/models/first", body)
            assert (reply.status, reply.code) == (409, "in_use")
        with chat(server) as client:
            assert client.ask()[0] == images.TEXT

    def test_must_be_whole(self, server: Server) -> None:
        image = bytearray(images.looping())
        image[-1] ^= 1
        before = names(server)
        for wrong in (b"", b"SHRW", b"GIF89a" * 20, bytes(image), images.looping()[:-16], images.looping() + bytes(16)):
            reply = change(server, "PUT", "/api/models/wrong", wrong)
            assert (reply.status, reply.code) == (422, "image")
            assert reply.json()["error"]["message"]
        assert names(server) == before
        with chat(server) as client:
            assert client.ask()[0] == images.TEXT

    def test_are_replaced_only_by_whole_ones(self, server: Server) -> None:
        use(server, "looping", images.looping())
        use(server, "first", images.answering())
        assert change(server, "PUT", "/api/models/looping", images.looping()[:-16]).code == "image"
        use(server, "looping", images.looping())

    def test_say_what_their_selftest_found(self, server: Server) -> None:
        for name, verdict in (("failing", "failed"), ("overflowing", "absent")):
            use(server, name, getattr(images, name)())
            assert info(server)["model"]["selftest"] == verdict

    def test_that_compute_no_numbers_end_in_the_engines_line(self, server: Server) -> None:
        use(server, "overflowing", images.overflowing())
        with chat(server) as client:
            assert client.ask()[1]["code"] == "engine"
        reply = request(server, "POST", "/v1/chat/completions", QUESTION)
        assert (reply.status, reply.code, reply.json()["error"]["type"]) == (500, "engine", "server_error")

    def test_change_between_answers(self, endless: Server) -> None:
        with chat(endless) as client:
            for number in range(3):
                client.send("generate", id=number, prompt="go on", max_tokens=500)
            client.until("token")
            use(endless, "first", images.answering())
            assert client.ask(9)[0] == images.TEXT
            use(endless, "endless", images.endless())


class TestUploads:
    def head(self, server: Server, *lines: str, path: str = "/api/models/raw") -> bytes:
        own = [f"PUT {path} HTTP/1.1", f"Host: {server.host}", f"Authorization: Bearer {server.token}", *lines]
        return "\r\n".join([*own, "", ""]).encode()

    @contextmanager
    def sent(self, server: Server, data: bytes) -> Iterator[socket.socket]:
        host, port = server.host.split(":")
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            connection.sendall(data)
            yield connection

    def answer(self, connection: socket.socket) -> bytes:
        """A whole response."""
        response = http.client.HTTPResponse(connection)
        response.begin()
        return f"{response.status} ".encode() + response.read()

    def test_need_a_length(self, server: Server) -> None:
        chunked = self.head(server, "Transfer-Encoding: chunked") + b"0\r\n\r\n"
        with self.sent(server, chunked) as connection:
            answer = self.answer(connection)
        assert answer.startswith(b"411 ")
        assert b'"length"' in answer

    def test_have_a_limit_that_is_known_before_they_come(self, server: Server) -> None:
        """ESP-IDF's server calls the handler when the first byte of the body has arrived."""
        most = info(server)["limits"]["upload_bytes"]
        with self.sent(server, self.head(server, f"Content-Length: {most + 1}") + b"S") as connection:
            answer = self.answer(connection)
        assert answer.startswith(b"413 ")
        assert b'"size"' in answer

    def test_that_end_early_leave_nothing_and_do_not_block(self, server: Server) -> None:
        before, image = names(server), images.looping()
        begun = self.head(server, f"Content-Length: {len(image)}") + image[:-10]
        with self.sent(server, begun):
            pass
        deadline = threading.Event()
        for _ in range(100):
            reply = change(server, "PUT", "/api/models/after", image)
            if reply.status == 200:
                break
            assert reply.code == "in_use"
            deadline.wait(0.1)
        assert names(server) - before == {"after"}
        change(server, "DELETE", "/api/models/after")

    def test_come_one_at_a_time(self, server: Server) -> None:
        image = images.looping()
        begun = self.head(server, f"Content-Length: {len(image)}") + image[:-10]
        with self.sent(server, begun) as connection:
            wait = threading.Event()
            for _ in range(100):  # until the server has seen the first one
                reply = change(server, "PUT", "/api/models/second", image)
                if reply.status != 200:
                    break
                wait.wait(0.1)
            assert (reply.status, reply.code) == (409, "in_use")
            assert info(server)["model"]["name"] == "first"
            with chat(server) as client:
                assert client.ask()[0] == images.TEXT
            connection.sendall(image[-10:])
            assert self.answer(connection).startswith(b"200 ")
        assert "raw" in names(server)
        change(server, "DELETE", "/api/models/raw")
        change(server, "DELETE", "/api/models/second")


def test_connections_have_a_limit(server: Server) -> None:
    most = info(server)["limits"]["clients"]
    with ExitStack() as stack:
        for _ in range(most):
            client = stack.enter_context(chat(server))
        with pytest.raises(InvalidStatus) as refused, chat(server):
            pass
        assert refused.value.response.status_code == 429
        assert client.ask()[0] == images.TEXT
    wait = threading.Event()
    for _ in range(100):
        if request(server, "GET", "/api/info").status == 200:
            break
        wait.wait(0.1)
    with chat(server) as client:
        assert client.ask()[0] == images.TEXT


def test_without_a_model(start, tmp_path) -> None:
    with start(tmp_path / "models", None) as server:
        assert info(server)["model"] is None
        with chat(server) as client:
            assert client.ask()[1]["code"] == "no_model"
            reply = request(server, "POST", "/v1/chat/completions", QUESTION)
            assert (reply.status, reply.code) == (503, "no_model")
            use(server, "first", images.answering())
            assert client.until("info")["models"]
            assert client.ask()[0] == images.TEXT
