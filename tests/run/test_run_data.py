"""How a run finds its data: in the first version's form, moved, without the data, deleted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.test_cli import shrew

from shrew.engine import Model
from shrew.errors import RunError
from shrew.image import read_commands
from shrew.run import DataConfig, Run

FACTS = """Q: What is the colour?
Q: Tell me the colour.
Test: what colour
A: The lamp is red.

Q: Turn it on.
Q: on please
Test: switch on
Do: led on
"""

OTHERS = "Q: Who made you?\nA: Some people.\n"

#: ``config.toml`` of a run by Shrew before runs had a room of their own, with the paths of its data joined by newlines.
FIRST_VERSION = r"""[model]
dim = 32
layers = 2
heads = 4
vocab = 300
context = 128
ffn = 80
kv_heads = 2
head_dim = 8
norm = "rms"
position = "rope"
mlp = "swiglu"
bias_qkv = false
bias_out = false
bias_mlp = false
tied_head = true
embed_norm = false
final_norm = true
norm_eps = 1e-05
rope_theta = 10000.0

[train]
steps = 6
minutes = 0.0
batch = 2
learning_rate = 0.006
optimizer = "adamw"
schedule = "cosine"
warmup = 0.02
decay = 0.3
floor = 0.05
weight_decay = 0.1
beta1 = 0.9
beta2 = 0.99
clip = 1.0
keep = "last"
weights = "f32"
tensors = ""
quantize_from = 0.5
backend = "numpy"
device = "auto"
precision = "float32"
compile = false
seed = 0
log_every = 10
eval_every = 50
checkpoint_every = 200
threads = 2

[data]
sources = "FACTS\nOTHERS"
format = "auto"
separator = "<|endoftext|>"
held_out = 0.05
drop_duplicates = false
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder with data, a run that learnt it, and the run's image."""
    project = tmp_path_factory.mktemp("trained") / "project"
    (project / "texts").mkdir(parents=True)
    (project / "texts" / "facts.txt").write_text(FACTS)
    (project / "others.txt").write_text(OTHERS)
    sources = ("--data", project / "texts" / "facts.txt", "--data", project / "others.txt")
    shrew("train", *sources, "--out", project / "runs" / "mine", "--preset", "nano", "--steps", 6,
          "--set", "model.vocab=300", "--set", "train.batch=2", "--set", "train.eval_every=50")  # fmt: skip
    quantize(project, project / "mine.bin")
    return project


@pytest.fixture
def project(trained: Path, tmp_path: Path) -> Iterator[Path]:
    """The project, moved to another place; the old one no longer exists."""
    old = trained.rename(trained.with_name("away"))
    shutil.copytree(old, tmp_path / "project")
    yield tmp_path / "project"
    old.rename(trained)


def quantize(project: Path, out: Path, *options: object) -> tuple[dict[str, object], str]:
    """Runs shrew quantize; returns its standard output and standard error."""
    done = shrew("quantize", project / "runs" / "mine", "-o", out, "--json", *options)
    return json.loads(done.stdout), done.stderr


def resumed(project: Path) -> int:
    done = shrew("train", "--out", project / "runs" / "mine", "--resume", "--json")
    return int(json.loads(done.stdout)["steps"])


def test_a_run_of_the_first_version_opens_resumes_and_quantizes(project: Path) -> None:
    run = project / "runs" / "mine"
    paths = {"FACTS": project / "texts" / "facts.txt", "OTHERS": project / "others.txt"}
    text = FIRST_VERSION
    for name, path in paths.items():
        text = text.replace(name, str(path))
    (run / "config.toml").write_text(text)
    (run / "commands.json").unlink()  # which it did not keep
    assert Run.open(run).data == DataConfig(tuple(map(str, paths.values())))
    assert resumed(project) == 6
    result, said = quantize(project, project / "again.bin")
    assert (result["measured_on"], said) == ("held-out", "")
    assert (project / "again.bin").read_bytes() == (project / "mine.bin").read_bytes()
    (run / "config.toml").write_text(text.replace("steps = 6", "steps = 8"))
    assert resumed(project) == 8


