"""The compiled binding, and the translation of engine codes to exceptions."""

from __future__ import annotations

from typing import Any

from shrew.engine import _engine  # type: ignore[attr-defined]  # compiled
from shrew.errors import STATUS_ERRORS, EngineError

ffi: Any = _engine.ffi
lib: Any = _engine.lib


def check(status: int, subject: str) -> None:
    """Raises the exception of a negative engine code. ``subject`` names the input that caused it."""
    if status < 0:
        reason = ffi.string(lib.shrew_status_text(status)).decode()
        raise STATUS_ERRORS.get(status, EngineError)(f"{subject}: {reason}", status)
