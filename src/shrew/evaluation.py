"""Measures an image: likelihood of text, and exact answers to questions. The engine computes everything."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.documents import COMMAND_PREFIX
from shrew.engine import Model
from shrew.errors import DataError


@dataclass(frozen=True)
class Likelihood:
    """Summed negative log-likelihood of the tokens scored."""

    nats: float
    tokens: int
    bytes: int
    """Bytes of text in the scored tokens."""

    @property
    def nats_per_token(self) -> float:
        return self.nats / self.tokens

    @property
    def bits_per_byte(self) -> float:
        """NaN if the scored tokens have no text."""
        return self.nats / math.log(2) / self.bytes if self.bytes else math.nan

    @property
    def perplexity(self) -> float:
        try:
            return math.exp(self.nats_per_token)
        except OverflowError:
            return math.inf

    def as_dict(self) -> dict[str, float | int]:
        return {
            "nats": self.nats,
            "tokens": self.tokens,
            "nats_per_token": self.nats_per_token,
            "bytes": self.bytes,
            "bits_per_byte": self.bits_per_byte,
            "perplexity": self.perplexity,
        }


def negative_log_likelihoods(logits: NDArray[np.float32], targets: NDArray[np.uint16]) -> NDArray[np.float64]:
    """-log p of each target [n] under logits [n, vocab], in nats."""
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    picked = np.take_along_axis(wide, targets.astype(np.int64)[:, None], axis=1)[:, 0]
    return np.asarray(np.log(np.exp(wide).sum(axis=1)) - picked)


def score_tokens(
    model: Model, documents: Iterable[tuple[NDArray[np.uint16], NDArray[np.bool_]]], **options: Any
) -> Likelihood:
    """Likelihood of token sequences, each in a reset session with the given options, and cut at the context.

    Each document is (ids [n], scored [n]): ``scored[i]`` says whether token i counts; token 0 cannot.
    """
    session = model.session(block=64, **options)
    nats, tokens, size = 0.0, 0, 0
    for ids, scored in documents:
        ids, scored = ids[: model.context], scored[: model.context]
        places = np.flatnonzero(scored[1:])
        if not len(places):
            continue
        session.reset()
        logits = session.feed_all(ids[: places[-1] + 1])
        targets = ids[1:][places]
        nats += float(negative_log_likelihoods(logits[places], targets).sum())
        tokens += len(places)
        size += sum(len(model.token_bytes(int(token))) for token in targets)
    if not tokens:
        raise DataError(f"{model.name}: the text has no token to score")
    return Likelihood(nats, tokens, size)


def score_texts(
    model: Model, texts: Iterable[str], progress: Callable[[], None] | None = None, **options: Any
) -> Likelihood:
    """Likelihood of plain texts, each from its own beginning-of-text; end-of-text is not scored."""
    start = [] if model.bos is None else [model.bos]

    def documents() -> Iterable[tuple[NDArray[np.uint16], NDArray[np.bool_]]]:
        for text in texts:
            ids = np.concatenate([np.array(start, dtype=np.uint16), model.encode(text)])
            scored = np.ones(len(ids), dtype=np.bool_)
            scored[:1] = False
            yield ids, scored
            if progress:
                progress()

    return score_tokens(model, documents(), **options)


def normalized(answer: str) -> str:
    """An answer for comparison: in lower case, without differences in white space and closing punctuation."""
    return re.sub(r"\s+", " ", answer).strip().rstrip(".!").lower()


@dataclass(frozen=True)
class Answer:
    """A model's greedy answer to a question, without previous conversation."""

    question: str
    expected: str
    text: str
    finish: str
    command: str | None
    """The command of the answer, also if it was refused for low confidence (finish ``refused``)."""
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the answer equals the expected one after :func:`normalized`."""
        return normalized(self.text) == normalized(self.expected)

    @property
    def commands(self) -> bool:
        return self.command is not None and self.finish != "refused"


def ask(model: Model, pairs: Sequence[tuple[str, str]], progress: Callable[[], None] | None = None) -> list[Answer]:
    """Asks every (question, expected answer)."""
    session, answers = model.session(), []
    for question, expected in pairs:
        limit = len(model.encode(expected)) + 8  # enough to notice that an answer continues too long
        text = ""
        for step in session.generate(question):
            text += step.text
            if step.tokens > limit and not step.confidence:
                break
        answers.append(Answer(question, expected, text, step.finish, step.command, step.confidence))
        if progress:
            progress()
    return answers


@dataclass(frozen=True)
class Accuracy:
    """The fraction of questions answered right."""

    right: int
    asked: int
    wrong: tuple[tuple[str, str, str], ...]
    """(question, expected, answered) of the wrong answers."""

    @classmethod
    def of(cls, answers: Sequence[Answer]) -> Accuracy:
        wrong = tuple((a.question, a.expected, a.text) for a in answers if not a.right)
        return cls(len(answers) - len(wrong), len(answers), wrong)

    @property
    def share(self) -> float:
        return self.right / self.asked if self.asked else math.nan


@dataclass(frozen=True)
class CommandAccuracy:
    """Counts of answers to requests for commands, and to other questions."""

    asked: int
    """Requests for a command."""
    right: int
    wrong: int
    """Answered by a wrong command, which a device would have executed."""
    refused: int
    """Answered by text: a refusal for low confidence, or any other text."""
    others: int
    """Questions that are not requests for commands."""
    false: int
    """Of these, answered by a command."""
    invalid: int
    """Commands that are not in the grammar: 0 unless the engine is wrong."""
    outside: int
    """Questions outside the image's subject, to which the refusal is the right answer."""
    outside_refused: int

    @classmethod
    def of(cls, answers: Sequence[Answer], grammar: Container[str], refusal: str) -> CommandAccuracy:
        """``refusal``: the image's answer to questions outside its subject."""
        requests = [a for a in answers if a.expected.startswith(COMMAND_PREFIX)]
        others = [a for a in answers if not a.expected.startswith(COMMAND_PREFIX)]
        outside = [a for a in others if a.expected == refusal]
        right = sum(a.commands and a.right for a in requests)
        wrong = sum(a.commands and not a.right for a in requests)
        return cls(
            asked=len(requests),
            right=right,
            wrong=wrong,
            refused=len(requests) - right - wrong,
            others=len(others),
            false=sum(a.commands for a in others),
            invalid=sum(a.command is not None and a.commands and a.command not in grammar for a in answers),
            outside=len(outside),
            outside_refused=sum(a.text == refusal for a in outside),
        )


def answer_accuracy(
    model: Model, pairs: Sequence[tuple[str, str]], progress: Callable[[], None] | None = None
) -> Accuracy:
    """The fraction of (question, expected answer) pairs that the model answers as expected."""
    return Accuracy.of(ask(model, pairs, progress))
