"""Finds the best shape for an image of a fixed size: depth or width, vocabulary, heads, kind of MLP, tied head.

Usage: python bench/presets.py [--size 64k|230k|1m|4m] [--type q4] [--rows NAME ...] [--tokens N] [--written MB]
[--rate R] [--schedule NAME] [--out FOLDER] [--threads N] [--json]

Each row changes the base as its name says; its MLP then gets the largest width that fits, in steps of 8. All train for
their type on the same text and number of tokens, and the engine scores them on held-out stories, as in qat.py.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from qat import OPTIONS, SHAPE, fresh_bytes, stories, train_and_score

from shrew.corpus import Corpus
from shrew.engine import Model
from shrew.model.config import ModelConfig
from shrew.run import RunConfig, TrainConfig
from shrew.tokenizer import Tokenizer, train_for_corpus

SIZES = {"64k": 64_000, "230k": 230_000, "1m": 1_000_000, "4m": 4_000_000}

BASES: dict[str, dict[str, Any]] = {
    "64k": {"dim": 64, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 384},
    "230k": {"dim": 96, "layers": 4, "heads": 6, "kv_heads": 3},
    "1m": {"dim": 192, "layers": 4, "heads": 6, "kv_heads": 3, "vocab": 1024},
    "4m": {"dim": 320, "layers": 6, "heads": 10, "kv_heads": 5, "vocab": 2048},
}

ROWS: dict[str, dict[str, dict[str, Any]]] = {
    "64k": {
        "base": {},
        "80 x 1": {"dim": 80, "layers": 1, "heads": 5, "kv_heads": 5},
        "48 x 3": {"dim": 48, "layers": 3, "heads": 4, "kv_heads": 2},
        "32 x 6": {"dim": 32, "layers": 6, "heads": 2, "kv_heads": 2},
        "vocabulary 288": {"vocab": 288},
        "vocabulary 512": {"vocab": 512},
        "vocabulary 768": {"vocab": 768},
        "heads of 8": {"heads": 8, "kv_heads": 4},
        "heads of 32": {"heads": 2, "kv_heads": 1},
        "one key head": {"kv_heads": 1},
        "relu": {"mlp": "relu"},
        "vocabulary 768, heads of 32": {"vocab": 768, "heads": 2, "kv_heads": 1},
        "56 x 2, vocabulary 1024": {"dim": 56, "heads": 2, "kv_heads": 1, "head_dim": 28, "vocab": 1024},
    },
    "230k": {
        "base": {},
        "128 x 2": {"dim": 128, "layers": 2, "heads": 8, "kv_heads": 4},
        "112 x 3": {"dim": 112, "layers": 3, "heads": 8, "kv_heads": 4, "head_dim": 14},
        "80 x 6": {"dim": 80, "layers": 6, "heads": 4, "kv_heads": 2},
        "64 x 8": {"dim": 64, "layers": 8, "heads": 4, "kv_heads": 2},
        "vocabulary 384": {"vocab": 384},
        "vocabulary 1024": {"vocab": 1024},
        "heads of 8": {"heads": 12, "kv_heads": 6},
        "heads of 32": {"heads": 3, "kv_heads": 3},
        "one key head": {"kv_heads": 1},
        "relu": {"mlp": "relu"},
        "gelu": {"mlp": "gelu"},
        "own head": {"tied_head": False},
        "128 x 2, heads of 32": {"dim": 128, "layers": 2, "heads": 4, "kv_heads": 2},
        "128 x 2, vocabulary 1024, heads of 32": {"dim": 128, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 1024},
        "128 x 2, vocabulary 1536, heads of 32": {"dim": 128, "layers": 2, "heads": 4, "kv_heads": 2, "vocab": 1536},
        "128 x 2, vocabulary 1024, heads of 32, relu": {
            "dim": 128,
            "layers": 2,
            "heads": 4,
            "kv_heads": 2,
            "vocab": 1024,
            "mlp": "relu",
        },
        "96 x 4, vocabulary 1024, heads of 32": {"heads": 3, "kv_heads": 1, "vocab": 1024},
    },
    "1m": {
        "base": {},
        "256 x 2": {"dim": 256, "layers": 2, "heads": 8, "kv_heads": 4},
        "vocabulary 2048": {"vocab": 2048},
        "heads of 64": {"heads": 3, "kv_heads": 1},
        "256 x 3, vocabulary 2048": {"dim": 256, "layers": 3, "heads": 8, "kv_heads": 4, "vocab": 2048},
        "256 x 3, vocabulary 4096": {"dim": 256, "layers": 3, "heads": 8, "kv_heads": 4, "vocab": 4096},
        "256 x 3, vocabulary 2048, heads of 64": {
            "dim": 256,
            "layers": 3,
            "heads": 4,
            "kv_heads": 2,
            "vocab": 2048,
        },
    },
    "4m": {
        "base": {},
        "448 x 3": {"dim": 448, "layers": 3, "heads": 14, "kv_heads": 7},
        "heads of 64": {"heads": 5, "kv_heads": 5},
        "448 x 3, heads of 64": {"dim": 448, "layers": 3, "heads": 7, "kv_heads": 7},
        "vocabulary 4096": {"vocab": 4096},
    },
}


def filled(config: RunConfig, tokenizer: Tokenizer, size: int) -> RunConfig:
    """A copy of the configuration with the widest MLP that fits."""
    wider = replace(config, model=replace(config.model, ffn=config.model.ffn + 8))
    return filled(wider, tokenizer, size) if fresh_bytes(wider, tokenizer) <= size else config


def measure(name: str, given: argparse.Namespace, corpus: Corpus, texts: list[str]) -> dict[str, Any]:
    shape = SHAPE | BASES[given.size] | ROWS[given.size][name]
    tokenizer = train_for_corpus(corpus.train, kind="bpe", vocab=shape["vocab"])
    steps = round(given.tokens / (OPTIONS["batch"] * shape["context"]))
    options = OPTIONS | {
        "steps": steps,
        "threads": given.threads,
        "weights": given.type,
        "learning_rate": given.rate,
        "schedule": given.schedule,
    }
    model = ModelConfig(**shape | {"vocab": tokenizer.vocab, "ffn": 8})
    config = filled(RunConfig(model=model, train=TrainConfig(**options)), tokenizer, SIZES[given.size])
    found = train_and_score(name, config, tokenizer, corpus, texts, given.out)
    image = Model.open(given.out / name.replace(" ", "-") / "model.bin")
    return found | {"ffn": config.model.ffn, "vocab": tokenizer.vocab, "session_bytes": image.session_bytes()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="230k")
    parser.add_argument("--type", default="q4")
    parser.add_argument("--rows", nargs="*", help="names of rows; default all")
    parser.add_argument("--tokens", type=float, default=4e6, help="to train on, in all")
    parser.add_argument("--rate", type=float, default=OPTIONS["learning_rate"], help="of learning")
    parser.add_argument("--schedule", default="cosine")
    parser.add_argument("--written", type=float, default=4.1, help="megabytes of stories by stories3M")
    parser.add_argument("--out", type=Path, default=Path("runs/presets"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    corpus, texts = stories(given.out, given.written)
    for name in given.rows or ROWS[given.size]:
        found = measure(name, given, corpus, texts)
        if given.json:
            print(json.dumps(found), flush=True)
        else:
            print(
                "{row:16} ffn {ffn:4}  {parameters:8,} parameters {image_bytes:8,} bytes  {tokens:10,} tokens in "
                "{seconds:4,} s  session {session_bytes:8,}  {bits_per_byte:.4f} bits per byte".format(**found),
                flush=True,
            )


if __name__ == "__main__":
    main()
