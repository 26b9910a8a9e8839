"""One writer at a time for a run folder.

The writer holds a lock of the operating system (``flock``) on the file ``writer.lock`` in the folder. The system lets
go of it when the process ends, however that comes about, so no lock outlives its holder. The file says who that is.
Where the system has no such locks, as on Windows or on some network drives, a warning says so and nothing is locked.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from shrew.errors import RunError
from shrew.run.processes import this_process

try:
    from fcntl import LOCK_EX, LOCK_NB, flock
except ImportError:  # no POSIX system
    flock = None  # type: ignore[assignment]  # asked for before each use

LOCK_NAME = "writer.lock"
LONGEST_COMMAND = 200

#: Folders that this process holds. A process does not wait for itself.
_held: set[Path] = set()


def make_folder(folder: Path) -> None:
    """Makes a run folder, or takes one that is there. RunError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot make the run folder: {error.strerror}") from None


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Makes the run folder if need be, and keeps other processes from writing there.

    What it made and nobody filled goes again at the end. Raises RunError, in one line that says who writes there, or
    why it cannot be written. Of several processes that train together only the first writes, and needs the lock.
    """
    resolved = Path(os.path.realpath(folder))  # unlike Path.resolve, it takes a circle of links
    if resolved in _held or not this_process().first:
        yield
        return
    made = [path for path in (resolved, *resolved.parents) if not path.exists()]
    make_folder(folder)
    try:
        with _locked(folder):
            _held.add(resolved)
            try:
                yield
            finally:
                _held.remove(resolved)
    finally:
        with suppress(OSError):  # the first that is not empty stays, and those above it
            for path in made:
                path.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / LOCK_NAME
    descriptor = _acquire(folder, path)
    try:
        if descriptor is not None:
            with suppress(OSError):  # a full disk is found out by what is to be kept there
                path.write_text(json.dumps(_this_writer()), encoding="utf-8")
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _acquire(folder: Path, path: Path) -> int | None:
    """The descriptor that holds the lock; None where there are no locks."""
    # A network drive may lock only what is open for writing.
    for mode in () if flock is None else (os.O_RDONLY, os.O_RDWR):
        while (descriptor := _lock(folder, path, mode)) is not None:
            if _is_at(path, descriptor):
                return descriptor
            os.close(descriptor)  # the writer before removed the file after we had opened it
    with suppress(OSError):
        path.unlink()
    warnings.warn(f"{folder}: no locks on this system; see that only one process trains there", stacklevel=6)
    return None


def _lock(folder: Path, path: Path, mode: int) -> int | None:
    """None where the system cannot lock the file; RunError where another process has locked it."""
    try:
        descriptor = os.open(path, os.O_CREAT | mode, 0o666)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RunError(f"{folder}: {_writer_at(path)}; wait for its end, or use another folder") from None
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _this_writer() -> dict[str, str | int]:
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    command = shlex.join([name, *sys.argv[1:]])
    since = datetime.now().astimezone().isoformat(" ", "seconds")
    return {"pid": os.getpid(), "command": command[:LONGEST_COMMAND], "since": since}


def _writer_at(path: Path) -> str:
    try:
        writer = json.loads(path.read_text(encoding="utf-8"))
        return f"process {writer['pid']} has been writing there since {writer['since']} ({writer['command']})"
    except (OSError, ValueError, KeyError, TypeError):  # it has only just begun
        return "another process is writing there"
