"""Measures the cost of each way to store weights: nats per token on tinystories.txt relative to floats, and bytes.

Usage: python bench/quantization.py [--model stories260K|stories3M] [--skip DOCUMENTS] [--limit DOCUMENTS] [--tokens N]
[--steps N] [--only TYPE ...] [--json]. Reads the folder that SHREW_DATA names (default ../shared/data). Calibrated rows
learn from text that the model generates, so the measured documents are unseen. The engine computes all scores.
"""

from __future__ import annotations

import argparse
import json
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads share the work in larger pieces

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from shrew.corpus import pack, read_corpus
from shrew.doors.llama2c import read_checkpoint, read_tokenizer
from shrew.engine import Model
from shrew.evaluation import score_tokens
from shrew.image import WeightType, build_image
from shrew.image.writer import Matrix
from shrew.model.allocator import keep_freed_memory
from shrew.quantize import choose_types, parse_override
from shrew.quantize.calibration import calibrate, calibration_tokens
from shrew.quantize.text import write_documents

DATA = Path(os.environ.get("SHREW_DATA", Path(__file__).parents[2] / "shared" / "data"))
MODELS = {"stories260K": ("stories260K.bin", "tok512.bin"), "stories3M": ("stories3M-q80.bin", "tok4096.bin")}

#: Float matrices with an int8 cache and integer attention.
INTEGER_ATTENTION = "f32, integer attention"

#: Name of the row, the type of all matrices, exceptions for some, and whether it is calibrated.
ROWS = [
    ("f32", WeightType("f32"), "", False),
    (INTEGER_ATTENTION, WeightType("f32"), "", False),
    *((f"q8:{group}", WeightType("q8", group), "", False) for group in (0, 32)),
    *(
        (f"{weight}{' calibrated' if calibrated else ''}", weight, "", calibrated)
        for group in (16, 32, 64)
        for weight in (WeightType("q4", group), WeightType("ternary", group))
        for calibrated in (False, True)
    ),
    ("q4:32 (value q8) calibrated", WeightType("q4", 32), "*.value.weight=q8", True),
    ("q4:32 (value, key q8) calibrated", WeightType("q4", 32), "*.value.weight=q8 *.key.weight=q8", True),
    ("q4:32 (embedding q8) calibrated", WeightType("q4", 32), "token_embedding.weight=q8", True),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="stories260K")
    parser.add_argument("--skip", type=int, default=0, help="documents at the beginning to leave out")
    parser.add_argument("--limit", type=int, help="documents to measure on")
    parser.add_argument("--tokens", type=int, default=0, help="cut each document there; 0: at the context")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only", nargs="*", default=[], help="rows whose names begin so; f32 always")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    keep_freed_memory()
    checkpoint, vocabulary = MODELS[options.model]
    config, parameters = read_checkpoint(DATA / checkpoint)
    tokenizer = read_tokenizer(DATA / vocabulary, vocab=config.vocab)
    floats = Model.from_bytes(build_image(config, parameters, tokenizer))
    cut = options.tokens or config.context
    texts = [document.response for document in read_corpus(DATA / "tinystories.txt", format="text")]
    texts = texts[options.skip :][: options.limit]
    documents = []
    for text in texts:
        ids = np.concatenate([np.array([tokenizer.bos], np.uint16), tokenizer.encode(text)])[:cut]
        documents.append((ids, np.arange(len(ids)) > 0))
    rows: list[dict[str, object]] = []
    exact = 0.0
    with ThreadPoolExecutor(2) as executor:
        writer = Model.from_bytes(build_image(config, parameters, tokenizer, types=WeightType("q8")))
        learnt = pack(write_documents(writer, calibration_tokens(options.steps), executor=executor), config.context)[0]
        for name, weight, override, calibrated in ROWS:
            if options.only and name != "f32" and not name.startswith(tuple(options.only)):
                continue
            started = time.perf_counter()
            types = choose_types(config, weight, [parse_override(text, -1) for text in override.split()])
            matrices: Mapping[str, Matrix] = parameters
            if calibrated:
                matrices = calibrate(config, parameters, types, learnt, steps=options.steps, executor=executor)
            seconds = time.perf_counter() - started
            image = build_image(config, matrices, tokenizer, types=types)
            cache = "int8" if name == INTEGER_ATTENTION else "auto"
            score = score_tokens(floats if name == "f32" else Model.from_bytes(image), documents, cache=cache)
            exact = exact or score.nats_per_token
            loss = score.nats_per_token - exact
            row = {"row": name, "image_bytes": len(image), "nats_per_token": score.nats_per_token, "loss": loss}
            rows.append(row | {"perplexity": score.perplexity, "calibration_s": seconds})
            if not options.json:
                print(
                    f"{name:32} {len(image):>10,} bytes  {score.nats_per_token:.4f} nats/token  {loss:+.4f}  "
                    f"{seconds:.0f} s",
                    flush=True,
                )
    if options.json:
        tokens = score.tokens if rows else 0
        print(json.dumps({"model": options.model, "documents": len(texts), "tokens": tokens, "rows": rows}))


if __name__ == "__main__":
    main()
