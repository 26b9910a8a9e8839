"""The page and `shrew serve`, together."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine.models import random_image
from web.conftest import DESKTOP, PHONE, open_panel

pytest.importorskip("uvicorn", reason="the extra serve is not installed")


class Served:
    """A server that can be stopped and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "shrew", "serve", str(self.folder / "tiny.bin")]
        command += ["--port", str(self.port), "--token", "right", "--models", str(self.folder)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split("#")[0]
        assert self.address.startswith("http://127.0.0.1:")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def served(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("models")
    (folder / "tiny.bin").write_bytes(random_image(context=256))
    # Its answers take seconds, so there is something to stop.
    (folder / "slow.bin").write_bytes(random_image(dim=192, heads=4, layers=12, ffn=768, context=4096, spread=0.02))
    served = Served(folder)
    yield served
    served.stop()


def open_served(open_page: Any, served: Served, size: Any) -> Any:
    page = open_page(served.address, size=size)
    page.get_by_role("heading", name="Ask tiny").wait_for()
    return page


def ask(page: Any, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["390", "1440"])
def test_asking_repeating_and_settings(open_page: Any, served: Served, expect: Any, size: Any) -> None:
    page = open_served(open_page, served, size)
    panel = open_panel(page)
    panel.get_by_label("Temperature").fill("1")
    panel.get_by_label("Most tokens").fill("12")
    if size == PHONE:
        panel.get_by_role("button", name="Close").click()
    ask(page, "hello?")
    expect(page.locator(".facts")).to_contain_text("12 tokens at")
    expect(page.locator(".facts")).to_contain_text("cut at the most tokens")
    page.get_by_role("button", name="Repeat").click()
    expect(page.locator(".facts").last).to_contain_text("as before")
    answers = page.locator(".text").all_text_contents()
    assert answers[0] == answers[1]


def test_loading_stopping_uploading_deleting(open_page: Any, served: Served, expect: Any) -> None:
    page = open_page(f"{served.address}#token=right")
    panel = open_panel(page)
    panel.get_by_role("button", name="Load slow").click()
    expect(page.locator("#models .active")).to_contain_text("slow")
    ask(page, "hello?")
    expect(page.locator(".answer")).to_have_attribute("data-state", "writing")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".facts")).to_contain_text("stopped")

    image = (served.folder / "tiny.bin").read_bytes()
    damaged = {"name": "new.bin", "mimeType": "application/octet-stream", "buffer": image[:-9] + bytes(9)}
    panel.get_by_label("Upload a model").set_input_files(damaged)
    panel.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#models-problem")).to_contain_text("not a model that this engine can use")
    panel.get_by_label("Upload a model").set_input_files({**damaged, "buffer": image})
    panel.get_by_role("button", name="Upload", exact=True).click()
    expect(page.locator("#models .active")).to_contain_text("new")
    panel.get_by_role("button", name="Load tiny").click()
    expect(page.locator("#models .active")).to_contain_text("tiny")
    panel.get_by_role("button", name="Delete new").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(panel.get_by_role("button", name="Load new")).to_have_count(0)
    assert not (served.folder / "new.bin").exists()


def test_a_wrong_token_is_refused_before_the_upload_goes(
    open_page: Any, served: Served, expect: Any, tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(b"SHRW".ljust(40_000_000, b"\0"))
    page = open_page(f"{served.address}#token=wrong")
    panel = open_panel(page)
    panel.get_by_label("Upload a model").set_input_files(large)
    panel.get_by_role("button", name="Upload", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("That is not the token")


def test_a_server_that_ends_and_begins_again(open_page: Any, served: Served, expect: Any) -> None:
    page = open_served(open_page, served, PHONE)
    served.stop()
    expect(page.locator("#state")).to_have_text("reconnecting")
    served.start()
    expect(page.locator("#state")).to_have_text("connected")
    ask(page, "hello?")
    expect(page.locator(".facts")).to_contain_text("tokens at")
