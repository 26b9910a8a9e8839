"""Imports run downward through the rooms, in the order of docs/DESIGN.md, without cycles, and so do the engine's
includes and calls.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from engine.objects import objects
from engine.test_build import BARE, COMPILERS, ENGINE, INCLUDES, SOURCES, STRICT

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
    {"model", "memory"},
    {"corpus"},
    {"tokenizer"},
    {"engine"},
    {"files", "shipped"},
    {"errors"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}


#: Imports that only a type checker sees, and that would form a cycle.
TYPES_ONLY = {
    ("shrew.engine.session", "shrew.engine.model"),
    ("shrew.tokenizer.file", "shrew.tokenizer.tokenizer"),
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
            is_module = (folder / alias.name / "__init__.py").exists() or any(folder.glob(f"{alias.name}.*"))
            yield f"{node.module}.{alias.name}" if is_module else str(node.module)


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


#: The files of the engine from the bottom up. A file is a header with the source of the same name. It includes and
#: calls only files before it.
FLOORS = {
    "what callers see": "shrew shrew_learn shrew_times shrew_write status times",
    "numbers": "options compiler numbers soft_float fixed random",
    "weight types, bytes": "weight_type bytes utf8 crc32",
    "text to tokens": "unicode pretokenize tokenizer encode prompt_form question",
    "kernels": """kernels/processor kernels/kernels kernels/reference kernels/xtensa_assembly kernels/xtensa_score
        kernels/scalar kernels/xtensa kernels/pie kernels/simd128 kernels/avx2 kernels/avx512_vectors
        kernels/avx512_columns kernels/avx512_panels kernels/avx512_products kernels/avx512_attention kernels/avx512
        kernels/amx kernels/choose""",
    "images": "format shape directory metadata grammar recall selftest_section image",
    "sessions": "session split pass attention forward draft feed sampling sampler",
    "answers": "commands generate selftest",
    "writing images": "write/quantize write/scales write/tokenizer write/pack write/layout write/writer write/memory",
    "operators of learning": """learn/operators/operators learn/operators/memory learn/operators/vector
        learn/operators/products learn/operators/matrices learn/operators/tiles learn/operators/activation
        learn/operators/attention learn/operators/loss learn/operators/optimizer learn/operators/rows
        learn/operators/unit learn/operators/portable learn/operators/avx2 learn/operators/avx512
        learn/operators/amx""",
    "learning": "learn/linear learn/operators learn/layer learn/hash learn/words learn/bpe_train",
}
ORDER = [name for floor in FLOORS.values() for name in floor.split()]


def engine_file(path: Path) -> str:
    """Its name in FLOORS."""
    return re.sub("^(include|src)/", "", str(path.relative_to(ENGINE).with_suffix("")))


def engine_includes() -> set[tuple[str, str]]:
    """Pairs (user, used) by includes, regardless of conditions, which depend on the target."""
    uses = set()
    for path in [*SOURCES, *ENGINE.glob("**/*.h")]:
        for name in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.MULTILINE):
            folders = (path.parent, ENGINE / "include", ENGINE / "src")
            header = next(folder / name for folder in folders if (folder / name).exists())
            uses.add((engine_file(path), engine_file(header)))
    return uses


def engine_calls() -> set[tuple[str, str]]:
    """Pairs (user, used) by symbols: one object file needs a function or table that another one defines."""
    compiler = COMPILERS["gcc"] or COMPILERS["clang"]
    if compiler is None:
        pytest.skip("neither gcc nor clang is installed")
    home, asked = {}, set()
    for source, made in zip(SOURCES, objects(compiler, [*STRICT, "-O0", *BARE, *INCLUDES], SOURCES), strict=True):
        listed = subprocess.run(["nm", str(made)], check=True, capture_output=True, text=True).stdout
        for kind, symbol in re.findall(r" ([A-Za-z]) (\w+)$", listed, re.MULTILINE):
            if kind == "U":
                asked.add((engine_file(source), symbol))
            elif kind.isupper():
                home[symbol] = engine_file(source)
    return {(user, home[symbol]) for user, symbol in asked if symbol in home}


def test_every_file_of_the_engine_has_a_floor() -> None:
    files = {engine_file(path) for pattern in ("**/*.c", "**/*.h") for path in ENGINE.glob(pattern)}
    assert sorted(ORDER) == sorted(files)


@pytest.mark.parametrize("found", [engine_includes, engine_calls])
def test_the_engine_uses_downward_only(found: Callable[[], set[tuple[str, str]]]) -> None:
    uses = {(user, used) for user, used in found() if user != used}
    assert ("generate", "feed") in uses, "what is known to be there is not found"
    assert [f"{user} uses {used}" for user, used in sorted(uses) if ORDER.index(user) < ORDER.index(used)] == []
