"""Trains a large question-and-answer model with Shrew's recipe, and with the PyTorch recipe of its shape's origin.

    python bench/recipe.py [--preset qa-18x192] [--passes 30] [--torch-passes 60] [--compiled] [--json]

Data: hardwareone_rich without repeats; one phrasing of each answer with several is held out; rows of 128. The PyTorch
recipe is that of the shape's origin: AdamW at 3e-4 with a batch of 16 rows in which documents see each other, in
idiomatic PyTorch (bench/torch_gpt.py). ``--compiled`` excludes the time of compiling. Both learn only responses, and
held-out documents are in separate rows for both. Prints for each the time to PyTorch's lowest held-out loss, the lowest
held-out loss, the training loss, and the fraction of held-out answers that are right token for token. Reads the folder
that SHREW_DATA names (default ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from packing import accuracy, apart, leaking, questions

from shrew.corpus import EncodedDocument, encode_documents
from shrew.model.config import ModelConfig
from shrew.model.gradients import evaluate
from shrew.model.parameters import Parameters, init_parameters
from shrew.model.presets import preset
from shrew.run import LogRecord, Run, RunConfig, TrainConfig, load_run
from shrew.tokenizer import Tokenizer
from shrew.train.loop import train
from shrew.train.progress import SilentProgress

if TYPE_CHECKING:
    from torch_gpt import TorchGpt


@dataclass
class Course:
    """The course of one training."""

    name: str
    points: list[tuple[float, float, float]] = field(default_factory=list)
    """Seconds, held-out loss, training loss; losses in nats per token."""
    accuracy: float = math.nan

    def seconds_to(self, loss: float) -> float:
        return next((seconds for seconds, held_out, _ in self.points if held_out <= loss), math.inf)

    def note(self, seconds: float, held_out: float, training: float) -> None:
        self.points.append((seconds, held_out, training))
        print(f"{self.name:8} {seconds:7.1f} s  held out {held_out:.4f}  training {training:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="qa-18x192")
    parser.add_argument("--passes", type=float, default=30)
    parser.add_argument("--torch-passes", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--optimizer", default="muon")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--only", choices=["shrew", "torch"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    corpus, chosen = questions(), preset(arguments.preset)
    tokenizer = chosen.learn_tokenizer(corpus)
    model = chosen.model_for(tokenizer.vocab)
    learnt, held_out = (encode_documents(side, tokenizer) for side in (corpus.train, corpus.held_out))
    print(f"{model.parameters:,} parameters, {len(learnt):,} documents learnt, {len(held_out)} held out", flush=True)
    courses = {}
    if arguments.only != "torch":
        courses["shrew"] = shrew_course(model, learnt, held_out, tokenizer, arguments)
    if arguments.only != "shrew":
        courses["torch"] = torch_course(model, learnt, held_out, arguments)
    reference = courses["torch"] if "torch" in courses else courses["shrew"]
    best = min(loss for _, loss, _ in reference.points)
    result = {
        name: {
            "seconds_to_loss": course.seconds_to(best),
            "held_out_loss": min(point[1] for point in course.points),
            "training_loss": course.points[-1][2],
            "accuracy": course.accuracy,
            "seconds": course.points[-1][0],
        }
        for name, course in courses.items()
    }
    print(json.dumps(result) if arguments.json else "\n".join(f"{name}: {line}" for name, line in result.items()))


class _Note(SilentProgress):
    def __init__(self, course: Course) -> None:
        self._course = course

    def log(self, record: LogRecord) -> None:
        if record.validation is not None:
            self._course.note(record.seconds, record.validation, record.loss)


def shrew_course(
    model: ModelConfig,
    learnt: list[EncodedDocument],
    held_out: list[EncodedDocument],
    tokenizer: Tokenizer,
    arguments: argparse.Namespace,
) -> Course:
    rows, course = apart(learnt, model.context), Course("shrew")
    steps = round(arguments.passes * len(rows) / arguments.batch)
    every = max(round(len(rows) / arguments.batch), 1)
    training = TrainConfig(
        steps=steps, batch=arguments.batch, learning_rate=arguments.learning_rate, optimizer=arguments.optimizer,
        keep="last", seed=arguments.seed, threads=arguments.threads, eval_every=every, log_every=every,
        checkpoint_every=steps,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", RunConfig(model=model, train=training))
        tokenizer.save(run.tokenizer_path)
        train(run, rows, apart(held_out, model.context), progress=_Note(course))
        course.accuracy = accuracy(model, Parameters.of(model, load_run(run.path).parameters), held_out)
    return course


def torch_course(
    model: ModelConfig, learnt: list[EncodedDocument], held_out: list[EncodedDocument], arguments: argparse.Namespace
) -> Course:
    import torch
    from torch_gpt import TorchGpt, training_step

    torch.set_num_threads(arguments.threads)
    torch.set_float32_matmul_precision("high")
    rows, course, batch = leaking(learnt, model.context), Course("torch"), 16
    tested = apart(held_out, model.context)
    network = TorchGpt(model, model.context)
    network.take(model, init_parameters(model, arguments.seed))
    step = training_step(network, arguments.compiled, 3e-4, 0.01, (0.9, 0.99), 1.0)

    def learn(some: NDArray[np.intp]) -> float:
        chosen = rows.take(some)
        targets = np.where(chosen.weights > 0, chosen.targets.astype(np.int64), -100)  # cross_entropy ignores -100
        return step(torch.from_numpy(chosen.inputs.astype(np.int64)), torch.from_numpy(targets))

    if arguments.compiled:
        learn(np.arange(batch))
    generator, seconds = np.random.default_rng(arguments.seed), 0.0
    for _ in range(arguments.torch_passes):
        order = generator.permutation(len(rows))
        started = time.perf_counter()
        losses = [learn(order[first : first + batch]) for first in range(0, len(rows) - batch + 1, batch)]
        seconds += time.perf_counter() - started
        nats, learned = evaluate(model, parameters_of(model, network), tested)
        course.note(seconds, nats / learned, float(np.mean(losses)))
    course.accuracy = accuracy(model, parameters_of(model, network), held_out)
    return course


def parameters_of(model: ModelConfig, network: TorchGpt) -> Parameters:
    """The parameters of the PyTorch network in Shrew's form."""
    parameters = Parameters.zeros(model)
    places = {"token_embedding.weight": parameters.network.token_embedding}
    places["position_embedding.weight"] = parameters["position_embedding.weight"]
    for i, layer in enumerate(parameters.network.layers):
        parts = {"attention_norm": layer.attention_norm, "attention.qkv": layer.qkv, "attention.out": layer.out}
        parts |= {"mlp_norm": layer.mlp_norm, "mlp.up": layer.up, "mlp.down": layer.down}
        for name, part in parts.items():
            places |= {f"layers.{i}.{name}.{kind}": getattr(part, kind) for kind in ("weight", "bias")}
    places |= {f"final_norm.{kind}": getattr(parameters.network.final_norm, kind) for kind in ("weight", "bias")}
    for name, tensor in network.named_parameters():
        places.pop(name)[...] = tensor.detach().numpy()
    assert not places
    return parameters


if __name__ == "__main__":
    main()