def test_a_run_that_moves_with_its_data_goes_on(project: Path) -> None:
    assert resumed(project) == 6
    result, said = quantize(project, project / "again.bin")
    assert (result["measured_on"], said) == ("held-out", "")
    assert (project / "again.bin").read_bytes() == (project / "mine.bin").read_bytes()
    corrected = project / "elsewhere" / "deep" / "corrected"
    shrew("correct", project / "runs" / "mine", "--out", corrected, "--steps", 1)
    moved = project.parent / "corrected"
    corrected.rename(moved)
    assert Run.open(moved).load_corpus().train
    assert Run.open(moved).load_commands() == ["led on"]


def test_a_run_that_is_sent_with_its_data_inside_goes_on(project: Path) -> None:
    run = project / "runs" / "mine"
    for path in (project / "texts" / "facts.txt", project / "others.txt"):
        path.rename(run / path.name)
    assert resumed(project) == 6


def test_a_run_whose_data_is_gone_still_becomes_an_image(project: Path) -> None:
    run = project / "runs" / "mine"
    (project / "texts" / "facts.txt").unlink()
    result, said = quantize(project, project / "again.bin")
    assert result["measured_on"] == "self-written"
    assert said.startswith(f"shrew: warning: {run}: its data is gone (")
    assert "facts.txt" in said
    assert said.count("\n") == 1
    assert (project / "again.bin").read_bytes() == (project / "mine.bin").read_bytes()  # its commands, too
    quantize(project, project / "small.bin", "--type", "q4", "--steps", 2)
    (run / "commands.json").unlink()
    _, said = quantize(project, project / "again.bin")
    assert "its commands are not known" in said
    assert read_commands(Model.open(project / "again.bin")) is None
    for arguments in (
        ["train", "--out", run, "--resume"],
        ["correct", run, "--out", project / "corrected"],
        ["eval", project / "again.bin", "--run", run],
    ):
        error = shrew(*arguments, code=1).stderr
        assert error.startswith(f"shrew: {run}: its data is gone (")
        assert error.count("\n") == 1
    assert not (project / "corrected").exists()


def test_any_path_survives(tmp_path: Path) -> None:
    odd = tmp_path / 'two\nlines, a "quote".txt'
    odd.write_text(OTHERS)
    table = DataConfig((str(odd), "names")).as_table(tmp_path / "run")
    data = DataConfig.from_table(table, tmp_path / "run")
    assert data is not None
    assert data.sources == (str(odd), "names")
    assert not data.gone
    assert DataConfig.from_table({"imported": "x"}, tmp_path) is None


def test_a_path_that_toml_cannot_hold_is_refused_in_one_line(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff")
    odd.mkdir()
    (odd / "facts.txt").write_text(FACTS)
    error = shrew("train", "--data", odd / "facts.txt", "--out", tmp_path / "run", "--steps", 1, code=1).stderr
    assert "facts.txt: its path is not UTF-8" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    shrew("train", "--data", "names", "--preset", "microgpt", "--out", odd / "run", "--steps", 1, "--json")
    shrew("train", "--out", odd / "run", "--resume", "--json")


@pytest.mark.parametrize("content", ["", "{}", "[1]", "[", "\xff"])
def test_commands_that_are_none_are_refused(project: Path, content: str) -> None:
    run = Run.open(project / "runs" / "mine")
    assert run.load_commands() == ["led on"]
    run.commands_path.write_text(content, encoding="latin-1")
    with pytest.raises(RunError, match=r"commands\.json: not a list of commands"):
        run.load_commands()


def test_commands_of_any_text_are_kept(project: Path) -> None:
    run = Run.open(project / "runs" / "mine")
    commands = ["# no comment", " blank ", "two\nlines", "ü", "\ud800"]
    run.save_commands(commands)
    assert run.load_commands() == commands
