"""``shrew serve`` as users see it: its output, its errors, its end. tests/chat tests the protocol."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from chat import images
from chat.client import change, chat, info, request
from chat.servers import Server
from websockets.exceptions import ConnectionClosed

MAIN = "from shrew.cli import main; main()"


def refused(*arguments: object, code: int = 1, before: str = "") -> str:
    """The last line of what the command says of arguments that cannot work."""
    command = [sys.executable, "-c", f"{before}\n{MAIN}", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
    return done.stderr.splitlines()[-1]


@contextmanager
def serving(*arguments: object, before: str = "", stop: int = signal.SIGINT, code: int = 0) -> Iterator[Server]:
    """A server on a free port, ended by a signal."""
    command = [sys.executable, "-c", f"{before}\n{MAIN}", "serve", "--port", "0", *map(str, arguments)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        line = process.stdout.readline()
        try:
            host, token = re.fullmatch(r"http://([^/]+)/#token=(\S+)\n", line).groups()
            yield Server(host, token, process.pid)
        finally:
            process.send_signal(stop)
            said = process.communicate(timeout=20)[1]
    assert process.returncode == code
    assert "Traceback" not in said
    assert "Warning" not in said


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("images") / "gate.bin"
    path.write_bytes(images.answering())
    return path


class TestRefusals:
    def test_nothing_to_serve(self) -> None:
        assert "IMAGE" in refused(code=2)

    def test_an_image_that_is_not_there_or_none(self, tmp_path: Path) -> None:
        assert "missing.bin" in refused(tmp_path / "missing.bin")
        (tmp_path / "text.bin").write_text("hello " * 20)
        assert "text.bin" in refused(tmp_path / "text.bin")

    def test_a_port_that_is_taken(self, image: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert f"127.0.0.1:{port}: cannot listen there" in refused(image, "--port", port)

    def test_a_host_that_is_none(self, image: Path) -> None:
        assert "cannot listen there" in refused(image, "--host", "no.such.host.invalid", "--port", 0)

    @pytest.mark.parametrize("token", ["", " x", "a b\n", "é"])
    def test_a_token_that_no_header_can_carry(self, image: Path, token: str) -> None:
        assert "--token" in refused(image, "--token", token)

    @pytest.mark.parametrize("package", ["starlette", "uvicorn", "websockets"])
    def test_a_package_that_is_missing(self, image: Path, package: str) -> None:
        line = refused(image, before=f"import sys; sys.modules['{package}'] = None")
        assert "pip install 'shrew[serve]'" in line


class TestEnd:
    def test_with_answers_under_way(self, tmp_path: Path) -> None:
        (tmp_path / "endless").write_bytes(images.endless())
        with serving(tmp_path / "endless") as server:
            connection = http.client.HTTPConnection(server.host)
            body = '{"messages": [{"role": "user", "content": "go on"}], "stream": true}'
            connection.request("POST", "/v1/chat/completions", body)
            with chat(server) as client:
                for number in range(5):
                    client.send("generate", id=number, prompt="go on")
                client.until("token")
                os.kill(server.pid, signal.SIGINT)
                with pytest.raises(ConnectionClosed) as closed:
                    client.until("the end")
                assert closed.value.rcvd.code == 1012
            assert b'"reason":"cancelled"' in connection.getresponse().read()

    def test_by_sigterm(self, image: Path) -> None:
        with serving(image, stop=signal.SIGTERM, code=-signal.SIGTERM):
            pass


def test_other_files_of_the_folder_are_left_alone(image: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("SHR")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / ".hidden").write_bytes(images.looping())
    (tmp_path / "two words.bin").write_bytes(images.looping())
    (tmp_path / "looping.bin").write_bytes(images.looping())
    with serving(image, "--models", tmp_path) as server:
        assert [model["name"] for model in info(server)["models"]] == ["gate.bin", "looping.bin"]
        for name in ("notes.txt", "folder", "pipe"):
            assert change(server, "DELETE", f"/api/models/{name}").code == "not_found"
        assert change(server, "POST", "/api/models/looping.bin/load").status == 200
        for method in ("PUT", "DELETE"):  # the one that the command line named lies elsewhere
            assert change(server, method, "/api/models/gate.bin", images.looping()).code == "in_use"
        assert change(server, "POST", "/api/models/gate.bin/load").status == 200
    assert image.read_bytes() == images.answering()


def test_a_model_that_comes_with_shrew_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving("desk") as server, chat(server) as client:
        assert info(server)["model"]["name"] == "desk.bin"
        assert client.ask(prompt="turn the lamp green")[1]["command"] == "led green"


def test_an_image_may_be_called_anything(tmp_path: Path) -> None:
    path = tmp_path / "…my modèl!.bin"
    path.write_bytes(images.answering())
    with serving(path) as server:
        name = info(server)["model"]["name"]
        assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}", name)
        assert [model["name"] for model in info(server)["models"] if model["active"]] == [name]
        assert str(tmp_path) not in request(server, "GET", "/api/info").body.decode()


def test_files_are_compressed_and_not_sent_twice(image: Path) -> None:
    with serving(image) as server:
        plain = request(server, "GET", "/")
        small = request(server, "GET", "/", headers={"Accept-Encoding": "br, gzip"})
        assert small.headers["content-encoding"] == "gzip"
        assert small.body == plain.body  # unpacked by the client
        assert int(small.headers["content-length"]) < len(plain.body)
        again = request(server, "GET", "/", headers={"If-None-Match": plain.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        assert request(server, "GET", "/", headers={"If-None-Match": '"other"'}).status == 200


def test_a_body_that_stops_coming_is_given_up(image: Path, tmp_path: Path) -> None:
    with serving(image, "--models", tmp_path, before="import shrew.serve.limits as l; l.STALL_SECONDS = 0.2") as server:
        host, port = server.host.split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            head = f"PUT /api/models/slow HTTP/1.1\r\nHost: {server.host}\r\nAuthorization: Bearer {server.token}\r\n"
            connection.sendall(f"{head}Content-Length: 1000\r\n\r\nSHRW".encode())
            answer = b""
            while data := connection.recv(4096):  # until the server closes
                answer += data
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"timeout"' in answer
        assert change(server, "PUT", "/api/models/next", images.looping()).status == 200


def test_a_request_that_stops_coming_is_given_up(image: Path) -> None:
    with serving(image, before="import shrew.serve.limits as l; l.STALL_SECONDS = 0.2") as server:
        host, port = server.host.split(":")
        for begun in (b"", b"GET /api/in", b"GET /api/info HTTP/1.1\r\nHost: localhost\r\n\r\nGET /ap"):
            with socket.create_connection((host, int(port)), timeout=30) as connection, suppress(ConnectionResetError):
                connection.sendall(begun)
                while connection.recv(4096):
                    pass
        with chat(server) as client:
            time.sleep(0.5)  # a WebSocket may be silent
            assert client.ask()[0] == images.TEXT


def test_as_many_are_answered_at_once_as_there_are_sessions(tmp_path: Path) -> None:
    (tmp_path / "endless").write_bytes(images.endless())
    with serving(tmp_path / "endless", "--sessions", 3, "--threads", 2) as server, chat(server) as client:
        for number in range(4):
            client.send("generate", id=number, prompt="go on")
        assert client.until("queued") == {"type": "queued", "id": 3, "ahead": 3}
        heard: set[int] = set()
        while heard < {0, 1, 2}:
            heard.add(client.until("token")["id"])
        assert 3 not in heard


def test_answers_do_not_keep_the_loop_from_others(tmp_path: Path) -> None:
    """Info comes while a prompt of the longest kind and an endless answer are worked on."""
    (tmp_path / "endless").write_bytes(images.endless())
    with serving(tmp_path / "endless") as server, chat(server) as client:
        client.send("generate", id=1, prompt="x" * 16_000)
        client.send("generate", id=2, prompt="go on")
        for _ in range(20):
            assert info(server)["requests"] == 0
            time.sleep(0.001)
