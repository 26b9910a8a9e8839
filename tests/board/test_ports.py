"""Finding the port of a board."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from board.conftest import Run
from board.emulated import Board
from serial.tools import list_ports

from shrew.board.ports import choose, open_port
from shrew.errors import BoardError

S3 = SimpleNamespace(device="/dev/ttyACM0", vid=0x303A, product="USB JTAG/serial debug unit")
BRIDGE = SimpleNamespace(device="/dev/ttyUSB0", vid=0x10C4, product="CP2102N")
CLONE = SimpleNamespace(device="/dev/ttyUSB1", vid=0x1A86, product=None)
MODEM = SimpleNamespace(device="/dev/ttyS0", vid=None, product=None)
MOUSE = SimpleNamespace(device="/dev/ttyACM7", vid=0x046D, product="Mouse")


def plug(monkeypatch: pytest.MonkeyPatch, *ports: SimpleNamespace) -> None:
    monkeypatch.setattr(list_ports, "comports", lambda: list(ports))


def test_the_only_board_is_found_among_other_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, MODEM, MOUSE, CLONE)
    assert choose(None) == "/dev/ttyUSB1"


def test_several_boards_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, BRIDGE, MODEM, S3)
    with pytest.raises(BoardError) as error:
        choose(None)
    assert "--port: /dev/ttyACM0 (Espressif: USB JTAG/serial debug unit), /dev/ttyUSB0 (CP210x: CP2102N)" in str(
        error.value
    )


def test_no_board_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, MODEM, MOUSE)
    with pytest.raises(BoardError, match="no board is plugged in"):
        choose(None)


def test_a_port_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    plug(monkeypatch, S3)
    with pytest.raises(BoardError, match=r"/dev/ttyNONE: there is no such port; there is /dev/ttyACM0"):
        open_port("/dev/ttyNONE")


def test_a_port_that_is_in_use(board: Board) -> None:
    with open_port(board.device), pytest.raises(BoardError, match="another program uses this port"):
        open_port(board.device)


@pytest.mark.parametrize("command", [("flash", "MODEL"), ("monitor",), ("chat", "--port", "auto")])
def test_without_the_extra_the_line_says_how_to_install_it(
    command: tuple[str, ...], models: list[object], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("serial", "serial.tools", "esptool", "esptool.cmds"):
        monkeypatch.setitem(sys.modules, name, None)
    arguments = [models[0] if argument == "MODEL" else argument for argument in command]
    assert run(*arguments, code=1).endswith("python -m pip install 'shrew[board]'")
