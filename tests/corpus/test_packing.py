"""Encoding with roles and packing: nothing lost, nothing repeated, nothing learnt across documents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shrew.corpus import (
    EncodedDocument,
    PackedRows,
    drop_duplicates,
    encode_document,
    encode_documents,
    pack,
    read_corpus,
    response_document,
    text_document,
)
from shrew.errors import ConfigError

BOS, EOS, USER, REPLY = 1, 2, 3, 4


class WordTokenizer:
    """One token per word, numbered in order of first occurrence."""

    prompt_prefix: tuple[int, ...] = (BOS, USER)
    prompt_suffix: tuple[int, ...] = (REPLY,)

    def __init__(self, bos: int | None = BOS, eos: int | None = EOS) -> None:
        self.bos, self.eos = bos, eos
        self.words: dict[str, int] = {}

    def written(self, prompt: str) -> str:
        return prompt

    def encode_many(self, texts: list[str]) -> list[NDArray[np.uint16]]:
        return [
            np.array([self.words.setdefault(word, 5 + len(self.words)) for word in text.split()], np.uint16)
            for text in texts
        ]


def encoded(ids: Sequence[int], given: int) -> EncodedDocument:
    """A document whose first ``given`` tokens are not learnt."""
    return EncodedDocument(np.array(ids, np.uint16), np.arange(len(ids)) >= given)


def spans(rows: PackedRows) -> list[tuple[list[int], list[int]]]:
    """Every document in ``rows``: its tokens, and whether each but the first is learnt. Checks the row on the way."""
    found = []
    for r in range(len(rows)):
        numbers = rows.documents[r]
        padding = numbers < 0
        assert not rows.weights[r][padding].any()
        assert not rows.positions[r][padding].any()
        used = numbers[~padding]
        assert (np.diff(padding.astype(int)) >= 0).all(), "padding comes last"
        assert set(np.diff(used)) <= {0, 1}, "documents are contiguous and counted"
        assert used[:1].tolist() == [0]
        for number in range(used[-1] + 1):
            at = np.flatnonzero(numbers == number)
            assert rows.positions[r][at].tolist() == list(range(len(at)))
            inputs, targets = rows.inputs[r][at], rows.targets[r][at]
            assert inputs[1:].tolist() == targets[:-1].tolist(), "no target crosses documents"
            found.append(([*inputs.tolist(), int(targets[-1])], rows.weights[r][at].tolist()))
    return found


def expected(documents: Sequence[EncodedDocument]) -> list[tuple[list[int], list[int]]]:
    return [(d.ids.tolist(), d.learn[1:].astype(float).tolist()) for d in documents]


class TestRoles:
    def test_text(self) -> None:
        document = encode_document(text_document("a b"), WordTokenizer())
        assert document.ids.tolist() == [BOS, 5, 6, EOS]
        assert document.learn.tolist() == [False, True, True, True]
        assert document.ids.dtype == np.uint16

    def test_response(self) -> None:
        document = encode_document(response_document("a b", "c a"), WordTokenizer())
        assert document.ids.tolist() == [BOS, USER, 5, 6, REPLY, 7, 5, EOS]
        assert document.learn.tolist() == [False] * 5 + [True] * 3

    def test_command_is_learnt_with_its_prefix(self) -> None:
        document = encode_document(response_document("red", "Do: led red"), WordTokenizer())
        assert document.ids[document.learn].tolist() == [6, 7, 5, EOS]

    def test_follow_ups_repeat_the_frame_and_only_responses_are_learnt(self) -> None:
        document = encode_document(response_document("a", "b", follow_ups=(("c", "d e"),)), WordTokenizer())
        assert document.ids.tolist() == [BOS, USER, 5, REPLY, 6, EOS, BOS, USER, 7, REPLY, 8, 9, EOS]
        assert document.learn.nonzero()[0].tolist() == [4, 5, 10, 11, 12]

    def test_tokenizer_without_bos_or_eos(self) -> None:
        document = encode_document(text_document("a b"), WordTokenizer(bos=None, eos=None))
        assert document.ids.tolist() == [5, 6]
        assert document.learn.tolist() == [True, True]

    def test_many_are_the_same_as_one_by_one(self) -> None:
        documents = [text_document("a"), response_document("b", "a"), response_document("c", "a"), text_document("b")]
        tokenizer = WordTokenizer()
        many = encode_documents(documents, tokenizer)
        assert expected(many) == expected([encode_document(document, tokenizer) for document in documents])
        assert encode_documents([], tokenizer) == []


@st.composite
def documents(draw: st.DrawFn, longest: int) -> list[EncodedDocument]:
    lengths = draw(st.lists(st.integers(2, longest), max_size=60))
    made = []
    for number, length in enumerate(lengths):
        given_tokens = draw(st.integers(0, length - 1))
        made.append(encoded([number] * (length - 1) + [0xFFFF], given_tokens))
    return made


class TestPacking:
    @given(documents(longest=17), st.integers(16, 40))
    def test_every_document_once_whole_and_learnt_as_it_says(self, docs: list[EncodedDocument], context: int) -> None:
        rows, report = pack(docs, context)
        assert rows.inputs.shape == (report.rows, context)
        assert sorted(spans(rows)) == sorted(expected(docs))
        assert (report.documents, report.cut, report.dropped) == (len(docs), 0, 0)
        assert report.tokens == sum(len(d.ids) for d in docs)
        assert report.learned == sum(int(d.learn[1:].sum()) for d in docs)
        assert report.padding == pytest.approx((rows.documents < 0).mean() if docs else 0.0)

    @given(documents(longest=17), st.integers(16, 40))
    def test_no_two_rows_would_fit_in_one(self, docs: list[EncodedDocument], context: int) -> None:
        rows, _ = pack(docs, context)
        used = sorted((rows.documents >= 0).sum(axis=1).tolist())
        assert all(a + b > context for a, b in pairwise(used))

    @given(documents(longest=60), st.integers(1, 20))
    def test_long_documents(self, docs: list[EncodedDocument], context: int) -> None:
        rows, report = pack(docs, context)
        kept = [d for d in docs if d.learn[1 : context + 1].any()]
        assert report.dropped == len(docs) - len(kept)
        assert report.cut == sum(len(d.ids) > context + 1 for d in kept)
        texts = sum(len(d.ids) - 1 for d in kept if d.learn[1:].all())
        answers = sum(int(d.learn[1 : context + 1].sum()) for d in kept if not d.learn[1:].all())
        assert report.learned == texts + answers
        spans(rows)

    def test_long_text_goes_on_in_another_row_and_every_token_is_learnt_once(self) -> None:
        rows, report = pack([encoded(range(10), given=1)], context=4)
        assert [ids for ids, _ in spans(rows)] == [[0, 1, 2, 3, 4], [4, 5, 6, 7, 8], [8, 9]]
        assert (report.cut, report.learned, report.rows) == (1, 9, 3)

    def test_long_response_keeps_its_beginning(self) -> None:
        rows, report = pack([encoded(range(10), given=3)], context=4)
        assert spans(rows) == [([0, 1, 2, 3, 4], [0.0, 0.0, 1.0, 1.0])]
        assert (report.cut, report.dropped) == (1, 0)

    def test_prompt_that_fills_the_context_is_dropped(self) -> None:
        rows, report = pack([encoded(range(10), given=5)], context=4)
        assert (len(rows), report.cut, report.dropped) == (0, 0, 1)

    def test_document_that_exactly_fills_the_context_is_whole(self) -> None:
        rows, report = pack([encoded(range(5), given=1), encoded(range(2), given=1)], context=4)
        assert [ids for ids, _ in spans(rows)] == [[0, 1, 2, 3, 4], [0, 1]]
        assert report.cut == 0
        assert report.padding == 3 / 8

    def test_best_fit(self) -> None:
        """6 leaves 4, 5 leaves 5: the 4 goes to the best fit, and two rows suffice."""
        rows, report = pack([encoded(range(n + 1), given=1) for n in (5, 4, 6, 5)], context=10)
        assert report.padding == 0.0
        assert [[positions.tolist().count(0)] for positions in rows.positions] == [[2], [2]]

    def test_end_of_text_is_learnt_and_padding_is_not(self) -> None:
        """Also where the id of end-of-text is the one that fills padding."""
        rows, _ = pack([encoded([7, 8, 0], given=1)], context=4)
        assert rows.targets.tolist() == [[8, 0, 0, 0]]
        assert rows.weights.tolist() == [[1.0, 1.0, 0.0, 0.0]]
        assert rows.documents.tolist() == [[0, 0, -1, -1]]

    def test_nothing_to_pack(self) -> None:
        rows, report = pack([], context=8)
        assert rows.inputs.shape == (0, 8)
        assert report.padding == 0.0

    @pytest.mark.parametrize("context", [0, 32769])
    def test_impossible_context(self, context: int) -> None:
        with pytest.raises(ConfigError, match=f"context is {context}"):
            pack([], context)

    def test_types_are_those_of_the_contract(self) -> None:
        rows, _ = pack([encoded(range(3), given=1)], context=4)
        assert [a.dtype.name for a in (rows.inputs, rows.targets, rows.positions)] == ["uint16"] * 3
        assert [a.dtype.name for a in (rows.weights, rows.documents)] == ["float32", "int16"]

    def test_same_rows_every_time(self) -> None:
        random = np.random.default_rng(0)
        docs = [encoded(random.integers(0, 100, n).tolist(), given=1) for n in random.integers(2, 60, 500)]
        first, second = pack(docs, 64)[0], pack(docs, 64)[0]
        assert first.inputs.tobytes() == second.inputs.tobytes()
        assert first.documents.tobytes() == second.documents.tobytes()

    def test_fifty_thousand_documents(self) -> None:
        """Best fit by a search over the rows would take minutes here."""
        random = np.random.default_rng(1)
        docs = [encoded([0] * n, given=1) for n in random.integers(2, 400, 50_000)]
        _, report = pack(docs, context=512)
        assert report.padding < 0.01

    def test_published_corpus(self, shared_data: Path) -> None:
        distinct = drop_duplicates(read_corpus(shared_data / "hardwareone_rich_2026-03-30.txt"))
        docs = encode_documents(distinct, WordTokenizer())
        rows, report = pack(docs, context=128)
        assert len(spans(rows)) == len(distinct)
        assert report.cut == 0
        assert report.padding < 0.04
