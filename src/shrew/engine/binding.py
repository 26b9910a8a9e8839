"""The compiled binding, and the translation of engine codes to exceptions."""

from __future__ import annotations

from typing import Any, Final

from shrew import errors
from shrew.engine import _engine  # type: ignore[attr-defined]  # compiled

ffi: Any = _engine.ffi
lib: Any = _engine.lib

#: The exceptions of C's codes; codes that are not here raise :class:`~shrew.errors.EngineError`.
STATUS_ERRORS: Final[dict[int, type[errors.EngineError]]] = {
    lib.SHREW_E_CONTEXT: errors.ContextFullError,
    lib.SHREW_E_TEXT: errors.TextError,
    lib.SHREW_E_SELFTEST: errors.SelfTestError,
    lib.SHREW_E_TRUNCATED: errors.ImageTruncatedError,
    lib.SHREW_E_MAGIC: errors.ImageMagicError,
    lib.SHREW_E_VERSION: errors.ImageVersionError,
    lib.SHREW_E_SIZE: errors.ImageSizeError,
    lib.SHREW_E_CHECKSUM: errors.ImageChecksumError,
    lib.SHREW_E_RESERVED: errors.ImageReservedError,
    lib.SHREW_E_SECTION: errors.ImageSectionError,
    lib.SHREW_E_UNKNOWN: errors.ImageUnknownSectionError,
    lib.SHREW_E_MISSING: errors.ImageMissingSectionError,
    lib.SHREW_E_CONFIG: errors.ImageConfigError,
    lib.SHREW_E_TOKENIZER: errors.ImageTokenizerError,
    lib.SHREW_E_UNICODE: errors.ImageUnicodeError,
    lib.SHREW_E_TENSOR: errors.ImageTensorError,
    lib.SHREW_E_TYPE: errors.ImageTypeError,
    lib.SHREW_E_METADATA: errors.ImageMetadataError,
    lib.SHREW_E_SELFTEST_SECTION: errors.ImageSelfTestError,
    lib.SHREW_E_COMMANDS: errors.ImageCommandsError,
    lib.SHREW_E_PROMPTS: errors.ImagePromptsError,
    lib.SHREW_E_MEMORY_SECTION: errors.ImageMemoryError,
}


def check(status: int, subject: str) -> None:
    """Raises the exception of a negative engine code. ``subject`` names the input that caused it."""
    if status < 0:
        reason = ffi.string(lib.shrew_status_text(status)).decode()
        raise STATUS_ERRORS.get(status, errors.EngineError)(f"{subject}: {reason}", status)
