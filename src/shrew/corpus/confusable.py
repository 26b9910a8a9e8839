"""Answers that a question could be confused with, found by how alike questions are."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.documents import Document

#: Words and parts of words are counted in so many bins.
BINS = 4096

#: Questions compared at once.
CHUNK = 1024


class Questions:
    """The questions of a corpus, to be searched by likeness: the cosine of TF-IDF vectors over words and the
    three-letter parts of words."""

    def __init__(self, corpus: Sequence[Document]) -> None:
        self._known = [document for document in corpus if document.prompt]
        self._right: defaultdict[str, set[str]] = defaultdict(set)
        for document in self._known:
            self._right[folded(document.prompt)].add(document.response)
        counts = _counts([document.prompt for document in self._known])
        found = np.count_nonzero(counts, axis=0)
        self._rarity = (np.log((1 + len(self._known)) / (1 + found)) + 1).astype(np.float32)
        self._vectors = _unit(counts * self._rarity)
        self.responses = list(dict.fromkeys(document.response for document in self._known))
        """Of the corpus, each once."""

    def right(self, question: str, response: str) -> bool:
        """Whether the corpus gives this response to this question, however it is spelt."""
        return response in self._right.get(folded(question), ())

    def nearest(self, documents: Sequence[Document]) -> list[str]:
        """The response to the corpus question most like that of each document."""
        return [self._known[order[0]].response for order in self._orders(documents)]

    def confusable(self, documents: Sequence[Document], count: int) -> list[list[str]]:
        """For each document up to ``count`` responses to the questions most like its own, best first, without its own
        response and others that are right."""
        found: list[list[str]] = []
        for document, order in zip(documents, self._orders(documents), strict=True):
            answers: dict[str, None] = {}
            for i in order:
                response = self._known[i].response
                if len(answers) < count and response != document.response and not self.right(document.prompt, response):
                    answers[response] = None
            found.append(list(answers))
        return found

    def _orders(self, documents: Sequence[Document]) -> Iterator[NDArray[np.intp]]:
        """For each document all questions of the corpus, the most alike first."""
        for start in range(0, len(documents), CHUNK):
            counts = _counts([document.prompt for document in documents[start : start + CHUNK]])
            likeness = _unit(counts * self._rarity) @ self._vectors.T  # [some, known]
            yield from np.argsort(-likeness, axis=1, kind="stable")


def folded(question: str) -> str:
    """A question for comparison: lower case, words alone."""
    return " ".join(re.findall(r"\w+", question.lower()))


def _features(question: str) -> Iterator[str]:
    for word in folded(question).split():
        yield word
        marked = f"<{word}>"
        yield from (marked[i : i + 3] for i in range(len(marked) - 2))


def _counts(questions: Sequence[str]) -> NDArray[np.float32]:
    """[questions, BINS]"""
    counts = np.zeros((len(questions), BINS), np.float32)
    for row, question in zip(counts, questions, strict=True):
        for feature in _features(question):
            row[zlib.crc32(feature.encode()) % BINS] += 1  # Python's own hash differs from process to process
    return counts


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
