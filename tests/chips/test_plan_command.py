"""``shrew plan``: its output, and one line for each error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from engine.models import random_image

from shrew.cli import shrew
from shrew.cli.options import byte_count
from shrew.errors import ConfigError
from shrew.image import WeightType


def run(*arguments: str) -> Result:
    return CliRunner().invoke(shrew, ["plan", *arguments])


def planned(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def image(tmp_path: Path) -> str:
    path = tmp_path / "tiny.bin"
    path.write_bytes(random_image(types=WeightType("q8")))
    return str(path)


def test_json_has_every_chip(image: str) -> None:
    plan = planned(image)
    assert plan["image_bytes"] == pytest.approx(Path(image).stat().st_size, abs=64)
    assert [chip["chip"] for chip in plan["chips"]] == ["esp32", "esp32s3", "esp32c3", "esp32c6", "esp32p4"]
    for chip in plan["chips"]:
        assert chip["fits"]
        assert chip["tok_per_s"] > 0 < chip["prompt_tok_per_s"]
        assert chip["session_bytes"] > 0
        assert {place["memory"] for place in chip["placement"]} == {"sram"}
        assert all(place["bytes_read_per_token"] == place["bytes"] for place in chip["placement"])
        assert all(figure["source"] for figure in chip["assumptions"])


def test_a_model_that_does_not_fit_is_an_answer() -> None:
    result = run("--preset", "qa-18x192", "--chip", "esp32")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[2] == "does not fit"
    assert any(line.startswith("fits with ") for line in lines)
    (chip,) = planned("--preset", "qa-18x192", "--chip", "esp32")["chips"]
    assert chip["fits"] is False
    assert chip["tok_per_s"] is None
    assert chip["lacking"]


def test_options_change_the_plan() -> None:
    def speed(*options: str) -> float:
        return float(planned("--preset", "tiny", "--chip", "ESP32-S3", *options)["chips"][0]["tok_per_s"])

    usual = speed()
    assert speed("--type", "q4", "--group", "128") > usual
    assert speed("--context", "64") > usual
    assert speed("--cores", "1") < usual
    assert speed("--psram", "2MB") < usual  # quad, not octal


def test_a_preset_has_the_type_that_it_trains_for() -> None:
    for name, kind in (("image-64k", "q4:32"), ("desk", "q8")):
        result = json.loads(run("--preset", name, "--chip", "esp32c3", "--json").stdout)
        assert {place["type"] for place in result["chips"][0]["placement"]} == {kind, "f32"}


def test_a_type_stands_in_for_the_images_own(image: str) -> None:
    types = {place["type"] for place in planned(image, "--type", "ternary", "--chip", "esp32")["chips"][0]["placement"]}
    assert types == {"ternary:32", "f32"}


@pytest.mark.parametrize("text", ["8MB", "8 MB", "8M", "8mib"])
def test_memories_are_counted_as_chips_are(text: str, image: str) -> None:
    assert byte_count("--psram", text, kilo=1024) == 8 << 20
    assert planned(image, "--chip", "esp32s3", "--psram", text)["chips"][0]["memories"][1]["bytes"] == 8 << 20


def test_what_is_no_size() -> None:
    assert byte_count("--psram", "0", kilo=1024) == byte_count("--psram", "0MB", kilo=1024) == 0
    for text in ("", "8GB", "-8MB", "eight", "MB"):
        with pytest.raises(ConfigError, match=r"--psram .*not a size such as"):
            byte_count("--psram", text, kilo=1024)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "desk", "--chip", "esp8266"], "--chip esp8266: no such chip; use esp32, "),
        (["--preset", "desk", "--chip", "esp32c3", "--psram", "8MB"], "--psram 8MB: ESP32-C3 has no PSRAM"),
        (["--preset", "desk", "--chip", "esp32", "--psram", "8MB"], "ESP32 has at most 4 MB of PSRAM"),
        (["--preset", "desk", "--chip", "esp32", "--flash", "1GB"], "--flash 1GB: not a size such as"),
        (["--preset", "desk", "--chip", "esp32", "--flash", "64MB"], "--flash 64MB: ESP32 takes at most 16 MB"),
        (["--preset", "desk", "--context", "4000"], "--context 4000: the model takes at most 128"),
        (["--preset", "dusk"], "there is no preset 'dusk'"),
        (["--preset", "desk", "--picture", "plan.pdf"], "--picture plan.pdf: give a name that ends in .svg or .png"),
        (["nano"], "nano: no such file; for the preset of this name give --preset nano"),
        (["absent.bin"], "absent.bin: No such file"),
    ],
)
def test_errors_are_one_line(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in str(result.exception)
    assert "\n" not in str(result.exception)


@pytest.mark.parametrize("arguments", [[], ["a.bin", "--preset", "desk"], ["--preset", "desk", "--group", "32"]])
def test_wrong_usage(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("name", ["plan.svg", "plan.png"])
def test_a_picture_is_drawn(tmp_path: Path, name: str) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / name
    assert run("--preset", "tiny", "--picture", str(path)).exit_code == 0
    start = path.read_bytes()[:60]
    assert start.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    refused = run("--preset", "tiny", "--picture", str(tmp_path / "absent" / name))
    assert "No such file or directory" in str(refused.exception)
