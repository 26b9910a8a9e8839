"""The ``tokenizers`` library with our vocabularies, for comparison with our encoder and trainer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from shrew.tokenizer import Tokenizer
from shrew.tokenizer.training import BYTE_ORDER

#: The character that stands for each byte in the library's byte-level vocabularies.
BYTE_CHARACTERS = dict(zip(BYTE_ORDER, sorted(pre_tokenizers.ByteLevel.alphabet()), strict=True))


def printable(piece: bytes) -> str:
    return "".join(BYTE_CHARACTERS[byte] for byte in piece)


def printable_merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    pieces = [printable(piece) for piece in tokenizer.pieces]
    return [(pieces[left], pieces[right]) for left, right, _ in tokenizer.merges]


def library_with(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The library's BPE with the vocabulary and merges of one of our tokenizers."""
    vocab = {printable(piece): token for token, piece in enumerate(tokenizer.pieces) if piece}
    library = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=printable_merges(tokenizer)))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return library


def library_trained(texts: Sequence[str], vocab: int, special: str, min_frequency: int = 0) -> list[tuple[str, str]]:
    """The merges that the library learns."""
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        min_frequency=min_frequency,
        max_token_length=255,
        special_tokens=[special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return [tuple(merge) for merge in json.loads(library.to_str())["model"]["merges"]]


def encode_bytes(library: tokenizers.Tokenizer, data: bytes) -> list[int]:
    """Encodes bytes that need not be UTF-8 with the library, which accepts only text.

    The library splits a text in which U+FFFD replaces each byte that is not UTF-8 (both are in no class). Then its
    model merges the real bytes of each piece.
    """
    escaped = data.decode("utf-8", "surrogateescape")
    text = re.sub("[\ud800-\udfff]", "\ufffd", escaped)
    ids: list[int] = []
    for _, (start, end) in library.pre_tokenizer.pre_tokenize_str(text):
        piece = escaped[start:end].encode("utf-8", "surrogateescape")
        ids += [token.id for token in library.model.tokenize(printable(piece))]
    return ids
