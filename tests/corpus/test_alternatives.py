"""Other ways to fill rows, with which packing is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shrew.corpus import (
    EncodedDocument,
    RowFilling,
    compare_packing,
    drop_duplicates,
    encode_documents,
    pack,
    read_corpus,
)
from shrew.tokenizer import train_for_corpus


def encoded(*lengths: int) -> list[EncodedDocument]:
    return [EncodedDocument(np.zeros(n, np.uint16), np.arange(n) > 0) for n in lengths]


def compare(documents: list[EncodedDocument], context: int) -> dict[str, RowFilling]:
    return {way.name: way for way in compare_packing(documents, context, pack(documents, context)[1])}


def test_by_hand() -> None:
    """Documents of 5, 5, 4 and 6 positions in rows of 10; as one stream they are 24 tokens: 23 positions."""
    ways = compare(encoded(6, 6, 5, 7), 10)
    assert [(way.rows, way.cut, round(way.padding, 3)) for way in ways.values()] == [
        (2, 0, 0.0),  # 6 + 4, 5 + 5
        (2, 0, 0.0),
        (4, 0, 0.5),
        (3, 2, round(1 - 23 / 30, 3)),  # tokens 0-5, 6-11, 12-16 and 17-23: the second and the last cross 10 and 20
    ]


def test_first_fit_is_no_better_than_its_order() -> None:
    assert compare(encoded(5, 5, 7, 7), 10)["first fit"].rows == 3
    assert compare(encoded(5, 5, 7, 7), 10)["best fit"].rows == 2


@given(st.lists(st.integers(2, 40), max_size=40), st.integers(1, 20))
def test_what_holds_for_all(lengths: list[int], context: int) -> None:
    ways = compare(encoded(*lengths), context)
    for way in ways.values():
        assert 0.0 <= way.padding < 1.0
        assert way.cut <= len(lengths)
    assert ways["one document a row"].rows >= ways["first fit"].rows
    assert ways["fixed-length chunks"].rows == -(-max(sum(lengths) - 1, 0) // context)


def test_nothing() -> None:
    assert [(way.rows, way.cut, way.padding) for way in compare([], 8).values()] == [(0, 0, 0.0)] * 4


def test_published_corpus(shared_data: Path) -> None:
    """At its own context and vocabulary: nothing cut where chunks cut a fifth, and little padding."""
    documents = drop_duplicates(read_corpus(shared_data / "hardwareone_rich_2026-03-30.txt"))
    tokenizer = train_for_corpus(documents, kind="bpe", vocab=4096)
    ways = compare(encode_documents(documents, tokenizer), 128)
    assert ways["best fit"].cut == 0
    assert ways["best fit"].padding < 0.1
    assert ways["fixed-length chunks"].cut > 0.2 * len(documents)
