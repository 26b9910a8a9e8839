"""A cache of object files under ``build/``, as many tests build the same sources in the same ways.

An object file is reused if the source, all headers, the flags, the compiler and the processor are unchanged. A source
that does not compile fails every time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADERS = [*ROOT.glob("engine/**/*.h"), *ROOT.glob("firmware/core/*.h")]
FOLDER = ROOT / "build/objects"
MOST_KEPT = 3000


def objects(compiler: str, flags: Sequence[str], sources: Iterable[Path]) -> list[Path]:
    """One for each source."""
    return [_object(compiler, tuple(flags), source) for source in sources]


def _object(compiler: str, flags: tuple[str, ...], source: Path) -> Path:
    key = hashlib.sha256(b"\0".join([_circumstances(compiler), *map(str.encode, flags), source.read_bytes()]))
    made = _folder() / f"{source.stem}-{key.hexdigest()[:32]}.o"
    with made.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process may be at it
        if made.exists():
            os.utime(made)
        else:
            unfinished = made.with_suffix(".unfinished")
            run(compiler, *flags, "-c", str(source), "-o", str(unfinished))
            unfinished.rename(made)
    return made


def run(*command: str) -> str:
    """Runs a compiler or linker, without a sanitizer that is preloaded for a test, and returns its output."""
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stderr}"
    return done.stdout


@cache
def _circumstances(compiler: str) -> bytes:
    processor = Path("/proc/cpuinfo")  # for -march=native
    units = re.search(r"^flags.*$", processor.read_text(), re.MULTILINE) if processor.exists() else None
    texts = [run(compiler, "--version"), units[0] if units else "", *(path.read_text() for path in sorted(HEADERS))]
    return "\0".join(texts).encode()


@cache
def _folder() -> Path:
    """The folder of the cache. Removes all but the most recently used files."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for made in sorted(FOLDER.glob("*.o"), key=lambda path: path.stat().st_mtime)[:-MOST_KEPT]:
            made.unlink()
            made.with_suffix(".lock").unlink(missing_ok=True)
    return FOLDER
