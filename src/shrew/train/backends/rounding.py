"""Quantisation-aware training: from some step on, trains the network with the values that the image will have."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor

from shrew.model.config import ModelConfig
from shrew.model.parameters import Array, Parameters
from shrew.quantize.rounded import Rounded
from shrew.run import TrainConfig, stored_types

#: Peak learning rate of a scale, relative to the scale. Ternary ended 0.02 nats higher with a fifth of it, and 0.01
#: nats higher with four times as much.
SCALE_RATE = 5e-3


class LateRounding:
    """The stage between the optimiser's parameters and the network: passes them on at first, later rounds them.

    NumPy does the rounding for every backend: a model for a chip is small, and the bits must be those of the image.
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
        """The parameters that the network computes with."""
        return latent if self._rounded is None else self._rounded.round(latent, self._executor)

    def step(self, gradients: Parameters, learned: float, learning_rate: float) -> None:
        """Converts gradients of :meth:`seen`, summed over ``learned`` tokens, to those of the latent parameters, in
        place, and moves the scales."""
        if self._rounded is None:
            return
        of_scales = self._rounded.pull_back(gradients, self._executor)
        self._rounded.learn(of_scales / max(learned, 1.0), learning_rate / self._peak)

    def tensors(self, latent: Parameters) -> Mapping[str, Array]:
        """The tensors that a run saves for ``latent``."""
        return latent if self._rounded is None else self._rounded.tensors(latent)

    def state(self) -> dict[str, Array]:
        return {} if self._rounded is None else self._rounded.state()

    def load_state(self, state: Mapping[str, Array], latent: Parameters) -> None:
        """Restores the result of :meth:`state`, including whether rounding had begun. RunError if it does not fit."""
        self._rounded = None
        if "scales" in state:
            self.begin(latent)
            assert self._rounded is not None
            self._rounded.load_state(state)
