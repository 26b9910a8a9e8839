"""Questions that are close to a command and do not mean it: a device must not do what it was told not to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count
from random import Random
from typing import Final

from shrew.corpus.documents import COMMAND_PREFIX
from shrew.corpus.variants import is_english, is_order, without_politeness

_NUMBER = re.compile(r"(?<![\w.])\d+(?![\w.])")
_NEGATED = re.compile(r"\b(no|not|never|none|without|stop|dont|don't|cant|can't|wont|won't)\b", re.IGNORECASE)
_NEGATIONS: Final = (
    *("don't", "dont", "do not", "never", "no", "please don't", "please do not", "you must not"),
    "i don't want you to",
)


class Contrasts:
    """Makes such questions from the commands among questions with their answers."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        """``answers`` has the answer of each question that is known."""
        self._commands = {question: a for question, a in answers.items() if a.startswith(COMMAND_PREFIX)}
        self._taken: dict[str, set[str]] = {}  # of a command without its numbers: those that are known
        for question, answer in self._commands.items():
            taken = self._taken.setdefault(_NUMBER.sub("#", answer), set())
            taken.update(_NUMBER.findall(question), _NUMBER.findall(answer))
        self._questions = [q for q in self._commands if _can_be_negated(q) or self._numbers(q)]

    def __bool__(self) -> bool:
        return bool(self._questions)

    def pick(self, rng: Random) -> tuple[str, int]:
        """One of a command that is told not to be done (kind 0), or with a number that no command like it has (1)."""
        question = rng.choice(self._questions)
        numbers = self._numbers(question)
        if numbers and (not _can_be_negated(question) or rng.random() < 0.5):
            return self._other_number(question, rng.choice(numbers), rng), 1
        return negated(question, rng), 0

    def _numbers(self, question: str) -> list[re.Match[str]]:
        """The numbers in a question that are also in its command."""
        known = _NUMBER.findall(self._commands[question])
        return [number for number in _NUMBER.finditer(question) if number[0] in known]

    def _other_number(self, question: str, number: re.Match[str], rng: Random) -> str:
        taken = self._taken[_NUMBER.sub("#", self._commands[question])]
        digits = len(number[0])
        other = next(n for n in _random_numbers(digits, rng) if n not in taken)
        return question[: number.start()] + other + question[number.end() :]


def negated(question: str, rng: Random) -> str:
    """An English order turned into its contrary."""
    return f"{rng.choice(_NEGATIONS)} {without_politeness(question)}"


def _can_be_negated(question: str) -> bool:
    return is_english(question) and is_order(question) and not _NEGATED.search(question)


def _random_numbers(digits: int, rng: Random) -> Iterator[str]:
    """Numbers of about so many digits, longer ones after a while."""
    for tries in count():
        yield str(rng.randrange(10 ** (digits + rng.randrange(2) + tries // 8)))
