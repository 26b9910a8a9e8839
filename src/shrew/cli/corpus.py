"""``shrew corpus``: examine data before training on it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shrew.cli.options import json_option, print_json, printable

if TYPE_CHECKING:
    from shrew.corpus import Corpus, Format
    from shrew.corpus.check import Report
    from shrew.tokenizer import Tokenizer

format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["auto", "text", "jsonl", "blocks"]),
    default="auto",
    show_default=True,
    help="Format of the files; auto detects it from name and content.",
)
data_argument = click.argument("data", nargs=-1, required=True)
separator_option = click.option(
    "--separator",
    default="<|endoftext|>",
    show_default=True,
    help="Line between texts; 'newline': each line is a text.",
)
held_out_option = click.option(
    "--held-out",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="FRACTION",
    default=0.05,
    show_default=True,
    help="Fraction to hold out if the data marks none.",
)
prompts_option = click.option(
    "--prompts",
    type=click.Choice(["folded", "plain", "exact"]),
    default="folded",
    show_default=True,
    help="How the model reads a question. folded: in lower case, without final punctuation, with white space, quotes "
    "and dashes of one kind; plain: with case and final punctuation; exact: as typed.",
)
preset_option = click.option(
    "--preset", "preset_name", default="desk", show_default=True, help="Assume this preset's context and tokenizer."
)
context_option = click.option(
    "--context", type=click.IntRange(1, 32768), help="Tokens per row.  [default: the preset's]"
)
tokenizer_option = click.option(
    "--tokenizer",
    "tokenizer_file",
    type=click.Path(path_type=Path),
    help="A tokenizer.json.  [default: train one on DATA as the preset does]",
)


@click.group()
def corpus() -> None:
    """Examine corpora: the built-in names, stories and desk, or your own files and folders."""


def _load(data: tuple[str, ...], format_: Format, separator: str, **options: Any) -> Corpus:
    from shrew.corpus import load_corpus

    return load_corpus(data, format=format_, separator=separator, **options)


@corpus.command()
@data_argument
@format_option
@separator_option
@json_option
def info(data: tuple[str, ...], format_: Format, separator: str, as_json: bool) -> None:
    """Count documents of DATA by kind, exact repeats, and questions with several answers."""
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
@held_out_option
@preset_option
@context_option
@tokenizer_option
@click.option("--strict", is_flag=True, help="Also exit with 1 if there are notes.")
@json_option
def check(
    data: tuple[str, ...],
    format_: Format,
    separator: str,
    held_out: float,
    preset_name: str,
    context: int | None,
    tokenizer_file: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Check DATA for problems that would spoil training. Exits with 1 if there is an error.

    Errors are questions with several answers, held-out documents that are also trained on, answers cut by the context,
    and empty answers. Notes are repeats, held-out questions that are close to trained ones or have an answer that is
    never trained, unbalanced answers, texts longer than the context, rare tokens and characters, look-alike characters
    and stray white space.
    """
    from shrew.corpus.check import check_corpus

    loaded = _load(data, format_, separator, held_out=held_out, refuse_leaks=False)
    tokenizer, context = _as_trained(loaded, preset_name, context, tokenizer_file)
    report = check_corpus(loaded, tokenizer, context)
    errors, notes = report.of("error"), report.of("note")
    size = {"train": len(loaded.train), "held_out": len(loaded.held_out), "context": context, "vocab": tokenizer.vocab}
    if as_json:
        found = {"errors": len(errors), "notes": len(notes)}
        print_json({**size, **found, "findings": [finding.as_dict() for finding in report.findings]})
    else:
        _print_report(report, size)
    if errors or (strict and notes):
        click.get_current_context().exit(1)


def _as_trained(
    loaded: Corpus, preset_name: str, context: int | None, tokenizer_file: Path | None
) -> tuple[Tokenizer, int]:
    """The tokenizer and context that `shrew train` would use."""
    from shrew.model.presets import preset
    from shrew.tokenizer import Tokenizer

    chosen = preset(preset_name)
    tokenizer = Tokenizer.load(tokenizer_file) if tokenizer_file else chosen.learn_tokenizer(loaded)
    return tokenizer, context or chosen.model.context


