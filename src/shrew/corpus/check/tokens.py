"""Checks of documents as tokens: whether they fit the context, and whether the vocabulary is used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shrew.corpus.check.finding import Example, Finding, example, finding, quoted
from shrew.corpus.documents import Document
from shrew.corpus.encode import EncodedDocument
from shrew.tokenizer import Tokenizer

RARE = 2
RARE_SHARE = 0.25
"""Fraction of rare tokens that is normal: in any vocabulary some tokens are only steps to longer ones."""
FEW_TOKENS = 1000
"""In a shorter text than this, every token is rare."""


def cut_answers(documents: Sequence[Document], encoded: Sequence[EncodedDocument], context: int) -> Finding:
    return finding(
        "cut answers",
        "error",
        f"answers whose end lies beyond the context of {context:,} tokens",
        "Shorten question or answer, or train with a larger context: the end would never be learnt.",
        [
            example(f"{len(ids.ids):,} tokens: {quoted(document.prompt)}", document)
            for document, ids in zip(documents, encoded, strict=True)
            if document.prompt and len(ids.ids) - 1 > context
        ],
    )


def divided_texts(documents: Sequence[Document], encoded: Sequence[EncodedDocument], context: int) -> Finding:
    """Finds texts longer than the context. No word is lost, but later pieces are learnt without what precedes them."""
    return finding(
        "divided texts",
        "note",
        f"texts longer than the context of {context:,} tokens, which are learnt in pieces",
        "A larger context keeps them whole; where they have parts of their own, put separators between these.",
        [
            example(f"{len(ids.ids):,} tokens: {quoted(document.response)}", document)
            for document, ids in zip(documents, encoded, strict=True)
            if not document.prompt and len(ids.ids) - 1 > context
        ],
    )


def rare_tokens(train: Sequence[EncodedDocument], tokenizer: Tokenizer) -> Finding:
    """Finds rare tokens among those of several bytes. Single bytes are needed to encode any text."""
    counts = np.zeros(tokenizer.vocab, np.int64)
    for document in train:
        counts += np.bincount(document.ids, minlength=tokenizer.vocab)
    pieces = [token for token in range(tokenizer.vocab) if len(tokenizer.pieces[token]) > 1]
    rare = [token for token in pieces if counts[token] <= RARE]
    unused = sum(counts[token] == 0 for token in rare)
    worth_telling = len(rare) > RARE_SHARE * len(pieces) and counts.sum() >= FEW_TOKENS
    return finding(
        "rare tokens",
        "note",
        f"tokens that occur at most twice (of {len(pieces):,} of several bytes; {unused:,} never)",
        "They fill rows of the embedding and hardly learn: try a smaller vocabulary, --set model.vocab=N in training.",
        [
            Example(f"{quoted(tokenizer.token_bytes(token).decode('utf-8', 'backslashreplace'))} {counts[token]} times")
            for token in rare
            if worth_telling
        ],
    )
