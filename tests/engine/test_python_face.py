"""The engine as Python sees it: comfortable calls, and errors instead of crashes for calls that cannot work."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine.models import random_image, says

import shrew
from shrew.engine import Model, Sampling, Session, model
from shrew.errors import ConfigError, EngineError, ImageMagicError, ImageTruncatedError, ShrewError

IMAGE = random_image(seed=3)
MISUSES: dict[str, Callable[[Model, Session], object]] = {
    "max_tokens below 0": lambda m, s: s.generate("a", max_tokens=-1),
    "max_tokens beyond 32 bits": lambda m, s: m.generate("a", max_tokens=99999999999),
    "empty stop string": lambda m, s: s.generate("a", stop=[""]),
    "stop string with a zero byte": lambda m, s: s.generate("a", stop=["a\0b"]),
    "stop string of half a character": lambda m, s: s.generate("a", stop=["\udcff" * 30]),
    "temperature below 0": lambda m, s: s.generate("a", temperature=-1),
    "temperature that is no number": lambda m, s: s.generate("a", temperature=float("nan")),
    "sampling said twice": lambda m, s: s.generate("a", sampling=Sampling(), temperature=1.0),
    "token below 0": lambda m, s: m.token_bytes(-1),
    "token of no vocabulary": lambda m, s: m.token_bytes(10**9),
    "fed token beyond 16 bits": lambda m, s: s.feed([70000]),
    "fed array beyond 16 bits": lambda m, s: s.feed(np.array([70000])),  # type: ignore[arg-type]
    "fed token beyond 64 bits": lambda m, s: s.feed([10**30]),
    "fed token below 0": lambda m, s: s.feed([3, -1]),
    "fed token beyond the vocabulary": lambda m, s: s.feed_all([m.vocab]),
    "context beyond 32 bits": lambda m, s: m.session(context=10**10),
    "context beyond the model's": lambda m, s: m.session(context=m.context + 1),
    "context below 0": lambda m, s: m.session(context=-1),
    "block too large": lambda m, s: m.session(block=65),
    "block below 0": lambda m, s: m.session_bytes(block=-1),
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES.keys())
def test_misuse_is_a_shrew_error(misuse: Callable[[Model, Session], object]) -> None:
    opened = Model.from_bytes(IMAGE)
    session = opened.session()
    with pytest.raises(ShrewError) as caught:
        misuse(opened, session)
    assert isinstance(caught.value, ConfigError | EngineError)
    assert "\n" not in str(caught.value)
    assert session.position == 0
    assert session.feed([1]).shape == (opened.vocab,)


def test_every_allowed_extreme_is_taken() -> None:
    opened = Model.from_bytes(IMAGE)
    session = opened.session(context=opened.context, block=64)
    session.feed([0, opened.vocab - 1])
    assert opened.token_bytes(opened.vocab - 1)
    assert list(session.generate("a", max_tokens=2**32 - 1))[-1].finish in ("context", "end")


def test_sampling_by_name_is_sampling() -> None:
    opened = Model.from_bytes(IMAGE)
    chosen = Sampling(temperature=0.9, top_p=0.8, top_k=20, min_p=0.01, repetition_penalty=1.2)
    by_name = opened.generate(
        "hi", seed=5, temperature=0.9, top_p=0.8, top_k=20, min_p=0.01, repetition_penalty=1.2, max_tokens=9
    )
    assert by_name == opened.generate("hi", seed=5, sampling=chosen, max_tokens=9)
    assert by_name == "".join(opened.stream("hi", seed=5, sampling=chosen, max_tokens=9))
    assert by_name != opened.generate("hi", max_tokens=9)


def test_the_face_is_small_and_loads_nothing_before_it_is_needed() -> None:
    assert shrew.Sampling is Sampling
    with pytest.raises(AttributeError, match="Tempo"):
        _ = shrew.Tempo
    code = (
        "import sys, shrew; assert 'numpy' not in sys.modules; from shrew import Sampling; assert Sampling().top_k == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stop_strings_live_as_long_as_the_session() -> None:
    session = says(b"one two three").session()
    steps = session.generate("", stop=["three"])
    session.generate("", stop=["two"])  # begins anew; its own iterator is dropped
    gc.collect()
    assert "".join(step.text for step in steps) == "one "


def test_a_file_may_change_while_its_model_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(IMAGE)
    opened = shrew.load(path)
    before = opened.generate("hi", max_tokens=5)
    path.write_bytes(b"")
    assert opened.generate("hi", max_tokens=5) == before
    with pytest.raises(ImageTruncatedError):
        shrew.load(path)


def test_large_files_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(IMAGE)
    monkeypatch.setattr(model, "MAP_ABOVE", len(IMAGE) - 1)
    mapped = shrew.load(path)
    assert isinstance(mapped._buffer, model.mmap.mmap)
    assert mapped.image() == IMAGE
    assert mapped.selftest()


def test_an_image_cannot_be_written_to_and_outlives_its_model() -> None:
    tensor = Model.from_bytes(IMAGE).tensor(0)
    values = tensor.values()
    gc.collect()
    [np.full(len(IMAGE) + 64, 255, np.uint8) for _ in range(8)]  # would take the room of an image that is gone
    assert np.array_equal(tensor.values(), values)
    assert not tensor.data.flags.writeable
    assert Model.from_bytes(IMAGE).image().readonly


@pytest.mark.parametrize("text", [b"hello", b"GGUF", b"x" * 63])
def test_short_files_of_another_kind_are_called_that(text: bytes) -> None:
    with pytest.raises(ImageMagicError):
        Model.from_bytes(text)
    for length in range(4):
        with pytest.raises(ImageTruncatedError):
            Model.from_bytes(text[:length])
