"""Checks of characters and white space: differences that a reader does not see but a model has to learn."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from shrew.corpus.check.finding import Example, Finding, example, finding, quoted
from shrew.corpus.documents import Document

RARE = 2
"""A character that occurs at most this often is not learnt."""
FEW_CHARACTERS = 2000
"""In a shorter text than this, every character is rare."""

_STRAY_SPACE = re.compile(r"[^\S\n]{2,}|\t|[^\S\n]+$|[^\S \n]", re.MULTILINE)

_INVISIBLE = "\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffd\x00-\x08\x0e-\x1f\x7f-\x9f"
#: Typographic forms, which are reported only if the plain form is also used.
_PLAIN_FORM = {"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "…": "..."}
_OTHER_FORMS = "\u2010\u2011\u2212\uff01-\uff5e" + "".join(_PLAIN_FORM)
#: Letters that look like Latin ones, except Greek ones that are used as units (µ, Ω).
_CYRILLIC_OR_GREEK = "[АВЕЅІЈКМНОРСТУХаеорсухѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧοιν]"
_LOOK_ALIKE = re.compile(
    f"[{_INVISIBLE}{_OTHER_FORMS}]|{_CYRILLIC_OR_GREEK}(?=[A-Za-z])|(?<=[A-Za-z]){_CYRILLIC_OR_GREEK}"
)


def stray_white_space(documents: Sequence[Document]) -> Finding:
    found = [
        example(_visible(text, match), document)
        for document, text in _texts(documents)
        if (match := _STRAY_SPACE.search(text))
    ]
    return finding(
        "stray white space",
        "note",
        "texts with doubled or trailing blanks, tabs or unusual spaces",
        "Make them single blanks, unless they mean something: they cost tokens and are learnt like words.",
        found,
    )


def look_alikes(documents: Sequence[Document]) -> Finding:
    """Finds invisible characters, letters of another script in a word, separate accents, mixed quotation marks."""
    first: dict[str, Example] = {}
    count: Counter[str] = Counter()
    plain_forms = set(_PLAIN_FORM.values())
    used: set[str] = set()

    def note(character: str, document: Document) -> None:
        count[character] += 1
        if character not in first:
            first[character] = example(f"{_name(character)} in {quoted(document.subject, 40)}", document)

    for document, text in _texts(documents):
        used.update(plain for plain in plain_forms - used if plain in text)
        for match in _LOOK_ALIKE.finditer(text):
            note(match[0], document)
        if not unicodedata.is_normalized("NFC", text):
            note(next((c for c in text if unicodedata.combining(c)), text[0]), document)
    for character, plain in _PLAIN_FORM.items():
        if plain not in used:
            del count[character]
    examples = [replace(first[c], text=f"{n:,} × {first[c].text}") for c, n in count.most_common()]
    return finding(
        "look-alikes",
        "note",
        "characters that look like another one in use, or like nothing",
        "Write one of the two everywhere. What a user types on a keyboard is the plain one.",
        examples,
        count=count.total(),
    )


def rare_characters(train: Sequence[Document]) -> Finding:
    counts: Counter[str] = Counter()
    for _, text in _texts(train):
        counts.update(text)
    enough = counts.total() >= FEW_CHARACTERS
    rare = {character for character, count in counts.items() if enough and count <= RARE}
    examples: dict[str, Example] = {}
    if rare:
        for document, text in _texts(train):
            for character in sorted(rare.difference(examples).intersection(text)):
                examples[character] = example(f"{_name(character)} in {quoted(document.subject, 40)}", document)
    return finding(
        "rare characters",
        "note",
        f"characters that occur once or twice (of {len(counts):,})",
        "Two examples teach nothing: spell them in common characters, or give more examples.",
        [examples[character] for character in sorted(rare, key=str.isascii)],
    )


def _texts(documents: Iterable[Document]) -> Iterator[tuple[Document, str]]:
    for document in documents:
        for turn in document.turns:
            for text in turn:
                if text:
                    yield document, text


def _visible(text: str, match: re.Match[str]) -> str:
    """The place of a match, with its white space made visible."""
    around = text[max(match.start() - 20, 0) : match.end() + 20]
    shown = "".join(c if not c.isspace() else "␣" if c == " " else _code(c) for c in around)
    return f"'{shown}'"


def _code(character: str) -> str:
    return {"\t": "→", "\n": "↵"}.get(character, f"<U+{ord(character):04X}>")


def _name(character: str) -> str:
    name = unicodedata.name(character, "CONTROL CHARACTER").lower()
    shown = f"{character} " if character.isprintable() and not unicodedata.combining(character) else ""
    return f"{shown}(U+{ord(character):04X}, {name})"
