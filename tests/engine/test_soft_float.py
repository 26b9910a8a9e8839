"""The floats in software, for chips without a floating-point unit, are IEEE 754's to the last bit."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ENGINE = Path(__file__).parents[2] / "engine"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O2", "-ffp-contract=off"]


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_soft_floats_equal_those_of_this_machine(compiler: str, tmp_path: Path) -> None:
    """Ten million random pairs: close and far exponents, ties, denormal results; and all pairs of special values."""
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    program, source = tmp_path / "soft_float", Path(__file__).with_name("compare_soft_float.c")
    subprocess.run([compiler, *FLAGS, f"-I{ENGINE / 'src'}", str(source), "-o", str(program)], check=True)
    done = subprocess.run([str(program), "10000000"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout or f"killed by signal {-done.returncode}"


def test_a_wrong_bit_would_be_seen(tmp_path: Path) -> None:
    """The comparison itself: with truncation in place of rounding it fails."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    text = (ENGINE / "src/soft_float.c").read_text()
    wrong = text.replace("mantissa + 63 + (mantissa >> 7 & 1)", "mantissa")
    assert wrong != text
    (tmp_path / "soft_float.c").write_text(wrong)
    (tmp_path / "compare_soft_float.c").write_text(Path(__file__).with_name("compare_soft_float.c").read_text())
    program = tmp_path / "soft_float"
    include = [f"-I{tmp_path}", f"-I{ENGINE / 'src'}"]
    subprocess.run(["gcc", *FLAGS, *include, str(tmp_path / "compare_soft_float.c"), "-o", str(program)], check=True)
    assert subprocess.run([str(program), "1000"], capture_output=True).returncode == 1