def _print_report(report: Report, size: dict[str, int]) -> None:
    console = Console(highlight=False, markup=False, emoji=False)  # a corpus may contain anything
    console.print(
        f"{size['train']:,} documents to train on, {size['held_out']:,} held out; "
        f"context {size['context']:,}, {size['vocab']:,} tokens"
    )
    errors, notes = report.of("error"), report.of("note")
    styles = {"error": "bold red", "note": "yellow"}
    table = Table.grid(padding=(0, 2, 0, 0))
    for finding in errors + notes:
        table.add_row()
        table.add_row(Text(finding.severity, styles[finding.severity]), f"{printable(finding.what)}: {finding.count:,}")
        for example in finding.examples:
            line = Text(printable(example.text))
            if example.places:
                line.append(f"  {printable(_places(example.places))}", "dim")
            table.add_row("", line)
        table.add_row("", Text(f"→ {finding.advice}", "italic"))
    if errors or notes:
        console.print(table, "")
    clean = [finding.check for finding in report.findings if not finding.count]
    console.print(f"errors: {len(errors)}, notes: {len(notes)}; nothing found: {', '.join(clean)}")


def _places(places: tuple[str, ...]) -> str:
    """``file:3, 7``: each file is named once, without its folder."""
    files = [place.rpartition(":") for place in places]
    return ", ".join(
        line if i and file == files[i - 1][0] else f"{Path(file).name}:{line}"
        for i, (file, _, line) in enumerate(files)
    )


@corpus.command("pack")
@data_argument
@format_option
@separator_option
@held_out_option
@preset_option
@context_option
@tokenizer_option
@click.option("--drop-duplicates", is_flag=True, help="Leave out exact repeats.")
@json_option
def pack_(
    data: tuple[str, ...],
    format_: Format,
    separator: str,
    held_out: float,
    preset_name: str,
    context: int | None,
    tokenizer_file: Path | None,
    drop_duplicates: bool,
    as_json: bool,
) -> None:
    """Show how the training documents of DATA fill rows as long as the context.

    Training packs them by best fit, and cuts no document that fits a row. For comparison, the table also has first fit,
    one row per document, and fixed-length chunks: all documents as one stream, cut whenever a row is full.
    """
    from shrew.corpus import compare_packing, encode_documents, pack
    from shrew.corpus import drop_duplicates as without_repeats

    loaded = _load(data, format_, separator, held_out=held_out)
    tokenizer, context = _as_trained(loaded, preset_name, context, tokenizer_file)
    encoded = encode_documents(without_repeats(loaded.train) if drop_duplicates else loaded.train, tokenizer)
    _, report = pack(encoded, context)
    ways = compare_packing(encoded, context, report)
    learned = report.learned / max(report.rows * context, 1)
    size = {"documents": report.documents, "tokens": report.tokens, "context": context, "vocab": tokenizer.vocab}
    if as_json:
        print_json({**size, "learned": learned, "dropped": report.dropped, "ways": [asdict(way) for way in ways]})
        return
    console = Console(highlight=False)
    console.print(
        f"{report.documents:,} documents, {report.tokens:,} tokens of {tokenizer.vocab:,}, rows of {context:,}\n"
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("", "rows", "documents cut", "padding"):
        table.add_column(column, justify="right" if column else "left")
    for way in ways:
        cut = f"{way.cut:,} ({way.cut / max(report.documents, 1):.1%})"
        table.add_row(way.name, f"{way.rows:,}", cut, f"{way.padding:.1%}")
    console.print(table)
    console.print(f"\nOf the positions of best fit {learned:.1%} are learned; the rest is prompts and padding.")
    if report.cut or report.dropped:
        console.print(f"{report.cut + report.dropped:,} documents alone exceed the context.")


@corpus.command()
@data_argument
@format_option
@separator_option
@click.option("--drop-duplicates", is_flag=True, help="Leave out exact repeats.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write to this file instead of standard output.")
def export(data: tuple[str, ...], format_: Format, separator: str, drop_duplicates: bool, output: Path | None) -> None:
    """Write DATA as JSON lines, which every command reads: to inspect a corpus, or to keep a cleaned one."""
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
