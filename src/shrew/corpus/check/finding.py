"""What a check reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from shrew.corpus.documents import Document

#: Errors spoil training or its measurement; notes should be looked at.
Severity = Literal["error", "note"]

EXAMPLES: Final = 3


@dataclass(frozen=True)
class Example:
    text: str
    places: tuple[str, ...] = ()
    """File and line of each document; empty if the whole corpus is meant."""


@dataclass(frozen=True)
class Finding:
    """The result of one check, even if it found nothing."""

    check: str
    severity: Severity
    count: int
    """0: nothing found."""
    what: str
    """What was found ``count`` times."""
    advice: str
    examples: tuple[Example, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def finding(
    check: str, severity: Severity, what: str, advice: str, examples: Sequence[Example], count: int | None = None
) -> Finding:
    """A finding with the first few of its ``count`` examples."""
    return Finding(check, severity, len(examples) if count is None else count, what, advice, tuple(examples[:EXAMPLES]))


def quoted(text: str, length: int = 50) -> str:
    """The beginning of a text, on one line."""
    line = " ".join(text.split())
    return f"'{line if len(line) <= length else line[: length - 1] + '…'}'"


def example(text: str, *documents: Document) -> Example:
    return Example(text, tuple(document.where for document in documents))
