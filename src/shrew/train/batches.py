"""The order in which rows are learned: shuffled epochs that can be interrupted and resumed anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.packed import PackedRows


class Batches:
    """An endless stream of batches over ``rows``: every row once per epoch, in a different order each epoch.

    ``epoch`` and ``cursor`` are its whole state, because the order follows from the seed and the epoch.
    """

    def __init__(self, rows: PackedRows, batch: int, seed: int, *, epoch: int = 0, cursor: int = 0) -> None:
        self.rows = rows
        self.batch = min(batch, len(rows))
        self.seed = seed
        self.epoch = epoch
        self.cursor = cursor
        self._order = self._shuffled()

    def next(self) -> PackedRows:
        """The next ``batch`` rows, or fewer if there are fewer in all. A batch may span the end of an epoch."""
        chosen = self._order[self.cursor : self.cursor + self.batch]
        self.cursor += len(chosen)
        if len(chosen) < self.batch:
            self.epoch += 1
            self._order = self._shuffled()
            self.cursor = self.batch - len(chosen)
            chosen = np.concatenate([chosen, self._order[: self.cursor]])
        return self.rows.take(chosen)

    def _shuffled(self) -> NDArray[np.intp]:
        return np.random.default_rng([self.seed, self.epoch]).permutation(len(self.rows))
