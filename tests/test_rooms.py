"""Imports run downward only, through the rooms in the order of docs/DESIGN.md."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import shrew

ROOT = Path(shrew.__file__).parent

#: From the top down. Rooms on one level do not know each other.
LEVELS = (
    {"__main__"},
    {"cli"},
    {"board", "serve"},
    {"train", "ports"},
    {"quantize", "chips"},
    {"image", "evaluation"},
    {"model"},
    {"corpus"},
    {"tokenizer"},
    {"engine"},
    {"files", "shipped"},
    {"errors"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


def imports(path: Path) -> Iterator[str]:
    """The rooms that a module imports when it runs; what only a type checker sees does not count."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name.startswith("shrew."))


def test_every_room_has_a_level() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"}
    assert rooms - {"__init__"} <= LEVEL.keys()


#: The package's own face, shrew/__init__.py, may point anywhere.
MODULES = sorted(set(ROOT.rglob("*.py")) - {ROOT / "__init__.py"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    upward = {name for name in imports(path) if name != room and LEVEL[name] <= LEVEL[room]}
    assert not upward
