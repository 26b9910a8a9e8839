"""The network against an independent one in PyTorch, whose gradients come from autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gradient_checks import pack_lengths, random_parameters

from shrew.model.attention import rope_frequencies
from shrew.model.config import ModelConfig
from shrew.model.gradients import loss_and_gradients
from shrew.model.transformer import forward

torch = pytest.importorskip("torch")
F = torch.nn.functional

BASE = ModelConfig(dim=24, layers=3, heads=6, kv_heads=2, head_dim=6, vocab=31, context=80, ffn=20)
ALL_BIASES = {"bias_qkv": True, "bias_out": True, "bias_mlp": True}
CONFIGS = {
    "llama": BASE,
    "llama-untied-biased": replace(BASE, tied_head=False, embed_norm=True, rope_theta=500.0, **ALL_BIASES),
    "gpt2": replace(BASE, norm="layer", position="learned", mlp="gelu", kv_heads=6, **ALL_BIASES),
    "plain-relu": replace(BASE, norm="rms-plain", mlp="relu", final_norm=False, embed_norm=True),
}


def torch_norm(c, p, name, x):
    if c.norm == "layer":
        return F.layer_norm(x, (c.dim,), p[f"{name}.weight"], p[f"{name}.bias"], c.norm_eps)
    return F.rms_norm(x, (c.dim,), p.get(f"{name}.weight"), c.norm_eps)


def torch_rope(c, x, positions):
    """x [B, heads, T, D]; written with real numbers, pair by pair."""
    angles = positions.to(torch.float32)[:, None, :, None] * torch.from_numpy(rope_frequencies(c))
    cos, sin = angles.to(x.dtype).cos(), angles.to(x.dtype).sin()
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).flatten(-2)


def torch_forward(c, p, rows):
    """Logits [R, T, V] over whole packed rows, documents kept apart by a mask."""
    ids, positions, documents = (
        torch.from_numpy(x.astype(np.int64)) for x in (rows.inputs, rows.positions, rows.documents)
    )
    R, T = ids.shape
    same = documents[:, :, None] == documents[:, None, :]
    mask = (same & torch.ones(T, T, dtype=torch.bool).tril())[:, None]
    x = p["token_embedding.weight"][ids]
    if c.position == "learned":
        x = x + p["position_embedding.weight"][positions]
    if c.embed_norm:
        x = torch_norm(c, p, "embed_norm", x)

    def apply(name, x):
        return F.linear(x, p[f"{name}.weight"], p.get(f"{name}.bias"))

    for i in range(c.layers):
        layer = f"layers.{i}"
        h = torch_norm(c, p, f"{layer}.attention_norm", x)
        q, k, v = (
            apply(f"{layer}.{n}", h).view(R, T, -1, c.head_dim).transpose(1, 2) for n in ("query", "key", "value")
        )
        if c.position == "rope":
            q, k = torch_rope(c, q, positions), torch_rope(c, k, positions)
        h = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        x = x + apply(f"{layer}.out", h.transpose(1, 2).reshape(R, T, -1))
        h = torch_norm(c, p, f"{layer}.mlp_norm", x)
        up = apply(f"{layer}.up", h)
        if c.mlp == "swiglu":
            h = F.silu(apply(f"{layer}.gate", h)) * up
        else:
            h = F.gelu(up, approximate="tanh") if c.mlp == "gelu" else F.relu(up)
        x = x + apply(f"{layer}.down", h)
    if c.final_norm:
        x = torch_norm(c, p, "final_norm", x)
    return F.linear(x, p["token_embedding.weight" if c.tied_head else "head.weight"])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-10), (np.float32, 1e-4)])
def test_logits_loss_and_gradients(name, dtype, tolerance):
    config = CONFIGS[name]
    parameters = random_parameters(config, dtype)
    parameters.flat *= 0.5
    rows = pack_lengths([[70, 5], [30, 30, 15], [79], [1, 2, 3, 4], [64, 1]], 80, config.vocab)

    tensors = {n: torch.from_numpy(x.copy()).requires_grad_() for n, x in parameters.items()}
    logits = torch_forward(config, tensors, rows)
    weights = torch.from_numpy(rows.weights).to(logits.dtype)
    targets = torch.from_numpy(rows.targets.astype(np.int64))
    expected = (F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none") * weights.flatten()).sum()
    expected.backward()

    real = rows.documents >= 0
    ours = forward(config, parameters, rows.inputs, documents=rows.documents, positions=rows.positions)
    np.testing.assert_allclose(ours[real], logits.detach().numpy()[real], rtol=tolerance, atol=tolerance)
    loss, _, gradients = loss_and_gradients(config, parameters, rows)
    assert loss == pytest.approx(expected.item(), rel=tolerance)
    scale = np.abs(gradients.flat).max()  # of all: without rotary positions a key's bias has no gradient but rounding
    for tensor, gradient in gradients.items():
        autograd = tensors[tensor].grad.numpy()
        np.testing.assert_allclose(gradient, autograd, rtol=tolerance, atol=tolerance * scale, err_msg=tensor)
