"""AdamW and Muon, on the flat buffer of all parameters."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np

from shrew.engine.learn import AdamwOptions, CompiledOperators
from shrew.errors import RunError
from shrew.model.config import ModelConfig, TensorSpec, tensor_specs
from shrew.model.parameters import Array, Parameters
from shrew.run import TrainConfig

State = dict[str, Array]

OPERATORS = CompiledOperators()

SHARED = 1 << 18
"""Number of values that a thread updates at a time; fewer in all are not split among threads."""

ADAM_EPSILON = 1e-8
MUON_MOMENTUM = 0.95


class Optimizer(Protocol):
    def step(self, parameters: Parameters, gradients: Parameters, learning_rate: float) -> None:
        """Moves ``parameters`` in place. ``gradients`` may be overwritten."""

    def state(self) -> State:
        """Everything a resumed run needs, as named arrays."""

    def load_state(self, state: State) -> None:
        """Restores the result of :meth:`state`. RunError if it does not fit."""


def make_optimizer(model: ModelConfig, config: TrainConfig) -> Optimizer:
    return Muon(model, config) if config.optimizer == "muon" else AdamW(model, config)


def clip_gradients(gradients: Parameters, scale: float, largest: float) -> float:
    """Multiplies by ``scale``, then clips to the norm ``largest`` (0: no limit). Returns the norm before clipping."""
    norm = math.sqrt(OPERATORS.square_sum(gradients.flat)) * scale
    OPERATORS.scale(gradients.flat, scale * min(1.0, largest / norm) if largest and norm else scale)
    return norm


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019); only matrices decay."""

    def __init__(self, model: ModelConfig, config: TrainConfig, *, leave: frozenset[str] = frozenset()) -> None:
        """Tensors named in ``leave`` are not changed."""
        self._beta1, self._beta2 = config.beta1, config.beta2
        self._steps = 0
        self._first = np.zeros(model.parameters, np.float32)
        self._second = np.zeros(model.parameters, np.float32)
        self._runs = _runs(model, config.weight_decay, leave)
        self._threads = ThreadPoolExecutor(config.threads)

    def step(self, parameters: Parameters, gradients: Parameters, learning_rate: float) -> None:
        self._steps += 1
        corrections = 1 - self._beta1**self._steps, 1 - self._beta2**self._steps

        def move(run: Run) -> None:
            options = AdamwOptions(learning_rate, self._beta1, self._beta2, ADAM_EPSILON, run.decay, *corrections)
            arrays = (array[run.where] for array in (gradients.flat, self._first, self._second, parameters.flat))
            OPERATORS.adamw(options, *arrays)

        if len(self._first) < SHARED:
            for run in self._runs:
                move(run)
        else:
            for _ in self._threads.map(move, self._runs):
                pass

    def state(self) -> State:
        return {"first": self._first, "second": self._second, "steps": np.array([self._steps], np.float64)}

    def load_state(self, state: State) -> None:
        self._first = _checked(state, "first", self._first.shape).copy()
        self._second = _checked(state, "second", self._second.shape).copy()
        self._steps = int(_checked(state, "steps", (1,))[0])


class Muon:
    """Orthogonalised momentum for the matrices of the layers (Jordan et al., 2024), AdamW for all other tensors.

    The update of a matrix has singular values close to 1. It is scaled to the size of AdamW's updates, 0.2 *
    sqrt(longer side) (Liu et al., 2025), so that both use the same learning rate and weight decay.
    """

    def __init__(self, model: ModelConfig, config: TrainConfig) -> None:
        self._matrices = [spec for spec in tensor_specs(model) if spec.name.startswith("layers.") and not spec.vector]
        matrices = frozenset(spec.name for spec in self._matrices)
        self._adamw = AdamW(model, config, leave=matrices)
        self._momentum = Parameters.zeros(model)
        self._weight_decay = config.weight_decay
        self._threads = ThreadPoolExecutor(config.threads)

    def step(self, parameters: Parameters, gradients: Parameters, learning_rate: float) -> None:
        momentum = self._momentum
        momentum.flat[:] *= MUON_MOMENTUM
        momentum.flat[:] += gradients.flat

        def move(spec: TensorSpec) -> None:
            ahead = gradients[spec.name] + MUON_MOMENTUM * momentum[spec.name]  # Nesterov's look ahead
            matrix = parameters[spec.name]
            matrix *= 1 - learning_rate * self._weight_decay
            matrix -= learning_rate * 0.2 * math.sqrt(max(spec.shape)) * orthogonalize(ahead)

        for _ in self._threads.map(move, self._matrices):
            pass
        self._adamw.step(parameters, gradients, learning_rate)

    def state(self) -> State:
        return {"momentum": self._momentum.flat, **self._adamw.state()}

    def load_state(self, state: State) -> None:
        self._momentum.flat[:] = _checked(state, "momentum", self._momentum.flat.shape)
        self._adamw.load_state(state)


def orthogonalize(x: Array) -> Array:
    """Brings the singular values of a matrix [rows, cols] close to 1 (0.7 to 1.2) by five Newton-Schulz steps.

    The coefficients of the quintic are Jordan's: it is steep at 0, but does not converge to exactly 1.
    """
    tall = x.shape[0] > x.shape[1]
    y = np.ascontiguousarray(x.T if tall else x)
    y = y / np.float32(math.sqrt(OPERATORS.square_sum(y)) + 1e-7)
    for _ in range(5):
        gram = OPERATORS.linear(y, (y, None))  # y y': [shorter side, shorter side]
        step = OPERATORS.linear(gram, (gram, None))  # gram is symmetric
        step *= np.float32(2.0315)
        step -= np.float32(4.7750) * gram
        step.reshape(-1)[:: len(step) + 1] += np.float32(3.4445)
        y = OPERATORS.linear(step, (np.ascontiguousarray(y.T), None))
    return y.T if tall else y


class Run(NamedTuple):
    """Values side by side in the flat buffer that share a weight decay."""

    where: slice
    decay: float


def _runs(model: ModelConfig, weight_decay: float, leave: frozenset[str]) -> list[Run]:
    """Runs as long as possible, but short enough to be split among threads."""
    runs: list[Run] = []
    start = 0
    for spec in tensor_specs(model):
        end = start + spec.rows * spec.cols
        decay = 0.0 if spec.vector else weight_decay
        if spec.name not in leave:
            last = runs[-1] if runs else None
            if last and last.where.stop == start and last.decay == decay and end - last.where.start <= SHARED:
                runs[-1] = Run(slice(last.where.start, end), decay)
            else:
                runs += (Run(slice(i, min(i + SHARED, end)), decay) for i in range(start, end, SHARED))
        start = end
    return runs


def _checked(state: State, name: str, shape: tuple[int, ...]) -> Array:
    if name not in state or state[name].shape != shape:
        raise RunError(f"checkpoint: the optimiser's {name!r} is missing or belongs to another model or optimiser")
    return state[name]
