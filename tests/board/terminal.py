"""Runs a command at its own terminal, to type to and read from."""

from __future__ import annotations

import codecs
import os
import select
import subprocess
import sys
import time
from pathlib import Path

# SIGINT is ignored at first, as in a terminal that was started in the background; the command must enable it.
_START = """
import fcntl, signal, termios
signal.signal(signal.SIGINT, signal.SIG_IGN)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from shrew.cli import main
main()
"""


class Terminal:
    """Ctrl-C is typed as \\x03, Ctrl-D as \\x04."""

    def __init__(self, *arguments: str, home: Path) -> None:
        """``home``: the command's home folder, for its persistent files."""
        self._arguments = arguments
        self._home = str(home)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.shown = ""

    def __enter__(self) -> Terminal:
        self._master, slave = os.openpty()
        environment = {
            **os.environ,
            "HOME": self._home,
            "XDG_CONFIG_HOME": self._home,
            "TERM": "dumb",
            "COLUMNS": "200",
            "INPUTRC": os.devnull,
            "LC_ALL": "C.UTF-8",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-c", _START, *self._arguments],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True, env=environment,
        )  # fmt: skip
        os.close(slave)
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """The output since the last call, up to and including this text."""
        end = time.monotonic() + seconds
        while text not in self.shown:
            assert time.monotonic() < end, f"no {text!r} in {self.shown!r}"
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.shown += self._decode(os.read(self._master, 65536))
                except OSError as error:  # it has ended
                    raise AssertionError(f"no {text!r} in {self.shown!r}") from error
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def ends(self, seconds: float = 10) -> int:
        return self.process.wait(seconds)
