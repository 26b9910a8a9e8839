"""A chip in its boot loader, where its flash can be read and written. Wraps the necessary parts of esptool."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from shrew.board.ports import CONSOLE_BAUD, MISSING, lost, open_port
from shrew.errors import BoardError

#: Called with the fraction written so far, 0 to 1.
Progress = Callable[[float], None]

#: How often to try to restart a chip into its boot loader.
ATTEMPTS = 4

_SILENT = (
    "the boot loader does not answer; hold the board's BOOT button, press RESET (or plug the cable in again), "
    "let BOOT go, and repeat"
)


class Bootloader:
    """Opened by :func:`connect`; a context manager that closes the port."""

    def __init__(self, loader: Any, device: str, flash_bytes: int) -> None:
        self._loader = loader
        self._device = device
        self.chip: str = loader.CHIP_NAME
        self.flash_bytes = flash_bytes

    def __enter__(self) -> Bootloader:
        return self

    def __exit__(self, *_: object) -> None:
        self._loader._port.close()

    def read(self, offset: int, count: int) -> bytes:
        with _clear_errors(self._device):
            return bytes(self._loader.read_flash(offset, count))

    def write(self, offset: int, data: bytes, progress: Progress) -> None:
        """Erases the sectors under the data, writes it, and compares the MD5 that the chip computes."""
        from esptool.cmds import write_flash

        self._loader.WRITE_FLASH_ATTEMPTS = 1  # report a pulled cable at once
        _listener().progress = progress
        with _clear_errors(self._device):
            write_flash(self._loader, [(offset, data)])
        progress(1.0)

    def restart(self) -> None:
        """Starts the program in flash."""
        from esptool.cmds import reset_chip

        with _clear_errors(self._device):
            reset_chip(self._loader)


def connect(device: str, baud: int, *, stub: bool = True) -> Bootloader:
    """Restarts a board into its boot loader. ``stub`` loads esptool's faster one into RAM."""
    try:
        from esptool.cmds import attach_flash, detect_chip, detect_flash_size, run_stub
        from esptool.util import FatalError, flash_size_bytes
    except ImportError as error:
        raise BoardError(MISSING) from error
    _listener()
    port = open_port(device)
    try:
        with _clear_errors(device):
            try:
                loader = detect_chip(port, connect_attempts=ATTEMPTS)
            except FatalError as error:
                raise BoardError(f"{device}: {_SILENT}") from error
            _require_plain(loader, device)
            loader = run_stub(loader) if stub else loader
            if baud != CONSOLE_BAUD:
                loader.change_baud(baud)
            attach_flash(loader)
            flash_bytes = flash_size_bytes(detect_flash_size(loader))
            if not flash_bytes:
                raise BoardError(f"{device}: esptool does not know this chip's flash; is one connected?")
            loader.flash_set_parameters(flash_bytes)  # otherwise the ROM cannot read all of the flash
    except BaseException:
        port.close()
        raise
    return Bootloader(loader, device, flash_bytes)


def _require_plain(loader: Any, device: str) -> None:
    if loader.secure_download_mode or loader.get_flash_encryption_enabled():
        raise BoardError(
            f"{device}: this chip's flash is locked or encrypted, so nothing can be written to it from here; "
            "upload models on its page"
        )


@contextmanager
def _clear_errors(device: str) -> Iterator[None]:
    from esptool.util import FatalError

    try:
        yield
    except OSError as error:  # pyserial's errors are OSErrors
        raise lost(device) from error
    except FatalError as error:
        what = str(error).strip().splitlines()[0]
        raise BoardError(f"{device}: {what}") from error


@cache
def _listener() -> Any:
    """Replaces esptool's output: passes progress on to its attribute ``progress``, and discards the rest."""
    from esptool.logger import TemplateLogger, log

    class Listener(TemplateLogger):  # type: ignore[misc]  # esptool has no types
        progress: Progress = staticmethod(lambda _: None)

        def progress_bar(self, cur_iter: int, total_iters: int, *_: object, **__: object) -> None:
            self.progress(cur_iter / max(total_iters, 1))

        def _nothing(self, *_: object, **__: object) -> None: ...

        print = note = warning = error = stage = set_verbosity = _nothing

    log.set_verbosity("silent")  # parts of esptool keep the logger that was set when they were imported
    listener = Listener()
    log.set_logger(listener)
    return listener
