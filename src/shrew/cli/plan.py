"""``shrew plan``: whether a model fits a chip, where its tensors go, and how fast it will be."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shrew.cli.options import (
    ImagePath,
    byte_count,
    json_option,
    print_json,
    printable,
    remarks,
    weight_type,
    weight_type_options,
)

if TYPE_CHECKING:
    from shrew.chips.changes import Change
    from shrew.chips.layout import Layout
    from shrew.chips.plan import Plan, Request, Use

#: Widths in characters: of a bar at most, of the text around it, and of its chip's name.
_BAR, _AROUND, _TITLE = 64, 34, 9


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=ImagePath())
@click.option("--preset", "preset_name", metavar="NAME", help="Plan for a preset, before training.")
@click.option(
    "--chip",
    "chip_name",
    default="all",
    show_default=True,
    metavar="CHIP",
    help="esp32, esp32s3, esp32c3, esp32c6, esp32p4, or all.",
)
@click.option("--psram", metavar="SIZE", help="PSRAM, such as 8MB, or 0.  [default: that of the usual module]")
@click.option("--flash", metavar="SIZE", help="Flash, such as 16MB.  [default: that of the usual module]")
@click.option("--context", type=click.IntRange(1), help="Tokens of the session.  [default: the model's context]")
@click.option(
    "--cores", type=click.IntRange(1, 2), default=2, show_default=True, help="Cores to use, if the chip has them."
)
@click.option("--wifi/--no-wifi", default=True, show_default=True, help="Whether Wi-Fi and the web page run.")
@weight_type_options(None, "Plan as if all matrices had this type.  [default: as in MODEL or the preset, else q8]")
@click.option(
    "--picture", metavar="FILE", type=click.Path(path_type=Path), help="Also draw the memories, as .svg or .png."
)
@json_option
def plan(
    model: Path | None,
    preset_name: str | None,
    chip_name: str,
    psram: str | None,
    flash: str | None,
    context: int | None,
    cores: int,
    wifi: bool,
    type_: str | None,
    group: int | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Tell whether MODEL, an image, fits a chip, where its tensors go, and how many tokens per second it generates.

    The engine itself computes the session's size. Speeds are predictions from instruction counts, fitted to counts in
    emulators, cycles per instruction, and the time spent waiting for PSRAM and flash. The assumptions are listed with
    their sources. Tokens per second are the mean over an answer that fills the context, or over a prompt that fills it
    and is read in blocks. docs/PLANNER.md has the details. If the model does not fit, the exit code is still 0.
    """
    from shrew.chips.changes import changes
    from shrew.chips.plan import make_plan

    layout = _layout(model, preset_name, type_, group)
    plans = [make_plan(request) for request in _requests(layout, chip_name, psram, flash, context, cores, wifi)]
    if picture is not None:
        from shrew.chips.picture import draw

        draw(plans, picture)
        remarks.print(f"drawn: {picture}", highlight=False, markup=False)
    helpful = [changes(one) for one in plans]
    if as_json:
        pairs = zip(plans, helpful, strict=True)
        print_json(
            {
                "model": layout.name,
                "parameters": layout.config.parameters,
                "image_bytes": layout.image_bytes,
                "image_bytes_estimated": layout.estimated,
                "chips": [
                    {**plan.fields(), "would_help": [change.fields() for change in found]} for plan, found in pairs
                ],
            }
        )
        return
    console = Console(highlight=False, emoji=False)
    _print_title(console, layout, plans)
    if len(plans) == 1:
        _print_one(console, plans[0], helpful[0])
    else:
        _print_all(console, plans, helpful)


def _layout(model: Path | None, preset_name: str | None, kind: str | None, group: int | None) -> Layout:
    from shrew.chips.layout import config_layout, image_layout
    from shrew.engine import Model
    from shrew.errors import ConfigError
    from shrew.model.presets import PRESETS, preset

    if (model is None) == (preset_name is None):
        raise click.UsageError("give one model: MODEL, or --preset")
    if group is not None and kind is None:
        raise click.UsageError("--group belongs to --type; give both")
    if preset_name is not None:
        chosen = preset(preset_name)
        weight = weight_type(kind or chosen.train.get("weights", "q8"), group)
        return config_layout(chosen.model, weight, f"preset {preset_name}, {weight}")
    assert model is not None
    if not model.exists() and str(model) in PRESETS:
        raise ConfigError(f"{model}: no such file; for the preset of this name give --preset {model}")
    layout = image_layout(Model.open(model))
    return layout if kind is None else layout.with_type(weight_type(kind, group))


