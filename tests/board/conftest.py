"""A board with Shrew's partition table in its flash, models, and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from board.console import Firmware
from board.emulated import Board
from board.flashes import TABLE
from engine.models import random_image

from shrew.board.partitions import TABLE_OFFSET
from shrew.cli import main

pytest.importorskip("esptool", reason="the extra `board` is not installed")

Run = Callable[..., str]


@pytest.fixture
def board() -> Iterator[Board]:
    with Board() as board:
        board.flash.put(TABLE_OFFSET, TABLE)
        board.console = Firmware(board.flash)
        yield board


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = [folder / f"{name}.bin" for name in ("desk", "story", "lamp")]
    for seed, path in enumerate(paths):
        path.write_bytes(random_image(seed))
    return paths


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command in this process. Returns its standard output, or after a failure its one line on stderr."""

    def shrew(*arguments: object, code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["shrew", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capsys.readouterr()
        assert end.value.code == code, err
        if code == 0:
            return out
        lines = [line for line in err.splitlines() if line.startswith("shrew: ")]
        assert len(lines) == 1, err
        return lines[0]

    return shrew
