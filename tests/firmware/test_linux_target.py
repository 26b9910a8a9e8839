"""The firmware on ESP-IDF's Linux target: boot, console, serial messages, flash. HTTP and WebSocket: tests/chat."""

from __future__ import annotations

import http.client
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from chat import images
from firmware.linux_target import Process

from firmware import linux_target
from shrew.shipped import FOLDER


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Process]:
    with linux_target.start(tmp_path) as process:
        yield process


@pytest.fixture
def answering(empty: Process) -> Process:
    empty.store("first", images.answering())
    return empty


def info(process: Process) -> dict[str, Any]:
    return json.loads(process.change("GET", "/api/info")[1])


class TestConsole:
    def test_a_first_boot_makes_a_token_and_asks_for_a_model(self, empty: Process) -> None:
        assert re.fullmatch("[a-z0-9]{20}", empty.token)
        assert re.search("^model +none$", empty.boot, re.MULTILINE)
        empty.type("ask hello")
        empty.until("^there is no model to answer$")
        empty.type("models")
        empty.until("^none")

    def test_answers_and_says_how_fast(self, answering: Process) -> None:
        answering.type("ask hello")
        answering.until(f"^{re.escape(images.TEXT)}$")
        ended = answering.until(
            r"^\[end: (\d+) tokens, [\d.]+ tokens/s, prompt [\d.]+ tokens/s, seed \d+, digest (\w{8})\]$"
        )
        assert int(ended[1]) == len(images.ids(images.TEXT))
        answering.type("status")
        answering.until("^shrew .* 1 answered$")
        answering.until(
            r"^model +first: \d+ parameters, \d+ bytes in flash \(.*\), 256 tokens of context, self-test passed"
        )
        answering.until(r"^memory +session [1-9]\d*; for models 0 SRAM, 67108864 PSRAM; free besides \d+, PSRAM ")
        answering.until(r"^stacks +main \d+ of \d+, generate \d+ of \d+, jobs \d+ of \d+, httpd \d+ of \d+ bytes ")
        answering.until(r"^speed +prompt [1-9][\d.]*, answer ")
        answering.until(r"^time +ms/token +prompt +answer$")
        answering.until(r"^ +attend +\d+\.\d{3} +\d+\.\d{3}$")
        answering.until(r"^ +layer 0 +\d+\.\d{3} +\d+\.\d{3}$")

    def test_selftest_and_bench(self, answering: Process) -> None:
        answering.type("selftest")
        answering.until("^self-test: passed$")
        answering.type("bench 20")
        answering.until(r"^20 tokens as a prompt: [1-9][\d.]* tokens/s; 20 more, one by one: [1-9][\d.]* tokens/s$")

    def test_ctrl_c_ends_an_answer(self, empty: Process) -> None:
        empty.store("endless", images.endless())
        empty.type("ask go on")
        empty.type("\x03")
        empty.until(r"\[cancelled")
        empty.type("set max_tokens 3")
        empty.type("ask go on")
        empty.until(r"^aba$")

    @pytest.mark.parametrize("line", ["shout", "set", "set temperature 101", "load", "load nothing", "bench 0", "wifi"])
    def test_every_line_is_answered_and_none_stops_it(self, answering: Process, line: str) -> None:
        answering.type(line)
        answering.until(".")
        answering.type("x" * 5000)
        answering.until("^a line has at most 4096 bytes$")
        answering.type("x" * 5000 + "\x03ask hello")
        answering.until(f"^{re.escape(images.TEXT)}$")


class TestCommands:
    def test_desk_works_the_board(self, empty: Process) -> None:
        """The model that comes with Shrew: a command of the table, one that it does not have, and a question."""
        empty.store("desk", (FOLDER / "desk.bin").read_bytes())
        empty.type("ask switch the fan on")
        empty.until("^Do: fan on$")
        empty.until("actions: fan on: no pin is set for it$")
        empty.type("ask turn the lamp green")
        empty.until("^Do: led green$")
        empty.until("actions: led green: event 0$")
        empty.type("ask How much flash does the board have?")
        empty.until("^The board has 16 MB of flash.$")


