"""What a device keeps when it is switched off."""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import pytest
from firmware.test_protocol import options_of
from hypothesis import given
from hypothesis import strategies as st

from firmware.core import Error, block, code_name, ffi, lib
from shrew.engine import SAMPLING_OPTIONS

FIRST = {"temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1, "max_tokens": 0}


def made(random: bytes = bytes(range(32))) -> Any:
    settings = ffi.new("settings *")
    lib.fw_settings_make(settings, random)
    return settings


def change(settings: Any, body: Any, call: str = "fw_settings_change") -> tuple[str, str]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    error = Error()
    code = code_name(getattr(lib, call)(settings, block(data), len(data), error.struct))
    return code, error.line if code != "ok" else ""


def join(settings: Any, ssid: str, password: str) -> str:
    return change(settings, {"ssid": ssid, "password": password}, "fw_settings_change_wifi")[0]


def strings_of(settings: Any) -> list[bytes]:
    names = ("token", "password", "ssid", "wifi_password", "model")
    return [ffi.string(getattr(settings, name)) for name in names]


def pack(settings: Any) -> bytes:
    packed = ffi.new("uint8_t[]", lib.SETTINGS_PACKED_BYTES)
    lib.fw_settings_pack(settings, packed)
    return bytes(ffi.buffer(packed))


def unpack(data: bytes) -> Any:
    settings = made(b"\7" * 32)
    return settings if lib.fw_settings_unpack(settings, block(data), len(data)) else None


@given(st.binary(min_size=32, max_size=32))
def test_a_first_boot_makes_secrets_that_people_can_read(random: bytes) -> None:
    settings = made(random)
    assert options_of(settings.defaults) == FIRST
    token, password, *others = strings_of(settings)
    assert (len(token), len(password), others) == (20, 12, [b""] * 3)
    assert (token + password).isalnum()
    assert not set(token + password) & set(b"lo01")


def test_each_of_five_random_bits_counts() -> None:
    secret = ffi.new("char[]", 33)
    lib.fw_settings_make_secret(secret, bytes(range(32)), 32)
    assert len(set(ffi.string(secret))) == 32


def test_settings_outlive_the_power() -> None:
    settings = made()
    assert change(settings, {"temperature": 0.7, "top_k": 2**32 - 1, "max_tokens": 12})[0] == "ok"
    assert join(settings, "Café €", "x" * 63) == "ok"
    settings.model = b"m" * 32
    read = unpack(pack(settings))
    assert strings_of(read) == strings_of(settings)
    assert options_of(read.defaults) == options_of(settings.defaults)
    assert pack(read) == pack(settings)


def with_checksum(data: bytes) -> bytes:
    return data[:-4] + struct.pack("<I", zlib.crc32(data[:-4]))


def test_what_is_damaged_or_of_another_version_or_out_of_range_is_not_taken() -> None:
    data = pack(made())
    assert unpack(data) is not None
    assert unpack(with_checksum(data)) is not None
    for at in range(len(data)):
        assert unpack(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]) is None
    assert unpack(data[:-1]) is None
    assert unpack(b"") is None
    for at, field in ((0, struct.pack("<I", 2)), (4, struct.pack("<f", 101)), (4, struct.pack("<f", float("nan")))):
        assert unpack(with_checksum(data[:at] + field + data[at + 4 :])) is None
    for at, field in ((8, bytes(4)), (24, struct.pack("<I", 65536)), (28, bytes(21)), (48, b"x"), (61, b"x" * 33)):
        assert unpack(with_checksum(data[:at] + field + data[at + len(field) :])) is None


def test_options_that_only_older_or_newer_firmware_knows() -> None:
    settings = made()
    values = {name: o.high if o.high > o.usual else (o.low + o.high) / 2 for name, o in SAMPLING_OPTIONS.items()}
    assert change(settings, values)[0] == "ok"
    data = pack(settings)
    read = unpack(data)
    assert bytes(ffi.buffer(ffi.addressof(read.defaults))) == bytes(ffi.buffer(ffi.addressof(settings.defaults)))
    end = 196 + 4 * data[193]
    newer = data[:193] + bytes([data[193] + 2]) + data[194:end] + struct.pack("<fI", 0.5, 7) + data[end + 8 :]
    assert pack(unpack(with_checksum(newer))) == data
    first, older = pack(made()), data[:193] + bytes(59) + data[252:]
    assert pack(unpack(with_checksum(older)))[:252] == data[:193] + first[193:252]


def test_defaults_change_all_or_none() -> None:
    settings = made()
    assert change(settings, {}) == ("ok", "")
    assert change(settings, {"max_tokens": 0, "top_p": 0.5}) == ("ok", "")
    assert options_of(settings.defaults) == {**FIRST, "top_p": 0.5}
    for body, code, line in (
        (b"[1]", "json", "not one JSON object"),
        ({"top_p": 0.25, "temperature": 101}, "value", "temperature must be 0 to 100"),
        ({"top_p": 0.25, "seed": 5}, "message", "unknown field 'seed'"),
        ({"top_p": None}, "message", "top_p must be a number"),
        ({"max_tokens": 65536}, "value", "max_tokens must be 0 to 65535"),
        (b'{"top_p":0.25,"top_p":0.5}', "message", "field 'top_p' is there twice"),
    ):
        assert change(settings, body) == (code, line)
        assert options_of(settings.defaults) == {**FIRST, "top_p": 0.5}


@pytest.mark.parametrize(
    ("ssid", "password", "code"),
    [
        ("home", "", "ok"),
        ("home", "12345678", "ok"),
        ("home", "1234567", "value"),
        ("home", "x" * 63, "ok"),
        ("home", "x" * 64, "value"),
        ("home", "0aF" * 21 + "f", "ok"),
        ("home", "a" * 65, "value"),
        ("€" * 10 + "ab", "12345678", "ok"),
        ("€" * 11, "12345678", "value"),
        ("ho\0me", "12345678", "value"),
        ("home", "1234\x005678", "value"),
    ],
)
def test_networks_to_join(ssid: str, password: str, code: str) -> None:
    settings = made()
    assert join(settings, ssid, password) == code
    kept = strings_of(settings)[2:4]
    assert kept == ([ssid.encode(), password.encode()] if code == "ok" else [b"", b""])


def test_an_empty_name_forgets_the_network() -> None:
    settings = made()
    join(settings, "home", "12345678")
    assert change(settings, {"ssid": ""}, "fw_settings_change_wifi") == ("message", "password must be there, as text")
    assert change(settings, {"ssid": "", "password": "", "key": 1}, "fw_settings_change_wifi")[0] == "message"
    assert (
        change(settings, {"ssid": "x", "top_p": 1}, "fw_settings_change_wifi")[1]
        == "field 'top_p' does not belong here"
    )
    assert strings_of(settings)[2] == b"home"
    assert join(settings, "", "12345678") == "ok"
    assert strings_of(settings)[2:4] == [b"", b""]
