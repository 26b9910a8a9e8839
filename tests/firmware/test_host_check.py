"""Who may use a device over HTTP."""

from __future__ import annotations

import pytest

from firmware.core import ffi, lib

NAMES = [ffi.new("char[]", b"localhost"), ffi.new("char[]", b"shrew.local")]


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("localhost", True),
        ("LocalHost:8080", True),
        ("shrew.local", True),
        ("shrew.local:80", True),
        ("192.168.4.1", True),
        ("192.168.4.1:8080", True),
        ("[::1]", True),
        ("[fe80::1]:8080", True),
        (None, False),
        ("", False),
        (":80", False),
        ("evil.example", False),
        ("shrew.local.evil.example", False),
        ("shrew.local.", False),
        ("shrew.local:", False),
        ("shrew.local:8o", False),
        ("shrew.local:123456", False),
        ("shrew.local:80:80", False),
        ("192.168.4.1.evil.example", False),
        ("192.168.4.256", False),
        ("192.168.4", False),
        ("192.168.4.1.", False),
        ("1920.168.4.1", False),
        (".168.4.1", False),
        ("::1", False),
        ("[::1", False),
        ("[]", False),
        ("[evil.example]", False),
        ("[::1]x", False),
        ("a@localhost", False),
    ],
)
def test_a_host_is_an_address_or_a_name_of_the_server(host: str | None, allowed: bool) -> None:
    text = ffi.NULL if host is None else ffi.new("char[]", host.encode())
    assert bool(lib.fw_host_is_allowed(text, NAMES, len(NAMES))) == allowed


@pytest.mark.parametrize(
    ("origin", "host", "allowed"),
    [
        (None, "shrew.local", True),
        ("http://shrew.local", "shrew.local", True),
        ("http://SHREW.local:80", "shrew.local", True),
        ("http://shrew.local", "shrew.local:80", True),
        ("HTTP://192.168.4.1:8080", "192.168.4.1:8080", True),
        ("https://shrew.local", "shrew.local:443", True),
        ("https://shrew.local", "shrew.local", True),
        ("http://[::1]:80", "[::1]", True),
        ("http://shrew.local:8080", "shrew.local", False),
        ("http://shrew.local", "shrew.local:8080", False),
        ("http://evil.example", "shrew.local", False),
        ("http://shrew.local.evil.example", "shrew.local", False),
        ("http://shrew.local/", "shrew.local", False),
        ("http://user@shrew.local", "shrew.local", False),
        ("null", "shrew.local", False),
        ("", "shrew.local", False),
        ("http://", "shrew.local", False),
        ("ftp://shrew.local", "shrew.local", False),
        ("http://shrew.local", None, False),
    ],
)
def test_an_origin_is_the_server_itself(origin: str | None, host: str | None, allowed: bool) -> None:
    texts = [ffi.NULL if text is None else ffi.new("char[]", text.encode()) for text in (origin, host)]
    assert bool(lib.fw_origin_is_allowed(*texts)) == allowed


@pytest.mark.parametrize(
    ("header", "right"),
    [
        ("Bearer secret", True),
        ("bearer secret", True),
        ("Bearer Secret", False),
        ("Bearer secre", False),
        ("Bearer secretx", False),
        ("Bearer secretsecret", False),
        ("Bearer  secret", False),
        ("Bearer ", False),
        ("Basic secret", False),
        ("secret", False),
        ("", False),
        (None, False),
    ],
)
def test_the_token(header: str | None, right: bool) -> None:
    text = ffi.NULL if header is None else ffi.new("char[]", header.encode())
    assert bool(lib.fw_token_is_right(text, b"secret")) == right
    assert not lib.fw_token_is_right(text, b"")
