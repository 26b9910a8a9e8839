"""Text in, text out: frames, stop strings, UTF-8, limits, conversations."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from engine.models import BYTES, says, scripted_model
from hypothesis import given
from hypothesis import strategies as st

from shrew.engine import Sampling
from shrew.errors import ConfigError, ContextFullError, EngineError


def run(model, prompt="", **options):
    steps = list(model.session().generate(prompt, **options))
    return "".join(step.text for step in steps), steps


def test_answers_and_ends() -> None:
    text, steps = run(says(b"Hello."))
    assert text == "Hello."
    assert steps[-1].finish == "end"
    assert steps[-1].tokens == 6
    assert steps[-1].prompt_tokens == steps[-1].prompt_total == 2


def test_the_frame_surrounds_the_prompt_and_raw_text_only_begins() -> None:
    model = says(b"ok", prompt=5)
    assert run(model, "abc")[1][-1].prompt_total == 5  # begin, a, b, c, answer
    assert run(model, "abc", raw=True)[1][-1].prompt_total == 4  # begin, a, b, c


def test_special_tokens_in_a_prompt_are_plain_text() -> None:
    text = "<|end|>"
    _, steps = run(scripted_model([1] * 12), text)
    assert steps[-1].prompt_total == 2 + len(text)


@pytest.mark.parametrize(
    ("answer", "stop", "expected", "finish"),
    [
        (b"one two three", ["two"], "one ", "stop"),
        (b"one two three", ["three"], "one two ", "stop"),
        (b"one two three", ["four"], "one two three", "end"),
        (b"aab", ["ab"], "a", "stop"),
        (b"aaaab", ["aab"], "aa", "stop"),
        (b"abcabd", ["abd"], "abc", "stop"),
        (b"ends in a", ["abc"], "ends in a", "end"),
        (b"ab c", ["ab d", "b"], "a", "stop"),
        (b"x", ["x"], "", "stop"),
        ("größe".encode(), ["ß"], "grö", "stop"),
    ],
)
def test_stop_strings(answer: bytes, stop: list[str], expected: str, finish: str) -> None:
    text, steps = run(says(answer), stop=stop)
    assert (text, steps[-1].finish) == (expected, finish)


def test_stop_strings_of_the_image() -> None:
    assert run(says(b"Q: A: Q:", metadata=[("stop", "A:")]))[0] == "Q: "


@given(st.binary(min_size=1, max_size=30), st.text("ab", min_size=1, max_size=4))
def test_stop_strings_cut_where_a_search_would(raw: bytes, stop: str) -> None:
    answer = bytes(b"ab "[byte % 3] for byte in raw)
    text, steps = run(says(answer), stop=[stop])
    whole = answer.decode()
    assert text == whole.split(stop)[0]
    assert (steps[-1].finish == "stop") == (stop in whole)


@given(st.binary(min_size=1, max_size=40))
def test_streams_whole_characters_and_replaces_broken_ones(raw: bytes) -> None:
    text, steps = run(says(raw))
    for step in steps:
        step.text.encode("utf-8")  # no half characters anywhere
    assert text == raw.decode("utf-8", "replace")


@given(st.text(min_size=1, max_size=12))
def test_any_text_comes_out_as_it_went_in(answer: str) -> None:
    raw = answer.encode("utf-8", "ignore")
    if raw:
        assert run(says(raw))[0] == raw.decode()


def test_max_tokens_and_digest() -> None:
    model = says(b"abcdef")
    text, steps = run(model, max_tokens=3)
    assert (text, steps[-1].finish, steps[-1].tokens) == ("abc", "length", 3)
    ids = np.array([step.token for step in steps if step.token is not None], dtype="<u2")
    assert steps[-1].digest == zlib.crc32(ids.tobytes())


def test_a_full_context_ends_the_text() -> None:
    model = scripted_model(BYTES.encode(b"xxabcdef").tolist())
    text, steps = run(model)
    assert steps[-1].finish == "context"
    assert text == "xabcdef"


def test_a_prompt_that_does_not_fit_is_refused() -> None:
    model = says(b"abc")
    with pytest.raises(ContextFullError):
        run(model, "a long prompt")
    with pytest.raises(ContextFullError):
        run(model, "x" * 100_000)


def test_a_conversation_goes_on_where_it_was() -> None:
    script = [0, *BYTES.encode(b"first").tolist(), 1]  # begin, answer -> first, end
    script += [0] * 4 + BYTES.encode(b"more").tolist() + [1]
    session = scripted_model(script, context=40).session()
    assert "".join(s.text for s in session.generate("")) == "first"
    assert session.position == 7
    # end-of-text of the answer, then begin, o, k, answer
    assert "".join(s.text for s in session.generate("ok", keep=True)) == "more"
    assert session.position == 7 + 5 + 4
    assert "".join(s.text for s in session.generate("")) == "first"


def test_steps_are_bounded() -> None:
    model = says(b"abc", prompt=33)
    steps = list(model.session(block=8).generate("x" * 31))
    assert [s.prompt_tokens for s in steps[:5]] == [8, 16, 24, 32, 33]
    assert [s.tokens for s in steps] == [0, 0, 0, 0, 0, 1, 2, 3, 3]


def test_bad_requests_are_refused() -> None:
    model = says(b"abc")
    with pytest.raises(ConfigError, match="1 to 64"):
        run(model, stop=[""])
    with pytest.raises(ConfigError, match="1 to 64"):
        run(model, stop=["x" * 65])
    with pytest.raises(ConfigError, match="top_p"):
        Sampling(top_p=0.0)
    with pytest.raises(ConfigError, match="temperature"):
        Sampling(temperature=float("nan"))
    with pytest.raises(EngineError):
        model.session().sample(Sampling())
    with pytest.raises(EngineError):
        model.session().feed([60_000])


def test_a_model_that_computes_nan_says_so() -> None:
    from engine.models import random_parameters, tiny_config

    from shrew.engine import Model
    from shrew.image import build_image

    config = tiny_config()
    parameters = random_parameters(config)
    parameters["layers.0.up.weight"] = parameters["layers.0.up.weight"] * np.float32(1e38)
    with pytest.raises(EngineError, match="NaN or infinity"):
        Model.from_bytes(build_image(config, parameters, BYTES)).session().feed([5])
