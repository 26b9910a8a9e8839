"""Messages from clients: JSON objects whose fields are known, of the right kind and in range."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from shrew.engine import SAMPLING_OPTIONS, Sampling
from shrew.serve.refusal import Refusal

MAX_SEED: Final = 2**53 - 1
MAX_ID: Final = 2**32 - 1


@dataclass(frozen=True)
class Field:
    """The type of a value: text, a boolean, an integer or a number, from ``low`` to ``high``."""

    kind: type[str] | type[bool] | type[int] | type[float]
    low: float = 0
    high: float = 0
    above_low: bool = False

    def check(self, name: str, value: object) -> Any:
        if type(value) is not self.kind and not (self.kind is float and type(value) is int):
            names = {str: "text", bool: "true or false", int: "an integer", float: "a number"}
            raise Refusal("message", f"{name} must be {names[self.kind]}")
        if isinstance(value, str | bool):
            return value
        assert isinstance(value, int | float)
        if not self.low <= value <= self.high or (self.above_low and value == self.low):
            bounds = f"above {self.low:.9g} and at most" if self.above_low else f"{self.low:.9g} to"
            raise Refusal("value", f"{name} must be {bounds} {self.high:.16g}")
        return value


SAMPLING: Final[Mapping[str, Field]] = {
    name: Field(option.kind, option.low, option.high, option.above_low) for name, option in SAMPLING_OPTIONS.items()
}
MAX_TOKENS: Final = Field(int, 1, 0xFFFF)
SEED: Final = Field(int, 0, MAX_SEED)
ID: Final = Field(int, 0, MAX_ID)

GENERATE: Final = {
    "id": ID,
    "prompt": Field(str),
    **SAMPLING,
    "max_tokens": MAX_TOKENS,
    "seed": SEED,
    "raw": Field(bool),
}
DEFAULTS: Final = {**SAMPLING, "max_tokens": Field(int, 0, 0xFFFF)}

#: The messages of the WebSocket: their fields, and how many of them are required; these come first.
MESSAGES: Final = {"generate": (GENERATE, 2), "cancel": ({"id": ID}, 1), "info": ({}, 0)}


def decode(data: bytes) -> dict[str, Any]:
    """Parses one JSON object. Refusal if it is malformed."""
    try:
        message = msgspec.json.decode(data)  # stricter than json: no NaN, no lone surrogates
    except (msgspec.DecodeError, RecursionError) as error:
        raise Refusal("json", f"not JSON: {error}") from None
    if not isinstance(message, dict):
        raise Refusal("json", "not a JSON object")
    return message


def require_unique(data: bytes) -> None:
    """Refuses JSON with repeated fields, of which some readers take the first and others the last."""

    def check(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            raise Refusal("message", f"field {max(names, key=names.count)[:40]!r} occurs twice")

    try:
        json.loads(data, object_pairs_hook=check)
    except RecursionError:
        raise Refusal("json", "not JSON: nested too deeply") from None


def encode(message: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(message)


def checked(values: Mapping[str, Any], known: Mapping[str, Field], required: int = 0) -> dict[str, Any]:
    """Checks that all values are known, of the right kind and in range. Returns them, or raises a Refusal."""
    for name in list(known)[:required]:
        if name not in values:
            raise Refusal("message", f"{name} is missing")
    for name in values:
        if name not in known:
            raise Refusal("message", f"unknown field {name[:40]!r}")
    return {name: known[name].check(name, value) for name, value in values.items()}


def message_id(message: Mapping[str, Any]) -> int | None:
    """The id of a message that may otherwise be invalid."""
    value = message.get("id")
    return value if type(value) is int and 0 <= value <= MAX_ID else None


def client_message(message: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Type and checked fields of a client's message."""
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in MESSAGES:
        raise Refusal("message", f"type must be one of {', '.join(MESSAGES)}")
    known, required = MESSAGES[kind]
    return kind, checked({name: value for name, value in message.items() if name != "type"}, known, required)


@dataclass(frozen=True, kw_only=True)
class Defaults(Sampling):
    """Defaults of a request's options."""

    max_tokens: int = 0
    """0: as many as fit."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A complete request to the engine."""

    prompt: str
    raw: bool = False
    max_tokens: int = 0
    seed: int = 0
    stop: tuple[str, ...] = ()
    sampling: Sampling


def question(values: Mapping[str, Any], defaults: Defaults) -> Question:
    """Makes a question from checked fields. Missing options get their defaults, and a missing seed a random one."""
    sampling = {name: values.get(name, getattr(defaults, name)) for name in SAMPLING}
    return Question(
        prompt=values["prompt"],
        raw=values.get("raw", False),
        max_tokens=values.get("max_tokens", defaults.max_tokens),
        seed=values["seed"] if "seed" in values else secrets.randbits(32),
        stop=tuple(values.get("stop", ())),
        sampling=Sampling(**sampling),
    )
