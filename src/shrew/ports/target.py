"""A target: how to build a port, which program runs it, and how large the engine is in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shrew.errors import PortError, ToolsMissingError
from shrew.ports.bundle import Job, Outcome, make_bundle, parse_lines
from shrew.ports.sources import digest, engine_sources, source_root

#: The same for every target, so that measurements differ only by the processor.
C_FLAGS: Final = (
    *("-std=c99", "-O2", "-fomit-frame-pointer", "-ffunction-sections", "-fdata-sections"),
    *("-ffp-contract=off", "-DSHREW_NO_CONTRACTION"),
)


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to build the engine."""

    name: str
    flags: tuple[str, ...] = ()
    whole_interface: bool = True
    """Keep every function of shrew.h in the program, even if it is not called, so that the size includes it."""


FULL: Final = Variant("full")
#: Small: without f32 matrices and caches, q4, ternary, speculative decoding, Unicode character classes, grammars of
#: commands, forms of prompts, memories, and sampling filters other than top-p. Has everything else of shrew.h;
#: functions that a program does not call are not linked.
SMALL: Final = Variant(
    "small",
    (
        *("-Os", "-DSHREW_NO_F32", "-DSHREW_NO_Q4", "-DSHREW_NO_TERNARY", "-DSHREW_NO_DRAFT", "-DSHREW_NO_UNICODE"),
        *("-DSHREW_NO_COMMANDS", "-DSHREW_NO_PROMPTS", "-DSHREW_NO_MEMORY", "-DSHREW_NO_MARKS", "-DSHREW_GREEDY_TOP_P"),
    ),
    whole_interface=False,
)
VARIANTS: Final = {variant.name: variant for variant in (FULL, SMALL)}


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes in a linked program: the engine, the compiler's runtime with the C library, and the engine's variables."""

    code: int
    runtime: int
    static: int


class Target(ABC):
    """Builds one port and runs bundles on it."""

    name: str
    #: Commands, or files by their full path, and the Debian packages that contain them.
    tools: Mapping[str, str]

    @property
    @abstractmethod
    def port_sources(self) -> list[Path]:
        """C and assembly files of the port itself."""

    @abstractmethod
    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        """Compiles a source file to an object file."""

    @abstractmethod
    def link(self, objects: Sequence[Path], output: Path, map_file: Path, keep: Sequence[str]) -> None:
        """Links objects to a program. Removes unused functions, except the symbols in ``keep``."""

    @abstractmethod
    def command(self, program: Path, bundle: Path) -> list[str]:
        """The command that runs a bundle and prints its lines."""

    def require_tools(self) -> None:
        """Raises ToolsMissingError, which says what to install, if a command is missing."""
        missing = [tool for tool in self.tools if _find(tool) is None]
        if missing:
            packages = " ".join(sorted({self.tools[tool] for tool in missing}))
            raise ToolsMissingError(
                f"{self.name}: {', '.join(missing)} not found; on Debian or Ubuntu: apt-get install {packages}"
            )

    def program(self, variant: Variant = FULL) -> Path:
        """The built program; a cached one if its sources, flags and tools have not changed."""
        self.require_tools()
        root, sources = source_root(), self.port_sources
        port_folders = sorted({source.parent for source in sources})
        what = [root / "engine/include", root / "engine/src", root / "ports/jobs.c", root / "ports/jobs.h"]
        tools = [_identity(tool) for tool in sorted(self.tools)]
        code = [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))]
        key = digest([*what, *port_folders], [repr(self), *C_FLAGS, *variant.flags, *code, *tools])
        folder = _cache() / f"{self.name}-{variant.name}-{key}"
        program = folder / "program"
        if not program.exists():
            self._build(folder, sources, variant)
        return program

    def _build(self, folder: Path, port_sources: Sequence[Path], variant: Variant) -> None:
        """Builds in a temporary folder first, so that an incomplete build is never visible."""
        root = source_root()
        include = [f"-I{root / path}" for path in ("engine/include", "engine/src", "ports")]
        flags = [*C_FLAGS, *include, *variant.flags]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            work, objects = Path(temporary), []
            parts = {"engine": engine_sources(), "port": [root / "ports/jobs.c", *port_sources]}
            for part, sources in parts.items():
                (work / part).mkdir()
                for source in sources:
                    objects.append(work / part / f"{source.name}.o")
                    self.compile(source, objects[-1], flags)
            keep = _interface(root) if variant.whole_interface else []
            done = work / "done"
            done.mkdir()
            self.link(objects, done / "program", done / "map", keep)
            try:
                done.rename(folder)
            except OSError:
                if not folder.exists():  # otherwise another process was faster
                    raise

    def run(self, jobs: Sequence[Job], *, timeout: float = 120, variant: Variant = FULL) -> list[Outcome]:
        """Runs jobs in one process. PortError if the program fails or exceeds ``timeout`` seconds."""
        return self.run_bundle(make_bundle(jobs), timeout=timeout, variant=variant)

    def run_bundle(self, bundle: bytes, *, timeout: float = 120, variant: Variant = FULL) -> list[Outcome]:
        """Like :meth:`run`, with an existing bundle."""
        program = self.program(variant)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "bundle"
            file.write_bytes(bundle)
            command = self.command(program, file)
            try:
                ended = subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,  # an emulator would otherwise use the terminal
                    capture_output=True,
                    text=True,
                    errors="replace",
                    timeout=timeout,
                )
            except subprocess.TimeoutExpired:
                raise PortError(f"{self.name}: not done after {timeout:g} seconds") from None
        try:
            return parse_lines(ended.stdout.splitlines())
        except PortError as error:
            complaint = f" ({ended.stderr.strip().splitlines()[-1]})" if ended.stderr.strip() else ""
            raise PortError(f"{self.name}: {error}{complaint}") from None

    def size(self, variant: Variant = FULL) -> Size:
        """Sizes from the linker's map of the program."""
        return read_size((self.program(variant).parent / "map").read_text())