class TestSerialMessages:
    """A line that begins with a brace is a message of the chat protocol, and is answered in kind."""

    def receive(self, process: Process, *kinds: str) -> dict[str, Any]:
        while True:
            message = json.loads(process.until(r"^\{.*\}$")[0])
            if message["type"] in kinds:
                return message

    def send(self, process: Process, **message: Any) -> None:
        process.type(json.dumps(message))

    def test_are_answered(self, answering: Process) -> None:
        self.send(answering, type="generate", id=7, prompt="hello", seed=3)
        text = ""
        while (message := self.receive(answering, "token", "done"))["type"] == "token":
            text += message["text"]
        assert text == images.TEXT
        assert (message["id"], message["reason"], message["seed"]) == (7, "end", 3)
        self.send(answering, type="info")
        assert self.receive(answering, "info")["model"]["name"] == "first"

    def test_can_be_cancelled(self, empty: Process) -> None:
        empty.store("endless", images.endless())
        for number in range(2):
            self.send(empty, type="generate", id=number, prompt="go on")
        self.receive(empty, "token")
        self.send(empty, type="cancel", id=1)
        assert self.receive(empty, "done")["id"] == 1
        self.send(empty, type="cancel", id=0)
        assert self.receive(empty, "done")["reason"] == "cancelled"

    def test_errors(self, answering: Process) -> None:
        answering.type('{"type": ')
        assert self.receive(answering, "error")["code"] == "json"
        self.send(answering, type="generate", id=4, prompt="")
        message = self.receive(answering, "error")
        assert (message["id"], message["code"]) == (4, "prompt")
        self.send(answering, type="generate", id=5, prompt="x" * 5000)
        message = self.receive(answering, "error")
        assert (message["id"], message["code"]) == (None, "size")


class TestFlash:
    def test_keeps_models_settings_and_token(self, tmp_path: Path) -> None:
        flash = linux_target.new_flash(tmp_path / "flash.bin")
        with linux_target.start(tmp_path, flash=flash) as process:
            process.store("first", images.answering())
            process.store("second", images.looping())
            assert process.change("PUT", "/api/settings", b'{"max_tokens": 3, "top_k": 5}')[0] == 200
            token = process.token
        with linux_target.start(tmp_path, flash=flash) as process:
            assert process.token == token
            facts = info(process)
            assert (facts["model"]["name"], facts["defaults"]["top_k"]) == ("second", 5)
            assert {model["name"]: model["place"] for model in facts["models"]} == {"first": "flash", "second": "flash"}
            process.type("ask hello")
            process.until("^aba$")
            process.type("load first")
            process.until("first: .* self-test passed")
        with linux_target.start(tmp_path, flash=flash) as process:
            assert info(process)["model"]["name"] == "first"

    def test_what_is_stored_answers_only_once_it_is_loaded(self, tmp_path: Path) -> None:
        flash = linux_target.new_flash(tmp_path / "flash.bin")

        def start() -> AbstractContextManager[Process]:
            return linux_target.start(tmp_path, flash=flash)

        with start() as process:
            assert process.change("PUT", "/api/models/first", images.answering())[0] == 200
            assert info(process)["model"] is None
        with start() as process:  # nobody has chosen: the newest
            assert info(process)["model"]["name"] == "first"
            assert process.change("PUT", "/api/models/second", images.looping())[0] == 200
        with start() as process:
            assert info(process)["model"]["name"] == "first"
            process.type("unload")
            process.until("^no model answers until the next load, or start$")
            assert info(process)["model"] is None
            process.type("unload")
            process.until("^there is no model to answer$")
            assert process.change("POST", "/api/models/second/load")[0] == 200
            process.type("ask hello")
            process.until("^aba")
            process.type("unload")
        with start() as process:
            assert info(process)["model"]["name"] == "second"

    def test_a_damaged_model_gives_way_to_the_other(self, tmp_path: Path) -> None:
        flash = linux_target.new_flash(tmp_path / "flash.bin")
        with linux_target.start(tmp_path, flash=flash) as process:
            process.store("first", images.answering())
            process.store("second", images.looping())
        content = flash.read_bytes()
        assert content.count(images.looping()) == 1
        flash.write_bytes(content.replace(images.looping(), images.looping()[:-1] + b"?"))
        with linux_target.start(tmp_path, flash=flash) as process:
            assert info(process)["model"]["name"] == "first"

    @pytest.mark.parametrize("wrong", [b"", b"PK\x03\x04 is no model"])
    def test_what_is_no_image_costs_no_stored_model(self, tmp_path: Path, wrong: bytes) -> None:
        with linux_target.start(tmp_path) as process:
            process.store("idle", images.looping())
            process.store("first", images.answering())
            status, answer = process.change("PUT", "/api/models/other", wrong)
            assert (status, json.loads(answer)["error"]["code"]) == (422, "image")
            assert [model["name"] for model in info(process)["models"]] == ["idle", "first"]

    @pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
    def test_a_cut_during_an_upload_leaves_what_was_there(self, tmp_path: Path, share: float) -> None:
        flash = linux_target.new_flash(tmp_path / "flash.bin")
        image = images.endless()
        with linux_target.start(tmp_path, flash=flash) as process:
            process.store("first", images.answering())
            connection = http.client.HTTPConnection("127.0.0.1", process.port)
            connection.putrequest("PUT", "/api/models/second")
            connection.putheader("Authorization", f"Bearer {process.token}")
            connection.putheader("Content-Length", str(len(image)))
            connection.endheaders()
            connection.send(image[: int(share * (len(image) - 1))])
            while info(process)["uptime_s"] < 1:
                pass
        with linux_target.start(tmp_path, flash=flash) as process:
            facts = info(process)
            assert [model["name"] for model in facts["models"]] == [facts["model"]["name"]] == ["first"]
            process.type("ask hello")
            process.until(f"^{re.escape(images.TEXT)}$")


