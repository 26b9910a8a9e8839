"""Finds the types with the least loss for an image of a given size.

The loss of each tensor is measured with only that tensor rounded, and losses are assumed to add up. The choice is then
a knapsack problem. Every part of an image begins at a multiple of 64 bytes, so it is solved exactly in units of 64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from shrew.corpus import PackedRows
from shrew.engine import DATA_ALIGNMENT
from shrew.errors import ConfigError
from shrew.image import WeightType
from shrew.model.config import ModelConfig, tensor_specs
from shrew.model.documents import split_into_blocks
from shrew.model.parameters import Array, Parameters
from shrew.quantize.balance import balance, input_moments
from shrew.quantize.calibration import BLOCK_TOKENS, Reference
from shrew.quantize.rounding import Rounding

#: Candidate types of a tensor, from the smallest.
CANDIDATES = (
    WeightType("ternary", 32),
    WeightType("q4", 64),
    WeightType("q4", 32),
    WeightType("q4", 16),
    WeightType("q8", 0),
)


@dataclass(frozen=True)
class Choice:
    """One tensor stored as one type."""

    name: str
    type: WeightType
    bytes: int
    """Bytes in the image, including padding."""
    loss: float
    """Increase of the loss in nats per token if only this tensor is rounded, without calibration."""


def measure_choices(
    config: ModelConfig,
    parameters: Mapping[str, Array],
    rows: PackedRows,
    *,
    candidates: Sequence[WeightType] = CANDIDATES,
    executor: Executor | None = None,
    progress: Callable[[], None] | None = None,
) -> list[list[Choice]]:
    """The choices of each matrix, measured on ``rows`` with all other tensors unchanged."""
    reference = Reference(config, Parameters.of(config, parameters), split_into_blocks(rows, BLOCK_TOKENS))
    moments = input_moments(config, reference.parameters, reference.blocks)
    balanced, moments = balance(config, reference.parameters, moments)
    rounded = balanced.copy()
    table = []
    for spec in tensor_specs(config):
        if spec.vector:
            continue
        choices = []
        for weight in candidates:
            matrix = Rounding(weight, balanced[spec.name], moments.get(spec.name)).quantized(balanced[spec.name])
            rounded[spec.name][...] = matrix.floats()
            loss = max(
                0.0, reference.mean_distance(rounded, executor)
            )  # may be slightly negative through rounding errors
            choices.append(Choice(spec.name, weight, weight.checked().stored_bytes(*spec.shape), loss))
            if progress:
                progress()
        rounded[spec.name][...] = balanced[spec.name]
        table.append(choices)
    return table


def fit(table: Iterable[Sequence[Choice]], budget: int) -> list[Choice]:
    """One choice per tensor, with the least summed loss in at most ``budget`` bytes. ConfigError if nothing fits.

    A larger budget never increases the summed loss. Among equal losses, the smallest wins.
    """
    table = [sorted(choices, key=lambda choice: choice.bytes) for choices in table]
    smallest = sum(choices[0].bytes for choices in table)
    if smallest > budget:
        raise ConfigError(f"the matrices take {smallest:,} bytes at the least, {budget:,} are there")
    units = min(budget, sum(choices[-1].bytes for choices in table)) // DATA_ALIGNMENT
    best = np.zeros(units + 1)  # [units] least loss of the tensors so far in at most that many units
    taken = []
    for choices in table:
        options = np.full((len(choices), units + 1), np.inf)
        for option, choice in zip(options, choices, strict=True):
            size = choice.bytes // DATA_ALIGNMENT
            if size <= units:
                option[size:] = best[: units + 1 - size] + choice.loss
        taken.append(options.argmin(axis=0).astype(np.uint8))
        best = options.min(axis=0)
    fitted = []
    for choices, picks in zip(table[::-1], taken[::-1], strict=True):
        fitted.append(choices[picks[units]])
        units -= fitted[-1].bytes // DATA_ALIGNMENT
    return fitted[::-1]
