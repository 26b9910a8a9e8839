"""Rescales a model so that its matrices are easier to round, without changing its function.

Each channel between a norm and the matrices that read it can be divided by a factor in the norm's gain, which stays
float, and multiplied by it in the matrices. The factor is the square root of the channel's magnitude, so that inputs
and weights matter about equally (Xiao et al. 2022, SmoothQuant; Lin et al. 2023, AWQ). Doing the same between up and
down, and between value and out, gained nothing in experiments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from shrew.model.config import ModelConfig
from shrew.model.documents import Block
from shrew.model.parameters import Array, Parameters
from shrew.model.transformer import network_forward

#: Matrices of a layer, grouped by their input.
NORMED, MIXED, MLP_IN, HIDDEN = ("query", "key", "value"), ("out",), ("gate", "up"), ("down",)

#: Mean square of each input column of a matrix, by name of the matrix.
Moments = dict[str, Array]


def input_moments(config: ModelConfig, parameters: Parameters, blocks: Iterable[Block]) -> Moments:
    """Mean square of the inputs of each matrix per column, [C]. Includes the embedding if it is also the head."""
    wide = Parameters(
        config, parameters.flat.astype(np.float64)
    )  # float64 uses the operators whose forward saves the inputs of every matrix
    sums: dict[str, Array] = {}
    rows = 0
    for block in blocks:
        logits, saved = network_forward(config, wide.network, block.inputs, block.positions, None, save=True)
        rows += len(logits)
        readings = {"token_embedding" if config.tied_head else "head": saved.features}
        for i, layer in enumerate(saved.layers):
            inputs = (layer.normed, layer.mixed, layer.mlp_in, layer.hidden)
            for names, x in zip((NORMED, MIXED, MLP_IN, HIDDEN), inputs, strict=True):
                readings.update((f"layers.{i}.{name}", x) for name in names)
        for name, x in readings.items():
            sums[name] = sums.get(name, 0) + np.einsum("nc,nc->c", x, x)
    moments = {f"{name}.weight": total / rows for name, total in sums.items() if f"{name}.weight" in parameters}
    return {name: moment + 1e-4 * moment.mean() + 1e-12 for name, moment in moments.items()}


def balance(config: ModelConfig, parameters: Mapping[str, Array], moments: Moments) -> tuple[Parameters, Moments]:
    """Parameters with the same function and balanced channels, and their moments."""
    balanced, moments = Parameters.of(config, parameters).copy(), dict(moments)
    norms: dict[str, list[str]] = {} if config.tied_head else {"final_norm": ["head.weight"]}
    for layer in (f"layers.{i}" for i in range(config.layers)):
        norms[f"{layer}.attention_norm"] = [f"{layer}.{name}.weight" for name in NORMED]
        norms[f"{layer}.mlp_norm"] = [f"{layer}.{name}.weight" for name in MLP_IN]
    for norm, readers in norms.items():
        if f"{norm}.weight" not in balanced:
            continue
        factor = _factor(moments[readers[-1]])
        for name in (f"{norm}.weight", f"{norm}.bias"):
            if name in balanced:
                tensor = balanced[name]
                tensor /= factor
        for name in readers:
            if name in balanced:
                tensor = balanced[name]
                tensor *= factor
                moments[name] = moments[name] / factor**2
    return balanced, moments


def _factor(moment: Array) -> Array:
    """The square root of each channel's magnitude, normalised to a geometric mean of one."""
    return np.asarray((moment / np.exp(np.log(moment).mean())) ** 0.25, dtype=np.float32)
