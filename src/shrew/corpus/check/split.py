"""Checks across the split: held-out documents that are also, or almost, in the training documents."""

from __future__ import annotations

from collections.abc import Sequence

from shrew.corpus.check.finding import Example, Finding, example, finding, quoted
from shrew.corpus.check.resemblance import closest
from shrew.corpus.documents import Document
from shrew.corpus.duplicates import plain_words

TEXT_SHINGLE = 5
"""Number of consecutive words by which texts are compared."""
TEXT_LEAK = 0.5
"""Texts that share this fraction of them are versions of one another."""
SIMILAR_QUESTIONS = 0.8
"""Fraction of words that similar questions share."""


def leaks(train: Sequence[Document], held_out: Sequence[Document]) -> Finding:
    """Finds held-out questions with the same words in the same order, and texts that share half of their contents."""
    asked: dict[tuple[str, ...], Document] = {}
    for document in train:
        if document.prompt:
            asked.setdefault(plain_words(document.prompt), document)
    examples = [
        _pair(document, asked[words])
        for document in held_out
        if document.prompt and (words := plain_words(document.prompt)) in asked
    ]
    ours = [document for document in held_out if not document.prompt]
    theirs = [document for document in train if not document.prompt]
    matches = closest(
        [plain_words(d.response) for d in ours], [plain_words(d.response) for d in theirs], TEXT_SHINGLE, TEXT_LEAK
    )
    examples += [_pair(ours[i], theirs[j], share) for i, j, share in matches]
    return finding(
        "leaks",
        "error",
        "held-out documents that are also trained on, word for word or as texts by half",
        "Remove them from one side; otherwise the measured quality is that of memorised answers.",
        examples,
    )


def similar_questions(train: Sequence[Document], held_out: Sequence[Document]) -> Finding:
    """Finds held-out questions with almost the same words, in any order, as a trained one with the same answer."""
    ours = [document for document in held_out if document.prompt]
    theirs = [document for document in train if document.prompt]
    by_answer: dict[str, int] = {}
    number = [by_answer.setdefault(document.response, len(by_answer)) for document in ours + theirs]
    same = {plain_words(document.prompt) for document in theirs}
    matches = closest(
        [plain_words(document.prompt) for document in ours],
        [plain_words(document.prompt) for document in theirs],
        1,
        SIMILAR_QUESTIONS,
        groups=(number[: len(ours)], number[len(ours) :]),
    )
    return finding(
        "similar questions",
        "note",
        "held-out questions with nearly the words of a trained one of the same answer",
        "They measure little more than memory. Hold out phrasings that differ in more than a word.",
        [_pair(ours[i], theirs[j], share) for i, j, share in matches if plain_words(ours[i].prompt) not in same],
    )


def _pair(ours: Document, theirs: Document, share: float = 1.0) -> Example:
    alike = "" if share == 1.0 else f" ({share:.0%} alike)"
    return example(f"{quoted(ours.subject, 40)} and {quoted(theirs.subject, 40)}{alike}", ours, theirs)
