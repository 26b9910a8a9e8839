"""Choosing types for a budget: never above it, never worse with more of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, tiny_config
from hypothesis import given, settings
from hypothesis import strategies as st
from quantize.test_calibration import written_rows

from shrew.engine import Model
from shrew.errors import ConfigError
from shrew.image import WeightType, build_image
from shrew.model.config import tensor_specs
from shrew.quantize.fit import Choice, fit, measure_choices

WEIGHTS = (WeightType("ternary"), WeightType("q4"), WeightType("q8"))


def table(seed: int, tensors: int) -> list[list[Choice]]:
    rng = np.random.default_rng(seed)
    return [
        [
            Choice(f"t{i}", weight, 64 * int(size), float(loss))
            for weight, size, loss in zip(WEIGHTS, rng.integers(1, 20, 3), rng.random(3), strict=True)
        ]
        for i in range(tensors)
    ]


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(0, 90))
def test_the_choice_is_the_best_of_all(seed: int, tensors: int, units: int) -> None:
    choices = table(seed, tensors)
    combinations = [
        (sum(c.loss for c in combination))
        for combination in itertools.product(*choices)
        if sum(c.bytes for c in combination) <= 64 * units
    ]
    if not combinations:
        with pytest.raises(ConfigError, match="at the least"):
            fit(choices, 64 * units)
        return
    chosen = fit(choices, 64 * units)
    assert [c.name for c in chosen] == [f"t{i}" for i in range(tensors)]
    assert sum(c.bytes for c in chosen) <= 64 * units
    assert sum(c.loss for c in chosen) == pytest.approx(min(combinations))


def test_measured_choices_have_the_sizes_of_the_image_and_finer_ones_lose_less() -> None:
    config = tiny_config(tied_head=False)
    parameters = random_parameters(config)
    measured = measure_choices(config, parameters, written_rows(tied_head=False), candidates=WEIGHTS)
    matrices = [spec for spec in tensor_specs(config) if not spec.vector]
    assert [choices[0].name for choices in measured] == [spec.name for spec in matrices]
    for position, weight in enumerate(WEIGHTS):
        model = Model.from_bytes(build_image(config, parameters, BYTES, types=weight))
        for spec, choices in zip(matrices, measured, strict=True):
            assert 0 <= choices[position].bytes - model.tensor(spec.role, spec.layer).bytes < 128
    losses = np.array([[choice.loss for choice in choices] for choices in measured]).sum(axis=0)
    assert losses[0] > losses[1] > losses[2]
