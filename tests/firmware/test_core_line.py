"""What a terminal shows while lines are typed and messages arrive: keys in, a transcript out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.core import ffi, lib

LIMIT = lib.LINE_BYTES


class Terminal:
    """The console's loop: the lines that it would execute, and the contents of the terminal."""

    def __init__(self, *, echoes: bool = True) -> None:
        self.typed = ffi.new("line *", {"echoes": echoes})
        self.shown = ""
        self.lines: list[bytes] = []
        self._prompt()

    def _show(self, what: object) -> None:
        self.shown += ffi.string(what).decode("latin1")

    def _prompt(self) -> None:
        self._show(lib.fw_line_prompt(self.typed))

    def message(self, text: str = "{}") -> None:
        self._show(lib.fw_line_before_message(self.typed))
        self.shown += text + "\n"

    def type(self, keys: bytes) -> None:
        echo = ffi.new("char[]", lib.LINE_ECHO_BYTES)
        for key in keys:
            if key == 3:
                lib.fw_line_clear(self.typed)
                continue
            ended = lib.fw_line_take(self.typed, key, echo)
            self._show(echo)
            if ended:
                self._obey()

    def _obey(self) -> None:
        assert self.typed.bytes[self.typed.count] == b"\0"
        line = bytes(ffi.buffer(self.typed.bytes, self.typed.count))
        self.lines.append(b"too long" if self.typed.is_too_long else line)
        if lib.fw_line_is_message(self.typed):
            self.message()
        else:
            self._show(lib.fw_line_newline(self.typed))
            self._prompt()
        lib.fw_line_clear(self.typed)


def typed(keys: bytes) -> list[bytes]:
    terminal = Terminal()
    terminal.type(keys)
    return terminal.lines


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (b"models\nstatus\n", [b"models", b"status"]),
        (b"models\r\nstatus\rset\n", [b"models", b"status", b"set"]),
        (b"\n\n", [b"", b""]),
        (b"modek\x08ls\n", [b"models"]),
        (b"\x7fa\x7f\x7fb\n", [b"b"]),
        ("aß\x7fc\n".encode(), [b"ac"]),
        (b"a\x01\x1b\tb\n", [b"a\tb"]),
        (b"mod\x03status\n", [b"status"]),
    ],
)
def test_lines(keys: bytes, lines: list[bytes]) -> None:
    assert typed(keys) == lines


def test_a_line_may_be_as_long_as_a_message_and_no_longer() -> None:
    fits = b"x" * LIMIT
    assert typed(fits + b"\n" + fits + b"y\nstatus\n") == [fits, b"too long", b"status"]
    assert typed(fits + b"\x01\n") == [fits]


def test_ctrl_c_forgets_that_a_line_was_too_long() -> None:
    assert typed(b"x" * (LIMIT + 1) + b"\x03status\n") == [b"status"]


def test_a_message_that_is_too_long_is_still_a_message() -> None:
    terminal = Terminal()
    terminal.type(b"{" + b"x" * LIMIT + b"\n")
    assert (terminal.lines, terminal.shown) == ([b"too long"], "> \n{}\n")


def test_people_see_what_they_type_and_programs_do_not() -> None:
    terminal = Terminal()
    terminal.type(b"modek\x08ls\n")
    assert terminal.shown == "> modek\b \bls\n> "
    terminal.type(b'{"type": "info"}\n{}\n')
    terminal.message("{token}")
    assert terminal.shown == "> modek\b \bls\n> \n{}\n{}\n{token}\n"


def test_a_terminal_that_shows_its_keys_itself_gets_neither_echo_nor_prompt() -> None:
    terminal = Terminal(echoes=False)
    terminal.type(b"models\n{}\n")
    terminal.message("{token}")
    assert terminal.shown == "{}\n{token}\n"


@given(st.lists(st.sampled_from([b"a", b"{", b"\n", b"\r", b"\x08", b"\x03", b"\xc3", "message"])))
def test_a_message_begins_a_line_whatever_was_typed(events: list[bytes | str]) -> None:
    terminal = Terminal()
    for event in events:
        if isinstance(event, bytes):
            terminal.type(event)
        else:
            terminal.message()
            assert terminal.shown == "{}\n" or terminal.shown.endswith("\n{}\n")
