"""Finds in a corpus what would spoil a training or its measurement, before either.

``check_corpus`` runs every check and changes nothing. Each file here holds the checks of one kind; a check is a
function from documents to a :class:`Finding`, which says how many, a few of them with file and line, and what to do.
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
    """One for each check, errors first."""

    def of(self, severity: Severity) -> list[Finding]:
        """The checks of this severity that found something."""
        return [finding for finding in self.findings if finding.severity == severity and finding.count]


def check_corpus(corpus: Corpus, tokenizer: Tokenizer, context: int) -> Report:
    """Everything that can be said of ``corpus`` as ``tokenizer`` and a model with ``context`` will see it.

    All checks but that for repeats count a document once, however often it occurs.
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
