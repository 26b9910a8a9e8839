"""Imports llama2.c's ``tokenizer.bin``.

A u32 with the bytes of the longest token, then for each token an f32 score, an i32 length and its bytes. The first
three tokens are unknown, beginning and end of text, the next 256 the single bytes, written ``<0x00>`` to ``<0xFF>``.
Any two neighbours that together spell a token are merged, the one with the highest score first.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from shrew.errors import TokenizerError
from shrew.tokenizer.tokenizer import MAX_PIECE_BYTES, Tokenizer

_UNK, _BOS, _EOS, _FIRST_BYTE, _FIRST_TEXT = 0, 1, 2, 3, 259


def import_llama2c(path: str | os.PathLike[str], *, vocab: int) -> Tokenizer:
    """The tokenizer of a llama2.c model with ``vocab`` tokens. Raises TokenizerError with what is wrong."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{file}: {error.strerror or error}") from error
    try:
        scores, pieces = _read(data, vocab)
        merges = _merges(pieces)
        return Tokenizer(
            kind="sentencepiece",
            pieces=tuple(pieces),
            specials={"<unk>": _UNK, "<s>": _BOS, "</s>": _EOS},
            merges=tuple(merges),
            ranks=_ranks(merges, scores),
            byte_ids=tuple(range(_FIRST_BYTE, _FIRST_TEXT)),
            bos=_BOS,
            # llama2.c trains on stories that each begin with <s> and never end with </s>, and stops where <s> comes up.
            eos=_BOS,
            unk=_UNK,
            prompt_prefix=(_BOS,),
            space_prefix=True,
        )
    except TokenizerError as error:
        raise TokenizerError(f"{file}: not a llama2.c tokenizer of {vocab} tokens: {error}") from error


def _read(data: bytes, vocab: int) -> tuple[list[float], list[bytes]]:
    if vocab < _FIRST_TEXT:
        raise TokenizerError(f"there are always {_FIRST_TEXT} or more")
    scores, pieces, offset = [], [], 4
    for token in range(vocab):
        if offset + 8 > len(data):
            raise TokenizerError(f"cut short at token {token}")
        score, length = struct.unpack_from("<fi", data, offset)
        offset += 8
        if math.isnan(score):
            raise TokenizerError(f"the score of token {token} is not a number")
        if not 0 < length <= MAX_PIECE_BYTES:
            raise TokenizerError(f"token {token} has {length} bytes, must be 1 to {MAX_PIECE_BYTES}")
        if offset + length > len(data):
            raise TokenizerError(f"cut short at token {token}")
        scores.append(score)
        pieces.append(data[offset : offset + length])
        offset += length
    if offset != len(data):
        raise TokenizerError(f"{len(data) - offset} bytes are left over")
    for byte in range(256):
        if pieces[_FIRST_BYTE + byte] != b"<0x%02X>" % byte:
            raise TokenizerError(f"token {_FIRST_BYTE + byte} is not byte {byte}")
    return scores, [b"", b"", b"", *(bytes([byte]) for byte in range(256)), *pieces[_FIRST_TEXT:]]


def _merges(pieces: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """Every way to make a token of two others."""
    ids: dict[bytes, int] = {}
    for token in range(_FIRST_TEXT, len(pieces)):
        ids.setdefault(pieces[token], token)
    return [
        (ids[piece[:cut]], ids[piece[cut:]], token)
        for piece, token in ids.items()
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]


def _ranks(merges: Sequence[tuple[int, int, int]], scores: Sequence[float]) -> tuple[int, ...] | None:
    """Merges by falling score, equal scores equal. None where the ids of the results say the same."""
    results = sorted({result for _, _, result in merges})
    if all(scores[before] > scores[after] for before, after in pairwise(results)):
        return None
    order = {score: rank for rank, score in enumerate(sorted({scores[result] for result in results}, reverse=True))}
    return tuple(order[scores[result]] for _, _, result in merges)
