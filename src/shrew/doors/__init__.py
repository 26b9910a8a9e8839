"""Doors: importers of other programs' models.

A door is a module of this room. It recognises its files and converts them to a source (``shrew.image.Source``):
configuration, tensors, tokenizer, metadata, and a list of what it left out and why. It knows neither runs nor the
command line. To add a door, write its module and add it to :data:`DOORS`.
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
    """Reads ``file`` with the first door that recognises it. ImportFileError if none does."""
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