@pytest.mark.parametrize("sram", [5000, 10**6])
def test_tensors_are_copied_to_fast_memory_as_far_as_it_goes(tmp_path: Path, sram: int) -> None:
    with linux_target.start(tmp_path, sram=[sram]) as process:
        process.store("first", images.answering())
        process.type("status")
        copied = int(process.until(r"in flash \(copied: (\d+) to SRAM, 0 to PSRAM\), .* self-test passed")[1])
        assert 0 < copied <= sram
        assert info(process)["memory"]["weights_sram"] == copied
        process.type("ask hello")
        process.until(f"^{re.escape(images.TEXT)}$")
        process.store("second", images.looping())
        process.type("ask hello")
        process.until("^aba")


class TestMemoryOfModels:
    """In pieces like those of an ESP32-C3 with Wi-Fi, and no PSRAM."""

    PIECES = (73_728, 9_216)

    def test_no_load_costs_the_next_one_context(self, tmp_path: Path) -> None:
        desk = (FOLDER / "desk.bin").read_bytes()
        with linux_target.start(tmp_path, sram=self.PIECES, psram=0) as process:
            process.store("desk", desk)
            process.store("small", images.answering())
            found = {"desk": set(), "small": set()}
            for cycle in range(200):
                name = ("desk", "small", "desk")[cycle % 3]
                if cycle % 5 == 0:
                    process.type("unload")
                    process.until("^no model answers until the next load, or start$")
                if cycle % 20 == 0:
                    idle, image = ("small", images.answering()) if name == "desk" else ("desk", desk)
                    assert process.change("PUT", f"/api/models/{idle}", image)[0] == 200
                assert process.change("POST", f"/api/models/{name}/load")[0] == 200
                facts = info(process)
                found[name].add((facts["model"]["context"], *facts["memory"].values()))
            assert [len(seen) for seen in found.values()] == [1, 1]
            assert {context for context, *_ in found["desk"]} == {128}
            assert facts["memory"]["models"] == sum(self.PIECES)

    def test_nothing_is_said_of_a_model_that_was_unloaded(self, tmp_path: Path) -> None:
        with linux_target.start(tmp_path, sram=[10**6]) as process:
            process.store("first", images.answering())
            used = ("session", "weights_sram")
            assert all(info(process)["memory"][kind] > 0 for kind in used)
            process.type("unload")
            process.until("^no model answers")
            assert [info(process)["memory"][kind] for kind in used] == [0, 0]
            process.type("status")
            process.until("^memory +session 0; for models 1000000 SRAM")

    def test_a_session_without_room_has_half_the_context(self, tmp_path: Path) -> None:
        with linux_target.start(tmp_path, sram=[45_000], psram=0) as process:
            process.store("desk", (FOLDER / "desk.bin").read_bytes())
            assert info(process)["model"]["context"] == 64
            process.type("ask How much flash does the board have?")
            process.until("^The board has 16 MB of flash.$")


class TestCards:
    """A folder stands for an SD card."""

    @pytest.fixture
    def card(self, tmp_path: Path) -> Path:
        card = tmp_path / "card"
        card.mkdir()
        (card / "spoken.bin").write_bytes(images.answering())
        (card / "broken.bin").write_bytes(images.answering()[:-1])
        (card / "notes.txt").write_text("no model")
        return card

    def test_models_are_listed_and_loaded(self, tmp_path: Path, card: Path) -> None:
        with linux_target.start(tmp_path, cards=card) as process:
            assert {model["name"] for model in info(process)["models"]} == {"spoken", "broken"}
            process.type("load spoken")
            process.until("spoken: .* in memory .* self-test passed")
            process.type("load broken")
            process.until("^the image is cut short$")
            for method in ("PUT", "DELETE"):
                status, answer = process.change(method, "/api/models/spoken", images.looping())
                assert (status, json.loads(answer)["error"]["code"]) == (409, "in_use")
            process.type("ask hello")
            process.until(f"^{re.escape(images.TEXT)}$")
