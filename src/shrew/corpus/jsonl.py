"""JSON Lines: one object per line, ``{"text": …}`` or ``{"prompt": …, "response": …}``.

The optional fields ``held_out``, ``negatives`` and ``follow_ups`` allow every document to be written and read again.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from shrew.corpus.documents import Document, response_document, text_document
from shrew.errors import DataError


class _Turn(msgspec.Struct, forbid_unknown_fields=True):
    prompt: str
    response: str


class _Row(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    text: str = ""
    prompt: str = ""
    response: str = ""
    held_out: bool = False
    negatives: tuple[str, ...] = ()
    follow_ups: tuple[_Turn, ...] = ()


def parse_jsonl(text: str, source: str) -> list[Document]:
    """Parses ``text``; blank lines are skipped. Raises :class:`DataError`, naming ``source`` and line.

    Unknown fields are refused: a misspelt ``held_out`` would otherwise train on held-out documents.
    """
    decoder = msgspec.json.Decoder(_Row)
    documents: list[Document] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except msgspec.DecodeError as error:
            raise DataError(f"{source}:{number}: {error}") from None
        documents.append(_document(row, source, number))
    return documents


def format_jsonl(documents: Iterable[Document]) -> str:
    """One line per document. :func:`parse_jsonl` reads the same documents back."""
    return "".join(msgspec.json.encode(_row(document)).decode() + "\n" for document in documents)


def _document(row: _Row, source: str, line: int) -> Document:
    text, prompt, response = row.text.strip(), row.prompt.strip(), row.response.strip()
    further = [part for turn in row.follow_ups for part in (turn.prompt, turn.response)]
    if not all(part.strip() for part in (*further, *row.negatives)):
        raise DataError(f'{source}:{line}: nothing in "negatives" and "follow_ups" may be empty')
    if prompt and response and not text:
        return response_document(
            prompt,
            response,
            held_out=row.held_out,
            source=source,
            line=line,
            negatives=tuple(negative.strip() for negative in row.negatives),
            follow_ups=tuple((turn.prompt.strip(), turn.response.strip()) for turn in row.follow_ups),
        )
    if not text or prompt or response:
        raise DataError(f'{source}:{line}: needs "text", or "prompt" and "response", and none of them empty')
    if row.negatives or row.follow_ups:
        raise DataError(f'{source}:{line}: "negatives" and "follow_ups" belong to a prompt, not to a text')
    return text_document(text, held_out=row.held_out, source=source, line=line)


def _row(document: Document) -> _Row:
    if document.kind == "text":
        return _Row(text=document.response, held_out=document.held_out)
    return _Row(
        prompt=document.prompt,
        response=document.response,
        held_out=document.held_out,
        negatives=document.negatives,
        follow_ups=tuple(_Turn(prompt, response) for prompt, response in document.follow_ups),
    )
