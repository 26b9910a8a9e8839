"""Byte-level BPE against the library, on text, on bytes that are not text, with and without scratch memory."""

from __future__ import annotations

import random
import re

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from library import encode_bytes, library_with, printable
from mixed_text import mixed_text

from shrew.engine.binding import ffi, lib
from shrew.engine.tokenizer import TokenizerView
from shrew.tokenizer import Tokenizer, train_bpe

MIXED = mixed_text(1_200_000)
OURS = train_bpe([MIXED], vocab=4096)
ASCII = train_bpe([MIXED[:200_000]], vocab=2048, unicode=False)
RUNS = train_bpe(["".join(random.Random(1).choices("ab", k=20_000)), "a" * 1000], vocab=600)
THEIRS, THEIRS_RUNS = library_with(OURS), library_with(RUNS)


def view_of(tokenizer: Tokenizer) -> TokenizerView:
    return TokenizerView(tokenizer.section(), tokenizer.unicode_section())


def test_mixed_text_is_cut_as_by_the_library() -> None:
    assert len(MIXED.encode()) >= 1_000_000
    assert OURS.vocab == 4096
    assert OURS.encode(MIXED).tolist() == THEIRS.encode(MIXED).ids


def test_other_text_by_line_is_cut_as_by_the_library() -> None:
    for line in mixed_text(200_000, seed=8).split("\n"):
        assert OURS.encode(line).tolist() == THEIRS.encode(line).ids, line


@given(st.text())
def test_any_text_is_cut_as_by_the_library(text: str) -> None:
    assert OURS.encode(text).tolist() == THEIRS.encode(text).ids


@given(st.text(alphabet=" '\nsltrevdmLa1.\u00a0\u0301é²"))
def test_contractions_and_spaces_are_cut_as_by_the_library(text: str) -> None:
    assert OURS.encode(text).tolist() == THEIRS.encode(text).ids


