"""``tokenizer.json``, a human-readable file.

::

    {
     "format": "shrew-tokenizer", "version": 1,
     "kind": "bpe",                       or "sentencepiece", "character"
     "unicode": true,                     words are split by the character classes of Unicode (bpe)
     "space_prefix": false,               a space is put before a text (sentencepiece)
     "specials": {"<|begin|>": 0},        names of special tokens; their pieces are empty
     "bos": 0, "eos": 1, "pad": null, "unk": null,
     "prompt_prefix": [0], "prompt_suffix": [2],
     "byte_ids": [...],                   256 tokens, one for each byte, or null
     "ranks": null,                       the priority of each merge, or null: the id of its result
     "pieces": ["", "a", [195], ...],     one per token: its text, or its bytes if they are not UTF-8
     "merges": [[3, 4, 259], ...],        left, right, result
     "prompt_form": {                     how chat prompts are written before they are encoded, or absent
      "fold_case": true, "drop_marks": true, "replacements": {"\u2019": "'", ...}
     }
    }

All fields are those of :class:`shrew.tokenizer.Tokenizer`. All are required but ``prompt_form``.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from shrew.errors import TokenizerError
from shrew.tokenizer.prompt_form import PromptForm

if TYPE_CHECKING:
    from shrew.tokenizer.tokenizer import Tokenizer

_Id = Annotated[int, msgspec.Meta(ge=0, lt=0xFFFF)]
_Byte = Annotated[int, msgspec.Meta(ge=0, le=0xFF)]
_Piece = str | list[_Byte]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["shrew-tokenizer"]
    version: Literal[1]
    kind: Literal["bpe", "sentencepiece", "character"]
    unicode: bool
    space_prefix: bool
    specials: dict[str, _Id]
    bos: _Id | None
    eos: _Id | None
    pad: _Id | None
    unk: _Id | None
    prompt_prefix: list[_Id]
    prompt_suffix: list[_Id]
    byte_ids: list[_Id] | None
    ranks: list[_Id] | None
    pieces: list[_Piece]
    merges: list[tuple[_Id, _Id, _Id]]
    prompt_form: PromptForm | None = None


def file_content(t: Tokenizer) -> bytes:
    """The contents of a tokenizer's file, with one piece or merge per line."""
    content = _File(
        format="shrew-tokenizer",
        version=1,
        kind=t.kind,
        unicode=t.unicode,
        space_prefix=t.space_prefix,
        specials=t.specials,
        bos=t.bos,
        eos=t.eos,
        pad=t.pad,
        unk=t.unk,
        prompt_prefix=list(t.prompt_prefix),
        prompt_suffix=list(t.prompt_suffix),
        byte_ids=None if t.byte_ids is None else list(t.byte_ids),
        ranks=None if t.ranks is None else list(t.ranks),
        pieces=[_readable(piece) for piece in t.pieces],
        merges=list(t.merges),
        prompt_form=t.prompt_form,
    )
    lines = []
    for name in _File.__struct_fields__:
        value = getattr(content, name)
        if name == "prompt_form" and value is None:
            continue
        text = _one_a_line(value) if name in ("pieces", "merges") else msgspec.json.encode(value)
        lines.append(b' "%s": %s' % (name.encode(), text))
    return b"{\n" + b",\n".join(lines) + b"\n}\n"


def read_fields(path: Path) -> dict[str, Any]:
    """Reads the fields of :class:`Tokenizer` from a file. Raises OSError, or TokenizerError if it is malformed."""
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_File)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TokenizerError(f"not a Shrew tokenizer: {error}") from error
    fields = {name: getattr(content, name) for name in _File.__struct_fields__ if name not in ("format", "version")}
    fields["pieces"] = [piece.encode() if isinstance(piece, str) else bytes(piece) for piece in content.pieces]
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _readable(piece: bytes) -> _Piece:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return list(piece)


def _one_a_line(values: Iterable[object]) -> bytes:
    return b"[\n  " + b",\n  ".join(map(msgspec.json.encode, values)) + b"\n ]"
