"""The learning rate over a run, as a fraction of its peak."""

from __future__ import annotations

import math

from shrew.run import TrainConfig


def rate_factor(config: TrainConfig, share: float) -> float:
    """The factor, 0 to 1, for ``share`` in [0, 1], the fraction of the run's steps or minutes that is done.

    Runs bounded by steps are reproducible bit for bit. Runs bounded by minutes are not, as their share depends on the
    clock.
    """
    if share < config.warmup:
        return (share + 1e-3) / (config.warmup + 1e-3)  # so that the first step is not zero
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "cosine":
        through = (share - config.warmup) / (1 - config.warmup)
        return config.floor + (1 - config.floor) * 0.5 * (1 + math.cos(math.pi * min(through, 1.0)))
    into_decay = (share - (1 - config.decay)) / config.decay if config.decay > 0 else 0.0  # wsd
    return 1 - (1 - config.floor) * min(max(into_decay, 0.0), 1.0)