def call(*command: str | Path) -> str:
    """Runs a build tool and returns its output. PortError with the first error message if it fails."""
    ended = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if ended.returncode:
        complaints = [line for line in ended.stderr.splitlines() if "error" in line or "undefined" in line]
        reason = (complaints or ended.stderr.splitlines() or ["no reason given"])[0]
        raise PortError(f"{command[0]}: {reason}")
    return ended.stdout


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shrew" / "ports"


def _find(tool: str) -> str | None:
    if tool.startswith("/"):
        return tool if os.path.exists(tool) else None
    return shutil.which(tool)


def _identity(tool: str) -> str:
    """A string that changes if a tool is replaced by another version."""
    path = os.path.realpath(_find(tool) or tool)
    status = os.stat(path)
    return f"{path} {status.st_size} {status.st_mtime_ns}"


def _interface(root: Path) -> list[str]:
    """The functions that shrew.h declares."""
    header = (root / "engine/include/shrew.h").read_text()
    return re.findall(r"^\w[\w ]*[ *](shrew_\w+)\(", header, flags=re.MULTILINE)


#: An input section in a map of GNU ld, or of lld in GNU style: name, address, size and object. Long names have a
#: separate line.
_INPUT = re.compile(r"^ (\.[\w.$]+)\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S+)$", re.MULTILINE)

_VARIABLES = (".data", ".sdata", ".bss", ".sbss", "COMMON")
_CODE = (".text", ".literal", ".rodata", ".srodata", ".vectors", ".init")


def read_size(map_text: str) -> Size:
    """Reads sizes from GNU ld's map file. The engine's objects are in a folder ``engine``, the port's in ``port``."""
    linked = map_text.partition("Linker script and memory map")[2]
    code = runtime = static = 0
    for section, _, size, origin in _INPUT.findall(linked):
        if section.startswith(_VARIABLES):
            static += int(size, 16) if "/engine/" in origin else 0
        elif section.startswith(_CODE) and "/engine/" in origin:
            code += int(size, 16)
        elif section.startswith(_CODE) and ("/port/" not in origin or "/port/runtime." in origin):
            runtime += int(size, 16)
    return Size(code, runtime, static)
