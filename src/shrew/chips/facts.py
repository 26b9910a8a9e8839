"""Facts about chips. Each figure has its source; some have to be assumed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from shrew.errors import ConfigError

#: documented: in a data sheet or ESP-IDF; measured: by somebody on the chip; assumed: by the reasoning in its source.
Kind = Literal["documented", "measured", "assumed"]

KB: Final = 1024
MB: Final = 1024 * KB


@dataclass(frozen=True)
class Figure:
    """A number and its source."""

    value: float
    source: str
    kind: Kind


@dataclass(frozen=True)
class Memory:
    """A memory outside the chip's SRAM, read through the cache."""

    name: str
    bandwidth: Figure
    """Bytes per second of sequential reads."""
    latency: Figure
    """Additional seconds for each read that begins at a new place."""


@dataclass(frozen=True)
class Heap:
    """Internal memory in ESP-IDF's heap, and what is taken of it before models get theirs (chips/heap.py)."""

    regions: tuple[int, ...]
    """Bytes of the heap's regions, in the order of allocation. Static data is in the first."""
    source: str
    static: Figure
    """Code in RAM and data of the firmware without Wi-Fi."""
    wifi_static: Figure
    """The same for Wi-Fi and TCP/IP."""
    wifi: Figure
    """Heap that Wi-Fi and TCP/IP take when they start."""


@dataclass(frozen=True)
class Chip:
    name: str
    title: str
    core: str
    costs: str
    """The entry of costs.json for its kernels."""
    cores: int
    hertz: int
    cycles_per_instruction: Figure
    fpu: bool
    vectors: str
    """The name of its vector unit, or an empty string."""
    pointer_bytes: int
    sram: int
    """Bytes, by the data sheet, including the memory of the RTC or low-power core, which the heap also uses."""
    heap: Heap
    window: Figure
    """Bytes of flash that can be mapped at a time, for the image and for the firmware itself."""
    psram_in_window: bool
    page: int
    """Page size of that mapping, in bytes."""
    flash: Memory
    psram: Mapping[int, Memory]
    """Kinds of PSRAM, by the size up to which chips have this kind; empty: none."""
    default_psram: int
    default_flash: int
    largest_flash: int
    octal_flash: bool = False

    def psram_of(self, size: int) -> Memory | None:
        """The kind of PSRAM that has this size. ConfigError if there is none."""
        if size == 0:
            return None
        for most, memory in self.psram.items():
            if size <= most:
                return memory
        most = max(self.psram, default=0)
        there = f"at most {most // MB} MB of PSRAM" if most else "no PSRAM"
        raise ConfigError(f"--psram {size / MB:g}MB: {self.title} has {there}")


@dataclass(frozen=True)
class Firmware:
    """Memory that the firmware takes, on all chips alike."""

    start: Figure
    """Heap that drivers, settings and the web server take when they start."""
    tasks: Figure
    """Heap for the stacks of the main task, the answering task, uploads and the web server."""
    helper: Figure
    """Heap for the stack of the second core's task."""
    requests: Figure
    """Memory for the texts of waiting requests: PSRAM if the chip has it, else heap."""
    reserve: Figure
    """Heap that models leave free."""
    psram_reserve: Figure
    """PSRAM that models leave free."""
    flash: Figure
    mapped: Figure
    """Bytes of the chip's window that the firmware itself takes."""
    synchronisation: Figure
    """Cycles to pass work to the other core and wait for it."""
    grain: int
    """The session's option ``grain``: the fewest multiply-adds per core that are worth the synchronisation."""


_BOOTED = (
    "an ESP32-C3 image, ESP-IDF 5.5.3, booted in an emulator: what the heap had handed out when models took theirs"
)

FIRMWARE: Final = Firmware(
    start=Figure(35_000, f"{_BOOTED}, less stacks, requests and Wi-Fi", "measured"),
    tasks=Figure(5120 + 5120 + 4864 + 6656, "firmware/main/board.h, firmware/sdkconfig.defaults", "documented"),
    helper=Figure(4096, "firmware/main/board.h", "documented"),
    requests=Figure(7 * 2308, "firmware/main/board.h: six that wait and one that is answered", "documented"),
    reserve=Figure(48 * KB, "firmware/main/board.h: for sockets and Wi-Fi buffers", "documented"),
    psram_reserve=Figure(64 * KB, "firmware/main/board.h: for buffers of the web server", "documented"),
    flash=Figure(1.5 * MB, "boot loader, tables, settings, an application with Wi-Fi and the chat page", "assumed"),
    mapped=Figure(1 * MB, "code and constants of that application", "assumed"),
    synchronisation=Figure(2000, "a FreeRTOS notification there and back", "assumed"),
    grain=4096,
)

