"""Compares training and encoding with the ``tokenizers`` library: the same text, one process, one thread each.

Usage: bench/tokenizer.py [--json] [--megabytes 10] [--runs 5]

The text is TinyStories (``$SHREW_DATA`` or ``../shared/data``), repeated with some words changed. Results are medians.
Runs of both alternate, so that they see the same load of the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from shrew.tokenizer import Tokenizer, train_bpe
from shrew.tokenizer.training import BYTE_ORDER

VOCAB = 4096
SPECIALS = ("<|begin|>", "<|end|>", "<|answer|>")


def perturbed(stories: str, megabytes: float) -> list[str]:
    """At least this many megabytes of lines: the stories repeated, with one word in fifty changed."""
    rng, source = random.Random(0), stories.splitlines()
    syllables = ["ka", "lo", "mi", "ren", "tu", "sha", "bel", "or", "ny", "ess"]

    def other(word: re.Match[str]) -> str:
        return "".join(rng.choices(syllables, k=rng.randint(1, 4))) if rng.random() < 0.02 else word.group()

    lines: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        lines.append(re.sub("[a-z]+", other, source[len(lines) % len(source)]))
        size += len(lines[-1].encode()) + 1
    return lines


def library_trained(lines: Sequence[str]) -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB,
        special_tokens=list(SPECIALS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(lines, trainer)
    return library


def library_with(tokenizer: Tokenizer) -> tokenizers.Tokenizer:
    """The library with our vocabulary, so that both encode to the same tokens."""
    characters = dict(zip(BYTE_ORDER, sorted(pre_tokenizers.ByteLevel.alphabet()), strict=True))
    pieces = ["".join(characters[byte] for byte in piece) for piece in tokenizer.pieces]
    vocab = {piece: token for token, piece in enumerate(pieces) if piece}
    merges = [(pieces[left], pieces[right]) for left, right, _ in tokenizer.merges]
    library = tokenizers.Tokenizer(models.BPE(vocab=vocab, merges=merges))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return library


def medians(runs: int, *calls: Callable[[], object]) -> list[float]:
    """Median seconds of each call, the calls taking turns."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(runs):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()

    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    folder = Path(os.environ.get("SHREW_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
    lines = perturbed((folder / "tinystories.txt").read_text(encoding="utf-8"), options.megabytes)
    size = sum(len(line.encode()) + 1 for line in lines) / 1e6

    training = medians(options.runs, lambda: train_bpe(lines, vocab=VOCAB), lambda: library_trained(lines))
    ours = train_bpe(lines, vocab=VOCAB)
    theirs = library_with(ours)
    sample = lines[: len(lines) // 4]
    sample_size = sum(len(line.encode()) + 1 for line in sample) / 1e6
    if any(ours.encode(line).tolist() != theirs.encode(line).ids for line in sample):
        raise SystemExit("ours and theirs differ")
    encoding = medians(options.runs, lambda: ours.encode_many(sample), lambda: [theirs.encode(line) for line in sample])
    result = {
        "megabytes": round(size, 2),
        "vocab": ours.vocab,
        "train_seconds": {"shrew": round(training[0], 3), "tokenizers": round(training[1], 3)},
        "train_ratio": round(training[1] / training[0], 1),
        "encode_megabytes_per_second": {
            "shrew": round(sample_size / encoding[0], 2),
            "tokenizers": round(sample_size / encoding[1], 2),
        },
        "encode_ratio": round(encoding[1] / encoding[0], 1),
    }
    if options.json:
        print(json.dumps(result))
        return
    print(f"{size:.1f} MB of text, {len(lines):,} lines, vocabulary {ours.vocab}; medians of {options.runs} runs")
    print(f"train   shrew {training[0]:7.3f} s     tokenizers {training[1]:7.3f} s     {result['train_ratio']}x")
    rates = [sample_size / seconds for seconds in encoding]
    print(f"encode  shrew {rates[0]:7.2f} MB/s  tokenizers {rates[1]:7.2f} MB/s  {result['encode_ratio']}x")


if __name__ == "__main__":
    main()
