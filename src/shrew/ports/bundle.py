"""Bundles of jobs in the layout of ports/jobs.h, and the lines that ports print."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

import msgspec

from shrew.engine.session import CACHES
from shrew.errors import PortError

Mode = Literal["tokens", "score", "text", "selftest"]

#: In the order of ``job_mode`` in jobs.h.
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

MAGIC: Final = 0x424A4853
_HEADER: Final = struct.Struct("<4I")
_JOB: Final = struct.Struct("<19I4f36x")


class Job(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One job, with the fields of jobs.h. ``prompt`` is token ids, or text if the mode is "text".

    ``unit`` is a ``shrew_unit``: 0 the fastest, 1 the reference.
    """

    image: bytes = b""
    mode: Mode = "tokens"
    prompt: list[int] | str = msgspec.field(default_factory=list)
    tokens: int = 0
    context: int = 0
    block: int = 0
    draft: int = 0
    cache: Literal["auto", "f32", "int8"] = "auto"
    unit: int = 0
    workers: int = 0
    seed: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    raw: bool = False
    stops: list[str] = msgspec.field(default_factory=list)
    trace: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a traced job: it began at ``position``, fed ``tokens`` and chose ``next`` (65535: none)."""

    position: int
    tokens: int
    next: int
    logits_digest: str
    instructions: int | None


@dataclass(slots=True)
class Outcome:
    """The result of a job: its last line, which is the same on every target, and for a traced job its cost."""

    result: dict[str, int | str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    session_bytes: int | None = None
    stack_bytes: int | None = None


def make_bundle(jobs: Sequence[Job]) -> bytes:
    """Makes a bundle of jobs. Data that several share, such as an image, is stored once."""
    content = bytearray(_HEADER.size + _JOB.size * len(jobs))
    places: dict[bytes, int] = {}

    def place(blob: bytes) -> tuple[int, int]:
        if blob not in places:
            content.extend(bytes(-len(content) % 16))
            places[blob] = len(content)
            content.extend(blob)
        return places[blob], len(blob)

    for index, job in enumerate(jobs):
        text = job.prompt.encode() if isinstance(job.prompt, str) else struct.pack(f"<{len(job.prompt)}H", *job.prompt)
        stops = b"".join(stop.encode() + b"\0" for stop in job.stops)
        record = _JOB.pack(
            *(MODES.index(job.mode), job.trace, *place(job.image), *place(text), *place(stops), job.raw, job.tokens),
            *(job.context, job.block, job.draft, CACHES[job.cache], job.unit, job.workers),
            *(job.seed & 0xFFFFFFFF, job.seed >> 32, job.top_k),
            *(job.temperature, job.top_p, job.min_p, job.repetition_penalty),
        )
        start = _HEADER.size + _JOB.size * index
        content[start : start + _JOB.size] = record
    _HEADER.pack_into(content, 0, MAGIC, len(jobs), len(content), 0)
    return bytes(content)


def parse_lines(lines: Iterable[str]) -> list[Outcome]:
    """Parses a port's lines to one outcome per job. PortError if it did not finish, with what it printed instead."""
    outcomes: list[Outcome] = []
    last = "nothing"
    for line in lines:
        last, words = line, line.split()
        match words:
            case ["job", index, "step", position, *rest]:
                step = _fields(rest)
                _at(outcomes, index).steps.append(
                    Step(
                        int(position),
                        int(step["tokens"]),
                        int(step["next"]),
                        str(step["logits_digest"]),
                        int(step["instructions"]) if "instructions" in step else None,
                    )
                )
            case ["job", index, "memory", *rest]:
                memory = _fields(rest)
                _at(outcomes, index).session_bytes = int(memory["session_bytes"])
                _at(outcomes, index).stack_bytes = int(memory["stack_bytes"]) if "stack_bytes" in memory else None
            case ["job", index, *rest]:
                _at(outcomes, index).result = _fields(rest)
            case ["done", count] if int(count) == len(outcomes):
                return outcomes
            case ["error", *reason]:
                raise PortError(" ".join(reason))
            case _:
                break
    raise PortError(f"it ended in the middle; the last that it said was {last!r}")


def _at(outcomes: list[Outcome], index: str) -> Outcome:
    if int(index) == len(outcomes):
        outcomes.append(Outcome())
    return outcomes[int(index)]


def _fields(words: Sequence[str]) -> dict[str, int | str]:
    """Parses alternating names and values. Digests stay text."""
    pairs = zip(words[::2], words[1::2], strict=True)
    return {name: value if name.endswith("_digest") else int(value) for name, value in pairs}
