"""Makes model images of their parts. The engine writes them; here is what goes in."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shrew.engine import (
    DATA_ALIGNMENT,
    DEFAULT_GROUP,
    GROUPS,
    MAX_COMMAND_BYTES,
    ROPE_FREQUENCY,
    ROWS_PER_BYTE,
    STRIDE_ALIGNMENT,
    TYPES,
    Model,
    QuantizedMatrix,
    Sampling,
    quantize,
)
from shrew.engine.write import ImageWriter, put_digest, weights_bytes
from shrew.errors import ConfigError
from shrew.files import write_atomically
from shrew.image.commands import Commands
from shrew.memory import Memory
from shrew.model.attention import rope_frequencies
from shrew.model.config import ModelConfig, TensorSpec, stored_tensors, tensor_specs

SELFTEST_TOKENS = 16


class ImageTokenizer(Protocol):
    """What an image needs of a :class:`shrew.tokenizer.Tokenizer`."""

    @property
    def vocab(self) -> int: ...
    @property
    def bos(self) -> int | None: ...
    @property
    def prompt_prefix(self) -> tuple[int, ...]: ...
    @property
    def prompt_suffix(self) -> tuple[int, ...]: ...
    def section(self) -> bytes: ...
    def unicode_section(self) -> bytes | None: ...
    def prompts_section(self) -> bytes | None: ...


class WeightType(NamedTuple):
    """How a matrix is stored: ``f32``, or as integers with a multiplier for every ``group`` columns."""

    type: str
    """One of :data:`shrew.engine.TYPES`."""
    group: int = -1
    """One of :data:`shrew.engine.GROUPS`, 0 for whole rows, -1 for the default of the type."""

    def checked(self) -> WeightType:
        """The same with its group filled in. Raises ConfigError where there is no such type or group."""
        if self.type not in TYPES:
            raise ConfigError(f"weight type {self.type!r} is unknown; use {', '.join(TYPES)}")
        group = DEFAULT_GROUP[self.type] if self.group == -1 or self.type == "f32" else self.group
        if group and group not in GROUPS:
            groups = f"a multiple of {GROUPS.step} from {GROUPS[0]} to {GROUPS[-1]}"
            raise ConfigError(f"group {group} is not {groups}, or 0 for whole rows")
        return WeightType(self.type, group)

    def groups(self, cols: int) -> int:
        """Groups of columns in a row that have a multiplier each; 0 where there are none. Of a checked type."""
        return -(-cols // self.group) if self.group else 0

    def stride(self, cols: int) -> int:
        """Bytes of one line of data: docs/FORMAT.md, section 3."""
        return _aligned(cols * (4 if self.type == "f32" else 1), STRIDE_ALIGNMENT)

    def scale_bytes(self, cols: int) -> int:
        """Bytes of a row's scale and multipliers. Of a checked type."""
        return 0 if self.type == "f32" else 4 + self.groups(cols)

    def stored_bytes(self, rows: int, cols: int) -> int:
        """Data and scales in an image, padding included. Of a checked type."""
        parts = -(-rows // ROWS_PER_BYTE[self.type]) * self.stride(cols), rows * self.scale_bytes(cols)
        return sum(_aligned(part, DATA_ALIGNMENT) for part in parts)

    def __str__(self) -> str:
        group = self.checked().group
        return f"{self.type}:{group}" if group else self.type


def _aligned(count: int, alignment: int) -> int:
    return -(-count // alignment) * alignment


#: What a matrix is given as: floats to be rounded, or integers that somebody has chosen with more care.
Matrix = NDArray[np.float32] | QuantizedMatrix


#: How vectors are stored: type and group.
FLOATS = ("f32", 0)


def weight_bytes(config: ModelConfig, weight: WeightType) -> int:
    """What all tensors take in an image if every matrix has this type; the tokenizer and some KB come on top."""
    return weights_bytes(config, [FLOATS if spec.vector else weight.checked() for spec in stored_tensors(config)])


def _storage(
    config: ModelConfig, parameters: Mapping[str, Matrix], types: Mapping[str, WeightType]
) -> list[tuple[str, int]]:
    """How each tensor is stored: as the integers that it is given as, or as its type says."""
    storage: list[tuple[str, int]] = []
    for spec in stored_tensors(config):
        given = parameters.get(spec.name)
        if isinstance(given, QuantizedMatrix):
            if spec.vector or given.values.shape != (spec.rows, spec.cols):
                raise ConfigError(f"tensor {spec.name} is not a matrix of {given.values.shape} integers")
            groups = -(-spec.cols // given.group) if given.group else 0
            multipliers = (spec.rows, 0) if given.multipliers is None else given.multipliers.shape
            if given.row_scales.shape != (spec.rows,) or multipliers != (spec.rows, groups):
                raise ConfigError(f"tensor {spec.name} has {given.row_scales.shape} scales, {multipliers} multipliers")
            storage.append((given.type, given.group))
        else:
            storage.append(FLOATS if spec.vector else types[spec.name].checked())
    return storage


def _values(config: ModelConfig, spec: TensorSpec, parameters: Mapping[str, Matrix], stored: tuple[str, int]) -> Matrix:
    """One tensor [rows, cols] in the form in which it is written."""
    given = rope_frequencies(config) if spec.role == ROPE_FREQUENCY else parameters[spec.name]
    if isinstance(given, QuantizedMatrix):
        return given
    matrix = np.ascontiguousarray(given, dtype=np.float32).reshape(spec.rows, spec.cols)
    if not np.isfinite(matrix).all():
        raise ConfigError(f"tensor {spec.name} holds NaN or infinity; train again or use an earlier checkpoint")
    kind, group = stored
    return matrix if kind == "f32" else quantize(matrix, kind, group, spec.name)


def build_image(
    config: ModelConfig,
    parameters: Mapping[str, Matrix],
    tokenizer: ImageTokenizer,
    *,
    types: Mapping[str, WeightType] | WeightType = WeightType("f32"),  # noqa: B008  (an immutable tuple)
    metadata: Sequence[tuple[str, str]] = (),
    commands: Commands | None = None,
    memory: Memory | None = None,
    selftest_prompt: Sequence[int] | None = None,
) -> bytes:
    """A whole image as bytes.

    ``parameters`` has the tensors of :func:`~shrew.model.config.tensor_specs`; ``types`` is one type for all
    matrices of floats or one per matrix name; ``commands`` is the grammar that answers of the kind ``Do: `` follow. The
    self-test runs from ``selftest_prompt`` (default: the chat frame around nothing, or beginning-of-text) and records
    what the engine itself says. Raises ConfigError where the parts do not fit.
    """
    if tokenizer.vocab != config.vocab:
        raise ConfigError(f"the tokenizer has {tokenizer.vocab} tokens, the model {config.vocab}")
    missing = [spec.name for spec in tensor_specs(config) if spec.name not in parameters]
    extra = sorted(set(parameters) - {spec.name for spec in tensor_specs(config)})
    if missing or extra:
        raise ConfigError(f"tensors do not fit the configuration: missing {missing[:3]}, unexpected {extra[:3]}")
    if isinstance(types, WeightType):
        types = {spec.name: types for spec in tensor_specs(config)}
    _check_text(metadata)
    if commands or memory:
        refusal = next((value for key, value in metadata if key == "refusal"), "")
        if len(refusal.encode()) > MAX_COMMAND_BYTES:
            raise ConfigError(
                f"the refusal {refusal[:20]!r}… has more than the {MAX_COMMAND_BYTES} bytes that the engine holds"
            )
    if selftest_prompt is None:
        selftest_prompt = [*tokenizer.prompt_prefix, *tokenizer.prompt_suffix] or [tokenizer.bos or 0]
    prompt = list(selftest_prompt)[: config.context - 1]  # a context of one token leaves no room for a self-test
    generate = min(SELFTEST_TOKENS, config.context - len(prompt))
    storage = _storage(config, parameters, types)
    writer = ImageWriter(
        config,
        storage,
        tokenizer.section(),
        unicode=tokenizer.unicode_section(),
        prompts=tokenizer.prompts_section(),
        commands=commands.section if commands else None,
        memory=memory.section if memory else None,
        metadata=metadata,
        selftest=(prompt, generate) if prompt else None,
    )
    for spec, stored in zip(stored_tensors(config), storage, strict=True):
        writer.write(_values(config, spec, parameters, stored), spec.name)
    image = writer.image()
    if prompt:
        put_digest(image, _greedy_digest(Model.from_bytes(image, "new image"), prompt, generate))
    return bytes(image)


def _greedy_digest(model: Model, prompt: Sequence[int], generate: int) -> int:
    session, ids = model.session(), []
    session.feed(prompt)
    for _ in range(generate):
        ids.append(session.sample(Sampling()))
        if len(ids) < generate:
            session.feed(ids[-1:])
    return zlib.crc32(struct.pack(f"<{len(ids)}H", *ids))


def write_image(path: str | os.PathLike[str], image: bytes) -> None:
    """Writes an image whole or not at all, after opening it and running its self-test."""
    Model.from_bytes(image, str(path)).selftest()
    write_atomically(Path(path), image)


def _check_text(metadata: Sequence[tuple[str, str]]) -> None:
    """ConfigError for what has no UTF-8, such as a name from a command line in another encoding."""
    for key, value in metadata:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ConfigError(f"{key} {value!r}: not valid UTF-8; give one that is") from None
