"""Divides documents into those to train on and those held out to measure the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from shrew.corpus.documents import Document, text_document
from shrew.errors import ConfigError, DataError


@dataclass(frozen=True)
class Corpus:
    """Documents to train on and held-out documents, in the order of reading. Either may be empty."""

    name: str
    train: list[Document]
    held_out: list[Document]


def split_corpus(name: str, documents: Sequence[Document], fraction: float, *, refuse_leaks: bool = True) -> Corpus:
    """Holds out the marked documents or, if none is marked, ``fraction`` of them.

    The choice depends only on the text of the documents. Documents with the same prompt, or equal texts, fall on the
    same side. If a corpus is a single text, its end is held out.

    Raises :class:`DataError` if a question or text is both held out and trained on, unless ``refuse_leaks`` is False.
    """
    if not 0.0 <= fraction < 1.0:
        raise ConfigError(f"held-out: {fraction} must be at least 0 and below 1")
    if any(document.held_out for document in documents):
        if refuse_leaks:
            _refuse_leaks(documents)
    elif len(documents) == 1 and documents[0].kind == "text":
        documents = _hold_out_tail(documents[0], fraction)
    else:
        documents = hold_out_fraction(documents, fraction)
    return Corpus(
        name,
        train=[document for document in documents if not document.held_out],
        held_out=[document for document in documents if document.held_out],
    )


def hold_out_fraction(documents: Iterable[Document], fraction: float) -> list[Document]:
    """Copies the documents and marks ``fraction`` of their distinct subjects as held out."""
    documents = list(documents)
    subjects = sorted({document.subject for document in documents}, key=lambda subject: (_digest(subject), subject))
    chosen = set(subjects[: round(fraction * len(subjects))])
    return [replace(document, held_out=document.subject in chosen) for document in documents]


def _digest(text: str) -> bytes:
    """A hash of a text. Python's own hash differs between processes."""
    return blake2b(text.encode(), digest_size=8).digest()


def _hold_out_tail(document: Document, fraction: float) -> list[Document]:
    """Splits a text at the last line end before the held-out ``fraction``; not at all if there is none."""
    text = document.response
    cut = text.rfind("\n", 0, round(len(text) * (1.0 - fraction))) if fraction else -1
    if cut < 0:
        return [document]
    line = document.line + text.count("\n", 0, cut + 1)
    return [
        replace(document, response=text[:cut].strip()),
        text_document(text[cut:].strip(), held_out=True, source=document.source, line=line),
    ]


def _refuse_leaks(documents: Iterable[Document]) -> None:
    trained = {document.subject: document for document in documents if not document.held_out}
    for document in documents:
        if document.held_out and document.subject in trained:
            twin = trained[document.subject]
            raise DataError(f"{document.where}: held out, but also trained on at {twin.where}; remove one of the two")
