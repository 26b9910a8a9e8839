"""``shrew quantize`` on float images: budgets are kept, and errors take one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from engine.models import random_image

from shrew.cli import shrew
from shrew.cli.options import byte_count
from shrew.engine import Model
from shrew.errors import ConfigError, ShrewError
from shrew.image import WeightType, open_float_image


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("image") / "floats.bin"
    path.write_bytes(random_image())
    return path


def quantize(source: Path, output: Path, *options: object) -> dict[str, Any]:
    done = run(source, output, "--json", *options)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def run(source: Path, output: Path, *options: object) -> Result:
    return CliRunner().invoke(shrew, ["quantize", str(source), "-o", str(output), *map(str, options)])


def test_a_float_image_is_quantised_like_a_run(floats: Path, tmp_path: Path) -> None:
    result = quantize(floats, tmp_path / "m.bin", "--type", "q4", "--group", 16, "--steps", 5, "--name", "small")
    assert (result["rounding"], result["measured_on"]) == ("calibrated", "self-written")
    assert {tensor["type"] for tensor in result["tensors"]} == {"q4:16"}
    model = Model.open(tmp_path / "m.bin")
    assert model.metadata() == [("name", "small")]
    assert result["image_bytes"] == model.image_bytes < floats.stat().st_size / 3


def test_an_image_keeps_its_rotary_base(tmp_path: Path) -> None:
    path = tmp_path / "floats.bin"
    path.write_bytes(random_image(rope_theta=500_000.0))
    assert open_float_image(path).config.rope_theta == pytest.approx(500_000.0)
    quantize(path, tmp_path / "m.bin", "--type", "f32")
    assert (tmp_path / "m.bin").read_bytes() == path.read_bytes()


def test_more_budget_is_kept_and_loses_less(floats: Path, tmp_path: Path) -> None:
    """Up to all of it q8, down to the smallest that is named where nothing fits."""
    out = tmp_path / "m.bin"
    refused = run(floats, out, "--fit", "1KB")
    assert isinstance(refused.exception, ShrewError)
    assert not out.exists()
    smallest = int(str(refused.exception).rsplit(" ", 1)[1].replace(",", ""))
    predicted = []
    for budget in (smallest, 10_000_000):
        result = quantize(floats, out, "--fit", budget, "--rounding", "nearest")
        assert out.stat().st_size == result["image_bytes"] <= budget
        assert sum(tensor["loss"] for tensor in result["tensors"]) == pytest.approx(result["loss_predicted"])
        predicted.append(result["loss_predicted"])
    assert predicted[0] > predicted[1]
    assert {tensor["type"] for tensor in result["tensors"]} == {"q8"}
    text = run(floats, out, "--fit", smallest, "--steps", 2).output
    assert f"of {smallest:,} bytes" in text
    assert "loss by rounding it alone" in text


def test_the_grammar_of_commands_counts_in_a_budget(floats: Path, tmp_path: Path) -> None:
    out, commands = tmp_path / "m.bin", tmp_path / "commands.txt"
    commands.write_text("\n".join(f"pin {n} (on|off|toggle) [for <1-{n + 1}> seconds]" for n in range(20)))
    smallest = []
    for options in ((), ("--commands", commands)):
        refused = run(floats, out, "--fit", "1KB", *options)
        smallest.append(int(str(refused.exception).rsplit(" ", 1)[1].replace(",", "")))
        result = quantize(floats, out, "--fit", smallest[-1], "--rounding", "nearest", *options)
        assert out.stat().st_size == result["image_bytes"] <= smallest[-1]
    assert smallest[0] < smallest[1]


def test_text_to_calibrate_on_is_not_what_is_measured(floats: Path, tmp_path: Path) -> None:
    story, other = tmp_path / "story.txt", tmp_path / "other.txt"
    story.write_text("Once upon a time there was a shrew.\n")
    other.write_text("It was small.\n")
    result = quantize(floats, tmp_path / "m.bin", "--type", "q4", "--steps", 2, "--text", story, "--measure", other)
    assert (result["measured_on"], result["scored_tokens"]) == ("given", len("It was small."))


def test_sizes() -> None:
    sizes = {"230KB": 230_000, "230 KiB": 235_520, "1.5MB": 1_500_000, "512": 512}
    assert {text: byte_count("--fit", text) for text in sizes} == sizes
    for wrong in ("many", "-1KB", "1GB", "1e3"):
        with pytest.raises(ConfigError, match="not a size"):
            byte_count("--fit", wrong)


def test_what_cannot_be_quantised_is_refused(floats: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.bin"
    small.write_bytes(random_image(types=WeightType("q8")))
    with pytest.raises(ShrewError, match="quantised already"):
        open_float_image(small)
    assert run(floats, small, "--fit", "1MB", "--type", "q4").exit_code == 2
