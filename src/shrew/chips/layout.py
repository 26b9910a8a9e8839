"""The contents of an image, tensor by tensor: of an existing image, or of one that a configuration would give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shrew.engine import ENTRY_BYTES, Model, QuantizedMatrix
from shrew.image import WeightType, build_image, model_config
from shrew.model.config import ModelConfig, TensorSpec, stored_tensors, tensor_specs
from shrew.tokenizer import Tokenizer, train_character

#: Estimates for an image that does not exist: bytes per token in the tokenizer's section (as in `shrew presets`), other
#: bytes, and directory bytes per tensor.
TOKENIZER_BYTES_PER_TOKEN = 10
OTHER_BYTES = 1024


@dataclass(frozen=True)
class StoredTensor:
    """One tensor as an image stores it."""

    spec: TensorSpec
    type: WeightType

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def groups(self) -> int:
        return self.type.groups(self.spec.cols)

    @property
    def bytes(self) -> int:
        return self.type.stored_bytes(self.spec.rows, self.spec.cols)

    @property
    def row_bytes(self) -> int:
        """Bytes read when one row is looked up."""
        return self.type.stride(self.spec.cols) + self.type.scale_bytes(self.spec.cols)


@dataclass(frozen=True)
class Layout:
    """An image's configuration and tensors, in the order of the file."""

    name: str
    config: ModelConfig
    tensors: tuple[StoredTensor, ...]
    other_bytes: int
    """Bytes of header, tokenizer, directory and metadata."""
    estimated: bool
    """Whether ``other_bytes`` is an estimate because no such image exists."""

    @property
    def image_bytes(self) -> int:
        return self.weight_bytes + self.other_bytes

    @property
    def weight_bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def is_float(self) -> bool:
        """Whether every matrix is f32; a session then caches floats."""
        return all(tensor.type.type == "f32" for tensor in self.tensors)

    def with_type(self, weight: WeightType) -> Layout:
        """A copy in which all matrices have one type."""
        return self.with_types(dict.fromkeys(self.matrix_types, weight))

    def with_types(self, types: Mapping[str, WeightType]) -> Layout:
        """A copy with the given type for each matrix."""
        return replace(self, tensors=_stored(self.config, types))

    @property
    def matrix_types(self) -> Mapping[str, WeightType]:
        return {tensor.name: tensor.type for tensor in self.tensors if not tensor.spec.vector}


def image_layout(model: Model) -> Layout:
    """The layout of an existing image."""
    config = model_config(model)
    types = {}
    for spec in tensor_specs(config):
        tensor = model.tensor(spec.role, spec.layer)
        types[spec.name] = WeightType(tensor.type, tensor.group)
    tensors = _stored(config, types)
    weights = sum(tensor.bytes for tensor in tensors)
    return Layout(model.name, config, tensors, max(model.image_bytes - weights, 0), estimated=False)


def config_layout(config: ModelConfig, weight: WeightType, name: str = "model") -> Layout:
    """The layout of an image with this configuration in which every matrix has one type."""
    tensors = _stored(config, {spec.name: weight for spec in tensor_specs(config)})
    other = config.vocab * TOKENIZER_BYTES_PER_TOKEN + len(tensors) * ENTRY_BYTES + OTHER_BYTES
    return Layout(name, config, tensors, other, estimated=True)


def _stored(config: ModelConfig, types: Mapping[str, WeightType]) -> tuple[StoredTensor, ...]:
    return tuple(
        StoredTensor(spec, WeightType("f32").checked() if spec.vector else types[spec.name].checked())
        for spec in stored_tensors(config)
    )


def blank_model(config: ModelConfig) -> Model:
    """A model with this configuration and zero weights, for which the engine can compute a session's size."""
    matrices: dict[str, Any] = {}
    for spec in tensor_specs(config):
        shape = (spec.rows, spec.cols)
        zeros = QuantizedMatrix("ternary", 0, np.zeros(shape, np.int8), np.zeros(spec.rows, np.float32), None)
        matrices[spec.name] = np.zeros(spec.cols, np.float32) if spec.vector else zeros
    return Model.from_bytes(build_image(config, matrices, _tokenizer(config.vocab)), "blank model")


def _tokenizer(vocab: int) -> Tokenizer:
    """An arbitrary tokenizer with this many tokens."""
    return train_character("".join(chr(0x10000 + i) for i in range(vocab - 1)))
