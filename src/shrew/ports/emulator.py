"""Bare machines under QEMU: RISC-V with and without floating point, and Xtensa."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shrew.ports.sources import source_root
from shrew.ports.target import Target, call

#: As in ports/emulator/board.h.
BUNDLE_OFFSET: Final = 0x1000000


def _loader(bundle: Path, ram: int) -> list[str]:
    return ["-device", f"loader,file={bundle},addr={ram + BUNDLE_OFFSET:#x},force-raw=on"]


@dataclass(frozen=True)
class RiscV(Target):
    """A 32-bit RISC-V core with picolibc's start-up and semihosting."""

    name: str
    abi: str

    tools = {  # noqa: RUF012  # as in Target
        "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
        "/usr/lib/picolibc/riscv64-unknown-elf/picolibc.specs": "picolibc-riscv64-unknown-elf",
        "qemu-system-riscv32": "qemu-system-misc",
    }
    RAM = 0x80000000

    @property
    def port_sources(self) -> list[Path]:
        folder = source_root() / "ports/emulator"
        return [folder / "main.c", folder / "riscv/board.c"]

    @property
    def _compiler(self) -> list[str]:
        machine = [f"-march={self.name}", f"-mabi={self.abi}"]
        return ["riscv64-unknown-elf-gcc", *machine, "--specs=picolibc.specs", "--oslib=semihost", "--crt0=hosted"]

    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        call(*self._compiler, *flags, f"-DBOARD_RAM={self.RAM:#x}", "-c", source, "-o", output)

    def link(self, objects: Sequence[Path], output: Path, map_file: Path, keep: Sequence[str]) -> None:
        half = 0x400000
        places = {"__flash": self.RAM, "__flash_size": half, "__ram": self.RAM + half, "__ram_size": half}
        options = [f"-Wl,--defsym={name}={value:#x}" for name, value in places.items()]
        options += [f"-Wl,-u,{name}" for name in keep]
        call(*self._compiler, "-Wl,--gc-sections", f"-Wl,-Map={map_file}", *options, *objects, "-o", output)

    def command(self, program: Path, bundle: Path) -> list[str]:
        return [
            *("qemu-system-riscv32", "-M", "virt", "-cpu", "rv32", "-m", "64", "-bios", "none", "-icount", "shift=0"),
            *("-nographic", "-monitor", "none", "-serial", "none"),
            *("-chardev", "stdio,id=out", "-semihosting-config", "enable=on,chardev=out"),
            *("-kernel", str(program), *_loader(bundle, self.RAM)),
        ]


@dataclass(frozen=True)
class Xtensa(Target):
    """An Xtensa core with windowed registers and floating point, as in the ESP32, without any library."""

    name: str = "xtensa-lx6"

    tools = {  # noqa: RUF012  # as in Target
        "clang-22": "clang-22",
        "llc-22": "llvm-22",
        "llvm-mc-22": "llvm-22",
        "xtensa-lx106-elf-ld": "binutils-xtensa-lx106",
        "qemu-system-xtensa": "qemu-system-misc",
    }
    RAM = 0

    @property
    def _folder(self) -> Path:
        return source_root() / "ports/emulator/xtensa"

    @property
    def port_sources(self) -> list[Path]:
        return [self._folder.parent / "main.c", *sorted(self._folder.glob("*.c")), self._folder / "start.s"]

    def compile(self, source: Path, output: Path, flags: Sequence[str]) -> None:
        assembly = output.with_suffix(".s")
        if source.suffix == ".s":
            assembly.write_text(source.read_text())
        else:
            bare = ["-ffreestanding", "-nostdlibinc", "-isystem", str(self._folder), f"-DBOARD_RAM={self.RAM}"]
            own = ["-fno-builtin"] if source.name == "runtime.c" else []
            ir = output.with_suffix(".ll")
            call("clang-22", "--target=xtensa", *flags, *bare, *own, "-S", "-emit-llvm", source, "-o", ir)
            machine = ["-march=xtensa", "-mcpu=esp32", "-mattr=-mul32high"]
            llc = ["llc-22", "-O2", *machine, "--function-sections", "--data-sections"]
            assembly.write_text(place_literals(call(*llc, "-filetype=asm", ir, "-o", "-")))
        call("llvm-mc-22", "-triple=xtensa", "-mcpu=esp32", "-filetype=obj", assembly, "-o", output)

    def link(self, objects: Sequence[Path], output: Path, map_file: Path, keep: Sequence[str]) -> None:
        roots = [word for name in keep for word in ("-u", name)]
        script = ["--no-relax", "--gc-sections", "-z", "noexecstack", "-T", str(self._folder / "link.ld")]
        call("xtensa-lx106-elf-ld", *script, "-Map", map_file, *roots, *objects, "-o", output)

    def command(self, program: Path, bundle: Path) -> list[str]:
        # 64 ns per instruction: see board_instructions in board.c.
        return [
            *("qemu-system-xtensa", "-M", "sim", "-cpu", "de233_fpu", "-m", "64", "-icount", "shift=6"),
            *("-semihosting", "-nographic", "-monitor", "none", "-serial", "none"),
            *("-device", f"loader,file={program},cpu-num=0", *_loader(bundle, self.RAM)),
        ]


_LITERAL = re.compile(r"^\s*\.literal\s+(\.LCPI(\d+)_\d+), (.*)$", re.MULTILINE)
_USE = re.compile(r"(?<=\bl32r\t)(\w+, )(\.LCPI\d+_\d+)$", re.MULTILINE)


def place_literals(assembly: str) -> str:
    """Moves the literals of each function to a separate, aligned section, and removes repeated values.

    LLVM's assembler puts them at its current place, where they are misaligned and keep the linker from removing unused
    functions.
    """
    sections: dict[str, dict[str, str]] = {}
    names = {}
    for label, function, value in _LITERAL.findall(assembly):
        names[label] = sections.setdefault(function, {}).setdefault(value, label)
    assembly = re.sub(r"^\s*\.literal_position$", "", assembly, flags=re.MULTILINE)
    assembly = _LITERAL.sub("", assembly)
    assembly = _USE.sub(lambda use: use[1] + names[use[2]], assembly)
    for function, values in sections.items():
        assembly += f'\t.section .literal.{function},"ax",@progbits\n\t.p2align 2\n'
        assembly += "".join(f"{label}:\n\t.long {value}\n" for value, label in values.items())
    return assembly


RV32IMC: Final = RiscV("rv32imc", "ilp32")
RV32IMAFC: Final = RiscV("rv32imafc", "ilp32f")
XTENSA: Final = Xtensa()

EMULATED: Final[Mapping[str, Target]] = {target.name: target for target in (RV32IMC, RV32IMAFC, XTENSA)}
