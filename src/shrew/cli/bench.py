"""``shrew bench``: a model's speed on this machine, and its cost on emulated chips."""

from __future__ import annotations

import json
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table

from shrew.cli.options import ImagePath, human_bytes, json_option, print_json, remarks

if TYPE_CHECKING:
    from shrew.engine import Model, Session
    from shrew.engine.session import Times

HISTORY = "bench/results/emulate.jsonl"


@click.command()
@click.argument("image", metavar="[IMAGE]", required=False, type=ImagePath())
@click.option("--model", "model_file", metavar="IMAGE", type=ImagePath(), help="Same as the argument IMAGE.")
@click.option(
    "--emulate",
    metavar="TARGET",
    help="Count instructions under QEMU instead: rv32imc, rv32imafc, xtensa-lx6, or all.",
)
@click.option(
    "--context", type=click.IntRange(2), default=256, show_default=True, help="Context of the session, in tokens."
)
@click.option(
    "--repeats", type=click.IntRange(1), default=5, show_default=True, help="Number of runs; the median is reported."
)
@click.option("--threads", type=click.IntRange(1, 16), default=1, show_default=True, help="Threads, on this machine.")
@click.option(
    "--record",
    is_flag=False,
    flag_value=HISTORY,
    metavar="[FILE]",
    type=click.Path(path_type=Path),
    help=f"With --emulate: append the results as a line of JSON to FILE, or to {HISTORY}.",
)
@json_option
def bench(
    image: Path | None,
    model_file: Path | None,
    emulate: str | None,
    context: int,
    repeats: int,
    threads: int,
    record: Path | None,
    as_json: bool,
) -> None:
    """Measure the speed of IMAGE on this machine, or with --emulate its cost on a microcontroller's processor.

    On this machine: tokens per second of greedy decoding, from an empty session until the context is full, and of
    reading those tokens as a prompt. Python drives the engine, so fast models are faster from C. One more run of each
    gives the time per token by operator and by layer, in microseconds.

    Emulated: the model decodes greedily from an empty session until the context is full. The report has the
    instructions of feeding a token and choosing the next one, at positions 1, 64 and 255 and on average, and of reading
    the same tokens as a prompt in blocks. Code is the engine's machine code and constants, with every function of
    shrew.h; the compiler's runtime (soft floats, memcpy) is listed separately. Stack is the maximum used by decoding,
    reading, sampling and generating text. Vectors says whether all conformance vectors give the same bits as on this
    machine.
    """
    from shrew.engine import Model

    if (image is None) == (model_file is None):
        raise click.UsageError("give one image, as IMAGE or with --model")
    if record is not None and emulate is None:
        raise click.UsageError("--record keeps a history of --emulate; give both")
    path = image or model_file
    assert path is not None
    model = Model.open(path)
    if emulate is None:
        _print_host(path, _host(model, min(context, model.context), repeats, threads), as_json)
        return
    result = _emulate(model, emulate, context)
    if record is not None:
        _append(record, path, model, result)
    if as_json:
        print_json(result)
    else:
        _print_costs(result["targets"])


def _host(model: Model, context: int, repeats: int, threads: int) -> dict[str, Any]:
    from shrew.engine import Sampling

    def run(session: Session) -> tuple[float, float]:
        """Tokens per second of decoding and of reading a prompt."""
        ids = [model.bos or 0]
        session.reset()
        started = time.perf_counter()
        for _ in range(context):
            session.feed(ids[-1:])
            ids.append(session.sample(greedy))
        decoded = time.perf_counter()
        session.reset()
        session.feed(ids[:context])
        return context / (decoded - started), context / (time.perf_counter() - decoded)

    session, greedy = model.session(context=context, threads=threads), Sampling()
    decode, prompt = zip(*(run(session) for _ in range(repeats)), strict=True)
    timed = model.session(context=context, threads=threads, timed=True)
    run(timed)
    return {
        "context": context,
        "threads": threads,
        "decode_tok_per_s": statistics.median(decode),
        "prompt_tok_per_s": statistics.median(prompt),
        "session_bytes": session.bytes,
        "us_per_token": {kind: _us_per_token(times) for kind, times in timed.times().items() if times.tokens},
    }


