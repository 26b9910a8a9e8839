"""Writes model images as docs/FORMAT.md says. The only code that does."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from shrew.engine import (
    DEFAULT_GROUP,
    MAX_COMMAND_BYTES,
    ROPE_FREQUENCY,
    ROWS_PER_BYTE,
    TYPES,
    Model,
    QuantizedMatrix,
    Sampling,
    Section,
    pack,
    quantize,
)
from shrew.engine.shape import config_bytes
from shrew.errors import ConfigError
from shrew.files import write_atomically
from shrew.image.commands import Commands
from shrew.model.attention import rope_frequencies
from shrew.model.config import ModelConfig, TensorSpec, stored_tensors, tensor_specs

FORMAT_VERSION = 1
ALIGNMENT = 64
GROUPS = range(16, 257, 16)
SELFTEST_TOKENS = 16
CONFIG_BYTES = 64

_HEADER = struct.Struct("<4sIIII44x")
_SECTION = struct.Struct("<IIII")
_TENSOR = struct.Struct("<HHBBHIIIIII")
_SELFTEST = struct.Struct("<IIII")


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


class WeightType(NamedTuple):
    """How a matrix is stored: ``f32``, or as integers with a multiplier for every ``group`` columns."""

    type: Literal["f32", "q8", "q4", "ternary"]
    group: int = -1
    """A multiple of 16 from 16 to 256, 0 for whole rows, -1 for what is usual for the type."""

    def checked(self) -> WeightType:
        """The same with its group filled in. Raises ConfigError where there is no such type or group."""
        if self.type not in DEFAULT_GROUP:
            raise ConfigError(f"weight type {self.type!r} is unknown; use {', '.join(DEFAULT_GROUP)}")
        group = DEFAULT_GROUP[self.type] if self.group == -1 or self.type == "f32" else self.group
        if group and group not in GROUPS:
            raise ConfigError(f"group {group} is not a multiple of 16 from 16 to 256, or 0 for whole rows")
        return WeightType(self.type, group)

    def groups(self, cols: int) -> int:
        """Groups of columns in a row that have a multiplier each; 0 where there are none. Of a checked type."""
        return -(-cols // self.group) if self.group else 0

    def stride(self, cols: int) -> int:
        """Bytes of one line of data: docs/FORMAT.md, section 3."""
        return -(-cols * (4 if self.type == "f32" else 1) // 16) * 16

    def scale_bytes(self, cols: int) -> int:
        """Bytes of a row's scale and multipliers. Of a checked type."""
        return 0 if self.type == "f32" else 4 + self.groups(cols)

    def stored_bytes(self, rows: int, cols: int) -> int:
        """Data and scales in an image, each padded to the next multiple of :data:`ALIGNMENT`. Of a checked type."""
        parts = -(-rows // ROWS_PER_BYTE[self.type]) * self.stride(cols), rows * self.scale_bytes(cols)
        return sum(-(-part // ALIGNMENT) * ALIGNMENT for part in parts)

    def __str__(self) -> str:
        group = self.checked().group
        return f"{self.type}:{group}" if group else self.type


def _padded(data: bytes, alignment: int) -> bytes:
    return data + bytes(-len(data) % alignment)


def _config_section(config: ModelConfig) -> bytes:
    return _padded(config_bytes(config), CONFIG_BYTES)


#: What a matrix is given as: floats to be rounded, or integers that somebody has chosen with more care.
Matrix = NDArray[np.float32] | QuantizedMatrix


def _tensor_sections(
    config: ModelConfig, parameters: Mapping[str, Matrix], types: Mapping[str, WeightType]
) -> tuple[bytes, bytes]:
    """The tensor directory and the tensor data."""
    directory, data = bytearray(), bytearray()

    def append(block: bytes) -> int:
        data.extend(bytes(-len(data) % ALIGNMENT))
        offset = len(data)
        data.extend(block)
        return offset

    for spec in stored_tensors(config):
        stored = _stored_matrix(config, spec, parameters, types)
        if isinstance(stored, QuantizedMatrix):
            kind, group, rows = stored.type, stored.group, pack(stored.values, stored.type)
            scales = stored.row_scales.astype("<f4").tobytes()
            if stored.multipliers is not None:
                scales += stored.multipliers.tobytes()
        else:
            kind, group, scales = "f32", 0, b""
            rows = np.zeros((spec.rows, -(-spec.cols // 4) * 4), dtype="<f4")
            rows[:, : spec.cols] = stored
        directory += _TENSOR.pack(
            spec.role,
            spec.layer,
            TYPES.index(kind),
            0,
            group,
            spec.rows,
            spec.cols,
            rows.shape[1] * rows.itemsize,
            append(rows.tobytes()),
            append(scales) if scales else 0,
            0,
        )
    return bytes(directory), bytes(data)


def weight_bytes(config: ModelConfig, weight: WeightType) -> int:
    """What all tensors take in an image if every matrix has this type; the tokenizer and some KB come on top."""
    specs = tensor_specs(config)
    zeros = {spec.name: np.zeros(spec.shape, np.float32) for spec in specs}
    return len(_tensor_sections(config, zeros, {spec.name: weight for spec in specs})[1])


def _stored_matrix(
    config: ModelConfig, spec: TensorSpec, parameters: Mapping[str, Matrix], types: Mapping[str, WeightType]
) -> Matrix:
    """One tensor [rows, cols] in the form in which it is written."""
    given = rope_frequencies(config) if spec.role == ROPE_FREQUENCY else parameters[spec.name]
    if isinstance(given, QuantizedMatrix):
        if spec.vector or given.values.shape != (spec.rows, spec.cols):
            raise ConfigError(f"tensor {spec.name} is not a matrix of {given.values.shape} integers")
        return given
    matrix = np.ascontiguousarray(given, dtype=np.float32).reshape(spec.rows, spec.cols)
    if not np.isfinite(matrix).all():
        raise ConfigError(f"tensor {spec.name} holds NaN or infinity; train again or use an earlier checkpoint")
    weight = WeightType("f32") if spec.vector else types[spec.name].checked()
    return matrix if weight.type == "f32" else quantize(matrix, weight.type, weight.group, spec.name)


def _metadata_section(metadata: Sequence[tuple[str, str]]) -> bytes:
    parts = [struct.pack("<I", len(metadata))]
    for key, value in metadata:
        key_bytes, value_bytes = key.encode(), value.encode()
        parts.append(struct.pack("<HHI", len(key_bytes), 0, len(value_bytes)) + key_bytes + value_bytes)
    return b"".join(parts)


def _selftest_section(prompt: Sequence[int], generate: int, digest: int) -> bytes:
    return _padded(_SELFTEST.pack(len(prompt), generate, digest, 0) + struct.pack(f"<{len(prompt)}H", *prompt), 4)


def assemble(sections: Sequence[tuple[int, bool, bytes]]) -> bytes:
    """A file from (kind, required, content) sections in the order given: header, table, checksum."""
    table, body = b"", b""
    start = _HEADER.size + _SECTION.size * len(sections)
    for kind, required, content in sections:
        body += bytes(-(start + len(body)) % ALIGNMENT)
        table += _SECTION.pack(kind, int(required), start + len(body), len(content))
        body += content
    header = _HEADER.pack(b"SHRW", FORMAT_VERSION, start + len(body), 0, len(sections))
    return with_checksum(header + table + body)


def with_checksum(image: bytes) -> bytes:
    """The same image with the CRC-32 that belongs to it."""
    blank = image[:12] + bytes(4) + image[16:]
    return blank[:12] + struct.pack("<I", zlib.crc32(blank)) + blank[16:]


def build_image(
    config: ModelConfig,
    parameters: Mapping[str, Matrix],
    tokenizer: ImageTokenizer,
    *,
    types: Mapping[str, WeightType] | WeightType = WeightType("f32"),  # noqa: B008  (an immutable tuple)
    metadata: Sequence[tuple[str, str]] = (),
    commands: Commands | None = None,
    selftest_prompt: Sequence[int] | None = None,
) -> bytes:
    """A whole image as bytes.

    ``parameters`` has the tensors of :func:`~shrew.model.config.tensor_specs`; ``types`` is one type for all
    matrices of floats or one per matrix name; ``commands`` is the grammar that answers of the kind ``Do: `` follow. The
    self-test runs from ``selftest_prompt`` (default: the chat frame
    around nothing, or beginning-of-text) and records what the engine itself says. Raises ConfigError where the parts
    do not fit.
    """
    if tokenizer.vocab != config.vocab:
        raise ConfigError(f"the tokenizer has {tokenizer.vocab} tokens, the model {config.vocab}")
    missing = [spec.name for spec in tensor_specs(config) if spec.name not in parameters]
    extra = sorted(set(parameters) - {spec.name for spec in tensor_specs(config)})
    if missing or extra:
        raise ConfigError(f"tensors do not fit the configuration: missing {missing[:3]}, unexpected {extra[:3]}")
    if isinstance(types, WeightType):
        types = {spec.name: types for spec in tensor_specs(config)}
    directory, weights = _tensor_sections(config, parameters, types)
    sections = [(Section.CONFIG, True, _config_section(config)), (Section.TOKENIZER, True, tokenizer.section())]
    unicode = tokenizer.unicode_section()
    if unicode is not None:
        sections.append((Section.UNICODE, True, unicode))
    sections.append((Section.DIRECTORY, True, directory))
    if metadata:
        sections.append((Section.METADATA, False, _metadata_section(metadata)))
    if commands:
        sections.append((Section.COMMANDS, True, commands.section))
        refusal = next((value for key, value in metadata if key == "refusal"), "")
        if len(refusal.encode()) > MAX_COMMAND_BYTES:
            raise ConfigError(
                f"the refusal {refusal[:20]!r}… has more than the {MAX_COMMAND_BYTES} bytes that the engine holds"
            )

    if selftest_prompt is None:
        selftest_prompt = [*tokenizer.prompt_prefix, *tokenizer.prompt_suffix] or [tokenizer.bos or 0]
    prompt = list(selftest_prompt)[: config.context - 1]
    if not prompt:  # a context of one token leaves no room for a self-test
        return assemble([*sections, (Section.WEIGHTS, True, weights)])
    generate = min(SELFTEST_TOKENS, config.context - len(prompt))
    weights_section = (Section.WEIGHTS, True, weights)
    trial = Model.from_bytes(assemble([*sections, weights_section]), "new image")
    digest = _greedy_digest(trial, prompt, generate)
    return assemble(
        [*sections, (Section.SELFTEST, False, _selftest_section(prompt, generate, digest)), weights_section]
    )


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
