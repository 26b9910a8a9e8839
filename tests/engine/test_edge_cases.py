"""Models and calls at the limits: each gives a defined result or a clear error code."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, says, scripted_model, tiny_config
from image.sections import with_checksum

from shrew.engine import Model, Sampling
from shrew.engine.binding import lib
from shrew.engine.tensor import TYPES
from shrew.errors import ContextFullError, EngineError
from shrew.image import WeightType, build_image
from shrew.model.config import stored_tensors, tensor_specs
from shrew.tokenizer import Tokenizer

IDS = [0, 5, 6, 0, 3]
SAMPLED = Sampling(temperature=1.0, top_k=40, top_p=0.9, min_p=0.05, repetition_penalty=1.2)
SHAPES: dict[str, dict[str, Any]] = {
    "llama": {},
    "gpt": {"norm": "layer", "position": "learned", "mlp": "gelu", "bias_qkv": True, "bias_out": True},
    "relu": {"mlp": "relu", "norm": "rms-plain", "final_norm": False, "embed_norm": True, "tied_head": False},
}
each_type = pytest.mark.parametrize("type_", TYPES)


def weights(type_: str) -> WeightType:
    return WeightType(type_, 32)


def poisoned(image: bytes, role: int, layer: int, value: float) -> Model:
    """The image with another first number in a tensor, a scale where it has scales, and a checksum to match."""
    model = Model.from_bytes(image)
    tensor = model.tensor(role, layer)
    numbers = tensor.data if tensor.row_scales is None else tensor.row_scales
    at = numbers.ctypes.data - np.frombuffer(model.image(), np.uint8).ctypes.data
    return Model.from_bytes(with_checksum(image[:at] + np.float32(value).tobytes() + image[at + 4 :]))


def logits_or_status(model: Model, block: int) -> list[float] | int:
    try:
        logits: list[float] = model.session(block=block).feed(IDS).tolist()
    except EngineError as error:
        return error.status
    return logits


@each_type
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e-45])
def test_a_weight_of_any_value_gives_finite_logits_or_a_code(type_: str, shape: dict[str, Any], value: float) -> None:
    """And the same for every size of block. NaN, which no rounding removes, always gives the code."""
    config = tiny_config(**shape)
    image = build_image(config, random_parameters(config), BYTES, types=weights(type_))
    for spec in stored_tensors(config):
        model = poisoned(image, spec.role, spec.layer, value)
        found = logits_or_status(model, block=8)
        assert found == lib.SHREW_E_NUMBER or (not np.isnan(value) and np.isfinite(found).all()), spec.name
        assert logits_or_status(model, block=1) == found, spec.name


@each_type
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_model_of_zeros_finds_all_tokens_equal(type_: str, shape: dict[str, Any]) -> None:
    """All rows zero, all scales zero, all norms zero."""
    config = tiny_config(**shape)
    parameters = {spec.name: np.zeros(spec.shape, np.float32) for spec in tensor_specs(config)}
    model = Model.from_bytes(build_image(config, parameters, BYTES, types=weights(type_)))
    session = model.session()
    assert not session.feed(IDS).any()
    assert session.sample(Sampling()) == 0
    session.seed(1)
    drawn = [session.sample(Sampling(temperature=1.0)) for _ in range(50)]
    assert len(set(drawn)) > 20
    assert model.selftest()


@each_type
def test_some_rows_of_zeros_give_zeros(type_: str) -> None:
    config = tiny_config(tied_head=False)
    parameters = random_parameters(config)
    parameters["head.weight"][7::2] = 0
    logits = Model.from_bytes(build_image(config, parameters, BYTES, types=weights(type_))).session().feed(IDS)
    assert not logits[7::2].any()
    assert logits[:7].all()


@each_type
@pytest.mark.parametrize(
    "shape",
    [
        {"dim": 1, "heads": 1, "head_dim": 1, "ffn": 1, "layers": 1, "position": "learned"},
        {"dim": 2, "heads": 1, "ffn": 1, "layers": 1},
        {"dim": 17, "heads": 1, "head_dim": 2, "ffn": 33, "layers": 1},
        {"dim": 24, "heads": 12, "kv_heads": 1, "ffn": 31, "layers": 3},
    ],
    ids=["dim 1", "dim 2", "odd widths", "one key head for many"],
)
def test_the_smallest_and_oddest_shapes_run_the_same_in_any_block(type_: str, shape: dict[str, Any]) -> None:
    config = tiny_config(**shape)
    model = Model.from_bytes(build_image(config, random_parameters(config), BYTES, types=weights(type_)))
    expected = model.session(block=1).feed_all(range(3, 48))
    assert np.isfinite(expected).all()
    assert np.array_equal(model.session(block=64).feed_all(range(3, 48)), expected)
    assert model.selftest()


@each_type
def test_a_context_of_one_token(type_: str) -> None:
    config = tiny_config(context=1)
    model = Model.from_bytes(build_image(config, random_parameters(config), BYTES, types=weights(type_)))
    assert not model.selftest(), "no room for one"
    longer = Model.from_bytes(build_image(tiny_config(), random_parameters(config), BYTES, types=weights(type_)))
    for session in (model.session(block=64), longer.session(context=1, block=64)):
        steps = list(session.generate("", raw=True))
        assert steps[-1].finish in ("context", "end")
        assert steps[-1].prompt_total == 1
        assert steps[-1].tokens <= 1
        with pytest.raises(ContextFullError):
            session.generate("ab")
        session.reset()
        assert np.array_equal(session.feed([5]), longer.session().feed([5]))
        with pytest.raises(ContextFullError):
            session.feed([6])


def test_a_full_context_can_still_be_read_but_not_added_to() -> None:
    session = says(b"abcde", end=False).session(block=64)
    logits = session.feed_all([0, 2, *BYTES.encode(b"abcd").tolist()])
    assert session.position == 6
    assert session.sample(Sampling()) == BYTES.encode(b"e")[0]
    with pytest.raises(ContextFullError):
        session.feed([5])
    for keep in ("", "more"):
        with pytest.raises(ContextFullError):
            session.generate(keep, keep=True, raw=bool(keep))
    assert session.position == 6
    session.reset()
    assert np.array_equal(session.feed_all([0, 2]), logits[:2])


def test_an_answer_that_fills_the_context_cannot_be_continued() -> None:
    session = says(b"abcd", end=False).session()
    *_, last = session.generate("")
    assert last.finish == "context"
    with pytest.raises(ContextFullError):
        session.generate("more", keep=True)


def test_empty_prompts() -> None:
    """The frame, or beginning-of-text, is enough to begin with; nothing at all is not."""
    model = says(b"abc")
    assert model.generate("") == "abc"
    assert scripted_model(BYTES.encode(b"abc").tolist()).generate("", raw=True) == "abc"
    bare = Tokenizer(kind="character", pieces=(b"a", b"b"))
    session = scripted_model([0, 1, 0], tokenizer=bare).session()
    for raw in (False, True):
        with pytest.raises(EngineError, match="out of range"):
            session.generate("", raw=raw)
    assert "".join(step.text for step in session.generate("b")) == "aba"
    session.reset()
    session.feed([0])
    assert "".join(step.text for step in session.generate("", raw=True, keep=True)) == "aba", "what is held is enough"


@each_type
@pytest.mark.parametrize("sampling", [Sampling(), SAMPLED, Sampling(temperature=100.0)])
def test_a_vocabulary_of_one_token_says_it(type_: str, sampling: Sampling) -> None:
    only = Tokenizer(kind="character", pieces=(b"a",))
    config = tiny_config(vocab=1, context=4)
    model = Model.from_bytes(build_image(config, random_parameters(config), only, types=weights(type_)))
    assert model.generate("a", sampling=sampling) == "aaaa"


def test_a_vocabulary_of_one_token_that_ends_the_text() -> None:
    only = Tokenizer(kind="sentencepiece", pieces=(b"",), bos=0, eos=0, prompt_prefix=(0,))
    *_, last = scripted_model([0], tokenizer=only).session().generate("")
    assert (last.finish, last.tokens, last.text) == ("end", 0, "")
