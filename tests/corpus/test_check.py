"""``shrew corpus check`` finds each defect that it promises to find, and reports nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from shrew.corpus import BUILTIN_NAMES, load_corpus, parse_corpus, split_corpus
from shrew.corpus.check import Finding, check_corpus
from shrew.tokenizer import train_bpe

GOOD = """\
Q: How do I open the gate?
Q: open the gate please
Test: which button lets the car in
A: Press the green button twice.

Q: What does the lamp need?
Q: power of the lamp
Test: how much energy goes into the light
A: Five volts at half an ampere.

Q: Turn the lamp on.
Q: light please
Test: make it bright in here
Do: lamp on
"""

#: The same question and answer under many phrasings.
MANY = "\n".join(f"Q: question number {n} of one kind" for n in range(60)) + "\nA: Ask somebody else about that.\n"

#: As many answers, all beginning alike.
ALIKE = "\n".join(f"Q: What is thing {n} good for?\nA: Type {n * n} into the box.\n" for n in range(30))

TEXT = "One day the shrew went out to look for a beetle, and it did not come home before the sun had gone down again."

DEFECTS = [
    ("contradictions", "Q: Is it red?\nA: Yes.\n\nQ: is it RED\nA: No.", "'Is it red?': 'Yes.' or 'No.'", (1, 4)),
    ("leaks", "Q: Is it red?\nA: Yes.\n\nTest: is it red\nA: Yes.", "'is it red' and 'Is it red?'", (4, 1)),
    ("leaks", "Q: Is it red?\nA: Yes.\n\nTest: Is it red?\nA: Yes.", "'Is it red?' and 'Is it red?'", (4, 1)),
    ("cut answers", "Q: How?\nA: " + "so " * 200, "tokens: 'How?'", (1,)),
    ("empty answers", "Q: How?\nA: …", "'How?': '…'", (1,)),
    ("empty answers", '{"prompt": "on", "response": "Do: "}', "'on': 'Do:'", (1,)),
    ("repeats", "Q: How?\nA: So.\n\nQ: How?\nA: So.", "2 times 'How?'", (1,)),
    (
        "similar questions",
        "Q: What is the name of this board?\nTest: what is this board the name\nA: Shrew.",
        "(86% alike)",
        (2, 1),
    ),
    ("answers never trained", "Test: How?\nA: So.", "'How?': 'So.'", (1,)),
    ("unbalanced answers", MANY + "\n" + ALIKE, "'Ask somebody else about that.' to 60 of 90 questions", (1,)),
    ("one beginning", ALIKE, "'Type' begins 30 of 30 answers", (1,)),
    ("divided texts", "word " * 300, "tokens: 'word word", (1,)),
    ("rare characters", "Q: How many?\nA: 5 µm.\n\nNo.\n\n" + "many " * 500, "µ (U+00B5, micro sign)", (1,)),
    ("look-alikes", "Q: Where is the s\u0430w?\nA: There.", "cyrillic small letter a", (1,)),
    ("look-alikes", "Q: Where\u200b?\nA: There.", "(U+200B, zero width space)", (1,)),
    ("look-alikes", "Q: Who's there?\nQ: who’s that\nA: Me.", "right single quotation mark", (2,)),
    ("look-alikes", "Q: Wo ist das Ma\u0308uschen?\nA: Da.", "combining diaeresis", (1,)),
    ("stray white space", "Q: Two  blanks?\nA: Yes.", "'Two␣␣blanks?'", (1,)),
    ("stray white space", "Q: A\u00a0blank?\nA: Yes.", "'A<U+00A0>blank?'", (1,)),
]


def check(text: str, context: int = 128) -> dict[str, Finding]:
    documents = parse_corpus(text.encode(), "f")
    corpus = split_corpus("f", documents, 0.0, refuse_leaks=False)
    return {finding.check: finding for finding in check_corpus(corpus, train_bpe([], vocab=259), context).findings}


def found(text: str) -> set[str]:
    return {name for name, finding in check(text).items() if finding.count}


def test_nothing_to_find() -> None:
    assert found(GOOD) == set()


@pytest.mark.parametrize(("name", "text", "shown", "lines"), DEFECTS, ids=lambda value: str(value)[:20])
def test_finds(name: str, text: str, shown: str, lines: tuple[int, ...]) -> None:
    finding = check(text if text.startswith("{") else f"{text}\n\n# end\n")[name]
    assert finding.count >= 1
    match = [example for example in finding.examples if shown in example.text]
    assert match, finding
    assert match[0].places == tuple(f"f:{line}" for line in lines)


def test_only_what_spoils_a_training_is_an_error() -> None:
    errors = {name for name, finding in check(GOOD).items() if finding.severity == "error"}
    assert errors == {"contradictions", "leaks", "cut answers", "empty answers"}


def test_contradicting_answers_are_shown_where_they_differ() -> None:
    start = "Type wifi connect and then the name of your network"
    answers = [f"Q: How do I connect?\nA: {start}{end}" for end in (".", " and its password.")]
    assert check("\n\n".join(answers))["contradictions"].examples[0].text == (
        "'How do I connect?': '… network.' or '… network and its password.'"
    )


def test_texts_that_share_half_of_their_words_in_a_row_leak_and_others_do_not() -> None:
    other = "The shrew sat by the fire all day long, since the beetle had not come to its house for a long time."
    rows = [f'{{"text": "{TEXT}"}}', f'{{"text": "{TEXT.replace("beetle", "cricket")}", "held_out": true}}']
    rows.append(f'{{"text": "{other}", "held_out": true}}')
    finding = check("\n".join(rows))["leaks"]
    assert (finding.count, finding.examples[0].places) == (1, ("f:2", "f:1"))


def test_questions_with_the_same_words_but_another_answer_are_not_similar() -> None:
    assert "similar questions" not in found("Q: now turn the lamp on\nA: Yes.\n\nTest: now turn the lamp off\nA: No.")


def test_tokens_hardly_used_are_told_where_they_are_many() -> None:
    tokenizer = train_bpe(["the quick brown fox jumps over the lazy dog"] * 3, vocab=280)
    corpus = split_corpus("f", parse_corpus(b"Q: How?\nA: " + b"so " * 500, "f"), 0.0)
    finding = next(f for f in check_corpus(corpus, tokenizer, 64).findings if f.check == "rare tokens")
    assert finding.count > 0
    assert "never" in finding.what


def test_repeats_count_once_in_the_other_checks() -> None:
    assert check("Q: How?\nA: …\n\n" * 5)["empty answers"].count == 1


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_built_in_corpora_have_no_errors(name: str) -> None:
    corpus = load_corpus(name)
    report = check_corpus(corpus, train_bpe([], vocab=259), context=512)
    assert [finding.check for finding in report.of("error")] == []


def test_published_corpus(shared_data: Path) -> None:
    """The defects that its author found by hand and recorded in its history: repeats and contradicting answers."""
    corpus = load_corpus(shared_data / "hardwareone_rich_2026-03-30.txt")
    findings = {f.check: f.count for f in check_corpus(corpus, train_bpe([], vocab=259), context=512).findings}
    assert (findings["repeats"], findings["contradictions"], findings["leaks"]) == (2032, 4, 0)
