"""What a door is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shrew.image import Source
from shrew.tokenizer import Tokenizer


@dataclass(frozen=True)
class ForeignModel(Source):
    """A model of another program, as a source whose tokenizer can be kept in a file."""

    tokenizer: Tokenizer


class Door(Protocol):
    """A module of this room."""

    @property
    def TAKES(self) -> str:
        """Which files, in a few words."""

    def recognises(self, file: Path) -> bool:
        """Whether ``file``, or folder, is one of its own; a damaged one may be. OSError where it cannot be read."""

    def source_of(self, file: Path, tokenizer: Path | None) -> ForeignModel:
        """The model in ``file``; ``tokenizer`` is a file of its own where there is one. ShrewError if it is damaged."""
