"""Finds problems in a corpus that would spoil training or its measurement.

``check_corpus`` runs every check and changes nothing. Each file here has the checks of one kind. A check is a function
from documents to a :class:`Finding`, which has their number, a few examples with file and line, and advice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shrew.corpus.check.answers import (
    answers_never_trained,
    common_answers,
    common_beginnings,
    contradictions,
    empty_answers,
    repeats,
)
from shrew.corpus.check.finding import Example, Finding, Severity
from shrew.corpus.check.spelling import look_alikes, rare_characters, stray_white_space
from shrew.corpus.check.split import leaks, similar_questions
from shrew.corpus.check.tokens import cut_answers, divided_texts, rare_tokens
from shrew.corpus.duplicates import drop_duplicates
from shrew.corpus.encode import encode_documents
from shrew.corpus.split import Corpus
from shrew.tokenizer import Tokenizer

__all__ = ["Example", "Finding", "Report", "Severity", "check_corpus"]


@dataclass(frozen=True)
class Report:
    findings: Sequence[Finding]
    """One per check, errors first."""

    def of(self, severity: Severity) -> list[Finding]:
        """The findings of this severity that are not empty."""
        return [finding for finding in self.findings if finding.severity == severity and finding.count]


def check_corpus(corpus: Corpus, tokenizer: Tokenizer, context: int) -> Report:
    """Runs all checks on ``corpus`` for ``tokenizer`` and a model with ``context`` tokens.

    All checks except that for repeats count a document once, however often it occurs.
    """
    train, held_out = drop_duplicates(corpus.train), drop_duplicates(corpus.held_out)
    documents = train + held_out
    encoded = encode_documents(documents, tokenizer)
    return Report(
        [
            contradictions(documents),
            leaks(train, held_out),
            cut_answers(documents, encoded, context),
            empty_answers(documents),
            repeats(corpus.train + corpus.held_out),
            similar_questions(train, held_out),
            answers_never_trained(train, held_out),
            common_answers(train),
            common_beginnings(train),
            divided_texts(documents, encoded, context),
            rare_tokens(encoded[: len(train)], tokenizer),
            rare_characters(train),
            look_alikes(documents),
            stray_white_space(documents),
        ]
    )
