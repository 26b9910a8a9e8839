"""Packs encoded documents into rows of equal length, without cutting a document that fits.

A document of n tokens takes n - 1 positions: at each, the model reads one token and learns to predict the next. Rows
are filled by best-fit decreasing: the longest document first, each into the row with the least sufficient room. The
rows are therefore ordered by length, so training shuffles them.

Letters: R rows, T positions of a row (the context).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from shrew.corpus.encode import EncodedDocument
from shrew.corpus.packed import PackedRows
from shrew.errors import ConfigError

MAX_CONTEXT = 32768


@dataclass(frozen=True)
class PackingReport:
    """Statistics of packing."""

    documents: int
    tokens: int
    """Tokens of all documents before packing."""
    rows: int
    learned: int
    """Positions with a target to learn."""
    cut: int
    """Documents longer than the context: texts continue in another row, responses are truncated."""
    dropped: int
    """Documents with nothing to learn, for example because the prompt alone fills the context."""
    padding: float
    """Fraction of all positions that no document uses."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The positions ``start`` to ``start + length`` of a document: all of them unless the document is cut."""

    document: int
    start: int
    length: int


def pack(encoded: Sequence[EncodedDocument], context: int) -> tuple[PackedRows, PackingReport]:
    """Packs documents into rows [R, T] with T = ``context``. Each document occupies consecutive positions of one row.

    A document longer than the context is cut. A text is divided into consecutive pieces, which become separate
    documents. A prompt with its response keeps only its beginning, as the rest would lack its question.
    """
    if not 1 <= context <= MAX_CONTEXT:
        raise ConfigError(f"packing: context is {context}, must be 1 to {MAX_CONTEXT}")
    pieces: list[Piece] = []
    cut = dropped = 0
    for number, document in enumerate(encoded):
        own = pieces_of(number, document, context)
        pieces += own
        dropped += not own
        cut += bool(own) and len(document.ids) - 1 > context
    rows = _best_fit_decreasing([piece.length for piece in pieces], context)
    packed = _fill(encoded, [[pieces[i] for i in row] for row in rows], context)
    report = PackingReport(
        documents=len(encoded),
        tokens=sum(len(document.ids) for document in encoded),
        rows=len(rows),
        learned=int(np.count_nonzero(packed.weights)),
        cut=cut,
        dropped=dropped,
        padding=1.0 - sum(piece.length for piece in pieces) / (len(rows) * context) if rows else 0.0,
    )
    return packed, report


def pieces_of(number: int, document: EncodedDocument, context: int) -> list[Piece]:
    """The pieces of a document that go into rows, each at most ``context`` long: usually one, the whole document."""
    positions = len(document.ids) - 1
    if not document.learn[1 : context + 1].any():
        return []
    if positions <= context:
        return [Piece(number, 0, positions)]
    is_text = bool(document.learn[1:].all())
    if not is_text:
        return [Piece(number, 0, context)]
    return [Piece(number, start, min(context, positions - start)) for start in range(0, positions, context)]


def _best_fit_decreasing(lengths: Sequence[int], context: int) -> list[list[int]]:
    """For each row, indices into ``lengths``. The time per item hardly depends on the number of rows."""
    rows: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(context + 1)]
    rooms = 0  # bit r is set if by_room[r] is not empty: the lowest set bit at or above a length is the best fit
    for item in sorted(range(len(lengths)), key=lambda item: -lengths[item]):
        length = lengths[item]
        if fitting := rooms >> length:
            room = length + (fitting & -fitting).bit_length() - 1
            row = by_room[room].pop()
            if not by_room[room]:
                rooms ^= 1 << room
        else:
            room, row = context, len(rows)
            rows.append([])
        rows[row].append(item)
        if left := room - length:
            by_room[left].append(row)
            rooms |= 1 << left
    return rows


def _fill(encoded: Sequence[EncodedDocument], rows: list[list[Piece]], context: int) -> PackedRows:
    shape = (len(rows), context)
    packed = PackedRows(
        inputs=np.zeros(shape, np.uint16),
        targets=np.zeros(shape, np.uint16),
        weights=np.zeros(shape, np.float32),
        documents=np.full(shape, -1, np.int16),
        positions=np.zeros(shape, np.uint16),
    )
    counting = np.arange(context, dtype=np.uint16)
    for r, row in enumerate(rows):
        begin = 0
        for index, piece in enumerate(row):
            at = slice(begin, begin + piece.length)
            read = slice(piece.start, piece.start + piece.length)
            write = slice(read.start + 1, read.stop + 1)
            document = encoded[piece.document]
            packed.inputs[r, at] = document.ids[read]
            packed.targets[r, at] = document.ids[write]
            packed.weights[r, at] = document.learn[write]
            packed.documents[r, at] = index
            packed.positions[r, at] = counting[: piece.length]
            begin = at.stop
    return packed