def broken(rng: random.Random, text: bytes) -> bytes:
    """The text with bytes changed, removed and inserted."""
    data = bytearray(text)
    for _ in range(len(data) // 20 + 1):
        at = rng.randrange(len(data) or 1)
        data[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
    return bytes(data)


def test_broken_utf8_is_cut_as_by_the_library() -> None:
    rng = random.Random(2)
    for line in mixed_text(60_000, seed=9).encode().split(b"\n"):
        data = broken(rng, line)
        assert OURS.encode(data).tolist() == encode_bytes(THEIRS, data), data


@pytest.mark.parametrize(
    "data",
    [
        b"\xc0\x80",  # overlong NUL
        b"\xe0\x80\xaf",  # overlong slash
        b"\xed\xa0\x80",  # a surrogate
        b"\xf4\x90\x80\x80",  # above U+10FFFF
        b"\xf8\x88\x80\x80\x80",
        b"a\xe2\x82",  # cut short at the end
        b"a\xe2\x82b",
        b"\x80\xbf" * 40,
        b"\xff \xfe's",
        " é".encode()[:2] + b" x",
    ],
)
def test_what_strict_utf8_refuses_is_bytes(data: bytes) -> None:
    assert OURS.encode(data).tolist() == encode_bytes(THEIRS, data)
    assert OURS.decode_bytes(OURS.encode(data)) == data


@given(st.binary() | st.text().map(lambda text: text.encode()))
def test_all_bytes_come_back(data: bytes) -> None:
    for tokenizer in (OURS, ASCII, RUNS):
        assert tokenizer.decode_bytes(tokenizer.encode(data)) == data


def encode_by_ascii_rules(library: tokenizers.Tokenizer, data: bytes) -> list[int]:
    letter, number, space = r"A-Za-z\x80-\ud7ff\ue000-\U0010ffff", "0-9", r"\t-\r "
    words = re.compile(
        rf"'s|'t|'re|'ve|'m|'ll|'d| ?[{letter}]+| ?[{number}]+| ?[^{letter}{number}{space}]+"
        rf"|[{space}]+(?![^{space}])|[{space}]+"
    )
    ids: list[int] = []
    for word in words.findall(data.decode("utf-8", "surrogateescape")):
        piece = printable(word.encode("utf-8", "surrogateescape"))
        ids += [token.id for token in library.model.tokenize(piece)]
    return ids


def test_ascii_rules_are_those_of_the_format() -> None:
    library, rng = library_with(ASCII), random.Random(3)
    for line in mixed_text(60_000, seed=10).encode().split(b"\n"):
        for data in (line, broken(rng, line)):
            assert ASCII.encode(data).tolist() == encode_by_ascii_rules(library, data), data


def test_special_tokens_never_come_from_text() -> None:
    specials = set(OURS.specials.values())
    assert not specials & set(OURS.encode("<|begin|><|end|><|answer|>").tolist())


@pytest.mark.parametrize("size", [1, 2, 47, 48, 49, 50, 100, 1000, 20_000])
@pytest.mark.parametrize("alphabet", ["a", "ab", "aab"])
def test_long_words_with_and_without_scratch(size: int, alphabet: str) -> None:
    """48 and 49 lie on both sides of the change of method."""
    view = view_of(RUNS)
    data = "".join(random.Random(size).choices(alphabet, k=size)).encode()
    ids = view.encode(data).tolist()
    assert ids == view.encode(data, scratch=False).tolist()
    assert ids == THEIRS_RUNS.encode(data.decode()).ids


@given(st.text(alphabet="ab", min_size=40, max_size=200))
def test_long_words_of_any_pattern(text: str) -> None:
    view = view_of(RUNS)
    ids = view.encode(text.encode()).tolist()
    assert ids == view.encode(text.encode(), scratch=False).tolist() == THEIRS_RUNS.encode(text).ids


def test_a_megabyte_without_a_boundary() -> None:
    data = b"a" * 1_000_000
    ids = RUNS.encode(data)
    assert RUNS.decode_bytes(ids) == data
    assert len(ids) <= 1_000_000 // 128 + 10


def test_a_later_merge_of_higher_priority_comes_first() -> None:
    """Priorities that no training gives: a merge makes a pair that comes before the merge itself."""
    text = b"abcdeabcde" * 6  # beyond the short method
    byte_ids = tuple(range(256))
    a, b, c, d, e = b"abcde"
    tokenizer = Tokenizer(
        kind="bpe",
        pieces=(*(bytes([byte]) for byte in range(256)), b"ab", b"abc", b"cd", b"de"),
        merges=((a, b, 256), (256, c, 257), (c, d, 258), (d, e, 259)),
        ranks=(2, 0, 1, 2),
        byte_ids=byte_ids,
    )
    view = view_of(tokenizer)
    # cd comes first everywhere, so abc never does; ab then, and e stays.
    assert view.encode(b"abcde").tolist() == [256, 258, e]
    assert view.encode(text).tolist() == view.encode(text, scratch=False).tolist() == [256, 258, e] * 12
    assert view.encode(b"abc").tolist() == [257]
    assert view.encode(b"abc" * 50).tolist() == view.encode(b"abc" * 50, scratch=False).tolist() == [257] * 50


def call(view: TokenizerView, data: bytes, capacity: int, scratch: int) -> tuple[int, list[int]]:
    """shrew_encode itself: its status, and the ids if it succeeded."""
    ids, count = ffi.new("uint16_t[]", capacity + 1), ffi.new("size_t *")
    ids[capacity] = 0xABCD
    memory = ffi.new("char[]", scratch) if scratch else ffi.NULL
    status = lib.shrew_encode(view._view, data, len(data), ids, capacity, count, memory, scratch)
    assert ids[capacity] == 0xABCD
    return status, list(ids[0 : count[0]]) if status == 0 else []


@pytest.mark.parametrize("data", [b"hello world, this is it", b"a" * 49, b"ab" * 100 + b" end"])
def test_capacity_and_scratch_at_their_edges(data: bytes) -> None:
    view = view_of(OURS)
    expected = view.encode(data).tolist()
    full = lib.shrew_encode_scratch_bytes(len(data))
    for capacity in range(len(data) + 2):
        for scratch in (0, 1, full // 2, full - 1, full):
            status, ids = call(view, data, capacity, scratch)
            assert (status, ids) == (0, expected) or (status == lib.SHREW_E_BUFFER and capacity < len(data))
            if capacity < len(expected):
                assert status == lib.SHREW_E_BUFFER
    assert call(view, b"", 0, 0) == (0, [])


def test_short_words_need_room_for_their_tokens_only() -> None:
    view = view_of(OURS)
    expected = view.encode(b" the shrew").tolist()
    assert call(view, b" the shrew", len(expected), 0) == (0, expected)


def test_arguments_are_checked() -> None:
    view, count, ids = view_of(OURS), ffi.new("size_t *"), ffi.new("uint16_t[4]")
    assert lib.shrew_encode(ffi.NULL, b"a", 1, ids, 4, count, ffi.NULL, 0) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_encode(view._view, ffi.NULL, 1, ids, 4, count, ffi.NULL, 0) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_encode(view._view, b"a", 1, ffi.NULL, 4, count, ffi.NULL, 0) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_encode(view._view, b"a", 1, ids, 4, ffi.NULL, ffi.NULL, 0) == lib.SHREW_E_ARGUMENT
    piece = ffi.new("const uint8_t **")
    assert lib.shrew_token_bytes(view._view, OURS.vocab, piece, count) == lib.SHREW_E_ARGUMENT
