"""Long runs survive kills at any moment, full disks, read-only folders, NaN losses and SIGTERM."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from toy_rows import MODEL, toy_rows

from shrew.errors import RunError, TrainingError
from shrew.run import Run, RunConfig, TrainConfig, read_tensors
from shrew.train.loop import train
from shrew.train.progress import SilentProgress

ROWS, VALIDATION = toy_rows(8), toy_rows(4, seed=9)


def make_run(path, **options):
    options = {"steps": 40, "batch": 3, "learning_rate": 0.01, "log_every": 3, "eval_every": 7} | options
    return Run.create(path, RunConfig(model=MODEL, train=TrainConfig(threads=1, **options)))


class At(SilentProgress):
    """Does something after a step."""

    def __init__(self, step, action):
        self.at, self.action = step, action

    def step(self, step, share):
        if step == self.at:
            self.action()


def assert_equal_runs(one, other):
    """Equal bit for bit, except values that depend on the clock."""
    logs = (
        [{k: v for k, v in asdict(r).items() if k not in ("tokens_per_s", "seconds")} for r in run.read_log()]
        for run in (one, other)
    )
    assert next(logs) == next(logs)
    for name in ("checkpoint_path", "weights_path"):
        (tensors, _), (others, _) = (read_tensors(getattr(run, name)) for run in (one, other))
        assert tensors.keys() == others.keys()
        assert all(np.array_equal(tensors[name], others[name]) for name in tensors)


def checkpoint_step(run):
    _, metadata = read_tensors(run.checkpoint_path)
    return json.loads(metadata["position"])["counters"]["step"]


# ---- kill -9 -------------------------------------------------------------------------------------------------------

TRAIN_IN_A_PROCESS_OF_ITS_OWN = """
import os, signal, stat, sys
sys.path[:0] = sys.argv[1:2]
from test_survival import ROWS, VALIDATION, Run, train

path, function, calls = sys.argv[2], sys.argv[3], int(sys.argv[4])
original = getattr(os, function)

def dies(*arguments):
    global calls
    calls -= 1
    if calls == 0:
        status = os.fstat(arguments[0]) if function == "fsync" else None
        if status and stat.S_ISREG(status.st_mode):  # half of the content has reached the disk
            os.ftruncate(arguments[0], status.st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

setattr(os, function, dies)
print("ready", flush=True)
train(Run.open(path), ROWS, VALIDATION, resume=True)
"""


@contextmanager
def training(run, function="fsync", calls=0):
    """A process that goes on with ``run`` and kills itself as it calls ``os.function`` for the ``calls``-th time."""
    arguments = [str(Path(__file__).parent), str(run.path), function, str(calls)]
    process = subprocess.Popen([sys.executable, "-c", TRAIN_IN_A_PROCESS_OF_ITS_OWN, *arguments], stdout=-1)
    with process:
        assert process.stdout.readline() == b"ready\n"
        yield process


def test_killed_at_any_moment_and_resumed_equals_straight(tmp_path):
    """Every step writes a checkpoint: most timed kills hit one, and kills at calls hit its most critical places."""
    options = {"steps": 200, "checkpoint_every": 1}
    straight, killed = (make_run(tmp_path / name, **options) for name in ("straight", "killed"))
    train(straight, ROWS, VALIDATION)
    with pytest.raises(KeyboardInterrupt):
        train(killed, ROWS, VALIDATION, progress=At(8, press_ctrl_c_twice))
    moments = random.Random(1)
    reached = 7
    for kill in [("fsync", 9), ("fsync", 12), ("replace", 14), ("chmod", 7), *4 * [None]]:
        with training(killed, *kill or ()) as process:
            if kill is None:
                while checkpoint_step(killed) < reached + 3:
                    assert process.poll() is None
                time.sleep(moments.uniform(0.0, 0.01))
                process.kill()
        assert process.returncode == -signal.SIGKILL
        assert checkpoint_step(killed) >= reached
        reached = checkpoint_step(killed)
        assert killed.read_log()[-1].step <= reached + 1  # no more than the step at hand was lost
        killed.load_weights()
    assert reached < 200
    train(killed, ROWS, VALIDATION, resume=True)
    assert_equal_runs(killed, straight)
    assert not [path.name for path in killed.path.iterdir() if path.name.startswith(".")]


# ---- Disks ---------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["full", "read-only", "too-large"])
def failing_disk(request, tmp_path):
    """A folder, a function that makes writing there fail, the system's error message, and a function that undoes it."""
    if request.param == "too-large":
        limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield (
            tmp_path,
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limit[1])),
            "File too large",
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        return

    def mount(*options):
        return subprocess.run(["mount", *options, str(disk)], capture_output=True, check=False).returncode == 0

    disk = tmp_path / "disk"
    disk.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=1m", "none"):
        pytest.skip("may not mount a file system")
    filler = disk / "filler"
    if request.param == "full":
        yield disk, lambda: fill(filler), "No space left on device", filler.unlink
    else:
        yield disk, lambda: mount("-o", "remount,ro"), "Read-only file system", lambda: mount("-o", "remount,rw")
    subprocess.run(["umount", str(disk)], check=True)


def fill(path):
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def test_a_disk_that_fails_ends_in_one_line_and_the_run_goes_on_later(tmp_path, failing_disk):
    folder, fail, words, repair = failing_disk
    straight = make_run(tmp_path / "straight", checkpoint_every=5)
    train(straight, ROWS, VALIDATION)
    run = make_run(folder / "run", checkpoint_every=5)
    with pytest.raises(RunError) as raised:
        train(run, ROWS, VALIDATION, progress=At(22, fail))
    message = str(raised.value)
    assert words in message
    assert message.endswith("; go on from the checkpoint of step 20 with --resume")
    assert "\n" not in message
    assert checkpoint_step(run) == 20
    run.load_weights()
    repair()
    train(run, ROWS, VALIDATION, resume=True)
    assert_equal_runs(run, straight)


def test_a_folder_that_cannot_be_written_ends_before_training(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(RunError, match=r"checkpoint\.safetensors: cannot be written: Permission denied"):
        train(run, ROWS, progress=At(1, pytest.fail))


# ---- Losses and signals --------------------------------------------------------------------------------------------


def test_after_a_loss_that_is_no_number_a_lower_rate_goes_on(tmp_path):
    run = make_run(tmp_path / "run", checkpoint_every=5)
    train(run, ROWS, progress=At(20, lambda: os.kill(os.getpid(), signal.SIGTERM)))
    hot = Run(run.path, replace(run.config, train=replace(run.config.train, learning_rate=1e30)))
    with pytest.raises(TrainingError, match="NaN or infinite"):
        train(hot, ROWS, resume=True)
    run.load_weights()
    straight = make_run(tmp_path / "straight", checkpoint_every=5)
    train(straight, ROWS)
    train(run, ROWS, resume=True)
    assert_equal_runs(run, straight)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_checkpoint(tmp_path, number):
    before = signal.getsignal(number)
    run = make_run(tmp_path / "run")
    result = train(run, ROWS, VALIDATION, progress=At(23, lambda: os.kill(os.getpid(), number)))
    assert (result.interrupted, result.step, checkpoint_step(run)) == (True, 23, 23)
    assert signal.getsignal(number) is before


def press_ctrl_c_twice():
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
