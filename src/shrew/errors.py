"""One small exception tree. Every exception that Shrew raises on purpose is a :class:`ShrewError`.

The command line prints such an error as one line and exits with code 1, so a message names the input, says what is
wrong with it and what to do.
"""

from __future__ import annotations


class ShrewError(Exception):
    """Base of all errors that Shrew raises on purpose."""


class ConfigError(ShrewError):
    """A configuration, preset or option that cannot work."""


class DataError(ShrewError):
    """A corpus or text that cannot be read or trained on."""


class TokenizerError(ShrewError):
    """A tokenizer file that is malformed, or text that a tokenizer cannot encode."""


class RunError(ShrewError):
    """A run folder or checkpoint that is missing, malformed or cannot be written."""


class TrainingError(ShrewError):
    """Training that cannot continue, for example because the loss is NaN."""


class ImportFileError(ShrewError):
    """A foreign model file that cannot be imported."""


class PortError(ShrewError):
    """A port that cannot be built, or whose program failed."""


class ToolsMissingError(PortError):
    """A compiler or emulator that is not installed. The message says what to install."""


class BoardError(ShrewError):
    """A board, or the connection to it, that fails, or something that does not suit the board."""


class BoardLostError(BoardError):
    """The connection to a board ended; ``device`` is its port."""

    def __init__(self, message: str, device: str) -> None:
        super().__init__(message)
        self.device = device


class EngineError(ShrewError):
    """The C engine refused a call. ``status`` is its negative code (``shrew_status`` in shrew.h)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class ContextFullError(EngineError):
    """The context has no room for the tokens asked for."""


class TextError(EngineError):
    """A text with a character that has no token in the model."""


class SelfTestError(EngineError):
    """A model's self-test generated other tokens than its image records."""


class ImageError(EngineError):
    """A model image was refused. Each reason has its own subclass."""


class ImageTruncatedError(ImageError):
    """Fewer bytes than a header, or than the header states."""


class ImageMagicError(ImageError):
    """The file does not begin with ``SHRW``."""


class ImageVersionError(ImageError):
    """A format version that this engine does not read."""


class ImageSizeError(ImageError):
    """More bytes than the header states, or an impossible size."""


class ImageChecksumError(ImageError):
    """The CRC-32 does not match: the file is damaged."""


class ImageReservedError(ImageError):
    """A reserved byte or flag is set."""


class ImageSectionError(ImageError):
    """A section lies outside the file, is misaligned, out of order or repeated."""


class ImageUnknownSectionError(ImageError):
    """A required section of a kind that this engine does not know."""


class ImageMissingSectionError(ImageError):
    """A section that every image needs is absent."""


class ImageConfigError(ImageError):
    """A configuration value is out of range or contradicts another."""


class ImageTokenizerError(ImageError):
    """The tokenizer section is malformed."""


class ImageUnicodeError(ImageError):
    """The Unicode section is malformed, or missing although the tokenizer needs it."""


class ImageTensorError(ImageError):
    """The tensor directory contradicts the configuration or points outside the file."""


class ImageTypeError(ImageError):
    """A weight type that this engine does not know."""


class ImageMetadataError(ImageError):
    """The metadata section is malformed."""


class ImageSelfTestError(ImageError):
    """The self-test section is malformed."""


class ImageCommandsError(ImageError):
    """The commands section is malformed."""


class ImagePromptsError(ImageError):
    """The section on the form of prompts is malformed."""


class ImageMemoryError(ImageError):
    """The memory section is malformed."""
