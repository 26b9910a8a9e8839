"""Choosing tokens: against the distribution that the options describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from engine.models import random_image

from shrew.engine import SAMPLING_OPTIONS, Model, Sampling
from shrew.engine.binding import ffi, lib
from shrew.errors import ConfigError

ROOT = Path(__file__).parents[2]
DRAWS = 4000


@pytest.fixture(scope="module")
def session():
    return Model.from_bytes(random_image(seed=5)).session()


def expected_distribution(logits: np.ndarray, held: list[int], s: Sampling) -> np.ndarray:
    """Penalty, temperature, top-k, top-p, min-p, in that order, in float64."""
    z = logits.astype(np.float64).copy()
    for token in set(held):
        z[token] = z[token] / s.repetition_penalty if z[token] > 0 else z[token] * s.repetition_penalty
    z /= s.temperature
    p = np.exp(z - z.max())
    order = np.argsort(-p, kind="stable")
    keep = order[: s.top_k or len(p)]
    q = p[keep] / p[keep].sum()
    reached = np.cumsum(q) - q
    keep = keep[reached < s.top_p]
    keep = keep[p[keep] >= s.min_p * p.max()]
    result = np.zeros_like(p)
    result[keep] = p[keep] / p[keep].sum()
    return result


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.5),
        Sampling(temperature=1.0, top_k=5),
        Sampling(temperature=1.0, top_k=1),
        Sampling(temperature=1.0, top_p=0.6),
        Sampling(temperature=2.0, min_p=0.2),
        Sampling(temperature=0.8, top_k=20, top_p=0.9, min_p=0.05, repetition_penalty=1.3),
        Sampling(temperature=1.0, top_p=1e-6),
        Sampling(temperature=1.0, top_k=65535),
    ],
    ids=str,
)
def test_draws_follow_the_distribution(session, sampling: Sampling) -> None:
    held = [4, 9, 9, 30]
    session.reset()
    logits = session.feed(held)
    expected = expected_distribution(logits, held, sampling)
    session.seed(1)
    counts = np.bincount([session.sample(sampling) for _ in range(DRAWS)], minlength=len(logits))
    assert not counts[expected == 0].any(), "a token that the options exclude was drawn"
    # Total variation between DRAWS samples of a distribution over n tokens and itself is near sqrt(n / DRAWS) / 2.
    distance = 0.5 * np.abs(counts / DRAWS - expected).sum()
    assert distance < 0.75 * np.sqrt(np.count_nonzero(expected) / DRAWS) + 0.01


def test_equal_seeds_give_equal_texts_and_others_differ(session) -> None:
    def text(seed: int) -> list[int]:
        steps = session.generate("hi", seed=seed, max_tokens=20, sampling=Sampling(temperature=1.0, top_p=0.95))
        return [step.token for step in steps if step.token is not None]

    assert text(7) == text(7)
    assert len({tuple(text(seed)) for seed in range(8)}) == 8


def test_greedy_takes_the_lowest_id_among_equals() -> None:
    from engine.models import scripted_model

    model = scripted_model([0] * 4)
    session = model.session()
    session.feed([0, 0, 0, 0])
    assert session.sample(Sampling()) == 0
    empty = scripted_model([], context=3).session()
    empty.feed([0])  # all logits are zero
    assert empty.sample(Sampling()) == 0


def test_greedy_honours_the_repetition_penalty(session) -> None:
    session.reset()
    logits = session.feed([4, 9, 30])
    best = int(np.argmax(logits))
    session.reset()
    logits = session.feed([best, 4, 9, 30])
    likeliest = int(np.argmax(logits))
    expected = int(
        np.argmax(expected_distribution(logits, [best, 4, 9, 30], Sampling(temperature=1, repetition_penalty=5)))
    )
    assert session.sample(Sampling()) == likeliest
    assert session.sample(Sampling(repetition_penalty=5)) == expected


def test_sampling_leaves_the_logits_alone(session) -> None:
    session.reset()
    session.feed([4, 9, 30])
    greedy = session.sample(Sampling())
    for _ in range(5):
        session.sample(Sampling(temperature=3.0, top_k=3))
    assert session.sample(Sampling()) == greedy


def test_the_engine_states_its_options() -> None:
    stated = {name: (o.kind, o.low, o.high, o.above_low, o.usual) for name, o in SAMPLING_OPTIONS.items()}
    assert stated == {
        "temperature": (float, 0, 100, False, 0),
        "top_p": (float, 0, 1, True, 1),
        "top_k": (int, 0, 2**32 - 1, False, 0),
        "min_p": (float, 0, 1, False, 0),
        "repetition_penalty": (float, 0.01, 100, False, 1),
    }
    for option in SAMPLING_OPTIONS.values():
        low = f"above {option.low:.10g}, " if option.above_low else f"{option.low:.10g} "
        assert option.range == f"{low}to {option.high:.10g}"
        assert option.description
    assert lib.shrew_sampling_option(len(SAMPLING_OPTIONS), ffi.new("shrew_option *")) == lib.SHREW_E_ARGUMENT


def test_documents_list_the_options() -> None:
    rows = [f"| `{name}` | {o.range} | {o.usual:g} | {o.description} |\n" for name, o in SAMPLING_OPTIONS.items()]
    assert "|---|---|---|---|\n" + "".join(rows) + "\n" in (ROOT / "docs/PROTOCOL.md").read_text()
    script = (ROOT / "ports/wasm/shrew.js").read_text()
    for name, option in SAMPLING_OPTIONS.items():
        first, *others = name.split("_")
        field = first + "".join(map(str.capitalize, others))
        assert f" * @property {{number}} [{field}] {option.description}\n" in script


@pytest.mark.parametrize("name", [name for name, option in SAMPLING_OPTIONS.items() if option.kind is float])
def test_ranges_are_what_the_sampler_takes(session, name: str) -> None:
    """In binary32: the limits, and the next numbers beyond them."""
    option = SAMPLING_OPTIONS[name]
    low, high = np.float32(option.low), np.float32(option.high)
    within = [np.nextafter(low, high), high, np.float32(option.usual)]
    beyond = [np.nextafter(low, -np.inf), np.nextafter(high, np.inf), np.float32(np.nan)]
    (beyond if option.above_low else within).append(low)
    session.reset()
    session.feed([4, 9, 30])
    usual = {name: option.usual for name, option in SAMPLING_OPTIONS.items()}
    for value in [*within, *beyond]:
        asked, token = ffi.new("shrew_sampling *", usual | {name: value}), ffi.new("uint32_t *")
        status = lib.shrew_session_sample(session._session, asked, token)
        assert status == (lib.SHREW_OK if value in within else lib.SHREW_E_ARGUMENT), value


@pytest.mark.parametrize(
    "wrong", [{"top_p": 0.0}, {"top_k": -1}, {"min_p": 1.5}, {"temperature": float("nan")}], ids=str
)
def test_a_value_out_of_range_is_named_with_its_range(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConfigError, match=f"{name} is .*, must be {SAMPLING_OPTIONS[name].range}"):
        Sampling(**wrong)
