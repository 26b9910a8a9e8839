"""``shrew corpus``: look at data before training on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shrew.cli.options import json_option, print_json

if TYPE_CHECKING:
    from shrew.corpus import Corpus, Format

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["auto", "text", "jsonl", "blocks"]),
    default="auto",
    show_default=True,
    help="How to read files; auto goes by name and content.",
)
data_argument = click.argument("data", nargs=-1, required=True)
separator_option = click.option(
    "--separator", default="<|endoftext|>", show_default=True, help="Line between texts; 'newline': each line is one."
)


@click.group()
def corpus() -> None:
    """Look at corpora: the built-in names, stories and desk, or your own files and folders."""


def _load(data: tuple[str, ...], format_: Format, separator: str) -> Corpus:
    from shrew.corpus import load_corpus

    return load_corpus(data, format=format_, separator=separator)


@corpus.command()
@data_argument
@format_option
@separator_option
@json_option
def info(data: tuple[str, ...], format_: Format, separator: str, as_json: bool) -> None:
    """Count what is in DATA: documents by kind, exact repeats, questions with several answers."""
    from shrew.corpus import find_duplicates

    loaded = _load(data, format_, separator)
    documents = loaded.train + loaded.held_out
    report = find_duplicates(documents)
    kinds = {kind: sum(d.kind == kind for d in documents) for kind in ("text", "answer", "command")}
    result = {
        "documents": len(documents),
        "train": len(loaded.train),
        "held_out": len(loaded.held_out),
        **kinds,
        "characters": sum(len(prompt) + len(response) for d in documents for prompt, response in d.turns),
        "repeats": report.repeats,
        "conflicts": len(report.conflicts),
    }
    if as_json:
        print_json(result)
        return
    for name, value in result.items():
        click.echo(f"{name:12} {value:>12,}")
    for group in report.groups[:5]:
        click.echo(f"{len(group)} times: {(group[0].prompt or group[0].response)[:70]!r} (first at {group[0].where})")
    for group in report.conflicts[:5]:
        places = ", ".join(document.where for document in group[:4])
        click.echo(f"{len(group)} answers to {group[0].prompt[:60]!r}: {places}")


@corpus.command()
@data_argument
@format_option
@separator_option
@click.option("--drop-duplicates", is_flag=True, help="Leave out exact repeats.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
def export(data: tuple[str, ...], format_: Format, separator: str, drop_duplicates: bool, output: Path | None) -> None:
    """Write DATA as JSON lines, which every command reads: to see what a corpus holds, or to keep a cleaned one."""
    from shrew.corpus import drop_duplicates as without_repeats
    from shrew.corpus import format_jsonl
    from shrew.files import write_atomically

    loaded = _load(data, format_, separator)
    documents = loaded.train + loaded.held_out
    if drop_duplicates:
        documents = without_repeats(documents)
    lines = format_jsonl(documents)
    if output is None:
        click.echo(lines, nl=False)
    else:
        write_atomically(output, lines.encode())
        click.echo(f"{output}: {len(documents):,} documents", err=True)
