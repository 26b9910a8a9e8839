"""Training from end to end: learning, resuming to the bit, interruption, failure."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from toy_rows import MODEL, VOCAB, toy_rows

from shrew.errors import DataError, RunError, TrainingError
from shrew.model.gradients import evaluate
from shrew.model.transformer import forward
from shrew.run import Run, RunConfig, TrainConfig, read_tensors
from shrew.train import loop
from shrew.train.batches import Batches
from shrew.train.loop import train
from shrew.train.progress import SilentProgress

ROWS, VALIDATION = toy_rows(8), toy_rows(4, seed=9)
PERIODS = {"log_every": 3, "eval_every": 7, "checkpoint_every": 5}


def make_run(path, **options):
    options = {"steps": 40, "batch": 3, "learning_rate": 0.01} | PERIODS | options
    return Run.create(path, RunConfig(model=MODEL, train=TrainConfig(**options)))


class InterruptAt(SilentProgress):
    """Sends Ctrl-C after a step."""

    def __init__(self, step):
        self.at = step

    def step(self, step, share):
        if step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def numbers(run):
    """The log without values that depend on the clock."""
    return [{k: v for k, v in asdict(r).items() if k not in ("tokens_per_s", "seconds")} for r in run.read_log()]


def checkpoint(run):
    tensors, metadata = read_tensors(run.checkpoint_path)
    position = json.loads(metadata["position"])
    for clock in ("seconds", "pending_seconds"):
        del position["counters"][clock]
    return tensors, position


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_learns_eight_documents_by_heart(tmp_path, optimizer):
    run = make_run(tmp_path / "run", steps=250, optimizer=optimizer, eval_every=50)
    result = train(run, ROWS, ROWS)
    assert result.step == 250
    assert not result.interrupted
    assert result.best_loss < 0.02
    weights, _, metadata = run.load_weights()
    nats, tokens = evaluate(MODEL, weights, ROWS)
    assert nats / tokens == result.best_loss == float(metadata["validation_loss"])
    logits = forward(MODEL, weights, ROWS.inputs, documents=ROWS.documents, positions=ROWS.positions)
    assert np.array_equal(logits.argmax(axis=2), ROWS.targets)
    names = {path.name for path in run.path.iterdir()}
    assert names == {"config.toml", "model.safetensors", "checkpoint.safetensors", "log.jsonl", "loss.png"}


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("validation", [VALIDATION, None], ids=["validated", "not-validated"])
def test_interrupted_and_resumed_equals_straight(tmp_path, optimizer, validation):
    straight = make_run(tmp_path / "straight", optimizer=optimizer)
    whole = train(straight, ROWS, validation)

    halves = make_run(tmp_path / "halves", optimizer=optimizer, threads=1)  # threads change nothing
    first = train(halves, ROWS, validation, progress=InterruptAt(20))
    assert first.interrupted
    assert first.step == 20
    second = train(Run.open(halves.path), ROWS, validation, resume=True)
    assert not second.interrupted
    for name in ("step", "loss", "best_loss", "best_step", "tokens"):
        assert getattr(second, name) == getattr(whole, name)
    assert second.seconds > first.seconds

    assert numbers(straight) == numbers(halves)
    (tensors, position), (other_tensors, other_position) = checkpoint(straight), checkpoint(halves)
    assert position == other_position
    assert tensors.keys() == other_tensors.keys()
    assert all(np.array_equal(tensors[name], other_tensors[name]) for name in tensors)
    assert np.array_equal(straight.load_weights()[0].flat, halves.load_weights()[0].flat)


def test_a_crash_after_a_checkpoint_repeats_no_log_line(tmp_path, monkeypatch):
    straight = make_run(tmp_path / "straight")
    train(straight, ROWS, VALIDATION)
    crashed = make_run(tmp_path / "crashed")

    class Crash(SilentProgress):
        def step(self, step, share):
            if step == 24:  # the last checkpoint is of step 20, the last line of step 21
                raise MemoryError

    with pytest.raises(MemoryError):
        train(crashed, ROWS, VALIDATION, progress=Crash())
    assert crashed.read_log()[-1].step == 21
    train(crashed, ROWS, VALIDATION, resume=True)
    assert numbers(crashed) == numbers(straight)


def test_resuming_a_finished_run_changes_nothing(tmp_path):
    run = make_run(tmp_path / "run")
    first = train(run, ROWS, VALIDATION)
    log, weights = run.log_path.read_bytes(), run.weights_path.read_bytes()
    again = train(run, ROWS, VALIDATION, resume=True)
    assert (again.step, again.loss, again.best_loss) == (first.step, first.loss, first.best_loss)
    assert run.log_path.read_bytes() == log
    assert run.weights_path.read_bytes() == weights


def test_the_handler_of_ctrl_c_is_put_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    train(make_run(tmp_path / "run", steps=2), ROWS)
    assert signal.getsignal(signal.SIGINT) is before


def test_the_best_weights_are_kept(tmp_path):
    """Training on other documents than those of the validation overfits: the best is not the last."""
    run = make_run(tmp_path / "run", steps=120, eval_every=5)
    result = train(run, ROWS, VALIDATION)
    checks = [(r.validation, r.step) for r in run.read_log() if r.validation is not None]
    assert (result.best_loss, result.best_step) == min(checks)
    assert result.best_step < 120
    weights, _, metadata = run.load_weights()
    assert metadata["step"] == str(result.best_step)
    nats, tokens = evaluate(MODEL, weights, VALIDATION)
    assert nats / tokens == result.best_loss


def test_log_means_and_counts(tmp_path):
    run = make_run(tmp_path / "run", steps=10, batch=4)
    result = train(run, ROWS, VALIDATION)
    log = run.read_log()
    assert [r.step for r in log] == [3, 6, 7, 9, 10]
    assert [r.step for r in log if r.validation is not None] == [7, 10]
    assert [r.tokens for r in log] == [64 * r.step for r in log]
    assert result.tokens == 640
    assert result.loss == log[-1].loss
    assert log[0].loss == pytest.approx(np.log(VOCAB), rel=0.2)
    assert 0 < log[-1].lr < log[0].lr


def test_minutes_end_a_run_and_count_over_its_parts(tmp_path, monkeypatch):
    """A clock that advances 0.5 s per reading: a step takes 0.5 s, so 0.1 minutes are 12 steps."""
    now = [0.0]

    def clock():
        now[0] += 0.5
        return now[0]

    monkeypatch.setattr(loop.time, "perf_counter", clock)
    run = make_run(tmp_path / "run", steps=0, minutes=0.1)
    assert train(run, ROWS, progress=InterruptAt(5)).step == 5
    result = train(run, ROWS, resume=True)
    assert (result.step, result.seconds) == (12, 6.0)
    assert not result.interrupted


@pytest.mark.parametrize("rate", [1e30, 1e6])
def test_a_loss_that_is_no_number_keeps_the_last_good_state(tmp_path, rate):
    run = make_run(tmp_path / "run", learning_rate=rate, warmup=0.0, schedule="constant", weight_decay=5.0)
    with pytest.raises(TrainingError, match=r"NaN or infinite after step .*learning_rate"):
        train(run, ROWS, VALIDATION)
    tensors, _ = checkpoint(run)
    assert all(np.isfinite(tensor).all() for tensor in tensors.values())


def test_initial_weights(tmp_path):
    first = make_run(tmp_path / "first", steps=60)
    train(first, ROWS, ROWS)
    weights, *_ = first.load_weights()
    before = weights.flat.copy()
    second = make_run(tmp_path / "second", steps=1, log_every=1, learning_rate=1e-9)
    result = train(second, ROWS, ROWS, initial=weights)
    assert result.best_loss == pytest.approx(evaluate(MODEL, weights, ROWS)[0] / 64, rel=1e-3)
    assert np.array_equal(weights.flat, before)


def test_rows_with_nothing_to_learn(tmp_path):
    empty = replace(ROWS, weights=np.zeros_like(ROWS.weights))
    run = make_run(tmp_path / "run")
    with pytest.raises(DataError, match="training rows hold nothing to learn"):
        train(run, empty)
    with pytest.raises(DataError, match="validation rows hold nothing to learn"):
        train(run, ROWS, empty)


def test_resume_without_or_with_a_wrong_checkpoint(tmp_path):
    run = make_run(tmp_path / "run")
    with pytest.raises(RunError, match="no checkpoint to resume from"):
        train(run, ROWS, resume=True)
    train(run, ROWS, progress=InterruptAt(5))
    with pytest.raises(RunError, match="rows was 4 and is 2 now; resume with the same data"):
        train(run, toy_rows(4), resume=True)
    muon = Run(run.path, replace(run.config, train=replace(run.config.train, optimizer="muon")))
    with pytest.raises(RunError, match="'momentum' is missing or belongs to another"):
        train(muon, ROWS, resume=True)
    run.checkpoint_path.write_bytes(run.checkpoint_path.read_bytes()[:1000])
    with pytest.raises(RunError, match="not a readable safetensors file"):
        train(run, ROWS, resume=True)


def test_without_matplotlib_training_says_so(tmp_path, monkeypatch):
    for name in ("matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    notes = []
    progress = SilentProgress()
    progress.note = notes.append
    run = make_run(tmp_path / "run", steps=3)
    train(run, ROWS, progress=progress)
    assert notes == ["loss.png was not drawn: matplotlib is missing; pip install 'shrew[plot]'"]
    assert not run.plot_path.exists()


# ---- Batches -----------------------------------------------------------------------------------------------------


def test_every_row_once_an_epoch():
    rows = toy_rows(14)  # 7 rows
    batches = Batches(rows, 3, seed=1)
    first = np.concatenate([batches.next().inputs[:, 0] for _ in range(7)])  # 21 rows: three epochs
    epochs = first.reshape(3, 7)
    assert all(sorted(epoch) == sorted(rows.inputs[:, 0]) for epoch in epochs)
    assert not np.array_equal(epochs[0], epochs[1])
    assert len(Batches(rows, 99, seed=1).next()) == 7


@pytest.mark.parametrize("taken", range(8))
def test_batches_go_on_from_epoch_and_cursor(taken):
    rows = toy_rows(14)
    batches = Batches(rows, 3, seed=1)
    for _ in range(taken):
        batches.next()
    again = Batches(rows, 3, seed=1, epoch=batches.epoch, cursor=batches.cursor)
    for _ in range(5):
        assert np.array_equal(batches.next().inputs, again.next().inputs)
