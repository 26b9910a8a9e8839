"""Section 10 of a model image (docs/FORMAT.md). The only place that builds it, and that reads it back."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

#: The answer of a key whose questions are refused.
REFUSAL: Final = -1

_HEADER = struct.Struct("<IHHIIIffff12x")


@dataclass(frozen=True, eq=False)
class Memory:
    """A memory as an image stores it: all numbers are the integers that the engine computes with."""

    table: NDArray[np.int8]
    """[buckets, dim] what a feature adds to a question; buckets is a power of two, dim a multiple of 16."""
    bits: int
    """Of an item of ``table``: 4 (-8 to 7) or 8."""
    keys: NDArray[np.int8]
    """[keys, dim] what a question is compared with."""
    key_scale: float
    """1 / length of a key. All keys are about equally long."""
    answer_of: NDArray[np.int32]
    """[keys] index of the answer that a key leads to, or :data:`REFUSAL`."""
    answers: tuple[tuple[int, ...], ...]
    """Token ids, without end-of-text."""
    accept: float
    """A cosine from which on the nearest key's answer is given."""
    refuse: float
    """A cosine below which the question is refused; in between, the model answers."""
    clear: float = 0.0
    """By how much the nearest key must be nearer than those of other answers."""

    @property
    def section(self) -> bytes:
        """The bytes in an image."""
        buckets, dim = self.table.shape
        starts = np.cumsum([0, *map(len, self.answers[:-1])]) if self.answers else np.zeros(0)
        ids = [token for answer in self.answers for token in answer]
        answer_of = np.where(self.answer_of == REFUSAL, len(self.answers), self.answer_of)
        header = _HEADER.pack(
            *(buckets, dim, self.bits, len(self.keys), len(self.answers), len(ids)),
            *(self.accept, self.refuse, self.clear, self.key_scale),
        )
        arrays = (
            _packed(self.table) if self.bits == 4 else self.table.tobytes(),
            self.keys.tobytes(),
            answer_of.astype("<u2").tobytes(),
            starts.astype("<u4").tobytes(),
            np.array(ids, dtype="<u2").tobytes(),
        )
        return header + b"".join(array + bytes(-len(array) % 4) for array in arrays)


def read_memory(section: bytes) -> Memory:
    """The memory of a section that the engine has checked."""
    buckets, dim, bits, keys, answers, ids, accept, refuse, clear, key_scale = _HEADER.unpack_from(section)
    at = _HEADER.size

    def take(kind: str, count: int) -> NDArray[np.generic]:
        nonlocal at
        array = np.frombuffer(section, dtype=kind, count=count, offset=at)
        at += -(-array.nbytes // 4) * 4
        return array

    stored = take("<u1", buckets * dim * bits // 8)
    table = _unpacked(stored) if bits == 4 else stored.view(np.int8)
    key = take("<i1", keys * dim).reshape(keys, dim)
    answer_of = take("<u2", keys).astype(np.int32)
    starts = [*take("<u4", answers).tolist(), ids]
    tokens = take("<u2", ids).tolist()
    return Memory(
        table=table.reshape(buckets, dim),
        bits=bits,
        keys=key.astype(np.int8),
        key_scale=key_scale,
        answer_of=np.where(answer_of == answers, REFUSAL, answer_of),
        answers=tuple(tuple(tokens[a:b]) for a, b in pairwise(starts)),
        accept=accept,
        refuse=refuse,
        clear=clear,
    )


def _packed(table: NDArray[np.int8]) -> bytes:
    """Two items of neighbouring columns in a byte, the first in bits 0 to 3, each 8 more than it is."""
    digits = (table + 8).astype(np.uint8)
    return bytes(digits[:, 0::2] | digits[:, 1::2] << 4)


def _unpacked(packed: NDArray[np.generic]) -> NDArray[np.int8]:
    digits = np.stack([packed & 15, packed >> 4], axis=-1)  # type: ignore[operator]  # bytes
    return digits.astype(np.int8).reshape(-1) - np.int8(8)
