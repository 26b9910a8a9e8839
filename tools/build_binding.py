"""Writes the C source of the Python binding: cffi in API mode, its declarations read from the public headers.

Usage: build_binding.py HEADER... OUTPUT.c
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cffi


def declarations(header: str) -> str:
    """Only the header's declarations, without preprocessor lines and ``extern "C"`` braces."""
    header = re.sub(r"#ifdef __cplusplus.*?#endif\n", "", header, flags=re.DOTALL)
    return "\n".join(line for line in header.splitlines() if not line.startswith("#"))


def main(arguments: list[str]) -> None:
    headers, output = [Path(name) for name in arguments[:-1]], arguments[-1]
    ffi = cffi.FFI()
    for header in headers:
        ffi.cdef(declarations(header.read_text(encoding="utf-8")))
    ffi.set_source("shrew.engine._engine", "\n".join(f'#include "{header.name}"' for header in headers))
    ffi.emit_c_code(output)


if __name__ == "__main__":
    main(sys.argv[1:])
