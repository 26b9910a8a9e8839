"""This machine as a port: the reference, sanitizers, forced vector units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from shrew.ports.sources import source_root
from shrew.ports.target import Target, call


@dataclass(frozen=True)
class Host(Target):
    """The engine, built by this machine's C compiler."""

    name: str = "host"
    compiler: str = "cc"
    flags: tuple[str, ...] = ()

    @property
    def tools(self) -> dict[str, str]:  # type: ignore[override]  # a field of the base
        return {self.compiler: "gcc"}

    @property
    def port_sources(self) -> list[Path]:
        return [source_root() / "ports/host/main.c"]

    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        call(self.compiler, *flags, *self.flags, "-c", source, "-o", output)

    def link(self, objects: Sequence[Path], output: Path, map_file: Path, keep: Sequence[str]) -> None:
        roots = [f"-Wl,-u,{name}" for name in keep]
        call(self.compiler, *self.flags, "-Wl,--gc-sections", f"-Wl,-Map={map_file}", *roots, *objects, "-o", output)

    def command(self, program: Path, bundle: Path) -> list[str]:
        return [str(program), str(bundle)]
