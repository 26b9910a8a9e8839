"""Type-checks the firmware's own sources against ESP-IDF's headers without Espressif's compilers.

    python tools/check_firmware.py [--idf $IDF_PATH] [--chip esp32s3 ...] [--libc HEADERS]

ESP-IDF's own build configures the project, with scripts that call clang-22 under the names of its compilers. Then clang
checks every C source of firmware/ and engine/ with exactly that build's include paths, definitions, sdkconfig.h and
warnings, each of which is an error. No code is generated, and ESP-IDF's own sources are not compiled. HEADERS is the
include folder of a C library: newlib for ESP-IDF 5.5, picolibc for 6.0 (Debian: picolibc-riscv64-unknown-elf, the
default).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICOLIBC = Path("/usr/lib/picolibc/riscv64-unknown-elf/include")

#: The script that replaces the compilers. It removes options that clang does not know.
COMPILER = f"""#!{sys.executable}
import os, shlex, sys
name = os.path.basename(sys.argv[0])
arguments = []
for argument in sys.argv[1:]:
    arguments += shlex.split(open(argument[1:]).read()) if argument.startswith("@") else [argument]
unknown = ("-march=", "-mtune=", "-mlongcalls", "-mdisable-hardware-atomics", "-mfix-esp32", "-specs", "--specs",
           "-fno-tree-switch-conversion", "-fstrict-volatile-bitfields", "-fno-jump-tables")
arguments = [argument for argument in arguments if not argument.startswith(unknown)]
if name.startswith("xtensa"):
    machine = ["--target=xtensa", "-D__XTENSA_WINDOWED_ABI__=1"]
else:
    machine = ["--target=riscv32-unknown-elf", "-march=rv32imafc_zicsr_zifencei"]
    machine += [] if any("-mabi" in argument for argument in arguments) else ["-mabi=ilp32"]
clang = "clang++-22" if name.endswith("g++") else "clang-22"
os.execvp(clang, [clang, *machine, "-nostdlibinc", *arguments])
"""
PREFIXES = {chip: f"xtensa-{chip}-elf" for chip in ("esp32", "esp32s3")}
BINUTILS = ("ar", "ranlib", "objdump", "objcopy", "size", "nm")

#: Enables the card's code, by SDMMC or SPI depending on the chip, and disables what ESP-IDF does not support with
#: clang.
ALL_CHIPS = "CONFIG_SHREW_SD=y\n"
INSTEAD = {"esp32p4": "CONFIG_ESP32P4_SELECTS_REV_LESS_V3=y\nCONFIG_ESP32P4_REV_MIN_100=y\n"}

#: An option that is off. It is missing from the configuration of chips that do not know it.
UNSET = re.compile("# (CONFIG_[A-Z0-9_]+) is not set$")

#: A header that the toolchain's C library has and others lack.
DIRENT = """#pragma once
#include <stdint.h>
#include <sys/types.h>
typedef struct { uint16_t dd_vfs_idx, dd_rsv; } DIR;
struct dirent { ino_t d_ino; uint8_t d_type; char d_name[256]; };
DIR *opendir(const char *);
struct dirent *readdir(DIR *);
int readdir_r(DIR *, struct dirent *, struct dirent **);
long telldir(DIR *);
void seekdir(DIR *, long);
void rewinddir(DIR *);
int closedir(DIR *);
"""


def make_tools(folder: Path, chip: str) -> None:
    """Creates scripts with the compilers' names in a folder for PATH."""
    prefix = PREFIXES.get(chip, "riscv32-esp-elf")
    for name in ("gcc", "g++"):
        tool = folder / f"{prefix}-{name}"
        tool.write_text(COMPILER)
        tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    for name in BINUTILS:
        (folder / f"{prefix}-{name}").symlink_to(f"/usr/bin/llvm-{name}-22")


