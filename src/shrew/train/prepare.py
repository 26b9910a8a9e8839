"""From a corpus to what the loop takes: a tokenizer, rows to train on, rows to validate on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from shrew.corpus import (
    BUILTIN_NAMES,
    END_OF_TEXT,
    HELD_OUT,
    Corpus,
    Format,
    PackedRows,
    PackingReport,
    drop_duplicates,
    encode_documents,
    find_duplicates,
    load_corpus,
    pack,
)
from shrew.errors import ConfigError, DataError
from shrew.tokenizer import Tokenizer
from shrew.train.config import Scalar


@dataclass(frozen=True)
class DataConfig:
    """Which corpus a run learns from; the ``[data]`` table of its ``config.toml``."""

    sources: tuple[str, ...]
    format: Format = "auto"
    separator: str = END_OF_TEXT
    held_out: float = HELD_OUT
    drop_duplicates: bool = False

    def load(self) -> Corpus:
        corpus = load_corpus(self.sources, format=self.format, separator=self.separator, held_out=self.held_out)
        if self.drop_duplicates:
            corpus = Corpus(corpus.name, drop_duplicates(corpus.train), drop_duplicates(corpus.held_out))
        return corpus

    def as_table(self) -> dict[str, Scalar]:
        """Paths become absolute, so that a run can be resumed from anywhere."""
        return {
            "sources": "\n".join(s if s in BUILTIN_NAMES else str(Path(s).resolve()) for s in self.sources),
            "format": self.format,
            "separator": self.separator,
            "held_out": self.held_out,
            "drop_duplicates": self.drop_duplicates,
        }

    @classmethod
    def from_table(cls, table: Mapping[str, Scalar]) -> DataConfig | None:
        """None where a run does not say where its data came from, as an imported one does not."""
        if "sources" not in table:
            return None
        values = {**table, "sources": str(table["sources"]).split("\n")}
        try:
            return msgspec.convert(values, cls)
        except msgspec.ValidationError as error:
            raise ConfigError(f"config.toml: data: {error}") from None


@dataclass(frozen=True)
class PreparedData:
    train: PackedRows
    validation: PackedRows | None
    """None where the corpus holds nothing out."""
    report: PackingReport
    """Of the training rows."""
    repeats: int
    """Training documents that say exactly what an earlier one says."""


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
