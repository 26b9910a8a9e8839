"""``shrew presets``: lists the presets."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from shrew.cli.options import json_option, print_json


@click.command()
@json_option
def presets(as_json: bool) -> None:
    """List the presets of `shrew train --preset`.

    Parameters and bytes are for the preset's own size of vocabulary. q8 and q4 are the bytes of the weights in an
    image; the tokenizer adds about 10 bytes per token.
    """
    from shrew.image import WeightType, weight_bytes
    from shrew.model.presets import PRESETS

    rows = {
        name: {
            "parameters": preset.model.parameters,
            "q8_bytes": weight_bytes(preset.model, WeightType("q8")),
            "q4_bytes": weight_bytes(preset.model, WeightType("q4")),
            "context": preset.model.context,
            "vocab": preset.model.vocab,
            "tokenizer": preset.tokenizer,
            "for": preset.description,
        }
        for name, preset in PRESETS.items()
    }
    if as_json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("preset", no_wrap=True)
    for column in ("parameters", "q8", "q4", "context", "vocab"):
        table.add_column(column, justify="right")
    table.add_column("for")
    for name, row in rows.items():
        numbers = (f"{row[key]:,}" for key in ("parameters", "q8_bytes", "q4_bytes", "context", "vocab"))
        table.add_row(name, *numbers, str(row["for"]))
    Console(highlight=False).print(table)