def configure(build: Path, idf: Path, chip: str, flash: str) -> list[dict[str, str]]:
    """Configures a build, and returns the commands with which ESP-IDF would compile."""
    tools = build / "tools"
    tools.mkdir()
    make_tools(tools, chip)
    path = [str(tools), os.environ["PATH"]]
    if python := os.environ.get("IDF_PYTHON_ENV_PATH"):
        path.insert(1, f"{python}/bin")
    environment = {**os.environ, "IDF_PATH": str(idf), "IDF_COMPONENT_MANAGER": "0", "PATH": ":".join(path)}
    instead = build / "instead.defaults"
    instead.write_text(ALL_CHIPS + INSTEAD.get(chip, ""))
    settings = {
        "IDF_TARGET": chip,
        "SDKCONFIG": build / "sdkconfig",
        "SDKCONFIG_DEFAULTS": f"sdkconfig.defaults;flash/{flash}.defaults;{instead}",
        **dict.fromkeys(("PYTHON_DEPS_CHECKED", "ESP_PLATFORM", "CMAKE_EXPORT_COMPILE_COMMANDS"), 1),
        **dict.fromkeys(("CMAKE_C_COMPILER_WORKS", "CMAKE_CXX_COMPILER_WORKS"), 1),
    }
    command = ["cmake", "-G", "Ninja", "-S", str(ROOT / "firmware"), "-B", str(build / "cmake")]
    command += [f"-D{name}={value}" for name, value in settings.items()]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{chip}: ESP-IDF cannot configure the project:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    commands: list[dict[str, str]] = json.loads((build / "cmake/compile_commands.json").read_text())
    return commands


def settings_not_taken(build: Path, chip: str, flash: str) -> str:
    """Lines of our defaults that ESP-IDF's configuration does not have: misspelt, or unsupported on this chip."""
    folder = ROOT / "firmware"
    files = [folder / "sdkconfig.defaults", folder / f"sdkconfig.defaults.{chip}", folder / f"flash/{flash}.defaults"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    taken = set((build / "sdkconfig").read_text().splitlines())
    if "CONFIG_ESP_WIFI_ENABLED=y" not in taken:
        lines = [line for line in lines if "CONFIG_ESP_WIFI_" not in line]
    lost = [line for line in lines if line.startswith("CONFIG_") and line not in taken]
    lost += [line for line in lines if (unset := UNSET.match(line)) and f"{unset[1]}=y" in taken]
    return "".join(f"{line}: not taken\n" for line in lost)


def check(command: dict[str, str], libc: Path, own_headers: Path) -> str:
    """Clang's messages about one source; empty if there are none."""
    words = shlex.split(command["command"])
    output = words.index("-o")
    del words[output : output + 2]
    words = [
        word
        for word in words
        if word != "-c" and not word.startswith(("-fmacro-prefix", "-Wno-error", "-fdiagnostics"))
    ]
    words += ["-Werror", "-Wno-unknown-warning-option", "-fsyntax-only", "-include", "sys/types.h"]
    words += ["-isystem", str(own_headers), "-isystem", str(libc)]
    return subprocess.run(words, cwd=command["directory"], capture_output=True, text=True, check=False).stderr


def check_chip(idf: Path, chip: str, flash: str, libc: Path) -> bool:
    with tempfile.TemporaryDirectory() as name:
        build = Path(name)
        commands = configure(build, idf, chip, flash)
        (build / "sys").mkdir()
        (build / "sys/dirent.h").write_text(DIRENT)
        files, said = 0, settings_not_taken(build, chip, flash)
        for command in commands:
            source = Path(command["file"])
            if source.suffix == ".c" and (ROOT / "firmware" in source.parents or ROOT / "engine" in source.parents):
                files += 1
                said += check(command, libc, build)
    print(f"{said}{chip}, {idf.name}: {files} files, {'something is wrong' if said else 'all well'}")
    return not said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--idf", type=Path, default=os.environ.get("IDF_PATH"), help="ESP-IDF's folder")
    parser.add_argument("--chip", action="append", help="default: esp32s3 and esp32c3")
    parser.add_argument("--flash", default="8mb", help="4mb, 8mb or 16mb")
    parser.add_argument("--libc", type=Path, default=PICOLIBC, help="headers of a C library")
    options = parser.parse_args()
    if not options.idf:
        sys.exit("no ESP-IDF: give --idf or set IDF_PATH")
    chips = options.chip or ["esp32s3", "esp32c3"]
    well = [check_chip(options.idf, chip, options.flash, options.libc) for chip in chips]
    sys.exit(0 if all(well) else 1)


if __name__ == "__main__":
    main()
