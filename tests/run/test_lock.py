"""A run folder has one writer: a second process is told who that is, and changes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli.test_cli import shrew

from shrew.errors import RunError
from shrew.run import lock, sole_writer

SHREW = "from shrew.cli import main; main()"
SMALL = ("--preset", "microgpt", "--data", "names")


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training that goes on in ``run`` until it is killed."""
    run = tmp_path / "run"
    command = [sys.executable, "-c", SHREW, "train", *SMALL, "--out", str(run), "--minutes", "10"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 60
        while not (run / "log.jsonl").exists():
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        yield process
        process.kill()


def test_the_second_is_told_who_trains_there_and_changes_nothing(
    writer: subprocess.Popen[bytes], tmp_path: Path, shared_data: Path
) -> None:
    run = tmp_path / "run"
    kept = {name: (run / name).read_bytes() for name in ("config.toml", "tokenizer.json", "commands.json")}
    shrew("train", *SMALL, "--out", tmp_path / "other", "--steps", 1)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "desk").symlink_to(run)
    facts = tmp_path / "facts.txt"
    facts.write_text("Q: a?\nA: b\n\nQ: c?\nA: d\n")
    foreign = ("import", shared_data / "stories260K.bin", "--tokenizer", shared_data / "tok512.bin")
    for arguments in (
        ["train", *SMALL, "--out", run, "--steps", 1, "--overwrite"],
        ["train", "--data", facts, "--out", run, "--steps", 1],
        ["train", "--out", run, "--resume"],
        ["correct", tmp_path / "other", "--out", run, "--overwrite"],
        [*foreign, "--out", run, "--overwrite"],
        ["demo", "--out", tmp_path / "demo", "--steps", 1, "--no-story", "--json"],
    ):
        error = shrew(*arguments, code=1).stderr
        assert error.count("\n") == 1, error
        assert f"process {writer.pid} has been writing there since 20" in error
        assert "train --preset microgpt --data names --out" in error
    assert writer.poll() is None
    assert {name: (run / name).read_bytes() for name in kept} == kept


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_dies_with_its_process(writer: subprocess.Popen[bytes], tmp_path: Path, end: signal.Signals) -> None:
    run = tmp_path / "run"
    assert (run / lock.LOCK_NAME).exists()
    writer.send_signal(end)
    writer.wait()
    assert (run / lock.LOCK_NAME).exists() == (end == signal.SIGKILL)
    shrew("train", *SMALL, "--out", run, "--steps", 1, "--overwrite")
    assert not (run / lock.LOCK_NAME).exists()


def test_what_nobody_filled_goes_again(tmp_path: Path) -> None:
    with sole_writer(tmp_path / "a" / "b"), sole_writer(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b" / lock.LOCK_NAME).exists()
    assert not list(tmp_path.iterdir())
    with sole_writer(tmp_path / "a" / "b"):
        (tmp_path / "a" / "mine").touch()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot make the run folder"), sole_writer(tmp_path / "file"):
        pass


def test_a_system_without_locks_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "flock", None)
    with pytest.warns(UserWarning, match="no locks on this system"), sole_writer(tmp_path / "run"):
        (tmp_path / "run" / "x").touch()
    assert os.listdir(tmp_path / "run") == ["x"]
