"""Exact repeats and contradictions."""

from __future__ import annotations

import re
from pathlib import Path

from shrew.corpus import Document, drop_duplicates, find_duplicates, read_corpus, response_document, text_document


def answer(prompt: str, response: str, line: int = 0) -> Document:
    return response_document(prompt, response, line=line)


def test_report() -> None:
    documents = [answer("a", "1", 1), text_document("t"), answer("a", "1", 3), answer("a", "2", 4), answer("b", "1", 5)]
    documents += [text_document("t"), text_document("t")]
    report = find_duplicates(documents)
    assert (report.documents, report.repeats) == (7, 3)
    assert [len(group) for group in report.groups] == [3, 2]
    assert [[document.line for document in group] for group in report.groups[1:]] == [[1, 3]]
    assert report.conflicts == [[documents[0], documents[3]]]


def test_texts_do_not_contradict_each_other() -> None:
    assert find_duplicates([text_document("one"), text_document("two")]).conflicts == []


def test_dropping_keeps_the_first_and_the_order() -> None:
    documents = [answer("a", "1", 1), answer("b", "1", 2), answer("a", "1", 3), answer("a", "2", 4)]
    assert [document.line for document in drop_duplicates(documents)] == [1, 2, 4]


def test_a_text_is_not_the_repeat_of_an_answer() -> None:
    assert find_duplicates([answer("a", "same"), text_document("same")]).repeats == 0


def test_conversations_that_go_on_differently_are_distinct() -> None:
    one = response_document("a", "1", follow_ups=(("b", "2"),))
    report = find_duplicates([one, answer("a", "1"), one])
    assert (report.repeats, report.conflicts) == (1, [])


def test_nothing() -> None:
    report = find_duplicates([])
    assert (report.documents, report.repeats, report.groups, report.conflicts) == (0, 0, [], [])


def test_two_thirds_of_a_published_corpus_are_repeats(shared_data: Path) -> None:
    """Its raw blocks count one repeat less: the last one has the file's line end, which is no part of the answer."""
    file = shared_data / "hardwareone_rich_2026-03-30.txt"
    assert 3048 - len(set(re.split(r"\n{2,}", file.read_text()))) == 2031
    documents = read_corpus(file)
    report = find_duplicates(documents)
    assert (report.documents, report.repeats) == (3048, 2032)
    distinct = drop_duplicates(documents)
    assert len(distinct) == 1016
    assert find_duplicates(distinct).repeats == 0
