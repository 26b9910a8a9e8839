"""The tensors of a model in one buffer, and the names under which the network uses them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from shrew.errors import ConfigError
from shrew.model.config import ModelConfig, tensor_specs

Array = NDArray[np.floating[Any]]


class Gain(NamedTuple):
    """Gain and bias of a norm, [C] each; None if the kind of norm has none."""

    weight: Array | None
    bias: Array | None


class Linear(NamedTuple):
    """A matrix [outputs, inputs], and its bias [outputs] or None."""

    weight: Array
    bias: Array | None


class Layer(NamedTuple):
    attention_norm: Gain
    qkv: Linear
    """Query, key and value stacked: [(H + 2K) * D, C]."""
    out: Linear
    mlp_norm: Gain
    up: Linear
    """[F, C]; for SwiGLU gate and up stacked: [2F, C]."""
    down: Linear


class Network(NamedTuple):
    """All tensors by their place in the network. Gradients have the same structure."""

    token_embedding: Array
    position_embedding: Array | None
    embed_norm: Gain
    layers: list[Layer]
    final_norm: Gain
    head: Array
    """[V, C]; a tied head *is* ``token_embedding``."""


class Parameters(Mapping[str, Array]):
    """The tensors of ``tensor_specs(config)`` by name, all of them views of one buffer, ``flat``.

    They are stored in the order of the specs, so that neighbours such as query, key and value can be used as one matrix
    without a copy, and an optimiser can treat the model as one vector.
    """

    def __init__(self, config: ModelConfig, flat: Array) -> None:
        self.config = config
        self.flat = flat
        self._views: dict[str, Array] = {}
        self._start: dict[str, int] = {}
        start = 0
        for spec in tensor_specs(config):
            size = spec.rows * spec.cols
            self._start[spec.name] = start
            self._views[spec.name] = flat[start : start + size].reshape(spec.shape)
            start += size
        if flat.shape != (start,):
            raise ValueError(f"flat is {flat.shape}, the configuration needs ({start},)")
        self.network = self._network()

    @classmethod
    def zeros(cls, config: ModelConfig, dtype: DTypeLike = np.float32) -> Parameters:
        return cls(config, np.zeros(config.parameters, dtype))

    @classmethod
    def of(cls, config: ModelConfig, tensors: Mapping[str, Array]) -> Parameters:
        """``tensors`` itself if it is a :class:`Parameters` of this shape, else a copy. ConfigError if they differ."""
        if isinstance(tensors, cls) and tensors.config == config:
            return tensors
        specs = tensor_specs(config)
        if missing := [spec.name for spec in specs if spec.name not in tensors]:
            raise ConfigError(f"model: tensor {missing[0]} is missing")
        if extra := sorted(set(tensors) - {spec.name for spec in specs}):
            raise ConfigError(f"model: tensor {extra[0]} does not belong to this configuration")
        copy = cls.zeros(config, tensors[specs[0].name].dtype)
        for spec in specs:
            if tensors[spec.name].shape != spec.shape:
                raise ConfigError(f"model: tensor {spec.name} is {tensors[spec.name].shape}, must be {spec.shape}")
            copy[spec.name][...] = tensors[spec.name]
        return copy

    def copy(self) -> Parameters:
        return Parameters(self.config, self.flat.copy())

    def __getitem__(self, name: str) -> Array:
        return self._views[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def _stacked(self, first: str, last: str) -> Array:
        """The tensors from ``first`` to ``last`` as one view, stacked along their first axis."""
        end = self._start[last] + self._views[last].size
        return self.flat[self._start[first] : end].reshape(-1, *self._views[first].shape[1:])

    def _linear(self, first: str, last: str | None = None) -> Linear:
        last = last or first
        bias = self._stacked(f"{first}.bias", f"{last}.bias") if f"{first}.bias" in self else None
        return Linear(self._stacked(f"{first}.weight", f"{last}.weight"), bias)

    def _gain(self, name: str) -> Gain:
        return Gain(self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    def _network(self) -> Network:
        c = self.config
        up = "gate" if c.mlp == "swiglu" else "up"
        layers = [
            Layer(
                attention_norm=self._gain(f"{p}.attention_norm"),
                qkv=self._linear(f"{p}.query", f"{p}.value"),
                out=self._linear(f"{p}.out"),
                mlp_norm=self._gain(f"{p}.mlp_norm"),
                up=self._linear(f"{p}.{up}", f"{p}.up"),
                down=self._linear(f"{p}.down"),
            )
            for p in (f"layers.{i}" for i in range(c.layers))
        ]
        return Network(
            token_embedding=self["token_embedding.weight"],
            position_embedding=self.get("position_embedding.weight"),
            embed_norm=self._gain("embed_norm"),
            layers=layers,
            final_norm=self._gain("final_norm"),
            head=self["token_embedding.weight" if c.tied_head else "head.weight"],
        )


def init_parameters(config: ModelConfig, seed: int, dtype: DTypeLike = np.float32) -> Parameters:
    """Initial parameters: normally distributed matrices, gains 1, biases 0.

    The standard deviation of matrices is 0.02, or more in narrow models (1/sqrt(5 C), equal at C = 500). That of the
    two matrices that write to the residual stream is smaller by sqrt(2 * layers), so that depth does not change the
    size of the stream (GPT-2, Radford et al. 2019).
    """
    rng = np.random.default_rng(seed)
    parameters = Parameters.zeros(config, dtype)
    deviation = max(0.02, (5 * config.dim) ** -0.5)
    for spec in tensor_specs(config):
        tensor = parameters[spec.name]
        if not spec.vector:
            residual = spec.name.endswith((".out.weight", ".down.weight"))
            scale = deviation / np.sqrt(2 * config.layers) if residual else deviation
            tensor[...] = scale * rng.standard_normal(spec.shape)
        elif spec.name.endswith("norm.weight"):
            tensor[...] = 1.0
    return parameters
