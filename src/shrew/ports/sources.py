"""Finds the C sources and the chat page: in the checkout, or in the installed package."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from shrew.errors import PortError

PACKAGE = Path(__file__).parents[1]


def source_root() -> Path:
    """The folder with ``engine``, ``ports``, ``vectors`` and ``web``. PortError if there is none."""
    for folder in (PACKAGE / "sources", *PACKAGE.parents):
        if (folder / "engine/include/shrew.h").is_file() and (folder / "ports/jobs.h").is_file():
            return folder
    raise PortError(f"{PACKAGE}: no engine sources next to it; install Shrew again, or run from a checkout")


def engine_sources() -> list[Path]:
    """The inference engine's C files. Files for other processors compile to nothing."""
    return sorted((source_root() / "engine/src").rglob("*.c"))


def digest(folders: Iterable[Path], more: Iterable[str]) -> str:
    """A digest of all files in some folders, by name and content, and of some strings."""
    summary = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*") if folder.is_dir() else [folder]):
            if path.is_file():
                content = path.read_bytes()
                summary.update(f"{path.relative_to(folder.parent)} {len(content)}\n".encode() + content)
    for text in more:
        summary.update(f"{text}\n".encode())
    return summary.hexdigest()[:20]
