"""Rows of token ids for training: written by packing, read by training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class PackedRows:
    """R rows of T positions. A row holds whole documents one after another, then padding."""

    inputs: NDArray[np.uint16]
    """[R, T] token ids; 0 at padding."""
    targets: NDArray[np.uint16]
    """[R, T] the id that follows each input."""
    weights: NDArray[np.float32]
    """[R, T] 1 where the target is learned (response, end of text), 0 for prompt and padding."""
    documents: NDArray[np.int16]
    """[R, T] index of the document within its row, -1 at padding. Attention does not cross documents."""
    positions: NDArray[np.uint16]
    """[R, T] position within the document: each document starts at 0."""

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: NDArray[np.intp]) -> PackedRows:
        """The given rows, in that order."""
        return PackedRows(
            self.inputs[rows], self.targets[rows], self.weights[rows], self.documents[rows], self.positions[rows]
        )
