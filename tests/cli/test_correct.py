"""``shrew correct`` from a run to a corrected one."""

from __future__ import annotations

import json
from pathlib import Path

from cli.test_cli import shrew

from shrew.cli.correct import correct
from shrew.train.correct.correction import CorrectionConfig

FACTS = """Q: How do I turn on the lamp?
Q: Turn the lamp on
Test: lamp on please
A: Type lamp on.

Q: How do I turn off the lamp?
Q: Turn the lamp off
Test: lamp off please
A: Type lamp off.

Q: How far is the moon?
Test: The moon, how far?
A: Far away.
"""


def test_correct_makes_a_run_and_says_what_changed(tmp_path: Path) -> None:
    data, run, out = tmp_path / "facts.txt", tmp_path / "run", tmp_path / "corrected"
    data.write_text(FACTS)
    shrew("train", "--data", data, "--out", run, "--preset", "nano", "--steps", 60,
              "--set", "model.vocab=300", "--set", "train.batch=2")  # fmt: skip
    corrections = tmp_path / "corrections.txt"
    corrections.write_text("Q: lamp on now\nA: Type lamp on.\nNot: Type lamp off.\nNot: Far away.\n")
    arguments = ("correct", run, "--data", corrections, "--out", out, "--steps", 60, "--json")
    result = json.loads(shrew(*arguments, "--alike", 0, "--tempting", 0).stdout)
    assert (result["questions"], result["pairs"]) == (1, 2)
    outcomes = {outcome["what"].partition(":")[0]: outcome for outcome in result["outcomes"]}
    assert outcomes["corrections"]["after"] == 0
    assert outcomes["new phrasings"]["asked"] == 2
    image = tmp_path / "model.bin"
    shrew("quantize", out, "-o", image)
    assert shrew("generate", image, "lamp on now").stdout.strip() == "Type lamp on."
    assert "holds a run already" in shrew(*arguments, code=1).stderr
    assert "is the run to correct" in shrew("correct", run, "--out", run, code=1).stderr
    prose = tmp_path / "prose.txt"
    prose.write_text("Nothing is asked here.\n")
    assert "holds no questions" in shrew("correct", run, "--data", prose, "--out", tmp_path / "x", code=1).stderr
    assert not (tmp_path / "x").exists()


def test_the_options_have_the_defaults_of_the_library() -> None:
    given = {option.name: option.default for option in correct.params}
    assert vars(CorrectionConfig()).items() <= given.items()
