"""The kernels of emulated chips against the reference, bit for bit, at the sizes where they change methods."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from shrew.errors import ToolsMissingError
from shrew.ports import EMULATED
from shrew.ports.sources import source_root
from shrew.ports.target import C_FLAGS


@pytest.mark.parametrize("name", EMULATED)
def test_every_kernel_equals_the_reference(name: str, tmp_path: Path) -> None:
    target = EMULATED[name]
    try:
        target.require_tools()
    except ToolsMissingError as missing:
        pytest.skip(str(missing))
    engine = source_root() / "engine"
    board = [source for source in target.port_sources if source.name != "main.c"]
    kernels = sorted((engine / "src/kernels").glob("*.c"))
    arithmetic = [engine / "src/numbers.c", engine / "src/soft_float.c"]
    flags = [*C_FLAGS, f"-I{engine}/include", f"-I{engine}/src", "-DSHREW_REFERENCE"]
    objects = []
    for source in [Path(__file__).with_name("kernels_chips.c"), *board, *kernels, *arithmetic]:
        objects.append(tmp_path / f"{source.name}.o")
        target.compile(source, objects[-1], flags)
    program, nothing = tmp_path / "program", tmp_path / "bundle"
    nothing.write_bytes(bytes(16))
    target.link(objects, program, tmp_path / "map", [])
    run = subprocess.run(target.command(program, nothing), capture_output=True, text=True, timeout=120)
    assert (run.stdout.splitlines(), run.returncode) == (["done"], 0)
