"""Compares tokens per second with llama2.c and llama.cpp: the same shapes, one thread, alternating in one run.

Usage: bench/decode.py [--llama2c DIR] [--llama-cpp DIR] [--runs 5] [--shapes 260K,6.8M] [--json]

``--llama2c`` is a folder with its run.c and runq.c, which are compiled here with ``-O3 -march=native -ffast-math``.
``--llama-cpp`` is a build folder (Release) with bin/llama-bench and bin/llama-quantize. Engines that are not given are
left out. Weights are random, since no engine's speed depends on them. Decode is greedy generation of 256 tokens from an
empty context; prompt is reading 256 tokens. Results are medians over the runs, each of which measures every engine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shrew.image import WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.tokenizer import Tokenizer

TOKENS = 256
ENGINE = Path(__file__).parents[1] / "engine"
TYPES = {"q8": WeightType("q8"), "q4": WeightType("q4")}

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Shape:
    model: ModelConfig
    runq_group: int
    """The largest group that divides every row. With any other, runq is fast, but wrong."""


SHAPES = {
    "260K": Shape(ModelConfig(dim=64, layers=5, heads=8, kv_heads=4, ffn=172, vocab=512, context=TOKENS), 4),
    "1.1M": Shape(ModelConfig(dim=128, layers=5, heads=8, ffn=352, vocab=512, context=TOKENS), 32),
    "6.8M": Shape(ModelConfig(dim=192, layers=18, heads=6, ffn=320, vocab=4096, context=TOKENS), 64),
    "15M": Shape(ModelConfig(dim=288, layers=6, heads=6, ffn=768, vocab=32000, context=TOKENS), 32),
}


@dataclass
class Contender:
    """One engine with one model."""

    name: str
    measure: Callable[[], Mapping[str, float]]
    """Tokens per second: ``decode`` and, where the engine reads prompts in blocks, ``prompt``."""
    runs: list[Mapping[str, float]] = field(default_factory=list)

    def median(self, what: str) -> float | None:
        return statistics.median(run[what] for run in self.runs) if what in self.runs[0] else None


def random_weights(config: ModelConfig) -> Weights:
    rng = np.random.default_rng(0)
    return {
        spec.name: rng.normal(float(spec.vector), 0.05, spec.shape).astype(np.float32) for spec in tensor_specs(config)
    }


def run(*command: str | Path) -> str:
    words = [str(part) for part in command]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError as error:
        raise SystemExit(f"{words[0]}: {error.strerror}") from error
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr.strip() or f'ended with {done.returncode}'}")
    return done.stdout


def driver_rates(driver: Path, model: Path) -> dict[str, float]:
    lines = (line.split() for line in run(driver, model, str(TOKENS)).splitlines())
    return {what: TOKENS / float(seconds) for what, seconds in lines}


# ---- Shrew ---------------------------------------------------------------------------------------------------------


def build_shrew_driver(compiler: str, folder: Path) -> Path:
    """Compiles the driver like the wheel: portable, without flags for this processor."""
    sources = [*ENGINE.glob("src/**/*.c"), Path(__file__).with_suffix(".c")]
    flags = ["-std=c99", "-O3", "-flto", "-ffp-contract=off", "-fno-math-errno"]
    includes = [f"-I{ENGINE / 'include'}", f"-I{ENGINE / 'src'}"]
    run(compiler, *flags, *includes, *sources, "-o", folder / "shrew")
    return folder / "shrew"


def any_tokenizer(vocab: int) -> Tokenizer:
    """A tokenizer with beginning-of-text and vocab - 1 characters."""
    return Tokenizer(kind="character", pieces=(b"", *(chr(0x100 + i).encode() for i in range(vocab - 1))), bos=0)


def shrew_contenders(driver: Path, shape: Shape, weights: Weights, folder: Path) -> list[Contender]:
    contenders = []
    for name, weight in TYPES.items():
        model = folder / f"{name}.bin"
        model.write_bytes(build_image(shape.model, weights, any_tokenizer(shape.model.vocab), types=weight))
        contenders.append(Contender(f"shrew {name}", partial(driver_rates, driver, model)))
    return contenders


# ---- llama2.c ------------------------------------------------------------------------------------------------------


def build_llama2c_drivers(compiler: str, sources: Path, folder: Path) -> dict[str, Path]:
    flags = ["-O3", "-march=native", "-ffast-math", "-w", f"-I{sources}"]
    drivers = {}
    for name in ("run", "runq"):
        drivers[name] = folder / name
        run(compiler, *flags, f'-DLLAMA2C="{name}.c"', Path(__file__).with_suffix(".c"), "-lm", "-o", drivers[name])
    return drivers


def llama2c_header(c: ModelConfig) -> bytes:
    return struct.pack("<7i", c.dim, c.ffn, c.layers, c.heads, c.kv_heads, c.vocab, c.context)


def stacked(weights: Weights, config: ModelConfig, name: str) -> NDArray[np.float32]:
    """One tensor of all layers, as llama2.c stores it."""
    return np.concatenate([weights[f"layers.{i}.{name}.weight"].reshape(-1) for i in range(config.layers)])


def write_run_checkpoint(path: Path, c: ModelConfig, weights: Weights) -> None:
    """Version 0: the header and floats; nothing where tables of rotations used to be."""
    names = ("attention_norm", "query", "key", "value", "out", "mlp_norm", "gate", "down", "up")
    parts = [weights["token_embedding.weight"], *(stacked(weights, c, name) for name in names)]
    parts += [weights["final_norm.weight"], np.zeros(c.context * c.head_dim, np.float32)]
    path.write_bytes(llama2c_header(c) + b"".join(part.tobytes() for part in parts))


def write_runq_checkpoint(path: Path, c: ModelConfig, weights: Weights, group: int) -> None:
    """Version 2: a header of 256 bytes, the norms as floats, each matrix as int8 and then its scales."""
    header = struct.pack("<Ii", 0x616B3432, 2) + llama2c_header(c) + struct.pack("<Bi", 1, group)
    norms = [stacked(weights, c, "attention_norm"), stacked(weights, c, "mlp_norm"), weights["final_norm.weight"]]
    matrices = [weights["token_embedding.weight"]]
    for name in ("query", "key", "value", "out", "gate", "down", "up"):
        matrices += [weights[f"layers.{i}.{name}.weight"] for i in range(c.layers)]
    parts = [header.ljust(256, b"\0"), *(norm.tobytes() for norm in norms)]
    for matrix in matrices:
        groups = matrix.reshape(-1, group)
        scales = np.abs(groups).max(axis=1, keepdims=True) / np.float32(127)
        parts += [np.rint(groups / scales).astype(np.int8).tobytes(), scales.tobytes()]
    path.write_bytes(b"".join(parts))


def llama2c_contenders(drivers: dict[str, Path], shape: Shape, weights: Weights, folder: Path) -> list[Contender]:
    write_run_checkpoint(folder / "run.bin", shape.model, weights)
    write_runq_checkpoint(folder / "runq.bin", shape.model, weights, shape.runq_group)
    return [
        Contender("llama2.c run", partial(driver_rates, drivers["run"], folder / "run.bin")),
        Contender("llama2.c runq", partial(driver_rates, drivers["runq"], folder / "runq.bin")),
    ]


# ---- llama.cpp -----------------------------------------------------------------------------------------------------


def write_gguf(path: Path, c: ModelConfig, weights: Weights) -> None:
    """GGUF version 3 with floats and without a tokenizer."""

    def string(text: str) -> bytes:
        return struct.pack("<Q", len(text)) + text.encode()

    def u32(key: str, value: int) -> bytes:
        return string(key) + struct.pack("<II", 4, value)

    fields = [
        string("general.architecture") + struct.pack("<I", 8) + string("llama"),
        string("tokenizer.ggml.model") + struct.pack("<I", 8) + string("none"),
        string("llama.attention.layer_norm_rms_epsilon") + struct.pack("<If", 6, c.norm_eps),
        u32("llama.vocab_size", c.vocab),
        u32("llama.context_length", c.context),
        u32("llama.embedding_length", c.dim),
        u32("llama.block_count", c.layers),
        u32("llama.feed_forward_length", c.ffn),
        u32("llama.attention.head_count", c.heads),
        u32("llama.attention.head_count_kv", c.kv_heads),
        u32("llama.rope.dimension_count", c.head_dim),
    ]
    names = {"token_embedding.weight": "token_embd.weight", "final_norm.weight": "output_norm.weight"}
    theirs = ["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down"]
    ours = ["attention_norm", "query", "key", "value", "out", "mlp_norm", "gate", "up", "down"]
    for i in range(c.layers):
        names |= {f"layers.{i}.{a}.weight": f"blk.{i}.{b}.weight" for a, b in zip(ours, theirs, strict=True)}
    directory, data = b"", b""
    for name, tensor in weights.items():
        shape = tensor.shape[::-1]
        directory += string(names[name]) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, 0, len(data))
        data += tensor.tobytes() + bytes(-tensor.nbytes % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(fields)) + b"".join(fields) + directory
    path.write_bytes(head + bytes(-len(head) % 32) + data)


def llama_cpp_rates(tool: Path, model: Path) -> dict[str, float]:
    """The better result of runs with and without flash attention, as neither is always faster."""
    options = ["-t", "1", "-p", str(TOKENS), "-n", str(TOKENS), "-r", "3", "-fa", "on,off", "-o", "json"]
    best: dict[str, float] = {}
    for result in json.loads(run(tool, "-m", model, *options)):
        what = "decode" if result["n_gen"] else "prompt"
        best[what] = max(best.get(what, 0.0), result["avg_ts"])
    return best


def llama_cpp_contenders(build: Path, shape: Shape, weights: Weights, folder: Path) -> list[Contender]:
    write_gguf(folder / "f32.gguf", shape.model, weights)
    contenders = []
    for name in ("Q8_0", "Q4_0"):
        model = folder / f"{name}.gguf"
        run(build / "bin/llama-quantize", "--pure", folder / "f32.gguf", model, name, "1")
        contenders.append(Contender(f"llama.cpp {name}", partial(llama_cpp_rates, build / "bin/llama-bench", model)))
    return contenders


# ---- Report --------------------------------------------------------------------------------------------------------


def ratios(contenders: Sequence[Contender]) -> dict[str, float]:
    """Ratios of Shrew to the best of llama2.c, to llama.cpp with as many bits, and of its prompts to its decoding."""
    measured = {contender.name: contender for contender in contenders}
    result: dict[str, float] = {}

    def compare(label: str, ours: str, what: str, others: Sequence[str], what_else: str = "") -> None:
        rates = [measured[name].median(what_else or what) for name in others if name in measured]
        mine = measured[ours].median(what) if ours in measured else None
        if mine and (known := [rate for rate in rates if rate]):
            result[label] = mine / max(known)

    for ours, theirs in (("shrew q8", "llama.cpp Q8_0"), ("shrew q4", "llama.cpp Q4_0")):
        compare(f"{ours} decode / best of llama2.c", ours, "decode", ["llama2.c run", "llama2.c runq"])
        compare(f"{ours} decode / {theirs}", ours, "decode", [theirs])
        compare(f"{ours} prompt / {theirs}", ours, "prompt", [theirs])
        compare(f"{ours} prompt / own decode", ours, "prompt", [ours], "decode")
    return result


def print_table(name: str, shape: Shape, contenders: Sequence[Contender]) -> None:
    c = shape.model
    print(f"{name}: {c.layers} x {c.dim}, {c.heads} heads, ffn {c.ffn}, vocab {c.vocab}: {c.parameters:,} parameters")
    print(f"  {'tokens per second':16} {'decode':>10} {'prompt':>10}")
    for contender in contenders:
        cells = (f"{rate:>10,.0f}" if (rate := contender.median(what)) else "" for what in ("decode", "prompt"))
        print(f"  {contender.name:17}", *cells)
    for label, ratio in ratios(contenders).items():
        print(f"  {ratio:6.2f}  {label}")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama2c", type=Path, metavar="DIR")
    parser.add_argument("--llama-cpp", type=Path, metavar="DIR")
    parser.add_argument("--compiler", default="cc", help="for the C code of Shrew and of llama2.c")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    unknown = set(options.shapes.split(",")) - set(SHAPES)
    if unknown:
        parser.error(f"unknown shape {', '.join(unknown)}; there are {', '.join(SHAPES)}")
    for option, folder in (("--llama2c", options.llama2c), ("--llama-cpp", options.llama_cpp)):
        if folder is None:
            print(f"left out: {option[2:]}, as {option} does not say where it is", file=sys.stderr)

    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        shrew = build_shrew_driver(options.compiler, folder)
        llama2c = build_llama2c_drivers(options.compiler, options.llama2c, folder) if options.llama2c else {}
        for name in options.shapes.split(","):
            shape = SHAPES[name]
            weights = random_weights(shape.model)
            contenders = shrew_contenders(shrew, shape, weights, folder)
            if llama2c:
                contenders += llama2c_contenders(llama2c, shape, weights, folder)
            if options.llama_cpp:
                contenders += llama_cpp_contenders(options.llama_cpp, shape, weights, folder)
            for _ in range(options.runs):
                for contender in contenders:
                    contender.runs.append(contender.measure())
            if not options.json:
                print_table(name, shape, contenders)
            results[name] = {
                "parameters": shape.model.parameters,
                "tokens_per_second": {c.name: {what: c.median(what) for what in c.runs[0]} for c in contenders},
                "ratios": ratios(contenders),
            }
    if options.json:
        print(json.dumps(results))


if __name__ == "__main__":
    main()
