"""The nearest key in NumPy and in the engine: the same answer and the same bits of its cosine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from memory.corpora import FORM, PAIRS, REFUSAL, encode, model_with

from shrew.engine import Model
from shrew.image.contents import stored_memory
from shrew.memory import REFUSAL as REFUSED
from shrew.memory import Memory, nearest, read_memory

ANSWERS = ["one", "two", "three", "four"]
QUESTIONS = [
    *(question for question, _ in PAIRS),
    *("", "?", "a", "- -", "what's the wi-fi?", "größe 40°", "これはいくらですか", "x" * 300, "turn TURN turn"),
]


def random_memory(bits: int, dim: int, seed: int = 0) -> Memory:
    rng = np.random.default_rng(seed)
    low, high = (-8, 8) if bits == 4 else (-128, 128)
    keys = rng.normal(size=(9, dim))
    keys *= 127 / np.linalg.norm(keys, axis=1, keepdims=True)
    return Memory(
        table=rng.integers(low, high, (64, dim)).astype(np.int8),
        bits=bits,
        keys=np.rint(keys).astype(np.int8),
        key_scale=1 / 127,
        answer_of=np.array([0, 1, 2, 3, REFUSED, 1, 0, 3, 2], np.int32),
        answers=tuple(tuple(encode(answer)) for answer in ANSWERS),
        accept=0.0,
        refuse=0.0,
    )


def said(model: Model, question: str) -> tuple[str, float]:
    """What the engine says, and how near the key is."""
    steps = list(model.session().generate(question, max_tokens=32))
    assert steps[-1].from_memory
    return "".join(step.text for step in steps), steps[-1].confidence


@pytest.mark.parametrize(("bits", "dim"), [(4, 16), (8, 16), (4, 64), (8, 256)])
def test_numpy_finds_what_the_engine_finds(bits: int, dim: int) -> None:
    memory = random_memory(bits, dim)
    model = model_with(memory)
    found = nearest(memory, [FORM.written(question) for question in QUESTIONS])
    for question, answer, confidence in zip(QUESTIONS, found.answer, found.confidence, strict=True):
        text, near = said(model, question)
        assert near == confidence
        if near > 0:
            assert text == (REFUSAL if answer == REFUSED else ANSWERS[answer])


def test_a_question_of_nothing_known_is_near_nothing() -> None:
    found = nearest(random_memory(4, 16), ["", "??"])
    assert found.confidence.tolist() == [0.0, 0.0]


def test_many_questions_are_found_as_few_are() -> None:
    memory = random_memory(4, 32)
    many = nearest(memory, QUESTIONS * 60)
    few = nearest(memory, QUESTIONS)
    assert np.array_equal(many.answer, np.tile(few.answer, 60))
    assert np.array_equal(many.confidence, np.tile(few.confidence, 60))
    assert len(nearest(memory, []).answer) == 0


@pytest.mark.parametrize("bits", [4, 8])
def test_a_section_and_an_image_give_back_what_they_were_given(bits: int) -> None:
    memory = replace(random_memory(bits, 48), accept=0.5, refuse=0.25)
    model = model_with(memory)
    for again in (read_memory(memory.section), stored_memory(model)):
        assert again is not None
        assert again.section == memory.section
        assert np.array_equal(again.table, memory.table)
        assert np.array_equal(again.keys, memory.keys)
        assert np.array_equal(again.answer_of, memory.answer_of)
        assert (again.answers, again.accept, again.refuse) == (memory.answers, 0.5, 0.25)
