"""Damaged tokenizer sections: each is refused, or works as well as any other."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

import pytest

from shrew.engine.tokenizer import TokenizerView
from shrew.errors import EngineError, ImageReservedError, ImageTokenizerError, ImageUnicodeError
from shrew.tokenizer import Tokenizer, train_bpe, train_character

#: Flags of a section, docs/FORMAT.md.
SPACE_PREFIX, UNICODE, RANKS, BYTE_IDS = 1, 2, 4, 8

TEXTS = [b"the shrew is a shrew", b"a\xff\xc3(\xe2\x82\xac)", b"abcab" * 30, "é🐁 ²".encode(), b""]


def small_bpe(**options: object) -> Tokenizer:
    return train_bpe(["the shrew is the smallest shrew of them all"] * 2, vocab=280, unicode=False, **options)


def small_sentencepiece() -> Tokenizer:
    """Bytes, four characters, three merges with priorities."""
    return Tokenizer(
        kind="sentencepiece",
        pieces=(b"", b"", *(bytes([byte]) for byte in range(256)), b" ", b"a", b"b", b"\xc3\xa9", b"ab", b" a", b" ab"),
        specials={"<s>": 0, "</s>": 1},
        merges=((259, 260, 262), (258, 259, 263), (258, 262, 264), (263, 260, 264)),
        ranks=(1, 0, 2, 2),
        byte_ids=tuple(range(2, 258)),
        bos=0,
        eos=1,
        prompt_prefix=(0,),
        space_prefix=True,
    )


SECTIONS = {
    "bpe": small_bpe().section(),
    "sentencepiece": small_sentencepiece().section(),
    "character": train_character(["emma olivia é🐁"]).section(),
}


def survives(section: bytes, unicode: bytes | None = None) -> bool:
    """Whether a section is accepted; if so, everything that can be done with it must work."""
    try:
        view = TokenizerView(section, unicode)
    except (ImageTokenizerError, ImageUnicodeError, ImageReservedError):
        return False
    for text in TEXTS:
        outcomes = []
        for scratch in (True, False):
            try:
                outcomes.append(view.encode(text, scratch=scratch).tolist())
            except EngineError as error:
                outcomes.append([error.status])
        assert outcomes[0] == outcomes[1]
        if view.kind == "bpe":
            assert b"".join(map(view.token_bytes, outcomes[0])) == text
    assert sum(len(view.token_bytes(token)) for token in range(view.vocab)) < len(section)
    return True


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_truncation_is_refused(kind: str) -> None:
    section = SECTIONS[kind]
    assert survives(section)
    assert not any(survives(section[:size]) for size in range(len(section)))
    assert not survives(section + bytes(4))


@pytest.mark.parametrize("kind", SECTIONS)
def test_every_damaged_byte_is_refused_or_harmless(kind: str) -> None:
    section = SECTIONS[kind]
    for at in range(len(section)):
        for flip in (0x01, 0x02, 0x10, 0x80, 0xFF):
            damaged = bytearray(section)
            damaged[at] ^= flip
            survives(bytes(damaged))


@pytest.mark.parametrize("kind", SECTIONS)
def test_random_damage_is_refused_or_harmless(kind: str) -> None:
    rng, section = random.Random(kind), SECTIONS[kind]
    for _ in range(4000):
        damaged = bytearray(section)
        for _ in range(rng.randint(2, 8)):
            at = rng.randrange(rng.choice([48, len(damaged)]))
            damaged[at] = rng.choice([rng.randrange(256), 0, 0xFF, damaged[at] ^ 1 << rng.randrange(8)])
        survives(bytes(damaged))
        survives(section[: rng.choice([48, 60])] + rng.randbytes(rng.randint(0, 200)))


@dataclass
class Parts:
    """A section taken apart, to be put together with one defect."""

    header: list[int]
    arrays: list[bytearray]

    @classmethod
    def of(cls, section: bytes) -> Parts:
        header = list(struct.unpack_from("<HHIIII4H2H16s", section))[:-1]
        _, flags, vocab, pieces, merges, characters, *_, prefix, suffix = header
        sizes = [vocab, (vocab + 15) // 16 * 4, pieces, merges * 6, merges * 2 * bool(flags & RANKS)]
        sizes += [512 * bool(flags & BYTE_IDS), characters * 2, prefix * 2, suffix * 2]
        arrays, at = [], 48
        for size in sizes:
            arrays.append(bytearray(section[at : at + size]))
            at += size + -size % 4
        assert at == len(section)
        return cls(header, arrays)

    def joined(self) -> bytes:
        arrays = b"".join(bytes(array) + bytes(-len(array) % 4) for array in self.arrays)
        return struct.pack("<HHIIII4H2H16x", *self.header) + arrays


KIND, FLAGS, VOCAB, PIECES_BYTES, MERGES, CHARACTERS, BOS, EOS, PAD, UNK, PREFIX, SUFFIX = range(12)
LENGTHS, STARTS, PIECES, MERGE_TABLE, RANK_TABLE, BYTE_TABLE, SORTED, PREFIX_IDS, SUFFIX_IDS = range(9)


def test_taking_apart_is_faithful() -> None:
    for section in SECTIONS.values():
        assert Parts.of(section).joined() == section


@pytest.mark.parametrize("kind", SECTIONS)
@pytest.mark.parametrize(
    ("field", "value"),
    [
        (KIND, 3),
        (KIND, 0xFFFF),
        (VOCAB, 0),
        (VOCAB, 0x10000),
        (VOCAB, 0xFFFFFFFF),
        (PIECES_BYTES, 0xFFFFFFFF),
        (PIECES_BYTES, 0xFFFFFFFD),
        (MERGES, 0x10000),
        (MERGES, 0x80000000),
        (CHARACTERS, 0x10000),
        (CHARACTERS, 0x80000001),
        (PREFIX, 0xFFFF),
        (SUFFIX, 0xFFFF),
        (BOS, 0xFFFE),
        (EOS, 0xFFFE),
        (PAD, 0xFFFE),
        (UNK, 0xFFFE),
    ],
)
def test_impossible_numbers_are_refused(kind: str, field: int, value: int) -> None:
    parts = Parts.of(SECTIONS[kind])
    parts.header[field] = value
    assert not survives(parts.joined())


@pytest.mark.parametrize(
    ("kind", "flag"),
    [
        ("bpe", SPACE_PREFIX),
        ("sentencepiece", UNICODE),
        ("character", SPACE_PREFIX),
        ("character", UNICODE),
        ("character", RANKS),
    ],
)
def test_flags_of_another_kind_are_refused(kind: str, flag: int) -> None:
    parts = Parts.of(SECTIONS[kind])
    parts.header[FLAGS] |= flag
    with pytest.raises(ImageTokenizerError):
        TokenizerView(parts.joined())


@pytest.mark.parametrize("kind", SECTIONS)
def test_reserved_bits_and_padding_have_an_error_of_their_own(kind: str) -> None:
    section = SECTIONS[kind]
    for at in (3, *range(32, 48)):
        damaged = bytearray(section)
        damaged[at] |= 0x40
        with pytest.raises(ImageReservedError):
            TokenizerView(bytes(damaged))
    padded = Parts.of(section)
    at = 48 + len(padded.arrays[LENGTHS])
    if at % 4:
        damaged = bytearray(section)
        damaged[at] = 1
        with pytest.raises(ImageReservedError):
            TokenizerView(bytes(damaged))


def test_character_classes_are_needed_exactly_where_flagged() -> None:
    parts = Parts.of(SECTIONS["bpe"])
    parts.header[FLAGS] |= UNICODE
    with pytest.raises(ImageUnicodeError):
        TokenizerView(parts.joined())
    table = train_bpe(["x"], vocab=259).unicode_section()
    assert survives(parts.joined(), table)
    with pytest.raises(ImageUnicodeError):
        TokenizerView(SECTIONS["bpe"], table)


def u16(array: bytearray, index: int, value: int) -> None:
    struct.pack_into("<H", array, 2 * index, value)


def swap(array: bytearray, a: int, b: int, width: int) -> None:
    a, b = a * width, b * width
    array[a : a + width], array[b : b + width] = array[b : b + width], array[a : a + width]


DEFECTS = {
    "merges unsorted": ("bpe", lambda p: swap(p.arrays[MERGE_TABLE], 0, 1, 6)),
    "merge twice": ("bpe", lambda p: p.arrays[MERGE_TABLE].__setitem__(slice(6, 12), p.arrays[MERGE_TABLE][:6])),
    "merge of no token": ("bpe", lambda p: u16(p.arrays[MERGE_TABLE], 3 * p.header[MERGES] - 3, 280)),
    "merge to no token": ("bpe", lambda p: u16(p.arrays[MERGE_TABLE], 2, 0xFFFF)),
    "merge to another string": ("bpe", lambda p: u16(p.arrays[MERGE_TABLE], 2, 3)),
    "merge of a special token": ("bpe", lambda p: u16(p.arrays[MERGE_TABLE], 0, 0)),
    "rank too high": ("sentencepiece", lambda p: u16(p.arrays[RANK_TABLE], 0, 4)),
    "byte of no token": ("bpe", lambda p: u16(p.arrays[BYTE_TABLE], 255, 280)),
    "byte of another": ("bpe", lambda p: u16(p.arrays[BYTE_TABLE], 65, 3)),
    "byte of a special token": ("sentencepiece", lambda p: u16(p.arrays[BYTE_TABLE], 0, 0)),
    "characters unsorted": ("character", lambda p: swap(p.arrays[SORTED], 0, 1, 2)),
    "character twice": ("character", lambda p: p.arrays[SORTED].__setitem__(slice(0, 2), p.arrays[SORTED][2:4])),
    "character of no token": ("character", lambda p: u16(p.arrays[SORTED], 0, 0xFFFE)),
    "character of two": ("sentencepiece", lambda p: u16(p.arrays[SORTED], 1, 262)),
    "empty character": ("character", lambda p: u16(p.arrays[SORTED], 0, p.header[BOS])),
    "start of pieces wrong": ("bpe", lambda p: p.arrays[STARTS].__setitem__(4, p.arrays[STARTS][4] ^ 1)),
    "first start not zero": ("bpe", lambda p: p.arrays[STARTS].__setitem__(0, 1)),
    "lengths beyond pieces": ("bpe", lambda p: p.arrays[LENGTHS].__setitem__(279, p.arrays[LENGTHS][279] + 1)),
    "padding is bos": ("bpe", lambda p: p.header.__setitem__(PAD, p.header[BOS])),
    "prefix of no token": ("bpe", lambda p: u16(p.arrays[PREFIX_IDS], 0, 280)),
    "suffix of no token": ("bpe", lambda p: u16(p.arrays[SUFFIX_IDS], 0, 0xFFFF)),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_each_defect_is_refused(defect: str) -> None:
    kind, damage = DEFECTS[defect]
    parts = Parts.of(SECTIONS[kind])
    damage(parts)
    with pytest.raises(ImageTokenizerError):
        TokenizerView(parts.joined())


def test_a_misaligned_section_is_refused() -> None:
    for section in SECTIONS.values():
        shifted = memoryview(b"x" + section)[1:]
        with pytest.raises(EngineError, match="not aligned"):
            TokenizerView(shifted)  # type: ignore[arg-type]


def test_llama2c_sections_survive_random_damage(shared_data: Path) -> None:
    from shrew.doors.llama2c import read_tokenizer

    rng, section = random.Random(5), read_tokenizer(shared_data / "tok512.bin", vocab=512).section()
    assert survives(section)
    for _ in range(500):
        damaged = bytearray(section)
        for _ in range(rng.randint(1, 3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        survives(bytes(damaged))
