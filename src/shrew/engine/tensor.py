"""Matrices as an image stores them: floats, or integers with scales, packed into bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib


class _Kind(NamedTuple):
    """``shrew_type_description``"""

    name: str
    range: tuple[int, int]
    rows_per_byte: int
    digit_of_zero: int
    usual_group: int


def _describe(kind: int) -> _Kind:
    told = ffi.new("shrew_type_description *")
    check(lib.shrew_describe_type(kind, told), f"weight type {kind}")
    name = ffi.string(told.name).decode()
    return _Kind(name, (told.low, told.high), told.rows_per_byte, told.digit_of_zero, told.usual_group)


_KINDS = [_describe(kind) for kind in range(lib.SHREW_TYPES)]

#: In the order of ``shrew_type``.
TYPES = tuple(kind.name for kind in _KINDS)

#: Default group size of each type: columns that share a multiplier; 0: a whole row.
DEFAULT_GROUP = {kind.name: kind.usual_group for kind in _KINDS}

#: What may share a multiplier: columns of a row.
GROUPS: Final = range(lib.SHREW_GROUP_STEP, lib.SHREW_MAX_GROUP + 1, lib.SHREW_GROUP_STEP)

#: Smallest and largest integer of each quantised type.
RANGES = {kind.name: kind.range for kind in _KINDS if any(kind.range)}

#: Rows that share a byte.
ROWS_PER_BYTE = {kind.name: kind.rows_per_byte for kind in _KINDS}

#: Added to an integer before it is packed.
_DIGIT_OF_ZERO = {kind.name: kind.digit_of_zero for kind in _KINDS}

#: An image pads each line of data to a multiple of so many bytes, the data of a tensor and its scales to one of these.
STRIDE_ALIGNMENT: Final[int] = lib.STRIDE_ALIGNMENT
DATA_ALIGNMENT: Final[int] = lib.DATA_ALIGNMENT

#: What the directory of an image says of a tensor.
ENTRY_BYTES: Final[int] = lib.TENSOR_ENTRY_BYTES


@dataclass(frozen=True)
class QuantizedMatrix:
    """A matrix [rows, cols] of integers with scales: ``values * row_scales * multipliers``."""

    type: str
    group: int
    """Columns that share a multiplier, a multiple of 16 from 16 to 256; 0: no multipliers."""
    values: NDArray[np.int8]
    """[rows, cols], within :data:`RANGES`."""
    row_scales: NDArray[np.float32]
    """[rows]"""
    multipliers: NDArray[np.int8] | None
    """[rows, ceil(cols / group)], at most :func:`multiplier_limit` in magnitude; None if ``group`` is 0."""

    def floats(self) -> NDArray[np.float32]:
        """The matrix as floats, [rows, cols]."""
        scales = self.row_scales[:, None]
        if self.multipliers is not None:
            spread = np.repeat(self.multipliers, self.group, axis=1)[:, : self.values.shape[1]]
            scales = scales * spread.astype(np.float32)
        return np.asarray(self.values.astype(np.float32) * scales, dtype=np.float32)


@dataclass(frozen=True)
class Tensor:
    """A weight tensor in an image."""

    type: str
    rows: int
    cols: int
    group: int
    stride: int
    """Bytes from one row (q4: two rows, ternary: four) to the next."""
    data: NDArray[np.uint8]
    """[ceil(rows / rows per byte), stride], a view into the image."""
    row_scales: NDArray[np.float32] | None
    """[rows], a view into the image; None for f32."""
    multipliers: NDArray[np.int8] | None
    """[rows, groups], a view into the image; None if a row is one group."""

    @property
    def bytes(self) -> int:
        """Bytes of the tensor in the image, including scales."""
        scales = (part.nbytes for part in (self.row_scales, self.multipliers) if part is not None)
        return self.data.nbytes + sum(scales)

    def quantized(self) -> QuantizedMatrix:
        """The integers and scales of a quantised tensor."""
        assert self.row_scales is not None
        values = unpack(self.data, self.type, self.rows, self.cols)
        return QuantizedMatrix(self.type, self.group, values, self.row_scales, self.multipliers)

    def values(self) -> NDArray[np.float32]:
        """The tensor as floats [rows, cols]."""
        if self.row_scales is None:
            return np.array(self.data.view(np.float32)[:, : self.cols])
        return self.quantized().floats()


def unpack(data: NDArray[np.uint8], kind: str, rows: int, cols: int) -> NDArray[np.int8]:
    """Unpacks the integers [rows, cols] of a tensor's data in an image."""
    per_byte, offset = ROWS_PER_BYTE[kind], _DIGIT_OF_ZERO[kind]
    bits = 8 // per_byte
    digits = np.stack([data >> (bits * i) & (0xFF >> (8 - bits)) for i in range(per_byte)], axis=1)
    return digits.reshape(-1, data.shape[1])[:rows, :cols].view(np.int8) - np.int8(offset)


def multiplier_limit(kind: str, cols: int) -> int:
    """The largest magnitude of a multiplier in a matrix with ``cols`` columns."""
    return int(lib.shrew_quantize_limit(TYPES.index(kind), cols))


def fit_scales(
    matrix: NDArray[np.float32], kind: str, group: int, importance: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Scales [rows, groups] to learn from, of the least squared error; ``importance`` [cols] weights the columns."""
    source = np.ascontiguousarray(matrix, dtype=np.float32)
    rows, cols = source.shape
    scales = np.zeros((rows, -(-cols // (group or cols))), dtype=np.float32)
    status = lib.shrew_fit_scales(
        TYPES.index(kind),
        ffi.from_buffer("float[]", source),
        rows,
        cols,
        group,
        ffi.from_buffer("float[]", np.ascontiguousarray(importance, dtype=np.float32)),
        ffi.from_buffer("float[]", scales, require_writable=True),
    )
    check(status, f"scales of {kind}, group {group}")
    return scales


def quantize(matrix: NDArray[np.float32], kind: str, group: int, name: str = "matrix") -> QuantizedMatrix:
    """Quantises a float matrix [rows, cols], rounding each value to the nearest that its group can represent.

    Raises EngineError if a value is NaN, infinite or at least 2^100 in magnitude, or the group size is invalid.
    """
    source = np.ascontiguousarray(matrix, dtype=np.float32)
    rows, cols = source.shape
    values = np.zeros((rows, cols), dtype=np.int8)
    row_scales = np.zeros(rows, dtype=np.float32)
    multipliers = np.zeros((rows, -(-cols // group)), dtype=np.int8) if group else None
    status = lib.shrew_quantize(
        TYPES.index(kind),
        ffi.from_buffer("float[]", source),
        rows,
        cols,
        group,
        ffi.from_buffer("int8_t[]", values, require_writable=True),
        ffi.from_buffer("float[]", row_scales, require_writable=True),
        ffi.NULL if multipliers is None else ffi.from_buffer("int8_t[]", multipliers, require_writable=True),
    )
    check(status, f"{name}: quantising to {kind}, group {group}")
    return QuantizedMatrix(kind, group, values, row_scales, multipliers)
