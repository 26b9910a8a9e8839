"""The training loop, and the choice of its backend."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module

import numpy as np

from shrew.corpus.packed import PackedRows
from shrew.errors import ConfigError, DataError, RunError, TrainingError
from shrew.model.config import ModelConfig
from shrew.model.parameters import Array, Parameters, init_parameters
from shrew.run import LogRecord, Run, TrainConfig, sole_writer, stored_types
from shrew.run.processes import this_process
from shrew.train.backends.protocol import Backend
from shrew.train.batches import Batches
from shrew.train.checkpoint import Counters, State, load_checkpoint, save_checkpoint
from shrew.train.plot import plot_loss
from shrew.train.progress import SilentProgress, TrainingProgress
from shrew.train.schedule import rate_factor


@dataclass(frozen=True)
class TrainResult:
    """The outcome of a training. The final weights are in ``model.safetensors`` of the run."""

    step: int
    loss: float
    """Nats per learned token in the last line of the log, or so far if there is none."""
    best_loss: float | None
    """Lowest validation loss, whose weights were kept; None without validation rows."""
    best_step: int
    tokens: int
    seconds: float
    """Tokens and seconds are totals of all parts of the run."""
    interrupted: bool
    """Ctrl-C or SIGTERM ended it early. Training can be resumed from the checkpoint."""


def train(
    run: Run,
    train_rows: PackedRows,
    validation_rows: PackedRows | None = None,
    *,
    progress: TrainingProgress | None = None,
    resume: bool = False,
    initial: Mapping[str, Array] | None = None,
) -> TrainResult:
    """Trains the model of ``run.config`` and writes everything to the run folder.

    ``resume`` continues from the checkpoint with the numbers of an uninterrupted run. ``initial`` starts from given
    weights instead of random ones. Ctrl-C or SIGTERM finishes the current step, saves and returns; a second one aborts.
    Raises DataError, RunError, or TrainingError if the loss becomes NaN or infinite; the last weights and checkpoint
    written then stay.

    No other process may write to the folder meanwhile; if one does, RunError names it.

    Under ``torchrun``, with the torch backend, all processes call this with the same arguments; the first writes and
    shows progress.
    """
    for name, rows in (("training", train_rows), ("validation", validation_rows)):
        if rows is not None and not rows.weights.any():
            raise DataError(f"the {name} rows hold nothing to learn: no target has a weight")
    if progress is None or not run.writes:
        progress = SilentProgress()
    with sole_writer(run.path):
        trainer = _Trainer(run, train_rows, validation_rows, progress, initial)
        run.remove_unfinished()
        if resume:
            trainer.resume()
        else:
            save_checkpoint(run, trainer.state)
        result = trainer.train()
    trainer.backend.close()  # not after a failure: it would wait for processes that are gone
    return result


def make_backend(model: ModelConfig, config: TrainConfig, initial: Parameters) -> Backend:
    """The backend that ``config`` names, starting from ``initial``, which it may keep and change."""
    if config.backend == "numpy":
        if this_process().count > 1:
            raise ConfigError("train: several processes train together with PyTorch only; add --backend torch")
        from shrew.train.backends.numpy_backend import NumpyBackend

        return NumpyBackend(model, config, initial)
    try:
        import_module("torch")
    except ImportError as error:
        raise ConfigError(f"train: backend torch needs PyTorch ({error}): pip install 'shrew[torch]'") from None
    from shrew.train.backends.torch_backend import TorchBackend

    return TorchBackend(model, config, initial)


class _Trainer:
    def __init__(
        self,
        run: Run,
        train_rows: PackedRows,
        validation_rows: PackedRows | None,
        progress: TrainingProgress,
        initial: Mapping[str, Array] | None,
    ) -> None:
        model, config = run.config.model, run.config.train
        self.run, self.model, self.config = run, model, config
        self.validation_rows, self.progress = validation_rows, progress
        given = None if initial is None else Parameters.of(model, initial).flat.astype(np.float32)
        parameters = init_parameters(model, config.seed) if given is None else Parameters(model, given)
        self.backend = make_backend(model, config, parameters)
        self.rounds = any(weight.type != "f32" for weight in stored_types(model, config).values())
        self.state = State(self.backend, Batches(train_rows, config.batch, config.seed), Counters())
        self.saved_step = 0
        self.last_loss = math.nan
        self.learning_rate = 0.0

    def resume(self) -> None:
        load_checkpoint(self.run, self.state)
        self.saved_step = self.state.counters.step
        records = self.run.cut_log(self.saved_step)
        self.last_loss = records[-1].loss if records else math.nan

    def train(self) -> TrainResult:
        config, counters = self.config, self.state.counters
        self.progress.start(counters.step, config.steps, self._share())
        stopped = False
        try:
            with _interruptible() as interrupted:
                while self._share() < 1 and not stopped:
                    self._step()
                    self._look_after()
                    stopped = self.backend.largest(interrupted.is_set()) > 0
                self._save_checkpoint()
            if not self._keeps_best() or counters.best_loss is None:
                self._save_weights(None)
            if hint := plot_loss(self.run):
                self.progress.note(hint)
        except RunError as error:
            raise RunError(f"{error}; go on from the checkpoint of step {self.saved_step} with --resume") from error
        finally:
            self.progress.close()
        return TrainResult(
            step=counters.step,
            loss=self._pending_loss() if math.isnan(self.last_loss) else self.last_loss,
            best_loss=counters.best_loss,
            best_step=counters.best_step,
            tokens=counters.tokens,
            seconds=counters.seconds,
            interrupted=stopped and self._share() < 1,
        )

    def _keeps_best(self) -> bool:
        return self.validation_rows is not None and self.config.keep == "best"

    def _share(self) -> float:
        return self.config.share(self.state.counters.step, self.state.counters.seconds)

    def _step(self) -> None:
        """Processes one batch and makes one optimiser step."""
        started = time.perf_counter()
        counters = self.state.counters
        if self.rounds and counters.rounding_since is None and self._share() >= self.config.quantize_from:
            self.backend.begin_rounding()
            # The float model has a lower loss than the rounded one, but is not what will be stored: restart the best
            # loss.
            counters.rounding_since, counters.best_loss, counters.best_step = counters.step, None, 0
            self.progress.note(f"step {counters.step}: from here on matrices are rounded to {self.config.weights}")
        batch = self.state.batches.next()
        self.learning_rate = self.config.learning_rate * rate_factor(self.config, self._share())
        try:
            nats, learned, _ = self.backend.step(batch, self.learning_rate)
        except FloatingPointError:
            raise self._no_number() from None
        tokens = int(np.count_nonzero(batch.documents >= 0))
        seconds = self.backend.largest(time.perf_counter() - started)
        counters.step += 1
        counters.tokens += tokens
        counters.seconds += seconds
        counters.pending_nats += nats
        counters.pending_learned += learned
        counters.pending_tokens += tokens
        counters.pending_seconds += seconds

    def _no_number(self) -> TrainingError:
        """The error that ends training before NaN or infinity replaces the last good state on disk."""
        return TrainingError(
            f"the loss is NaN or infinite after step {self.state.counters.step}; lower learning_rate (now "
            f"{self.config.learning_rate}) in {self.run.path / 'config.toml'} and go on with --resume"
        )

    def _look_after(self) -> None:
        """Does what is due after a step: evaluation, log, checkpoint."""
        config, step = self.config, self.state.counters.step
        last = self._share() >= 1
        self.progress.step(step, self._share())
        evaluated = self.validation_rows is not None and (last or step % config.eval_every == 0)
        validation = self._validate() if evaluated else None
        if last or evaluated or step % config.log_every == 0:
            self._log(validation)
        if step % config.checkpoint_every == 0:
            self._save_checkpoint()
            if self.validation_rows is None:
                self._save_weights(None)

    def _validate(self) -> float:
        """Computes the validation loss. If it is the lowest so far, the weights may be saved."""
        assert self.validation_rows is not None
        started = time.perf_counter()
        counters = self.state.counters
        nats, learned = self.backend.evaluate(self.validation_rows)
        loss = nats / learned
        if not math.isfinite(loss):
            raise self._no_number()
        if counters.best_loss is None or loss < counters.best_loss:
            counters.best_loss, counters.best_step = loss, counters.step
            if self._keeps_best():
                self._save_weights(loss)
        counters.seconds += self.backend.largest(time.perf_counter() - started)
        return loss

    def _log(self, validation: float | None) -> None:
        counters = self.state.counters
        self.last_loss = self._pending_loss()
        record = LogRecord(
            step=counters.step,
            loss=self.last_loss,
            validation=validation,
            lr=self.learning_rate,
            tokens=counters.tokens,
            tokens_per_s=round(counters.pending_tokens / max(counters.pending_seconds, 1e-9), 1),
            seconds=round(counters.seconds, 3),
        )
        self.run.append_log(record)
        self.progress.log(record)
        counters.pending_nats = counters.pending_learned = counters.pending_seconds = 0.0
        counters.pending_tokens = 0

    def _pending_loss(self) -> float:
        """The mean loss since the last line of the log."""
        return self.state.counters.pending_nats / max(self.state.counters.pending_learned, 1.0)

    def _save_checkpoint(self) -> None:
        save_checkpoint(self.run, self.state)
        self.saved_step = self.state.counters.step

    def _save_weights(self, validation: float | None) -> None:
        metadata = {"step": str(self.state.counters.step), "format": "shrew"}
        metadata |= {name: str(value) for name, value in asdict(self.model).items()}
        if validation is not None:
            metadata["validation_loss"] = repr(validation)
        self.run.save_weights(self.backend.tensors(), metadata)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that is set by the first Ctrl-C or SIGTERM; a second one interrupts as usual.

    Signals reach only the main thread; elsewhere the event is never set.
    """
    interrupted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield interrupted
        return

    def on_interrupt(number: int, frame: object) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()

    previous = {number: signal.signal(number, on_interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
