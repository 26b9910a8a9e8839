"""The fast search for similar texts, compared with a simple slow one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrew.corpus.check.resemblance import closest

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=8)


def shingles(text: list[str], n: int) -> set[tuple[str, ...]]:
    padded = [*text, *[""] * (n - 1)]
    return {tuple(padded[i : i + n]) for i in range(len(text))}


def jaccard(a: set, b: set) -> float:
    return len(a & b) / len(a | b) if a | b else 0.0


@given(TEXTS, TEXTS, st.integers(1, 3), st.sampled_from([0.2, 0.5, 0.8, 1.0]))
def test_same_as_comparing_all(held_out: list[list[str]], train: list[list[str]], n: int, threshold: float) -> None:
    found = {i: (j, similarity) for i, j, similarity in closest(held_out, train, n, threshold)}
    for i, text in enumerate(held_out):
        all_similarities = [jaccard(shingles(text, n), shingles(other, n)) for other in train]
        best = max(all_similarities, default=0.0)
        assert (i in found) == (best >= threshold)
        if i in found:
            j, similarity = found[i]
            assert similarity == pytest.approx(best)
            assert all_similarities[j] == pytest.approx(best)


def test_groups_are_compared_among_themselves() -> None:
    train = [["a", "b"], ["a", "b", "c"]]
    assert closest([["a", "b"]], train, 1, 0.5, groups=([1], [0, 1])) == [(0, 1, pytest.approx(2 / 3))]
    assert closest([["a", "b"]], train, 1, 0.5, groups=([2], [0, 1])) == []
