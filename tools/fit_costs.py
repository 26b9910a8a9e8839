"""Fits the cost per unit of the engine's work to instructions counted under QEMU; writes src/shrew/chips/costs.json.

Usage: python tools/fit_costs.py [TARGET ...]

Run it after changing the engine's speed. Models are random, small, and vary in everything that the engine's loops
depend on. A quarter of them are excluded from the fit; the printed error is that of their predictions.

Targets: rv32imc, rv32imafc, xtensa-lx6 and esp32s3-pie. The last is the C code around the assembly for the ESP32-S3's
vector unit, counted on Xtensa without the assembly (tools/pie_board.c); the cycles of the assembly come from the
interpreter in tests/pie.
"""

from __future__ import annotations

import importlib
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from shrew.chips.costs import FILE, Costs, known, price, total
from shrew.chips.layout import Layout, image_layout
from shrew.chips.work import steps
from shrew.engine import Model
from shrew.image import WeightType, build_image
from shrew.model.config import ModelConfig, tensor_specs
from shrew.ports import EMULATED, FULL, Job, Target, Variant
from shrew.ports.emulator import Xtensa
from shrew.tokenizer import train_character

ROOT: Final = Path(__file__).parents[1]
MODELS: Final = 160
FITTED: Final = 120
PROMPTS: Final = (1, 9, 30, 100)
DECODED: Final = 3
#: Spread of random queries and keys. With this value, about half of the attention weights late in a text are zero, as
#: in trained models; kernels skip these.
SHARP: Final = 2.1
PIE: Final = "esp32s3-pie"


@dataclass(frozen=True)
class VectorXtensa(Xtensa):
    """Xtensa with the ESP32-S3's kernels, in which C replaces the assembly and is not counted."""

    name: str = PIE

    @property
    def port_sources(self) -> list[Path]:
        kept = [path for path in super().port_sources if path.name != "board.c"]
        return [*kept, ROOT / "tools/pie_board.c"]


VECTORS: Final = Variant("vectors", ("-DSHREW_PIE", f"-I{ROOT}"), whole_interface=False)


def random_model(random: np.random.Generator) -> tuple[Model, Layout]:
    """A random model that is small enough to emulate and wide enough for the loops to matter."""

    def one_of(*choices: Any) -> Any:
        return choices[random.integers(len(choices))]

    head_dim, kv_heads = one_of(8, 8, 16, 24, 32, 48), one_of(1, 2, 3, 4)
    vocab = one_of(33, 64, 131, 260, 517)
    config = ModelConfig(
        dim=int(random.integers(3, 25)) * 8,
        layers=one_of(1, 2, 3),
        kv_heads=kv_heads,
        heads=kv_heads * one_of(1, 1, 2, 3, 4),
        head_dim=head_dim,
        vocab=vocab,
        context=max(PROMPTS) + DECODED + 1,
        ffn=int(random.integers(4, 45)) * 8,
        norm=one_of("rms", "rms", "rms-plain", "layer"),
        position=one_of("rope", "learned"),
        mlp=one_of("swiglu", "gelu", "relu"),
        bias_qkv=one_of(True, False),
        bias_out=one_of(True, False),
        bias_mlp=one_of(True, False),
        tied_head=one_of(True, False),
        embed_norm=one_of(True, False, False),
    )
    kind = one_of("q8", "q8", "q4", "ternary", "f32")
    weight = WeightType(kind, 0 if kind == "f32" else one_of(0, 16, 32, 32, 64, 128))
    parameters = {}
    for spec in tensor_specs(config):
        spread = SHARP if ".query." in spec.name or ".key." in spec.name else 1.5
        values = random.normal(0.0, spread / spec.cols**0.5, spec.shape).astype(np.float32)
        parameters[spec.name] = values + 1 if spec.name.endswith("norm.weight") else values
    tokenizer = train_character("".join(chr(0x4E00 + i) for i in range(vocab - 1)))
    model = Model.from_bytes(build_image(config, parameters, tokenizer, types=weight))
    return model, image_layout(model)


def sample(
    target: Target, models: Sequence[tuple[Model, Layout]], variant: Variant
) -> list[tuple[int, Counter[str], int]]:
    """For every call of the engine: the model, the units of work, and the number of instructions."""
    random = np.random.default_rng(1)
    jobs, owners = [], []
    for index, (model, _) in enumerate(models):
        for count in PROMPTS:
            prompt = random.integers(0, model.vocab, count).tolist()
            jobs.append(Job(image=bytes(model.image())[: model.image_bytes], prompt=prompt, tokens=DECODED, trace=True))
            owners.append((index, count))
    samples = []
    for start in range(0, len(jobs), 100):
        outcomes = target.run(jobs[start : start + 100], timeout=1200, variant=variant)
        for (index, count), outcome in zip(owners[start : start + 100], outcomes, strict=True):
            assert outcome.result["status"] == 0
            layout = models[index][1]
            for step in outcome.steps:
                last = step.position + step.tokens >= count
                done = steps(
                    layout,
                    tokens=step.tokens,
                    position=step.position,
                    scored=int(last),
                    sampled=last,
                    floats=layout.is_float,
                )
                assert step.instructions is not None
                samples.append((index, total(part.units for part in done), step.instructions))
    return samples


