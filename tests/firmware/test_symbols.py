"""Global names: a chip's image links our objects with ESP-IDF's and with ROM's, so each of ours has a prefix."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest
from engine.objects import objects
from engine.test_build import COMPILERS, ENGINE, SOURCES, STRICT

from firmware import linux_target
from firmware.core import CORE, INCLUDES

FIRMWARE = CORE.parent
CORE_SOURCES = sorted(CORE.glob("*.c"))
SOFT_FLOAT = (ENGINE / "src/soft_float.c").read_text()

#: The entry that ESP-IDF calls, and what compilers call for floats without an FPU.
RUNTIME_NAMES = {f"__{name}" for name in re.findall(r"SOFT_FLOAT\((\w+sf3?)\)", SOFT_FLOAT)}
ALLOWED = {"app_main"} | RUNTIME_NAMES
PREFIX = re.compile(r"(shrew|fw|SHREW|FW)_")


def without_prefix(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if not PREFIX.match(name) and name not in ALLOWED)


def globals_of(*files: Path) -> set[str]:
    said = subprocess.run(["nm", "-g", "--defined-only", *files], check=True, capture_output=True, text=True).stdout
    return {words[2] for line in said.splitlines() if len(words := line.split()) == 3}


def definitions(source: Path) -> set[str]:
    """Global functions and variables that a C source defines: what begins at a line's start and is not static."""
    text = re.sub(r"/\*.*?\*/", "", source.read_text(), flags=re.DOTALL)
    functions = re.findall(r"^(?!static\b|typedef\b|extern\b)\w[\w *]*?\b\*?(\w+)\([^;{}]*\) \{$", text, re.MULTILINE)
    variables = re.findall(r"^(?!static\b|typedef\b|extern\b)\w[\w *]*?\b\*?(\w+)(?:\[\w*\])* = ", text, re.MULTILINE)
    return {*functions, *variables}


def compiled(sources: Iterable[Path]) -> set[str]:
    """The global names of what a compiler here makes of them."""
    compiler = COMPILERS["gcc"] or COMPILERS["clang"]
    assert compiler, "neither gcc nor clang is installed"
    return globals_of(*objects(compiler, [*STRICT, "-O0", "-fPIC", *INCLUDES], sources))


@pytest.mark.parametrize("sources", [SOURCES, CORE_SOURCES], ids=["engine", "core"])
def test_what_is_compiled_here(sources: list[Path]) -> None:
    names = compiled(sources)
    assert len(names) > 100
    assert without_prefix(names) == []


def test_what_only_esp_idf_compiles() -> None:
    """Read from the sources, which is checked on those that are compiled here."""
    assert set().union(*map(definitions, CORE_SOURCES)) == compiled(CORE_SOURCES)
    names = set().union(*map(definitions, sorted((FIRMWARE / "main").glob("*.c"))))
    assert len(names) > 80
    assert without_prefix(names) == []


def test_assembly() -> None:
    names = {
        name for source in ENGINE.glob("src/**/*.S") for name in re.findall(r"\.global\s+(\w+)", source.read_text())
    }
    assert names
    assert without_prefix(names) == []


def test_soft_floats_are_ours_where_rom_has_others() -> None:
    """The linker sends every call of these names to __wrap_NAME, which soft_float.c defines under ESP-IDF."""
    (wrapped,) = re.findall(r"foreach\(name ([\w ]+)\)", (ENGINE / "CMakeLists.txt").read_text())
    assert {f"__{name}" for name in wrapped.split()} == RUNTIME_NAMES
    assert len(RUNTIME_NAMES) == 5


class TestWithEspIdf:
    def test_the_firmware_as_it_is_built(self) -> None:
        folder = linux_target.build()
        names = globals_of(*(folder / f"esp-idf/{part}/lib{part}.a" for part in ("main", "core", "engine")))
        assert {"fw_console_read", "shrew_session_next", "fw_page_files"} <= names
        assert without_prefix(names) == []

    def test_none_of_our_names_occurs_in_esp_idf(self) -> None:
        """In its sources, linker scripts (ROM's names of every chip) and libraries."""
        if not (idf := os.environ.get("IDF_PATH")):
            pytest.skip("IDF_PATH is not set: no ESP-IDF to compare with")
        grep = shutil.which("grep")
        assert grep
        command = [grep, "-rhoawE", r"(shrew|fw|SHREW|FW)_[A-Za-z0-9_]+|app_main", f"{idf}/components"]
        theirs = set(subprocess.run(command, capture_output=True, text=True, errors="replace").stdout.split())
        assert "app_main" in theirs, f"{idf}/components: nothing to compare with"
        folder = linux_target.build()
        ours = globals_of(*(folder / f"esp-idf/{part}/lib{part}.a" for part in ("main", "core", "engine")))
        assert sorted(theirs & ours - {"app_main"}) == []
