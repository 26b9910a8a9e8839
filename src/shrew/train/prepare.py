"""Converts a corpus to rows for training and validation."""

from __future__ import annotations

from dataclasses import dataclass

from shrew.corpus import Corpus, PackedRows, PackingReport, encode_documents, find_duplicates, pack
from shrew.errors import DataError
from shrew.tokenizer import Tokenizer


@dataclass(frozen=True)
class PreparedData:
    train: PackedRows
    validation: PackedRows | None
    """None if the corpus has no held-out documents."""
    report: PackingReport
    """The packing of the training rows."""
    repeats: int
    """Number of training documents that are exact copies of an earlier one."""


def prepare(corpus: Corpus, tokenizer: Tokenizer, context: int) -> PreparedData:
    """Encodes and packs both sides of a corpus."""
    if not corpus.train:
        raise DataError(f"{corpus.name}: no documents to train on")
    train, report = pack(encode_documents(corpus.train, tokenizer), context)
    validation = None
    if corpus.held_out:
        rows, _ = pack(encode_documents(corpus.held_out, tokenizer), context)
        validation = rows if len(rows) else None
    return PreparedData(train, validation, report, find_duplicates(corpus.train).repeats)
