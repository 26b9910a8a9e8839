"""Atomic writing of files."""

from __future__ import annotations

import glob
import os
import tempfile
from pathlib import Path

from shrew.errors import RunError

_UNFINISHED = ".part"


def printable(name: str) -> str:
    """A file's name as UTF-8 text, with a question mark for each invalid byte."""
    return name.encode(errors="replace").decode()


def _sync_folder(path: Path) -> None:
    """Makes a rename survive a power failure, on systems where folders can be synced."""
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove_unfinished(path: Path) -> None:
    """Removes temporary files that a killed :func:`write_atomically` left next to ``path``. RunError."""
    path = Path(os.path.realpath(path))
    try:
        for unfinished in path.parent.glob(f".{glob.escape(path.name)}.*{_UNFINISHED}"):
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{error.filename}: cannot be removed: {error.strerror}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces ``path`` with ``content``: writes a temporary file next to it, flushes it to disk, then renames it.

    Raises RunError (folder missing, disk full, read-only …) and leaves the old file unchanged.
    """
    path = Path(os.path.realpath(path))  # follows links, like any other writing
    if path.exists() and not path.is_file():
        raise RunError(f"{path}: cannot be written: not a regular file")
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=_UNFINISHED)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
