"""The vector kernels of WebAssembly against the reference, bit for bit, at the sizes where they change their ways."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from shrew.errors import ToolsMissingError
from shrew.ports.sources import engine_sources, source_root
from shrew.ports.wasm import FEATURES, WASM

F32, Q8, Q4, TERNARY = range(4)
RANDOM, LARGEST, ZERO, EXTREME = range(4)
SWIGLU, GELU = 0, 1

SCRIPT: Final = """
const { readFileSync } = require("node:fs");
const [, module, calls] = process.argv;
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(module)));
for (const [name, ...values] of JSON.parse(readFileSync(calls)))
  if (exports[name](...values) !== 0) console.log(name, ...values);
"""

Call = tuple[str | float, ...]


def products() -> Iterator[Call]:
    # One less and one more than: a step of f32 lanes, a chunk of 16 columns, two chunks; then a row of real models,
    # and the longest.
    cols = [1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 172, 300, 768, 2048]
    # Four rows leave at once; the last four may lack some; a second part begins at 16.
    rows = [1, 2, 3, 4, 5, 7, 8, 33, 40]
    # Two tokens share what was unpacked.
    tokens = [1, 2, 3, 9]
    # No groups; a chunk; groups that end inside a row of 172 or 300 columns; longer than most rows.
    groups = [0, 16, 32, 48, 256]
    for weight_type in (F32, Q8, Q4, TERNARY):
        for c in cols:
            for r in rows if c < 64 else [5, 33]:
                yield from (("multiply", weight_type, r, c, 0, t, RANDOM) for t in tokens)
            for group in groups if weight_type != F32 else []:
                yield from (
                    ("multiply", weight_type, r, c, group, 3, k) for r in (5, 6) for k in (RANDOM, LARGEST, ZERO)
                )
        yield ("multiply", weight_type, 6, 64, 0, 3, EXTREME)


def spans() -> Iterator[Call]:
    # Eight numerators leave at once, rows are mixed in twos; weights shrink from 512 tokens on.
    for held in (1, 2, 3, 4, 5, 7, 8, 9, 16, 255, 511, 513, 600):
        # Heads narrower than a vector's half, padded ones, and one whose scores no longer fit a float.
        for head_dim in (1, 4, 8, 12, 16, 48, 64, 65, 128):
            yield from (("attend", held, heads, head_dim, kind) for heads in (1, 8) for kind in range(4))


def others() -> Iterator[Call]:
    for count in (1, 2, 3, 4, 5, 8, 172, 2047):
        # The exponential reaches 0 near 11; far beyond, its argument no longer fits.
        yield from (("activate", mlp, count, limit) for mlp in (SWIGLU, GELU) for limit in (3.0, 12.0, 1e30))
    for count in (1, 4, 15, 16, 17, 172, 2048):
        yield from (("quantize", count, kind) for kind in (RANDOM, LARGEST, ZERO, EXTREME))


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        WASM.require_tools()
    except ToolsMissingError as error:
        pytest.skip(str(error))
    root, folder = source_root(), tmp_path_factory.mktemp("kernels")
    named = {"reference.c", "simd128.c", "numbers.c"}
    sources = [source for source in engine_sources() if source.name in named]
    machine = ["--target=wasm32", *FEATURES, "-msimd128", "-nostdlib", "-nostdlibinc", "-isystem", root / "ports/wasm"]
    flags = ["-std=c99", "-O2", "-ffp-contract=off", f"-I{root / 'engine/include'}", f"-I{root / 'engine/src'}"]
    link = ["-fuse-ld=/usr/bin/wasm-ld-22", "-Wl,--no-entry,--initial-memory=4194304"]
    path = folder / "kernels.wasm"
    driver = Path(__file__).with_name("kernels_wasm.c")
    subprocess.run(["clang-22", *machine, *flags, *link, driver, *sources, "-o", path], check=True)
    return path


@pytest.mark.parametrize("calls", [products, spans, others])
def test_vector_kernels_give_the_bits_of_the_reference(
    calls: Callable[[], Iterator[Call]], module: Path, tmp_path: Path
) -> None:
    listed = tmp_path / "calls.json"
    listed.write_text(json.dumps(list(calls())))
    node = shutil.which("node") or "node"
    done = subprocess.run([node, "-e", SCRIPT, str(module), str(listed)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "", "these differ"
