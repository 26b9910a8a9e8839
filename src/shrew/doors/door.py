"""The protocol of a door."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shrew.image import Source
from shrew.tokenizer import Tokenizer


@dataclass(frozen=True)
class ForeignModel(Source):
    """Another program's model, as a source whose tokenizer can be saved to a file."""

    tokenizer: Tokenizer


class Door(Protocol):
    """A module of this room."""

    @property
    def TAKES(self) -> str:
        """The accepted files, in a few words."""

    def recognises(self, file: Path) -> bool:
        """Whether ``file``, which may be a folder, has this door's format, even if damaged. OSError if unreadable."""

    def source_of(self, file: Path, tokenizer: Path | None) -> ForeignModel:
        """Reads the model in ``file``. ``tokenizer``: a separate file, or None. ShrewError if a file is damaged."""
