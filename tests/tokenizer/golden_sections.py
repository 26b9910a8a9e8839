"""Tokenizers of all kinds, and hashes of their sections as Python assembled them before the engine's writer did.

``golden_sections.json`` was made at commit b543f3d, by ``PYTHONPATH=tests python -m tokenizer.golden_sections``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from shrew.tokenizer import Tokenizer, train_bpe, train_character

FILE = Path(__file__).with_suffix(".json")
RANDOM = 300

LETTERS = "abc äöü éß€漢字🐁🦔\u0300\x00\x7f\u0080\U0010ffff"


def text(r: random.Random, length: int) -> str:
    return "".join(r.choices(LETTERS, k=length))


def trained_bpe(r: random.Random) -> Tokenizer:
    texts = [text(r, r.randint(0, 400)) for _ in range(r.randint(0, 3))]
    return train_bpe(texts, vocab=r.choice([259, 260, 300, 700]), unicode=r.random() < 0.5)


def characters(r: random.Random) -> Tokenizer:
    """Some of them twice, and single bytes that are no UTF-8."""
    pieces = [letter.encode() for letter in r.choices(LETTERS, k=r.randint(1, 60))]
    pieces += [bytes([r.randrange(128, 256)]) for _ in range(r.randint(0, 9))] + [b""] * r.randint(2, 5)
    r.shuffle(pieces)
    empty = [token for token, piece in enumerate(pieces) if not piece]
    unknown = r.choice([None, next(token for token, piece in enumerate(pieces) if piece)])
    return Tokenizer(
        kind="character", pieces=tuple(pieces), bos=empty[0], eos=empty[-1], unk=unknown, **frame(r, pieces)
    )


def frame(r: random.Random, pieces: list[bytes]) -> dict[str, Any]:
    """A prompt's."""
    sides = ("prompt_prefix", "prompt_suffix")
    return {side: tuple(r.randrange(len(pieces)) for _ in range(r.randint(0, 3))) for side in sides}


def pieces_and_merges(r: random.Random, kind: str) -> Tokenizer:
    """Merges in no order, with priorities or without; tokens of bytes anywhere among the others, or none."""
    has_bytes = kind == "bpe" or r.random() < 0.5
    pieces = [letter.encode() for letter in r.choices(LETTERS, k=r.randint(1, 40))] + [b""] * r.randint(1, 3)
    pieces += [bytes([byte]) for byte in range(256)] if has_bytes else []
    order = list(range(len(pieces)))
    r.shuffle(order)
    byte_ids = None
    if has_bytes:
        byte_ids = tuple(order.index(len(pieces) - 256 + byte) for byte in range(256))
    pieces = [pieces[i] for i in order]
    merges = {}
    for _ in range(r.choice([0, 1, 2, 30, 400])):
        left, right = (r.choice([token for token, piece in enumerate(pieces) if piece]) for _ in range(2))
        whole = pieces[left] + pieces[right]
        if len(whole) > 255 or (left, right) in merges:
            continue
        if whole not in pieces:
            pieces.append(whole)
        merges[left, right] = pieces.index(whole)
    rows = [(left, right, result) for (left, right), result in merges.items()]
    r.shuffle(rows)
    empty = [token for token, piece in enumerate(pieces) if not piece]
    return Tokenizer(
        kind=kind,  # type: ignore[arg-type]  # one of the three
        pieces=tuple(pieces),
        merges=tuple(rows),
        ranks=tuple(r.randrange(len(rows)) for _ in rows) if r.random() < 0.6 else None,
        byte_ids=byte_ids,
        bos=r.choice([None, empty[0]]),
        eos=r.choice([None, empty[0]]),
        pad=empty[-1] if len(empty) > 1 else None,
        space_prefix=kind == "sentencepiece" and r.random() < 0.5,
        unicode=kind == "bpe" and r.random() < 0.5,
        **frame(r, pieces),
    )


def random_tokenizer(seed: int) -> Tokenizer:
    r = random.Random(seed)
    kinds: tuple[Callable[[random.Random], Tokenizer], ...] = (
        trained_bpe,
        characters,
        partial(pieces_and_merges, kind="bpe"),
        partial(pieces_and_merges, kind="sentencepiece"),
        lambda r: train_character([text(r, r.randint(1, 99))]),
    )
    return r.choice(kinds)(r)


def many_merges() -> Tokenizer:
    """As many merges as a section holds, and nearly as many tokens."""
    pieces, merges = [bytes([byte]) for byte in range(256)], []
    for left in range(255, -1, -1):
        for right in range(256):
            if len(merges) < 65000:
                merges.append((left, right, len(pieces)))
                pieces.append(bytes([left, right]))
    return Tokenizer(kind="bpe", pieces=tuple(pieces), merges=tuple(merges), byte_ids=tuple(range(256)))


def cases() -> dict[str, Callable[[], Tokenizer]]:
    return {**{f"random {seed}": partial(random_tokenizer, seed) for seed in range(RANDOM)}, "many merges": many_merges}


if __name__ == "__main__":
    hashes = {name: hashlib.sha256(make().section()).hexdigest() for name, make in cases().items()}
    FILE.write_text(json.dumps(hashes, indent=1) + "\n")
