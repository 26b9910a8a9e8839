"""The tokenizer part of the C engine: standalone tokenizer sections, and BPE training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib
from shrew.errors import DataError

Kind = Literal["bpe", "sentencepiece", "character"]
Ties = Literal["bytes", "ids"]
_TIES: dict[Ties, int] = {"bytes": lib.SHREW_TIES_BYTES, "ids": lib.SHREW_TIES_IDS}

#: ``shrew_tokenizer_kind``
TOKENIZER_KINDS: dict[Kind, int] = {
    "bpe": lib.SHREW_TOKENIZER_BPE,
    "sentencepiece": lib.SHREW_TOKENIZER_SENTENCEPIECE,
    "character": lib.SHREW_TOKENIZER_CHARACTER,
}
KIND_NAMES = {value: kind for kind, value in TOKENIZER_KINDS.items()}

#: ``shrew_prompt_flag``
FOLD_CASE: int = lib.SHREW_FOLD_CASE
DROP_MARKS: int = lib.SHREW_DROP_MARKS

#: The id that stands for a missing token.
NO_TOKEN: int = lib.SHREW_NO_TOKEN


class TokenizerView:
    """A validated tokenizer section (docs/FORMAT.md, sections 2 and 7)."""

    def __init__(self, section: bytes, unicode: bytes | None = None, *, name: str = "tokenizer") -> None:
        self._section, self._unicode = section, unicode  # the engine reads them in place
        self._view = ffi.new("shrew_tokenizer *")
        self.name = name
        classes = ffi.NULL if unicode is None else ffi.from_buffer(unicode)
        size = 0 if unicode is None else len(unicode)
        check(lib.shrew_tokenizer_open(self._view, ffi.from_buffer(section), len(section), classes, size), name)

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return int(self._view.vocab)

    @property
    def kind(self) -> Kind:
        """The kind of tokenizer."""
        return KIND_NAMES[int(self._view.kind)]

    def encode(self, data: bytes, *, scratch: bool = True) -> NDArray[np.uint16]:
        """Token ids [n]. Without ``scratch``, the ids are the same but long words take longer.

        Raises EngineError with status SHREW_E_TEXT if a character has no token.
        """
        ids = np.empty(len(data) + 1, dtype=np.uint16)
        memory = np.empty(lib.shrew_encode_scratch_bytes(len(data)) if scratch else 0, dtype=np.uint8)
        count = ffi.new("size_t *")
        status = lib.shrew_encode(
            self._view,
            ffi.from_buffer(data),
            len(data),
            ffi.from_buffer("uint16_t[]", ids, require_writable=True),
            len(ids),
            count,
            ffi.from_buffer(memory, require_writable=True) if scratch else ffi.NULL,
            len(memory),
        )
        check(status, self.name)
        return ids[: count[0]].copy()

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; special tokens stand for none."""
        data, count = ffi.new("const uint8_t **"), ffi.new("size_t *")
        check(lib.shrew_token_bytes(self._view, token, data, count), f"{self.name}: token {token}")
        return bytes(ffi.buffer(data[0], count[0]))


def prompt_form(section: bytes, text: bytes) -> bytes:
    """A chat prompt in the form of an image's section 9. EngineError where the section is malformed."""
    form, count = bytearray(len(text)), ffi.new("size_t *")
    status = lib.shrew_prompt_form(
        ffi.from_buffer(section),
        len(section),
        ffi.from_buffer(text),
        len(text),
        ffi.from_buffer(form, require_writable=True),
        len(form),
        count,
    )
    check(status, "form of prompts")
    return bytes(form[: count[0]])


def question_features(text: bytes) -> NDArray[np.uint32]:
    """The features [n] by which a memory recognises a question, which is in its form (docs/FORMAT.md, section 10)."""
    features, count = np.empty(4 * len(text) + 4, dtype=np.uint32), ffi.new("size_t *")
    pointer = ffi.from_buffer("uint32_t[]", features, require_writable=True)
    check(lib.shrew_question_features(ffi.from_buffer(text), len(text), pointer, len(features), count), "features")
    return features[: count[0]].copy()


