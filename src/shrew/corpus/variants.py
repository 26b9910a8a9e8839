"""Other ways in which people type a question.

Typing errors know the neighbours of a key for the letters a to z; letters of other scripts are swapped, dropped and
doubled. The rules about wording are for English and leave a question alone that shows no sign of being English.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random
from typing import Final

from shrew.errors import ConfigError


@dataclass(frozen=True)
class Variation:
    """How often a question is changed in each way, each a probability. ConfigError where one is none."""

    contractions: float = 0.1
    """``what is`` for ``what's`` for ``whats``, and back."""
    frames: float = 0.2
    """Politeness or an article more or less."""
    drops: float = 0.15
    """A word is missing, but none that says no, how many, or which way."""
    typos: float = 0.2
    """One typing error."""

    def __post_init__(self) -> None:
        for rate in fields(self):
            value = getattr(self, rate.name)
            if not 0.0 <= value <= 1.0:
                raise ConfigError(f"{rate.name}: {value} must be from 0 to 1")


#: How often a question is changed by default.
DEFAULT: Final = Variation()


def vary(question: str, rng: Random, variation: Variation = DEFAULT) -> str:
    """The question as somebody else may type it, or as it is. The same state of ``rng`` gives the same text."""
    changes: tuple[tuple[float, Callable[[str, Random], str]], ...] = (
        (variation.contractions, _contract),
        (variation.frames, _reframe),
        (variation.drops, _drop_word),
        (variation.typos, with_typo),
    )
    for rate, change in changes:
        if rng.random() < rate:
            question = change(question, rng)
    return question


# ---- Typing errors ---------------------------------------------------------------------------------------------------

_KEYBOARD = ("qwertyuiop", "asdfghjkl", "zxcvbnm")  # each row half a key further to the right
_LETTERS = re.compile(r"[^\W\d_]+")
_LONG_WORD = 4


def with_typo(question: str, rng: Random) -> str:
    """The question with one typing error in a word of four letters or more, else of two or three, else as it is.

    A letter becomes its neighbour on the keyboard, changes places with the next one, is missing or is doubled.
    """
    words = [match.span() for match in _LETTERS.finditer(question)]
    words = [w for w in words if w[1] - w[0] >= _LONG_WORD] or [w for w in words if w[1] - w[0] >= 2]
    if not words:
        return question
    start, end = rng.choices(words, [end - start for start, end in words])[0]
    return question[:start] + _mistyped(question[start:end], rng) + question[end:]


def _mistyped(word: str, rng: Random) -> str:
    """A word of at least two letters with one error."""
    kind = rng.choices(("neighbour", "swap", "drop", "double"), (4, 3, 3, 2))[0]
    if kind == "neighbour":
        known = [i for i, letter in enumerate(word) if letter.lower() in _NEIGHBOURS]
        if known:
            i = rng.choice(known)
            key = rng.choice(_NEIGHBOURS[word[i].lower()])
            return word[:i] + (key.upper() if word[i].isupper() else key) + word[i + 1 :]
    if kind == "swap":
        places = [i for i in range(len(word) - 1) if word[i] != word[i + 1]]
        if places:
            i = rng.choice(places)
            return word[:i] + word[i + 1] + word[i] + word[i + 2 :]
    i = rng.randrange(len(word))
    return word[:i] + word[i + 1 :] if kind == "drop" else word[: i + 1] + word[i:]


def _neighbours() -> dict[str, str]:
    """The keys that touch a key."""
    places = {key: (row, 2 * column + row) for row, keys in enumerate(_KEYBOARD) for column, key in enumerate(keys)}

    def touch(a: tuple[int, int], b: tuple[int, int]) -> bool:
        rows, halves = abs(a[0] - b[0]), abs(a[1] - b[1])
        return (rows, halves) in ((0, 2), (1, 1))

    return {key: "".join(other for other in places if touch(places[key], places[other])) for key in places}


_NEIGHBOURS: Final = _neighbours()


# ---- English wording -------------------------------------------------------------------------------------------------

#: Words that are frequent in English questions, and in no other language that uses the same letters.
_ENGLISH = """
    the what what's whats how how's hows where where's wheres when who who's whos why which whose does doesn't did
    didn't are aren't your you you're yours this that these those with without from there their should would could
    please turn show tell switch make give have has much many long about any and isn't can't cant dont don't i'm
    i've it's its
"""
_ENGLISH_WORDS = frozenset(_ENGLISH.split())

_CONTRACTIONS: Final = (
    *(("what is", "what's"), ("where is", "where's"), ("who is", "who's"), ("how is", "how's"), ("when is", "when's")),
    *(("that is", "that's"), ("it is", "it's"), ("there is", "there's"), ("what are", "what're"), ("i am", "i'm")),
    *(("i have", "i've"), ("i would", "i'd"), ("you are", "you're"), ("do not", "don't"), ("does not", "doesn't")),
    *(("did not", "didn't"), ("cannot", "can't"), ("can not", "can't"), ("could not", "couldn't")),
    *(("is not", "isn't"), ("are not", "aren't"), ("will not", "won't"), ("let us", "let's")),
)

