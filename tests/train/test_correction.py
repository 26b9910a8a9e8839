"""The second stage: right answers rise, confusable ones fall, the rest stays."""

from __future__ import annotations

import numpy as np
import pytest

from shrew.corpus import EncodedDocument, Questions, response_document
from shrew.errors import ConfigError, DataError
from shrew.model.config import ModelConfig
from shrew.model.documents import split_into_blocks
from shrew.model.gradients import loss_and_gradients
from shrew.model.parameters import Parameters, init_parameters
from shrew.run import TrainConfig
from shrew.train.correct.confusions import blurred
from shrew.train.correct.correction import (
    Correction,
    CorrectionConfig,
    _Push,
    _rows,
    _wrong_tokens,
    answer_losses,
    correct,
    margins,
)
from shrew.train.optimizer import AdamW

VOCAB, END = 24, 23
MODEL = ModelConfig(dim=16, layers=1, heads=2, vocab=VOCAB, context=12, ffn=24)


def document(question: list[int], answer: list[int]) -> EncodedDocument:
    ids = np.array([*question, *answer, END], np.uint16)
    return EncodedDocument(ids, np.arange(len(ids)) >= len(question))


def tokens(*answer: int) -> np.ndarray:
    return np.array([*answer, END], np.uint16)


@pytest.fixture(scope="module")
def stage_one() -> tuple[Parameters, list[EncodedDocument], list[Correction]]:
    """A model that learnt five questions, the last of them with the answer of the first instead of its own."""
    learnt = [document([q], a) for q, a in ((1, [10, 11]), (2, [10, 12]), (3, [13]), (4, [14, 15]), (5, [10, 11]))]
    parameters = init_parameters(MODEL, 0)
    rows = _rows(learnt, MODEL.context)
    optimizer = AdamW(MODEL, TrainConfig(steps=1))
    for _ in range(150):
        _, learned, gradients = loss_and_gradients(MODEL, parameters, rows)
        gradients.flat /= learned
        optimizer.step(parameters, gradients, 1e-2)
    return parameters, learnt, [Correction(document([5], [10, 12]), (tokens(10, 11),))]


def test_a_confusable_answer_falls_below_the_right_one_and_the_rest_stays(
    stage_one: tuple[Parameters, list[EncodedDocument], list[Correction]],
) -> None:
    before, learnt, corrections = stage_one
    assert margins(MODEL, before, corrections)[0][0] < 0, "the first stage was to be confused"
    others = learnt[:4]
    after = correct(MODEL, before, corrections, others, CorrectionConfig(steps=150, batch=4, learning_rate=3e-3))
    assert margins(MODEL, after, corrections)[0][0] > 1
    drift = np.abs(answer_losses(MODEL, after, others) - answer_losses(MODEL, before, others))
    assert drift.max() < 0.2


def test_the_gradient_of_the_push_is_its_slope() -> None:
    rng = np.random.default_rng(0)
    corrections = [
        Correction(document([1, 2], [5, 6, 7]), (tokens(5, 8), tokens(9), tokens(5, 6, 7, 4))),
        Correction(document([3], [6]), (tokens(7, 7),)),
        Correction(document([3, 4], [6, 5]), ()),
    ]
    rows = _rows([c.document for c in corrections], MODEL.context)
    push = _Push(_wrong_tokens(corrections, MODEL.context), CorrectionConfig(strength=3.0, margin=1.5))
    for block in split_into_blocks(rows):
        kept = np.flatnonzero(block.weights)
        logits = rng.standard_normal((len(kept), VOCAB))
        _, slope = push(logits.copy(), block, kept)
        for index in np.ndindex(logits.shape):
            value = []
            for step in (1e-5, -1e-5):
                moved = logits.copy()
                moved[index] += step
                value.append(push(moved, block, kept)[0])
            assert slope[index] == pytest.approx((value[0] - value[1]) / 2e-5, abs=1e-6)


def test_answers_are_compared_where_they_part() -> None:
    correction = Correction(document([1, 2], [5, 6]), (tokens(5, 7), tokens(8), tokens(5, 6, 9), tokens(5)))
    wrong = _wrong_tokens([correction], MODEL.context)[0]  # [T, J]
    assert {(t, int(token)) for t, row in enumerate(wrong) for token in row if token >= 0} == {
        (2, 7),  # after 1 2 5
        (1, 8),  # after 1 2
        (3, 9),  # where the right answer ends
        (2, END),
    }


def test_an_answer_beyond_the_context_asks_for_nothing() -> None:
    correction = Correction(document([1] * 12, [5, 6]), (tokens(5, 7),))
    assert np.isinf(margins(MODEL, init_parameters(MODEL, 0), [correction])[0]).all()


def test_what_cannot_be_corrected_is_said() -> None:
    parameters = init_parameters(MODEL, 0)
    right = document([1], [5])
    with pytest.raises(DataError, match="corpus that the model is to keep"):
        correct(MODEL, parameters, [Correction(right)], [], CorrectionConfig())
    with pytest.raises(DataError, match="begins with the whole of the right one"):
        margins(MODEL, parameters, [Correction(right, (tokens(5),))])
    with pytest.raises(ConfigError, match="steps is 0"):
        CorrectionConfig(steps=0)


def test_confusable_answers_come_from_like_questions_and_are_never_right() -> None:
    corpus = [
        response_document("How do I turn on the lamp?", "Type lamp on."),
        response_document("Turn the lamp on", "Type lamp on."),
        response_document("How do I turn off the lamp?", "Type lamp off."),
        response_document("How far is the moon?", "Far."),
        response_document("How do I switch on the lamp", "Say lamp."),
    ]
    questions = Questions(corpus)
    asked = response_document("how do I turn on the lamp", "Type lamp on.")
    assert questions.confusable([asked], 2) == [["Type lamp off.", "Say lamp."]]
    also_right = response_document("how do i switch on the lamp?", "Type lamp on.")
    assert "Say lamp." not in questions.confusable([also_right], 5)[0]
    assert questions.nearest([response_document("lamp off", "")]) == ["Type lamp off."]


def test_blurred_questions_keep_their_answers() -> None:
    documents = [response_document(f"What is the value of sensor {i}?", f"It is {i}.") for i in range(200)]
    hurried = blurred(documents, seed=1)
    assert [d.response for d in hurried] == [d.response for d in documents]
    assert hurried == blurred(documents, seed=1)
    changed = [(a, b) for a, b in zip(documents, hurried, strict=True) if a != b]
    assert 0.5 < len(changed) / len(documents) < 0.9
    for a, b in changed:
        words = set(a.prompt.split())
        assert len(b.prompt.split()) >= len(words) - 1
