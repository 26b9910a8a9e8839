"""The engine's writer of model images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib
from shrew.engine.shape import Config, engine_config
from shrew.engine.tensor import TYPES, QuantizedMatrix

#: How a tensor is stored: the name of its type, and the columns that share a multiplier (0: no multipliers).
Storage = tuple[str, int]

#: A tensor's values: floats [rows, cols], or integers with scales.
Values = NDArray[np.float32] | QuantizedMatrix


def weights_bytes(config: Config, storage: Sequence[Storage]) -> int:
    """Bytes of the weights section. ``storage``: of all tensors, in image order."""
    size = ffi.new("uint32_t *")
    check(lib.shrew_write_weights_bytes(engine_config(config), _storage(storage), size), "model")
    return int(size[0])


class ImageWriter:
    """Writes one image in memory. Gets everything except the values of the tensors, which follow one by one."""

    def __init__(
        self,
        config: Config,
        storage: Sequence[Storage],
        tokenizer: bytes,
        *,
        unicode: bytes | None = None,
        prompts: bytes | None = None,
        commands: bytes | None = None,
        memory: bytes | None = None,
        metadata: Sequence[tuple[str, str]] = (),
        selftest: tuple[Sequence[int], int] | None = None,
    ) -> None:
        """``selftest``: a prompt and the number of tokens to generate. :func:`put_digest` sets their digest later."""
        self._kept: list[Any] = []  # memory that the engine reads until the end
        parts = self._keep(ffi.new("shrew_parts *"))
        parts.config = engine_config(config)[0]
        parts.storage = self._keep(_storage(storage))
        sections = {
            "tokenizer": tokenizer,
            "unicode": unicode,
            "prompts": prompts,
            "commands": commands,
            "memory": memory,
        }
        for name, section in sections.items():
            if section is not None:
                setattr(parts, name, self._bytes(section))
                setattr(parts, f"{name}_bytes", len(section))
        pairs = [(key.encode(), value.encode()) for key, value in metadata]
        parts.metadata = self._keep(
            ffi.new(
                "shrew_pair[]",
                [(self._bytes(key), len(key), self._bytes(value), len(value)) for key, value in pairs],
            )
        )
        parts.metadata_pairs = len(pairs)
        if selftest is not None:
            prompt, parts.selftest_tokens = selftest
            parts.selftest_prompt = self._keep(ffi.new("uint16_t[]", list(prompt)))
            parts.selftest_prompt_tokens = len(prompt)
        size = ffi.new("uint32_t *")
        check(lib.shrew_write_bytes(parts, size), "image")
        self._image = bytearray(size[0])
        destination = self._keep(ffi.new("shrew_memory *"))
        destination.bytes = self._keep(ffi.from_buffer("uint8_t[]", self._image, require_writable=True))
        destination.capacity = len(self._image)
        self._writer = ffi.new("shrew_writer *")
        emit = ffi.addressof(lib, "shrew_emit_to_memory")
        check(lib.shrew_write_begin(self._writer, parts, emit, destination), "image")

    def write(self, values: Values, name: str) -> None:
        """Writes the next tensor. ``name`` is for error messages."""
        given = ffi.new("shrew_values *")
        if isinstance(values, QuantizedMatrix):
            integers = ffi.from_buffer("int8_t[]", np.ascontiguousarray(values.values, np.int8))
            scales = ffi.from_buffer("float[]", np.ascontiguousarray(values.row_scales, np.float32))
            given.integers, given.row_scales = integers, scales
            if values.multipliers is not None:
                multipliers = ffi.from_buffer("int8_t[]", np.ascontiguousarray(values.multipliers, np.int8))
                given.multipliers = multipliers
        else:
            floats = ffi.from_buffer("float[]", np.ascontiguousarray(values, np.float32))
            given.floats = floats
        check(lib.shrew_write_tensor(self._writer, given), f"tensor {name}")

    def image(self) -> bytearray:
        """Finishes and returns the image, after all tensors have been written."""
        check(lib.shrew_write_end(self._writer), "image")
        return self._image

    def _keep(self, made: Any) -> Any:
        self._kept.append(made)
        return made

    def _bytes(self, data: bytes) -> Any:
        return self._keep(ffi.from_buffer(data))


def put_digest(image: bytearray, digest: int) -> None:
    """Sets the digest of the tokens that an image's self-test generates, and updates the checksum."""
    check(lib.shrew_write_digest(ffi.from_buffer(image, require_writable=True), len(image), digest), "image")


def _storage(storage: Iterable[Storage]) -> Any:
    return ffi.new("shrew_storage[]", [(TYPES.index(kind), group) for kind, group in storage])
