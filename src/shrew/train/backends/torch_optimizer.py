"""AdamW and Muon in PyTorch: the formulas and the state of ``optimizer.py``, on the flat vector of all parameters."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from shrew.errors import RunError
from shrew.model.config import ModelConfig, TensorSpec, tensor_specs
from shrew.model.parameters import Array
from shrew.run import TrainConfig
from shrew.train.optimizer import ADAM_EPSILON, MUON_MOMENTUM


class Optimizer(Protocol):
    def step(self, flat: Tensor, gradient: Tensor, learning_rate: float) -> None:
        """Moves ``flat`` in place."""

    def state(self) -> dict[str, Array]:
        """The same state as its NumPy twin."""

    def load_state(self, state: Mapping[str, Array]) -> None: ...


def make_optimizer(model: ModelConfig, config: TrainConfig, device: torch.device) -> Optimizer:
    return Muon(model, config, device) if config.optimizer == "muon" else AdamW(model, config, device)


def clip_gradient(gradient: Tensor, scale: float, largest: float) -> Tensor:
    """Multiplies by ``scale``, then clips to the norm ``largest`` (0: no limit). Returns the norm before clipping."""
    norm: Tensor = torch.linalg.vector_norm(gradient) * scale
    gradient *= scale * (largest / norm).clamp(max=1.0) if largest else scale
    return norm


def orthogonalize(x: Tensor) -> Tensor:
    """Brings the singular values of matrices [n, rows, cols] close to 1, like its NumPy twin."""
    tall = x.shape[1] > x.shape[2]
    y: Tensor = x.mT if tall else x
    y = y / (torch.linalg.vector_norm(y, dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        gram = y @ y.mT  # [n, shorter side, shorter side]
        y = 3.4445 * y + (-4.7750 * gram + 2.0315 * (gram @ gram)) @ y
    return y.mT if tall else y


def _is_layer_matrix(spec: TensorSpec) -> bool:
    return spec.name.startswith("layers.") and not spec.vector


def _constants(model: ModelConfig, device: torch.device, of: Callable[[TensorSpec], float]) -> Tensor:
    """One number for each tensor, spread over the flat vector."""
    parts = [np.full(spec.rows * spec.cols, of(spec), np.float32) for spec in tensor_specs(model)]
    return torch.from_numpy(np.concatenate(parts)).to(device)


def _load(tensor: Tensor, state: Mapping[str, Array], name: str) -> None:
    if name not in state or state[name].shape != tensor.shape:
        raise RunError(f"checkpoint: the optimiser's {name!r} is missing or belongs to another model or optimiser")
    tensor.copy_(torch.from_numpy(state[name]))


class AdamW:
    def __init__(self, model: ModelConfig, config: TrainConfig, device: torch.device, *, layers: bool = True) -> None:
        """Without ``layers``, the matrices of the layers are not changed."""
        self._beta1, self._beta2 = config.beta1, config.beta2
        self._steps = 0
        self._first, self._second = torch.zeros(2, model.parameters, device=device)
        moved = _constants(model, device, lambda spec: float(layers or not _is_layer_matrix(spec)))
        decay = _constants(model, device, lambda spec: 0.0 if spec.vector else config.weight_decay)
        self._moved, self._decay = moved, moved * decay

    def step(self, flat: Tensor, gradient: Tensor, learning_rate: float) -> None:
        self._steps += 1
        self._first.lerp_(gradient, 1 - self._beta1)
        self._second.lerp_(gradient * gradient, 1 - self._beta2)
        root = self._second.sqrt().div_(math.sqrt(1 - self._beta2**self._steps)).add_(ADAM_EPSILON)
        update = (self._first / root).mul_(self._moved).div_(1 - self._beta1**self._steps)
        flat.sub_(update.addcmul_(self._decay, flat), alpha=learning_rate)

    def state(self) -> dict[str, Array]:
        steps = np.array([self._steps], np.float64)
        return {"first": self._first.cpu().numpy(), "second": self._second.cpu().numpy(), "steps": steps}

    def load_state(self, state: Mapping[str, Array]) -> None:
        _load(self._first, state, "first")
        _load(self._second, state, "second")
        if "steps" not in state or state["steps"].shape != (1,):
            raise RunError("checkpoint: the optimiser's 'steps' are missing")
        self._steps = int(state["steps"][0])


class Muon:
    def __init__(self, model: ModelConfig, config: TrainConfig, device: torch.device) -> None:
        self._sizes = [spec.rows * spec.cols for spec in tensor_specs(model)]
        self._groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for index, spec in enumerate(tensor_specs(model)):
            if _is_layer_matrix(spec):
                self._groups[spec.shape].append(index)
        self._adamw = AdamW(model, config, device, layers=False)
        self._momentum = torch.zeros(model.parameters, device=device)
        self._decay = _constants(model, device, lambda spec: config.weight_decay * _is_layer_matrix(spec))
        self._size = _constants(
            model, device, lambda spec: 0.2 * math.sqrt(max(spec.rows, spec.cols)) * _is_layer_matrix(spec)
        )

    def step(self, flat: Tensor, gradient: Tensor, learning_rate: float) -> None:
        self._momentum.mul_(MUON_MOMENTUM).add_(gradient)
        parts = list(torch.split(gradient + MUON_MOMENTUM * self._momentum, self._sizes))
        for shape, indices in self._groups.items():
            updates = orthogonalize(torch.stack([parts[index].view(shape) for index in indices]))
            for index, update in zip(indices, updates, strict=True):
                parts[index] = update.flatten()
        # One update of the whole vector instead of one per matrix. Everything except the layers' matrices has size 0.
        flat.mul_(1 - learning_rate * self._decay).sub_(torch.cat(parts).mul_(self._size), alpha=learning_rate)
        self._adamw.step(flat, gradient, learning_rate)

    def state(self) -> dict[str, Array]:
        return {"momentum": self._momentum.cpu().numpy(), **self._adamw.state()}

    def load_state(self, state: Mapping[str, Array]) -> None:
        _load(self._momentum, state, "momentum")
        self._adamw.load_state(state)
