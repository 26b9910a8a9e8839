"""The second stage: a trained model unlearns confusions and preserves its other answers.

A correction is a question with its right answer and with wrong answers. A right and a confusable answer begin alike;
the first token at which they differ decides between them. Only at this token, the confusable answer is pushed below the
right one: the rest of the confusable answer is right for other questions. With m, the logit of the right token minus
that of the confusable one, the loss of a correction is

    sum of -log p(token of the right answer)  +  strength * mean over confusable answers of softplus(margin - m)

The second term vanishes once the right token leads by ``margin`` nats. Every step also processes as many other
documents, on which the model must preserve its outputs: their loss is ``trust`` times the Kullback-Leibler divergence
from the original model. A preference over whole answers (Rafailov et al. 2023) would also push down what answers share,
and unlikelihood training (Welleck et al. 2020) pushes without bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shrew.corpus import EncodedDocument, PackedRows
from shrew.errors import ConfigError, DataError, TrainingError
from shrew.model.allocator import keep_freed_memory
from shrew.model.config import ModelConfig
from shrew.model.divergence import divergence
from shrew.model.documents import Block
from shrew.model.gradients import evaluate, loss_and_gradients, weighted_cross_entropy
from shrew.model.operators import Ids
from shrew.model.parameters import Array, Parameters
from shrew.model.transformer import network_forward
from shrew.run import TrainConfig
from shrew.train.optimizer import AdamW, clip_gradients

Tokens = NDArray[np.uint16]


@dataclass(frozen=True, kw_only=True)
class CorrectionConfig:
    steps: int = 200
    batch: int = 16
    """Corrections per step, and as many other documents."""
    learning_rate: float = 3e-4
    """Initial learning rate; it falls to zero."""
    margin: float = 3.0
    """Lead that the right token should gain, in nats."""
    strength: float = 1.0
    """Weight of the loss against confusable answers."""
    trust: float = 4.0
    """Weight of the divergence from the original model; 0: the other documents are learnt as in the first stage."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch", 1), ("strength", 0), ("trust", 0), ("seed", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise ConfigError(f"correction: {name} is {getattr(self, name)}, must be at least {least}")
        if not math.isfinite(self.margin):
            raise ConfigError(f"correction: margin is {self.margin}, must be a number of nats")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"correction: learning_rate is {self.learning_rate}, must be above 0")

    def without_corrections(self) -> CorrectionConfig:
        """The same configuration for ordinary training on right answers and corpus, as a comparison."""
        return replace(self, strength=0.0, trust=0.0)


@dataclass(frozen=True)
class Correction:
    """A question with its right answer and with wrong ones."""

    document: EncodedDocument
    confusable: tuple[Tokens, ...] = ()
    """Other responses [n], each with its end-of-text."""


