"""Finds repeated documents of a corpus, and questions with several answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from shrew.corpus.documents import Document

_PUNCTUATION = ".,;:!?…\"'“”„‘’«»()[]¿¡"


@dataclass(frozen=True)
class DuplicateReport:
    documents: int
    repeats: int
    """Documents that are exact copies of an earlier one."""
    groups: list[list[Document]]
    """All copies of each document that occurs more than once, the most frequent first."""
    conflicts: list[list[Document]]
    """For each prompt that begins documents with several responses, the first document with each response. Case, white
    space and the punctuation around words make no difference."""


def plain_words(text: str) -> tuple[str, ...]:
    """The words of a text for comparison: in one case, without the punctuation around them."""
    words = text.casefold().split()
    return tuple(bare for word in words if (bare := word.strip(_PUNCTUATION))) or tuple(words)


def find_duplicates(documents: Iterable[Document]) -> DuplicateReport:
    """Reports exact repeats and contradictions; changes nothing."""
    copies: defaultdict[tuple[tuple[str, str], ...], list[Document]] = defaultdict(list)
    responses: defaultdict[tuple[str, ...], dict[tuple[str, ...], Document]] = defaultdict(dict)
    for document in documents:
        copies[document.turns].append(document)
        if document.prompt:
            responses[plain_words(document.prompt)].setdefault(plain_words(document.response), document)
    total = sum(map(len, copies.values()))
    return DuplicateReport(
        documents=total,
        repeats=total - len(copies),
        groups=sorted((group for group in copies.values() if len(group) > 1), key=len, reverse=True),
        conflicts=[list(group.values()) for group in responses.values() if len(group) > 1],
    )


def drop_duplicates(documents: Iterable[Document]) -> list[Document]:
    """The documents without exact repeats. The first of each stays in its place."""
    first: dict[tuple[tuple[str, str], ...], Document] = {}
    for document in documents:
        first.setdefault(document.turns, document)
    return list(first.values())
