"""Two processes under torchrun: the numbers of one process, output from one, and all end when one ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shrew.run import Run, read_tensors

pytest.importorskip("torch.distributed.run")

ONE = [sys.executable, "-m", "shrew", "train"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "shrew", "train"]
# Three rows a step make unequal shares.
OPTIONS = "--preset nano --backend torch --set model.vocab=280 --set train.batch=3 --set train.threads=1"
PERIODS = "--set train.log_every=1 --set train.eval_every=4 --set train.checkpoint_every=4"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "corpus.txt"
    path.write_text("".join(f"Q: what is {n} and {n}?\nA: it is {2 * n}, as ever.\n\n" for n in range(60)))
    return path


def start(command: list[str], *options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        out, err = process.communicate(timeout=120)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return out + err


def wait_for_step(process: subprocess.Popen[str], run: Path, step: int) -> None:
    log = run / "log.jsonl"
    while process.poll() is None:
        if log.exists() and (lines := log.read_text().splitlines()) and json.loads(lines[-1])["step"] >= step:
            return
        time.sleep(0.02)
    raise AssertionError(finish(process))


def checkpoint_step(run: Path) -> int:
    tensors, metadata = read_tensors(run / "checkpoint.safetensors")
    assert tensors
    step: int = json.loads(metadata["position"])["counters"]["step"]
    return step


def test_two_processes_have_one_processs_numbers(tmp_path: Path, data: Path) -> None:
    options = ["--data", data, "--steps", 10, *OPTIONS.split(), *PERIODS.split()]
    outputs = {}
    for command, name in ((ONE, "one"), (TWO, "two")):
        process = start(command, *options, "--out", tmp_path / name)
        outputs[name] = finish(process)
        assert process.returncode == 0, outputs[name]
    one, two = (Run.open(tmp_path / name).read_log() for name in ("one", "two"))
    assert [(r.step, r.tokens, r.lr) for r in two] == [(r.step, r.tokens, r.lr) for r in one]
    assert [r.loss for r in two] == pytest.approx([r.loss for r in one], rel=1e-4)
    checks = [[r.validation for r in log if r.validation is not None] for log in (one, two)]
    assert len(checks[0]) == 3
    assert checks[1] == pytest.approx(checks[0], rel=1e-4)
    assert outputs["two"].count("documents") == outputs["one"].count("documents") == 1
    assert outputs["two"].count("next: shrew quantize") == 1
    process = start(ONE, "--out", tmp_path / "two", "--resume", "--backend", "numpy")
    assert "10 steps" in finish(process)
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_one_ends_and_all_end(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "run"
    process = start(TWO, "--data", data, "--out", out, "--minutes", 10, *OPTIONS.split(), *PERIODS.split())
    wait_for_step(process, out, 3)
    process.terminate()
    said = finish(process)
    assert said.count("stopped at step") == 1
    stopped = checkpoint_step(out)
    assert stopped == Run.open(out).read_log()[-1].step

    process = start(TWO, "--out", out, "--resume")
    wait_for_step(process, out, stopped + 5)
    os.kill(rank_of(process, 1), signal.SIGKILL)
    said = finish(process)
    assert process.returncode != 0
    assert said.count("shrew: another process of this training has ended; go on with --resume") <= 1
    assert "Error in" not in said
    assert checkpoint_step(out) >= stopped + 1
    assert Run.open(out).load_weights()


def rank_of(process: subprocess.Popen[str], rank: int) -> int:
    """The process id of torchrun's child with this rank."""
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        if f"RANK={rank}" in Path(f"/proc/{child}/environ").read_text().split("\0"):
            return int(child)
    raise AssertionError("no such process")
