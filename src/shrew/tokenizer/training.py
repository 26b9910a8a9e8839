"""Training tokenizers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np

from shrew.engine import tokenizer as engine
from shrew.engine.tokenizer import NO_TOKEN
from shrew.errors import TokenizerError
from shrew.tokenizer.prompt_form import PromptForm, Prompts
from shrew.tokenizer.tokenizer import Tokenizer, unicode_table

BEGIN, END, ANSWER = "<|begin|>", "<|end|>", "<|answer|>"

_PRINTABLE = (*range(33, 127), *range(161, 173), *range(174, 256))
#: The order of single bytes in byte-level BPE vocabularies: those that are printable in Latin-1, then the others.
BYTE_ORDER = (*_PRINTABLE, *(byte for byte in range(256) if byte not in _PRINTABLE))


class HasTurns(Protocol):
    """The part of :class:`shrew.corpus.documents.Document` that training needs."""

    @property
    def turns(self) -> tuple[tuple[str, str], ...]: ...


def train_bpe(
    texts: Iterable[str | bytes],
    *,
    vocab: int,
    specials: Sequence[str] = (BEGIN, END, ANSWER),
    bos: str | None = BEGIN,
    eos: str | None = END,
    pad: str | None = None,
    prompt_prefix: Sequence[str] = (BEGIN,),
    prompt_suffix: Sequence[str] = (ANSWER,),
    unicode: bool = True,
    min_count: int = 0,
    ties: engine.Ties = "bytes",
) -> Tokenizer:
    """Learns a byte-level BPE tokenizer: special tokens, the 256 bytes, then merges of the most frequent pairs.

    A text that is too small for ``vocab`` tokens gives fewer. Pairs that occur fewer than ``min_count`` times are not
    merged. ``ties`` decides between equally frequent pairs: the greater one by the bytes of its tokens, or with
    ``"ids"`` the one with the lower ids, like the ``tokenizers`` library. ``unicode=False`` splits words by ASCII
    rules, so that an image needs no table of character classes. Raises TokenizerError for invalid options.
    """
    names = _special_ids(specials, 0)
    first = len(names) + 256
    if not first <= vocab <= NO_TOKEN:
        raise TokenizerError(
            f"vocab is {vocab}, must be {first} ({len(names)} special tokens and 256 bytes) to {NO_TOKEN}"
        )
    byte_ids = np.empty(256, dtype=np.uint16)
    byte_ids[list(BYTE_ORDER)] = np.arange(len(names), first)
    table = unicode_table() if unicode else None
    data = [_as_bytes(text) for text in texts]
    learnt = engine.train_bpe(data, table, byte_ids, first=first, vocab=vocab, min_count=min_count, ties=ties)

    pieces = [b""] * len(names) + [bytes([byte]) for byte in BYTE_ORDER]
    for left, right in learnt.tolist():
        pieces.append(pieces[left] + pieces[right])
    return Tokenizer(
        kind="bpe",
        pieces=tuple(pieces),
        specials=names,
        merges=tuple((left, right, first + i) for i, (left, right) in enumerate(learnt.tolist())),
        byte_ids=tuple(byte_ids.tolist()),
        bos=_special(names, bos),
        eos=_special(names, eos),
        pad=_special(names, pad),
        prompt_prefix=_special_list(names, prompt_prefix),
        prompt_suffix=_special_list(names, prompt_suffix),
        unicode=unicode,
    )


def train_character(
    texts: Iterable[str | bytes],
    *,
    specials: Sequence[str] = (END,),
    bos: str | None = END,
    eos: str | None = END,
    pad: str | None = None,
    unknown: str | None = None,
    prompt_prefix: Sequence[str] = (END,),
    prompt_suffix: Sequence[str] = (),
) -> Tokenizer:
    """One token per character that occurs, in the order of their UTF-8, then the special tokens.

    By default, a single special token separates texts. ``unknown`` names the special token for characters that do not
    occur; without it, encoding refuses them. Raises TokenizerError for invalid options.
    """
    characters = sorted({c for text in texts for c in set(_as_bytes(text).decode("utf-8", "surrogateescape"))})
    pieces = sorted(c.encode("utf-8", "surrogateescape") for c in characters)
    if len(pieces) + len(specials) > NO_TOKEN:
        raise TokenizerError(f"{len(pieces):,} different characters are too many; use a bpe tokenizer")
    names = _special_ids(specials, len(pieces))
    if not pieces and not names:
        raise TokenizerError("no text and no special tokens to make a tokenizer from")
    return Tokenizer(
        kind="character",
        pieces=(*pieces, *(b"" for _ in names)),
        specials=names,
        bos=_special(names, bos),
        eos=_special(names, eos),
        pad=_special(names, pad),
        unk=_special(names, unknown),
        prompt_prefix=_special_list(names, prompt_prefix),
        prompt_suffix=_special_list(names, prompt_suffix),
    )


def train_for_corpus(
    documents: Iterable[HasTurns], *, kind: Literal["bpe", "character"], vocab: int, prompts: Prompts = "folded"
) -> Tokenizer:
    """Trains a tokenizer on the prompts of a corpus, in the form that ``prompts`` says, and on its responses.
    ``vocab`` is ignored for characters.

    A corpus that is all ASCII gets ASCII rules, so that images need no table of character classes.
    """
    turns = [turn for document in documents for turn in document.turns]
    form = None
    if prompts != "exact" and any(prompt for prompt, _ in turns):
        folded = prompts == "folded"
        form = PromptForm.for_prompts((prompt for prompt, _ in turns), fold_case=folded, drop_marks=folded)
        turns = [(form.written(prompt), response) for prompt, response in turns]
    texts = [text for turn in turns for text in turn if text]
    if not texts:
        raise TokenizerError("the corpus has no training text to learn a tokenizer from")
    if kind == "character":
        tokenizer = train_character(texts)
    else:
        tokenizer = train_bpe(texts, vocab=vocab, unicode=not all(text.isascii() for text in texts))
    return replace(tokenizer, prompt_form=form)


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text


def _special_ids(names: Sequence[str], first: int) -> dict[str, int]:
    if len(set(names)) != len(names):
        raise TokenizerError(f"special tokens occur twice: {', '.join(names)}")
    return {name: first + i for i, name in enumerate(names)}


def _special(names: dict[str, int], name: str | None) -> int | None:
    if name is None:
        return None
    if name not in names:
        raise TokenizerError(f"{name!r} is not among the special tokens {', '.join(names) or '(none)'}")
    return names[name]


def _special_list(names: dict[str, int], wanted: Sequence[str]) -> tuple[int, ...]:
    found = (_special(names, name) for name in wanted)
    return tuple(token for token in found if token is not None)