_IDF = "ESP-IDF, components/soc/{}/include/soc/ext_mem_defs.h: {} pages for code, constants and data"

_REGIONS = "ESP-IDF 5.5, components/heap/port/{}/memory_layout.c, less what ROM keeps"
_LINKED = "sizes of the sections of an image linked with ESP-IDF 5.5.3 and the settings in firmware/sdkconfig.defaults"
_OF_WIFI = "the same, of the libraries of Wi-Fi, PHY, WPA and TCP/IP"
_WIFI_HEAP = Figure(47_700, f"{_BOOTED}; of it by Wi-Fi and TCP/IP", "measured")
_WIFI_HEAP_ELSEWHERE = Figure(47_700, "as the ESP32-C3's: the same settings", "assumed")

_TINYLLM = "ESP32-S3 N16R8, github.com/manjunathshiva/esp32-tinyllm, RESULTS.md, section 5"

_OCTAL = Memory(
    "octal PSRAM, 80 MHz DDR",
    Figure(60.7e6, f"{_TINYLLM}: sequential read", "measured"),
    Figure(0.97e-6, "reported with it: reads of 64 bytes lose 48 %, of 256 bytes 19 %, of 4 KB 1.4 %", "measured"),
)
_QUAD_S3 = Memory(
    "quad PSRAM, 80 MHz",
    Figure(24e6, "what github.com/DaveBben/esp32-llm, 19.13 tokens/s, leaves for 1.04 MB a token", "assumed"),
    Figure(1e-6, "as octal PSRAM", "assumed"),
)
OCTAL_FLASH: Final = Memory(
    "octal flash, 80 MHz DDR",
    Figure(60.7e6, "the bus and the lines of octal PSRAM", "assumed"),
    Figure(1e-6, "as octal PSRAM", "assumed"),
)
_HEX_P4 = Memory(
    "hex PSRAM, 200 MHz DDR",
    Figure(156e6, "sequential read, as others report it of an ESP32-P4 with 32 MB", "measured"),
    Figure(0.5e-6, "half of the ESP32-S3's", "assumed"),
)
_QIO_S3 = Memory(
    "flash, QIO 80 MHz",
    Figure(25.2e6, f"{_TINYLLM}: 20.3 µs for a random row of 512 bytes", "measured"),
    Figure(1e-6, "as PSRAM", "assumed"),
)


def _quad(name: str, line: int) -> Memory:
    """A quad bus at 80 MHz that fills cache lines: 14 clocks for command, address and dummy cycles, 2 per byte."""
    seconds = (14 + 2 * line) / 80e6 + 0.3e-6
    source = f"{14 + 2 * line} clocks of the bus and 0.3 µs of waiting for each line of {line} bytes"
    return Memory(name, Figure(line / seconds, source, "assumed"), Figure(1e-6, "as the ESP32-S3's PSRAM", "assumed"))


def _cpi(coremark_per_mhz: float) -> Figure:
    """Cycles per instruction of single-issue cores, from CoreMark: RISC-V cores with known rates execute 277,000 to
    359,000 instructions per iteration."""
    source = f"{coremark_per_mhz} CoreMark/MHz in the data sheet, at 300,000 instructions an iteration"
    return Figure(round(1e6 / coremark_per_mhz / 300_000, 2), source, "assumed")


