"""Models that come with Shrew, made by tools/make_models.py. Their names can be used wherever an image is expected."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "models"


def shipped_names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.bin"))


def find_image(path: Path) -> Path:
    """``path`` itself, or if there is no such file, the shipped model with this name."""
    if not path.exists() and str(path) in shipped_names():
        return FOLDER / f"{path}.bin"
    return path


def is_shipped(path: Path) -> bool:
    return path.parent == FOLDER
