"""Adds questions to a memory without retraining."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from shrew.errors import DataError
from shrew.memory.learning import Form, token_ids
from shrew.memory.options import MOST_ANSWERS
from shrew.memory.recall import nearest, question_items
from shrew.memory.section import REFUSAL, Memory


class Change(NamedTuple):
    """A question that another memory answers otherwise. Answers are token ids, None where the question is refused."""

    question: str
    before: tuple[int, ...] | None
    after: tuple[int, ...] | None


def add_entries(
    memory: Memory, pairs: Iterable[tuple[str, str | None]], form: Form, encode: Callable[[str], Iterable[int]]
) -> Memory:
    """The memory with a key for each question, as somebody types it, that leads to its answer; None: a refusal.

    A key has the direction of the question as the engine computes it. An answer that is there already is used again,
    and a question that was added before gets its new answer.
    DataError where a question has nothing that the memory could recognise, or an answer has no token.
    """
    keys, answer_of, answers = list(memory.keys), list(memory.answer_of), list(memory.answers)
    place = {key.tobytes(): i for i, key in enumerate(keys)}
    number = {answer: i for i, answer in reversed(list(enumerate(answers)))}
    for question, answer in pairs:
        items = question_items(memory.table, [form.written(question)])[0]
        length = float(np.sqrt((items * items).sum()))
        if not length:
            raise DataError(f"memory: {question!r} has no word that could be recognised")
        key = np.clip(np.rint(items / (length * memory.key_scale)), -127, 127).astype(np.int8)
        leads_to = REFUSAL
        if answer is not None:
            ids = token_ids(answer, encode)
            leads_to = number.setdefault(ids, len(answers))
            if leads_to == len(answers):
                answers.append(ids)
        same = place.setdefault(key.tobytes(), len(keys))
        if same == len(keys):
            keys.append(key)
            answer_of.append(np.int32(leads_to))
        answer_of[same] = np.int32(leads_to)
    if len(answers) > MOST_ANSWERS:
        raise DataError(f"memory: {len(answers):,} different answers are more than the {MOST_ANSWERS:,} that fit")
    return replace(memory, keys=np.stack(keys), answer_of=np.array(answer_of, np.int32), answers=tuple(answers))


def changed_answers(before: Memory, after: Memory, questions: Sequence[str]) -> list[Change]:
    """Which of the questions, in their form, get another answer, for instance after :func:`add_entries`."""
    answers = zip(questions, _answers(before, questions), _answers(after, questions), strict=True)
    return [Change(question, old, new) for question, old, new in answers if old != new]


def _answers(memory: Memory, questions: Sequence[str]) -> list[tuple[int, ...] | None]:
    """Of each question, None where it is refused or left to the model."""
    found = nearest(memory, questions)
    given = (found.answer != REFUSAL) & (found.confidence >= np.float32(memory.accept))
    return [memory.answers[i] if ok else None for i, ok in zip(found.answer, given, strict=True)]
