"""Other ways to type a question, and questions about other things."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrew.corpus import Variation, builtin_corpus, other_questions, vary, with_typo
from shrew.errors import ConfigError

ALWAYS = Variation(contractions=1.0, frames=1.0, drops=1.0, typos=1.0)
NEVER = Variation(contractions=0.0, frames=0.0, drops=0.0, typos=0.0)


@given(st.text(), st.integers(0, 2**32))
def test_a_seed_gives_one_text(question: str, seed: int) -> None:
    assert vary(question, Random(seed), ALWAYS) == vary(question, Random(seed), ALWAYS)


@given(st.text(), st.integers(0, 2**32))
def test_rates_of_nothing_change_nothing(question: str, seed: int) -> None:
    assert vary(question, Random(seed), NEVER) == question


@given(st.text(), st.integers(0, 2**32))
def test_a_typo_is_one_letter(question: str, seed: int) -> None:
    mistyped = with_typo(question, Random(seed))
    before, after = Counter(question), Counter(mistyped)
    assert abs(len(mistyped) - len(question)) <= 1
    assert (before - after).total() <= 1
    assert (after - before).total() <= 1


@given(st.integers(0, 2**32))
def test_a_typo_hits_the_letters_of_a_long_word(seed: int) -> None:
    mistyped = with_typo("is it 23 degrees", Random(seed))
    assert mistyped.startswith("is it 23 ")
    assert mistyped != "is it 23 degrees"


@given(st.integers(0, 2**32))
def test_neighbours_are_those_of_the_keyboard_and_keep_their_case(seed: int) -> None:
    mistyped = with_typo("GGGG", Random(seed))
    if mistyped not in ("GGG", "GGGGG"):
        assert Counter(mistyped)["G"] in (3, 4)
        assert set(mistyped) - {"G"} <= set("FTYHBV")


@pytest.mark.parametrize("question", ["", "?", "7", "a", "1 2 3", "é"])
def test_too_short_for_a_typo(question: str) -> None:
    assert with_typo(question, Random(0)) == question


@pytest.mark.parametrize("question", ["сколько это стоит", "πόσο κοστίζει αυτό", "これはいくらですか"])
def test_letters_of_other_scripts_stay_in_their_script(question: str) -> None:
    for seed in range(50):
        assert set(with_typo(question, Random(seed))) <= set(question)
    assert any(with_typo(question, Random(seed)) != question for seed in range(5))


@pytest.mark.parametrize(
    "question", ["wie warm ist es in der küche", "où est la gare", "¿dónde está el baño?", "licht nicht an lassen"]
)
def test_english_rules_leave_other_languages_alone(question: str) -> None:
    worded = Variation(contractions=1.0, frames=1.0, drops=1.0, typos=0.0)
    assert {vary(question, Random(seed), worded) for seed in range(100)} == {question}


def test_contractions_go_both_ways() -> None:
    contracted = Variation(contractions=1.0, frames=0.0, drops=0.0, typos=0.0)
    forms = {"what is the time", "what's the time", "whats the time"}
    for form in forms:
        assert {vary(form, Random(seed), contracted) for seed in range(50)} == forms - {form}


def test_a_word_that_turns_the_meaning_is_not_dropped() -> None:
    dropped = Variation(contractions=0.0, frames=0.0, drops=1.0, typos=0.0)
    for seed in range(100):
        words = vary("do not turn off the 3 lamps now", Random(seed), dropped).split()
        assert {"not", "off", "3"} <= set(words)
        assert len(words) == 7


def test_frames_reword_questions_and_orders() -> None:
    framed = Variation(contractions=0.0, frames=1.0, drops=0.0, typos=0.0)
    asked = {vary("what is the time", Random(seed), framed) for seed in range(300)}
    ordered = {vary("please turn on the lamp", Random(seed), framed) for seed in range(300)}
    assert {"what is time", "time", "tell me what is the time", "what is the time please"} <= asked
    assert {"turn on the lamp", "please turn on lamp"} <= ordered
    assert not any("you do you know" in text for text in ordered)


def test_usual_rates_leave_most_questions_recognisable() -> None:
    rng = Random(0)
    questions = [document.prompt for document in builtin_corpus("desk").held_out]
    same = sum(vary(question, rng) == question for question in questions)
    assert 0.3 * len(questions) < same < 0.8 * len(questions)


@pytest.mark.parametrize("rates", [{"typos": -0.1}, {"drops": 1.5}, {"frames": float("nan")}])
def test_a_rate_is_a_probability(rates: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="from 0 to 1"):
        Variation(**rates)


def test_other_questions_are_of_several_kinds_and_distinct() -> None:
    kinds = other_questions()
    questions = [question for kind in kinds.values() for question in kind]
    assert len(kinds) == 6
    assert len(questions) == len(set(questions)) >= 400
    asked = {document.prompt.lower(): document.response for document in builtin_corpus("desk").held_out}
    answered = {asked[question.lower()] for question in questions if question.lower() in asked}
    assert answered <= {"I only know about this board."}
