"""The gradients of learning a memory, against numerical ones in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from model.gradient_checks import numerical_gradient
from numpy.typing import NDArray

from shrew.memory.encoder import Encoder, unit_rows
from shrew.memory.options import MemoryOptions
from shrew.memory.recall import Bags

Array = NDArray[np.floating[Any]]

OPTIONS = MemoryOptions(buckets=16, dim=16, sharpness=5.0, apart=0.3)
#: A bucket twice in one question, a bucket in two questions, buckets in none.
FEATURES = [[3, 5, 3], [5], [0, 1, 2, 15], [7, 8]]
TARGETS = np.array([0, 2, 3, 1])  # 3: a refusal


def bags() -> Bags:
    return Bags.of([np.array(features, np.uint32) for features in FEATURES])


def loss_of(table: Array, keys: Array) -> float:
    """The definition, question by question."""
    unit = keys / np.linalg.norm(keys, axis=1, keepdims=True)
    losses = []
    for features, target in zip(FEATURES, TARGETS, strict=True):
        question = table[features].sum(axis=0)
        cosines = unit @ (question / np.linalg.norm(question))
        logits = OPTIONS.sharpness * np.append(cosines, OPTIONS.apart)
        losses.append(np.log(np.exp(logits).sum()) - logits[target])
    return float(np.mean(losses))


def test_loss_and_gradients_are_those_of_the_definition() -> None:
    encoder = Encoder(OPTIONS, keys=3)
    encoder.keys *= np.float32(1.7)  # keys count by their direction
    loss, gradients = encoder.loss(bags(), TARGETS, rounding=False)
    table, keys = encoder.table.astype(np.float64), encoder.keys.astype(np.float64)
    assert loss == pytest.approx(loss_of(table, keys), rel=1e-5)
    for gradient, array in ((gradients.table, table), (gradients.keys, keys)):
        expected = numerical_gradient(lambda: loss_of(table, keys), array)
        np.testing.assert_allclose(gradient, expected, atol=1e-5 * np.abs(expected).max() + 1e-7, rtol=1e-4)


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_computes_with_what_the_image_stores(bits: int) -> None:
    encoder = Encoder(MemoryOptions(buckets=16, dim=16, bits=bits, sharpness=5.0, apart=0.3), keys=3)
    loss, _ = encoder.loss(bags(), TARGETS, rounding=True)
    items, step = encoder.rounded_table()
    keys = encoder.rounded_keys() / 127
    rounded = Encoder(OPTIONS, keys=3)
    rounded.table[:] = items * np.float32(step)
    rounded.keys[:] = keys
    assert np.abs(items).max() == (7 if bits == 4 else 127)
    assert loss == pytest.approx(
        rounded.loss(bags(), TARGETS, rounding=False)[0], rel=0.01
    )  # keys not quite of length 1
    assert loss != encoder.loss(bags(), TARGETS, rounding=False)[0]


def test_a_question_without_features_is_zeros_and_moves_nothing() -> None:
    encoder = Encoder(OPTIONS, keys=3)
    empty = Bags.of([np.zeros(0, np.uint32)] * 2)
    loss, gradients = encoder.loss(empty, np.array([0, 3]), rounding=False)
    assert np.isfinite(loss)
    assert not gradients.table.any()
    assert unit_rows(np.zeros((2, 4), np.float32))[0].tolist() == [[0.0] * 4] * 2
