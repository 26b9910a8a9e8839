"""The training loop."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass

import numpy as np

from shrew.corpus.packed import PackedRows
from shrew.errors import DataError, TrainingError
from shrew.model.parameters import Array, Parameters, init_parameters
from shrew.model.transformer import evaluate, loss_and_gradients
from shrew.train.allocator import keep_freed_memory
from shrew.train.batches import Batches
from shrew.train.checkpoint import Counters, State, load_checkpoint, save_checkpoint
from shrew.train.optimizer import clip_gradients, make_optimizer
from shrew.train.plot import plot_loss
from shrew.train.progress import SilentProgress, TrainingProgress
from shrew.train.run import LogRecord, Run
from shrew.train.schedule import rate_factor


@dataclass(frozen=True)
class TrainResult:
    """How a training ended. The weights worth keeping are in ``model.safetensors`` of the run."""

    step: int
    loss: float
    """Nats per learned token at the last line of the log, or up to here where there is none."""
    best_loss: float | None
    """Lowest validation loss, whose weights were kept; None without validation rows."""
    best_step: int
    tokens: int
    seconds: float
    """Both over all parts of the run."""
    interrupted: bool
    """Ctrl-C ended it early; the checkpoint goes on from here."""


def train(
    run: Run,
    train_rows: PackedRows,
    validation_rows: PackedRows | None = None,
    *,
    progress: TrainingProgress | None = None,
    resume: bool = False,
    initial: Mapping[str, Array] | None = None,
) -> TrainResult:
    """Trains the model of ``run.config`` and leaves everything in the run folder.

    ``resume`` goes on from the checkpoint, with the numbers that an uninterrupted run would have had. ``initial``
    starts from given weights instead of random ones. Ctrl-C ends the step at hand, saves and returns; a second one
    aborts. Raises DataError, RunError, or TrainingError where the loss is no longer a number.
    """
    for name, rows in (("training", train_rows), ("validation", validation_rows)):
        if rows is not None and not rows.weights.any():
            raise DataError(f"the {name} rows hold nothing to learn: no target has a weight")
    keep_freed_memory()
    trainer = _Trainer(run, train_rows, validation_rows, progress or SilentProgress(), initial)
    if resume:
        load_checkpoint(run, trainer.state)
        run.cut_log(trainer.state.counters.step)
        trainer.last_loss = next((record.loss for record in reversed(run.read_log())), math.nan)
    else:
        save_checkpoint(run, trainer.state)
    return trainer.train()


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
        self.state = State(
            parameters=init_parameters(model, config.seed) if given is None else Parameters(model, given),
            optimizer=make_optimizer(model, config),
            batches=Batches(train_rows, config.batch, config.seed),
            counters=Counters(),
        )
        self.last_loss = math.nan
        self.learning_rate = 0.0

    def train(self) -> TrainResult:
        config, counters = self.config, self.state.counters
        self.progress.start(counters.step, config.steps, self._share())
        pool = ThreadPoolExecutor(config.threads) if config.threads > 1 else nullcontext()
        try:
            with _interruptible() as interrupted, pool as executor:
                while self._share() < 1 and not interrupted.is_set():
                    self._step(executor)
                    self._look_after(executor)
                save_checkpoint(self.run, self.state)
            if not self._keeps_best() or counters.best_loss is None:
                self._save_weights(None)
            if hint := plot_loss(self.run):
                self.progress.note(hint)
        finally:
            self.progress.close()
        return TrainResult(
            step=counters.step,
            loss=self._pending_loss() if math.isnan(self.last_loss) else self.last_loss,
            best_loss=counters.best_loss,
            best_step=counters.best_step,
            tokens=counters.tokens,
            seconds=counters.seconds,
            interrupted=interrupted.is_set() and self._share() < 1,
        )

    def _keeps_best(self) -> bool:
        return self.validation_rows is not None and self.config.keep == "best"

    def _share(self) -> float:
        return self.config.share(self.state.counters.step, self.state.counters.seconds)

    def _step(self, executor: Executor | None) -> None:
        """One batch, one move of the parameters."""
        started = time.perf_counter()
        state, counters = self.state, self.state.counters
        batch = state.batches.next()
        nats, learned, gradients = loss_and_gradients(self.model, state.parameters, batch, executor=executor)
        norm = clip_gradients(gradients, 1 / max(learned, 1.0), self.config.clip)
        self._require(math.isfinite(nats) and math.isfinite(norm))
        self.learning_rate = self.config.learning_rate * rate_factor(self.config, self._share())
        state.optimizer.step(state.parameters, gradients, self.learning_rate)
        self._require(bool(np.isfinite(state.parameters.flat).all()))

        tokens = int(np.count_nonzero(batch.documents >= 0))
        seconds = time.perf_counter() - started
        counters.step += 1
        counters.tokens += tokens
        counters.seconds += seconds
        counters.pending_nats += nats
        counters.pending_learned += learned
        counters.pending_tokens += tokens
        counters.pending_seconds += seconds

    def _require(self, finite: bool) -> None:
        """Ends the training before what is on disk, the last good state, is replaced by infinities."""
        if not finite:
            raise TrainingError(
                f"the loss is no longer a number after step {self.state.counters.step}; lower learning_rate (now "
                f"{self.config.learning_rate}) in {self.run.path / 'config.toml'} and go on with --resume"
            )

    def _look_after(self, executor: Executor | None) -> None:
        """What is due after a step: evaluation, log, checkpoint."""
        config, step = self.config, self.state.counters.step
        last = self._share() >= 1
        self.progress.step(step, self._share())
        evaluated = self.validation_rows is not None and (last or step % config.eval_every == 0)
        validation = self._validate(executor) if evaluated else None
        if last or evaluated or step % config.log_every == 0:
            self._log(validation)
        if step % config.checkpoint_every == 0:
            save_checkpoint(self.run, self.state)
            if self.validation_rows is None:
                self._save_weights(None)

    def _validate(self, executor: Executor | None) -> float:
        """Validation loss; where it is the lowest yet, the weights may be kept."""
        assert self.validation_rows is not None
        started = time.perf_counter()
        counters = self.state.counters
        nats, learned = evaluate(self.model, self.state.parameters, self.validation_rows, executor=executor)
        loss = nats / learned
        self._require(math.isfinite(loss))
        if counters.best_loss is None or loss < counters.best_loss:
            counters.best_loss, counters.best_step = loss, counters.step
            if self._keeps_best():
                self._save_weights(loss)
        counters.seconds += time.perf_counter() - started
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

    def _save_weights(self, validation: float | None) -> None:
        metadata = {"step": str(self.state.counters.step), "format": "shrew"}
        metadata |= {name: str(value) for name, value in asdict(self.model).items()}
        if validation is not None:
            metadata["validation_loss"] = repr(validation)
        self.run.save_weights(self.state.parameters, metadata)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, while a second one interrupts as usual.

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

    previous = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
