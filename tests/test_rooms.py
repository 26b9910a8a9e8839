"""Imports run downward only, through the rooms in the order of docs/DESIGN.md, and no modules import in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
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
    {"run"},
    {"quantize", "chips", "doors"},
    {"image", "evaluation"},
    {"model"},
    {"corpus"},
    {"tokenizer"},
    {"engine"},
    {"files", "shipped"},
    {"errors"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


#: Imports that only a type checker sees and that would close a circle.
TYPES_ONLY = {
    ("shrew.engine.session", "shrew.engine.model"),
    ("shrew.tokenizer.file", "shrew.tokenizer.tokenizer"),
    ("shrew.tokenizer.section", "shrew.tokenizer.tokenizer"),
}


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Modules of Shrew that a module imports when it runs, at its top or later, and those for a type checker alone."""
    tree = ast.parse(path.read_text())
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    typing = {id(node) for block in blocks if ast.unparse(block.test) == "TYPE_CHECKING" for node in ast.walk(block)}
    running: set[str] = set()
    types: set[str] = set()
    for node in ast.walk(tree):
        (types if id(node) in typing else running).update(_modules(node))
    return running, types


def _modules(node: ast.AST) -> Iterator[str]:
    """A name that is imported from a package may be a module of it."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.startswith("shrew."))
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shrew"):
        folder = ROOT.parent.joinpath(*str(node.module).split("."))
        for alias in node.names:
            yield f"{node.module}.{alias.name}" if any(folder.glob(f"{alias.name}.*")) else str(node.module)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def test_every_room_has_a_level() -> None:
    rooms = {path.stem for path in ROOT.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"}
    assert rooms - {"__init__"} <= LEVEL.keys()


#: The package's own face, shrew/__init__.py, may point anywhere.
MODULES = sorted(set(ROOT.rglob("*.py")) - {ROOT / "__init__.py"})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downward(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0].removesuffix(".py")
    rooms = {module.split(".")[1] for module in imports(path)[0] if "." in module}
    assert not {name for name in rooms if name != room and LEVEL[name] <= LEVEL[room]}


def test_no_modules_import_in_a_circle() -> None:
    graph = {module_name(path): imports(path)[0] for path in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_types_that_would_close_a_circle_are_listed() -> None:
    found = {module_name(path): imports(path) for path in MODULES}
    graph = {name: running for name, (running, _) in found.items()}

    def reaches(start: str, goal: str) -> bool:
        seen, ahead = set(), [start]
        while ahead and goal not in seen:
            seen.add(module := ahead.pop())
            ahead += graph.get(module, set()) - seen
        return goal in seen

    closing = {(name, other) for name, (_, types) in found.items() for other in types if reaches(other, name)}
    assert closing == TYPES_ONLY