def _us_per_token(times: Times) -> dict[str, Any]:
    def each(nanoseconds: int) -> float:
        return round(nanoseconds / times.tokens / 1000, 3)

    by_phase = {phase: each(spent) for phase, spent in times.by_phase.items()}
    return {"by_operator": by_phase, "by_layer": [each(spent) for spent in times.by_layer]}


def _print_host(path: Path, result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    click.echo(f"{path}, context of {result['context']}")
    click.echo(f"decode   {result['decode_tok_per_s']:>12,.0f} tokens/s")
    click.echo(f"prompt   {result['prompt_tok_per_s']:>12,.0f} tokens/s")
    click.echo(f"session  {human_bytes(result['session_bytes'])}\n")
    _print_times(result["us_per_token"])


def _print_times(us_per_token: dict[str, Any]) -> None:
    table = Table("µs a token", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for kind in us_per_token:
        table.add_column(kind, justify="right")
    for row in zip(*(_rows(times) for times in us_per_token.values()), strict=True):
        table.add_row(row[0][0], *(f"{spent:,.2f}" for _, spent in row))
    Console(highlight=False).print(table)


def _rows(times: dict[str, Any]) -> list[tuple[str, float]]:
    by_operator, by_layer = times["by_operator"], times["by_layer"]
    layers = ((f"layer {i}", spent) for i, spent in enumerate(by_layer))
    return [*by_operator.items(), ("all", sum(by_operator.values())), *layers]


def _emulate(model: Model, name: str, context: int) -> dict[str, Any]:
    from shrew.errors import PortError
    from shrew.ports import EMULATED
    from shrew.ports.cost import measure
    from shrew.ports.vectors import differences, load

    if name not in ("all", *EMULATED):
        raise PortError(f"--emulate {name}: no such target; use {', '.join(EMULATED)} or all")
    targets = list(EMULATED.values()) if name == "all" else [EMULATED[name]]
    for target in targets:
        target.require_tools()
    vectors, rows = load(), []
    for target in targets:
        with remarks.status(f"{target.name}: emulating"):
            row = measure(target, model, context=context).fields()
            found = differences(target, vectors)
        for line in found:
            remarks.print(line, style="bold red", highlight=False, markup=False)
        rows.append({**row, "vectors": len(vectors), "vectors_identical": not found})
    return {"targets": rows}


def _print_costs(rows: list[dict[str, Any]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    for row in rows:
        table.add_column(row["target"], justify="right")
    figures = (
        ("instructions per token, mean", "instructions_per_token"),
        ("  at position 1", "at_1"),
        ("  at position 64", "at_64"),
        ("  at position 255", "at_255"),
        ("instructions per prompt token", "instructions_per_prompt_token"),
        ("engine code, bytes", "code_bytes"),
        ("compiler runtime, bytes", "runtime_bytes"),
        ("static RAM, bytes", "static_bytes"),
        ("session, bytes", "session_bytes"),
        ("peak stack, bytes", "stack_bytes"),
    )
    for title, field in figures:
        table.add_row(title, *(f"{row[field]:,.0f}" if field in row else "–" for row in rows))
    for variant in list(rows[0]["variants"])[1:]:
        table.add_row(f"engine code built as {variant}", *(f"{row['variants'][variant]:,}" for row in rows))
    verdicts = (f"{row['vectors']} identical" if row["vectors_identical"] else "DIFFERENT" for row in rows)
    table.add_row("conformance vectors", *verdicts)
    Console(highlight=False).print(table)


def _append(path: Path, image: Path, model: Model, result: dict[str, Any]) -> None:
    """Appends one line per target: time, version of Shrew, image, and results."""
    from shrew import __version__
    from shrew.errors import RunError

    origin = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "version": __version__,
        "image": image.name,
        "image_crc32": f"{model.crc32:08x}",
    }
    try:
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**origin, **row}) + "\n" for row in result["targets"])
    except OSError as error:
        raise RunError(f"{path}: cannot be appended to: {error.strerror or error}") from error