def _requests(
    layout: Layout,
    chip_name: str,
    psram: str | None,
    flash: str | None,
    context: int | None,
    cores: int,
    wifi: bool,
) -> Iterator[Request]:
    from shrew.chips.facts import CHIPS, chip
    from shrew.chips.plan import Request
    from shrew.errors import ConfigError

    if context is not None and context > layout.config.context:
        raise ConfigError(f"--context {context}: the model takes at most {layout.config.context}")
    wanted = list(CHIPS.values()) if chip_name == "all" else [chip(chip_name)]
    for one in wanted:
        size = one.default_psram if psram is None else _memory("--psram", psram)
        if chip_name == "all":  # at most as much as the chip can have
            size = min(size, max(one.psram, default=0))
        one.psram_of(size)
        space = one.default_flash if flash is None else _memory("--flash", flash)
        if chip_name != "all" and space > one.largest_flash:
            raise ConfigError(f"--flash {flash}: {one.title} takes at most {one.largest_flash >> 20} MB")
        yield Request(layout, one, size, min(space, one.largest_flash), context or layout.config.context, cores, wifi)


def _memory(option: str, text: str) -> int:
    """Parses the size of a memory chip in bytes: 8MB is 2^23, as usual for such chips. ConfigError if malformed."""
    from shrew.errors import ConfigError

    size = byte_count(option, text, kilo=1024)
    if 0 < size < 1024:
        raise ConfigError(f"{option} {text}: that is in bytes; write {text}MB for megabytes")
    return size


_STYLE = {"documented": "green", "measured": "green", "assumed": "yellow"}

# ---- For people -----------------------------------------------------------------------------------------------------


def _print_title(console: Console, layout: Layout, plans: Sequence[Plan]) -> None:
    size = f"{'about ' if layout.estimated else ''}{layout.image_bytes:,} bytes"
    contexts = sorted({plan.request.context for plan in plans})
    console.print(
        Text.assemble(
            (printable(layout.name), "bold"),
            f"  {layout.config.parameters:,} parameters, an image of {size}, "
            f"a context of {', '.join(map(str, contexts))}",
        ),
        soft_wrap=True,
    )


def _print_one(console: Console, plan: Plan, helpful: Sequence[Change]) -> None:
    console.print(Text.assemble((plan.request.chip.title, "bold"), f", {_machine(plan)}"), soft_wrap=True)
    if plan.fits:
        console.print(Text.assemble(("fits", "bold green"), f": {_speed(plan)}; {_slots(plan)}"), soft_wrap=True)
    else:
        console.print(Text("does not fit", "bold red"))
        for what, why in plan.lacking.items():
            console.print(f"  {what}: {why}", soft_wrap=True)
    advice = _advice(plan, helpful)
    console.print(Text(f"would help most: {advice}" if plan.fits and advice else advice), soft_wrap=True)
    console.print()
    _print_bars(console, [plan])
    console.print()
    if plan.fits:
        _print_time(console, plan)
        console.print()
        _print_placement(console, plan)
        console.print()
    _print_sources(console, plan)


def _print_all(console: Console, plans: Sequence[Plan], helpful: Sequence[Sequence[Change]]) -> None:
    table = Table(box=None, pad_edge=False, padding=(1, 2, 0, 0))
    for column in ("chip", "", "tokens/s", "prompt", "session", "what would help most"):
        table.add_column(column, justify="right" if column in ("tokens/s", "prompt", "session") else "left")
    for plan, found in zip(plans, helpful, strict=True):
        request = plan.request
        speeds = (f"{time.per_second:,.1f}" if plan.fits else "–" for time in (plan.decode, plan.prompt))
        table.add_row(
            Text.assemble((request.chip.title, "bold"), "\n", (_sizes(plan), "dim")),
            Text("fits", "green") if plan.fits else Text("no", "red"),
            *speeds,
            f"{plan.session_bytes:,}",
            Text(_advice(plan, found)),
        )
    console.print(table)
    console.print()
    _print_bars(console, plans)
    console.print()
    _print_assumptions(console, plans)


def _sizes(plan: Plan) -> str:
    request = plan.request
    psram = f"{request.psram / 2**20:g} MB PSRAM" if request.psram else "no PSRAM"
    return f"{psram}, {request.flash / 2**20:g} MB flash"


def _machine(plan: Plan) -> str:
    request = plan.request
    cores = min(request.cores, request.chip.cores)
    unit = f"with {request.chip.vectors}, " if request.chip.vectors else "" if request.chip.fpu else "without floats, "
    return f"{cores} × {request.chip.core} at {request.chip.hertz // 10**6} MHz, {unit}{_sizes(plan)}"


def _speed(plan: Plan) -> str:
    return (
        f"{plan.decode.per_second:,.1f} tokens/s, prompts {plan.prompt.per_second:,.1f} tokens/s, "
        f"a session of at most {plan.session_bytes:,} bytes in {plan.session.upper()}"
    )


def _slots(plan: Plan) -> str:
    return "the flash holds one such image" if plan.slots < 2 else f"the flash holds {plan.slots:,} such images"


def _advice(plan: Plan, helpful: Sequence[Change]) -> str:
    """Empty if the plan fits and no change makes it faster."""
    if not helpful:
        return "" if plan.fits else "does not fit with anything that was tried; take a smaller model"
    best = helpful[0]
    return f"{'' if plan.fits else 'fits with '}{best.what}: {best.plan.decode.per_second:,.1f} tokens/s"


