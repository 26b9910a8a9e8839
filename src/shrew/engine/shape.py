"""The shape of a model, from the engine: converting configurations, and the tensors that one implies."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import Any, Literal, NamedTuple, Protocol

from shrew.engine.binding import check, ffi, lib
from shrew.errors import ConfigError

Norm = Literal["rms", "rms-plain", "layer"]
Position = Literal["rope", "learned"]
Mlp = Literal["swiglu", "gelu", "relu"]

NORMS: dict[str, int] = {
    "rms": lib.SHREW_NORM_RMS,
    "rms-plain": lib.SHREW_NORM_RMS_PLAIN,
    "layer": lib.SHREW_NORM_LAYER,
}
POSITIONS: dict[str, int] = {"rope": lib.SHREW_POSITION_ROPE, "learned": lib.SHREW_POSITION_LEARNED}
MLPS: dict[str, int] = {"swiglu": lib.SHREW_MLP_SWIGLU, "gelu": lib.SHREW_MLP_GELU, "relu": lib.SHREW_MLP_RELU}

_CHOICES: dict[str, dict[str, int]] = {"norm": NORMS, "position": POSITIONS, "mlp": MLPS}
_NUMBERS = ("dim", "layers", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "norm_eps")
_FLAGS = {
    "bias_qkv": lib.SHREW_BIAS_QKV,
    "bias_out": lib.SHREW_BIAS_OUT,
    "bias_mlp": lib.SHREW_BIAS_MLP,
    "tied_head": lib.SHREW_TIED_HEAD,
    "embed_norm": lib.SHREW_EMBED_NORM,
    "final_norm": lib.SHREW_FINAL_NORM,
}


class Section(IntEnum):
    """The kinds of an image's sections."""

    CONFIG = lib.SHREW_SECTION_CONFIG
    TOKENIZER = lib.SHREW_SECTION_TOKENIZER
    DIRECTORY = lib.SHREW_SECTION_DIRECTORY
    WEIGHTS = lib.SHREW_SECTION_WEIGHTS
    METADATA = lib.SHREW_SECTION_METADATA
    SELFTEST = lib.SHREW_SECTION_SELFTEST
    UNICODE = lib.SHREW_SECTION_UNICODE
    COMMANDS = lib.SHREW_SECTION_COMMANDS
    PROMPTS = lib.SHREW_SECTION_PROMPTS
    MEMORY = lib.SHREW_SECTION_MEMORY


#: The version of the format that the engine reads and writes.
FORMAT_VERSION: int = lib.SHREW_FORMAT_VERSION

#: The role of the only tensor that is stored but not trained.
ROPE_FREQUENCY: int = lib.SHREW_ROPE_FREQUENCY


class Config(Protocol):
    """A configuration: the fields of ``shrew_config``, with enums as names and flags as separate fields."""

    @property
    def dim(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def head_dim(self) -> int: ...
    @property
    def ffn(self) -> int: ...
    @property
    def vocab(self) -> int: ...
    @property
    def context(self) -> int: ...
    @property
    def norm(self) -> Norm: ...
    @property
    def position(self) -> Position: ...
    @property
    def mlp(self) -> Mlp: ...
    @property
    def norm_eps(self) -> float: ...


class TensorSpec(NamedTuple):
    """One tensor. A matrix is [rows = outputs, cols = inputs], a vector is [cols] with ``rows`` 1."""

    name: str
    role: int
    """``shrew_role`` in shrew.h."""
    layer: int
    rows: int
    cols: int
    vector: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.cols,) if self.vector else (self.rows, self.cols)


def engine_config(config: Config) -> Any:
    """Converts to a ``shrew_config``. ConfigError for a name that the engine does not know."""
    fields: dict[str, Any] = {name: getattr(config, name) for name in _NUMBERS}
    for name, values in _CHOICES.items():
        chosen = getattr(config, name)
        if chosen not in values:
            raise ConfigError(f"model: {name} is {chosen!r}, must be one of {', '.join(values)}")
        fields[name] = values[chosen]
    fields["flags"] = sum(bit for name, bit in _FLAGS.items() if getattr(config, name))
    return ffi.new("shrew_config *", fields)


def config_fields(config: Any) -> dict[str, Any]:
    """Converts a ``shrew_config`` to the fields of :class:`Config`."""
    return {
        **{name: getattr(config, name) for name in _NUMBERS},
        **{name: list(values)[list(values.values()).index(getattr(config, name))] for name, values in _CHOICES.items()},
        **{name: bool(config.flags & bit) for name, bit in _FLAGS.items()},
    }


def shape_of(config: Config) -> Iterator[TensorSpec]:
    """The tensors that a configuration implies, in image order."""
    asked = engine_config(config)
    count, shape = ffi.new("uint32_t *"), ffi.new("shrew_shape *")
    name = ffi.new("char[]", lib.SHREW_TENSOR_NAME_BYTES)
    check(lib.shrew_shape_tensors(asked, count), "model")
    for index in range(count[0]):
        check(lib.shrew_shape_tensor(asked, index, shape), "model")
        check(lib.shrew_tensor_name(shape.role, shape.layer, name, len(name)), "model")
        text = ffi.string(name).decode()
        yield TensorSpec(text, shape.role, shape.layer, shape.rows, shape.cols, bool(shape.is_vector))
