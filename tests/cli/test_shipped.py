"""The names of models that come with Shrew work wherever an image is expected."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from shrew.engine import Model
from shrew.image import read_commands
from shrew.shipped import FOLDER, find_image, shipped_names


def test_each_is_whole_says_what_it_is_and_is_small() -> None:
    assert "desk" in shipped_names()
    for name in shipped_names():
        model = Model.open(FOLDER / f"{name}.bin")
        assert model.selftest()
        metadata = dict(model.metadata())
        assert {"name", "licence", "description", "refusal"} <= metadata.keys()
        assert model.image_bytes < 230_000


def test_desk_answers_does_and_refuses() -> None:
    model = Model.open(FOLDER / "desk.bin")

    def answer(question: str) -> str:
        return "".join(step.text for step in model.session().generate(question))

    assert answer("How much flash does the board have?") == "The board has 16 MB of flash."
    assert answer("turn the lamp green") == "Do: led green"
    assert answer("Who won the football yesterday?") == dict(model.metadata())["refusal"]
    grammar = read_commands(model)
    assert grammar is not None
    assert "led green" in grammar


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "desk", "flash size"],
        ["chat", "desk"],
        ["eval", "desk", "--data", "desk", "--limit", "3"],
        ["inspect", "desk", "--json"],
        ["plan", "desk", "--chip", "esp32s3", "--json"],
        ["bench", "desk", "--json"],
    ],
)
def test_commands_take_the_name(arguments: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shrew", *arguments], cwd=tmp_path, input=b"", capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_image(Path("desk")) == FOLDER / "desk.bin"
    Path("desk").write_bytes(b"mine")
    assert find_image(Path("desk")) == Path("desk")
    assert find_image(Path("nowhere.bin")) == Path("nowhere.bin")
