"""The core's sources: clean C99 for every compiler here, nothing asked of a system, and sound under sanitizers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from engine.objects import objects
from engine.test_build import BARE, COMPILERS, STRICT, compiler

from firmware.core import CORE, INCLUDES

__all__ = ["compiler"]  # a fixture

SOURCES = sorted(CORE.glob("*.c"))


@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
def test_compiles_without_a_warning_and_needs_next_to_nothing(compiler: str, level: str) -> None:
    made = objects(compiler, [*STRICT, level, *BARE, *INCLUDES], SOURCES)
    symbols = subprocess.run(["nm", *made], check=True, capture_output=True, text=True).stdout.splitlines()
    defined = {line.split()[-1] for line in symbols if re.search(r" [TR] ", line)}
    undefined = {line.split()[-1] for line in symbols if " U " in line} - defined
    assert {name for name in undefined if not name.startswith("shrew_")} <= {"memcpy", "memmove", "memset"}
    assert not [line for line in symbols if re.search(r" [DdBbC] ", line)], "a mutable global"
    modules = {re.split("[._]", source.name)[0] for source in SOURCES} | {"option", "origin", "token"}
    assert {tuple(name.split("_")[:2]) for name in defined} <= {("fw", one) for one in modules}, (
        "not named for its file"
    )


def test_no_allocation_and_no_stdio_in_the_sources() -> None:
    for source in [*SOURCES, *CORE.glob("*.h")]:
        text = source.read_text()
        assert set(re.findall(r"#include <([^>]+)>", text)) <= {"stddef.h", "stdint.h", "string.h"}, source
        assert not re.search(r"\b(malloc|calloc|realloc|free|alloca|printf|exit|abort)\s*\(", text), source


def test_all_tests_of_the_core_pass_under_sanitizers() -> None:
    """Python's memory comes from malloc then, so that a byte beyond any buffer of a test is seen."""
    gcc = COMPILERS["gcc"]
    if gcc is None:
        pytest.skip("gcc is not installed")
    runtime = subprocess.run([gcc, "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    if not Path(runtime).is_absolute():
        pytest.skip("gcc has no AddressSanitizer here")
    environment = {
        **os.environ,
        "SHREW_SANITIZE": "1",
        "LD_PRELOAD": runtime,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    others = {Path(__file__).name, "test_linux_target.py"}
    tests = sorted(str(path) for path in Path(__file__).parent.glob("test_*.py") if path.name not in others)
    command = [sys.executable, "-m", "pytest", "-qs", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
