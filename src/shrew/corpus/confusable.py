"""Finds answers that could be confused with a question's own, by the similarity of questions."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.documents import Document

#: Number of hash bins in which words and parts of words are counted.
BINS = 4096

#: Number of questions compared at once.
CHUNK = 1024


class Questions:
    """The questions of a corpus, which can be searched by similarity: the cosine of TF-IDF vectors over words and
    their three-letter parts."""

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
        """The distinct responses of the corpus."""

    def right(self, question: str, response: str) -> bool:
        """Whether the corpus gives this response to this question, ignoring case and punctuation of the question."""
        return response in self._right.get(folded(question), ())

    def nearest(self, documents: Sequence[Document]) -> list[str]:
        """For each document, the response to the most similar question of the corpus."""
        return [self._known[order[0]].response for order in self._orders(documents)]

    def confusable(self, documents: Sequence[Document], count: int) -> list[list[str]]:
        """For each document, up to ``count`` responses to the most similar questions, best first, except its own
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
        """For each document, the indices of all questions of the corpus, the most similar first."""
        for start in range(0, len(documents), CHUNK):
            counts = _counts([document.prompt for document in documents[start : start + CHUNK]])
            likeness = _unit(counts * self._rarity) @ self._vectors.T  # [some, known]
            yield from np.argsort(-likeness, axis=1, kind="stable")


def folded(question: str) -> str:
    """A question for comparison: only its words, in lower case."""
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
            row[zlib.crc32(feature.encode()) % BINS] += 1  # Python's hash differs between processes
    return counts


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
