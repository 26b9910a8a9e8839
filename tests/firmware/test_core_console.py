"""Lines typed on the console."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.core import Out, block, ffi, lib


def read(line: bytes) -> tuple[Any, str]:
    """The command, or None; and the error's line."""
    buffer, error, command = block(line + b"\xff"), Out(160), ffi.new("console_command *")
    read.keep = buffer  # type: ignore[attr-defined]
    defect = lib.fw_console_read(command, buffer, len(line), error.text)
    assert bool(defect) == bool(error.bytes)
    return None if defect else command, error.bytes.decode()


def fields(line: bytes) -> Any:
    command, error = read(line)
    assert not error, error
    return command


def text_of(command: Any) -> bytes:
    assert command.text[command.text_bytes] == b"\0"
    return bytes(ffi.buffer(command.text, command.text_bytes))


@pytest.mark.parametrize(
    ("line", "verb"),
    [
        (b"", "NOTHING"),
        (b" \t ", "NOTHING"),
        (b"models", "MODELS"),
        (b"  status \r", "STATUS"),
        (b"selftest", "SELFTEST"),
        (b"restart", "RESTART"),
        (b"set", "SHOW"),
        (b"wifi", "WIFI"),
        (b"wifi forget", "WIFI_FORGET"),
        (b"token", "TOKEN"),
        (b"token new", "TOKEN_NEW"),
        (b"help", "HELP"),
    ],
)
def test_commands_without_more(line: bytes, verb: str) -> None:
    assert fields(line).verb == getattr(lib, f"CONSOLE_{verb}")


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"ask how do i open the gate?", b"how do i open the gate?"),
        (b'ask   say "hi  there" ', b'say "hi  there"'),
        ('ask Größe "'.encode(), 'Größe "'.encode()),
        (b"ask \xff\xfe", b"\xff\xfe"),
    ],
)
def test_a_question_is_taken_as_it_stands(line: bytes, text: bytes) -> None:
    command = fields(line)
    assert (command.verb, text_of(command)) == (lib.CONSOLE_ASK, text)


def test_commands_with_words() -> None:
    load = fields(b"load gate.bin")
    assert (load.verb, text_of(load)) == (lib.CONSOLE_LOAD, b"gate.bin")
    assert text_of(fields(b"help load")) == b"load"
    chosen = fields(b"set top_p 0.5")
    name = ffi.string(lib.fw_option_name(chosen.option))
    assert (chosen.verb, name, chosen.value.value) == (lib.CONSOLE_SET, b"top_p", 0.5)
    assert fields(b"bench").number == lib.CONSOLE_BENCH_TOKENS
    assert fields(b"bench 500").number == 500


@pytest.mark.parametrize(
    ("line", "ssid", "password"),
    [
        (b"wifi join home 12345678", b"home", b"12345678"),
        (b'wifi join "my  home" "pass word"', b"my  home", b"pass word"),
        (b'wifi join open ""', b"open", b""),
        (b"wifi join open", b"open", b""),
    ],
)
def test_networks(line: bytes, ssid: bytes, password: bytes) -> None:
    command = fields(line)
    assert command.verb == lib.CONSOLE_WIFI_JOIN
    assert (text_of(command), bytes(ffi.buffer(command.password, command.password_bytes))) == (ssid, password)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"hello", "no such command; `help` lists them, `ask TEXT` asks the model"),
        (b"ASK x", "no such command; `help` lists them, `ask TEXT` asks the model"),
        (b'"', "no such command; `help` lists them, `ask TEXT` asks the model"),
        (b"ask ", "usage: ask TEXT"),
        (b"load", "usage: load NAME"),
        (b"load a b", "usage: load NAME"),
        (b"models all", "usage: models"),
        (b"set temperature", "usage: set [NAME VALUE]"),
        (b"set a b c d e f", "usage: set [NAME VALUE]"),
        (b"set heat 1", "set: no default has the name 'heat'; `set` alone lists them"),
        (b"set temperature 101", "set: temperature must be 0 to 100"),
        (b"set temperature warm", "set: temperature must be 0 to 100"),
        (b"set top_k 1.5", "set: top_k must be 0 to 4294967295"),
        (b"wifi home", "usage: wifi [join NAME [PASSWORD] | forget]"),
        (b"wifi join", "usage: wifi [join NAME [PASSWORD] | forget]"),
        (b'wifi join "" x', "usage: wifi [join NAME [PASSWORD] | forget]"),
        (b"wifi forget it", "usage: wifi [join NAME [PASSWORD] | forget]"),
        (b"wifi join home short", "wifi: password must be empty, 8 to 63 bytes, or 64 hex digits"),
        (b'wifi join "home', "a quote has no end"),
        (b"token old", "usage: token [new]"),
        (b"bench 0", "usage: bench [TOKENS]"),
        (b"bench 1e3", "usage: bench [TOKENS]"),
        (b"bench many", "usage: bench [TOKENS]"),
        (b"bench 65536", "usage: bench [TOKENS]"),
    ],
)
def test_each_defect_has_one_line_that_helps(line: bytes, error: str) -> None:
    assert read(line) == (None, error)


def test_help_knows_every_command() -> None:
    index = 0
    while (usage := lib.fw_console_usage(index)) != ffi.NULL:
        word = ffi.string(usage).split()[0]
        assert lib.fw_console_find(word, len(word)) == index
        assert ffi.string(lib.fw_console_description(index))
        index += 1
    assert index > 5
    assert lib.fw_console_description(index) == ffi.NULL
    assert lib.fw_console_find(b"nothing", 7) == -1


@given(
    st.lists(st.sampled_from([b"ask", b"set", b"wifi", b"join", b" ", b'"', b"a", b"\0", b"1", b"\xc3"]), max_size=9)
)
def test_any_line_is_a_command_or_an_error(pieces: list[bytes]) -> None:
    read(b"".join(pieces))
