"""Speculative decoding gives the text of plain decoding, whatever it guesses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from engine.models import random_image, says
from hypothesis import given, settings
from hypothesis import strategies as st

from shrew.engine import Model
from shrew.engine.session import Progress
from shrew.image import WeightType

MODEL = Model.from_bytes(random_image(types=WeightType("q8"), spread=1.0, context=96))


def run(model: Model, prompt: str, *, options: dict[str, Any] | None = None, **request: Any) -> list[Progress]:
    return list(model.session(**(options or {})).generate(prompt, **request))


def visible(steps: list[Progress]) -> list[tuple[str, str, int | None, int]]:
    """What a caller sees after the prompt, whose number of blocks may differ, without the counts of guesses."""
    answer = [step for step in steps if step.prompt_tokens == step.prompt_total]
    return [(step.text, step.finish, step.token, step.digest) for step in answer[1:]]


@settings(max_examples=60, deadline=None)
@given(
    prompt=st.text("ab c", min_size=1, max_size=20),
    draft=st.integers(1, 63),
    context=st.integers(24, 96),
    temperature=st.sampled_from([0.0, 0.5, 1.5]),
    penalty=st.sampled_from([1.0, 1.3]),
    seed=st.integers(0, 9),
)
def test_a_draft_changes_nothing(
    prompt: str, draft: int, context: int, temperature: float, penalty: float, seed: int
) -> None:
    request = {"raw": True, "temperature": temperature, "repetition_penalty": penalty, "seed": seed, "top_p": 0.95}
    plain = run(MODEL, prompt, options={"context": context}, **request)
    drafted = run(MODEL, prompt, options={"context": context, "draft": draft}, **request)
    assert visible(drafted) == visible(plain)
    assert plain[-1].drafted == plain[-1].accepted == 0
    assert drafted[-1].accepted <= drafted[-1].drafted


def test_repetition_is_guessed() -> None:
    """A model that repeats itself, so that its own text predicts the next tokens."""
    text = b"to and fro, " * 12
    steps = run(says(text, context=200), "", options={"draft": 8})
    assert "".join(step.text for step in steps) == text.decode()
    assert steps[-1].accepted > 0.7 * len(text)
    assert steps[-1].finish == "end"


def test_a_conversation_goes_on_after_a_draft() -> None:
    """Guesses that the end of a generation leaves unconfirmed are not part of what the session holds."""
    plain, drafting = MODEL.session(), MODEL.session(draft=6)
    for session in (plain, drafting):
        list(session.generate("abab", raw=True, max_tokens=9))
    assert drafting.position == plain.position
    ids = np.array([5, 6, 7], dtype=np.uint16)
    assert np.array_equal(drafting.feed(ids), plain.feed(ids))
    again = [list(s.generate("ab", raw=True, keep=True, max_tokens=20)) for s in (plain, drafting)]
    assert visible(again[0]) == visible(again[1])


def test_memory_is_asked_for_only_by_who_drafts() -> None:
    assert MODEL.session_bytes(draft=4) > MODEL.session_bytes()
    assert MODEL.session_bytes(draft=4, context=2) <= MODEL.session_bytes(draft=1, context=2)


@pytest.mark.parametrize("threads", [2, 3])
@pytest.mark.parametrize("kind", ["f32", "q8", "q4", "ternary"])
def test_threads_change_no_bit(kind: Any, threads: int) -> None:
    """Wide enough that products and attention are split."""
    model = Model.from_bytes(random_image(types=WeightType(kind), dim=256, heads=8, ffn=300, context=80))
    ids = np.random.default_rng(0).integers(0, model.vocab, 70).astype(np.uint16)
    expected = model.session(block=64).feed_all(ids)
    for _ in range(3):
        got = model.session(block=64, threads=threads).feed_all(ids)
        assert np.array_equal(got.view(np.uint32), expected.view(np.uint32))
