"""The chat page in Chromium, with a scripted server in the browser or with `shrew serve`."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

WEB = Path(__file__).parents[2] / "web"
HOST = "http://shrew.test"
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:"
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync"
)
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}

INFO: dict[str, Any] = {
    "type": "info",
    "protocol": 1,
    "version": "0.1.0",
    "device": "esp32s3",
    "model": {
        "name": "gate",
        "title": "Gate helper",
        "bytes": 220800,
        "crc32": "7c0ffee1",
        "context": 256,
        "vocab": 512,
        "dim": 64,
        "layers": 5,
        "parameters": 206304,
        "selftest": "passed",
        "refusal": "I am not sure what to do.",
        "licence": "CC0-1.0",
        "description": "Knows the gate, its lights and its alarms.\nHow do I open the gate?\nTurn on the light",
        "commands": True,
    },
    "models": [
        {"name": "gate", "bytes": 220800, "place": "flash", "active": True},
        {"name": "stories260K", "bytes": 312448, "place": "flash", "active": False},
    ],
    "defaults": {
        "temperature": 0.8,
        "top_p": 0.9,
        "top_k": 0,
        "min_p": 0,
        "repetition_penalty": 1,
        "max_tokens": 0,
    },
    "limits": {
        "message_bytes": 4096,
        "prompt_bytes": 2048,
        "queue": 16,
        "per_client": 4,
        "clients": 12,
        "upload_bytes": 1048576,
    },
    "memory": {"session": 116752, "free": 152300, "largest": 98304},
    "uptime_s": 4260,
    "requests": 31,
}

DONE: dict[str, Any] = {
    "reason": "end",
    "tokens": 24,
    "prompt_tokens": 9,
    "tok_per_s": 41.27,
    "prompt_tok_per_s": 183.4,
    "digest": "3f2a1b9c",
    "seed": 20261121,
}


#: Timeout in milliseconds, long enough for a busy machine.
PATIENCE = 30_000


def until(page: Any, condition: Callable[[], bool]) -> None:
    """Waits for what the page does outside itself."""
    for _ in range(PATIENCE // 10):
        if condition():
            return
        page.wait_for_timeout(10)
    raise TimeoutError


@dataclass
class Scripted:
    """A server in the browser. The test decides what it sends; what it received is in ``heard`` and ``called``."""

    info: dict[str, Any] = field(default_factory=lambda: json.loads(json.dumps(INFO)))
    #: What an HTTP request gets: (method, path, headers, body) to (status, object).
    http: Callable[[str, str, dict[str, str], bytes], tuple[int, Any]] = lambda *_: (200, INFO)
    up: bool = True
    heard: list[dict[str, Any]] = field(default_factory=list)
    called: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    asked_for_info: int = 0
    socket: Any = None

    def accept(self, socket: Any) -> None:
        if not self.up:
            socket.close()
            return
        self.connections += 1
        self.socket = socket
        socket.on_message(self._hear)

    def _hear(self, text: str) -> None:
        message = json.loads(text)
        if message["type"] == "info":
            self.asked_for_info += 1
            self.say(**self.info)
        else:
            self.heard.append(message)

    def ask(self, page: Any, question: str) -> int:
        """Types and asks; the request's id, once the server has heard it."""
        heard = len(self.heard)
        page.get_by_label("Your question").fill(question)
        page.keyboard.press("Enter")
        until(page, lambda: len(self.heard) > heard)
        return int(self.heard[-1]["id"])

    def answer(self, page: Any, question: str, text: str, **done: Any) -> None:
        identity = self.ask(page, question)
        self.say(type="token", id=identity, text=text)
        self.say(type="done", id=identity, **{**DONE, **done})
        page.get_by_role("button", name="Repeat").last.wait_for()

    def say(self, **message: Any) -> None:
        self.socket.send(json.dumps(message))

    def serve(self, route: Any) -> None:
        request = route.request
        path = request.url.removeprefix(HOST).split("?")[0]
        file = WEB / ("index.html" if path == "/" else path[1:])
        if file.is_file():
            headers = {"Content-Security-Policy": POLICY, "Content-Type": TYPES[file.suffix]}
            route.fulfill(body=file.read_bytes(), headers=headers)
            return
        self.called.append((request.method, path))
        status, body = self.http(request.method, path, request.headers, request.post_data_buffer or b"")
        route.fulfill(status=status, json=body)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """For one file: as long as it runs, no other event loop can run in this process."""
    api = pytest.importorskip("playwright.sync_api", reason="the package playwright is not installed")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens pages. At the end, none may have had an error, except Chromium's messages about refused requests."""
    contexts: list[Any] = []
    errors: list[str] = []

    def note(message: Any) -> None:
        if message.type in {"error", "warning"} and not re.search("Failed to load resource|WebSocket", message.text):
            errors.append(message.text)

    def make(address: str = HOST, *, server: Scripted | None = None, size: Any = DESKTOP, **options: Any) -> Any:
        context = chromium.new_context(viewport=size, reduced_motion="reduce", **options)
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: errors.append(str(error)))
        if server:
            page.route("**/*", server.serve)
            page.route_web_socket("**/ws", server.accept)
        page.goto(address)
        return page

    yield make
    for context in contexts:
        context.close()
    assert not errors


@pytest.fixture
def server() -> Scripted:
    return Scripted()


@pytest.fixture
def page(request: pytest.FixtureRequest, open_page: Callable[..., Any], server: Scripted) -> Any:
    """The page with a scripted server, on a phone unless the test is marked with both sizes."""
    page = open_page(server=server, size=getattr(request, "param", PHONE))
    page.get_by_role("heading", name="Ask Gate helper").wait_for()
    return page


@pytest.fixture
def expect(chromium: Any) -> Any:
    from playwright.sync_api import expect

    expect.set_options(timeout=PATIENCE)
    return expect


#: For tests of what looks different on a phone and on a desktop.
both_sizes = pytest.mark.parametrize("page", [PHONE, DESKTOP], ids=["390", "1440"], indirect=True)


def open_panel(page: Any) -> Any:
    panel = page.locator("#panel")
    if panel.is_hidden():
        page.get_by_role("button", name="model and settings").click()
    return panel