_CHIPS = (
    Chip(
        name="esp32",
        title="ESP32",
        core="Xtensa LX6",
        costs="xtensa-lx6",
        cores=2,
        hertz=240_000_000,
        cycles_per_instruction=_cpi(2.10),
        fpu=True,
        vectors="",
        pointer_bytes=4,
        sram=520 * KB,
        heap=Heap(
            regions=(0x30000, 0x1BCB0, 0x3AE0, 0x1920),
            source=_REGIONS.format("esp32"),
            static=Figure(60 * KB, "the data of the ESP32-C3's: code lies in memory of its own", "assumed"),
            wifi_static=Figure(20 * KB, "as the ESP32-C3's, without code", "assumed"),
            wifi=_WIFI_HEAP_ELSEWHERE,
        ),
        window=Figure(4 * MB, "ESP-FAQ, SPI flash: at most 4 MB mapped as data at a time", "documented"),
        psram_in_window=False,
        page=64 * KB,
        flash=_quad("flash, QIO 80 MHz", 32),
        psram={4 * MB: _quad("quad PSRAM, 80 MHz", 32)},
        default_psram=0,
        default_flash=4 * MB,
        largest_flash=16 * MB,
    ),
    Chip(
        name="esp32s3",
        title="ESP32-S3",
        core="Xtensa LX7",
        costs="esp32s3-pie",
        cores=2,
        hertz=240_000_000,
        cycles_per_instruction=_cpi(2.56),
        fpu=True,
        vectors="128-bit vectors",
        pointer_bytes=4,
        sram=(512 + 16) * KB,
        heap=Heap(
            regions=(0x61710, 0x8000, 0x5724, 0x1FD8),
            source=_REGIONS.format("esp32s3"),
            static=Figure(
                128 * KB, "the ESP32-C3's, a fifth more code for two cores, PSRAM and Xtensa's instructions", "assumed"
            ),
            wifi_static=Figure(26 * KB, "as the ESP32-C3's", "assumed"),
            wifi=_WIFI_HEAP_ELSEWHERE,
        ),
        window=Figure(32 * MB, _IDF.format("esp32s3", 512), "documented"),
        psram_in_window=True,
        page=64 * KB,
        flash=_QIO_S3,
        psram={2 * MB: _QUAD_S3, 32 * MB: _OCTAL},
        default_psram=8 * MB,
        default_flash=16 * MB,
        largest_flash=32 * MB,
        octal_flash=True,
    ),
    Chip(
        name="esp32c3",
        title="ESP32-C3",
        core="RV32IMC",
        costs="rv32imc",
        cores=1,
        hertz=160_000_000,
        cycles_per_instruction=_cpi(2.55),
        fpu=False,
        vectors="",
        pointer_bytes=4,
        sram=(400 + 8) * KB,
        heap=Heap(
            regions=(0x40000, 0x1C710, 0x2950, 0x1FC8),
            source=_REGIONS.format("esp32c3"),
            static=Figure(113_216, _LINKED, "measured"),
            wifi_static=Figure(25_760, _OF_WIFI, "measured"),
            wifi=_WIFI_HEAP,
        ),
        window=Figure(8 * MB, _IDF.format("esp32c3", 128), "documented"),
        psram_in_window=False,
        page=64 * KB,
        flash=_quad("flash, QIO 80 MHz", 32),
        psram={},
        default_psram=0,
        default_flash=4 * MB,
        largest_flash=16 * MB,
    ),
    Chip(
        name="esp32c6",
        title="ESP32-C6",
        core="RV32IMAC",
        costs="rv32imc",
        cores=1,
        hertz=160_000_000,
        cycles_per_instruction=_cpi(3.10),
        fpu=False,
        vectors="",
        pointer_bytes=4,
        sram=(512 + 16) * KB,
        heap=Heap(
            regions=(0x7C610, 0x2F54, 0x3FE8),
            source=_REGIONS.format("esp32c6"),
            static=Figure(110_849, _LINKED, "measured"),
            wifi_static=Figure(32_415, _OF_WIFI, "measured"),
            wifi=_WIFI_HEAP_ELSEWHERE,
        ),
        window=Figure(16 * MB, _IDF.format("esp32c6", 256), "documented"),
        psram_in_window=False,
        page=64 * KB,
        flash=_quad("flash, QIO 80 MHz", 32),
        psram={},
        default_psram=0,
        default_flash=8 * MB,
        largest_flash=16 * MB,
    ),
    Chip(
        name="esp32p4",
        title="ESP32-P4",
        core="RV32IMAFC",
        costs="rv32imafc",
        cores=2,
        hertz=400_000_000,
        cycles_per_instruction=Figure(1.08, "as the ESP32-C6", "assumed"),
        fpu=True,
        vectors="",
        pointer_bytes=4,
        sram=(768 + 32 + 8) * KB,
        heap=Heap(
            regions=(0x3AFC0, 0x60000, 0x4BF0, 0x7F80, 0x1FBC),
            source=_REGIONS.format("esp32p4"),
            static=Figure(128 * KB, "the ESP32-C3's, a fifth more for two cores and PSRAM", "assumed"),
            wifi_static=Figure(4 * KB, "TCP/IP alone: its radio is another chip", "assumed"),
            wifi=Figure(16 * KB, "TCP/IP and its task", "assumed"),
        ),
        window=Figure(64 * MB, _IDF.format("esp32p4", 1024), "documented"),
        psram_in_window=False,
        page=64 * KB,
        flash=_quad("flash, QIO 80 MHz", 128),
        psram={32 * MB: _HEX_P4},
        default_psram=32 * MB,
        default_flash=16 * MB,
        largest_flash=64 * MB,
    ),
)

CHIPS: Final[Mapping[str, Chip]] = {chip.name: chip for chip in _CHIPS}


def chip(name: str) -> Chip:
    """A chip by name, in any spelling: esp32s3, ESP32-S3. ConfigError if there is none."""
    plain = name.lower().replace("-", "").replace("_", "")
    if plain not in CHIPS:
        raise ConfigError(f"--chip {name}: no such chip; use {', '.join(CHIPS)} or all")
    return CHIPS[plain]
