"""``shrew inspect``: the contents of an image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shrew.cli.options import human_bytes, image_argument, json_option, print_json, printable


@click.command()
@image_argument
@json_option
def inspect(image: Path, as_json: bool) -> None:
    """Check IMAGE and show its contents: every section, tensor and metadata entry."""
    from shrew.engine import Model
    from shrew.image import describe

    model = Model.open(image)
    contents = describe(model)
    if as_json:
        print_json(contents)
    else:
        _print(contents, image)
    if contents["selftest"] and not contents["selftest"]["passed"]:
        model.selftest()  # raises if it fails


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column.strip("<"), justify="left" if column.startswith("<") else "right", style=None)
    return table


def _print(contents: dict[str, Any], image: Path) -> None:
    console = Console(highlight=False, markup=False, emoji=False)  # an image may contain anything
    console.print(
        Text.assemble(
            (printable(str(image)), "bold"),
            f"  {human_bytes(contents['image_bytes'])}, format {contents['format_version']}, "
            f"CRC-32 {contents['crc32']}, {contents['parameters']:,} parameters",
        ),
        soft_wrap=True,
    )
    selftest = contents["selftest"]
    if selftest is None:
        console.print("no self-test", style="yellow")
    else:
        verdict = ("self-test passed", "green") if selftest["passed"] else ("self-test FAILED", "bold red")
        detail = f": {selftest['generate']} tokens after prompt {selftest['prompt']}, digest {selftest['digest']}"
        console.print(Text.assemble(verdict, detail))
    console.print(f"a session with the whole context takes {human_bytes(contents['session_bytes'])}\n")

    if memory := contents["memory"]:
        console.print(
            f"a memory of {memory['answers']:,} answers with {memory['keys']:,} keys, {human_bytes(memory['bytes'])}; "
            f"questions below a confidence of {memory['refuse']:g} are refused\n",
            soft_wrap=True,
        )
    if commands := contents["commands"]:
        examples = commands["examples"] + (["…"] if commands["count"] > len(commands["examples"]) else [])
        console.print(
            f"{commands['count']:,} commands, refused below a confidence of {commands['threshold']:g}: "
            f"{printable(', '.join(examples))}\n",
            soft_wrap=True,
        )

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
        tensors.add_row(
            printable(tensor["name"]), kind, f"{tensor['rows']:,}", f"{tensor['cols']:,}", f"{tensor['bytes']:,}"
        )
    console.print(tensors)
    if contents["metadata"]:
        metadata = _table("Metadata", "<key", "<value")
        for pair in contents["metadata"]:
            metadata.add_row(printable(pair["key"]), printable(pair["value"]))
        console.print("", metadata)
