"""firmware/core in Python: built as one library with the engine, its headers read by cffi.

With ``SHREW_SANITIZE`` set, the core is built under AddressSanitizer and UndefinedBehaviorSanitizer (test_build.py runs
all tests here that way).
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import cffi
from engine.objects import objects, run
from engine.test_build import COMPILERS, ENGINE, RUNTIME, STRICT

CORE = ENGINE.parent / "firmware/core"
HEADERS = [
    CORE / f"{name}.h"
    for name in (
        *("text", "decimal", "json", "options", "protocol", "openai", "info"),
        *("queue", "slots", "arena", "placement", "settings", "console", "host_check", "answer", "line"),
        "times_table",
    )
]
INCLUDES = [f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}", f"-I{CORE}"]
SANITIZED = bool(os.environ.get("SHREW_SANITIZE"))
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]


def _declarations(header: Path) -> str:
    text = re.sub(r"#ifdef __cplusplus.*?#endif\n", "", header.read_text(), flags=re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def _build(folder: Path) -> Path:
    compiler = COMPILERS["gcc"] or COMPILERS["clang"]
    assert compiler, "neither gcc nor clang is installed"
    sanitizers = SANITIZERS if SANITIZED else []
    made = objects(compiler, [*STRICT, "-O0", "-fPIC", *INCLUDES], RUNTIME)
    made += objects(compiler, [*STRICT, "-g", "-O1", "-fPIC", *sanitizers, *INCLUDES], sorted(CORE.glob("*.c")))
    library = folder / "core.so"
    run(compiler, *sanitizers, "-shared", *map(str, made), "-o", str(library))
    return library


ffi: Any = cffi.FFI()
ffi.cdef(
    "\n".join(
        _declarations(header) for header in (ENGINE / "include/shrew.h", ENGINE / "include/shrew_times.h", *HEADERS)
    )
)
_FOLDER = tempfile.TemporaryDirectory()
lib: Any = ffi.dlopen(str(_build(Path(_FOLDER.name))))


class Out:
    """A text that the core writes to, in a block of exactly its size."""

    def __init__(self, capacity: int = 1 << 15) -> None:
        self._buffer = ffi.new("char[]", capacity)
        self.text = ffi.new("text *", lib.fw_text_in(self._buffer, capacity))

    @property
    def bytes(self) -> bytes:
        assert not self.text.full
        return bytes(ffi.buffer(self._buffer, self.text.used))


def block(data: bytes) -> Any:
    """A writable copy of some bytes, in a block of exactly their size."""
    copy = ffi.new("char[]", max(len(data), 1))
    ffi.buffer(copy)[: len(data)] = data
    return copy


def code_name(code: int) -> str:
    return str(ffi.string(lib.fw_protocol_code_name(code)).decode())


class Error:
    """The error of a call: the name of its code, and its line."""

    def __init__(self) -> None:
        self.struct = ffi.new("protocol_error *")

    @property
    def code(self) -> str:
        return code_name(self.struct.code)

    @property
    def line(self) -> str:
        return str(ffi.string(self.struct.line).decode())


class Opened:
    """An image and a session of it, in the core's own copy of the engine."""

    def __init__(self, image: bytes) -> None:
        self._image = ffi.new("uint64_t[]", len(image) // 8 + 3)
        address = int(ffi.cast("uintptr_t", self._image))
        aligned = ffi.cast("char *", self._image) + -address % 16
        ffi.buffer(aligned, len(image))[:] = image
        self.model = ffi.new("shrew_model *")
        assert lib.shrew_model_open(self.model, aligned, len(image)) == 0
        needed = ffi.new("size_t *")
        assert lib.shrew_session_bytes(self.model, ffi.NULL, needed) == 0
        self._memory = ffi.new("uint64_t[]", needed[0] // 8 + 3)
        memory = ffi.cast("char *", self._memory) + -int(ffi.cast("uintptr_t", self._memory)) % 16
        session = ffi.new("shrew_session **")
        assert lib.shrew_session_open(session, self.model, ffi.NULL, memory, needed[0]) == 0
        self.session = session[0]
