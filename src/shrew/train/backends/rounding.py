"""Quantisation-aware training: from some step on, the network that is trained is the one that the image will have."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

from shrew.model.config import ModelConfig
from shrew.model.parameters import Array, Parameters
from shrew.quantize.rounded import Rounded
from shrew.run import TrainConfig, stored_types

#: Learning rate of a scale at the peak of the schedule, as a share of the scale. Ternary ended 0.02 nats higher with a
#: fifth of it, and 0.01 with four times as much.
SCALE_RATE = 5e-3


class LateRounding:
    """What stands between the parameters that an optimiser moves and the network: nothing at first, then rounding.

    Rounding is NumPy's for every backend: a model for a chip is small, and the bits are those of the image.
    """

    def __init__(self, model: ModelConfig, config: TrainConfig, executor: Executor | None = None) -> None:
        self._types = stored_types(model, config)
        self._peak = config.learning_rate
        self._executor = executor
        self._rounded: Rounded | None = None

    @property
    def begun(self) -> bool:
        return self._rounded is not None

    def begin(self, latent: Parameters) -> None:
        self._rounded = Rounded(latent, self._types, SCALE_RATE)

    def seen(self, latent: Parameters) -> Parameters:
        """What the network is to compute with."""
        return latent if self._rounded is None else self._rounded.round(latent, self._executor)

    def step(self, gradients: Parameters, learned: float, learning_rate: float) -> None:
        """Turns gradients of what was seen, summed over ``learned`` tokens, into those of the parameters behind it, and
        moves the scales."""
        if self._rounded is None:
            return
        of_scales = self._rounded.pull_back(gradients, self._executor)
        self._rounded.learn(of_scales / max(learned, 1.0), learning_rate / self._peak)

    def tensors(self, latent: Parameters) -> Mapping[str, Array]:
        """What a run keeps of ``latent``."""
        return latent if self._rounded is None else self._rounded.tensors(latent)

    def state(self) -> dict[str, Array]:
        return {} if self._rounded is None else self._rounded.state()

    def load_state(self, state: Mapping[str, Array], latent: Parameters) -> None:
        """Takes over what :meth:`state` gave, whether rounding had begun included. RunError where it does not fit."""
        self._rounded = None
        if "scales" in state:
            self.begin(latent)
            assert self._rounded is not None
            self._rounded.load_state(state)
