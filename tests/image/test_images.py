"""Reading an image gives what was written to it, and llama2.c checkpoints are imported unchanged."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from engine.models import BYTES, random_image, random_parameters, tiny_config
from hypothesis import given
from hypothesis import strategies as st

from shrew.corpus import read_corpus
from shrew.doors.llama2c import read_checkpoint, read_tokenizer
from shrew.engine import (
    DEFAULT_GROUP,
    ROWS_PER_BYTE,
    TYPES,
    Model,
    QuantizedMatrix,
    Sampling,
    multiplier_limit,
    quantize,
)
from shrew.engine.binding import lib
from shrew.engine.tensor import RANGES, Tensor
from shrew.errors import ConfigError, EngineError, ImageTruncatedError, RunError
from shrew.evaluation import score_texts
from shrew.image import Source, WeightType, build_image, describe, image_of, write_image
from shrew.model.config import tensor_specs

QUANTIZED = ("q8", "q4", "ternary")
#: The largest error of a value, relative to its group's largest magnitude: half a step, and for few levels what the
#: search for the least error may clip at the ends.
LARGEST_LOSS = {"q8": 0.6 / 127, "q4": 0.75, "ternary": 0.75}
TYPICAL_LOSS = {"q8": 0.02, "q4": 0.16, "ternary": 0.6}


def test_the_engine_says_what_a_weight_type_is() -> None:
    """The values of docs/FORMAT.md."""
    assert ("f32", *QUANTIZED) == TYPES
    assert RANGES == {"q8": (-127, 127), "q4": (-8, 7), "ternary": (-1, 1)}
    assert ROWS_PER_BYTE == {"f32": 1, "q8": 1, "q4": 2, "ternary": 4}
    assert DEFAULT_GROUP == {"f32": 0, "q8": 0, "q4": 32, "ternary": 32}


def stored_as(matrix: QuantizedMatrix) -> QuantizedMatrix:
    """The matrix after writing it to an image and reading it back."""
    rows, cols = matrix.values.shape
    config = tiny_config(dim=cols, ffn=rows, layers=1, heads=1, head_dim=2, norm="rms-plain", mlp="relu")
    parameters = {spec.name: np.zeros(spec.shape, np.float32) for spec in tensor_specs(config)}
    image = build_image(config, {**parameters, "layers.0.up.weight": matrix}, BYTES)
    return Model.from_bytes(image).tensor(lib.SHREW_UP).quantized()


@given(
    kind=st.sampled_from(QUANTIZED),
    rows=st.integers(1, 5),
    cols=st.integers(1, 300),
    group=st.sampled_from([0, *range(16, 257, 16)]),
    seed=st.integers(0, 2**32 - 1),
)
def test_rounding_stays_in_range_and_within_its_group(kind: str, rows: int, cols: int, group: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    matrix = (rng.normal(size=(rows, cols)) * 10.0 ** rng.integers(-4, 4, (rows, 1))).astype(np.float32)
    quantized = quantize(matrix, kind, group)
    low, high = RANGES[kind]
    assert quantized.values.min() >= low
    assert quantized.values.max() <= high
    if quantized.multipliers is not None:
        assert np.abs(quantized.multipliers.astype(int)).max() <= multiplier_limit(kind, cols)
    error = np.abs(quantized.floats() - matrix)
    width = group or cols
    for start in range(0, cols, width):  # no group straddles a row
        part = slice(start, start + width)
        largest = np.abs(matrix[:, part]).max(axis=1, keepdims=True)
        assert (error[:, part] <= LARGEST_LOSS[kind] * largest + 1e-30).all()
    stored = stored_as(quantized)
    assert np.array_equal(stored.values, quantized.values)
    assert np.array_equal(stored.row_scales, quantized.row_scales)
    assert (stored.multipliers is None) == (quantized.multipliers is None)
    assert stored.multipliers is None or np.array_equal(stored.multipliers, quantized.multipliers)


@pytest.mark.parametrize("kind", QUANTIZED)
@pytest.mark.parametrize("group", [0, 32])
def test_rounding_loses_what_its_bits_promise(kind: str, group: int) -> None:
    matrix = np.random.default_rng(0).normal(size=(64, 256)).astype(np.float32)
    error = quantize(matrix, kind, group).floats() - matrix
    assert np.sqrt(np.mean(error**2)) < TYPICAL_LOSS[kind]


@pytest.mark.parametrize("kind", QUANTIZED)
def test_rounding_zeros_and_numbers_that_are_none(kind: str) -> None:
    quantized = quantize(np.zeros((2, 20), np.float32), kind, 16)
    assert not quantized.values.any()
    assert not quantized.floats().any()
    for bad in (np.nan, np.inf, 3e38):
        with pytest.raises(EngineError):
            quantize(np.array([[1.0, bad]], np.float32), kind, 16)
    with pytest.raises(EngineError):
        quantize(np.ones((1, 4), np.float32), kind, 8)


def test_building_is_reproducible_and_describes_itself() -> None:
    assert random_image() == random_image()
    image = random_image(types=WeightType("q8", 32))
    contents = describe(Model.from_bytes(image))
    assert contents["image_bytes"] == len(image)
    assert contents["selftest"]["passed"]
    assert contents["sections"][0]["name"] == "configuration"
    assert {t["type"] for t in contents["tensors"]} == {"f32", "q8"}
    assert contents["metadata"] == [{"key": "name", "value": "tiny"}]
    assert contents["parameters"] == tiny_config().parameters
    json.dumps(contents)


def test_parts_that_do_not_fit_are_refused() -> None:
    config = tiny_config()
    parameters = random_parameters(config)
    with pytest.raises(ConfigError, match="tokens"):
        build_image(tiny_config(vocab=300), random_parameters(tiny_config(vocab=300)), BYTES)
    missing = {name: value for name, value in parameters.items() if "layers.1" not in name}
    with pytest.raises(ConfigError, match="missing"):
        build_image(config, missing, BYTES)
    with pytest.raises(ConfigError, match="unexpected"):
        build_image(config, {**parameters, "layers.0.query.bias": np.zeros(24, np.float32)}, BYTES)
    with pytest.raises(ConfigError, match="NaN"):
        build_image(config, {**parameters, "final_norm.weight": np.full(24, np.nan, np.float32)}, BYTES)
    with pytest.raises(ConfigError, match="group"):
        build_image(config, parameters, BYTES, types=WeightType("q8", 40))


def test_matrices_replace_those_of_the_source_with_types_and_without() -> None:
    config = tiny_config(layers=1)
    parameters = random_parameters(config)
    name = "layers.0.up.weight"
    trained = quantize(parameters[name], "q8", 16)
    source = Source(config, parameters, BYTES, quantized={name: trained})
    given = {**parameters, name: parameters[name] + 1}

    def up(image: bytes) -> Tensor:
        return Model.from_bytes(image).tensor(lib.SHREW_UP)

    assert np.array_equal(up(image_of(source)).quantized().values, trained.values)
    assert np.array_equal(up(image_of(source, WeightType("f32"))).values(), parameters[name])
    assert np.array_equal(up(image_of(source, WeightType("f32"), given)).values(), given[name])
    stored, expected = up(image_of(source, matrices=given)), quantize(given[name], "q8", 16)
    assert (stored.type, stored.group) == ("q8", 16), "it was trained as q8"
    assert np.array_equal(stored.quantized().values, expected.values)


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "model.bin"
    write_image(target, random_image())
    before = target.read_bytes()
    with pytest.raises(ImageTruncatedError):
        write_image(target, before[:-1])
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(RunError, match="cannot"):
        write_image(tmp_path / "nowhere" / "model.bin", before)


# ---- llama2.c ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stories(shared_data: Path) -> dict[str, Model]:
    config, parameters = read_checkpoint(shared_data / "stories260K.bin")
    tokenizer = read_tokenizer(shared_data / "tok512.bin", vocab=config.vocab)
    return {
        str(weight): Model.from_bytes(build_image(config, parameters, tokenizer, types=weight))
        for weight in (WeightType("f32"), WeightType("q8", 32))
    }


def test_integer_attention_keeps_the_perplexity_of_floats(stories: dict[str, Model], shared_data: Path) -> None:
    """int8 cache, integer softmax and exponential against the same model with all of them in floats: 0.5 % at most."""
    texts = [document.response for document in read_corpus(shared_data / "tinystories.txt", format="text")][:60]
    floats, integers = (score_texts(stories["f32"], texts, cache=cache).perplexity for cache in ("f32", "int8"))
    assert integers != floats
    assert integers == pytest.approx(floats, rel=0.005)


def test_stories260k_scores_the_golden_sentence(stories: dict[str, Model], shared_data: Path) -> None:
    golden = json.loads((shared_data / "golden_ppl_fp32.json").read_text())
    score = score_texts(stories["f32"], [golden["sentence"]])
    assert score.tokens == golden["n_tokens"] - 1  # beginning-of-text is given
    assert score.nats == pytest.approx(golden["nll"], abs=0.002)
    assert score.perplexity == pytest.approx(golden["perplexity"], abs=0.001)


def test_stories260k_tells_the_known_story(stories: dict[str, Model]) -> None:
    expected = "Once upon a time, there was a little girl named Lily. She loved to play outside in the park."
    steps = stories["f32"].session().generate("", raw=True, max_tokens=60, sampling=Sampling())
    assert "".join(step.text for step in steps).startswith(expected)


def test_stories260k_as_q8_keeps_its_perplexity(stories: dict[str, Model], shared_data: Path) -> None:
    """Within 1 %, on a part of the text here; ``bench/quantization.py`` runs all of it."""
    texts = (shared_data / "tinystories.txt").read_text().split("<|endoftext|>")[:60]
    texts = [text.strip("\n") for text in texts]
    exact, q8 = (score_texts(model, texts).perplexity for model in stories.values())
    assert q8 == pytest.approx(exact, rel=0.01)
