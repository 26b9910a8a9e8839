"""The firmware as a chip's image: it boots, gives the host's bits, leaks no memory, and survives power failures."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from board.chip_image import INSTRUCTIONS_PER_SECOND, Machine, firmware, image_folder, machine, make_flash
from board.conftest import Run
from engine.models import random_image
from firmware.test_symbols import RUNTIME_NAMES

from shrew.board.console import Console
from shrew.board.ports import open_port
from shrew.chips.facts import CHIPS, FIRMWARE
from shrew.chips.heap import share
from shrew.engine import Model
from shrew.image import image_of, source_of
from shrew.ports import Job, Step
from shrew.ports.emulator import RV32IMC
from shrew.shipped import FOLDER

DESK = FOLDER / "desk.bin"
BOOT_SECONDS = 120.0
NONE = 0xFFFF  # no token was chosen
QUESTION = "How much flash does the board have?"


class Board:
    """An emulated chip and its console."""

    def __init__(self, chip: Machine, console: Console, said: list[str]) -> None:
        self.chip, self.console, self.said = chip, console, said

    def lines(self, command: str) -> list[str]:
        """The console's answer to a command."""
        self.said.clear()
        self.console.command(command)
        return [line for line in self.said if line]

    def find(self, command: str, pattern: str) -> re.Match[str]:
        text = "\n".join(self.lines(command))
        found = re.search(pattern, text, re.MULTILINE)
        assert found, text
        return found

    def wait(self, pattern: str, seconds: float = 60.0) -> re.Match[str]:
        """Waits for a line that the console prints by itself."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := re.search(pattern, "\n".join(self.said)):
                return found
            time.sleep(0.05)
        raise AssertionError("\n".join(self.said))

    def context(self) -> int:
        """The context of the loaded model, whose self-test must have passed."""
        return int(self.find("status", r"(\d+) tokens of context, self-test passed")[1])

    def digest(self, prompt: str, **options: int) -> int:
        return list(self.console.generate(prompt, **options))[-1].digest


@contextmanager
def booted(flash: Path) -> Iterator[Board]:
    said: list[str] = []
    with machine(flash) as chip, Console(open_port(chip.device), said.append) as console:
        chip.run()
        console.info(BOOT_SECONDS)
        yield Board(chip, console, said)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "small.bin"
    path.write_bytes(random_image(1))
    return path


@pytest.fixture
def board(tmp_path: Path, small: Path) -> Iterator[Board]:
    with booted(make_flash(tmp_path / "flash.bin", small, DESK)) as board:
        yield board


def host_digest(model: Path, prompt: str, **options: int) -> int:
    return list(Model.open(model).session().generate(prompt, **options))[-1].digest


def total(steps: Sequence[Step]) -> int:
    return sum(step.instructions or 0 for step in steps)


class TestLinked:
    def test_soft_floats_are_ours(self) -> None:
        folder = image_folder()
        firmware()
        symbols = subprocess.run(["nm", folder / "shrew.elf"], check=True, capture_output=True, text=True).stdout
        kinds = {words[2]: words[1] for line in symbols.splitlines() if len(words := line.split()) == 3}
        assert {kinds.get(f"__wrap_{name}") for name in RUNTIME_NAMES} == {"T"}


class TestRunning:
    def test_answers_with_the_bits_of_the_host(self, board: Board) -> None:
        assert board.console.info().model.name == "desk"
        assert board.context() == 128
        for question in (QUESTION, "switch the fan on", "xyzzy"):
            assert board.digest(question, seed=3) == host_digest(DESK, question, seed=3)

    def test_reloads_cost_no_context(self, board: Board, small: Path) -> None:
        contexts = []
        for cycle in range(20):
            if cycle % 2:
                board.console.command("unload")
            else:
                board.console.command("load small")
            board.console.command("load desk")
            contexts.append(board.context())
        assert contexts == 20 * [128]
        assert board.digest(QUESTION) == host_digest(DESK, QUESTION)

    def test_memory_is_what_the_planner_says(self, board: Board) -> None:
        found = board.find("status", r"for models (\d+) SRAM, 0 PSRAM; free besides (\d+),")
        models, free = map(int, found.groups())
        assert models == pytest.approx(share(CHIPS["esp32c3"], wifi=True, psram=False).room, rel=0.05)
        assert free >= 0.9 * FIRMWARE.reserve.value

    def test_no_stack_is_nearly_full(self, board: Board, small: Path) -> None:
        board.digest(QUESTION)
        board.lines("bench 32")
        board.lines("load small")
        stacks = re.findall(r"(\w+) (\d+) of (\d+)", board.find("status", r"^stacks .*")[0])
        assert {name for name, *_ in stacks} == {"main", "generate", "jobs", "httpd"}
        assert all(int(size) - int(used) >= 1024 for _, used, size in stacks), stacks

    def test_what_it_remembers_comes_from_memory(self, board: Board) -> None:
        board.console.command(f"ask {QUESTION}")
        board.console.info()
        board.wait(r"from memory, confidence 0\.\d\d, digest \w{8}")

    def test_speed_in_instructions_is_that_of_the_bare_machine(self, tmp_path: Path) -> None:
        """For the same answer, compared with the counts of ``shrew bench --emulate rv32imc``."""
        image = image_of(replace(source_of(Model.open(DESK)), memory=None))
        (tmp_path / "alone.bin").write_bytes(image)
        with booted(make_flash(tmp_path / "flash.bin", tmp_path / "alone.bin")) as board:
            board.console.command(f"ask {QUESTION}")
            board.console.info()
            said = board.wait(r"(\d+) tokens, ([\d.]+) tokens/s, prompt ([\d.]+) tokens/s")
        answer, prompt = (INSTRUCTIONS_PER_SECOND / float(figure) for figure in said.groups()[1:])
        (bare,) = RV32IMC.run([Job(image=image, mode="text", prompt=QUESTION, tokens=128, trace=True)])
        read = [step for step in bare.steps if step.next == NONE]
        _, *written = (step for step in bare.steps if step.next != NONE)  # the first is of the prompt's last token
        assert prompt == pytest.approx(total(read) / sum(step.tokens for step in read), rel=0.15)
        assert answer == pytest.approx(total(written) / len(written), rel=0.15)


class TestPower:
    @pytest.mark.parametrize("command", ["bench 64", "load small", "set temperature 0.5"])
    @pytest.mark.parametrize("seconds", [0.02, 0.1, 0.5])
    def test_a_cut_during_a_command_leaves_a_board_that_starts(
        self, command: str, seconds: float, tmp_path: Path, small: Path
    ) -> None:
        flash = make_flash(tmp_path / "flash.bin", small, DESK)
        with booted(flash) as board:
            board.console._write(command.encode() + b"\n")
            time.sleep(seconds)  # the command has begun; where it is cut differs
            board.chip.pull_the_power()
        with booted(flash) as board:
            name = board.console.info().model.name
            assert name in ("desk", "small")
            model = DESK if name == "desk" else small
            assert board.digest(QUESTION, max_tokens=8) == host_digest(model, QUESTION, max_tokens=8)


class TestTools:
    def test_chat(self, tmp_path: Path) -> None:
        with machine(make_flash(tmp_path / "flash.bin", DESK)) as chip:
            chip.run()
            command = [sys.executable, "-m", "shrew", "chat", "--quiet", "--port", chip.device]
            done = subprocess.run(command, input=f"{QUESTION}\n", capture_output=True, text=True, timeout=300)
        assert "The board has 16 MB of flash." in done.stdout, done.stderr

    def test_flash_writes_a_model_through_the_boot_loader_in_rom(
        self, tmp_path: Path, small: Path, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shrew.board.start.BOOT_SECONDS", 0.1)
        flash = make_flash(tmp_path / "flash.bin")
        with machine(flash, boot="download") as chip:
            chip.run()
            result = json.loads(run("flash", small, "--port", chip.device, "--no-stub", "--json"))
        assert (result["chip"], result["slot"]) == ("ESP32-C3", 0)
        with booted(flash) as board:
            assert board.console.info().model.name == "small"
            assert board.digest("hello", max_tokens=8) == host_digest(small, "hello", max_tokens=8)
