"""Measures what each part of the recipe gains: optimisers, rates, schedules, batches, averages of weights.

Usage: python bench/ablation.py [--rows NAME ...] [--passes N] [--seeds N] [--written MB] [--out FOLDER] [--threads N]
[--json]

One model (96 x 4, vocabulary 512, floats) on the stories of qat.py. Each row changes the base as its name says. The
result is the loss on held-out stories after the same number of tokens. Rows named "average" evaluate the mean of the
weights over the last tenth of the run, or an exponential moving average, instead of the last weights.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from qat import OPTIONS, stories

from shrew.corpus import PackedRows
from shrew.model.config import ModelConfig
from shrew.model.parameters import Parameters, init_parameters
from shrew.run import TrainConfig
from shrew.tokenizer import train_for_corpus
from shrew.train.backends.numpy_backend import NumpyBackend
from shrew.train.batches import Batches
from shrew.train.prepare import prepare
from shrew.train.schedule import rate_factor

MODEL: dict[str, Any] = {"dim": 96, "layers": 4, "heads": 6, "kv_heads": 3, "ffn": 192, "context": 512}


class Row(NamedTuple):
    changes: dict[str, Any] = {}  # noqa: RUF012  (never changed)
    passes: float = 1.0
    """Multiplies the number of passes asked for."""
    average: int = 0
    """Time constant, in steps, of the exponential average of weights; -1: the plain mean of the last tenth."""


ADAMW = {"optimizer": "adamw"}
ROWS = {
    "muon 6e-3 (base)": Row(),
    "muon 3e-3": Row({"learning_rate": 3e-3}),
    "muon 1.2e-2": Row({"learning_rate": 1.2e-2}),
    "muon 2.4e-2": Row({"learning_rate": 2.4e-2}),
    "muon 4.8e-2": Row({"learning_rate": 4.8e-2}),
    "adamw 1.5e-3": Row(ADAMW | {"learning_rate": 1.5e-3}),
    "adamw 3e-3": Row(ADAMW | {"learning_rate": 3e-3}),
    "adamw 6e-3": Row(ADAMW | {"learning_rate": 6e-3}),
    "adamw 1.2e-2": Row(ADAMW | {"learning_rate": 1.2e-2}),
    "adamw 6e-3, 1.5 x": Row(ADAMW | {"learning_rate": 6e-3}, passes=1.5),
    "adamw 6e-3, 2 x": Row(ADAMW | {"learning_rate": 6e-3}, passes=2.0),
    "wsd, last 30 %": Row({"schedule": "wsd"}),
    "wsd, last 15 %": Row({"schedule": "wsd", "decay": 0.15}),
    "wsd, last 60 %": Row({"schedule": "wsd", "decay": 0.6}),
    "wsd to 0": Row({"schedule": "wsd", "floor": 0.0}),
    "wsd, 3e-3": Row({"schedule": "wsd", "learning_rate": 3e-3}),
    "wsd, 1.2e-2": Row({"schedule": "wsd", "learning_rate": 1.2e-2}),
    "wsd, 2.4e-2": Row({"schedule": "wsd", "learning_rate": 2.4e-2}),
    "adamw 6e-3, wsd": Row(ADAMW | {"learning_rate": 6e-3, "schedule": "wsd"}),
    "linear to 0": Row({"schedule": "wsd", "decay": 0.98, "floor": 0.0}),
    "cosine to 0": Row({"floor": 0.0}),
    "constant": Row({"schedule": "constant"}),
    "constant, mean of the last tenth": Row({"schedule": "constant"}, average=-1),
    "constant, average of 50 steps": Row({"schedule": "constant"}, average=50),
    "average of 50 steps": Row(average=50),
    "warmup 10 %": Row({"warmup": 0.1}),
    "no weight decay": Row({"weight_decay": 0.0}),
    "beta2 0.95": Row({"beta2": 0.95}),
    "no clipping": Row({"clip": 0.0}),
    "batch 4": Row({"batch": 4}),
    "batch 16": Row({"batch": 16}),
}


class Average:
    """A mean of weights over steps."""

    def __init__(self, row: Row, steps: int) -> None:
        self._over, self._steps = row.average, steps
        self._values: np.ndarray | None = None
        self._count = 0

    def take(self, step: int, flat: np.ndarray) -> None:
        if self._over == 0 or (self._over < 0 and step < 0.9 * self._steps):
            return
        self._count += 1
        if self._values is None:
            self._values = flat.copy()
        share = 1 / (self._count if self._over < 0 else min(self._count, self._over))
        self._values += np.float32(share) * (flat - self._values)

    def place(self, parameters: Parameters) -> None:
        if self._values is not None:
            parameters.flat[:] = self._values


def measure(
    row: Row, rows: PackedRows, held_out: PackedRows, model: ModelConfig, given: argparse.Namespace, seed: int
) -> tuple[float, float]:
    options = {name: OPTIONS[name] for name in ("optimizer", "learning_rate", "batch")} | row.changes
    steps = round(row.passes * given.passes * len(rows) / options["batch"])
    config = TrainConfig(**options, steps=steps, threads=given.threads, seed=seed)
    backend = NumpyBackend(model, config, init_parameters(model, seed))
    batches, average = Batches(rows, config.batch, seed), Average(row, steps)
    started = time.perf_counter()
    for step in range(steps):
        backend.step(batches.next(), config.learning_rate * rate_factor(config, step / steps))
        average.take(step, backend.parameters().flat)
    seconds = time.perf_counter() - started
    average.place(backend.parameters())
    nats, tokens = backend.evaluate(held_out)
    backend.close()
    return nats / tokens, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--passes", type=float, default=1.0, help="over the text")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--written", type=float, default=4.1, help="megabytes of stories by stories3M")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    corpus, _ = stories(given.out, given.written)
    tokenizer = train_for_corpus(corpus.train, kind="bpe", vocab=512)
    model = ModelConfig(**MODEL, vocab=tokenizer.vocab)
    prepared = prepare(corpus, tokenizer, model.context)
    assert prepared.validation is not None
    for name in given.rows:
        found = [
            measure(ROWS[name], prepared.train, prepared.validation, model, given, seed) for seed in range(given.seeds)
        ]
        losses, seconds = [loss for loss, _ in found], sum(time for _, time in found) / len(found)
        if given.json:
            print(json.dumps({"row": name, "losses": losses, "seconds": seconds}), flush=True)
        else:
            print(
                f"{name:34} {np.mean(losses):.4f}  {' '.join(f'{x:.4f}' for x in losses)}  {seconds:.0f} s", flush=True
            )


if __name__ == "__main__":
    main()
