"""Imports run downward, through the rooms in the order of docs/DESIGN.md. So do the engine's includes and calls."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
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


#: The files of the engine from the bottom up. A file is a header with the source of the same name. It includes and
#: calls only files before it.
FLOORS = {
    "what callers see": "shrew shrew_learn shrew_times status times",
    "numbers": "options compiler numbers soft_float fixed random",
    "weight types, bytes": "weight_type bytes utf8 crc32",
    "text to tokens": "unicode pretokenize tokenizer encode",
    "kernels": """kernels/processor kernels/kernels kernels/reference kernels/xtensa_assembly kernels/xtensa_score
        kernels/scalar kernels/xtensa kernels/pie kernels/simd128 kernels/avx2 kernels/avx512_vectors
        kernels/avx512_columns kernels/avx512_panels kernels/avx512_products kernels/avx512_attention kernels/avx512
        kernels/amx kernels/choose""",
    "images": "quantize directory metadata grammar selftest_section image",
    "sessions": "session split pass attention forward draft feed sampling sampler",
    "answers": "commands generate selftest",
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
    """Who uses whom by includes, whatever their conditions: another target meets others."""
    uses = set()
    for path in [*SOURCES, *ENGINE.glob("**/*.h")]:
        for name in re.findall(r'^\s*#\s*include "([^"]+)"', path.read_text(), re.MULTILINE):
            folders = (path.parent, ENGINE / "include", ENGINE / "src")
            header = next(folder / name for folder in folders if (folder / name).exists())
            uses.add((engine_file(path), engine_file(header)))
    return uses


def engine_calls() -> set[tuple[str, str]]:
    """Who uses whom by symbols: one object file asks for a function or a table, another one has it."""
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
