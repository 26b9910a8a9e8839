"""Starts the firmware, built by ESP-IDF for Linux, on a flash that shrew flash has written, and talks with it."""

from __future__ import annotations

import os
import socket
import subprocess
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from board.conftest import Run
from board.emulated import Board
from firmware.linux_target import build

from shrew.board import start
from shrew.board.console import Console
from shrew.board.partitions import TABLE_OFFSET
from shrew.board.ports import open_port
from shrew.engine import Model

FLASH_BYTES = 8 << 20


@contextmanager
def firmware(flash: Path) -> Iterator[str]:
    """The port of its console."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        web = probe.getsockname()[1]
    ours, port = os.openpty()
    tty.setraw(port)
    environment = {**os.environ, "SHREW_FLASH": str(flash), "SHREW_PORT": str(web)}
    with subprocess.Popen([build() / "shrew.elf"], stdin=ours, stdout=ours, stderr=ours, env=environment) as process:
        try:
            yield os.ttyname(port)
        finally:
            process.kill()
            os.close(ours)
            os.close(port)


def test_the_firmware_starts_with_what_was_flashed_and_answers_as_the_engine_does(
    models: list[Path], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = (build() / "partition_table/partition-table.bin").read_bytes()
    monkeypatch.setattr(start, "BOOT_SECONDS", 0.1)
    with Board(flash_bytes=FLASH_BYTES) as board:
        board.flash.put(TABLE_OFFSET, table)
        for path in models[:2]:
            run("flash", path, "--port", board.device)
    flash = tmp_path / "flash.bin"
    flash.write_bytes(board.flash.bytes)
    said: list[str] = []
    with firmware(flash) as port, Console(open_port(port), said.append) as console:
        assert console.info().model.name == "story"
        said.clear()
        console.command("models")
        assert [line.split()[-4] for line in said] == ["desk", "story"]
        console.command("load desk")
        assert any("desk: " in line and "self-test" in line for line in said)
        for path, name in ((models[0], "desk"), (models[1], "story")):
            console.command(f"load {name}")
            steps = list(console.generate("hello", max_tokens=20))
            expected = list(Model.open(path).session().generate("hello", max_tokens=20))
            assert steps[-1].digest == expected[-1].digest
        answer = console.generate("hello")
        next(answer)
        answer.close()
        assert console.info().model.name == "story"
