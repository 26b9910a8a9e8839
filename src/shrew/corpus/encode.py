"""Encodes documents as token ids, and marks which of them are learnt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shrew.corpus.documents import Document

Ids = NDArray[np.uint16]


class Encoder(Protocol):
    """The part of :class:`shrew.tokenizer.Tokenizer` that encoding needs."""

    @property
    def bos(self) -> int | None: ...
    @property
    def eos(self) -> int | None: ...
    @property
    def prompt_prefix(self) -> tuple[int, ...]: ...
    @property
    def prompt_suffix(self) -> tuple[int, ...]: ...
    def encode_many(self, texts: list[str]) -> Iterable[Ids]: ...
    def written(self, prompt: str) -> str: ...


@dataclass(frozen=True, slots=True, eq=False)
class EncodedDocument:
    """Token ids [n], and for each whether the model learns to generate it [n]."""

    ids: Ids
    learn: NDArray[np.bool_]


def encode_document(document: Document, tokenizer: Encoder) -> EncodedDocument:
    """The tokens of one document.

    A text is ``bos text eos``, and everything except ``bos`` is learnt. A prompt and its response are
    ``prefix prompt suffix response eos``, of which only response and ``eos`` are learnt; follow-ups are appended in the
    same way. Prompts are put in the tokenizer's form first, as the engine does. End-of-text is learnt like any other
    token. Padding is never end-of-text: it is the part of a row after its documents.
    """
    return encode_documents([document], tokenizer)[0]


def encode_documents(documents: Sequence[Document], tokenizer: Encoder) -> list[EncodedDocument]:
    """:func:`encode_document` for many documents. A string that occurs in several of them is encoded once."""
    prompts = dict.fromkeys(prompt for document in documents for prompt, _ in document.turns)
    written = {prompt: tokenizer.written(prompt) for prompt in prompts}
    turns = [turn for document in documents for turn in document.turns]
    texts = list(dict.fromkeys(text for prompt, response in turns for text in (written[prompt], response)))
    encoded = dict(zip(texts, tokenizer.encode_many(texts), strict=True))
    bos, eos = _ids(tokenizer.bos), _ids(tokenizer.eos)
    prefix, suffix = _ids(*tokenizer.prompt_prefix), _ids(*tokenizer.prompt_suffix)

    def with_roles(document: Document) -> EncodedDocument:
        parts: list[Ids] = []
        for prompt, response in document.turns:
            given = (prefix, encoded[written[prompt]], suffix) if prompt else (bos,)
            parts += [np.concatenate(given), np.concatenate((encoded[response], eos))]
        learn = np.repeat(np.arange(len(parts)) % 2 == 1, [len(part) for part in parts])
        return EncodedDocument(np.concatenate(parts), learn)

    return [with_roles(document) for document in documents]


def _ids(*ids: int | None) -> Ids:
    return np.array([token for token in ids if token is not None], dtype=np.uint16)