_ASKS = re.compile(
    r"(what|where|how|why|when|who|which|whose|is|are|does|do|did|can|should|could|will|would|may|must|has|have)\b",
    re.IGNORECASE,
)
_BEFORE_QUESTIONS = (
    *("please tell me", "tell me", "can you tell me", "could you tell me", "do you know", "i want to know"),
    *("i'd like to know", "hey", "hi", "so", "ok", "quick question", "please", "just wondering", "and", "say"),
)
_BEFORE_ORDERS = (
    *("please", "can you", "could you", "can you please", "could you please", "would you", "i want you to"),
    *("hey", "ok", "now", "pls", "just", "tell me", "please tell me"),
)
_BEHIND = ("please", "pls", "plz", "thanks", "thank you", "for me", "then", "here", "now")
_POLITE_START = re.compile(
    r"^(please tell me|can you tell me|could you tell me|can you please|could you please|can you|could you|would you"
    r"|please|tell me|hey|i want to know|i'd like to know|do you know) ",
    re.IGNORECASE,
)
_POLITE_END = re.compile(r" (please|pls|thanks|thank you)$", re.IGNORECASE)
_ARTICLE = re.compile(r"\b(the|a|an) ", re.IGNORECASE)
_DETERMINER = re.compile(r"\b(the|a|an|my|your|this) ", re.IGNORECASE)
_OPENING = re.compile(
    r"^(what is|what's|whats|what are|tell me about|explain|show me|what does|describe) (the |a |an )?", re.IGNORECASE
)
_SHORTEST = 4

#: A question without one of these words asks for something else.
_WEIGHTY = """
    not no never none dont don't doesnt doesn't isnt isn't cant can't wont won't without on off up down in out left
    right open close start stop more less before after first last next one two three four five six seven eight nine
    ten
"""
_WEIGHTY_WORDS = frozenset(_WEIGHTY.split())


def is_english(question: str) -> bool:
    """Whether a word of the question is English and hardly anything else."""
    return not _ENGLISH_WORDS.isdisjoint(re.findall(r"[\w']+", question.lower()))


def is_order(question: str) -> bool:
    """Whether an English question without its politeness asks for nothing, as ``can you turn on the lamp``."""
    return not _ASKS.match(without_politeness(question))


def without_politeness(question: str) -> str:
    """A question without an English please or thanks at its ends."""
    return _POLITE_END.sub("", _POLITE_START.sub("", question))


def _contract(question: str, rng: Random) -> str:
    """``what is`` for ``what's`` for ``whats``, in one place."""
    if not is_english(question):
        return question
    found: list[tuple[re.Match[str], tuple[str, ...]]] = []
    for long, short in _CONTRACTIONS:
        bare = short.replace("'", "")
        forms = (long, short) if bare in ("its", "id", "wont", "were", "lets") else (long, short, bare)
        for form in forms:
            match = re.search(rf"(?<![\w']){form}(?![\w'])", question, re.IGNORECASE)
            if match:
                found.append((match, tuple(other for other in forms if other != form)))
    if not found:
        return question
    match, others = rng.choice(found)
    return question[: match.start()] + rng.choice(others) + question[match.end() :]


def _reframe(question: str, rng: Random) -> str:
    """One change of wording that leaves the meaning."""
    if not is_english(question):
        return question
    kind = rng.choices(("before", "behind", "blunt", "no articles", "no opening"), (6, 3, 3, 5, 3))[0]
    if kind == "before":
        starts = _BEFORE_QUESTIONS if _ASKS.match(question) else _BEFORE_ORDERS
        return f"{rng.choice(starts)} {question}"
    if kind == "behind":
        return f"{question} {rng.choice(_BEHIND)}"
    if kind == "blunt":
        shorter = without_politeness(question)
    elif kind == "no articles":
        shorter = _DETERMINER.sub("", question) if rng.random() < 0.5 else _ARTICLE.sub("", question, count=1)
    else:
        shorter = _OPENING.sub("", question)
    return shorter if len(shorter) >= _SHORTEST else question


def _drop_word(question: str, rng: Random) -> str:
    """Without one of its words, of at least four, if one of them can go."""
    words = question.split(" ")
    light = [i for i, word in enumerate(words) if word.lower() not in _WEIGHTY_WORDS and not re.search(r"\d", word)]
    if len(words) < 4 or not light or not is_english(question):
        return question
    i = rng.choice(light)
    return " ".join(words[:i] + words[i + 1 :])
