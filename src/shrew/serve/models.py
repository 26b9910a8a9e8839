"""The stored images: the files of one folder, and the image named on the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from shrew.engine import Model
from shrew.errors import EngineError, RunError
from shrew.files import write_atomically
from shrew.image.name import RULE, is_name
from shrew.serve.refusal import Refusal

MAGIC = b"SHRW"


def require_name(name: str) -> None:
    if not is_name(name):
        raise Refusal("name", f"a model's name is {RULE}")


class Models:
    """Images by name, which is the name of the file. Other files of the folder are ignored."""

    def __init__(self, folder: Path, named: Path | None) -> None:
        self.folder = folder
        self._named = named
        self.named = None if named is None else _name_of(named)
        """The name of the image from the command line."""

    def path(self, name: str) -> Path:
        return self._named if self._named and name == self.named else self.folder / name

    def list(self) -> list[dict[str, Any]]:
        """Name, bytes and place of each image, sorted by name. An unreadable folder has none."""
        try:
            names = {path.name for path in self.folder.iterdir() if is_name(path.name)}
        except OSError:
            names = set()
        names |= {self.named} if self.named else set()
        sizes = {name: _image_bytes(self.path(name)) for name in sorted(names)}
        return [{"name": name, "bytes": size, "place": "file"} for name, size in sizes.items() if size]

    def open(self, name: str) -> Model:
        """Opens and validates an image. Refusal if that fails."""
        path = self.path(name)
        if not path.is_file():
            raise Refusal("not_found", f"{name}: no such model")
        try:
            return Model.open(path)
        except EngineError as error:
            raise Refusal("image", _without_folder(error, path, name)) from None
        except RunError as error:
            raise Refusal("engine", _without_folder(error, path, name)) from None

    def store(self, name: str, image: bytes) -> None:
        """Stores an image under a name, after the engine has validated it. Refusal if that fails."""
        self._require_ours(name)
        try:
            Model.from_bytes(image, name)
        except EngineError as error:
            raise Refusal("image", str(error)) from None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path(name), image)
        except OSError as error:
            raise Refusal("engine", f"{name}: cannot be stored: {error.strerror}") from None
        except RunError as error:
            raise Refusal("engine", _without_folder(error, self.path(name), name)) from None

    def delete(self, name: str) -> None:
        """Removes a stored image. Refusal if that fails."""
        self._require_ours(name)
        path = self.path(name)
        if _image_bytes(path) is None:
            raise Refusal("not_found", f"{name}: no such model")
        try:
            path.unlink()
        except OSError as error:
            raise Refusal("engine", f"{name}: cannot be removed: {error.strerror}") from None

    def _require_ours(self, name: str) -> None:
        if self.path(name).parent.resolve() != self.folder.resolve():
            raise Refusal("in_use", f"{name} was named on the command line and is not one of the stored models")


def _name_of(path: Path) -> str:
    """A valid name in the protocol for a file with any name."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", path.name).lstrip(".")[:32] or "model"


def _without_folder(error: Exception, path: Path, name: str) -> str:
    """An error message about a file, for clients, without the server's folder."""
    return f"{name}: {str(error).removeprefix(f'{path}: ')}"


def _image_bytes(path: Path) -> int | None:
    """The size of a file that begins like an image; None for other files."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return path.stat().st_size if file.read(len(MAGIC)) == MAGIC else None
    except OSError:
        return None
