"""The models of bench/train.py in idiomatic PyTorch: fused projections, fused attention, fused AdamW.

Written independently of shrew.model; parameters have the names of ``tensor_specs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shrew.model.config import ModelConfig


class Norm(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(c.dim))
        self.bias = nn.Parameter(torch.zeros(c.dim)) if c.norm == "layer" else None
        self.eps = c.norm_eps

    def forward(self, x: Tensor) -> Tensor:
        if self.bias is None:
            return functional.rms_norm(x, x.shape[-1:], self.weight, self.eps)
        return functional.layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)


class Attention(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.split = [c.heads * c.head_dim, c.kv_heads * c.head_dim, c.kv_heads * c.head_dim]
        self.head_dim, self.groups = c.head_dim, c.heads // c.kv_heads
        self.qkv = nn.Linear(c.dim, sum(self.split), bias=c.bias_qkv)
        self.out = nn.Linear(c.heads * c.head_dim, c.dim, bias=c.bias_out)

    def forward(self, x: Tensor, cos: Tensor | None, sin: Tensor | None) -> Tensor:
        B, T, _ = x.shape
        q, k, v = (part.view(B, T, -1, self.head_dim) for part in self.qkv(x).split(self.split, dim=2))
        if cos is not None and sin is not None:
            q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if self.groups > 1:  # faster on a CPU than enable_gqa, which leaves the fused kernel
            k, v = k.repeat_interleave(self.groups, 1), v.repeat_interleave(self.groups, 1)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(y.transpose(1, 2).reshape(B, T, -1))
        return out


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates x [B, T, heads, D] by cos and sin [T, 1, D/2]; neighbouring values are a pair."""
    even, odd = x.view(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class Mlp(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.gated = c.mlp == "swiglu"
        self.up = nn.Linear(c.dim, c.ffn * (2 if self.gated else 1), bias=c.bias_mlp)
        self.down = nn.Linear(c.ffn, c.dim, bias=c.bias_mlp)

    def forward(self, x: Tensor) -> Tensor:
        up: Tensor = self.up(x)
        if self.gated:
            gate, up = up.chunk(2, dim=-1)
            hidden = functional.silu(gate) * up
        else:
            hidden = functional.gelu(up, approximate="tanh")
        down: Tensor = self.down(hidden)
        return down


class Layer(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.attention_norm, self.attention = Norm(c), Attention(c)
        self.mlp_norm, self.mlp = Norm(c), Mlp(c)

    def forward(self, x: Tensor, cos: Tensor | None, sin: Tensor | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out


class TorchGpt(nn.Module):
    def __init__(self, c: ModelConfig, T: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(c.vocab, c.dim)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.final_norm = Norm(c)
        self.position_embedding = nn.Embedding(c.context, c.dim) if c.position == "learned" else None
        self.cos = self.sin = None
        if c.position == "rope":
            frequencies = c.rope_theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
            angles = (torch.arange(T)[:, None] * frequencies)[:, None]
            self.cos, self.sin = angles.cos().float(), angles.sin().float()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of ids [B, T]; the head is tied to the embedding."""
        x = self.token_embedding(ids)
        if self.position_embedding is not None:
            x = x + self.position_embedding.weight[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = functional.linear(self.final_norm(x), self.token_embedding.weight)
        return functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def take(self, c: ModelConfig, tensors: Mapping[str, NDArray[np.floating[Any]]]) -> None:
        """Copies the parameters of a Shrew model."""

        def stacked(layer: str, names: str, kind: str) -> Tensor:
            return torch.cat([torch.from_numpy(tensors[f"{layer}.{name}.{kind}"]) for name in names.split()])

        up = "gate up" if c.mlp == "swiglu" else "up"
        state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items() if not name.startswith("layers.")}
        for target in self.state_dict():
            if target.startswith("layers."):
                *path, module, kind = target.split(".")
                names = {"qkv": "query key value", "up": up}.get(module, module)
                state[target] = stacked(".".join(path[:2]), names, kind)
        self.load_state_dict(state)


def training_step(
    model: TorchGpt, compiled: bool, learning_rate: float, weight_decay: float, betas: tuple[float, float], clip: float
) -> Callable[[Tensor, Tensor], float]:
    """One optimiser step on ids and targets [B, T], as a function that returns the loss before it."""
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)
    loss_of: Any = torch.compile(model) if compiled else model

    def step(ids: Tensor, targets: Tensor) -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(ids, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        return float(loss.detach())

    return step