def tokenizer_section(
    kind: Kind,
    pieces: Sequence[bytes],
    *,
    merges: Sequence[tuple[int, int, int]] = (),
    ranks: Sequence[int] | None = None,
    byte_ids: Sequence[int] | None = None,
    bos: int | None = None,
    eos: int | None = None,
    pad: int | None = None,
    unk: int | None = None,
    prefix: Sequence[int] = (),
    suffix: Sequence[int] = (),
    space_prefix: bool = False,
    unicode: bool = False,
) -> bytes:
    """The section of a tokenizer. As many ranks as merges and 256 byte ids, where there are any.

    Raises ValueError or OverflowError where a number does not fit its field; :class:`TokenizerView` finds the rest.
    """
    lengths, text = bytes(map(len, pieces)), b"".join(pieces)
    kept = {
        "lengths": ffi.from_buffer("uint8_t[]", lengths),
        "pieces": ffi.from_buffer("uint8_t[]", text),
        "merges": ffi.new("uint16_t[][3]", merges),
        "ranks": ffi.NULL if ranks is None else ffi.new("uint16_t[]", ranks),
        "byte_ids": ffi.NULL if byte_ids is None else ffi.new("uint16_t[]", byte_ids),
        "prefix": ffi.new("uint16_t[]", prefix),
        "suffix": ffi.new("uint16_t[]", suffix),
    }
    tokens = {"bos": bos, "eos": eos, "pad": pad, "unk": unk}
    parts = ffi.new(
        "shrew_tokenizer_parts *",
        {
            **kept,
            **{name: NO_TOKEN if token is None else token for name, token in tokens.items()},
            "kind": TOKENIZER_KINDS[kind],
            "vocab": len(pieces),
            "merge_count": len(merges),
            "prefix_count": len(prefix),
            "suffix_count": len(suffix),
            "space_prefix": space_prefix,
            "unicode": unicode,
        },
    )
    size = ffi.new("size_t *")
    check(lib.shrew_write_tokenizer_room(parts, size), "tokenizer")
    section = ffi.new("uint32_t[]", size[0] // 4)
    check(lib.shrew_write_tokenizer(parts, section, size[0], size), "tokenizer")
    return bytes(ffi.buffer(section, size[0]))


def train_bpe(
    texts: Sequence[bytes],
    unicode: bytes | None,
    byte_ids: NDArray[np.uint16],
    *,
    first: int,
    vocab: int,
    min_count: int = 0,
    ties: Ties = "bytes",
) -> NDArray[np.uint16]:
    """Learns merges [n, 2] (left, right) in order of priority. n is smaller than requested if pairs run out.

    ``unicode``: the character classes for splitting words, None for ASCII rules; ``byte_ids`` [256]: the tokens of
    single bytes. Merge i makes the token ``first + i``, the last one at most ``vocab - 1``.
    """
    if byte_ids.dtype != np.uint16 or byte_ids.shape != (256,):
        raise TypeError("byte_ids must be uint16 [256]")
    text = b"".join(texts)
    counting = lib.shrew_count_words_bytes(len(text))
    if counting == _UNADDRESSABLE:
        raise DataError(f"{len(text):,} bytes are too many to learn a tokenizer from; give it a sample below 4 GB")
    ends = np.cumsum([len(part) for part in texts], dtype=np.uint32)
    words_memory = np.empty(counting, dtype=np.uint8)
    words, count = ffi.new("const shrew_word **"), ffi.new("size_t *")
    status = lib.shrew_count_words(
        ffi.from_buffer(text),
        ffi.from_buffer("uint32_t[]", ends),
        len(ends),
        ffi.NULL if unicode is None else ffi.from_buffer(unicode),
        0 if unicode is None else len(unicode),
        ffi.from_buffer(words_memory, require_writable=True),
        len(words_memory),
        words,
        count,
    )
    check(status, "counting words")

    training = lib.shrew_bpe_train_bytes(words[0], count[0], vocab)
    if training == _UNADDRESSABLE:
        raise DataError("too many different words to learn a tokenizer from; give it a smaller sample")
    memory = np.empty(training, dtype=np.uint8)
    merges = np.empty((vocab - first, 2), dtype=np.uint16)
    byte_tokens = ffi.from_buffer("uint16_t[]", np.ascontiguousarray(byte_ids))
    options = ffi.new("shrew_bpe_options *", {"first": first, "vocab": vocab, "min_count": min_count})
    options.byte_ids, options.ties = byte_tokens, _TIES[ties]
    merge_count = ffi.new("size_t *")
    status = lib.shrew_bpe_train(
        options,
        ffi.from_buffer(text),
        len(text),
        words[0],
        count[0],
        ffi.from_buffer(memory, require_writable=True),
        len(memory),
        ffi.from_buffer("uint16_t[]", merges, require_writable=True),
        merge_count,
    )
    check(status, "learning merges")
    return merges[: merge_count[0]].copy()


_UNADDRESSABLE = 2 ** (8 * ffi.sizeof("size_t")) - 1
