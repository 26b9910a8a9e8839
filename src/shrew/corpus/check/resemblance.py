"""Finds the training text that each held-out text resembles most, exactly, in seconds for millions of words.

The similarity of two texts is the Jaccard index of their sets of shingles (n consecutive words): the number of shared
ones divided by the number of all. Texts that are at least t similar must share one of the rarest |A| - ⌈t |A|⌉ + 1
shingles of either, so only texts that do are compared (the prefix filter of Chaudhuri, Ganti and Kaushik, 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class _Sets:
    """The shingle sets of all texts, concatenated. A shingle is its rank by rarity, the rarest first."""

    ranks: NDArray[np.int64]
    starts: NDArray[np.int64]
    """[texts + 1]"""

    def of(self, text: int) -> NDArray[np.int64]:
        return self.ranks[self.starts[text] : self.starts[text + 1]]


def closest(
    held_out: Sequence[Sequence[str]],
    train: Sequence[Sequence[str]],
    n: int,
    threshold: float,
    groups: tuple[Sequence[int], Sequence[int]] | None = None,
) -> list[tuple[int, int, float]]:
    """For each held-out text, given as words, the most similar training text with at least ``threshold`` similarity.

    Texts are padded with blanks, so that short ones have shingles too. With ``groups``, numbers for the held-out and
    the training texts, only texts with the same number are compared. Each result is (held-out, train, similarity).
    """
    if not held_out or not train:
        return []
    sets = _shingle_sets([*train, *held_out], n)
    sizes = np.diff(sets.starts)
    prefixes = np.where(sizes, sizes - np.ceil(threshold * sizes).astype(np.int64) + 1, 0)
    rarest = np.arange(len(sets.ranks)) - np.repeat(sets.starts[:-1], sizes) < np.repeat(prefixes, sizes)
    rarest[sets.starts[len(train)] :] = False
    text_of = np.repeat(np.arange(len(sizes)), sizes)[rarest]
    order = np.argsort(sets.ranks[rarest], kind="stable")
    index, text_of = sets.ranks[rarest][order], text_of[order]

    allowed = None if groups is None else (np.asarray(groups[0]), np.asarray(groups[1]))
    results = []
    for i in range(len(held_out)):
        ours = sets.of(len(train) + i)
        rare = ours[: prefixes[len(train) + i]]
        begins, ends = np.searchsorted(index, rare), np.searchsorted(index, rare, side="right")
        sharing = [text_of[b:e] for b, e in zip(begins, ends, strict=True) if e > b]
        if not sharing:
            continue
        candidates = np.unique(np.concatenate(sharing))
        if allowed is not None:
            candidates = candidates[allowed[1][candidates] == allowed[0][i]]
        similarity = _similarities(sets, ours, candidates)
        if len(candidates) and similarity.max() >= threshold:
            best = int(similarity.argmax())
            results.append((i, int(candidates[best]), float(similarity[best])))
    return results


def _similarities(sets: _Sets, ours: NDArray[np.int64], candidates: NDArray[np.int64]) -> NDArray[np.float64]:
    """[candidates] Jaccard index of ``ours`` with each candidate's set."""
    begins, ends = sets.starts[candidates], sets.starts[candidates + 1]
    sizes = ends - begins
    owner = np.repeat(np.arange(len(candidates)), sizes)
    places = np.arange(len(owner)) + np.repeat(begins - np.r_[0, np.cumsum(sizes)[:-1]], sizes)
    shared = np.bincount(owner, weights=np.isin(sets.ranks[places], ours), minlength=len(candidates))
    return np.asarray(shared / (sizes + len(ours) - shared))


def _shingle_sets(texts: Sequence[Sequence[str]], n: int) -> _Sets:
    numbers: dict[str, int] = {}
    blanks = [0] * (n - 1)
    ids = np.array(
        [i for text in texts for i in (*[numbers.setdefault(word, len(numbers) + 1) for word in text], *blanks)],
        dtype=np.uint64,
    )
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    hashes = np.zeros(len(ids) - n + 1 if len(ids) >= n else 0, dtype=np.uint64)
    for k in range(n):
        hashes = hashes * _MULTIPLIER + ids[k : k + len(hashes)]
        hashes ^= hashes >> np.uint64(29)
    owner = np.repeat(np.arange(len(texts)), lengths)
    hashes = hashes[np.arange(len(owner)) + owner * (n - 1)]  # those that begin with a word, not with a blank

    values, ranks, frequency = np.unique(hashes, return_inverse=True, return_counts=True)
    by_rarity = np.empty(len(values), np.int64)
    by_rarity[np.argsort(frequency, kind="stable")] = np.arange(len(values))
    keys = np.unique(owner * len(values) + by_rarity[ranks])  # sorted by text and rank, without repeats
    sizes = np.bincount(keys // max(len(values), 1), minlength=len(texts))
    return _Sets(keys % max(len(values), 1), np.r_[0, np.cumsum(sizes)])
