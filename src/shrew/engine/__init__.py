"""The Python face of the C engine: the only package that touches C.

:class:`Model` is a validated image, :class:`Session` one conversation with it. This package allocates their memory; the
engine only uses it.
"""

from shrew.engine.model import Model
from shrew.engine.session import (
    MAX_COMMAND_BYTES,
    MAX_STOP_BYTES,
    PROMPT_BYTES_PER_TOKEN,
    SAMPLING_OPTIONS,
    Progress,
    Sampling,
    Session,
    units,
)
from shrew.engine.shape import FORMAT_VERSION, ROPE_FREQUENCY, Section, TensorSpec
from shrew.engine.tensor import (
    DATA_ALIGNMENT,
    DEFAULT_GROUP,
    ENTRY_BYTES,
    GROUPS,
    ROWS_PER_BYTE,
    STRIDE_ALIGNMENT,
    TYPES,
    QuantizedMatrix,
    multiplier_limit,
    quantize,
)

__all__ = [
    "DATA_ALIGNMENT",
    "DEFAULT_GROUP",
    "ENTRY_BYTES",
    "FORMAT_VERSION",
    "GROUPS",
    "MAX_COMMAND_BYTES",
    "MAX_STOP_BYTES",
    "PROMPT_BYTES_PER_TOKEN",
    "ROPE_FREQUENCY",
    "ROWS_PER_BYTE",
    "SAMPLING_OPTIONS",
    "STRIDE_ALIGNMENT",
    "TYPES",
    "Model",
    "Progress",
    "QuantizedMatrix",
    "Sampling",
    "Section",
    "Session",
    "TensorSpec",
    "multiplier_limit",
    "quantize",
    "units",
]
