"""The table of character classes, tested through the words that it gives, and damaged tables."""

from __future__ import annotations

import random
import runpy
import unicodedata
from pathlib import Path

import pytest

from shrew.engine.tokenizer import TokenizerView
from shrew.errors import ImageUnicodeError
from shrew.tokenizer import Tokenizer
from shrew.tokenizer.tokenizer import unicode_table

TOOL = runpy.run_path(str(Path(__file__).resolve().parents[2] / "tools/unicode_tables.py"))

TABLE = unicode_table()
STARTS = {"!": "other", "a": "letter", "1": "number"}
CODE_POINTS = [*range(0xD800), *range(0xE000, 0x110000)]
BATCHES = [CODE_POINTS[i : i + 0x10000] for i in range(0, len(CODE_POINTS), 0x10000)]

#: Merges each of three signs with any byte that follows it in the same word, which shows what is in the same word.
PROBE = Tokenizer(
    kind="bpe",
    pieces=tuple([bytes([a]) for a in range(256)] + [bytes([ord(start), b]) for start in STARTS for b in range(256)]),
    merges=tuple((ord(start), b, 256 * (i + 1) + b) for i, start in enumerate(STARTS) for b in range(256)),
    byte_ids=tuple(range(256)),
    unicode=True,
)


def probe_text(code_points: list[int]) -> str:
    return "".join(f"\n{start}{chr(code_point)}" for code_point in code_points for start in STARTS)


def classes_of(code_points: list[int]) -> list[str]:
    """The class of each, from the tokens of the text above."""
    ids, at, classes = PROBE.encode(probe_text(code_points)).tolist(), 0, []
    for code_point in code_points:
        class_ = "space"
        for start in STARTS.values():
            together = ids[at + 1] >= 256
            class_ = start if together else class_
            at += 2 + len(chr(code_point).encode()) - together
        classes.append(class_)
    assert at == len(ids)
    return classes


def test_classes_are_those_of_the_library_for_every_code_point() -> None:
    library = TOOL["library_classes"]()
    names = ("other", "letter", "number", "space")
    for batch in BATCHES:
        assert classes_of(batch) == [names[library[code_point]] for code_point in batch]
    assert TOOL["build_table"](library) == TABLE, "run tools/unicode_tables.py"


def test_classes_are_those_of_python_for_every_code_point_it_knows() -> None:
    by_category = {"L": "letter", "N": "number"}
    for batch in BATCHES:
        for code_point, class_ in zip(batch, classes_of(batch), strict=True):
            character = chr(code_point)
            category = unicodedata.category(character)
            if category == "Cn":
                continue  # the table may know a newer version of Unicode
            space = character.isspace() and character not in "\x1c\x1d\x1e\x1f"  # only Python counts these
            assert class_ == ("space" if space else by_category.get(category[0], "other")), hex(code_point)


def test_the_table_is_small() -> None:
    assert len(TABLE) <= 2500


def opens(table: bytes | None) -> bool:
    """Whether it is accepted; if so, it must serve every code point."""
    try:
        view = TokenizerView(PROBE.section(), table)
    except ImageUnicodeError:
        return False
    for code_point in (0x80, 0x7FF, 0x800, 0x3000, 0xFFFF, 0x10000, 0x10FFFF):
        view.encode(f"a{chr(code_point)}".encode())
    return True


def test_a_table_is_needed() -> None:
    assert opens(TABLE)
    assert not opens(None)
    assert not opens(b"")
    assert not opens(TABLE + b"\0")


def test_every_truncation_is_refused() -> None:
    assert not any(opens(TABLE[:size]) for size in range(len(TABLE)))


def test_every_damaged_byte_is_refused_or_harmless() -> None:
    classes_only = 0
    for at in range(len(TABLE)):
        for flip in (0x01, 0x04, 0x80, 0xFF):
            damaged = bytearray(TABLE)
            damaged[at] ^= flip
            accepted = opens(bytes(damaged))
            classes_only += accepted
            assert not accepted or flip == 0x01 or at < 2, at  # a class, or the version, which is for information
    assert classes_only > 1000


def test_random_damage_is_refused_or_harmless() -> None:
    rng = random.Random(4)
    for _ in range(3000):
        damaged = bytearray(TABLE)
        for _ in range(rng.randint(2, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        opens(bytes(damaged))
        opens(rng.randbytes(rng.randint(0, 64)))


@pytest.mark.parametrize(
    ("runs", "good"),
    [
        ([0xFC, 0xFF, 0x8F, 0x02], True),  # all 0x110000 code points
        ([0xFC, 0xFF, 0x8F, 0x03], False),  # more than there are
        ([0xFC, 0xFF, 0x8F, 0x01], False),  # fewer
        ([0xFC, 0xFF, 0x8F], False),  # cut short
        ([0xFC, 0xFF, 0x8F, 0x82, 0x00], False),  # a fifth byte
        ([0xFC, 0xFF, 0x8F, 0x02, 0x00], False),  # a run that the count does not mention
    ],
)
def test_a_single_run(runs: list[int], good: bool) -> None:
    assert opens(bytes([16, 0, 1, 0, 0, 0, 0, 0, 0, 0, *runs])) is good
