"""An emulated console of the firmware, as seen by a host. The model in its slots answers from a script."""

from __future__ import annotations

import json
import re
from typing import Any

from board.emulated import Flash, message

from shrew.board.partitions import TABLE_BYTES, TABLE_OFFSET, parse_table
from shrew.board.slots import HEADER_BYTES, Record, slots_of, unpack_header


class Firmware:
    """Called with a line, returns lines. ``replies`` are texts by prompt. The answer to the prompt ``wait`` continues
    until it is cancelled.
    """

    def __init__(self, flash: Flash, replies: dict[str, str] | None = None, keeps_to: str = "") -> None:
        self._flash = flash
        self._replies = replies or {}
        self.loaded = keeps_to
        """The name of the model that it was last told to load."""
        self.asked: list[dict[str, Any]] = []
        self.cancelled: list[int] = []
        self.lines: list[str] = []

    def records(self) -> list[Record]:
        flash = self._flash.bytes
        slots = slots_of(parse_table(bytes(flash[TABLE_OFFSET : TABLE_OFFSET + TABLE_BYTES]), "the test"))
        headers = [(slot, bytes(flash[slot.partition.offset :][:HEADER_BYTES])) for slot in slots]
        found = [unpack_header(header, slot.room) for slot, header in headers]
        return sorted((record for record in found if record), key=lambda record: -record.sequence)

    def active(self) -> Record | None:
        records = self.records()
        return next((record for record in records if record.name == self.loaded), records[0] if records else None)

    def __call__(self, line: str) -> list[str]:
        if line.startswith("{"):
            return [message(**answer) for answer in self._message(json.loads(line))]
        self.lines.append(line)
        return [f"> {line}", *self._command(line)]

    def _command(self, line: str) -> list[str]:
        if line.startswith("load "):
            self.loaded = line.removeprefix("load ")
            return [f"model    {self.loaded}"]
        if line == "status":
            return ["shrew 0.1.0 on esp32s3", "\x1b[0;32mspeed    12.0 tokens/s\x1b[0m"]
        return [f"no such command: {line}"]

    def _message(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        if asked["type"] == "info":
            return [self.info()]
        if asked["type"] == "cancel":
            self.cancelled.append(asked["id"])
            return [self._done(asked["id"], "cancelled", 1)]
        if "prompt" not in asked:
            return [{"type": "error", "id": asked["id"], "code": "message", "message": "prompt is missing"}]
        self.asked.append(asked)
        prompt = asked["prompt"]
        if prompt == "wait":
            return [{"type": "token", "id": asked["id"], "text": "once"}]
        if prompt not in self._replies:
            return [{"type": "error", "id": asked["id"], "code": "prompt", "message": "a character has no token"}]
        words = re.findall(r"\S+\s*", self._replies[prompt])
        tokens = [{"type": "token", "id": asked["id"], "text": word} for word in words]
        return [*tokens, self._done(asked["id"], "end", len(words))]

    def _done(self, id_: int, reason: str, tokens: int) -> dict[str, Any]:
        rates = {"tok_per_s": 12.5, "prompt_tok_per_s": 80.0}
        counts = {"tokens": tokens, "prompt_tokens": 3, "digest": "0badcafe", "seed": 1}
        return {"type": "done", "id": id_, "reason": reason, **counts, **rates}

    def info(self) -> dict[str, Any]:
        active = self.active()
        model = None
        if active:
            crc32 = f"{active.crc32:08x}"
            model = {"name": active.name, "title": None, "bytes": active.bytes, "crc32": crc32, "selftest": "passed"}
        return {"type": "info", "version": "0.1.0", "model": model, "limits": {"message_bytes": 4096}, "uptime_s": 500}
