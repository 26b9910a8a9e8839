"""Doors: how models of other programs come in.

A door is a module of this room. It recognises its files and makes a source of them (``shrew.image.Source``):
configuration, tensors, tokenizer, metadata, and what it could not take and why. It knows no run and no command line.
To add a door, write its module and add that to :data:`DOORS`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shrew.doors import llama2c
from shrew.doors.door import Door, ForeignModel
from shrew.errors import ImportFileError

__all__ = ["DOORS", "Door", "ForeignModel", "open_door"]

DOORS: Final[tuple[Door, ...]] = (llama2c,)


def open_door(file: Path, tokenizer: Path | None = None) -> ForeignModel:
    """The model in ``file``, by the first door that recognises it. ImportFileError where none does."""
    try:
        if not file.exists():
            raise ImportFileError(f"{file}: no such file")
        door = next((door for door in DOORS if door.recognises(file)), None)
    except OSError as error:
        raise ImportFileError(f"{file}: {error.strerror or error}") from error
    if door is None:
        takes = "; ".join(door.TAKES for door in DOORS)
        raise ImportFileError(f"{file}: not a file that Shrew imports; it takes {takes}")
    return door.source_of(file, tokenizer)
