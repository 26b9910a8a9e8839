"""The tested servers of docs/PROTOCOL.md. To add one, write a function and add it to ``SERVERS``."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from firmware import linux_target

TOKEN = "a-token-for-tests"


@dataclass(frozen=True)
class Server:
    """A running server. ``host`` is name and port, as in an address."""

    host: str
    token: str
    pid: int
    #: Whether it detects reserved bits and fragmented control frames; a device may ignore them.
    sees_all_of_frames: bool = True

    def memory_bytes(self) -> int:
        """Its use of the machine's memory, in bytes."""
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024


@contextmanager
def shrew_serve(folder: Path, image: bytes | None) -> Iterator[Server]:
    """``shrew serve`` with two sessions, and its own folder of models."""
    folder.mkdir()
    arguments = ["--port", "0", "--token", TOKEN, "--models", str(folder), "--sessions", "2"]
    if image is not None:
        (folder / "first").write_bytes(image)
        arguments.insert(0, str(folder / "first"))
    command = [sys.executable, "-c", "from shrew.cli import main; main()", "serve", *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            line = process.stdout.readline()
            yield Server(re.fullmatch(r"http://([^/]+)/#token=.*\n", line)[1], TOKEN, process.pid)
        finally:
            process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0


@contextmanager
def firmware(folder: Path, image: bytes | None) -> Iterator[Server]:
    """The firmware as a Linux process, with empty flash."""
    folder.mkdir()
    with linux_target.start(folder) as process:
        server = Server(f"127.0.0.1:{process.port}", process.token, process.pid, sees_all_of_frames=False)
        if image is not None:
            process.store("first", image)
        yield server


#: Starts a server in a new folder, with one model loaded or none.
SERVERS: dict[str, Callable[[Path, bytes | None], AbstractContextManager[Server]]] = {
    "shrew serve": shrew_serve,
    "firmware": firmware,
}
