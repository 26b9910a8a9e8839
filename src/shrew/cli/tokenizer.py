"""``shrew tokenizer``: trains a tokenizer, or shows how one splits a text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from shrew.cli.corpus import data_argument, format_option, prompts_option, separator_option
from shrew.cli.options import json_option, print_json

if TYPE_CHECKING:
    from shrew.corpus import Format
    from shrew.tokenizer import Prompts

TokenizerKind = Literal["bpe", "character"]


@click.group()
def tokenizer() -> None:
    """Train and examine tokenizers. `shrew train` trains its own."""


@tokenizer.command("train")
@data_argument
@format_option
@separator_option
@prompts_option
@click.option("--vocab", type=click.IntRange(1, 65535), default=512, show_default=True, help="Number of tokens.")
@click.option("--kind", type=click.Choice(["bpe", "character"]), default="bpe", show_default=True)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write tokenizer.json.")
@json_option
def train_(
    data: tuple[str, ...],
    format_: Format,
    separator: str,
    prompts: Prompts,
    vocab: int,
    kind: TokenizerKind,
    output: Path,
    as_json: bool,
) -> None:
    """Train a tokenizer on DATA."""
    from shrew.corpus import load_corpus
    from shrew.tokenizer import train_for_corpus

    documents = load_corpus(data, format=format_, separator=separator).train
    trained = train_for_corpus(documents, kind=kind, vocab=vocab, prompts=prompts)
    trained.save(output)
    section, unicode = len(trained.section()), len(trained.unicode_section() or b"")
    result = {"tokenizer": str(output), "vocab": trained.vocab, "bytes": section, "unicode_bytes": unicode}
    if as_json:
        print_json(result)
    else:
        click.echo(f"{output}: {trained.vocab:,} tokens; {section:,} bytes in an image, Unicode classes {unicode:,}")


@tokenizer.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("text")
@click.option("--prompt", is_flag=True, help="As a chat prompt: in the form in which the model reads prompts.")
@json_option
def encode(file: Path, text: str, prompt: bool, as_json: bool) -> None:
    """Show how FILE, a model image or a tokenizer.json, splits TEXT into tokens."""
    from shrew.engine import Model
    from shrew.tokenizer import Tokenizer

    source = Tokenizer.load(file) if file.suffix == ".json" else Model.open(file)
    ids = source.encode(source.written(text) if prompt else text).tolist()
    pieces = [source.token_bytes(token).decode("utf-8", "backslashreplace") for token in ids]
    if as_json:
        print_json({"ids": ids, "pieces": pieces})
    else:
        click.echo(" ".join(f"{token}:{piece!r}" for token, piece in zip(ids, pieces, strict=True)))
