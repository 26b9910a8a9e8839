"""Balancing changes nothing, calibration only improves, and neither depends on threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from engine.models import BYTES, random_image, random_parameters, scripted_model, tiny_config

from shrew.corpus import PackedRows, pack
from shrew.engine import Model, QuantizedMatrix
from shrew.errors import DataError
from shrew.image import WeightType, build_image
from shrew.model.divergence import divergence
from shrew.model.documents import split_into_blocks
from shrew.model.parameters import Parameters
from shrew.model.transformer import forward
from shrew.quantize import calibration, choose_types
from shrew.quantize.balance import balance, input_moments
from shrew.quantize.calibration import calibrate
from shrew.quantize.text import write_documents

KINDS: list[dict[str, Any]] = [
    {},
    {"heads": 4, "kv_heads": 2, "head_dim": 6, "tied_head": False, "bias_qkv": True},
    {"norm": "layer", "position": "learned", "mlp": "gelu", "bias_qkv": True, "bias_mlp": True, "bias_out": True},
    {"norm": "rms-plain", "mlp": "relu", "bias_mlp": True, "embed_norm": True},
    {"norm": "layer", "mlp": "relu", "final_norm": False, "tied_head": False},
]


def written_rows(seed: int = 0, tokens: int = 400, **changes: Any) -> PackedRows:
    model = Model.from_bytes(random_image(seed, **changes))
    return pack(write_documents(model, tokens), model.context)[0]


@pytest.mark.parametrize("changes", KINDS, ids=lambda changes: "-".join(map(str, changes.values())) or "plain")
def test_balancing_leaves_the_function_as_it_is(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    parameters = Parameters.of(config, random_parameters(config, spread=0.1))
    moments = input_moments(config, parameters, split_into_blocks(written_rows(**changes)))
    balanced, moved = balance(config, parameters, moments)
    ids = np.random.default_rng(0).integers(0, config.vocab, (2, 30))
    np.testing.assert_allclose(forward(config, balanced, ids), forward(config, parameters, ids), atol=1e-4)
    assert moved.keys() == moments.keys()
    again = input_moments(config, balanced, split_into_blocks(written_rows(**changes)))
    for name, moment in moved.items():
        live = moments[name] > 0.01 * moments[name].mean()  # of a dead ReLU only the floor is left
        np.testing.assert_allclose(again[name][live], moment[live], rtol=0.05, err_msg=name)


def test_divergence_is_zero_between_equals_and_its_gradient_is_the_slope() -> None:
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 3, 7))
    assert divergence(teacher.copy(), teacher.copy())[0] == pytest.approx(0, abs=1e-12)
    distance, gradient = divergence(teacher.copy(), student.copy())
    assert distance > 0
    step = np.zeros_like(student)
    step[1, 2] = 1e-6
    slope = (divergence(teacher.copy(), student + step)[0] - divergence(teacher.copy(), student - step)[0]) / 2e-6
    assert gradient[1, 2] == pytest.approx(slope, rel=1e-5)


@pytest.mark.parametrize("changes", KINDS[:3], ids=["plain", "grouped", "layer-norm"])
@pytest.mark.parametrize("kind", ["q4", "ternary"])
def test_calibration_brings_the_network_nearer(kind: Any, changes: dict[str, Any]) -> None:
    config, distances = tiny_config(**changes), []
    matrices = calibrate(
        config,
        random_parameters(config),
        choose_types(config, WeightType(kind, 16), [("*.value.*", WeightType("q8"))]),
        written_rows(**changes),
        steps=40,
        progress=lambda step, distance: distances.append(distance),
    )
    assert np.mean(distances[-5:]) < 0.8 * np.mean(distances[:5])
    assert {m.type for m in matrices.values() if isinstance(m, QuantizedMatrix)} == {kind}
    assert not isinstance(matrices["layers.0.value.weight"], QuantizedMatrix)
    build_image(config, matrices, BYTES, types=WeightType("q8"))


def test_threads_change_nothing() -> None:
    config, rows = tiny_config(), written_rows(tokens=1500)
    arguments = config, random_parameters(config), choose_types(config, WeightType("q4", 16)), rows
    alone = calibrate(*arguments, steps=3)
    with ThreadPoolExecutor(2) as executor:
        shared = calibrate(*arguments, steps=3, executor=executor)
        model = Model.from_bytes(random_image())
        ids = [[d.ids.tolist() for d in write_documents(model, 99, executor=e)] for e in (None, executor)]
    assert ids[0] == ids[1]
    images = [build_image(config, matrices, BYTES) for matrices in (alone, shared)]
    assert images[0] == images[1]


def test_a_reference_without_room_to_remember_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    config, rows = tiny_config(), written_rows(tokens=500)
    arguments = config, random_parameters(config), choose_types(config, WeightType("q4", 16)), rows
    images = []
    for room in (calibration.REMEMBERED_BYTES, 0):
        monkeypatch.setattr(calibration, "REMEMBERED_BYTES", room)
        images.append(build_image(config, calibrate(*arguments, steps=4), BYTES))
    assert images[0] == images[1]


def test_written_documents_fill_the_order_and_differ_by_seed() -> None:
    model = Model.from_bytes(random_image())
    documents = write_documents(model, 200, seed=1)
    assert 200 <= sum(len(document.ids) for document in documents) < 200 + 4 * (model.context + 1)
    assert all(document.ids[0] == model.bos and not document.learn[0] for document in documents)
    assert all(document.learn[1:].all() for document in documents)
    assert not np.array_equal(documents[0].ids, write_documents(model, 200, seed=2)[0].ids)


def test_a_model_that_says_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="give --text FILE"):
        write_documents(scripted_model([1] * 8), 20)
