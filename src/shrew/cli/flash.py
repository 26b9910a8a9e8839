"""``shrew flash``: writes a model, firmware, or both to a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from shrew.cli.options import ImagePath, json_option, print_json, printable, remarks

if TYPE_CHECKING:
    from shrew.board.bootloader import Bootloader
    from shrew.board.flash import FlashPlan
    from shrew.board.messages import Info


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=ImagePath())
@click.option("--port", metavar="PORT", help="The board's serial port.  [default: the only board found]")
@click.option(
    "--firmware",
    "firmware_path",
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="Also write firmware: an ESP-IDF build folder or a merged binary.",
)
@click.option("--name", help="Name of the model on the board.  [default: the file's name]")
@click.option(
    "--slot", type=click.IntRange(0, 1), help="Write to this slot.  [default: the one without the newest model]"
)
@click.option("--baud", type=click.IntRange(9600), default=460_800, show_default=True, help="Baud rate for writing.")
@click.option(
    "--stub/--no-stub", default=True, help="Use esptool's stub; without it, the chip's slower boot loader in ROM."
)
@json_option
def flash(
    model: Path | None,
    port: str | None,
    firmware_path: Path | None,
    name: str | None,
    slot: int | None,
    baud: int,
    stub: bool,
    as_json: bool,
) -> None:
    """Write MODEL, an image, or firmware, or both to a board's flash; then start the board and check that it answers.

    Before anything is erased, the engine validates the model, and everything is checked to fit. A board has two slots,
    and its current model stays until the new one is completely written and verified, so a pulled cable does no harm.
    The board's settings (Wi-Fi, token) also stay, unless a merged binary covers them.
    """
    from shrew.board.bootloader import connect
    from shrew.board.firmware import read_firmware
    from shrew.board.flash import plan_flash, read_model
    from shrew.board.ports import choose
    from shrew.board.start import start_with

    if model is None and firmware_path is None:
        raise click.UsageError("Name a MODEL to write, or --firmware, or both.")
    if model is None and (name is not None or slot is not None):
        raise click.UsageError("--name and --slot are of a MODEL; name one, or leave them out.")
    named = read_model(model, name) if model else None
    firmware = read_firmware(firmware_path) if firmware_path else None
    device = choose(port)
    with remarks.status(f"connecting to {device}"):
        board = connect(device, baud, stub=stub)
    with board:
        plan = plan_flash(board, named, firmware, slot)
        _announce(device, plan)
        _write(board, plan)
        board.restart()
    with remarks.status("starting the board"):
        info = start_with(device, plan.record)
    if as_json:
        print_json(_result(device, plan, info))
    else:
        click.echo(_verdict(device, info))


def _announce(device: str, plan: FlashPlan) -> None:
    lines = [f"{device}: {plan.chip}, {plan.flash_bytes >> 20} MB of flash"]
    if plan.parts:
        lines.append(f"firmware: {', '.join(f'{part.name} at {part.offset:#x}' for part in plan.parts)}")
    if plan.model and plan.slot:
        instead = f", instead of {plan.replaces}" if plan.replaces else ""
        kept = f"; {plan.keeps} stays" if plan.keeps else ""
        size = f"{len(plan.model.image):,} of {plan.slot.room:,} bytes"
        lines.append(f"model: {plan.model.name} into slot {plan.slot.number}, {size}{instead}{kept}")
    if plan.loses:
        lines.append(f"goes with the old firmware: {', '.join(plan.loses)}")
    for line in lines:
        remarks.print(printable(line), highlight=False, markup=False, soft_wrap=True)


def _write(board: Bootloader, plan: FlashPlan) -> None:
    from shrew.board.flash import carry_out

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=remarks) as progress:
        task = progress.add_task("erasing", total=None)

        def report(name: str, done: int, total: int) -> None:
            progress.update(task, description=printable(name), completed=done, total=total)

        carry_out(board, plan, report)


def _verdict(device: str, info: Info | None) -> str:
    if info is None:
        return "Written and verified. The board has not answered yet: press its RESET, then see `shrew monitor`."
    if info.model is None:
        return f"Written and verified. The board runs Shrew {info.version} and has no model: shrew flash MODEL"
    tested = ", self-test passed" if info.model.selftest == "passed" else ""
    return f"Written and verified. The board answers with {info.model.name}{tested}: shrew chat --port {device}"


def _result(device: str, plan: FlashPlan, info: Info | None) -> dict[str, Any]:
    return {
        "port": device,
        "chip": plan.chip,
        "flash_bytes": plan.flash_bytes,
        "firmware": [{"name": part.name, "offset": part.offset, "bytes": len(part.data)} for part in plan.parts],
        "model": plan.model.name if plan.model else None,
        "bytes": len(plan.model.image) if plan.model else None,
        "slot": plan.slot.number if plan.slot else None,
        "replaced": plan.replaces,
        "kept": plan.keeps,
        "lost": list(plan.loses),
        "info": msgspec.to_builtins(info),
    }
