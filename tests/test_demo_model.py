"""Checks the demo's promises with a run that is bounded by steps, so that a busy machine gives the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from shrew.cli import shrew

STEPS = 2400


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> dict:
    out = tmp_path_factory.mktemp("demo")
    arguments = ["demo", "--out", str(out), "--steps", str(STEPS), "--no-story", "--json"]
    result = CliRunner().invoke(shrew, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_the_image_fits(demo: dict) -> None:
    assert demo["image_bytes"] == Path(demo["image"]).stat().st_size <= 230_000


def test_trained_phrasings_are_answered(demo: dict) -> None:
    assert demo["trained_accuracy"] >= 0.90


def test_held_out_phrasings_are_answered(demo: dict) -> None:
    assert demo["held_out_accuracy"] >= 0.90


def test_how_a_question_is_typed_matters_little(demo: dict) -> None:
    assert demo["capitals_accuracy"] >= demo["held_out_accuracy"] - 0.02
    assert demo["typo_accuracy"] >= demo["held_out_accuracy"] - 0.15


def test_the_memory_answers_what_the_model_does_not(demo: dict) -> None:
    assert demo["held_out_accuracy"] > demo["held_out_accuracy_alone"]


def test_it_shows_five_answers_and_a_refusal(demo: dict) -> None:
    assert len(demo["answers"]) == 6
    assert demo["answers"][-1]["expected"] == "I only know about this board."
    assert sum(answer["right"] for answer in demo["answers"]) >= 4
    assert demo["seconds"] > 0
