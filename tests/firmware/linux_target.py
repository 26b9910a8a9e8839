"""The firmware built by ESP-IDF for its Linux target, and run as a process whose flash is a file."""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLASH_BYTES = 8 << 20
TABLE_OFFSET = 0x8000


@cache
def build() -> Path:
    """The folder with the built firmware. Skips the test if ESP-IDF or its tools are missing."""
    idf = os.environ.get("IDF_PATH")
    if not idf:
        pytest.skip("IDF_PATH is not set: no ESP-IDF to build the firmware with")
    for tool in ("cmake", "ninja"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed, which ESP-IDF builds with")
    folder = ROOT / "build" / f"firmware-linux-{Path(idf).name}"
    environment = {**os.environ, "IDF_COMPONENT_MANAGER": "0"}
    if python := os.environ.get("IDF_PYTHON_ENV_PATH"):
        environment["PATH"] = f"{python}/bin:{environment['PATH']}"
    folder.parent.mkdir(exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process of the tests may be at it
        if not (folder / "build.ninja").exists():
            options = ["-DIDF_TARGET=linux", "-DPYTHON_DEPS_CHECKED=1", "-DESP_PLATFORM=1"]
            options += [f"-DSDKCONFIG={folder}/sdkconfig", "-S", str(ROOT / "firmware"), "-B", str(folder)]
            _call("cmake", "-G", "Ninja", *options, environment=environment)
        _call("ninja", "-C", str(folder), environment=environment)
    return folder


def _call(*command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, f"{' '.join(command[:2])}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"


def new_flash(path: Path) -> Path:
    """Erased flash with nothing but the partition table."""
    table = (build() / "partition_table/partition-table.bin").read_bytes()
    content = bytearray(b"\xff") * FLASH_BYTES
    content[TABLE_OFFSET : TABLE_OFFSET + len(table)] = table
    path.write_bytes(content)
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Process:
    """A running firmware."""

    popen: subprocess.Popen[str]
    port: int
    token: str
    boot: str  # what the console said until the firmware was ready

    @property
    def pid(self) -> int:
        return self.popen.pid

    def change(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A request with the token: status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def store(self, name: str, image: bytes) -> None:
        """Stores and loads an image."""
        for method, path, body in (("PUT", name, image), ("POST", f"{name}/load", None)):
            status, answer = self.change(method, f"/api/models/{path}", body)
            assert status == 200, answer

    def type(self, line: str) -> None:
        """Types a line on the console."""
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()

    def until(self, pattern: str) -> re.Match[str]:
        """Reads the console up to a line that matches, for at most a minute."""
        watch = threading.Timer(60, self.popen.kill)
        watch.start()
        try:
            for line in self.popen.stdout:
                if found := re.search(pattern, line):
                    return found
        finally:
            watch.cancel()
        raise AssertionError(f"the firmware ended, or a minute passed, before {pattern!r}")


@contextmanager
def start(
    folder: Path,
    *,
    flash: Path | None = None,
    cards: Path | None = None,
    sram: Sequence[int] = (),
    psram: int = 1 << 26,
) -> Iterator[Process]:
    """Boots it from a flash, else from a new one in the folder. sram, psram: bytes that models have, sram in pieces."""
    flash = flash or new_flash(folder / "flash.bin")
    port = _free_port()
    environment = {**os.environ, "SHREW_FLASH": str(flash), "SHREW_PORT": str(port)}
    environment |= {"SHREW_SRAM": ",".join(map(str, sram)), "SHREW_PSRAM": str(psram)}
    if cards:
        environment["SHREW_SD"] = str(cards)
    program = str(build() / "shrew.elf")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [program], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as popen:
        try:
            boot = ""
            for line in popen.stdout:
                boot += line
                if line.startswith("speed"):  # the last line of the status that it shows
                    break
            yield Process(popen, port, re.search(r"^token (\w+)$", boot, re.MULTILINE)[1], boot)
        finally:
            popen.kill()
