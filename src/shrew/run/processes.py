"""Several processes that train one model, started by ``torchrun``."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Process:
    """The place of one process among ``count``. Only the first writes the run folder and prints to the user."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0
    """Its place on its own machine."""

    @property
    def first(self) -> bool:
        return self.rank == 0


def this_process() -> Process:
    """This process, from the environment variables of torchrun; without them, the only process."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return Process()
    return Process(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]), int(os.environ.get("LOCAL_RANK", 0)))
