"""Compares the planner with measurements that others made on chips, and with counts of emulators.

Usage: python bench/planner.py [--emulate]

Device figures are their authors' claims. They ran other engines, so each row says what is compared. Rows of another
engine combine its own instructions (llama2.c on RV32IMAFC with -O3: 2.98 million per token, the mean of 256, counted
under QEMU) with our cycles per instruction, bandwidths and latencies, which checks our assumptions about the chip. Our
rows have the same shape on our engine; "bound" is the limit from bandwidth alone for the bytes that a token reads.

``--emulate`` compares predicted with counted instructions for stories260K and stories3M, to which no cost was fitted
(data: the folder that SHREW_DATA names, default ../shared/data).
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from shrew.chips.costs import known, price, total
from shrew.chips.facts import CHIPS, Memory
from shrew.chips.layout import Layout, config_layout, image_layout
from shrew.chips.plan import Plan, Request, make_plan
from shrew.chips.work import BLOCK, decode_steps, steps
from shrew.doors.llama2c import read_checkpoint, read_tokenizer
from shrew.engine import Model
from shrew.image import WeightType, build_image
from shrew.model.config import ModelConfig
from shrew.model.presets import preset
from shrew.ports import EMULATED
from shrew.ports.cost import measure

DATA = Path(os.environ.get("SHREW_DATA", Path(__file__).parents[1].parent / "shared" / "data"))

STORIES260K = preset("stories260k").model
STORIES3M = ModelConfig(dim=192, layers=6, heads=6, kv_heads=2, ffn=512, vocab=4096, context=512)
#: slvDev/esp32-ai without its lookup tables, which our engine does not have: the rest, which each token reads.
TABLES = ModelConfig(dim=96, layers=6, heads=4, ffn=66, vocab=25_096, context=256, tied_head=False)

LLAMA2C_INSTRUCTIONS = 2.98e6
LLAMA2C_BYTES = 4 * (STORIES260K.parameters - STORIES260K.dim * (2 * STORIES260K.layers + 1))


@dataclass(frozen=True)
class Row:
    what: str
    claimed: str
    bound: float
    predicted: float
    unit: str
    differs: str


def llama2c(memory: Memory) -> float:
    """Tokens per second of llama2.c on one core of an ESP32-S3, with its weights in a memory."""
    chip = CHIPS["esp32s3"]
    computing = LLAMA2C_INSTRUCTIONS * chip.cycles_per_instruction.value / chip.hertz
    return 1 / (computing + LLAMA2C_BYTES / memory.bandwidth.value)


def ours(name: str, config: ModelConfig, weight: WeightType, **options: Any) -> Plan:
    chip = CHIPS[name]
    fields = {"psram": chip.default_psram, "flash": chip.default_flash, "context": config.context, **options}
    return make_plan(Request(config_layout(config, weight), chip, **fields))


def bound(plan: Plan, memory: Memory) -> float:
    """Tokens per second if everything that a token reads came from one memory and nothing else took time."""
    reads = total(step.reads for step in decode_steps(plan.request.layout, plan.request.context // 2))
    return memory.bandwidth.value / reads.total()


def device_rows() -> Iterator[Row]:
    s3, p4, esp32 = CHIPS["esp32s3"], CHIPS["esp32p4"], CHIPS["esp32"]
    quad, octal = s3.psram.values()
    (hexa,) = p4.psram.values()
    q8, grouped = WeightType("q8"), WeightType("q8", 64)

    yield Row(
        "260K fp32, ESP32-S3, octal PSRAM",
        "31.4, about 30 (doryiii), 33.0",
        octal.bandwidth.value / LLAMA2C_BYTES,
        llama2c(octal),
        "tok/s",
        "their engine: checks cycles per instruction and PSRAM of the ESP32-S3",
    )
    yield Row(
        "260K fp32, ESP32-S3, quad PSRAM, two cores",
        "19.13 (DaveBben)",
        quad.bandwidth.value / LLAMA2C_BYTES,
        llama2c(quad),
        "tok/s",
        "their engine; ours assumes one core; the quad bandwidth was taken from this claim",
    )
    yield Row(
        "260K fp32, ESP32-S3, in flash",
        "12.6",
        s3.flash.bandwidth.value / LLAMA2C_BYTES,
        llama2c(s3.flash),
        "tok/s",
        "their engine; 16 MB/s would explain the claim: flash in DIO mode, ours is QIO",
    )
    plan = ours("esp32s3", STORIES260K, q8, context=256)
    yield Row("260K q8, ESP32-S3", "none", bound(plan, octal), plan.decode.per_second, "tok/s", "our engine")
    plan = ours("esp32s3", STORIES3M, grouped, cores=1, wifi=False)
    yield Row(
        "3.3M int8, ESP32-S3, one core",
        "12, bound 13.1 (doryiii)",
        bound(plan, octal),
        plan.decode.per_second,
        "tok/s",
        "the same shape; their bound is 43.9 MB/s; we keep what fits in SRAM",
    )
    plan = ours("esp32s3", preset("qa-18x192").model, q8)
    yield Row(
        "7.3 MB int8 questions and answers, ESP32-S3",
        "1.6 to 4 (HardwareOne)",
        bound(plan, octal),
        plan.decode.per_second,
        "tok/s",
        "the same shape; vector unit and both cores",
    )
    plan = ours("esp32s3", TABLES, q8, cores=1)
    head = plan.decode.by_step["head"]
    yield Row(
        "28.9M with tables in flash, ESP32-S3: its head of 2.41 MB in int8 (esp32-tinyllm)",
        "57.6",
        1e3 * 25_096 * 96 / octal.bandwidth.value,
        1e3 * head,
        "ms",
        "the same matrix on one core; they multiply without the vector unit",
    )
    yield Row(
        "the same, a whole token",
        "9.5 to 9.9 (slvDev)",
        bound(plan, octal),
        ours("esp32s3", TABLES, q8).decode.per_second,
        "tok/s",
        "without their tables and adapters, which our engine does not have; both cores",
    )
    plan = ours("esp32p4", TABLES, q8)
    yield Row(
        "the same, ESP32-P4",
        "63",
        bound(plan, hexa),
        plan.decode.per_second,
        "tok/s",
        "as above; no kernels for the P4's vectors",
    )
    plan = ours("esp32", preset("desk").model, WeightType("ternary"))
    yield Row(
        "207K ternary, ESP32 without PSRAM",
        "15.8 (adesgautam)",
        bound(plan, esp32.flash),
        plan.decode.per_second,
        "tok/s",
        "desk, 206K in ternary: their shape is not known; most of it in SRAM",
    )


def print_devices(console: Console) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("on a chip", "claimed", "bound", "predicted", "", "compared"):
        table.add_column(column, justify="right" if column in ("bound", "predicted") else "left")
    for row in device_rows():
        table.add_row(row.what, row.claimed, f"{row.bound:.1f}", f"{row.predicted:.1f}", row.unit, row.differs)
    console.print(table)


def stories() -> Iterator[tuple[str, Layout, Model]]:
    for name, file, tokens in (
        ("stories260K", "stories260K.bin", "tok512.bin"),
        ("stories3M", "stories3M-q80.bin", "tok4096.bin"),
    ):
        config, parameters = read_checkpoint(DATA / file)
        tokenizer = read_tokenizer(DATA / tokens, vocab=config.vocab)
        for weight in (WeightType("q8"), WeightType("q4"), WeightType("f32")):
            if name == "stories3M" and weight.type == "f32":
                continue  # larger than the emulated memory
            model = Model.from_bytes(build_image(config, parameters, tokenizer, types=weight))
            yield f"{name} {weight}", image_layout(model), model


def predicted(target: str, layout: Layout, context: int) -> tuple[float, float]:
    """Predicted instructions per token and per prompt token over a context, as in ``shrew bench --emulate``."""
    prices = known()[target].instructions
    decode = sum(price(total(s.units for s in decode_steps(layout, at)), prices) for at in range(context)) / context
    prompt = 0.0
    for at in range(0, context, BLOCK):
        last = at + BLOCK >= context
        done = steps(layout, tokens=BLOCK, position=at, scored=int(last), sampled=False, floats=layout.is_float)
        prompt += price(total(s.units for s in done), prices) / context
    return decode, prompt


def print_emulated(console: Console, context: int = 64) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("instructions, mean of 64", "on", "counted", "predicted", "", "prompt", "predicted", ""):
        table.add_column(column, justify="left" if column in ("on", "instructions, mean of 64") else "right")
    for name, layout, model in stories():
        for target in EMULATED.values():
            cost = measure(target, model, context=context)
            counted = cost.instructions_per_token, cost.instructions_per_prompt_token
            cells = []
            for one, guess in zip(counted, predicted(target.name, layout, context), strict=True):
                cells += [f"{one:,}", f"{guess:,.0f}", f"{guess / one - 1:+.1%}"]
            table.add_row(name, target.name, *cells)
    console.print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emulate", action="store_true")
    arguments = parser.parse_args()
    terminal = Console(highlight=False)
    print_devices(terminal)
    if arguments.emulate:
        terminal.print()
        print_emulated(terminal)
