"""Questions that are put into a finished memory."""

from __future__ import annotations

import numpy as np
import pytest
from memory.corpora import FORM, PAIRS, REFUSAL, encode, model_with

from shrew.errors import DataError
from shrew.memory import REFUSAL as REFUSED
from shrew.memory import Memory, MemoryOptions, add_entries, changed_answers, learn, nearest, to_memory

QUESTIONS = [question for question, _ in PAIRS]


@pytest.fixture(scope="module")
def memory() -> Memory:
    return to_memory(learn(PAIRS, refusal=REFUSAL, options=MemoryOptions(buckets=1024, dim=32, steps=80)), encode)


def test_a_new_question_is_known_from_then_on(memory: Memory) -> None:
    more = add_entries(
        memory, [("Where is the cat?", "On the roof."), ("WHERE is our cat!", "On the roof.")], FORM, encode
    )
    assert len(more.keys) == len(memory.keys) + 2
    assert len(more.answers) == len(memory.answers) + 1
    found = nearest(more, ["where is the cat", "where is our cat"])
    assert found.answer.tolist() == [len(memory.answers)] * 2
    assert (found.confidence > 0.99).all()
    steps = list(model_with(more).session().generate("where is the cat", max_tokens=32))
    assert "".join(step.text for step in steps) == "On the roof."
    assert steps[-1].confidence == found.confidence[0]


def test_an_answer_that_is_there_is_used_again(memory: Memory) -> None:
    more = add_entries(memory, [("gloomy in here", "Do: lamp on")], FORM, encode)
    assert more.answers == memory.answers
    assert more.answers[more.answer_of[-1]] == tuple(encode("Do: lamp on"))


def test_a_question_can_be_refused(memory: Memory) -> None:
    more = add_entries(memory, [("lamp on", None)], FORM, encode)
    assert nearest(more, ["lamp on"]).answer.tolist() == [REFUSED]
    assert [change for change in changed_answers(memory, more, QUESTIONS) if change.question == "lamp on"] == [
        ("lamp on", tuple(encode("Do: lamp on")), None)
    ]


def test_what_changes_is_told(memory: Memory) -> None:
    assert changed_answers(memory, memory, QUESTIONS) == []
    more = add_entries(memory, [("what time is it", "Half past.")], FORM, encode)
    changes = {change.question: change.after for change in changed_answers(memory, more, QUESTIONS)}
    assert changes["what time is it"] == tuple(encode("Half past."))
    assert "lamp off" not in changes


def test_nothing_added_is_nothing_changed(memory: Memory) -> None:
    assert add_entries(memory, [], FORM, encode).section == memory.section


@pytest.mark.parametrize(("question", "answer"), [("?!", "What?"), ("where is the cat", "")])
def test_what_cannot_be_remembered_is_refused(memory: Memory, question: str, answer: str) -> None:
    with pytest.raises(DataError, match=r"^memory: [^\n]+$"):
        add_entries(memory, [(question, answer)], FORM, encode)


def test_a_memory_is_not_changed(memory: Memory) -> None:
    before = memory.section
    add_entries(memory, [("where is the cat", "On the roof.")], FORM, encode)
    assert memory.section == before
    assert np.abs(memory.keys).max() <= 127
