"""A model's configuration: one dataclass, checked once, and the list of tensors that it implies, from the engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from shrew.engine.shape import ROPE_FREQUENCY, Mlp, Norm, Position, TensorSpec, shape_of
from shrew.errors import ConfigError

__all__ = ["Mlp", "ModelConfig", "Norm", "Position", "TensorSpec", "stored_tensors", "tensor_specs"]

MAX_DIM = 4096
MAX_LAYERS = 64
MAX_VOCAB = 0xFFFF
MAX_CONTEXT = 32768


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The shape and the options of one transformer.

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
    """Width of one head; 0 means ``dim / heads``. Even if positions are rotary."""
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
        if not 1e-12 <= self.norm_eps < 1.0:
            raise ConfigError(f"model: norm_eps is {self.norm_eps}, must be at least 1e-12 and below 1")
        if not self.rope_theta > 1.0:
            raise ConfigError(f"model: rope_theta is {self.rope_theta}, must be above 1")

    @property
    def parameters(self) -> int:
        """Number of trained values. A tied head counts once."""
        return sum(spec.rows * spec.cols for spec in tensor_specs(self))


@lru_cache(maxsize=64)
def _stored_tensors(config: ModelConfig) -> tuple[TensorSpec, ...]:
    return tuple(shape_of(config))


def stored_tensors(config: ModelConfig) -> list[TensorSpec]:
    """The tensors of an image in file order: the trained ones and the rotary frequencies."""
    return list(_stored_tensors(config))


def tensor_specs(config: ModelConfig) -> list[TensorSpec]:
    """All trained tensors of ``config``, in image order."""
    return [spec for spec in _stored_tensors(config) if spec.role != ROPE_FREQUENCY]
