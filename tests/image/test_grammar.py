"""The grammar of commands: what patterns stand for, and what an image takes."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shrew.engine import Model
from shrew.errors import ConfigError
from shrew.image import Commands, describe, read_commands
from shrew.image.commands import literal, read_patterns


@pytest.mark.parametrize(
    ("pattern", "commands"),
    [
        ("led on", ["led on"]),
        ("led (on|off)", ["led off", "led on"]),
        ("a[b]c", ["abc", "ac"]),
        ("[a|b]c", ["ac", "bc", "c"]),
        ("(a|a|ab)[b]", ["a", "ab", "abb"]),
        ("x <8-11>", ["x 10", "x 11", "x 8", "x 9"]),
        ("<0-0>", ["0"]),
        (r"\\(a\\|b", ["(a|b"]),
        ("größe <1-2>", ["größe 1", "größe 2"]),
        ("((a|b)(c|[d]e)|f)", ["ac", "ade", "ae", "bc", "bde", "be", "f"]),
    ],
)
def test_patterns(pattern: str, commands: list[str]) -> None:
    grammar = Commands.of([pattern.replace("\\\\", "\\")])
    assert sorted(grammar) == sorted(commands)
    assert grammar.count() == len(commands)
    assert all(command in grammar for command in commands)


@pytest.mark.parametrize(("low", "high"), [(0, 100), (5, 5), (7, 1234), (90, 110), (0, 65535)])
def test_numbers(low: int, high: int) -> None:
    grammar = Commands.of([f"<{low}-{high}>"])
    assert grammar.count() == high - low + 1
    for number in {low, high, low + 1, high - 1, 10, 99, 100, high + 1, low - 1}:
        assert (str(number) in grammar) == (low <= number <= high)
    assert "007" not in grammar


def tree(depth: int):
    """Patterns beside the strings that they stand for."""
    text = st.text("ab(|é", min_size=1, max_size=3).map(lambda s: (literal(s), {s}))
    if not depth:
        return text

    def join(parts):
        return "".join(p for p, _ in parts), {"".join(c) for c in itertools.product(*(s for _, s in parts))}

    sequence = st.lists(tree(depth - 1), min_size=1, max_size=3).map(join)
    several = st.lists(sequence, min_size=1, max_size=3)
    either = several.map(lambda parts: (f"({'|'.join(p for p, _ in parts)})", set().union(*(s for _, s in parts))))
    maybe = sequence.map(lambda part: (f"[{part[0]}]x", {s + "x" for s in part[1]} | {"x"}))
    return st.one_of(text, sequence, either, maybe)


@given(st.lists(tree(2), min_size=1, max_size=3))
@settings(max_examples=150, deadline=None)
def test_an_automaton_stands_for_what_its_patterns_do(patterns) -> None:
    expected = set().union(*(strings for _, strings in patterns))
    grammar = Commands.of([pattern for pattern, _ in patterns])
    assert sorted(grammar, key=str.encode) == list(grammar)
    assert set(grammar) == expected
    assert grammar.count() == len(expected)


def test_an_automaton_is_small() -> None:
    """The smallest automaton shares beginnings and ends: no more states than one of the words has, and a few."""
    many = Commands.of([f"light {room} (on|off)" for room in ("kitchen", "bath", "hall", "cellar")])
    assert len(many.section) < 220
    assert len(Commands.of(["<0-99999>"]).section) < 400


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("a(b", "')' is missing"),
        ("a)b", "')' closes nothing"),
        ("a|b", "'|' closes nothing"),
        ("<3-1>", "range of numbers"),
        ("<a-b>", "range of numbers"),
        ("[a]", "may be empty"),
        ("", "may be empty"),
        ("a\\", "nothing follows"),
        ("a" * 257, "257 bytes"),
        ("\udc80", "not valid text"),
        ("(" * 5000 + "a" + ")" * 5000, "nested too deeply"),
    ],
)
def test_bad_patterns_are_named(pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message.replace("(", r"\(").replace(")", r"\)").replace("|", r"\|")):
        Commands.of([pattern])


def test_limits_are_named() -> None:
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="must be 0 to 1"):
            Commands.of(["a"], threshold)
    with pytest.raises(ConfigError, match="at least one"):
        Commands.of([])


def test_files_of_patterns(tmp_path: Path) -> None:
    path = tmp_path / "commands.txt"
    path.write_text("# the lamp\n\n led (on|off) \nbeep\n")
    assert read_patterns(path) == ["led (on|off)", "beep"]
    for content in (b"# nothing\n", b"", b"\xff"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=str(path)):
            read_patterns(path)
    with pytest.raises(ConfigError, match="cannot read"):
        read_patterns(tmp_path / "none.txt")


def test_an_image_gives_its_grammar_back() -> None:
    from engine.models import says

    grammar = Commands.of(["led (on|off)", "beep <1-3>"], 0.25)
    model: Model = says(b"Do: beep 2", commands=grammar)
    found = read_commands(model)
    assert found == grammar
    assert found is not None
    assert found.threshold == 0.25
    assert describe(model)["commands"] == {
        "count": 5,
        "threshold": 0.25,
        "examples": ["beep 1", "beep 2", "beep 3", "led off", "led on"],
    }
    assert describe(says(b"x"))["commands"] is None
    assert read_commands(says(b"x")) is None


def test_a_refusal_must_fit() -> None:
    from engine.models import says

    says(b"x", commands=Commands.of(["a"]), metadata=[("refusal", "x" * 256)])
    with pytest.raises(ConfigError, match="refusal"):
        says(b"x", commands=Commands.of(["a"]), metadata=[("refusal", "x" * 257), ("refusal", "the first counts")])
