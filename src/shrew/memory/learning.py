"""Learning a memory: from questions with their answers to a table and one key for each answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.documents import Document
from shrew.corpus.variants import Variation, vary, with_typo
from shrew.errors import DataError, TrainingError
from shrew.memory.calibrate import Calibration, Judged, calibrated
from shrew.memory.contrasts import Contrasts
from shrew.memory.encoder import KEY_SCALE, Adam, Encoder
from shrew.memory.options import DEFAULTS, KINDS, MOST_ANSWERS, MemoryOptions
from shrew.memory.recall import Bags, Floats, buckets_of, nearest
from shrew.memory.section import REFUSAL, Memory

#: A question in the form of the model's prompts, and its answer.
Pair = tuple[str, str]
#: Called with the share of the work that is done.
Progress = Callable[[float], None]

#: Share of the steps after which training computes with the integers.
ROUNDING_FROM: Final = 0.5
WARM_UP, LEAST_RATE = 0.02, 0.05

#: One in so many foreign questions is never trained on, so that the threshold is chosen with questions that are new.
KEPT_BACK: Final = 5
#: An answer with fewer questions keeps them all.
FEWEST_KEPT: Final = 3
#: Fewer right answers than these do not tell where the threshold is.
ENOUGH: Final = 20
#: Of the steps of a training, those of a rehearsal.
REHEARSAL: Final = 0.6


class Form(Protocol):
    """What becomes of a prompt before it is read: a ``PromptForm``, a tokenizer or a model."""

    def written(self, prompt: str) -> str: ...


def pairs_of(documents: Iterable[Document], form: Form) -> list[Pair]:
    """The questions of documents with their answers, without texts and without what follows in a conversation."""
    return [(form.written(document.prompt), document.response) for document in documents if document.kind != "text"]


@dataclass(frozen=True, eq=False)
class LearntMemory:
    """A memory whose answers are text. All else is as the image stores it (:class:`~shrew.memory.section.Memory`)."""

    table: NDArray[np.int8]
    bits: int
    keys: NDArray[np.int8]
    key_scale: float
    answer_of: NDArray[np.int32]
    answers: tuple[str, ...]
    calibration: Calibration


def learn(
    pairs: Sequence[Pair],
    *,
    refusal: str | None = None,
    others: Sequence[str] = (),
    held_out: Sequence[Pair] = (),
    options: MemoryOptions = DEFAULTS,
    progress: Progress | None = None,
) -> LearntMemory:
    """A memory of ``pairs``, with one key for each answer. The same arguments give the same bits on one machine.

    Questions that are answered by ``refusal``, and ``others``, which are about something else, are learnt to be far
    from all keys. All questions are in their form. The threshold is chosen with ``held_out``, which are not trained on.
    If these are few, it is chosen with a fifth of the pairs, which a first training keeps back, or with mistyped
    questions. DataError where nothing can be learnt.
    """
    report = progress or (lambda share: None)
    known = _distinct(pairs, options.buckets)
    answers = list(dict.fromkeys(answer for answer in known.values() if answer != refusal))
    if not answers or "" in answers:
        raise DataError(f"memory: {'an answer is empty' if answers else 'no question has an answer to remember'}")
    if len(answers) > MOST_ANSWERS:
        raise DataError(f"memory: {len(answers):,} different answers are more than the {MOST_ANSWERS:,} that fit")
    judged = dict(held_out)
    others = list(dict.fromkeys(other for other in others if other not in known and other not in judged))
    new_others, trained_others = others[::KEPT_BACK], [o for i, o in enumerate(others) if i % KEPT_BACK]
    steps = options.steps_for(len(known))

    kept_back = {} if len(judged) >= ENOUGH else _some_of_each(known, refusal)
    rehearsal = max(1, round(REHEARSAL * steps)) if kept_back else 0
    total = rehearsal + steps

    def train(known: Mapping[str, str], first: int, steps: int) -> LearntMemory:
        training = _Training(known, answers, refusal, trained_others, options)
        for step in range(steps):
            training.step(step / steps)
            report((first + step + 1) / total)
        return training.memory()

    def calibrate(memory: LearntMemory, pairs: Mapping[str, str], judged_by: Judged) -> Calibration:
        right = _right(memory, pairs)
        found = nearest(memory, new_others)
        strange = np.where(found.answer == REFUSAL, np.float32(-1), found.confidence)
        return calibrated(right, strange, judged_by, most_lost=options.most_lost, default=options.apart)

    calibration = None
    if kept_back:
        seen = {question: answer for question, answer in known.items() if question not in kept_back}
        calibration = calibrate(train(seen, 0, rehearsal), kept_back, "questions kept back")
    memory = train(known, rehearsal, steps)
    if len(judged) >= ENOUGH:
        calibration = calibrate(memory, judged, "held-out questions")
    if calibration is None or calibration.right < ENOUGH:
        calibration = calibrate(memory, _mistyped(known, options.seed), "mistyped questions")
    return replace(memory, calibration=calibration)


def to_memory(learnt: LearntMemory, encode: Callable[[str], Iterable[int]]) -> Memory:
    """What an image stores; ``encode`` gives the token ids of an answer. DataError where one has no token."""
    return Memory(
        table=learnt.table,
        bits=learnt.bits,
        keys=learnt.keys,
        key_scale=learnt.key_scale,
        answer_of=learnt.answer_of,
        answers=tuple(token_ids(answer, encode) for answer in learnt.answers),
        accept=learnt.calibration.accept,
        refuse=learnt.calibration.accept,
    )


def token_ids(answer: str, encode: Callable[[str], Iterable[int]]) -> tuple[int, ...]:
    """The tokens of an answer. DataError where it has none."""
    ids = tuple(map(int, encode(answer)))
    if not ids:
        raise DataError(f"memory: the answer {answer!r} has no token")
    return ids


class _Training:
    """One training of an encoder, step by step."""

    def __init__(
        self,
        known: Mapping[str, str],
        answers: Sequence[str],
        refusal: str | None,
        others: Sequence[str],
        options: MemoryOptions,
    ) -> None:
        self._known, self._others, self._options = known, others, options
        self._contrasts = Contrasts(known)
        self._answers = answers
        self._answer_of = [*range(len(answers)), *[REFUSAL] * (KINDS if self._contrasts else 0)]
        self._refusal = len(self._answer_of)  # the target of what has no key
        self._number = {answer: number for number, answer in enumerate(answers)}
        if refusal is not None:
            self._number[refusal] = self._refusal
        self._encoder = Encoder(options, len(self._answer_of))
        self._adam = Adam(self._encoder.table, self._encoder.keys)
        self._rng, self._random = Random(options.seed), np.random.default_rng(options.seed)
        self._buckets: dict[str, NDArray[np.uint32]] = {}  # of questions that come again and again, as they stand
        self._coming = self._in_turn()

    def step(self, share: float) -> None:
        """One batch; ``share`` of the training is done."""
        questions, targets = zip(*self._batch(), strict=True)
        bags = self._some(Bags.of([self._features(question) for question in questions]))
        loss, gradients = self._encoder.loss(bags, np.array(targets), rounding=share >= ROUNDING_FROM)
        if not math.isfinite(loss):
            raise TrainingError("memory: the loss is not a number; try a lower rate")
        options, level = self._options, _schedule(share)
        self._adam.step(gradients, (level * options.rate, level * options.key_rate))

    def memory(self) -> LearntMemory:
        """What is learnt so far, with the threshold of the options."""
        none = np.zeros(0, np.float32)
        return LearntMemory(
            table=self._encoder.rounded_table()[0],
            bits=self._options.bits,
            keys=self._encoder.rounded_keys(),
            key_scale=KEY_SCALE,
            answer_of=np.array(self._answer_of, np.int32),
            answers=tuple(self._answers),
            calibration=calibrated(none, none, "nothing", most_lost=0.0, default=self._options.apart),
        )

    def _batch(self) -> Iterator[tuple[str, int]]:
        """The questions of a step, as somebody might type them, with the numbers of their answers."""
        options = self._options
        others = round(options.others * options.batch) if self._others else 0
        contrasts = round(options.contrasts * options.batch) if self._contrasts else 0
        for _ in range(max(options.batch - others - contrasts, 1)):
            question = next(self._coming)
            yield self._meant(vary(question, self._rng, options.variation), self._number[self._known[question]])
        for _ in range(others):
            yield self._meant(vary(self._rng.choice(self._others), self._rng, options.variation), self._refusal)
        for _ in range(contrasts):
            question, kind = self._contrasts.pick(self._rng)
            yield self._meant(question, len(self._answers) + kind)

    def _meant(self, question: str, answer: int) -> tuple[str, int]:
        """A question that was made from another one, with the other's answer unless it is known to have its own."""
        known = self._known.get(question)
        return question, answer if known is None else self._number[known]

    def _in_turn(self) -> Iterator[str]:
        """All questions in random order, again and again."""
        questions = list(self._known)
        while True:
            yield from (questions[i] for i in self._random.permutation(len(questions)))

    def _features(self, question: str) -> NDArray[np.uint32]:
        if question not in self._known:
            return buckets_of(question, self._options.buckets)
        if question not in self._buckets:
            self._buckets[question] = buckets_of(question, self._options.buckets)
        return self._buckets[question]

    def _some(self, bags: Bags) -> Bags:
        """Without the share of features that the options say."""
        if not self._options.forget:
            return bags
        stay = self._random.random(len(bags.bucket), np.float32) >= self._options.forget
        return Bags(bags.bucket[stay], bags.owner[stay], bags.questions)


