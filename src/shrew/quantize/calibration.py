"""Calibration: the rounded network learns to give the outputs of the float network.

Rounding each matrix to nearest costs a small model a fifth of a nat at four bits. Learning roundings, scales and gains
together recovers two thirds of that. The target is the float model's whole distribution at every token (Hinton et al.
2015), which needs no labels and little text. Starting from GPTQ instead of round-to-nearest began with a lower loss,
but ended no better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor

import numpy as np

from shrew.corpus import PackedRows
from shrew.image import WeightType
from shrew.image.writer import Matrix
from shrew.model.config import ModelConfig, tensor_specs
from shrew.model.divergence import divergence
from shrew.model.documents import Block, split_into_blocks
from shrew.model.parameters import Array, Parameters
from shrew.model.transformer import network_backward, network_forward
from shrew.quantize.balance import balance, input_moments
from shrew.quantize.rounded import Adam, Rounded

#: Approximate tokens per block, and blocks per step, which threads share.
BLOCK_TOKENS, STEP_BLOCKS = 512, 2
STEP_TOKENS = BLOCK_TOKENS * STEP_BLOCKS

#: Number of blocks on which the importance of inputs is measured.
MOMENT_BLOCKS = 16

#: Bytes of features that a reference caches; those of further blocks are recomputed.
REMEMBERED_BYTES = 256 << 20

#: Initial learning rates, in units of a quantisation step, of a scale, and of a tensor's root mean square.
GRID_RATE, SCALE_RATE, FLOAT_RATE = 7e-3, 1e-3, 5e-4

#: Types whose roundings are learnt; for q8, rounding to nearest is fine enough.
LEARNT_TYPES = ("q4", "ternary")


def calibration_tokens(steps: int) -> int:
    """Tokens of text that this many steps read once. The network starts to memorise text that it reads twice."""
    return STEP_TOKENS * max(steps, MOMENT_BLOCKS // 2)


class Calibrated:
    """The network being calibrated: its values before rounding, its scales, and the tensors that stay float."""

    def __init__(
        self, config: ModelConfig, latent: Parameters, types: Mapping[str, WeightType], importance: Mapping[str, Array]
    ) -> None:
        self.latent = latent
        learnt = {
            spec.name: types[spec.name]
            for spec in tensor_specs(config)
            if not spec.vector and types[spec.name].type in LEARNT_TYPES
        }
        self.rounded = Rounded(latent, learnt, SCALE_RATE, importance)
        rates = Parameters.zeros(config)
        for name in rates:
            rates[name][...] = self._rate(name)
        self._rate_flat = rates.flat
        self._adam = Adam(latent.flat.size)

    def _rate(self, name: str) -> float:
        if name in self.rounded.roundings:
            return GRID_RATE * float(np.abs(self.rounded.roundings[name].scales).mean())
        return FLOAT_RATE * math.sqrt(float(np.mean(np.square(self.latent[name]))))

    def round(self, executor: Executor | None = None) -> Parameters:
        """The parameters as the image will have them."""
        return self.rounded.round(self.latent, executor)

    def learn(self, gradients: Parameters, share: float) -> None:
        """One step at ``share`` of the full rates, from the gradients of the rounded parameters."""
        of_scales = self.rounded.pull_back(gradients)
        self.latent.flat -= np.float32(share) * self._rate_flat * self._adam.direction(gradients.flat)
        self.rounded.learn(of_scales, share)

    def matrices(self) -> dict[str, Matrix]:
        """The tensors for the writer of images."""
        floats = {name: latent.copy() for name, latent in self.latent.items()}
        return {**floats, **self.rounded.quantized(self.latent)}


class Reference:
    """The float network, evaluated on the same blocks repeatedly. Caches the inputs of its head, up to a size."""

    def __init__(self, config: ModelConfig, parameters: Parameters, blocks: list[Block]) -> None:
        self.config, self.parameters, self.blocks = config, parameters, blocks
        self._features: dict[int, Array] = {}
        self._room = REMEMBERED_BYTES

    def distance(self, rounded: Parameters, index: int, gradients: Parameters | None = None) -> tuple[float, int]:
        """Summed KL divergence of ``rounded`` from the reference over the learnt tokens of a block, and their number.

        Adds the gradients to ``gradients``.
        """
        c, block = self.config, self.blocks[index]
        kept = np.flatnonzero(block.weights)
        places = block.inputs, block.positions, kept
        features = self._features.get(index)
        if features is None:
            features = network_forward(c, self.parameters.network, *places, save=False)[1].features
            if features.nbytes <= self._room:
                self._room -= features.nbytes
                self._features[index] = features
        expected = features @ self.parameters.network.head.T
        logits, saved = network_forward(c, rounded.network, *places, save=gradients is not None)
        distance, dlogits = divergence(expected, logits)
        if gradients is not None:
            network_backward(c, rounded.network, gradients.network, dlogits, saved)
        return distance, len(kept)

    def mean_distance(self, rounded: Parameters, executor: Executor | None = None) -> float:
        """Mean divergence in nats per token: the increase of the loss on text that the reference generates."""
        indices = range(len(self.blocks))
        parts = list((executor.map if executor else map)(lambda i: self.distance(rounded, i), indices))
        return sum(part[0] for part in parts) / sum(part[1] for part in parts)


def calibrate(
    config: ModelConfig,
    parameters: Mapping[str, Array],
    types: Mapping[str, WeightType],
    rows: PackedRows,
    *,
    steps: int,
    seed: int = 0,
    executor: Executor | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> dict[str, Matrix]:
    """All tensors for the writer of images; those of q4 and ternary as integers that were calibrated on ``rows``.

    The threads of ``executor`` share the work; the result does not depend on it. ``progress`` is called with each
    step's number and the divergence from the float network, in nats per token. With 0 steps, only balances and rounds.
    """
    reference = Reference(config, Parameters.of(config, parameters), split_into_blocks(rows, BLOCK_TOKENS))
    order = np.random.default_rng(seed)
    some = order.permutation(len(reference.blocks))[:MOMENT_BLOCKS]
    moments = input_moments(config, reference.parameters, [reference.blocks[i] for i in some])
    balanced, moments = balance(config, reference.parameters, moments)
    calibrated = Calibrated(config, balanced, types, moments)
    queue: list[int] = []
    for step in range(steps):
        rounded = calibrated.round(executor)

        def part(index: int, rounded: Parameters = rounded) -> tuple[float, int, Parameters]:
            gradients = Parameters.zeros(config)
            return *reference.distance(rounded, index, gradients), gradients

        if len(queue) < STEP_BLOCKS:
            queue += order.permutation(len(reference.blocks)).tolist()
        parts = list((executor.map if executor else map)(part, queue[:STEP_BLOCKS]))
        del queue[:STEP_BLOCKS]
        (distance, tokens, gradients), *others = parts
        for other in others:
            distance, tokens = distance + other[0], tokens + other[1]
            gradients.flat += other[2].flat
        gradients.flat /= tokens
        calibrated.learn(gradients, 1 - step / steps)
        if progress:
            progress(step + 1, distance / tokens)
    return calibrated.matrices()
