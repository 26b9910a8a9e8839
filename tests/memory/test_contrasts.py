"""Questions near a command that do not mean it."""

from __future__ import annotations

from random import Random

import pytest

from shrew.memory.contrasts import Contrasts, negated


def picked(answers: dict[str, str], count: int = 300) -> set[str]:
    contrasts, rng = Contrasts(answers), Random(0)
    return {contrasts.pick(rng)[0] for _ in range(count)}


def test_an_order_is_turned_into_its_contrary() -> None:
    turned = picked({"please turn on the lamp": "Do: lamp on"})
    assert {"don't turn on the lamp", "do not turn on the lamp", "never turn on the lamp"} <= turned
    assert all(question.endswith("turn on the lamp") for question in turned)
    assert negated("can you open the door please", Random(1)).endswith(" open the door")


def test_a_number_becomes_one_that_no_command_of_its_kind_has() -> None:
    answers = {
        "timer 5 minutes": "Do: timer 5",
        "wake me in 10 minutes": "Do: timer 10",
        "a 15 minute timer": "Do: timer 15",
        "spin at 800": "Do: spin 800",
    }
    for question in picked(answers):
        numbers = [word for word in question.split() if word.isdigit()]
        assert len(numbers) == 1
        if "spin" in question:
            assert numbers != ["800"]
        else:
            assert numbers[0] not in ("5", "10", "15")


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"who are you": "A lamp."},
        {"don't spin": "Do: spin off"},
        {"what is the time": "Do: time"},
        {"licht an": "Do: licht an"},
        {"is the lamp on after 5 minutes": "Do: lamp"},
    ],
)
def test_what_is_no_plain_order_has_no_contrary(answers: dict[str, str]) -> None:
    assert not Contrasts(answers)


def test_kinds_are_told_apart() -> None:
    contrasts, rng = Contrasts({"set the timer to 5": "Do: timer 5", "turn on the lamp": "Do: lamp on"}), Random(0)
    for question, kind in (contrasts.pick(rng) for _ in range(100)):
        assert kind == (0 if question.endswith(("lamp", "to 5")) else 1)


def test_a_number_that_the_command_does_not_have_stays() -> None:
    assert all("60" in question for question in picked({"turn on the lamp for the 60 people": "Do: lamp on"}))


def test_numbers_run_out_into_longer_ones() -> None:
    answers = {f"go to {number}": f"Do: go {number}" for number in range(100)}
    assert not picked(answers, 100) & answers.keys()
