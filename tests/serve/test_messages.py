"""Anything that a client sends is either a message or refused."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from shrew.serve.message import GENERATE, client_message, decode, message_id, require_unique
from shrew.serve.refusal import Refusal


def read(data: bytes) -> tuple[str, dict[str, Any]] | str:
    """A message, or the code of its refusal."""
    try:
        message = decode(data)
        message_id(message)
        require_unique(data)
        return client_message(message)
    except Refusal as refusal:
        return refusal.code


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"[" * 60_000)
@example(b'{"a":' * 10_000)
@example(b'{"type": ' + b"9" * 5000 + b"}")
def test_bytes(data: bytes) -> None:
    assert read(data) in ("json", "message")


@given(st.dictionaries(st.sampled_from(list(GENERATE)), values))
def test_values_of_any_kind(fields: dict[str, Any]) -> None:
    data = json.dumps({"type": "generate", "id": 1, "prompt": "x", **fields}).encode()
    found = read(data)
    assert found in ("json", "message", "value") or found == ("generate", {"id": 1, "prompt": "x", **fields})


@given(st.integers(900, 1100))
def test_depth(depth: int) -> None:
    """At no depth do two readers of the same bytes disagree with a crash."""
    assert read(b'{"type": "info", "x": ' + b"[" * depth + b"]" * depth + b"}") in ("json", "message")
