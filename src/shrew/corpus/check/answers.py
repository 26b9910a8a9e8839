"""Checks of questions and their answers."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import takewhile

from shrew.corpus.check.finding import Finding, example, finding, quoted
from shrew.corpus.documents import COMMAND_PREFIX, Document
from shrew.corpus.duplicates import find_duplicates, plain_words

COMMON_ANSWER = 0.1
"""An answer to a larger fraction of all questions than this, and to many times more than others, is too common."""
COMMON_ANSWER_OF_MEAN = 5

COMMON_BEGINNING = 1 / 3
"""If more of the answers than this begin with one word, the model learns that word before anything else."""
FEW_ANSWERS = 20
"""With fewer answers than this, their beginnings are not checked."""


def contradictions(documents: Sequence[Document]) -> Finding:
    conflicts = find_duplicates(documents).conflicts
    return finding(
        "contradictions",
        "error",
        "questions with several answers",
        "Keep one answer, or ask for the other in other words.",
        [example(f"{quoted(group[0].prompt)}: {_either(group[:3])}", *group[:3]) for group in conflicts],
    )


def _either(group: Sequence[Document]) -> str:
    """The answers, from the word where they differ."""
    answers = [document.response.split() for document in group]
    same = sum(1 for _ in takewhile(lambda words: len(set(words)) == 1, zip(*answers, strict=False)))
    begin = min(same, *(len(words) - 1 for words in answers)) if same > 3 else 0
    return " or ".join(quoted(" ".join(["…"] * bool(begin) + words[begin:]), 40) for words in answers)


def empty_answers(documents: Sequence[Document]) -> Finding:
    return finding(
        "empty answers",
        "error",
        "answers without a letter or digit",
        "Write the answer, or remove the question.",
        [
            example(f"{quoted(prompt)}: {quoted(response)}", document)
            for document in documents
            for prompt, response in document.turns
            if prompt and not any(c.isalnum() for c in response.removeprefix(COMMAND_PREFIX.strip()))
        ],
    )


def repeats(documents: Sequence[Document]) -> Finding:
    report = find_duplicates(documents)
    share = report.repeats / max(report.documents, 1)
    return finding(
        "repeats",
        "note",
        f"exact repeats of earlier documents ({share:.0%} of all)",
        "Train with --drop-duplicates, unless they are meant to weigh more.",
        [example(f"{len(group)} times {quoted(group[0].subject)}", group[0]) for group in report.groups],
        count=report.repeats,
    )


def common_answers(train: Sequence[Document]) -> Finding:
    asked: defaultdict[str, list[Document]] = defaultdict(list)
    questions = [document for document in train if document.prompt]
    for document in questions:
        asked[document.response].append(document)
    usual = len(questions) / max(len(asked), 1)
    common = [
        group
        for group in sorted(asked.values(), key=len, reverse=True)
        if len(group) > max(COMMON_ANSWER * len(questions), COMMON_ANSWER_OF_MEAN * usual)
    ]
    return finding(
        "unbalanced answers",
        "note",
        f"answers that more than {COMMON_ANSWER:.0%} of the questions get",
        "A model that knows little will give this answer. Ask less for it, or more for the others.",
        [
            example(f"{quoted(group[0].response)} to {len(group):,} of {len(questions):,} questions", group[0])
            for group in common
        ],
    )


def common_beginnings(train: Sequence[Document]) -> Finding:
    """Finds common first words of distinct answers. Ignores commands, which all begin alike."""
    answers: dict[str, Document] = {}
    for document in train:
        if document.kind == "answer":
            answers.setdefault(document.response, document)
    words = Counter(answer.split()[0] for answer in answers)
    common = [
        (word, count)
        for word, count in words.most_common(1)
        if count > COMMON_BEGINNING * len(answers) and len(answers) >= FEW_ANSWERS
    ]
    return finding(
        "one beginning",
        "note",
        f"words with which more than {COMMON_BEGINNING:.0%} of the answers begin",
        "Begin answers with what sets them apart: after a common beginning the model has to guess which one it is in.",
        [
            example(
                f"{quoted(word)} begins {count:,} of {len(answers):,} answers",
                next(document for answer, document in answers.items() if answer.split()[0] == word),
            )
            for word, count in common
        ],
    )


def answers_never_trained(train: Sequence[Document], held_out: Sequence[Document]) -> Finding:
    known = {plain_words(document.response) for document in train if document.prompt}
    return finding(
        "answers never trained",
        "note",
        "held-out questions whose answer no training question has",
        "They cannot be answered and only lower the measured accuracy. Mark phrasings of trained answers with Test:.",
        [
            example(f"{quoted(document.prompt)}: {quoted(document.response, 30)}", document)
            for document in held_out
            if document.prompt and plain_words(document.response) not in known
        ],
    )
