"""A tokenizer of any kind."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shrew.engine.tokenizer import NO_TOKEN, Kind, TokenizerView, tokenizer_section
from shrew.errors import EngineError, TokenizerError
from shrew.files import write_atomically
from shrew.tokenizer.file import file_content, read_fields
from shrew.tokenizer.prompt_form import PromptForm

MAX_PIECE_BYTES = 255


@cache
def unicode_table() -> bytes:
    """Section 7 of a model image: the classes of all code points, written by tools/unicode_tables.py."""
    return Path(__file__).with_name("unicode.bin").read_bytes()


def is_character(piece: bytes) -> bool:
    """Whether a piece is one character as the engine cuts them: valid UTF-8 or a single byte."""
    try:
        return len(piece.decode()) == 1
    except UnicodeDecodeError:
        return len(piece) == 1


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """Immutable. Made by :func:`train_bpe`, :func:`train_character`, :meth:`load` or a door of ``shrew.doors``.

    Raises TokenizerError if the parts are not a valid tokenizer.
    """

    kind: Kind
    pieces: tuple[bytes, ...]
    """The bytes of each token; empty for special tokens."""
    specials: dict[str, int] = field(default_factory=dict)
    """Special tokens by name. Text never becomes one of them."""
    merges: tuple[tuple[int, int, int], ...] = ()
    """Left, right, result."""
    ranks: tuple[int, ...] | None = None
    """Priority of each merge, the lowest first; None: the id of its result."""
    byte_ids: tuple[int, ...] | None = None
    """[256] the token of each single byte."""
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    unk: int | None = None
    prompt_prefix: tuple[int, ...] = ()
    """Tokens before a chat prompt."""
    prompt_suffix: tuple[int, ...] = ()
    """Tokens after it; then the model answers."""
    space_prefix: bool = False
    """Encoding puts a space before a text that is not empty, and decoding removes it (sentencepiece)."""
    unicode: bool = False
    """Words are split by the character classes of Unicode; otherwise by ASCII rules (bpe)."""
    prompt_form: PromptForm | None = None
    """How chat prompts are written before they are encoded; None: as they are."""
    _section: bytes = field(init=False, repr=False, compare=False)
    _view: TokenizerView = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check_parts()
        try:
            section = tokenizer_section(
                self.kind,
                self.pieces,
                merges=self.merges,
                ranks=self.ranks,
                byte_ids=self.byte_ids,
                bos=self.bos,
                eos=self.eos,
                pad=self.pad,
                unk=self.unk,
                prefix=self.prompt_prefix,
                suffix=self.prompt_suffix,
                space_prefix=self.space_prefix,
                unicode=self.unicode,
            )
            view = TokenizerView(section, self.unicode_section())
        except (KeyError, ValueError, OverflowError) as error:
            raise TokenizerError(f"tokenizer: a number is out of range ({error})") from error
        except EngineError as error:
            raise TokenizerError(str(error)) from error
        object.__setattr__(self, "_section", section)
        object.__setattr__(self, "_view", view)

    def _check_parts(self) -> None:
        """Checks for mistakes that are likely in a file. The engine finds the others."""
        for token, piece in enumerate(self.pieces):
            if len(piece) > MAX_PIECE_BYTES:
                raise TokenizerError(f"tokenizer: token {token} has {len(piece)} bytes, at most {MAX_PIECE_BYTES} work")
            if self.kind == "character" and piece and not is_character(piece):
                raise TokenizerError(f"tokenizer: token {token}, {piece!r}, is not one character")
        for name, token in self.specials.items():
            if not 0 <= token < self.vocab:
                raise TokenizerError(f"tokenizer: special token {name!r} has the id {token} of {self.vocab} tokens")
            if self.pieces[token]:
                raise TokenizerError(f"tokenizer: special token {name!r} stands for text; its piece must be empty")
        if self.ranks is not None and len(self.ranks) != len(self.merges):
            raise TokenizerError(f"tokenizer: there are {len(self.ranks)} ranks for {len(self.merges)} merges")
        if self.byte_ids is not None and len(self.byte_ids) != 256:
            raise TokenizerError(f"tokenizer: there are {len(self.byte_ids)} byte_ids, must be 256")
        for name in ("bos", "eos", "pad", "unk"):
            if getattr(self, name) == NO_TOKEN:
                raise TokenizerError(f"tokenizer: {name} is {NO_TOKEN}, which is not a token; use null")

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return len(self.pieces)

    def encode(self, text: str | bytes) -> NDArray[np.uint16]:
        """Token ids [n], without beginning-of-text. Accepts arbitrary bytes; decoding BPE restores them all.

        Raises TokenizerError for a character that has no token (character tokenizers without "unknown").
        """
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        try:
            return self._view.encode(data)
        except EngineError as error:
            missing = self._missing_character(data)
            raise TokenizerError(f"no token for {missing!r}: the {self.kind} tokenizer was made without it") from error

    def encode_many(self, texts: Iterable[str | bytes]) -> list[NDArray[np.uint16]]:
        """:meth:`encode` for each text."""
        return [self.encode(text) for text in texts]

    def written(self, prompt: str) -> str:
        """A chat prompt as it is encoded, and as the engine encodes it: in this tokenizer's ``prompt_form``."""
        return self.prompt_form.written(prompt) if self.prompt_form else prompt

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; special tokens stand for none."""
        if not 0 <= token < self.vocab:
            raise TokenizerError(f"token {token} does not exist; this tokenizer has {self.vocab} tokens")
        return self.pieces[token]

    def decode_bytes(self, ids: Iterable[int] | NDArray[np.integer]) -> bytes:
        """The text of token ids. Removes the space that encoding puts before a text."""
        tokens = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids)).tolist()
        pieces = [self.token_bytes(token) for token in tokens]
        if self.space_prefix:
            starts_text = [before == self.bos for before in [self.bos, *tokens]]
            pieces = [p.removeprefix(b" ") if start else p for p, start in zip(pieces, starts_text, strict=False)]
        return b"".join(pieces)

    def decode(self, ids: Iterable[int] | NDArray[np.integer]) -> str:
        """Like :meth:`decode_bytes`, as a string. Invalid UTF-8 becomes U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    def section(self) -> bytes:
        """Section 2 of a model image."""
        return self._section

    def unicode_section(self) -> bytes | None:
        """Section 7 of a model image; None if this tokenizer needs none."""
        return unicode_table() if self.unicode else None

    def prompts_section(self) -> bytes | None:
        """Section 9 of a model image; None if prompts have no form."""
        return self.prompt_form.section if self.prompt_form else None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes tokenizer.json atomically."""
        write_atomically(Path(path), file_content(self))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tokenizer:
        """Reads tokenizer.json. Raises TokenizerError, which names the file and the error."""
        try:
            return cls(**read_fields(Path(path)))
        except TokenizerError as error:
            raise TokenizerError(f"{path}: {error}") from error
        except OSError as error:
            raise TokenizerError(f"{path}: {error.strerror or error}") from error

    def _missing_character(self, data: bytes) -> str:
        known = set(self.pieces)
        characters = (c.encode("utf-8", "surrogateescape") for c in data.decode("utf-8", "surrogateescape"))
        return next((c.decode("utf-8", "backslashreplace") for c in characters if c not in known), "?")