def _print_bars(console: Console, plans: Sequence[Plan]) -> None:
    from shrew.chips.picture import COLOURS
    from shrew.chips.placement import title
    from shrew.chips.plan import amount

    cells = min(_BAR, max(20, console.width - _AROUND - (_TITLE if len(plans) > 1 else 0)))
    shown: list[str] = []
    table = Table.grid(padding=(0, 1, 0, 0))
    for plan in plans:
        for index, use in enumerate(plan.memories):
            table.add_row(
                Text(plan.request.chip.title if index == 0 and len(plans) > 1 else "", "bold"),
                title(use.name),
                _bar(use, cells),
                Text(amount(use.size), justify="right"),
                Text(use.rest, "" if use.left >= 0 else "red"),
            )
            shown += [name for name, count in use.segments.items() if count and name not in shown]
    console.print(table)
    legend = (part for name in COLOURS if name in shown for part in (("■ ", COLOURS[name]), f"{name}  "))
    console.print(Text.assemble(*legend))


def _bar(use: Use, cells: int) -> Text:
    """Block characters in proportion to each segment; a segment that is not empty has at least one."""
    from shrew.chips.picture import COLOURS

    full, bar, used = max(use.size, use.size - use.left), Text(), 0
    for name, count in use.segments.items():
        if count:
            blocks = max(1, round(cells * count / full))
            bar.append("█" * min(blocks, cells - used), COLOURS[name])
            used = min(used + blocks, cells)
    return bar.append("░" * (cells - used), "dim")


def _largest_first(parts: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(parts.items(), key=lambda part: -part[1])


def _print_time(console: Console, plan: Plan) -> None:
    from shrew.chips.placement import title
    from shrew.chips.prediction import COMPUTING

    causes = ", ".join(
        f"{'computing' if cause == COMPUTING else f'waiting for {title(cause)}'} {seconds * 1e3:.2f} ms"
        for cause, seconds in _largest_first(plan.decode.by_cause)
        if seconds > 5e-6
    )
    cores = " by one core" if min(plan.request.cores, plan.request.chip.cores) > 1 else ""
    console.print(f"a token takes {plan.decode.seconds * 1e3:.2f} ms; of its work{cores}: {causes}", soft_wrap=True)
    steps = ", ".join(f"{name} {seconds * 1e3:.2f}" for name, seconds in _largest_first(plan.decode.by_step))
    console.print(f"by step, ms: {steps}", soft_wrap=True)


def _print_placement(console: Console, plan: Plan) -> None:
    """Prints one line per kind of tensor: how many are in each memory."""
    from shrew.chips.placement import read_whole, title

    rows: dict[tuple[str, str, str, str], list[int]] = {}
    small: list[int] = []
    for tensor in plan.request.layout.tensors:
        if tensor.spec.vector:
            small.append(tensor.bytes)
            continue
        name = re.sub(r"^layers\.\d+", "layers.*", tensor.name)
        read = "all of it" if read_whole(plan.request.layout.config, tensor) else "a row"
        rows.setdefault((name, str(tensor.type), plan.placement[tensor.name], read), []).append(tensor.bytes)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("tensors", "type", "in", "a token reads"):
        table.add_column(column)
    table.add_column("number", justify="right")
    table.add_column("bytes", justify="right")
    for (name, kind, memory, read), sizes in rows.items():
        table.add_row(name, kind, title(memory), read, str(len(sizes)), f"{sum(sizes):,}")
    table.add_row("norms and biases", "f32", "", "all of it", str(len(small)), f"{sum(small):,}")
    console.print(table)


def _print_sources(console: Console, plan: Plan) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for name, figure in plan.assumptions.items():
        kind = Text.assemble((figure.kind, _STYLE[figure.kind]), f": {figure.source}")
        table.add_row(name, _value(name, figure.value), kind)
    console.print("This rests on:")
    console.print(table)


def _print_assumptions(console: Console, plans: Sequence[Plan]) -> None:
    """Prints the assumptions without sources, chips side by side."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("This rests on", no_wrap=True)
    for plan in plans:
        table.add_column(plan.request.chip.title, justify="right")
    for name in dict.fromkeys(name for plan in plans for name in plan.assumptions):
        cells = []
        for plan in plans:
            figure = plan.assumptions.get(name)
            cells.append(Text("–") if figure is None else Text(_value(name, figure.value), _STYLE[figure.kind]))
        table.add_row(name, *cells)
    console.print(table)
    console.print(
        Text.assemble(("documented or measured", _STYLE["measured"]), ", ", ("assumed", _STYLE["assumed"]), "; ")
        + Text("sources: shrew plan … --chip CHIP, or --json"),
        soft_wrap=True,
    )


def _value(name: str, value: float) -> str:
    from shrew.chips.plan import amount

    if "seconds" in name:
        return f"{value * 1e6:g} µs"
    if name == "instructions":
        return f"± {value:.1%}"
    if "bytes/s" in name:
        return f"{value / 1e6:.1f} MB/s"
    return amount(int(value)) if value >= 2**12 else f"{value:g}"
