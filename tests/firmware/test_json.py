"""The firmware's JSON, compared with Python's in a strict mode."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware.core import Out, block, ffi, lib

CHARACTERS = st.characters(codec="utf-8")
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e300, 1e300) | st.text(CHARACTERS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(CHARACTERS), inner, max_size=4)
)
OBJECTS = st.dictionaries(st.text(CHARACTERS, max_size=6), VALUES, max_size=5)


def string(found: Any) -> str:
    assert found.bytes[found.count] == b"\0"
    return bytes(ffi.buffer(found.bytes, found.count)).decode()


def walk(reader: Any) -> Any:
    """The next value of a reader, read with only the public interface."""
    kind = lib.fw_json_kind_of(reader)
    if kind == lib.JSON_OBJECT:
        members, name = {}, ffi.new("json_string *")
        lib.fw_json_enter(reader)
        while lib.fw_json_member(reader, name):
            key = string(name)
            members[key] = walk(reader)
        return members
    if kind == lib.JSON_ARRAY:
        elements = []
        lib.fw_json_enter(reader)
        while lib.fw_json_element(reader):
            elements.append(walk(reader))
        return elements
    if kind == lib.JSON_STRING:
        return string(lib.fw_json_read_string(reader))
    if kind == lib.JSON_NUMBER:
        number = lib.fw_json_read_number(reader)
        if number.is_integer and number.integer < 2**64 - 1:
            return -number.integer if number.is_negative else number.integer
        return number.value
    lib.fw_json_skip(reader)
    return {lib.JSON_NULL: None, lib.JSON_FALSE: False, lib.JSON_TRUE: True}[kind]


def read(text: bytes) -> Any:
    """None where the core refuses it."""
    buffer = block(text)
    if not lib.fw_json_check(buffer, len(text)):
        return None
    skipped = ffi.new("json_reader *", lib.fw_json_read(buffer))
    lib.fw_json_skip(skipped)
    assert text[skipped.at - buffer :].strip(b" \t\r\n") == b""
    return walk(ffi.new("json_reader *", lib.fw_json_read(buffer)))


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def has_surrogate(value: Any) -> bool:
    if isinstance(value, str):
        return any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(has_surrogate(key) or has_surrogate(inner) for key, inner in value.items())
    return isinstance(value, list) and any(map(has_surrogate, value))


def expected(text: bytes) -> Any:
    """What Python reads, or None where the core must refuse."""

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        value = json.loads(text.decode(), parse_constant=no_constant)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and depth(value) <= lib.JSON_DEPTH and not has_surrogate(value) else None


@given(OBJECTS, st.booleans(), st.sampled_from([None, 0, 1, "\t"]))
def test_reads_what_python_writes(value: dict[str, Any], ascii_only: bool, indent: Any) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    if depth(value) <= lib.JSON_DEPTH:
        assert same(read(text), value)
    else:
        assert read(text) is None


def same(a: Any, b: Any) -> bool:
    """Equal; floats, which may be of any size here, nearly."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float) and isinstance(b, int | float):  # Python's integers have no bound
        return bool(a == b or math.isclose(a, b, rel_tol=1e-13, abs_tol=1e-300))
    return bool(a == b and type(a) is type(b))


PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b'""', b'"a"', b'{"a":', b" ", b"\n", b"\t", b"\0", b"\x1f", b"\x7f"),
    *(b"null", b"true", b"false", b"nul", b"NaN", b"Infinity", b"-", b"0", b"1", b".", b"e", b"E+", b"-0.0", b"01"),
    *(b"\\", b"\\u", b"\\u12", b"\\u0041", b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00", b"\\n", b"\\x", b"\\/", b'\\"'),
    *("é".encode(), "😀".encode(), b"\xc3", b"\xa9", b"\xed\xa0\x80", b"\xf5", b"\xc0\x80", b"\xef\xbb\xbf"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
@example(b"{}")
@example(b"")
@example(b'{"a":1}{}')
@example(b'{"a":1,}')
@example(b'{,"a":1}')
@example(b'{"a":[1,]}')
@example(b'{"a" 1}')
@example(b'{"a":1}\0')
@example(b'{"a":"\\ud83d\\ude00\\ud83d"}')
@example(b'{"a":' * 16 + b"1" + b"}" * 16)
@example(b'{"a":' * 17 + b"1" + b"}" * 17)
@example(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}")
def test_accepts_exactly_what_python_accepts(text: bytes) -> None:
    for whole in (text, b'{"a":' + text + b"}", b'{"a":"' + text + b'"}', b'{"a":[' + text + b"]}"):
        assert (read(whole) is None) == (expected(whole) is None), whole
        if expected(whole) is not None:
            assert same(read(whole), expected(whole))


@given(OBJECTS, st.data())
def test_a_changed_byte_is_seen_as_python_sees_it(value: dict[str, Any], data: st.DataObject) -> None:
    text = bytearray(json.dumps(value, ensure_ascii=False).encode())
    text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    assert (read(bytes(text)) is None) == (expected(bytes(text)) is None)


def decimal(text: str) -> Any:
    number = ffi.new("decimal *")
    buffer = block(text.encode())
    assert lib.fw_decimal_read(buffer, len(text), number) == len(text)
    return number


@given(st.floats(1e-2, 1e18) | st.floats(-100, 100).filter(lambda value: abs(value) > 1e-2))
def test_a_number_as_any_program_prints_it_is_read_exactly(value: float) -> None:
    text = repr(value)
    if "e" not in text:
        assert decimal(text).value == value


@given(st.floats(width=32, min_value=0, allow_infinity=False))
def test_an_option_written_as_a_double_becomes_the_same_float_on_every_machine(value: float) -> None:
    assert struct.pack("f", decimal(repr(value)).value) == struct.pack("f", value)


@pytest.mark.parametrize("text", ["0", "-0", "5e-324", "1e999", "-1e999", "1e-999", "1" * 400, "0." + "0" * 400 + "1"])
def test_numbers_beyond_all_bounds(text: str) -> None:
    assert decimal(text).value == pytest.approx(float(text), rel=1e-15, abs=1e-300)


@pytest.mark.parametrize(
    ("text", "integer"),
    [("18446744073709551614", 2**64 - 2), ("18446744073709551616", 2**64 - 1), ("9" * 40, 2**64 - 1)],
)
def test_integers_stop_at_the_largest(text: str, integer: int) -> None:
    assert decimal(text).is_integer
    assert decimal(text).integer == integer


# ---- Writing ---------------------------------------------------------------------------------------------------------


def write(out: Out, value: Any) -> None:
    text = out.text
    if isinstance(value, dict):
        lib.fw_json_open(text, b"{")
        for name, inner in value.items():
            lib.fw_json_name(text, name.encode())
            write(out, inner)
        lib.fw_json_close(text, b"}")
    elif isinstance(value, list):
        lib.fw_json_open(text, b"[")
        for inner in value:
            write(out, inner)
        lib.fw_json_close(text, b"]")
    elif isinstance(value, str):
        lib.fw_json_write_text(text, value.encode(), len(value.encode()))
    elif isinstance(value, bool):
        lib.fw_json_write_boolean(text, value)
    elif isinstance(value, int):
        lib.fw_json_write_integer(text, value)
    elif isinstance(value, float):
        lib.fw_json_write_number(text, value)
    else:
        lib.fw_json_write_null(text)


WRITABLE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32, allow_nan=False, allow_infinity=False)
    | st.text(CHARACTERS),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(CHARACTERS).filter(lambda name: "\0" not in name), inner, max_size=4)
    ),
)


def as_floats(value: Any) -> Any:
    """With each float as Python would round it to 32 bits."""
    if isinstance(value, dict):
        return {name: as_floats(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [as_floats(inner) for inner in value]
    return struct.unpack("f", struct.pack("f", value))[0] if isinstance(value, float) else value


@given(WRITABLE)
def test_python_reads_what_the_core_writes(value: Any) -> None:
    out = Out()
    write(out, value)
    assert as_floats(json.loads(out.bytes)) == value


@given(WRITABLE, st.integers(1, 60))
def test_what_does_not_fit_says_so(value: Any, capacity: int) -> None:
    roomy, tight = Out(), Out(capacity)
    write(roomy, value)
    write(tight, value)
    assert bool(tight.text.full) == (len(roomy.bytes) >= capacity)
    if not tight.text.full:
        assert tight.bytes == roomy.bytes


@given(st.binary(max_size=40))
def test_bytes_that_are_no_text_become_replacement_characters(data: bytes) -> None:
    out = Out()
    lib.fw_json_write_text(out.text, data, len(data))
    written = json.loads(out.bytes.decode())
    assert [c for c in written if c != "�"] == [c for c in data.decode(errors="replace") if c != "�"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7, "0.7"),
        (1, "1"),
        (0.01, "0.01"),
        (100, "100"),
        (1e-7, "1e-7"),
        (3.4e38, "3.4e38"),
        (12.34, "12.34"),
        (0, "0"),
    ],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    out = Out()
    lib.fw_json_write_number(out.text, value)
    assert out.bytes.decode() == text


def test_what_is_not_finite_is_null() -> None:
    for value in (math.inf, -math.inf, math.nan):
        out = Out()
        lib.fw_json_write_number(out.text, value)
        assert out.bytes == b"null"
