"""The run folder: whole files or none, and one clear line for everything that can be wrong with it."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
from train.toy_rows import MODEL

from shrew.errors import ConfigError, RunError
from shrew.files import write_atomically
from shrew.model.parameters import init_parameters
from shrew.run import LogRecord, Run, RunConfig, TrainConfig

CONFIG = RunConfig(model=MODEL, train=TrainConfig(steps=5))


def record(step):
    return LogRecord(step=step, loss=1.5, validation=None, lr=0.1, tokens=10, tokens_per_s=5.0, seconds=2.0)


def test_create_open_and_weights(tmp_path):
    run = Run.create(tmp_path / "a" / "run", CONFIG)
    parameters = init_parameters(MODEL, 0)
    run.save_weights(parameters, {"licence": "MIT"})
    opened = Run.open(str(tmp_path / "a" / "run"))
    assert opened.config == CONFIG
    weights, _, metadata = opened.load_weights()
    assert np.array_equal(weights.flat, parameters.flat)
    assert metadata == {"licence": "MIT"}


def test_create_leaves_the_files_of_a_folder_that_is_no_run(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"somebody's")
    Run.create(tmp_path, CONFIG)
    assert (tmp_path / "model.safetensors").read_bytes() == b"somebody's"


def test_create_does_not_touch_a_run(tmp_path):
    run = Run.create(tmp_path / "run", CONFIG)
    run.append_log(record(1))
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds a run already"):
        Run.create(tmp_path / "run", CONFIG)
    assert len(run.read_log()) == 1
    Run.create(tmp_path / "run", CONFIG, overwrite=True)
    assert run.read_log() == []
    assert (run.path / "notes.txt").exists()


def test_not_a_run_folder(tmp_path):
    with pytest.raises(RunError, match="no such run folder"):
        Run.open(tmp_path / "none")
    with pytest.raises(RunError, match=r"config\.toml is missing"):
        Run.open(tmp_path)
    (tmp_path / "config.toml").write_text("[model]\n")
    with pytest.raises(ConfigError, match=r"config\.toml: table \[train\] is missing"):
        Run.open(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot make the run folder: "):
        Run.create(tmp_path / "file", CONFIG)


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch, call, code):
    path = tmp_path / "file"
    write_atomically(path, b"old")

    def fail(*arguments):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail)
        with pytest.raises(RunError, match=f"file: cannot be written: {os.strerror(code)}"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_writing_into_a_folder_that_is_gone(tmp_path):
    with pytest.raises(RunError, match="cannot be written: No such file or directory"):
        write_atomically(tmp_path / "gone" / "file", b"")


@pytest.mark.parametrize("content", [None, b"", b"not safetensors at all", b"\xff" * 64])
def test_weights_that_are_no_safetensors(tmp_path, content):
    run = Run.create(tmp_path / "run", CONFIG)
    if content is not None:
        run.weights_path.write_bytes(content)
    with pytest.raises(RunError, match=r"model\.safetensors: (no such file|not a readable safetensors file)"):
        run.load_weights()


def test_weights_of_another_model(tmp_path):
    run = Run.create(tmp_path / "run", CONFIG)
    other = RunConfig(model=type(MODEL)(dim=8, layers=1, heads=2, vocab=20, context=16, ffn=8), train=CONFIG.train)
    run.save_weights(init_parameters(other.model, 0), {})
    with pytest.raises(RunError, match=r"does not fit config\.toml: model: tensor layers\.1"):
        run.load_weights()


def test_log(tmp_path):
    run = Run.create(tmp_path / "run", CONFIG)
    for step in (1, 2, 3):
        run.append_log(record(step))
    with run.log_path.open("a") as log:
        log.write('{"step": 4, "lo')  # a crash in the middle of a line
    assert [r.step for r in run.read_log()] == [1, 2, 3]
    run.cut_log(2)
    assert run.read_log() == [record(1), record(2)]
    run.log_path.write_text("nonsense\n")
    with pytest.raises(RunError, match=r"log\.jsonl: malformed"):
        run.read_log()
