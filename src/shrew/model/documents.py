"""Splits packed rows into blocks of whole documents.

A row holds several documents that must not see each other. Instead of masking, the documents of a batch are sorted by
length and gathered into rectangles [n, L], one document per row. Attention then costs L² per document instead of T² per
row, padding is never computed, and the transformer need not know about packing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.packed import PackedRows

BLOCK_TOKENS = 1024
"""Approximate limit of tokens per block: enough to keep BLAS busy, few enough for activations to stay in the cache."""


@dataclass(frozen=True)
class Block:
    """n documents of at most L tokens. A shorter document is padded with its first token, which is not learned there.
    The padding comes after the document's own tokens, so none of them sees it."""

    inputs: NDArray[np.intp]
    """[n, L] token ids."""
    targets: NDArray[np.intp]
    """[n, L]"""
    weights: NDArray[np.float32]
    """[n, L] 0 where nothing is learned."""
    positions: NDArray[np.intp]
    """[n, L] position within the document."""
    source: NDArray[np.intp]
    """[n, L] index into the flattened rows; -1 at padding."""


def split_into_blocks(rows: PackedRows, block_tokens: int = BLOCK_TOKENS) -> list[Block]:
    """All documents of ``rows`` that have something to learn, longest first. Depends only on the rows."""
    return [
        _gather(rows, source)
        for source in document_indices(rows.documents, block_tokens)
        if _weights(rows, source).any()
    ]


def document_indices(
    documents: NDArray[np.integer[Any]], block_tokens: int = BLOCK_TOKENS
) -> Iterator[NDArray[np.intp]]:
    """The ``source`` of each block: documents [R, T] with equal index >= 0, side by side in a row, are one document."""
    R, T = documents.shape
    flat = documents.reshape(-1).astype(np.intp)
    key = np.where(flat < 0, -1, flat + np.arange(R).repeat(T) * (flat.max(initial=0) + 1))  # one number per document
    edges = np.flatnonzero(np.r_[True, key[1:] != key[:-1], True])
    starts, lengths = edges[:-1], np.diff(edges)
    real = key[starts] >= 0
    starts, lengths = starts[real], lengths[real]
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    total = int(lengths.sum())
    count = 2 * -(-total // (2 * block_tokens))  # an even number of blocks with equal work: two threads finish together
    block = (np.cumsum(lengths) - lengths) * count // max(total, 1)  # [documents] the block of each
    for n in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(block)) + 1):
        if len(n):
            offset = np.arange(lengths[n[0]])
            source = starts[n, None] + offset  # [n, L]
            source[offset >= lengths[n, None]] = -1
            yield source


def _weights(rows: PackedRows, source: NDArray[np.intp]) -> NDArray[np.float32]:
    return np.where(source >= 0, rows.weights.reshape(-1)[source], np.float32(0))


def _gather(rows: PackedRows, source: NDArray[np.intp]) -> Block:
    index = np.where(source >= 0, source, source[:, :1])
    return Block(
        inputs=rows.inputs.reshape(-1)[index].astype(np.intp),
        targets=rows.targets.reshape(-1)[index].astype(np.intp),
        weights=_weights(rows, source),
        positions=rows.positions.reshape(-1)[index].astype(np.intp),
        source=source,
    )
