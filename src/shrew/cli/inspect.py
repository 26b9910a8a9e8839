"""``shrew inspect``: everything that is in an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from shrew.cli.options import human_bytes, image_argument, json_option, print_json


@click.command()
@image_argument
@json_option
def inspect(image: Path, as_json: bool) -> None:
    """Check IMAGE and show what is in it: every section, tensor and metadata entry."""
    from shrew.engine import Model
    from shrew.image import describe

    contents = describe(Model.open(image))
    if as_json:
        print_json(contents)
    else:
        _print(contents, image)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.strip("<"), justify="left" if column.startswith("<") else "right", style=None)
    return table


def _print(contents: dict[str, Any], image: Path) -> None:
    console = Console(highlight=False)
    console.print(
        f"[bold]{image}[/]  {human_bytes(contents['image_bytes'])}, format {contents['format_version']}, "
        f"CRC-32 {contents['crc32']}, {contents['parameters']:,} parameters",
        soft_wrap=True,
    )
    selftest = contents["selftest"]
    if selftest is None:
        console.print("[yellow]no self-test[/]")
    else:
        console.print(
            f"[green]self-test passed[/]: {selftest['generate']} tokens after prompt {selftest['prompt']}, "
            f"digest {selftest['digest']}"
        )
    console.print(f"a session with the whole context takes {human_bytes(contents['session_bytes'])}\n")

    sections = _table("Sections", "<section", "offset", "bytes", "<required")
    for section in contents["sections"]:
        required = "yes" if section["required"] else "no"
        sections.add_row(section["name"], f"{section['offset']:,}", f"{section['bytes']:,}", required)
    console.print(sections, "")

    for title, fields in (("Configuration", contents["config"]), ("Tokenizer", contents["tokenizer"])):
        table = _table(title, "<field", "<value")
        for field, value in fields.items():
            table.add_row(field, f"{value:g}" if isinstance(value, float) else str(value))
        if title == "Tokenizer":
            table.add_row("unicode_bytes", str(contents["unicode_bytes"]))
        console.print(table, "")

    tensors = _table("Tensors", "<tensor", "<type", "rows", "cols", "bytes")
    for tensor in contents["tensors"]:
        kind = tensor["type"] if not tensor["group"] else f"{tensor['type']}:{tensor['group']}"
        tensors.add_row(tensor["name"], kind, f"{tensor['rows']:,}", f"{tensor['cols']:,}", f"{tensor['bytes']:,}")
    console.print(tensors)
    if contents["metadata"]:
        metadata = _table("Metadata", "<key", "<value")
        for pair in contents["metadata"]:
            metadata.add_row(pair["key"], pair["value"])
        console.print("", metadata)
