"""Finds confusions of a model: those that people wrote down, answers of similar questions, and the model's mistakes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace

import numpy as np

from shrew.corpus import Document, Questions, encode_documents, response_document
from shrew.errors import DataError
from shrew.model.config import ModelConfig
from shrew.model.parameters import Parameters
from shrew.tokenizer import Tokenizer
from shrew.train.correct.correction import Correction, Tokens, answer_losses, margins

#: Number of questions of a model's corpus that it is asked to find mistakes, each unchanged and blurred.
MINED_QUESTIONS = 4000


@dataclass(frozen=True)
class Mining:
    """Sources of confusable answers, in addition to ``Not:`` lines."""

    alike: int = 4
    """Number of answers to take from the most similar questions of the corpus."""
    tempting: int = 4
    """Number of answers to take from those of the corpus that the model finds most likely."""
    margin: float = 3.0
    """An answer is tempting if the right one leads by fewer nats than this at the token where they differ."""


@dataclass(frozen=True)
class Confusion:
    """A question with its right answer, and answers that are confused with it."""

    document: Document
    confusable: tuple[str, ...]


class Confusions:
    """Finds confusions of the model with ``parameters`` among the answers of a corpus."""

    def __init__(
        self,
        corpus: Sequence[Document],
        tokenizer: Tokenizer,
        config: ModelConfig,
        parameters: Parameters,
        executor: Executor | None = None,
    ) -> None:
        self._questions = Questions(corpus)
        if not self._questions.responses:
            raise DataError("the corpus holds no questions; only a model that answers them can confuse answers")
        self._corpus, self._tokenizer = corpus, tokenizer
        self._config, self._parameters, self._executor = config, parameters, executor
        self._encoded: dict[str, Tokens] = {}

    def of(self, questions: Sequence[Document], mining: Mining) -> list[Confusion]:
        """The confusions of questions with right answers. Questions without findings get an empty list of answers."""
        chosen = [dict.fromkeys(document.negatives) for document in questions]
        if mining.alike:
            for own, alike in zip(chosen, self._questions.confusable(questions, mining.alike), strict=True):
                own |= dict.fromkeys(alike)
        if mining.tempting:
            for own, tempting in zip(chosen, self._tempting(questions, mining), strict=True):
                own |= dict.fromkeys(tempting)
        return [Confusion(document, tuple(own)) for document, own in zip(questions, chosen, strict=True)]

    def own_mistakes(self, mining: Mining, seed: int) -> list[Confusion]:
        """Confusions of the corpus's own questions, unchanged and blurred: where the model is tempted, and those with
        ``Not:`` lines. Leaves out blurred questions that have become more similar to another question."""
        known = [document for document in self._corpus if document.prompt]
        if len(known) > MINED_QUESTIONS:
            order = np.random.default_rng(seed).permutation(len(known))[:MINED_QUESTIONS]
            known = [known[i] for i in np.sort(order)]
        hurried = blurred(known, seed)
        asked = known + [
            document
            for document, nearest in zip(hurried, self._questions.nearest(hurried), strict=True)
            if document.response == nearest
        ]
        tempting = self._tempting(asked, mining)
        found = [i for i, document in enumerate(asked) if tempting[i] or document.negatives]
        return self.of([asked[i] for i in found], mining)

    def corrections(self, confusions: Sequence[Confusion]) -> list[Correction]:
        """The same, encoded."""
        answers = [confusion.confusable for confusion in confusions]
        return self._corrections([confusion.document for confusion in confusions], answers)

    def _tempting(self, questions: Sequence[Document], mining: Mining) -> list[list[str]]:
        others = [
            [
                answer
                for answer in self._questions.responses
                if answer != question.response and not self._questions.right(question.prompt, answer)
            ]
            for question in questions
        ]
        leads = margins(self._config, self._parameters, self._corrections(questions, others), self._executor)
        nearest = (np.argsort(lead, kind="stable")[: mining.tempting] for lead in leads)
        return [
            [answers[i] for i in order if lead[i] < mining.margin]
            for answers, lead, order in zip(others, leads, nearest, strict=True)
        ]

    def _corrections(self, questions: Sequence[Document], answers: Sequence[Sequence[str]]) -> list[Correction]:
        self._encode([answer for some in answers for answer in some])
        documents = encode_documents(questions, self._tokenizer)
        return [
            Correction(document, tuple(self._encoded[answer] for answer in some))
            for document, some in zip(documents, answers, strict=True)
        ]

    def _encode(self, answers: Sequence[str]) -> None:
        new = [answer for answer in dict.fromkeys(answers) if answer not in self._encoded]
        end = np.array([] if self._tokenizer.eos is None else [self._tokenizer.eos], np.uint16)
        for answer, ids in zip(new, self._tokenizer.encode_many(new), strict=True):
            self._encoded[answer] = np.concatenate((ids, end))


def prefers_wrong(
    config: ModelConfig,
    parameters: Parameters,
    tokenizer: Tokenizer,
    confusions: Sequence[Confusion],
    executor: Executor | None = None,
) -> tuple[int, int]:
    """The number of pairs of a right and a confusable answer in which the model gives the wrong one, as a whole, the
    higher probability; and the number of all pairs."""
    pairs = [(c.document, wrong) for c in confusions for wrong in c.confusable]
    if not pairs:
        return 0, 0
    rights = list(dict.fromkeys(document for document, _ in pairs))
    of_right = answer_losses(config, parameters, encode_documents(rights, tokenizer), executor)
    loss = dict(zip(rights, of_right, strict=True))
    wrongs = [response_document(document.prompt, wrong) for document, wrong in pairs]
    of_wrong = answer_losses(config, parameters, encode_documents(wrongs, tokenizer), executor)
    return sum(bool(wrong < loss[document]) for (document, _), wrong in zip(pairs, of_wrong, strict=True)), len(pairs)


def blurred(documents: Sequence[Document], seed: int) -> list[Document]:
    """The documents, with seven of ten questions changed as if typed in a hurry: in lower case without final
    punctuation, or without one word.

    Answers to such questions reveal far more about a model than answers to questions that it has memorised. So the
    second stage preserves its outputs on these.
    """
    generator = np.random.default_rng(seed)
    return [
        replace(document, prompt=_hurried(document.prompt, generator), negatives=())
        if document.prompt and generator.random() < 0.7
        else document
        for document in documents
    ]


def _hurried(question: str, generator: np.random.Generator) -> str:
    words = question.split()
    left_out = int(generator.integers(len(words) + 1))
    if left_out == len(words) or len(words) <= 3:
        return question.lower().rstrip("?.!")
    return " ".join(words[:left_out] + words[left_out + 1 :])
