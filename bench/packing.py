"""Measures the effect of packing on a model: boundary-aware rows, rows whose documents see each other, and fixed-length
chunks. One small model, three seeds, the same number of passes over the documents.

Usage: python bench/packing.py [--data questions|stories] [--rows NAME ...] [--seeds N ...] [--passes N] [--json]

questions: hardwareone_rich of the folder that SHREW_DATA names (default ../shared/data), without repeats; one phrasing
of each answer with several is held out. Measures the held-out phrasings whose greedy answer is exactly right. stories:
the built-in corpus; measures bits per byte of held-out stories. Held-out documents are always in separate rows, as on a
device. About half a minute per row and seed on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads share the work in larger pieces

import math
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from shrew.corpus import (
    Corpus,
    Document,
    EncodedDocument,
    PackedRows,
    builtin_corpus,
    drop_duplicates,
    encode_documents,
    pack,
    read_corpus,
)
from shrew.model.config import ModelConfig
from shrew.model.gradients import evaluate
from shrew.model.parameters import Parameters
from shrew.model.transformer import forward
from shrew.run import Run, RunConfig, TrainConfig, load_run
from shrew.tokenizer import Tokenizer, train_for_corpus
from shrew.train.loop import train

DATA = Path(os.environ.get("SHREW_DATA", Path(__file__).parents[2] / "shared" / "data"))
CONTEXT = {"questions": 128, "stories": 512}
PASSES = {"questions": 12, "stories": 2}


def questions() -> Corpus:
    """The corpus without repeats. Holds out one phrasing, chosen by hash, of each answer with several."""
    documents = drop_duplicates(read_corpus(DATA / "hardwareone_rich_2026-03-30.txt"))
    phrasings: defaultdict[str, list[Document]] = defaultdict(list)
    for document in documents:
        if document.prompt:
            phrasings[document.response].append(document)
    held_out = [
        min(group, key=lambda document: hashlib.blake2b(document.prompt.encode()).digest())
        for group in phrasings.values()
        if len(group) > 1
    ]
    asked = {document.prompt for document in held_out}
    return Corpus("questions", [d for d in documents if d.prompt not in asked], held_out)


def apart(encoded: Sequence[EncodedDocument], context: int) -> PackedRows:
    return pack(encoded, context)[0]


def leaking(encoded: Sequence[EncodedDocument], context: int) -> PackedRows:
    """Packed rows in which each row is one document, so that documents see each other."""
    rows = apart(encoded, context)
    return replace(
        rows,
        documents=np.where(rows.documents >= 0, 0, -1).astype(np.int16),
        positions=np.broadcast_to(np.arange(context, dtype=np.uint16), rows.inputs.shape),
    )


def chunks(encoded: Sequence[EncodedDocument], context: int) -> PackedRows:
    """All documents as one stream in random order, cut every ``context`` positions, without the rest."""
    order = np.random.default_rng(0).permutation(len(encoded))
    ids = np.concatenate([encoded[i].ids for i in order])
    learn = np.concatenate([encoded[i].learn for i in order])
    shape = ((len(ids) - 1) // context, context)
    end = shape[0] * context
    return PackedRows(
        inputs=ids[:end].reshape(shape),
        targets=ids[1 : end + 1].reshape(shape),
        weights=learn[1 : end + 1].reshape(shape).astype(np.float32),
        documents=np.zeros(shape, np.int16),
        positions=np.broadcast_to(np.arange(context, dtype=np.uint16), shape),
    )


ROWS = {"apart": apart, "leaking": leaking, "chunks": chunks}


def accuracy(model: ModelConfig, parameters: Parameters, encoded: Sequence[EncodedDocument]) -> float:
    """The fraction of responses that greedy decoding would generate: every token is the likeliest."""
    rows = apart(encoded, model.context)
    logits = forward(model, parameters, rows.inputs, documents=rows.documents, positions=rows.positions)
    wrong = (logits.argmax(-1) != rows.targets) & (rows.weights > 0)
    document = rows.documents + np.arange(len(rows))[:, None] * model.context  # one number per document
    return 1 - len(np.unique(document[wrong])) / len(encoded)


def measure(corpus: Corpus, tokenizer: Tokenizer, name: str, seed: int, passes: int) -> dict[str, float]:
    context = CONTEXT[corpus.name]
    model = ModelConfig(dim=64, layers=3, heads=4, vocab=tokenizer.vocab, context=context, ffn=176)
    rows = ROWS[name](encode_documents(corpus.train, tokenizer), context)
    batch = max(2048 // context, 1)
    steps = round(passes * len(rows) / batch)
    training = TrainConfig(steps=steps, batch=batch, learning_rate=6e-3, optimizer="muon", keep="last", seed=seed)
    held_out = encode_documents(corpus.held_out, tokenizer)
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", RunConfig(model=model, train=training))
        tokenizer.save(run.tokenizer_path)
        result = train(run, rows)
        parameters = Parameters.of(model, load_run(run.path).parameters)
    nats, _ = evaluate(model, parameters, apart(held_out, context))
    size = sum(len(document.response.encode()) for document in corpus.held_out)
    measured = {
        "bits_per_byte": nats / math.log(2) / size,
        "training_loss": result.loss,
        "steps": steps,
        "seconds": result.seconds,
    }
    if corpus.name == "questions":
        measured["accuracy"] = accuracy(model, parameters, held_out)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=CONTEXT, default="questions")
    parser.add_argument("--rows", nargs="*", choices=ROWS, default=list(ROWS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--passes", type=int, default=0, help="over the documents; default 12 or 2")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    corpus = questions() if options.data == "questions" else builtin_corpus("stories", stories=2000)
    tokenizer = train_for_corpus(corpus.train, kind="bpe", vocab=512)
    passes = options.passes or PASSES[options.data]
    results: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for name in options.rows:
        for seed in options.seeds:
            started = time.perf_counter()
            results[name].append(measure(corpus, tokenizer, name, seed, passes))
            if not options.json:
                shown = "  ".join(f"{key} {value:.4g}" for key, value in results[name][-1].items())
                print(f"{name:8} seed {seed}  {shown}  wall {time.perf_counter() - started:.0f}", flush=True)
    if options.json:
        print(json.dumps({"data": options.data, "held_out": len(corpus.held_out), "rows": results}))
        return
    for name, runs in results.items():
        means = {key: statistics.mean(run[key] for run in runs) for key in runs[0]}
        print(f"{name:8} mean    " + "  ".join(f"{key} {value:.4g}" for key, value in means.items()))


if __name__ == "__main__":
    main()