def correct(
    config: ModelConfig,
    before: Parameters,
    corrections: Sequence[Correction],
    others: Sequence[EncodedDocument],
    how: CorrectionConfig,
    *,
    executor: Executor | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Parameters:
    """The parameters after the second stage. ``others``: documents on which the model must preserve its outputs.

    ``progress`` is called with each step's number and loss. Raises DataError if there is nothing to correct or to
    preserve, TrainingError if the loss becomes NaN or infinite.
    """
    if not corrections or not others:
        raise DataError("a correction needs questions to correct, and the corpus that the model is to keep")
    learnt, kept_as_is = _rows([c.document for c in corrections], config.context), _rows(others, config.context)
    wrong = _wrong_tokens(corrections, config.context)  # [corrections, T, J]

    def trust(logits: Array, block: Block, kept: Ids) -> tuple[float, Array]:
        if not how.trust:
            return weighted_cross_entropy(logits, block, kept)
        expected, _ = network_forward(config, before.network, block.inputs, block.positions, kept, save=False)
        return divergence(expected, logits)

    keep_freed_memory()
    parameters = before.copy()
    optimizer = AdamW(config, TrainConfig(steps=how.steps, weight_decay=0.0))
    batches = zip(
        _batches(len(learnt), how.batch, how.seed), _batches(len(kept_as_is), how.batch, how.seed + 1), strict=True
    )
    for step, (some, other) in zip(range(how.steps), batches, strict=False):
        push = _Push(wrong[some], how)
        nats, learned, gradients = loss_and_gradients(
            config, parameters, learnt.take(some), loss=push, executor=executor
        )
        distance, tokens, pull = loss_and_gradients(
            config, parameters, kept_as_is.take(other), loss=trust, executor=executor
        )
        scale = (how.trust or 1.0) / max(tokens, 1.0)
        gradients.flat *= np.float32(1 / max(learned, 1.0))
        gradients.flat += np.float32(scale) * pull.flat
        norm = clip_gradients(gradients, 1.0, 1.0)
        loss = nats / max(learned, 1.0) + scale * distance
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(f"the loss is NaN or infinite after step {step}; lower the learning rate")
        optimizer.step(parameters, gradients, how.learning_rate * (1 - step / how.steps))
        if progress:
            progress(step + 1, loss)
    return parameters


class _Push:
    """The loss of some corrections, one per row."""

    def __init__(self, wrong: NDArray[np.int32], how: CorrectionConfig) -> None:
        self._wrong = wrong.reshape(-1, wrong.shape[2])  # [rows * T, J]
        pairs = np.maximum((wrong >= 0).sum(axis=(1, 2)), 1)
        self._share = np.repeat(how.strength / pairs, wrong.shape[1])  # [rows * T]
        self._margin = how.margin

    def __call__(self, logits: Array, block: Block, kept: Ids) -> tuple[float, Array]:
        places = block.source.reshape(-1)[kept]  # [M]
        rows, pair = np.nonzero(self._wrong[places] >= 0)
        wrong, right = self._wrong[places[rows], pair], block.targets.reshape(-1)[kept][rows]
        share = self._share[places[rows]]
        short = self._margin - (logits[rows, right] - logits[rows, wrong]).astype(np.float64)
        nats, dlogits = weighted_cross_entropy(logits, block, kept)
        slope = (share / (1 + np.exp(-short))).astype(dlogits.dtype)
        np.add.at(dlogits, (rows, wrong), slope)
        np.add.at(dlogits, (rows, right), -slope)
        return nats + float(np.dot(share, np.logaddexp(0, short))), dlogits


def answer_losses(
    config: ModelConfig, parameters: Parameters, documents: Sequence[EncodedDocument], executor: Executor | None = None
) -> NDArray[np.float64]:
    """-log p of each document's response in nats, [documents], including end-of-text."""
    rows = _rows(documents, config.context)
    losses = np.zeros(rows.inputs.size)

    def note(logits: Array, block: Block, kept: Ids) -> tuple[float, Array]:
        targets = block.targets.reshape(-1)[kept]
        wide = logits.astype(np.float64)
        wide -= wide.max(axis=1, keepdims=True)
        losses[block.source.reshape(-1)[kept]] = np.log(np.exp(wide).sum(axis=1)) - wide[np.arange(len(kept)), targets]
        return 0.0, logits

    evaluate(config, parameters, rows, loss=note, executor=executor)
    return np.asarray(losses.reshape(rows.inputs.shape).sum(axis=1))


def margins(
    config: ModelConfig,
    parameters: Parameters,
    corrections: Sequence[Correction],
    executor: Executor | None = None,
) -> list[NDArray[np.float64]]:
    """For each correction and each of its confusable answers, the lead in nats of the right token where they differ.

    Infinite if they first differ beyond the context.
    """
    rows = _rows([c.document for c in corrections], config.context)
    most = max((len(c.confusable) for c in corrections), default=0)
    found = np.full((len(corrections), most), np.inf)
    at: dict[int, list[tuple[int, int, int]]] = {}
    for row, correction in enumerate(corrections):
        for j, (place, token) in enumerate(_partings(correction)):
            if place < config.context:
                at.setdefault(row * config.context + place, []).append((row, j, token))

    def note(logits: Array, block: Block, kept: Ids) -> tuple[float, Array]:
        targets = block.targets.reshape(-1)[kept]
        for m, place in enumerate(block.source.reshape(-1)[kept]):
            for row, j, token in at.get(int(place), ()):
                found[row, j] = logits[m, targets[m]] - logits[m, token]
        return 0.0, logits

    evaluate(config, parameters, rows, loss=note, executor=executor)
    return [found[row, : len(correction.confusable)] for row, correction in enumerate(corrections)]


def _partings(correction: Correction) -> Iterator[tuple[int, int]]:
    """For each confusable answer, the position where it first differs from the right one, and its token there."""
    start = int(np.flatnonzero(correction.document.learn)[0]) - 1
    right = correction.document.ids[start + 1 :].tobytes()
    for response in correction.confusable:
        wrong = response.tobytes()
        length = min(len(right), len(wrong))
        parting = _first_difference(right[:length], wrong[:length])
        if parting == length:
            raise DataError("a confusable answer begins with the whole of the right one")
        token = parting // response.itemsize
        yield start + token, int(response[token])


@lru_cache(maxsize=1 << 16)
def _first_difference(a: bytes, b: bytes) -> int:
    """The first index at which two strings of equal length differ; their length if they are equal."""
    if a == b:
        return len(a)
    x, y = np.frombuffer(a, np.uint8), np.frombuffer(b, np.uint8)
    return int((x != y).argmax())


def _wrong_tokens(corrections: Sequence[Correction], context: int) -> NDArray[np.int32]:
    """[corrections, T, J] the tokens to push down at each position, -1 for none."""
    places: list[dict[int, dict[int, None]]] = []
    for correction in corrections:
        own: dict[int, dict[int, None]] = {}
        for place, token in _partings(correction):
            if place < context:
                own.setdefault(place, {})[token] = None
        places.append(own)
    most = max((len(tokens) for own in places for tokens in own.values()), default=1)
    wrong = np.full((len(corrections), context, most), -1, np.int32)
    for row, own in enumerate(places):
        for place, tokens in own.items():
            wrong[row, place, : len(tokens)] = list(tokens)
    return wrong


def _rows(documents: Sequence[EncodedDocument], context: int) -> PackedRows:
    """Rows of one document each, cut at the context."""
    shape = (len(documents), context)
    rows = PackedRows(
        inputs=np.zeros(shape, np.uint16),
        targets=np.zeros(shape, np.uint16),
        weights=np.zeros(shape, np.float32),
        documents=np.full(shape, -1, np.int16),
        positions=np.broadcast_to(np.arange(context, dtype=np.uint16), shape),
    )
    for row, document in enumerate(documents):
        end = min(len(document.ids) - 1, context)
        rows.inputs[row, :end] = document.ids[:end]
        rows.targets[row, :end] = document.ids[1 : end + 1]
        rows.weights[row, :end] = document.learn[1 : end + 1]
        rows.documents[row, :end] = 0
    return rows


def _batches(count: int, batch: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yields indices below ``count``, ``batch`` at a time, each once per epoch."""
    order, generator = np.zeros(0, np.intp), np.random.default_rng(seed)
    while True:
        while len(order) < batch:
            order = np.concatenate([order, generator.permutation(count)])
        yield order[:batch]
        order = order[batch:]
