"""A session reports its phases to a caller with a clock, without changing a bit, and on the caller's thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from engine.models import random_image, says

from shrew.engine import Model, Sampling
from shrew.engine import session as sessions
from shrew.engine.binding import ffi, lib
from shrew.errors import ConfigError, EngineError
from shrew.image import Commands

IMAGE = random_image(3)
LAYERS = 2
OF_A_LAYER = ("qkv", "attend", "out", "up", "activate", "down")
Mark = tuple[str, int, int]


class Marks:
    """Opens sessions whose marks it keeps: phase, layer, tokens."""

    def __init__(self) -> None:
        self.seen: list[Mark] = []
        self.threads: set[int] = set()
        self.callback = ffi.callback("void(void *, shrew_phase, uint32_t, uint32_t)", self._mark)

    def _mark(self, _: Any, phase: int, layer: int, tokens: int) -> None:
        self.threads.add(threading.get_ident())
        self.seen.append(("none" if not phase else sessions.PHASES[phase - 1], layer, tokens))

    def take(self) -> list[Mark]:
        taken, self.seen = self.seen, []
        return taken


@pytest.fixture
def marks(monkeypatch: pytest.MonkeyPatch) -> Marks:
    kept, make = Marks(), sessions.session_options

    def marked(model: Model, **options: Any) -> Any:
        settings = make(model, **options)
        settings.mark, settings.grain = kept.callback, 1
        return settings

    monkeypatch.setattr(sessions, "session_options", marked)
    return kept


def layer(index: int, tokens: int, first: int = 0) -> list[Mark]:
    """first: tokens of the layer's first phase, if more than those of the other phases."""
    return [(phase, index, (phase == "qkv" and first) or tokens) for phase in OF_A_LAYER]


def test_a_token_passes_every_phase_of_every_layer(marks: Marks) -> None:
    session = Model.from_bytes(IMAGE).session()
    session.feed([5])
    layers = [mark for i in range(LAYERS) for mark in layer(i, 1)]
    assert marks.take() == [("embed", 0, 1), *layers, ("head", 0, 1), ("head", 0, 1), ("none", 0, 0)]
    session.sample(Sampling())
    assert marks.take() == [("choose", 0, 1), ("none", 0, 0)]


def test_a_prompt_goes_with_one_token_past_the_last_layers_keys(marks: Marks) -> None:
    session = Model.from_bytes(IMAGE).session(block=4)
    session.feed([5, 6, 7, 8, 9, 10])
    first, second = ("embed", 0, 4), ("embed", 0, 2)
    seen = marks.take()
    at = seen.index(second)
    assert seen[:at] == [first, *layer(0, 4), ("qkv", 1, 4), ("head", 0, 0), ("none", 0, 0)]
    assert seen[at:-3] == [second, *layer(0, 2), *layer(1, 1, first=2)]
    session.feed_all([1, 2])
    assert marks.take()[1:-3] == [*layer(0, 2), *layer(1, 2)]


def generating(**options: Any) -> Callable[[Model], None]:
    return lambda model: list(model.session(**options).generate("abc", max_tokens=8)) and None


CALLS: dict[str, Callable[[Model], object]] = {
    "generate": generating(),
    "draft": generating(draft=3),
    "selftest": Model.selftest,
    "prompt alone": lambda model: next(model.session(block=2).generate("abc")),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("answer", [b"abababab", b"Do: led on"])
def test_every_call_ends_by_saying_so_once_it_computes_no_more(marks: Marks, name: str, answer: bytes) -> None:
    CALLS[name](says(answer, commands=Commands.of(["led (on|off)"])))
    seen = marks.take()
    assert seen[-1] == ("none", 0, 0)
    assert seen[0][0] == "embed"


def test_a_call_that_fails_ends_by_saying_so(marks: Marks) -> None:
    session = Model.from_bytes(IMAGE).session(context=2)
    session.feed([1, 2])
    marks.take()
    with pytest.raises(EngineError):
        session.feed([3])
    assert {phase for phase, *_ in marks.take()} <= {"none"}


def test_threads_that_share_the_work_do_not_mark(marks: Marks) -> None:
    generating(threads=3)(Model.from_bytes(IMAGE))
    assert marks.seen
    assert marks.threads == {threading.get_ident()}


def test_a_timed_session_gives_the_same_bits_and_knows_its_tokens() -> None:
    model = Model.from_bytes(IMAGE)
    timed, plain = model.session(timed=True), model.session()
    assert timed.bytes == plain.bytes
    for ids in ([1, 2, 3, 4], [5], [6]):
        assert np.array_equal(timed.feed(ids), plain.feed(ids))
    times = timed.times()
    assert (times["prompt"].tokens, times["answer"].tokens) == (4, 2)
    for spent in times.values():
        assert tuple(spent.by_phase) == sessions.PHASES
        assert spent.by_phase["choose"] == 0
        assert len(spent.by_layer) == LAYERS
        assert sum(spent.by_layer) == sum(spent.by_phase[phase] for phase in OF_A_LAYER) > 0


def test_a_session_that_keeps_no_times_says_how_to_get_them() -> None:
    with pytest.raises(ConfigError, match="timed=True"):
        Model.from_bytes(IMAGE).session().times()


def test_names_are_those_of_the_engine() -> None:
    assert len(sessions.PHASES) == lib.SHREW_PHASES - 1
    for i, name in enumerate(sessions.PHASES):
        assert getattr(lib, f"SHREW_PHASE_{name.upper()}") == i + 1
