"""What C makes of the ESP32-S3's assembly, on the host: the bits of the reference, or not chosen at all."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from engine.objects import objects, run
from engine.test_build import COMPILERS, ENGINE, INCLUDES, STRICT

from shrew.engine.binding import lib

TESTS = Path(__file__).parents[1]
ABSENT = 77  # status of the driver where the unit cannot be had


def compare_with_reference(folder: Path, *fault: str) -> int:
    compiler = next(filter(None, COMPILERS.values()), None)
    if compiler is None:
        pytest.skip("no C compiler is installed")
    engine = [*ENGINE.glob("src/kernels/*.c"), ENGINE / "src/numbers.c", TESTS / "engine/kernels.c"]
    flags = [*STRICT, "-O2", "-DSHREW_PIE", *INCLUDES]
    made = objects(compiler, flags, engine) + objects(compiler, [*flags, *fault], [TESTS / "pie/products.c"])
    run(compiler, *map(str, made), "-o", str(folder / "kernels"))
    done = subprocess.run([folder / "kernels", str(lib.SHREW_UNIT_PIE)], capture_output=True, text=True, timeout=300)
    assert done.stdout == ""
    return done.returncode


def test_products_and_attention_give_the_bits_of_the_reference(tmp_path: Path) -> None:
    assert compare_with_reference(tmp_path) == 0


@pytest.mark.parametrize("fault", ["-DWITHOUT_SIGN", "-DMASKED=0x7F", "-DDROPPED=1"])
def test_a_chip_that_computes_something_else_does_not_get_the_assembly(tmp_path: Path, fault: str) -> None:
    assert compare_with_reference(tmp_path, fault) == ABSENT
