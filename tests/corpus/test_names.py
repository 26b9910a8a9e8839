"""The list of first names."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest


@pytest.fixture(scope="module")
def lines() -> list[str]:
    text = files("shrew.corpus").joinpath("data", "names.txt").read_bytes().decode("ascii")
    assert text.endswith("\n")
    return text.splitlines()


def test_there_are_enough(lines: list[str]) -> None:
    assert len(lines) >= 5200


def test_sorted_without_repeats(lines: list[str]) -> None:
    assert lines == sorted(set(lines))


def test_each_is_a_lower_case_word(lines: list[str]) -> None:
    assert [line for line in lines if not re.fullmatch(r"[a-z]{2,15}", line)] == []


def test_every_first_letter_and_many_cultures(lines: list[str]) -> None:
    assert {line[0] for line in lines} == set("abcdefghijklmnopqrstuvwxyz")
    some = "oliver maria giuseppe hakon zbigniew despina mehmet fatima parisa shlomo lakshmi hiroshi mei jiwoo"
    more = "nguyet budi kwame siobhan leilani octavia makoa thandiwe citlali aino tigran nino"
    assert set(f"{some} {more}".split()) - set(lines) == set()
