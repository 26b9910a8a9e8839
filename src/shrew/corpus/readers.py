"""Reads corpus files: plain text, JSON Lines and the block format."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from shrew.corpus.blocks import looks_like_blocks, parse_blocks
from shrew.corpus.documents import Document, text_document
from shrew.corpus.jsonl import parse_jsonl
from shrew.errors import DataError

Format = Literal["auto", "text", "jsonl", "blocks"]

#: The default line between two texts.
END_OF_TEXT: Final = "<|endoftext|>"

#: The separator that makes each line a document.
NEWLINE: Final = "newline"

#: Suffixes of the files of a folder that are read.
SUFFIXES: Final = (".txt", ".md", ".jsonl", ".ndjson")

_JSON_OBJECT = re.compile(r'\s*\{\s*"')


def read_corpus(
    path: str | Path | Iterable[str | Path], *, format: Format = "auto", separator: str = END_OF_TEXT
) -> list[Document]:
    """Reads a file, all files with one of :data:`SUFFIXES` below a folder, or several of these.

    ``separator`` is the line between two texts. :data:`NEWLINE` makes each line a text. A file without a separator is
    one text. ``auto`` detects JSON Lines by the file's name or first character, text by a separator, and blocks by a
    block that begins with a question; anything else is text.

    Raises :class:`DataError`, in one line that names the file and if possible the line, for anything unreadable.
    """
    paths = [path] if isinstance(path, str | Path) else path
    return [
        document
        for entry in paths
        for file in _files(Path(entry))
        for document in parse_corpus(_read(file), str(file), format=format, separator=separator)
    ]


def parse_corpus(raw: bytes, source: str, *, format: Format = "auto", separator: str = END_OF_TEXT) -> list[Document]:
    """Parses the bytes of one file. ``source`` is its name in documents and messages."""
    text = _decode(raw, source)
    if not text.strip():
        raise DataError(f"{source}: is empty")
    if format == "auto":
        format = _recognise(text, source, separator)
    if format == "jsonl":
        documents = parse_jsonl(text, source)
    elif format == "blocks":
        documents = parse_blocks(text, source)
    else:
        documents = _parse_text(text, source, separator)
    if not documents:
        raise DataError(f"{source}: holds no documents, only separators or comments")
    return documents


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        raise DataError(f"{path}: no {', '.join(SUFFIXES)} file in this folder")
    return files


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None


def _decode(raw: bytes, source: str) -> str:
    """Text with ``\\n`` line ends and without a byte order mark."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source}: byte {raw[error.start]:#04x} at offset {error.start} (line"
            f" {raw.count(10, 0, error.start) + 1}) is not UTF-8; save the file as UTF-8"
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _recognise(text: str, source: str, separator: str) -> Format:
    if source.lower().endswith((".jsonl", ".ndjson")) or _JSON_OBJECT.match(text):
        return "jsonl"
    if separator == NEWLINE or any(line.strip() == separator for line in text.split("\n")):
        return "text"
    return "blocks" if looks_like_blocks(text) else "text"


def _parse_text(text: str, source: str, separator: str) -> list[Document]:
    pieces: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(text.split("\n"), start=1):
        if separator == NEWLINE:
            pieces.append([(number, line)] if line.strip() else [])
        elif line.strip() == separator:
            pieces.append([])
        elif line.strip() or pieces[-1]:
            pieces[-1].append((number, line))
    return [
        text_document("\n".join(line for _, line in piece).strip(), source=source, line=piece[0][0])
        for piece in pieces
        if piece
    ]
