"""Sections 2 and 7 of a model image (docs/FORMAT.md). The only place that builds them."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shrew.engine.tokenizer import NO_TOKEN, TOKENIZER_KINDS

if TYPE_CHECKING:
    from shrew.tokenizer.tokenizer import Tokenizer

SPACE_PREFIX, UNICODE, RANKS, BYTE_IDS = 1, 2, 4, 8


@cache
def unicode_table() -> bytes:
    """Section 7: the character classes of all code points, written by tools/unicode_tables.py."""
    return Path(__file__).with_name("unicode.bin").read_bytes()


def tokenizer_section(t: Tokenizer) -> bytes:
    """Section 2. Raises struct.error, KeyError or ValueError if a value does not fit its field."""
    lengths = np.array([len(piece) for piece in t.pieces], dtype=np.int64)
    starts = (np.cumsum(lengths) - lengths)[::16]
    pieces = b"".join(t.pieces)
    order = sorted(range(len(t.merges)), key=t.merges.__getitem__)  # by left, right
    ranks = None if t.ranks is None else [t.ranks[i] for i in order]
    characters = _sorted_characters(t)
    flags = (
        SPACE_PREFIX * t.space_prefix
        | UNICODE * t.unicode
        | RANKS * (ranks is not None)
        | BYTE_IDS * (t.byte_ids is not None)
    )
    header = struct.pack(
        "<HHIIII4H2H16x",
        TOKENIZER_KINDS[t.kind],
        flags,
        t.vocab,
        len(pieces),
        len(t.merges),
        len(characters),
        *(NO_TOKEN if token is None else token for token in (t.bos, t.eos, t.pad, t.unk)),
        len(t.prompt_prefix),
        len(t.prompt_suffix),
    )
    arrays = [
        bytes(lengths.tolist()),
        struct.pack(f"<{len(starts)}I", *starts.tolist()),
        pieces,
        b"".join(struct.pack("<3H", *t.merges[i]) for i in order),
        _u16(ranks or ()),
        _u16(t.byte_ids or ()),
        _u16(characters),
        _u16(t.prompt_prefix),
        _u16(t.prompt_suffix),
    ]
    return header + b"".join(array + bytes(-len(array) % 4) for array in arrays)


def is_character(piece: bytes) -> bool:
    """Whether a piece is one character by the engine's rule: valid UTF-8 or a single byte."""
    try:
        return len(piece.decode()) == 1
    except UnicodeDecodeError:
        return len(piece) == 1


def _sorted_characters(t: Tokenizer) -> list[int]:
    """Tokens of one character, ordered by their bytes. Of several for the same character, the first."""
    if t.kind == "bpe":
        return []
    byte_tokens = set(t.byte_ids or ())
    found: dict[bytes, int] = {}
    for token, piece in enumerate(t.pieces):
        if is_character(piece) and token not in byte_tokens:
            found.setdefault(piece, token)
    return [found[piece] for piece in sorted(found)]


def _u16(values: list[int] | tuple[int, ...]) -> bytes:
    return struct.pack(f"<{len(values)}H", *values)
