"""Training against the reference vocabulary and against the library."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from library import library_trained, printable, printable_merges
from mixed_text import mixed_text

from shrew.errors import TokenizerError
from shrew.tokenizer import Tokenizer, train_bpe

SPECIAL = "<|endoftext|>"


def train(texts: list[str], vocab: int, **options: object) -> Tokenizer:
    return train_bpe(
        texts, vocab=vocab, specials=[SPECIAL], bos=SPECIAL, eos=SPECIAL, prompt_prefix=(), prompt_suffix=(), **options
    )


@pytest.mark.parametrize("by_line", [False, True], ids=["whole", "by line"])
def test_reference_merges_and_vocabulary(shared_data: Path, by_line: bool) -> None:
    text = (shared_data / "bpe_corpus_en.txt").read_text(encoding="utf-8")
    trained = train(text.splitlines(keepends=True) if by_line else [text], 500)
    reference = (shared_data / "bpe_train_reference_merges.txt").read_text(encoding="utf-8").splitlines()
    assert [" ".join(merge) for merge in printable_merges(trained)] == reference
    vocabulary = json.loads((shared_data / "bpe_train_reference_vocab.json").read_text(encoding="utf-8"))
    ours = {printable(piece): token for token, piece in enumerate(trained.pieces) if piece}
    assert ours | trained.specials == vocabulary


@pytest.mark.parametrize("min_frequency", [0, 2, 50])
def test_merges_are_the_librarys_where_ties_go_by_id(min_frequency: int) -> None:
    texts = mixed_text(300_000).split("\n")
    ours = train(texts, 3000, ties="ids", min_count=min_frequency)
    assert printable_merges(ours) == library_trained(texts, 3000, SPECIAL, min_frequency)


@pytest.mark.parametrize("alphabet", ["a", "ab", "abc", "a b", "aé😀 "])
def test_runs_and_overlaps_are_merged_as_in_the_library(alphabet: str) -> None:
    rng = random.Random(alphabet)
    for _ in range(30):
        texts = ["".join(rng.choices(alphabet, k=rng.randint(1, 60))) for _ in range(rng.randint(1, 30))]
        assert printable_merges(train(texts, 400, ties="ids")) == library_trained(texts, 400, SPECIAL)


def test_small_text_gives_a_small_vocabulary() -> None:
    assert train(["abcabc"], 1000).vocab == 257 + 3  # bc (or ab), abc, abcabc
    assert train(["x"], 1000).vocab == train([""], 1000).vocab == train([], 1000).vocab == 257
    assert train(["abc" * 100], 257).vocab == 257


def test_texts_are_not_joined() -> None:
    assert train(["a", "b"] * 10, 300).vocab == 257
    assert train(["ab"] * 10, 300).vocab == 258


def test_no_token_is_longer_than_the_format_allows() -> None:
    trained = train(["a" * 5000, "b" * 300], 400)
    assert 128 <= max(map(len, trained.pieces)) <= 255
    text = "a" * 4999
    assert trained.decode(trained.encode(text)) == text


def test_ties_go_to_the_greater_bytes() -> None:
    assert train(["ab", "cd", "Zz"], 258).pieces[257] == b"cd"
    assert train(["ab", "cd", "Zz"], 258, ties="ids").pieces[257] == b"Zz"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"vocab": 258}, "must be 259"),
        ({"vocab": 65536}, "to 65535"),
        ({"vocab": 300, "specials": ("a", "a")}, "occur twice"),
        ({"vocab": 300, "bos": "<|start|>"}, "not among the special tokens"),
        ({"vocab": 300, "prompt_suffix": ("?",)}, "not among the special tokens"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(TokenizerError, match=reason):
        train_bpe(["some text"], **options)
