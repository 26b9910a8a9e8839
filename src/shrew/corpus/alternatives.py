"""Compares :func:`shrew.corpus.packing.pack` with other ways to fill rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shrew.corpus.encode import EncodedDocument
from shrew.corpus.packing import PackingReport, pieces_of


@dataclass(frozen=True)
class RowFilling:
    """The result of one way to fill rows."""

    name: str
    rows: int
    cut: int
    """Documents that are split over several rows or truncated."""
    padding: float
    """Fraction of all positions that no document uses."""


def compare_packing(encoded: Sequence[EncodedDocument], context: int, packed: PackingReport) -> list[RowFilling]:
    """``packed``, the report of best fit, together with first fit, one row per document, and fixed-length chunks."""
    lengths = [piece.length for document in encoded for piece in pieces_of(0, document, context)]

    def whole(name: str, rows: int) -> RowFilling:
        return RowFilling(name, rows, packed.cut, 1.0 - sum(lengths) / (rows * context) if rows else 0.0)

    return [
        RowFilling("best fit", packed.rows, packed.cut, packed.padding),
        whole("first fit", _first_fit(lengths, context)),
        whole("one document a row", len(lengths)),
        _fixed_length_chunks([len(document.ids) for document in encoded], context),
    ]


def _first_fit(lengths: Sequence[int], context: int) -> int:
    """Number of rows if each piece, in order, goes to the first row that has room."""
    room = np.full(len(lengths), context)
    rows = 0
    for length in lengths:
        row = int(np.argmax(room[: rows + 1] >= length))  # the row after the last one in use is empty
        room[row] -= length
        rows = max(rows, row + 1)
    return rows


def _fixed_length_chunks(tokens: Sequence[int], context: int) -> RowFilling:
    """All documents as one stream that is cut every ``context`` positions."""
    ends = np.cumsum(tokens, dtype=np.int64)
    stream = max(int(ends[-1]) - 1, 0) if len(ends) else 0
    rows = -(-stream // context)
    cut = int(np.count_nonzero((ends - tokens) // context != (ends - 2) // context))
    return RowFilling("fixed-length chunks", rows, cut, 1.0 - stream / (rows * context) if rows else 0.0)