def fit(samples: Sequence[tuple[int, Counter[str], int]]) -> dict[str, float]:
    """Non-negative costs with the least squared relative error."""
    units = sorted({unit for _, work, _ in samples for unit, times in work.items() if times})
    counts = np.array([float(count) for _, _, count in samples])
    work = np.array([[one[unit] for unit in units] for _, one, _ in samples]) / counts[:, None]
    scale = np.abs(work).max(axis=0)
    solution = non_negative(work / scale, np.ones(len(counts))) / scale
    return {unit: float(f"{value:.5g}") for unit, value in zip(units, solution, strict=True) if value > 0}


def non_negative(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """argmin |a x - b| for x >= 0: Lawson and Hanson, Solving Least Squares Problems, chapter 23."""
    x = np.zeros(a.shape[1])
    free = np.zeros(a.shape[1], dtype=bool)
    for _ in range(10 * a.shape[1]):
        gradient = a.T @ (b - a @ x)
        gradient[free] = -np.inf
        if free.all() or gradient.max() < 1e-9:
            break
        free[gradient.argmax()] = True
        while True:
            trial = np.zeros_like(x)
            trial[free] = np.linalg.lstsq(a[:, free], b, rcond=None)[0]
            if (trial[free] > 0).all():
                break
            bad = free & (trial <= 0)
            x += (x[bad] / (x[bad] - trial[bad])).min() * (trial - x)
            free &= x > 1e-15
            x[~free] = 0
        x = trial
    return x


def errors(samples: Sequence[tuple[int, Counter[str], int]], prices: dict[str, float]) -> dict[str, float]:
    away = [abs(price(work, prices) / count - 1) for _, work, count in samples]
    return {"mean": round(float(np.mean(away)), 4), "largest": round(max(away), 4)}


def vector_cycles() -> dict[str, float]:
    """Cycles of pie.S per unit of work, from the interpreter in tests/pie: differences between calls."""
    sys.path.insert(0, str(ROOT / "tests"))
    interpreter = importlib.import_module("pie.interpreter")
    program = interpreter.load(ROOT / "engine/src/kernels/pie.S")

    def dots(rows: int, chunks: int, masked: bool) -> int:
        memory = interpreter.Memory()
        at = [memory.place(bytes(16 * rows * chunks)), memory.place(bytes(32 * chunks)), memory.place(bytes(4 * rows))]
        arguments = [at[0], 16 * chunks, at[1], chunks, at[2], rows]
        name = "shrew_pie_masked_dots" if masked else "shrew_pie_dots"
        return int(interpreter.call(program, name, memory, [*arguments, 0x0F0F0F0F] if masked else arguments).cycles)

    def scores(count: int, width: int) -> int:
        memory = interpreter.Memory()
        at = [memory.place(bytes(count * width)), memory.place(bytes(width)), memory.place(bytes(4 * count))]
        return int(interpreter.call(program, "shrew_pie_scores", memory, [at[0], at[1], count, width, at[2]]).cycles)

    def mix(count: int) -> int:
        memory = interpreter.Memory()
        at = [memory.place(bytes(8 * count), 8), memory.place(bytes(4 * count)), memory.place(bytes(64))]
        return int(interpreter.call(program, "shrew_pie_mix", memory, [at[0], 8, at[1], count, at[2]]).cycles)

    cycles: dict[str, float] = {}
    for kind, passes in (("q8", 1), ("q4", 2), ("ternary", 4)):
        masked = kind != "q8"
        chunk = dots(1, 9, masked) - dots(1, 8, masked)
        row = dots(9, 1, masked) - dots(8, 1, masked) - chunk
        start = dots(1, 1, masked) - row - chunk
        # Each pass over a line reads the columns of all its rows; there are as many passes as rows.
        cycles |= {f"{kind} product": chunk / 16, f"{kind} line": row, f"{kind} tile": start * passes}
    cycles["score 8"] = scores(9, 8) - scores(8, 8)
    cycles["score 16"] = scores(1, 144) - scores(1, 128)
    cycles["weigh 16"] = scores(9, 16) - scores(8, 16) - cycles["score 16"]
    cycles["mix"] = (mix(9) - mix(8)) / 8
    cycles["mix call"] = mix(8) - 8 * 8 * cycles["mix"]
    return cycles


def main(names: Sequence[str]) -> None:
    random = np.random.default_rng(0)
    models = [random_model(random) for _ in range(MODELS)]
    found = dict(known()) if FILE.exists() else {}
    for name in names or [*EMULATED, PIE]:
        target, variant = (VectorXtensa(), VECTORS) if name == PIE else (EMULATED[name], FULL)
        samples = sample(target, models, variant)
        if name == PIE:  # plain C handles other widths of heads
            samples = [one for one in samples if one[1]["score 8"] or one[1]["score 16"] or one[1]["f32 attend"]]
        fitted = fit([one for one in samples if one[0] < FITTED])
        away = errors([one for one in samples if one[0] >= FITTED], fitted)
        found[name] = Costs(fitted, vector_cycles() if name == PIE else {}, away)
        print(f"{name}: {len(samples)} calls, predictions {away['mean']:.1%} away, at most {away['largest']:.1%}")
        FILE.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