def _schedule(share: float) -> float:
    """What learning rates are multiplied by: a short rise, then half a cosine down to a twentieth."""
    rise = min(1.0, (share + 1e-3) / WARM_UP)
    return rise * (LEAST_RATE + (1 - LEAST_RATE) * (1 + math.cos(math.pi * share)) / 2)


def _distinct(pairs: Sequence[Pair], buckets: int) -> dict[str, str]:
    """The first answer of each question that has features; no key is near to others."""
    known: dict[str, str] = {}
    for question, answer in pairs:
        if question not in known and len(buckets_of(question, buckets)):
            known[question] = answer
    return known


def _some_of_each(known: Mapping[str, str], refusal: str | None) -> dict[str, str]:
    """A fifth of the questions of each answer that has at least three, the first one excepted."""
    questions: dict[str, list[str]] = {}
    for question, answer in known.items():
        if answer != refusal:
            questions.setdefault(answer, []).append(question)
    return {
        question: answer
        for answer, asked in questions.items()
        if len(asked) >= FEWEST_KEPT
        for question in asked[KEPT_BACK - 1 :: KEPT_BACK] or asked[-1:]
    }


def _mistyped(known: Mapping[str, str], seed: int) -> dict[str, str]:
    """All questions in other words, with two typing errors."""
    rng = Random(seed)
    reworded = Variation(frames=1.0, drops=0.5, typos=1.0)
    return {with_typo(vary(question, rng, reworded), rng): answer for question, answer in known.items()}


def _right(memory: LearntMemory, pairs: Mapping[str, str]) -> Floats:
    """The confidences of the questions whose nearest key has the right answer."""
    found = nearest(memory, list(pairs))
    numbers = zip(found.answer, pairs.values(), strict=True)
    right = np.array([n != REFUSAL and memory.answers[n] == answer for n, answer in numbers], bool)
    return np.asarray(found.confidence[right], np.float32)
