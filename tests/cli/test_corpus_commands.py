"""`shrew corpus check`, `shrew corpus pack` and `shrew presets` as users see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from shrew.cli import shrew
from shrew.model.presets import PRESETS
from shrew.tokenizer import train_bpe

GOOD = "Q: Is it red?\nQ: its colour please\nTest: what does it look like\nA: It is red.\n"
NOTED = GOOD + "\nQ: Is it  large?\nA: It is large.\n"
BAD = GOOD + "\nQ: is it red\nA: It is blue.\n"


def run(*arguments: object, code: int = 0, width: int = 200) -> Result:
    result = CliRunner(env={"COLUMNS": str(width)}).invoke(shrew, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [(GOOD, [], 0), (GOOD, ["--strict"], 0), (NOTED, [], 0), (NOTED, ["--strict"], 1), (BAD, [], 1)],
)
def test_check_tells_by_its_exit_code(tmp_path: Path, text: str, options: list[str], code: int) -> None:
    file = tmp_path / "facts.txt"
    file.write_text(text)
    run("corpus", "check", file, *options, code=code)
    report = json.loads(run("corpus", "check", file, "--json", *options, code=code).stdout)
    assert (report["errors"] > 0) == (text is BAD)
    assert (report["train"], report["held_out"], report["context"]) == (len(text.split("Q:")) - 1, 1, 128)


@pytest.mark.parametrize("width", [80, 120])
def test_check_names_the_lines_and_says_what_to_do(tmp_path: Path, width: int) -> None:
    file = tmp_path / "facts.txt"
    file.write_text(BAD)
    shown = run("corpus", "check", file, code=1, width=width).stdout
    assert "questions with several answers: 1" in shown
    assert "facts.txt:1, 6" in shown
    assert "Keep one answer" in shown
    assert max(map(len, shown.splitlines())) <= width


def test_check_prints_no_control_characters_of_a_corpus(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    file.write_text("Q: \x1b[2J[red]it\nA: Yes.\n\nQ: \x1b[2J[red]it\nA: No.\n")
    shown = run("corpus", "check", file, code=1).stdout
    assert "\x1b" not in shown
    assert "[red]it" in shown


def test_check_takes_context_and_tokenizer_of_the_model_to_be(tmp_path: Path) -> None:
    file, tokenizer = tmp_path / "facts.txt", tmp_path / "tokenizer.json"
    file.write_text(GOOD)
    train_bpe([], vocab=259).save(tokenizer)
    report = json.loads(
        run("corpus", "check", file, "--tokenizer", tokenizer, "--context", 20, "--json", code=1).stdout
    )
    assert (report["context"], report["vocab"]) == (20, 259)
    assert [f["count"] for f in report["findings"] if f["check"] == "cut answers"] == [3]


def test_pack_compares_the_ways(tmp_path: Path) -> None:
    file = tmp_path / "facts.txt"
    file.write_text("\n".join(f"Q: What is thing {n}?\nA: It is thing {n}, {'so ' * (n % 7)}.\n" for n in range(50)))
    arguments = ("corpus", "pack", file, "--context", 64, "--held-out", 0)
    result = json.loads(run(*arguments, "--json").stdout)
    ways = {way["name"]: way for way in result["ways"]}
    assert list(ways) == ["best fit", "first fit", "one document a row", "fixed-length chunks"]
    assert ways["best fit"]["cut"] == 0
    assert ways["fixed-length chunks"]["cut"] > 5
    assert 0 < result["learned"] < 1
    shown = run(*arguments, width=80).stdout
    for way in ways.values():
        assert f"{way['cut']:,} ({way['cut'] / 50:.1%})" in shown


def test_presets_lists_all() -> None:
    rows = json.loads(run("presets", "--json").stdout)
    assert list(rows) == list(PRESETS)
    shown = run("presets", width=80).stdout
    for name, row in rows.items():
        assert name in shown
        assert f"{row['parameters']:,}" in shown
        assert row["q4_bytes"] < row["q8_bytes"] < 4 * row["parameters"]
