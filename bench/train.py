"""Compares training tokens per second with PyTorch, eager and compiled: the same weights, rows and steps, alternating.

Usage: bench/train.py [--shape A|B|C] [--runs 5] [--threads 2] [--seconds 2] [--json]

Each contender is a separate process, so that its peak memory can be measured. A step includes forward, backward,
clipping and AdamW. Each row is one full document, so that packing gives no advantage. Before measuring, all must agree
on the loss of the first steps. Results are medians over the runs, each of which measures every contender; ``ratio`` is
Shrew divided by the better of PyTorch's two.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shrew.corpus.packed import PackedRows
from shrew.model.config import ModelConfig
from shrew.run import TrainConfig

LEARNING_RATE = 1e-3
CHECKED_STEPS = 3
CONTENDERS = {"shrew": "shrew", "torch_eager": "PyTorch eager", "torch_compiled": "PyTorch compiled"}


@dataclass(frozen=True)
class Shape:
    model: ModelConfig
    T: int
    batch: int


BIASES = {"bias_qkv": True, "bias_out": True, "bias_mlp": True}
SHAPES = {
    "A": Shape(ModelConfig(dim=64, layers=5, heads=8, kv_heads=4, ffn=172, vocab=512, context=256), 256, 32),
    "B": Shape(
        ModelConfig(
            dim=192, layers=18, heads=6, ffn=320, vocab=4096, context=128,
            norm="layer", position="learned", mlp="gelu", **BIASES,
        ),
        128,
        32,
    ),
    "C": Shape(ModelConfig(dim=128, layers=5, heads=8, ffn=352, vocab=512, context=256), 256, 16),
}  # fmt: skip


# ---- In a contender's own process ----------------------------------------------------------------------------------


def shrew_step(shape: Shape, threads: int) -> Callable[[], float]:
    from concurrent.futures import ThreadPoolExecutor

    from shrew.model.allocator import keep_freed_memory
    from shrew.model.gradients import loss_and_gradients
    from shrew.model.parameters import init_parameters
    from shrew.train.optimizer import clip_gradients, make_optimizer

    keep_freed_memory()
    config = TrainConfig(steps=1, batch=shape.batch)
    parameters = init_parameters(shape.model, 0)
    optimizer = make_optimizer(shape.model, config)
    rows = random_rows(shape)
    executor = ThreadPoolExecutor(threads) if threads > 1 else None

    def step() -> float:
        nats, learned, gradients = loss_and_gradients(shape.model, parameters, rows, executor=executor)
        clip_gradients(gradients, 1 / learned, config.clip)
        optimizer.step(parameters, gradients, LEARNING_RATE)
        return nats / learned

    return step


def torch_step(shape: Shape, threads: int, compiled: bool) -> Callable[[], float]:
    import torch
    from torch_gpt import TorchGpt, training_step

    from shrew.model.parameters import init_parameters

    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision("high")  # allows as few bits as Shrew's AMX tiles
    config, rows = TrainConfig(steps=1), random_rows(shape)
    model = TorchGpt(shape.model, shape.T)
    model.take(shape.model, init_parameters(shape.model, 0))
    betas = config.beta1, config.beta2
    step = training_step(model, compiled, LEARNING_RATE, config.weight_decay, betas, config.clip)
    ids, targets = (torch.from_numpy(part.astype(np.int64)) for part in (rows.inputs, rows.targets))
    return lambda: step(ids, targets)


def random_rows(shape: Shape) -> PackedRows:
    size = shape.batch, shape.T
    ids = np.random.default_rng(0).integers(0, shape.model.vocab, (shape.batch, shape.T + 1)).astype(np.uint16)
    return PackedRows(
        inputs=ids[:, :-1],
        targets=ids[:, 1:],
        weights=np.ones(size, np.float32),
        documents=np.zeros(size, np.int16),
        positions=np.broadcast_to(np.arange(shape.T, dtype=np.uint16), size),
    )


def serve(name: str, shape: Shape, threads: int) -> None:
    """Prints the losses of the first steps, then tokens/s for each number of seconds that it reads."""
    step = shrew_step(shape, threads) if name == "shrew" else torch_step(shape, threads, name == "torch_compiled")
    reply({"losses": [step() for _ in range(CHECKED_STEPS)]})
    for line in sys.stdin:
        steps, started, spent, busy = 0, time.perf_counter(), 0.0, time.process_time()
        while spent < float(line):
            step()
            steps += 1
            spent = time.perf_counter() - started
        tokens = steps * shape.batch * shape.T
        busy = 1e6 * (time.process_time() - busy) / tokens
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        reply({"tok_per_s": tokens / spent, "cpu_us_per_tok": busy, "peak_mb": peak})


def reply(answer: dict[str, object]) -> None:
    print(json.dumps(answer), flush=True)


# ---- The parent ----------------------------------------------------------------------------------------------------


@dataclass
class Contender:
    name: str
    process: subprocess.Popen[str]
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    """Microseconds of processor time per token."""
    peak_mb: int = 0

    @classmethod
    def start(cls, name: str, shape: str, threads: int) -> Contender:
        count = str(threads)
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count}
        command = [sys.executable, __file__, "--serve", name, "--shape", shape, "--threads", count]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environment)
        contender = cls(name, process)
        contender.losses = contender._answer()["losses"]
        return contender

    def turn(self, seconds: float) -> None:
        assert self.process.stdin is not None
        print(seconds, file=self.process.stdin, flush=True)
        answer = self._answer()
        self.rates.append(answer["tok_per_s"])
        self.costs.append(answer["cpu_us_per_tok"])
        self.peak_mb = answer["peak_mb"]

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        if line := self.process.stdout.readline():
            return json.loads(line)
        said = self.process.communicate()[1].strip().splitlines()
        raise ChildProcessError(said[-1] if said else f"ended with {self.process.returncode}")


def contenders(shape: str, threads: int) -> tuple[list[Contender], dict[str, str]]:
    """The contenders that run here, and why the others do not."""
    running, missing = [], {}
    for name in CONTENDERS:
        try:
            running.append(Contender.start(name, shape, threads))
        except ChildProcessError as error:
            missing[name] = str(error)
    return running, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="A")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=CONTENDERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, SHAPES[options.shape], options.threads)
        return

    running, missing = contenders(options.shape, options.threads)
    if "shrew" in missing:
        raise SystemExit(f"shrew: {missing['shrew']}")
    expected = running[0].losses
    for other in running[1:]:
        if not all(math.isclose(a, b, rel_tol=1e-3) for a, b in zip(expected, other.losses, strict=True)):
            raise SystemExit(f"losses differ: shrew {expected}, {other.name} {other.losses}")
    for _ in range(options.runs):
        for contender in running:
            contender.turn(options.seconds)

    rates = {each.name: statistics.median(each.rates) for each in running}
    peers = [rate for name, rate in rates.items() if name != "shrew"]
    ratio = rates["shrew"] / max(peers) if peers else None
    if options.json:
        result: dict[str, object] = {"shape": options.shape, "threads": options.threads, "runs": options.runs}
        result |= {f"{name}_tok_per_s": round(rates[name]) if name in rates else None for name in CONTENDERS}
        result |= {f"{each.name}_cpu_us_per_tok": round(statistics.median(each.costs), 2) for each in running}
        result |= {f"{each.name}_peak_mb": each.peak_mb for each in running}
        reply(result | {"ratio": ratio and round(ratio, 3), "missing": missing})
        return
    model = SHAPES[options.shape].model
    print(f"shape {options.shape}: {model.parameters:,} parameters, {options.threads} threads")
    for each in running:
        spread = f"{min(each.rates):,.0f} to {max(each.rates):,.0f}"
        rate, cost = rates[each.name], statistics.median(each.costs)
        print(
            f"{CONTENDERS[each.name]:<18} {rate:>9,.0f} tokens/s ({spread}), {cost:.1f} us a token of processor time, "
            f"peak {each.peak_mb} MB"
        )
    for name, reason in missing.items():
        print(f"{CONTENDERS[name]:<18} does not run here: {reason}")
    if ratio:
        print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
