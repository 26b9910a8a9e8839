"""A memory that is learnt knows questions in other words, refuses others, and is the same each time."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from memory.corpora import FORM, HELD_OUT, PAIRS, REFUSAL, encode, model_with

from shrew.corpus import Variation, other_questions, response_document, text_document
from shrew.errors import ConfigError, DataError
from shrew.memory import REFUSAL as REFUSED
from shrew.memory import LearntMemory, MemoryOptions, learn, nearest, pairs_of, read_memory, to_memory
from shrew.memory.calibrate import Judged, calibrated

JUDGES: tuple[Judged, ...] = ("held-out questions", "questions kept back", "mistyped questions")
SMALL = MemoryOptions(buckets=1024, dim=32, steps=150, batch=64)
OTHERS = [FORM.written(question) for kind in other_questions().values() for question in kind]


@pytest.fixture(scope="module")
def learnt() -> LearntMemory:
    return learn(PAIRS, refusal=REFUSAL, others=OTHERS, options=SMALL)


def same(a: LearntMemory, b: LearntMemory) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(a))


def refuses(memory: LearntMemory, questions: list[str]) -> float:
    """The share of the questions that is refused."""
    found = nearest(memory, questions)
    return float(((found.answer == REFUSED) | (found.confidence < memory.calibration.accept)).mean())


def test_it_knows_questions_in_words_that_it_has_not_seen(learnt: LearntMemory) -> None:
    found = nearest(learnt, [question for question, _ in HELD_OUT])
    answers = [learnt.answers[number] for number in found.answer]
    right = np.mean([answer == expected for answer, (_, expected) in zip(answers, HELD_OUT, strict=True)])
    assert right > 0.9


def test_it_knows_the_questions_that_it_has_seen(learnt: LearntMemory) -> None:
    asked = [(question, answer) for question, answer in PAIRS if answer != REFUSAL]
    found = nearest(learnt, [question for question, _ in asked])
    assert [learnt.answers[number] for number in found.answer] == [answer for _, answer in asked]
    assert (found.confidence >= learnt.calibration.accept).all()


def test_it_refuses_others(learnt: LearntMemory) -> None:
    assert refuses(learnt, OTHERS) > 0.9
    assert refuses(learnt, [question for question, answer in PAIRS if answer == REFUSAL]) == 1.0
    assert REFUSAL not in learnt.answers


@pytest.mark.parametrize("question", ["don't turn on the lamp", "never switch the lamp off"])
def test_a_command_is_not_done_when_it_is_told_not_to(learnt: LearntMemory, question: str) -> None:
    assert refuses(learnt, [question]) == 1.0


def test_one_key_for_each_answer_and_two_for_what_must_not_be_done(learnt: LearntMemory) -> None:
    assert len(learnt.answers) == len({answer for _, answer in PAIRS}) - 1
    assert learnt.answer_of.tolist() == [*range(len(learnt.answers)), REFUSED, REFUSED]
    assert len(learnt.keys) == len(learnt.answer_of)
    lengths = np.linalg.norm(learnt.keys, axis=1) * learnt.key_scale
    np.testing.assert_allclose(lengths, 1, atol=0.02)
    assert np.abs(learnt.table).max() <= 7


@pytest.mark.parametrize("bits", [4, 8])
def test_a_seed_gives_one_memory(bits: int) -> None:
    options = replace(SMALL, steps=20, bits=bits)
    first = learn(PAIRS, refusal=REFUSAL, others=OTHERS, options=options)
    assert same(first, learn(PAIRS, refusal=REFUSAL, others=OTHERS, options=options))
    assert not same(first, learn(PAIRS, refusal=REFUSAL, others=OTHERS, options=replace(options, seed=1)))


def test_an_image_carries_it_and_the_engine_answers(learnt: LearntMemory) -> None:
    memory = to_memory(learnt, encode)
    assert read_memory(memory.section).section == memory.section
    assert memory.accept == memory.refuse == learnt.calibration.accept
    model = model_with(memory)
    for question, answer in [*PAIRS[:12], ("who painted the mona lisa", REFUSAL)]:
        steps = list(model.session().generate(question.capitalize() + "?", max_tokens=32))
        assert "".join(step.text for step in steps) == answer
        assert steps[-1].confidence == nearest(memory, [FORM.written(question.capitalize() + "?")]).confidence[0]


def test_held_out_questions_choose_the_threshold_where_there_are_enough() -> None:
    options = replace(SMALL, steps=30)
    asked = [(f"{question} {word}", answer) for question, answer in HELD_OUT for word in ("now", "then", "please")]
    assert learn(PAIRS, refusal=REFUSAL, held_out=asked, options=options).calibration.judged_by == "held-out questions"
    assert learn(PAIRS[:8], held_out=HELD_OUT, options=options).calibration.judged_by == "mistyped questions"


def test_one_question_is_enough() -> None:
    learnt = learn([("who are you", "A lamp.")], options=replace(SMALL, steps=5))
    assert nearest(learnt, ["who are you"]).answer.tolist() == [0]


def test_a_corpus_gives_questions_and_no_texts() -> None:
    turns = response_document("Who ARE you?", "A lamp.", follow_ups=(("and now", "Still."),))
    assert pairs_of([turns, text_document("Once.")], FORM) == [("who are you", "A lamp.")]


def test_progress_comes_to_its_end() -> None:
    shares: list[float] = []
    learn(PAIRS, refusal=REFUSAL, options=replace(SMALL, steps=10), progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_questions_in_other_languages_are_learnt() -> None:
    pairs = [("wie warm ist es", "20 Grad."), ("licht an", "Do: licht an"), ("これはいくらですか", "100円です。")]
    learnt = learn(pairs, others=OTHERS, options=replace(SMALL, steps=100))
    found = nearest(learnt, ["wie warm ist es heute", "das licht an", "これはいくら"])
    assert found.answer.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("pairs", "refusal"),
    [([], None), ([("tell me a joke", "no")], "no"), ([("who are you", "")], None), ([("?!", "What?")], None)],
)
def test_nothing_to_learn_is_said_in_one_line(pairs: list[tuple[str, str]], refusal: str | None) -> None:
    with pytest.raises(DataError, match=r"^memory: [^\n]+$"):
        learn(pairs, refusal=refusal, options=SMALL)


def test_an_answer_without_tokens_is_refused(learnt: LearntMemory) -> None:
    with pytest.raises(DataError, match="has no token"):
        to_memory(learnt, lambda answer: [])


@pytest.mark.parametrize("lost", [0, 1, 5])
def test_a_threshold_loses_few_right_answers(lost: int) -> None:
    right = np.linspace(0.4, 0.9, 50 * max(lost, 1) - (lost == 0), dtype=np.float32)
    others = np.array([0.1, 0.3, 0.401, 0.8], np.float32)
    found = calibrated(right, others, "held-out questions", most_lost=0.02, default=0.5)
    assert found.right_kept >= 0.98 - 1e-9
    assert found.others_refused >= 0.5
    assert found.accept <= right[lost]


def test_questions_kept_back_may_lose_more() -> None:
    right, others = np.linspace(0.1, 0.4, 100, dtype=np.float32), np.zeros(0, np.float32)
    thresholds = [calibrated(right, others, judge, most_lost=0.02, default=0.5).accept for judge in JUDGES]
    assert thresholds == pytest.approx([right[2], right[4], right[2]])


def test_a_threshold_is_halfway_where_others_are_far() -> None:
    right, others = np.array([0.8, 0.9], np.float32), np.array([0.2, 0.4], np.float32)
    found = calibrated(right, others, "held-out questions", most_lost=0.02, default=0.5)
    assert found.accept == pytest.approx(0.6)
    assert (found.right_kept, found.others_refused) == (1.0, 1.0)
    assert calibrated(right, others, "mistyped questions", most_lost=0.02, default=0.5).accept == 0.5
    assert calibrated(right, others, "questions kept back", most_lost=0.02, default=0.5).accept == 0.5
    assert calibrated(right[:0], others, "questions kept back", most_lost=0.02, default=0.5).accept == 0.5


@pytest.mark.parametrize(
    "options",
    [
        *({"buckets": n} for n in (0, 8, 100, 1 << 21, -16)),
        *({"dim": n} for n in (0, 8, 20, 272, -16)),
        *({"bits": 5}, {"seed": -1}, {"steps": 0}, {"batch": 0}, {"forget": 1.0}, {"forget": -0.1}),
        *({"others": 0.6}, {"contrasts": -1.0}, {"rate": 0.0}, {"key_rate": float("nan")}),
        *({"sharpness": 0.0}, {"most_lost": 1.0}, {"apart": 1.0}),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"^{next(iter(options))}: [^\n]+ must be [^\n]+$"):
        MemoryOptions(**options)  # type: ignore[arg-type]  # out of range on purpose


def test_more_questions_take_more_steps() -> None:
    options = MemoryOptions()
    assert options.steps_for(10) == options.steps_for(450) == 500
    assert 500 < options.steps_for(5000) < options.steps_for(1_000_000) == 4000
    assert MemoryOptions(steps=7, variation=Variation(typos=0.5)).steps_for(5000) == 7
