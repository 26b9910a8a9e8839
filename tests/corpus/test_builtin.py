"""The corpora that come with Shrew."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from shrew.corpus import BUILTIN_NAMES, BuiltinName, builtin_corpus, find_duplicates, load_corpus


def require(file: str) -> None:
    if not files("shrew.corpus").joinpath("data", file).is_file():
        pytest.skip(f"the built-in {file} is absent")


@pytest.mark.parametrize("name", BUILTIN_NAMES)
def test_sides_are_marked_and_share_nothing(name: BuiltinName) -> None:
    require(f"{name}.txt")
    corpus = builtin_corpus(name)
    assert corpus.name == name
    assert corpus.train
    assert corpus.held_out
    assert not any(document.held_out for document in corpus.train)
    assert all(document.held_out for document in corpus.held_out)
    assert {d.subject for d in corpus.held_out}.isdisjoint(d.subject for d in corpus.train)


def test_desk_answers_and_commands() -> None:
    require("desk.txt")
    corpus = builtin_corpus("desk")
    everything = corpus.train + corpus.held_out
    assert {document.kind for document in everything} >= {"answer", "command"}
    assert not any(document.response.startswith("#") for document in everything)
    report = find_duplicates(everything)
    assert report.repeats == 0
    assert report.conflicts == []
    assert {document.response for document in corpus.held_out} <= {document.response for document in corpus.train}


def test_stories_are_counted_and_repeatable() -> None:
    require("stories.txt")
    corpus = builtin_corpus("stories", stories=40, held_out_stories=7, seed=3)
    written = [document for document in corpus.train if document.source == "stories.txt"]
    assert written
    assert len(corpus.train) == len(written) + 40
    assert len(corpus.held_out) == 7
    assert builtin_corpus("stories", stories=40, held_out_stories=7, seed=3) == corpus
    assert all(document.kind == "text" for document in corpus.train)


def test_a_tenth_of_the_names_is_held_out() -> None:
    require("names.txt")
    corpus = builtin_corpus("names")
    distinct = {document.response for document in corpus.train + corpus.held_out}
    assert len({document.response for document in corpus.held_out}) == round(len(distinct) / 10)
    assert builtin_corpus("names") == corpus
    assert all(name.isprintable() and " " not in name for name in distinct)


def test_load_takes_names_files_and_both(tmp_path: Path) -> None:
    require("desk.txt")
    own = tmp_path / "own.txt"
    own.write_text("Q: Who keeps the key to the shed?\nA: The shrew does.\n")
    desk = load_corpus("desk")
    assert desk == builtin_corpus("desk")
    both = load_corpus(["desk", own])
    assert both.name == f"desk, {own}"
    assert len(both.train) == len(desk.train) + 1
    assert both.held_out == desk.held_out
