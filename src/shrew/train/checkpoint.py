"""The state of a training between two steps, and its form in ``checkpoint.safetensors``."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import msgspec
from safetensors.numpy import save

from shrew.corpus.packed import PackedRows
from shrew.errors import ConfigError, RunError
from shrew.model.parameters import Array, Parameters
from shrew.run import Run, read_tensors
from shrew.train.backends.protocol import Backend
from shrew.train.batches import Batches


@dataclass
class Counters:
    """Counters of a training so far."""

    step: int = 0
    seconds: float = 0.0
    """Training time of all parts of the run."""
    tokens: int = 0
    """Tokens processed so far, without padding."""
    best_loss: float | None = None
    """Lowest validation loss in nats per token; None before the first."""
    best_step: int = 0
    rounding_since: int | None = None
    """The step after which matrices were rounded; None: not yet."""
    pending_nats: float = 0.0
    """Loss, learned tokens, tokens and seconds since the last line of the log."""
    pending_learned: float = 0.0
    pending_tokens: int = 0
    pending_seconds: float = 0.0


@dataclass
class State:
    """Everything on which the next step depends."""

    backend: Backend
    batches: Batches
    counters: Counters


class _Position(msgspec.Struct, forbid_unknown_fields=True):
    """The part of a checkpoint that is not tensors."""

    counters: Counters
    epoch: int
    cursor: int
    rows: int
    batch: int
    seed: int
    data: int
    """CRC-32 of the rows."""


def save_checkpoint(run: Run, state: State) -> None:
    tensors: dict[str, Array] = {f"model.{name}": tensor for name, tensor in state.backend.parameters().items()}
    tensors |= {f"optimizer.{name}": array for name, array in state.backend.optimizer_state().items()}
    run.replace(run.checkpoint_path, save(tensors, {"position": _encode(state)}))


def load_checkpoint(run: Run, state: State) -> None:
    """Restores ``state`` from the checkpoint. RunError if it is missing, malformed or of another run."""
    path = run.checkpoint_path
    if not path.is_file():
        raise RunError(f"{path}: no checkpoint to resume from; start the run without resuming")
    tensors, metadata = read_tensors(path)
    try:
        position = msgspec.json.decode(metadata.get("position", ""), type=_Position)
        parameters = Parameters.of(run.config.model, _part(tensors, "model."))
    except (msgspec.DecodeError, ConfigError) as error:
        raise RunError(f"{path}: does not fit this run: {error}") from None
    batches = state.batches
    expected: dict[str, Any] = {"rows": len(batches.rows), "batch": batches.batch, "seed": batches.seed}
    for name, now in expected.items():
        if getattr(position, name) != now:
            was = getattr(position, name)
            raise RunError(f"{path}: {name} was {was} and is {now} now; resume with the same data and options")
    if position.data != _digest(batches.rows):
        raise RunError(f"{path}: the data has changed since; resume with what the run began with, or start again")
    try:
        state.backend.load(parameters, _part(tensors, "optimizer."))
    except RunError as error:
        raise RunError(f"{path}: does not fit this run: {error}") from None
    state.counters = position.counters
    state.batches = Batches(batches.rows, batches.batch, batches.seed, epoch=position.epoch, cursor=position.cursor)


def _encode(state: State) -> str:
    b = state.batches
    position = _Position(state.counters, b.epoch, b.cursor, len(b.rows), b.batch, b.seed, _digest(b.rows))
    return msgspec.json.encode(position).decode()


def _digest(rows: PackedRows) -> int:
    crc = 0
    for array in (rows.inputs, rows.targets, rows.weights, rows.documents):
        crc = zlib.crc32(array.tobytes(), crc)
    return crc


def _part(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
