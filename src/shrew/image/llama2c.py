"""Imports llama2.c checkpoints: version 0 (float) and version 2 (``ak42``, int8 with a scale per group).

The layouts are those that llama2.c's ``export.py`` writes: tensors of one kind lie together for all layers, matrices
as [out, in].
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shrew.errors import ConfigError, ImportFileError
from shrew.model.config import ModelConfig

_MAGIC_V1_UP = 0x616B3432
_V2_HEADER_BYTES = 256

#: Kinds of tensors per layer: our name, rows and columns in terms of the configuration.
_MATRICES = ("query", "key", "value", "out", "gate", "down", "up")


class _Reader:
    """Takes arrays off the file in order and refuses a file that is too short or too long."""

    def __init__(self, path: Path, data: bytes, offset: int) -> None:
        self.path, self.data, self.offset = path, data, offset

    def take(self, count: int, dtype: str) -> NDArray[np.generic]:
        size = count * np.dtype(dtype).itemsize
        if self.offset + size > len(self.data):
            raise ImportFileError(
                f"{self.path}: cut short: {self.offset + size} bytes needed, {len(self.data)} there; fetch it again"
            )
        array = np.frombuffer(self.data, dtype=dtype, count=count, offset=self.offset)
        self.offset += size
        return array

    def floats(self, *shape: int) -> NDArray[np.float32]:
        return self.take(int(np.prod(shape)), "<f4").astype(np.float32).reshape(shape)

    def done(self) -> None:
        if self.offset != len(self.data):
            raise ImportFileError(
                f"{self.path}: {len(self.data) - self.offset} bytes left over; not a llama2.c checkpoint of this shape"
            )


def _config(path: Path, fields: tuple[int, ...], *, tied: bool) -> ModelConfig:
    dim, ffn, layers, heads, kv_heads, vocab, context = fields
    try:
        return ModelConfig(
            dim=dim,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            ffn=ffn,
            vocab=vocab,
            context=context,
            tied_head=tied,
        )
    except ConfigError as error:
        raise ImportFileError(f"{path}: not a llama2.c checkpoint that fits a Shrew image ({error})") from error


def _shapes(c: ModelConfig) -> dict[str, tuple[int, int]]:
    query, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    return {
        "query": (query, c.dim),
        "key": (kv, c.dim),
        "value": (kv, c.dim),
        "out": (c.dim, query),
        "gate": (c.ffn, c.dim),
        "down": (c.dim, c.ffn),
        "up": (c.ffn, c.dim),
    }


def _read_v0(path: Path, data: bytes) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    fields = struct.unpack_from("<7i", data)
    tied = fields[5] > 0  # a negative vocabulary marks a head of its own
    c = _config(path, (*fields[:5], abs(fields[5]), fields[6]), tied=tied)
    reader, shapes = _Reader(path, data, 28), _shapes(c)
    parameters = {"token_embedding.weight": reader.floats(c.vocab, c.dim)}

    def norms(name: str) -> None:
        for i, row in enumerate(reader.floats(c.layers, c.dim)):
            parameters[f"layers.{i}.{name}.weight"] = row

    def matrices(*names: str) -> None:
        for name in names:
            for i, matrix in enumerate(reader.floats(c.layers, *shapes[name])):
                parameters[f"layers.{i}.{name}.weight"] = matrix

    norms("attention_norm")
    matrices("query", "key", "value", "out")
    norms("mlp_norm")
    matrices("gate", "down", "up")
    parameters["final_norm.weight"] = reader.floats(c.dim)
    reader.floats(2, c.context, c.head_dim // 2)  # cosines and sines of old versions: an image stores frequencies
    if not tied:
        parameters["head.weight"] = reader.floats(c.vocab, c.dim)
    reader.done()
    return c, parameters


def _read_v2(path: Path, data: bytes) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    if len(data) < _V2_HEADER_BYTES:
        raise ImportFileError(f"{path}: cut short inside its header; fetch it again")
    version = struct.unpack_from("<i", data, 4)[0]
    if version != 2:
        raise ImportFileError(f"{path}: llama2.c checkpoint version {version}; versions 0 and 2 can be imported")
    fields = struct.unpack_from("<7i", data, 8)
    shared, group = struct.unpack_from("<Bi", data, 36)
    c = _config(path, fields, tied=bool(shared))
    shapes = _shapes(c)
    if group < 1 or any(rows * cols % group for rows, cols in [*shapes.values(), (c.vocab, c.dim)]):
        raise ImportFileError(f"{path}: group size {group} does not divide its tensors")
    reader = _Reader(path, data, _V2_HEADER_BYTES)
    parameters: dict[str, NDArray[np.float32]] = {}
    for name in ("attention_norm", "mlp_norm"):
        for i, row in enumerate(reader.floats(c.layers, c.dim)):
            parameters[f"layers.{i}.{name}.weight"] = row
    parameters["final_norm.weight"] = reader.floats(c.dim)

    def dequantized(rows: int, cols: int) -> NDArray[np.float32]:
        values = reader.take(rows * cols, "i1").astype(np.float32).reshape(-1, group)
        scales = reader.floats(rows * cols // group, 1)
        return np.asarray(values * scales, dtype=np.float32).reshape(rows, cols)

    parameters["token_embedding.weight"] = dequantized(c.vocab, c.dim)
    for name in _MATRICES:
        for i in range(c.layers):
            parameters[f"layers.{i}.{name}.weight"] = dequantized(*shapes[name])
    if not shared:
        parameters["head.weight"] = dequantized(c.vocab, c.dim)
    reader.done()
    return c, parameters


def import_llama2c(path: str | os.PathLike[str]) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    """Configuration and float tensors of a llama2.c checkpoint. Raises ImportFileError with what is wrong."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{file}: {error.strerror or error}") from error
    if len(data) < 28:
        raise ImportFileError(f"{file}: {len(data)} bytes are too few for a llama2.c checkpoint")
    read = _read_v2 if struct.unpack_from("<I", data)[0] == _MAGIC_V1_UP else _read_v0
    config, parameters = read(file, data)
    if not all(np.isfinite(tensor).all() for tensor in parameters.values()):
        raise ImportFileError(f"{file}: holds NaN or infinity; not a llama2.c checkpoint, or a damaged one")
    return config, parameters
