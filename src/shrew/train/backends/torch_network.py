"""The transformer in PyTorch, for GPUs: the same function as ``shrew.model.transformer``, differentiated by autograd.

Batches stay packed rows, and a mask separates documents, whereas NumPy divides the rows into blocks of documents. All
batches then have one shape, so that ``torch.compile`` compiles once and a step is a short sequence of large kernels. A
GPU can afford the additional arithmetic, a CPU cannot.

Shapes in comments: B rows, T positions, C dim, H heads, K key heads, D head_dim, F ffn, V vocab.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shrew.corpus.packed import PackedRows
from shrew.model.attention import rope_frequencies
from shrew.model.config import ModelConfig, tensor_specs

#: Neighbours in the flat vector that are used as one matrix.
STACKED = {"query": "qkv", "key": "qkv", "value": "qkv", "gate": "up"}

Weights = dict[str, Tensor]


class Rows(NamedTuple):
    """Packed rows on the device, [B, T] each."""

    inputs: Tensor
    targets: Tensor
    documents: Tensor
    positions: Tensor
    weights: Tensor

    @classmethod
    def of(cls, rows: PackedRows, count: int, device: torch.device) -> Rows:
        """``rows``, padded to ``count`` with rows in which nothing is learned."""
        ids = np.zeros((4, count, rows.inputs.shape[1]), np.int64)
        ids[:, : len(rows)] = rows.inputs, rows.targets, rows.documents, rows.positions
        weights = np.zeros(ids.shape[1:], np.float32)
        weights[: len(rows)] = rows.weights
        inputs, targets, documents, positions = torch.from_numpy(ids).to(device)
        return cls(inputs, targets, documents, positions, torch.from_numpy(weights).to(device))


class Network:
    """The function from parameters and rows to a loss. The caller keeps the parameters."""

    def __init__(self, config: ModelConfig, device: torch.device, precision: torch.dtype) -> None:
        self._config, self._device, self._precision = config, device, precision
        self._shapes: dict[str, tuple[int, ...]] = {}
        for spec in tensor_specs(config):
            *path, matrix, kind = spec.name.split(".")
            name = ".".join([*path, STACKED.get(matrix, matrix), kind])
            rows, *cols = spec.shape
            self._shapes[name] = (self._shapes.get(name, (0,))[0] + rows, *cols)
        angles = np.arange(config.context, dtype=np.float32)[:, None] * rope_frequencies(config)  # [context, D/2]
        self._cos, self._sin = (torch.from_numpy(f(angles)).to(device) for f in (np.cos, np.sin))

    def nats(self, flat: Tensor, rows: Rows) -> Tensor:
        """The summed loss of all tokens times their weights. ``flat`` has the layout of ``Parameters``.

        A single split of one vector has a single backward, which writes all gradients side by side.
        """
        parts = torch.split(flat, [math.prod(shape) for shape in self._shapes.values()])
        weights = {name: part.view(shape) for (name, shape), part in zip(self._shapes.items(), parts, strict=True)}
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._precision == torch.bfloat16):
            logits = self._logits(weights, rows)
        nats = F.cross_entropy(logits.float().flatten(0, 1), rows.targets.flatten(), reduction="none")  # [B*T]
        return nats @ rows.weights.flatten()

    def _logits(self, w: Weights, rows: Rows) -> Tensor:
        """[B, T, V]"""
        c = self._config
        x = F.embedding(rows.inputs, w["token_embedding.weight"])  # [B, T, C], the sum of all layers: float32 always
        if c.position == "learned":
            x = x + F.embedding(rows.positions, w["position_embedding.weight"])
        if c.embed_norm:
            x = self._norm(w, "embed_norm", x)
        mask = self._mask(rows.documents)
        cos, sin = (table[rows.positions].unsqueeze(2) for table in (self._cos, self._sin))  # [B, T, 1, D/2]
        for i in range(c.layers):
            layer = f"layers.{i}"
            qkv = _linear(w, f"{layer}.qkv", self._norm(w, f"{layer}.attention_norm", x))
            x = x + _linear(w, f"{layer}.out", self._attention(qkv, mask, cos, sin))
            up = _linear(w, f"{layer}.up", self._norm(w, f"{layer}.mlp_norm", x))
            x = x + _linear(w, f"{layer}.down", self._activation(up))
        if c.final_norm:
            x = self._norm(w, "final_norm", x)
        return F.linear(x, w["token_embedding.weight" if c.tied_head else "head.weight"])

    def _mask(self, documents: Tensor) -> Tensor:
        """[B, 1, T, T] 0 where a position sees another, else minus infinity; padding sees padding.

        An additive mask: attention would convert a boolean mask to this in every layer.
        """
        T = documents.shape[1]
        same = documents[:, :, None] == documents[:, None, :]
        seen = same & torch.ones(T, T, dtype=torch.bool, device=self._device).tril()
        mask = torch.zeros(seen.shape, dtype=self._precision, device=self._device)
        return mask.masked_fill_(~seen, -torch.inf).unsqueeze(1)

    def _norm(self, w: Weights, name: str, x: Tensor) -> Tensor:
        c = self._config
        if c.norm == "layer":
            return F.layer_norm(x, (c.dim,), w[f"{name}.weight"], w[f"{name}.bias"], c.norm_eps)
        return F.rms_norm(x, (c.dim,), w.get(f"{name}.weight"), c.norm_eps)

    def _attention(self, qkv: Tensor, mask: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """[B, T, (H + 2K) * D] to [B, T, H * D]."""
        c = self._config
        qk, v = qkv.view(*qkv.shape[:2], -1, c.head_dim).tensor_split([c.heads + c.kv_heads], dim=2)
        if c.position == "rope":
            even, odd = qk[..., 0::2], qk[..., 1::2]  # [B, T, H + K, D/2]
            qk = torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)
        q, k = qk.tensor_split([c.heads], dim=2)
        # Keys and values are repeated for the queries of their group: with fewer heads than queries and a mask, PyTorch
        # falls back to the attention that stores all scores.
        group = c.heads // c.kv_heads
        k, v = (x.repeat_interleave(group, dim=2) if group > 1 else x for x in (k, v))
        q, k, v = (x.transpose(1, 2).to(self._precision) for x in (q, k, v))  # [B, H, T, D]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)

    def _activation(self, up: Tensor) -> Tensor:
        if self._config.mlp == "swiglu":
            gate, up = up.chunk(2, dim=-1)
            return F.silu(gate) * up
        return F.gelu(up, approximate="tanh") if self._config.mlp == "gelu" else F.relu(up)


def _linear(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))
