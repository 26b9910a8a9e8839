"""Training with the hand-derived gradients of ``shrew.model``, on several threads."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from shrew.corpus.packed import PackedRows
from shrew.model.allocator import keep_freed_memory
from shrew.model.config import ModelConfig
from shrew.model.gradients import evaluate, loss_and_gradients
from shrew.model.parameters import Array, Parameters
from shrew.run import TrainConfig
from shrew.train.backends.protocol import Step
from shrew.train.backends.rounding import LateRounding
from shrew.train.optimizer import clip_gradients, make_optimizer


class NumpyBackend:
    def __init__(self, model: ModelConfig, config: TrainConfig, initial: Parameters) -> None:
        keep_freed_memory()
        self._model, self._clip = model, config.clip
        self._parameters = initial
        self._optimizer = make_optimizer(model, config)
        self._executor = ThreadPoolExecutor(config.threads) if config.threads > 1 else None
        self._rounding = LateRounding(model, config, self._executor)

    def step(self, batch: PackedRows, learning_rate: float) -> Step:
        seen = self._rounding.seen(self._parameters)
        nats, learned, gradients = loss_and_gradients(self._model, seen, batch, executor=self._executor)
        self._rounding.step(gradients, learned, learning_rate)
        norm = clip_gradients(gradients, 1 / max(learned, 1.0), self._clip)
        if not (math.isfinite(nats) and math.isfinite(norm)):
            raise FloatingPointError("loss or gradient")
        self._optimizer.step(self._parameters, gradients, learning_rate)
        if not np.isfinite(self._parameters.flat).all():
            raise FloatingPointError("parameters")
        return Step(nats, learned, norm)

    def evaluate(self, rows: PackedRows) -> tuple[float, float]:
        return evaluate(self._model, self._rounding.seen(self._parameters), rows, executor=self._executor)

    def begin_rounding(self) -> None:
        self._rounding.begin(self._parameters)

    def parameters(self) -> Parameters:
        return self._parameters

    def tensors(self) -> Mapping[str, Array]:
        return self._rounding.tensors(self._parameters)

    def optimizer_state(self) -> dict[str, Array]:
        return self._optimizer.state() | self._rounding.state()

    def load(self, parameters: Parameters, optimizer_state: Mapping[str, Array]) -> None:
        self._optimizer.load_state(dict(optimizer_state))
        self._parameters.flat[:] = parameters.flat
        self._rounding.load_state(optimizer_state, self._parameters)

    def largest(self, value: float) -> float:
        return value

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown()
