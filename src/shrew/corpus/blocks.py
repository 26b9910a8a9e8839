"""The block format: questions with one answer or command, and prose, separated by blank lines.

``docs/corpus.md`` describes it for authors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from shrew.corpus.documents import COMMAND_PREFIX, Document, response_document, text_document
from shrew.errors import DataError

_FIELD = re.compile(r"\s*(Q|Test|A|Do|Not):(.*)")
_QUESTIONS = ("Q", "Test")
_ANSWERS = ("A", "Do")

Block = list[tuple[int, str]]
"""The lines of one block with their numbers."""


@dataclass(slots=True)
class _Field:
    name: str
    value: str
    line: int


def parse_blocks(text: str, source: str) -> list[Document]:
    """Parses ``text``, whose lines end with ``\\n``. Raises :class:`DataError`, naming ``source`` and line."""
    documents: list[Document] = []
    for block in _split(text):
        if all(_is_comment(line) for _, line in block):
            continue
        if any(_FIELD.match(line) for _, line in block):
            documents += _answered(_fields(block, source), source)
        else:
            prose = "\n".join(line.strip() for _, line in block)
            documents.append(text_document(prose, source=source, line=block[0][0]))
    return documents


def looks_like_blocks(text: str) -> bool:
    """Whether any block begins, after its comments, with a question."""
    for block in _split(text):
        first = next((line for _, line in block if not _is_comment(line)), "")
        field = _FIELD.match(first)
        if field and field[1] in _QUESTIONS:
            return True
    return False


def _split(text: str) -> Iterator[Block]:
    block: Block = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _fields(block: Block, source: str) -> list[_Field]:
    """The prefixed fields of a question block; a line without a prefix continues the field above it."""
    fields: list[_Field] = []
    for number, line in block:
        if _is_comment(line):
            continue
        text = line.replace("\t", " ").strip()
        if prefixed := _FIELD.match(text):
            fields.append(_Field(prefixed[1], prefixed[2].strip(), number))
        elif fields:
            fields[-1].value = f"{fields[-1].value} {text}".lstrip()
        else:
            raise DataError(
                f"{source}:{number}: text directly above a question or answer; put a blank line between them"
            )
    for field in fields:
        if not field.value:
            raise DataError(f"{source}:{field.line}: {field.name}: is empty; write its text or remove the line")
    return fields


def _answered(fields: list[_Field], source: str) -> list[Document]:
    """One document per phrasing of a block's first question, all with the same answer and follow-ups."""
    first, *later = _turns(fields)
    response = _response(first, source)
    negatives = tuple(field.value for field in first if field.name == "Not")
    follow_ups = tuple(_follow_up(turn, source) for turn in later)
    return [
        response_document(
            field.value,
            response,
            held_out=field.name == "Test",
            source=source,
            line=field.line,
            negatives=negatives,
            follow_ups=follow_ups,
        )
        for field in first
        if field.name in _QUESTIONS
    ]


def _turns(fields: list[_Field]) -> list[list[_Field]]:
    """Splits a block into turns, where a question follows an answer."""
    turns: list[list[_Field]] = [[]]
    for field in fields:
        if field.name in _QUESTIONS and any(earlier.name in _ANSWERS for earlier in turns[-1]):
            turns.append([])
        turns[-1].append(field)
    return turns


def _response(turn: list[_Field], source: str) -> str:
    answers = [field for field in turn if field.name in _ANSWERS]
    if not answers:
        first = turn[0]
        raise DataError(f"{source}:{first.line}: {first.name}: without an answer; add one A: or Do: line below it")
    answer, *more = answers
    if more:
        raise DataError(f"{source}:{more[0].line}: a second answer to one question; put a blank line between blocks")
    if not any(field.name in _QUESTIONS for field in turn):
        raise DataError(f"{source}:{answer.line}: {answer.name}: without a question; add a Q: or Test: line above it")
    return COMMAND_PREFIX + answer.value if answer.name == "Do" else answer.value


def _follow_up(turn: list[_Field], source: str) -> tuple[str, str]:
    response = _response(turn, source)
    question = turn[0]
    if question.name != "Q" or len(turn) != 2:
        raise DataError(
            f"{source}:{question.line}: a follow-up is one Q: and one answer; to begin a block, put a blank line above"
        )
    return question.value, response
