"""File names that are not UTF-8, and circular links: a run works, or one line says why not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")

SMALL = ("--preset", "microgpt", "--data", "names", "--steps", "2")


def shrew(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from shrew.cli import main; main()", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")


def test_a_run_whose_name_is_no_utf_8(tmp_path: Path) -> None:
    run = os.fsdecode(b"run\xff")
    assert shrew(tmp_path, "train", *SMALL, "--out", run).returncode == 0
    assert shrew(tmp_path, "quantize", run, "-o", "model.bin").returncode == 0
    named = shrew(tmp_path, "quantize", run, "-o", "other.bin", "--name", run)
    assert named.returncode == 1
    assert named.stderr.splitlines()[-1].endswith("not valid UTF-8; give one that is")
    assert not (tmp_path / "other.bin").exists()


def test_a_run_folder_that_is_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    done = shrew(tmp_path, "train", *SMALL, "--out", "loop")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("shrew: loop: ")]
    assert "Traceback" not in done.stderr
