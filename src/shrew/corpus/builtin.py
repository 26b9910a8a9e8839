"""The corpora that come with Shrew, and :func:`load_corpus`, which loads these and the user's own files."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal, get_args

from shrew.corpus.documents import Document, text_document
from shrew.corpus.readers import END_OF_TEXT, NEWLINE, Format, parse_corpus, read_corpus
from shrew.corpus.split import Corpus, hold_out_fraction, split_corpus
from shrew.corpus.stories import generate_stories
from shrew.errors import DataError

BuiltinName = Literal["names", "stories", "desk"]

BUILTIN_NAMES: Final[tuple[BuiltinName, ...]] = get_args(BuiltinName)

#: Fraction of a user's documents to hold out if none is marked.
HELD_OUT: Final = 0.05


def builtin_corpus(name: BuiltinName, *, stories: int = 5000, held_out_stories: int = 300, seed: int = 0) -> Corpus:
    """A built-in corpus.

    ``names``
        first names, each a text; a tenth is held out
    ``stories``
        hand-written stories and ``stories`` generated ones; ``held_out_stories`` other generated ones are held out
    ``desk``
        questions to a device on a desk, with answers and commands; phrasings marked ``Test:`` are held out
    """
    if name == "names":
        documents = hold_out_fraction(_packaged("names.txt", separator=NEWLINE), 0.1)
    elif name == "stories":
        documents = _packaged("stories.txt")
        documents += _generated(stories, seed, "train")
        documents += _generated(held_out_stories, seed, "held-out")
    else:
        documents = _packaged("desk.txt", format="blocks")
    return split_corpus(name, documents, fraction=0.0)


def load_corpus(
    spec: str | Path | Iterable[str | Path],
    *,
    format: Format = "auto",
    separator: str = END_OF_TEXT,
    held_out: float = HELD_OUT,
    refuse_leaks: bool = True,
) -> Corpus:
    """Loads the corpus that ``--data`` names: one or several built-in names, files and folders.

    A built-in name takes precedence over a file of that name, which ``./desk`` still reaches. ``held_out`` is the
    fraction to hold out if no document is marked. :func:`split_corpus` documents how, and ``refuse_leaks``.
    """
    specs = [spec] if isinstance(spec, str | Path) else list(spec)
    documents: list[Document] = []
    for entry in specs:
        if entry in BUILTIN_NAMES:
            corpus = builtin_corpus(entry)
            documents += corpus.train + corpus.held_out
        elif Path(entry).exists():
            documents += read_corpus(entry, format=format, separator=separator)
        else:
            raise DataError(f"{entry}: neither a file or folder nor a built-in corpus ({', '.join(BUILTIN_NAMES)})")
    return split_corpus(", ".join(map(str, specs)), documents, held_out, refuse_leaks=refuse_leaks)


def _packaged(file: str, *, format: Format = "text", separator: str = END_OF_TEXT) -> list[Document]:
    raw = files("shrew.corpus").joinpath("data", file).read_bytes()
    return parse_corpus(raw, file, format=format, separator=separator)


def _generated(count: int, seed: int, split: Literal["train", "held-out"]) -> list[Document]:
    """Generated stories. The ``line`` of a story is its number."""
    stories = generate_stories(count, seed=seed, split=split)
    return [
        text_document(story, held_out=split == "held-out", source=f"generated {split} story", line=number)
        for number, story in enumerate(stories, start=1)
    ]
