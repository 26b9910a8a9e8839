"""Allows only one writer at a time in a run folder.

The writer holds an operating-system lock (``flock``) on the file ``writer.lock`` in the folder. The system releases it
when the process ends, for whatever reason, so no lock outlives its holder. The file names the holder. If the system has
no such locks, as on Windows or some network drives, a warning says so and nothing is locked.
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
except ImportError:  # not a POSIX system
    flock = None  # type: ignore[assignment]  # checked before each use

LOCK_NAME = "writer.lock"
LONGEST_COMMAND = 200

#: Folders whose lock this process holds, so that it does not block itself.
_held: set[Path] = set()


def make_folder(folder: Path) -> None:
    """Creates a run folder unless it exists. RunError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"{folder}: cannot make the run folder: {error.strerror}") from None


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Creates the run folder if necessary, and keeps other processes from writing to it.

    At the end, removes folders that it created and that are still empty. Raises RunError, in one line that names the
    process that is writing there, or says why the folder cannot be written. If several processes train together, only
    the first writes and takes the lock.
    """
    resolved = Path(os.path.realpath(folder))  # unlike Path.resolve, it accepts a circle of links
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
        with suppress(OSError):  # the first that is not empty stays, and all its parents
            for path in made:
                path.rmdir()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    path = folder / LOCK_NAME
    descriptor = _acquire(folder, path)
    try:
        if descriptor is not None:
            with suppress(OSError):  # a full disk shows when files are saved
                path.write_text(json.dumps(_this_writer()), encoding="utf-8")
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                path.unlink()
            os.close(descriptor)


def _acquire(folder: Path, path: Path) -> int | None:
    """The descriptor that holds the lock; None if the system has no locks."""
    # A network drive may lock only files that are open for writing.
    for mode in () if flock is None else (os.O_RDONLY, os.O_RDWR):
        while (descriptor := _lock(folder, path, mode)) is not None:
            if _is_at(path, descriptor):
                return descriptor
            os.close(descriptor)  # the previous writer removed the file after we opened it
    with suppress(OSError):
        path.unlink()
    warnings.warn(f"{folder}: no locks on this system; see that only one process trains there", stacklevel=6)
    return None


def _lock(folder: Path, path: Path, mode: int) -> int | None:
    """Locks the file. None if the system cannot lock it; RunError if another process has locked it."""
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
    except (OSError, ValueError, KeyError, TypeError):  # its writer has only just started
        return "another process is writing there"
