"""The form of chat prompts: people type one question in many ways, and the model sees one of them."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Literal

from shrew.engine.tokenizer import DROP_MARKS, FOLD_CASE, prompt_form
from shrew.errors import EngineError, TokenizerError

#: What a model makes of a prompt before it reads it: nothing; white space, quotes and dashes of one kind; also no case
#: and no final marks.
Prompts = Literal["exact", "plain", "folded"]

_BLANKS = "\u0085\u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"

#: Which characters become which, in every form. An empty string: they go.
_ALWAYS = {
    _BLANKS: " ",
    "\ufeff\u00ad\u200b\u200e\u200f\u2060": "",
    "\u2018\u2019\u201a\u201b\u2032\u00b4\u02bc\u2039\u203a": "'",
    "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb": '"',
    "\u2010\u2011\u2012\u2013\u2014\u2015\u2212": "-",
    "\u2026": ".",
}
#: Marks of other scripts, which ``drop_marks`` treats like those of ASCII.
_MARKS = {
    "\u00bf\u00a1": "",
    "\uff01": "!",
    "\uff1f": "?",
    "\uff0c": ",",
    "\uff1a": ":",
    "\uff1b": ";",
    "\u3002\uff0e": ".",
}


@dataclass(frozen=True)
class PromptForm:
    """What becomes of a chat prompt before it is encoded (docs/FORMAT.md, section 9).

    The engine does the same to every chat prompt, with the same code. Raises TokenizerError where the replacements
    cannot be stored.
    """

    fold_case: bool = True
    """A to Z become lower case. ``replacements`` has the other letters."""
    drop_marks: bool = True
    """``. ! ? , ; :`` at the end go, and repeated ones count once."""
    replacements: Mapping[str, str] = field(default_factory=dict)
    """Characters beyond ASCII that become others, or nothing."""

    def __post_init__(self) -> None:
        for before, after in self.replacements.items():
            if len(before) != 1 or len(after) > 1 or max(before + after) > "\uffff" or after == "\0":
                raise TokenizerError(f"prompt_form: {before!r} cannot become {after!r}: only single characters can")
        try:
            prompt_form(self.section, b"")
        except EngineError as error:
            raise TokenizerError(str(error)) from error

    @classmethod
    def for_prompts(cls, prompts: Iterable[str], *, fold_case: bool = True, drop_marks: bool = True) -> PromptForm:
        """The form for the prompts of a corpus: white space, quotes and dashes of all kinds become those of ASCII.

        Letters beyond ASCII fold if their lower case occurs in ``prompts``, so that an image has no others.
        """
        replacements = _spread(_ALWAYS | _MARKS if drop_marks else _ALWAYS)
        if fold_case:
            used = {_folded(c) for c in set().union(*map(set, prompts)) if not c.isascii()}
            replacements |= {c: f for c, f in _foldings().items() if f in used and c not in replacements}
        return cls(fold_case, drop_marks, dict(sorted(replacements.items())))

    @cached_property
    def section(self) -> bytes:
        """Section 9 of a model image."""
        pairs = sorted((ord(before), ord(after or "\0")) for before, after in self.replacements.items())
        flags = FOLD_CASE * self.fold_case | DROP_MARKS * self.drop_marks
        return struct.pack("<2H", flags, len(pairs)) + b"".join(struct.pack("<2H", *pair) for pair in pairs)

    def written(self, prompt: str) -> str:
        """A prompt in this form."""
        return prompt_form(self.section, prompt.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")


def _spread(groups: Mapping[str, str]) -> dict[str, str]:
    return {character: after for characters, after in groups.items() for character in characters}


def _folded(character: str) -> str:
    """Its case folding where that is one character, such as é of É and σ of ς."""
    folded = character.casefold()
    return folded if len(folded) == 1 else character


@cache
def _foldings() -> dict[str, str]:
    """The characters beyond ASCII, below U+10000, whose folding is another one and not longer in UTF-8."""
    characters = (chr(c) for c in range(0x80, min(0x10000, sys.maxunicode)) if not 0xD800 <= c < 0xE000)
    pairs = ((c, _folded(c)) for c in characters)
    return {c: f for c, f in pairs if f != c and len(f.encode()) <= len(c.encode())}
