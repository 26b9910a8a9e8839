"""``shrew quantize``: from a run folder to a model image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shrew.cli.corpus import separator_option
from shrew.cli.options import human_bytes, json_option, print_json, remarks


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="The image to write.")
@click.option("--type", "type_", type=click.Choice(["f32", "q8"]), default="q8", show_default=True)
@click.option("--group", type=int, default=64, show_default=True, help="Columns that share a scale, 16 to 256.")
@click.option(
    "--tensor",
    "overrides",
    multiple=True,
    metavar="PATTERN=TYPE[:GROUP]",
    help="Another type for some matrices, such as '*.down.weight=q8:32'; repeatable, the last match wins.",
)
@click.option("--name", help="Name in the image's metadata; default: the run folder's.")
@click.option("--licence", help="Licence of the model, for its metadata.")
@click.option(
    "--text", type=click.Path(path_type=Path), help="Measure the loss on this text instead of what the run holds out."
)
@separator_option
@json_option
def quantize(
    run: Path,
    output: Path,
    type_: str,
    group: int,
    overrides: tuple[str, ...],
    name: str | None,
    licence: str | None,
    text: Path | None,
    separator: str,
    as_json: bool,
) -> None:
    """Shrink the model in the folder RUN into one image, and measure what that costs."""
    from shrew.image import WeightType, write_image
    from shrew.quantize import choose_types, parse_override
    from shrew.train.export import load_run, quantize_run

    loaded = load_run(run)
    default = WeightType("q8", group) if type_ == "q8" else WeightType("f32")
    types = choose_types(loaded.run.config.model, default, [parse_override(o, group) for o in overrides])
    metadata = loaded.metadata(name=name, licence=licence)
    with remarks.status("quantising and measuring"):
        result = quantize_run(loaded, types, metadata, text=text, separator=separator)
    write_image(output, result.image)
    summary: dict[str, Any] = {
        "image": str(output),
        "image_bytes": len(result.image),
        "parameters": loaded.run.config.model.parameters,
        "loss_before": result.before and result.before.nats_per_token,
        "loss_after": result.after and result.after.nats_per_token,
        "scored_tokens": result.before and result.before.tokens,
        "tensors": [
            {
                "name": e.name,
                "type": str(e.type),
                "bytes": e.bytes,
                "relative_error": e.relative,
                "largest_error": e.largest,
            }
            for e in result.errors
        ],
    }
    if as_json:
        print_json(summary)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("tensor", "type", "bytes", "relative error", "largest error"):
        table.add_column(column, justify="left" if column in ("tensor", "type") else "right")
    for e in result.errors:
        table.add_row(e.name, str(e.type), f"{e.bytes:,}", f"{e.relative:.3%}", f"{e.largest:.5f}")
    console = Console(highlight=False)
    console.print(table)
    click.echo(f"\n{output}: {human_bytes(len(result.image))}")
    if result.before and result.after:
        before, after = result.before.nats_per_token, result.after.nats_per_token
        click.echo(
            f"loss on {result.before.tokens:,} held-out tokens: {before:.4f} before, {after:.4f} after "
            f"({after - before:+.4f} nats/token)"
        )
    else:
        click.echo("loss not measured: the run holds no text out; give --text FILE")
