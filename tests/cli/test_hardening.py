"""The commands with hostile images, bad questions, broken pipes and full disks."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from engine.models import BYTES, random_parameters, says, tiny_config
from image.sections import with_checksum

from shrew.cli.options import printable
from shrew.evaluation import Likelihood
from shrew.image import build_image
from shrew.model.config import ModelConfig
from shrew.run import DataConfig, Run, RunConfig, TrainConfig
from shrew.tokenizer import train_character

HOSTILE = "[/red] [red]x[/] \x1b[2J\x07\x9b :smile: \\"


def shrew(*arguments: object, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "shrew", *map(str, arguments)]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=300)
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return done


def one_line(error: bytes) -> str:
    assert error.startswith(b"shrew: ")
    assert error.count(b"\n") == 1, error
    return error.decode()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights whose metadata and file name are hostile."""
    config = tiny_config()
    metadata = [("name", HOSTILE), (HOSTILE, "two\nlines\tand a tab")]
    path = tmp_path_factory.mktemp("images") / "[bold]\x1b m [/].bin"
    path.parent.mkdir()
    path.write_bytes(build_image(config, random_parameters(config), BYTES, metadata=metadata))
    return path


@pytest.fixture(scope="module")
def letters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a token for each of a few letters."""
    tokenizer = train_character(["abc "])
    config = tiny_config(vocab=tokenizer.vocab)
    path = tmp_path_factory.mktemp("images") / "letters.bin"
    path.write_bytes(build_image(config, random_parameters(config), tokenizer))
    return path


@pytest.fixture
def failing(image: Path, tmp_path: Path) -> Path:
    """The same image with a self-test that records other tokens than it generates."""
    changed = bytearray(image.read_bytes())
    for i in range(struct.unpack_from("<I", changed, 16)[0]):
        kind, _, offset, _ = struct.unpack_from("<IIII", changed, 64 + 16 * i)
        if kind == 6:
            changed[offset + 8] ^= 1
    path = tmp_path / "failing.bin"
    path.write_bytes(with_checksum(bytes(changed)))
    return path


def test_printable_leaves_text_alone_and_takes_the_terminals_commands_out() -> None:
    assert printable("größe 😀\tand\n") == "größe 😀\tand\n"
    assert printable("\x1b\r\0\x7f\x85\x9f\udcff") == "\ufffd" * 7


def test_inspect_shows_hostile_text_as_it_is(image: Path) -> None:
    output = shrew("inspect", image).stdout.decode()
    assert "[bold]\ufffd m [/].bin" in output
    assert output.count(printable(HOSTILE)) == 2
    assert not set(output) & {"\x1b", "\x07", "\x9b"}
    metadata = json.loads(shrew("inspect", image, "--json").stdout)["metadata"]
    assert metadata[0]["value"] == HOSTILE


def test_file_names_that_are_not_utf8_are_printed(image: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff.bin")
    odd.write_bytes(image.read_bytes())
    assert "\ufffd.bin" in shrew("inspect", odd).stdout.decode()
    assert "\ufffd.none" in one_line(shrew("inspect", odd.with_suffix(".none"), code=1).stderr)


def test_generated_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "says.bin"
    path.write_bytes(says(b"a\x1b[2Jb", prompt=3).image())
    assert shrew("generate", path, "x").stdout.decode() == "a\ufffd[2Jb\n"
    assert shrew("chat", path, stdin=b"x\n").stdout.decode() == "a\ufffd[2Jb\n"
    assert json.loads(shrew("generate", path, "x", "--json").stdout)["text"] == "a\x1b[2Jb"


def test_chat_goes_on_after_bad_questions(letters: Path) -> None:
    alone = shrew("chat", letters, stdin=b"abc\n").stdout
    done = shrew("chat", letters, stdin=b"\xff\n" + b"a" * 5000 + "\nä\nabc\n".encode())
    assert done.stdout == b"\n\n\n" + alone
    errors = done.stderr.decode().splitlines()
    assert len(errors) == 3
    assert "not UTF-8" in errors[0]
    assert "no room" in errors[1]
    assert "cannot encode" in errors[2]


def test_an_option_that_cannot_work_ends_the_chat(letters: Path) -> None:
    assert "stop string" in one_line(shrew("chat", letters, "--stop", "", stdin=b"a\nb\n", code=1).stderr)


@pytest.mark.parametrize(
    "options",
    [["--max-tokens", 99999999999], ["--max-tokens", -1], ["--top-k", 2**40], ["--top-p", 0], ["--temperature", 101]],
)
def test_numbers_out_of_range_are_wrong_usage(letters: Path, options: list[object]) -> None:
    assert b"is not in the range" in shrew("generate", letters, "a", *options, code=2).stderr


def test_inspect_shows_everything_of_an_image_that_fails_its_selftest(failing: Path) -> None:
    done = shrew("inspect", failing, code=1)
    assert "self-test FAILED" in done.stdout.decode()
    assert "Metadata" in done.stdout.decode()
    assert "other tokens" in one_line(done.stderr)
    done = shrew("inspect", failing, "--json", code=1)
    assert json.loads(done.stdout)["selftest"]["passed"] is False
    one_line(done.stderr)


def test_a_small_text_file_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_text("hello")
    assert "not a Shrew model image" in one_line(shrew("inspect", path, code=1).stderr)


@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "--json"], ["generate"], ["--help"]])
def test_a_reader_that_leaves_is_no_error(image: Path, arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "shrew", *arguments, *([] if "--help" in arguments else [str(image)])]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=300)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("arguments", [["inspect"], ["inspect", "--json"], ["generate"]])
def test_a_full_disk_gets_one_line(image: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "shrew", *arguments, str(image)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, timeout=300)
    assert done.returncode == 1
    assert "No space left" in one_line(done.stderr)


def test_likelihoods_beyond_all_numbers() -> None:
    assert Likelihood(1e6, 1, 0).perplexity == math.inf
    assert math.isnan(Likelihood(1e6, 1, 0).bits_per_byte)


def test_json_is_valid_whatever_the_numbers(tmp_path: Path) -> None:
    """With a model that is certain but wrong, so that the perplexity is infinite."""
    config = ModelConfig(dim=4, layers=1, heads=1, vocab=BYTES.vocab, context=8, ffn=4, tied_head=False)
    parameters = random_parameters(config)
    parameters["head.weight"] *= 1e4
    path, text = tmp_path / "sure.bin", tmp_path / "text.txt"
    path.write_bytes(build_image(config, parameters, BYTES))
    text.write_text("abc")
    done = shrew("eval", path, "--text", text, "--json")
    result = json.loads(done.stdout, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert result["nats_per_token"] > 800
    assert result["perplexity"] is None
    assert done.stderr == b""  # no progress where there is no terminal
    assert "perplexity               inf" in shrew("eval", path, "--text", text).stdout.decode()


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    path = tmp_path / "questions.jsonl"
    lines = [json.dumps({"prompt": f"{i}?", "response": "yes"}) for i in range(20)]
    path.write_text("\n".join(lines))
    return path


def test_eval_holds_out_as_it_is_told(image: Path, questions: Path) -> None:
    for fraction, split, asked in ((0.25, "held-out", 5), (0.25, "train", 15), (0.5, "held-out", 10)):
        arguments = ["--data", questions, "--held-out", fraction, "--split", split, "--json"]
        assert json.loads(shrew("eval", image, *arguments).stdout)["asked"] == asked


def test_eval_asks_a_runs_own_split(image: Path, questions: Path, tmp_path: Path) -> None:
    table = DataConfig((str(questions),), held_out=0.25).as_table(tmp_path / "run")
    learnt = RunConfig(model=tiny_config(), train=TrainConfig(steps=1), data=table)
    Run.create(tmp_path / "run", learnt)
    mine = shrew("eval", image, "--run", tmp_path / "run", "--json").stdout
    assert mine == shrew("eval", image, "--data", questions, "--held-out", 0.25, "--json").stdout
    Run.create(tmp_path / "imported", replace(learnt, data={}))
    assert "--data" in one_line(shrew("eval", image, "--run", tmp_path / "imported", code=1).stderr)


def test_eval_takes_one_source(image: Path, questions: Path) -> None:
    shrew("eval", image, "--data", questions, "--run", "r", code=2)
    shrew("eval", image, "--data", questions, "--text", questions, code=2)
    shrew("eval", image, "--run", "r", "--held-out", 0.5, code=2)
