"""WebAssembly for browsers and Node.

``python -m shrew.ports.wasm FILE`` builds the module for browsers and writes it to FILE. ``make wasm`` updates the one
in the repository.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shrew.ports.sources import source_root
from shrew.ports.target import FULL, Size, Target, Variant, call

#: Only features of every browser with vector instructions, and of Node 18 and later.
FEATURES: Final = ("-mcpu=mvp", "-mbulk-memory", "-mmutable-globals", "-mnontrapping-fptoint", "-msign-ext")


@dataclass(frozen=True)
class Wasm(Target):
    """The engine as a module, run by Node."""

    name: str = "wasm"
    simd: bool = True

    tools = {  # noqa: RUF012  # as in Target
        "clang-22": "clang-22",
        "wasm-ld-22": "lld-22",
        "node": "nodejs",
    }

    @property
    def _folder(self) -> Path:
        return source_root() / "ports/wasm"

    @property
    def port_sources(self) -> list[Path]:
        return [self._folder / "exports.c"]

    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        machine = ["--target=wasm32", *FEATURES, *(["-msimd128"] if self.simd else [])]
        bare = ["-nostdlibinc", "-isystem", str(self._folder), "-fvisibility=hidden"]
        call("clang-22", *machine, *bare, *flags, "-O3", "-flto", "-c", source, "-o", output)

    def link(self, objects: Sequence[Path], output: Path, map_file: Path, keep: Sequence[str]) -> None:
        """Keeps the exports. The stack comes first in memory, so that an overflow traps instead of overwriting data."""
        options = ["--no-entry", "--export=__heap_base", "--stack-first", "-z", "stack-size=65536", "--gc-sections"]
        options += ["--strip-all", "--keep-section=producers", f"--Map={map_file}"]
        call("wasm-ld-22", *options, *objects, "-o", output)

    def command(self, program: Path, bundle: Path) -> list[str]:
        return ["node", str(self._folder / "run_jobs.mjs"), str(program), str(bundle)]

    def size(self, variant: Variant = FULL) -> Size:
        """The size of the whole module, which a browser loads."""
        return Size(code=self.program(variant).stat().st_size, runtime=0, static=0)


WASM: Final = Wasm()
WASM_SCALAR: Final = Wasm("wasm-scalar", simd=False)

if __name__ == "__main__":
    shutil.copyfile(WASM.program(), sys.argv[1])
