"""What is tested: programs that speak docs/PROTOCOL.md. A new one is a function here and a line in ``SERVERS``."""

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
    """One that runs. ``host`` is as in an address: name and port."""

    host: str
    token: str
    pid: int
    #: Whether reserved bits and fragmented control frames are noticed: a device may overlook them.
    sees_all_of_frames: bool = True

    def memory_bytes(self) -> int:
        """What it holds of the machine's memory, in bytes."""
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())[1]) * 1024


@contextmanager
def shrew_serve(folder: Path, image: bytes | None) -> Iterator[Server]:
    """``shrew serve``, two sessions, with its models in a folder of its own."""
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
    """The firmware as a Linux process, its flash empty."""
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
