"""Several processes that train one model, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """The place of one process among ``count``. The first alone writes the run folder and speaks to the user."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Its place on its own machine."""

    @property
    def first(self) -> bool:
        return self.rank == 0


def this_process() -> Process:
    """By the environment that torchrun gives its children; without it, the only process."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Process()
    return Process(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", 0)))
