"""Writes the table of character classes, section 7 of docs/FORMAT.md, to src/shrew/tokenizer/unicode.bin.

Usage: unicode_tables.py [--check]

The classes are those of the ``tokenizers`` library, so that words are split as there: its GPT-2 pre-tokenizer is
applied to each code point. The result is compared with Python's ``unicodedata``. They must agree on every code point
that is assigned in Python's version of Unicode. The library may know a newer version and decides about the others. (If
Python's version is newer, nothing is written.)
"""

from __future__ import annotations

import sys
import unicodedata
from itertools import groupby
from pathlib import Path

from tokenizers import pre_tokenizers

OTHER, LETTER, NUMBER, SPACE = range(4)
CODE_POINTS = 0x110000
UNICODE_VERSION = 16  # of the classes in tokenizers 0.20 and later
RUNS_PER_ENTRY = 32
OUTPUT = Path(__file__).resolve().parent.parent / "src/shrew/tokenizer/unicode.bin"


def library_classes() -> bytes:
    """The class of every code point, by whether it joins a word with a letter, a digit, a sign or none of them."""
    cut = pre_tokenizers.ByteLevel(add_prefix_space=False).pre_tokenize_str
    classes = bytearray(CODE_POINTS)
    for code_point in range(CODE_POINTS):
        if 0xD800 <= code_point < 0xE000:
            continue  # surrogates are not characters
        character = chr(code_point)
        together = (class_ for class_, start in enumerate("!a1") if len(cut(start + character)) == 1)
        classes[code_point] = next(together, SPACE)
    return bytes(classes)


def python_class(code_point: int) -> int | None:
    """The class by Python's tables; None if the code point is not assigned."""
    character = chr(code_point)
    category = unicodedata.category(character)
    if category == "Cn":
        return None
    if character.isspace() and not 0x1C <= code_point <= 0x1F:  # which only Python counts as white space
        return SPACE
    return {"L": LETTER, "N": NUMBER}.get(category[0], OTHER)


def encode_run(class_: int, count: int) -> bytes:
    """Class in bits 0 and 1, the count less one in bits 2 to 6 and in seven bits of each byte that follows."""
    rest, run = (count - 1) >> 5, bytearray([class_ | (count - 1 & 0x1F) << 2])
    while rest:
        run[-1] |= 0x80
        run.append(rest & 0x7F)
        rest >>= 7
    return bytes(run)


def build_table(classes: bytes) -> bytes:
    """Section 7."""
    runs = [(class_, len(list(group))) for class_, group in groupby(classes)]
    index, data, first = b"", b"", 0
    for i, (class_, count) in enumerate(runs):
        if i % RUNS_PER_ENTRY == 0:
            index += first.to_bytes(4, "little") + len(data).to_bytes(2, "little")
        data += encode_run(class_, count)
        first += count
    return UNICODE_VERSION.to_bytes(2, "little") + len(runs).to_bytes(2, "little") + index + data


def main() -> None:
    classes = library_classes()
    differing = [c for c in range(CODE_POINTS) if python_class(c) not in (None, classes[c])]
    if differing:
        sys.exit(f"tokenizers and unicodedata {unicodedata.unidata_version} differ on {list(map(hex, differing))[:20]}")
    table = build_table(classes)
    if "--check" in sys.argv[1:]:
        if OUTPUT.read_bytes() != table:
            sys.exit(f"{OUTPUT} is not what this tool writes; run it without --check")
    else:
        OUTPUT.write_bytes(table)
    print(f"{OUTPUT.name}: {len(table):,} bytes")


if __name__ == "__main__":
    main()
