"""The board's messages of the chat protocol (docs/PROTOCOL.md) that a host uses. Other fields are ignored."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{8}$")]


class Queued(msgspec.Struct, tag_field="type", tag="queued"):
    id: int
    ahead: int


class Token(msgspec.Struct, tag_field="type", tag="token"):
    id: int
    text: str


class Done(msgspec.Struct, tag_field="type", tag="done"):
    id: int
    reason: Literal["end", "stop", "length", "context", "cancelled", "refused"]
    tokens: int
    prompt_tokens: int
    digest: Hex
    command: str | None = None
    confidence: float = 0.0
    from_memory: bool = False


class Failure(msgspec.Struct, tag_field="type", tag="error"):
    id: int | None
    message: str


class StoredModel(msgspec.Struct):
    name: str
    title: str | None
    bytes: int
    crc32: Hex
    selftest: Literal["passed", "failed", "absent"]


class Limits(msgspec.Struct):
    message_bytes: int


class Info(msgspec.Struct, tag_field="type", tag="info"):
    version: str
    model: StoredModel | None
    limits: Limits
    uptime_s: int


Message = Queued | Token | Done | Failure | Info

decode = msgspec.json.Decoder(Message).decode
