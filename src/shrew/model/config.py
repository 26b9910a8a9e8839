"""What a model is: one dataclass, checked once, and the list of tensors that follows from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from shrew.errors import ConfigError

Norm = Literal["rms", "rms-plain", "layer"]
Position = Literal["rope", "learned"]
Mlp = Literal["swiglu", "gelu", "relu"]

MAX_DIM = 4096
MAX_LAYERS = 64
MAX_VOCAB = 0xFFFF
MAX_CONTEXT = 32768


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape and the switches of one transformer.

    Letters used for shapes everywhere: B batch, T time (tokens in a row), C ``dim``, H ``heads``, K ``kv_heads``,
    D ``head_dim``, F ``ffn``, V ``vocab``.
    """

    dim: int
    layers: int
    heads: int
    vocab: int
    context: int
    ffn: int
    kv_heads: int = 0
    """Key and value heads; 0 means as many as ``heads``. Divides ``heads``."""
    head_dim: int = 0
    """Width of one head; 0 means ``dim / heads``. Even where positions are rotary."""
    norm: Norm = "rms"
    position: Position = "rope"
    mlp: Mlp = "swiglu"
    bias_qkv: bool = False
    bias_out: bool = False
    bias_mlp: bool = False
    tied_head: bool = True
    embed_norm: bool = False
    """A norm between the embedding and the first layer."""
    final_norm: bool = True
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0

    def __post_init__(self) -> None:
        if self.kv_heads == 0:
            object.__setattr__(self, "kv_heads", self.heads)
        if self.head_dim == 0:
            if self.heads <= 0 or self.dim % self.heads:
                raise ConfigError(f"model: dim {self.dim} is not a multiple of heads {self.heads}; set head_dim")
            object.__setattr__(self, "head_dim", self.dim // self.heads)
        for name, most in (
            ("dim", MAX_DIM),
            ("layers", MAX_LAYERS),
            ("heads", MAX_DIM),
            ("kv_heads", MAX_DIM),
            ("head_dim", MAX_DIM),
            ("ffn", 4 * MAX_DIM),
            ("vocab", MAX_VOCAB),
            ("context", MAX_CONTEXT),
        ):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ConfigError(f"model: {name} is {value}, must be 1 to {most}")
        if self.heads % self.kv_heads:
            raise ConfigError(f"model: heads {self.heads} is not a multiple of kv_heads {self.kv_heads}")
        if self.heads * self.head_dim > MAX_DIM:
            raise ConfigError(f"model: heads x head_dim is {self.heads * self.head_dim}, must be at most {MAX_DIM}")
        if self.position == "rope" and self.head_dim % 2:
            raise ConfigError(f"model: rotary positions need an even head_dim, not {self.head_dim}")
        if not 0.0 < self.norm_eps < 1.0:
            raise ConfigError(f"model: norm_eps is {self.norm_eps}, must lie between 0 and 1")
        if not self.rope_theta > 1.0:
            raise ConfigError(f"model: rope_theta is {self.rope_theta}, must be above 1")

    @property
    def parameters(self) -> int:
        """Number of trained values; a tied head counts once."""
        return sum(spec.rows * spec.cols for spec in tensor_specs(self))


class TensorSpec(NamedTuple):
    """One trained tensor. A matrix is [rows = outputs, cols = inputs], a vector is [cols] with ``rows`` 1."""

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


def tensor_specs(config: ModelConfig) -> list[TensorSpec]:
    """All trained tensors of ``config`` in the order in which an image stores them."""
    c = config
    specs: list[TensorSpec] = []

    def matrix(name: str, role: int, rows: int, cols: int, layer: int = 0) -> None:
        specs.append(TensorSpec(name, role, layer, rows, cols, vector=False))

    def vector(name: str, role: int, cols: int, layer: int = 0) -> None:
        specs.append(TensorSpec(name, role, layer, 1, cols, vector=True))

    def norm(name: str, role: int, layer: int = 0) -> None:
        if c.norm != "rms-plain":
            vector(f"{name}.weight", role, c.dim, layer)
        if c.norm == "layer":
            vector(f"{name}.bias", role + 1, c.dim, layer)

    matrix("token_embedding.weight", 0, c.vocab, c.dim)
    if c.position == "learned":
        matrix("position_embedding.weight", 1, c.context, c.dim)
    if c.embed_norm:
        norm("embed_norm", 3)
    query, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    for i in range(c.layers):
        p = f"layers.{i}"
        norm(f"{p}.attention_norm", 5, i)
        matrix(f"{p}.query.weight", 7, query, c.dim, i)
        matrix(f"{p}.key.weight", 8, kv, c.dim, i)
        matrix(f"{p}.value.weight", 9, kv, c.dim, i)
        if c.bias_qkv:
            vector(f"{p}.query.bias", 10, query, i)
            vector(f"{p}.key.bias", 11, kv, i)
            vector(f"{p}.value.bias", 12, kv, i)
        matrix(f"{p}.out.weight", 13, c.dim, query, i)
        if c.bias_out:
            vector(f"{p}.out.bias", 14, c.dim, i)
        norm(f"{p}.mlp_norm", 15, i)
        if c.mlp == "swiglu":
            matrix(f"{p}.gate.weight", 17, c.ffn, c.dim, i)
        matrix(f"{p}.up.weight", 18, c.ffn, c.dim, i)
        if c.bias_mlp:
            if c.mlp == "swiglu":
                vector(f"{p}.gate.bias", 19, c.ffn, i)
            vector(f"{p}.up.bias", 20, c.ffn, i)
        matrix(f"{p}.down.weight", 21, c.dim, c.ffn, i)
        if c.bias_mlp:
            vector(f"{p}.down.bias", 22, c.dim, i)
    if c.final_norm:
        norm("final_norm", 23)
    if not c.tied_head:
        matrix("head.weight", 25, c.vocab, c.dim)
    return specs
