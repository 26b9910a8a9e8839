"""``shrew chat`` and ``shrew generate``: talk with an image through the engine."""

from __future__ import annotations

import io
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from shrew.cli.options import (
    image_argument,
    json_option,
    print_error,
    print_json,
    printable,
    remarks,
    sampling,
    sampling_options,
    session,
    session_options,
)
from shrew.errors import DataError, EngineError

if TYPE_CHECKING:
    from shrew.engine import Sampling, Session


@click.command()
@image_argument
@sampling_options(default_temperature=0.0)
@session_options
@click.option("--quiet", is_flag=True, help="No greeting and no figures.")
def chat(image: Path, quiet: bool, **options: Any) -> None:
    """Talk with IMAGE. Each question is answered by itself: small models do not follow a conversation.

    Without a terminal, each line of standard input is a question. Leave with Ctrl-D.
    """
    from shrew.engine import Model

    chosen, model = sampling(options), Model.open(image)
    converse(session(model, options), chosen, quiet=quiet, **options)


def converse(session: Session, chosen: Sampling, *, quiet: bool = False, **options: Any) -> None:
    """Questions from standard input, answers to standard output, until the end of the input.

    A question that cannot be asked gets one line on standard error.
    """
    interactive = sys.stdin.isatty()
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")  # broken UTF-8 is the question's fault, not the end of all
    if interactive:
        import readline  # noqa: F401  (line editing and history for input())

        if not quiet:
            model = session.model
            name = dict(model.metadata()).get("name", model.name)
            greeting = f" · {model.image_bytes:,} bytes · ask something; Ctrl-D ends"
            remarks.print(Text.assemble((printable(name), "bold"), greeting))
    while True:
        try:
            question = input("› " if interactive else "").strip()
        except EOFError:
            if interactive:
                click.echo()
            return
        if not question:
            continue
        start, step = time.perf_counter(), None
        try:
            if re.search("[\udc80-\udcff]", question):
                raise DataError("the question is not UTF-8")
            for step in session.generate(question, sampling=chosen, **options):
                click.echo(printable(step.text), nl=False)
        except (DataError, EngineError) as error:
            print_error(error)
        except KeyboardInterrupt:
            click.echo(" …", nl=False)
        click.echo()
        if interactive and not quiet and step and step.tokens:
            rate = (step.tokens + step.prompt_tokens) / max(time.perf_counter() - start, 1e-9)
            remarks.print(f"[dim]{step.tokens} tokens · {rate:,.0f} tokens/s · {step.finish}[/]", highlight=False)


@click.command()
@image_argument
@click.argument("prompt", default="")
@click.option("--raw", is_flag=True, help="Continue PROMPT as it stands instead of answering it.")
@sampling_options(default_temperature=0.0)
@session_options
@json_option
def generate(image: Path, prompt: str, raw: bool, as_json: bool, **options: Any) -> None:
    """Generate text from PROMPT with IMAGE: the answer to it, or with --raw its continuation.

    An empty PROMPT starts a text from nothing, which is what a model of plain text does best.
    """
    from shrew.engine import Model

    model = Model.open(image)
    chosen = sampling(options)
    opened = session(model, options)
    text, step, start = "", None, time.perf_counter()
    for step in opened.generate(prompt, raw=raw or not prompt, sampling=chosen, **options):
        text += step.text
        if not as_json:
            click.echo(printable(step.text), nl=False)
    seconds = time.perf_counter() - start
    assert step is not None  # a generation has at least one step
    if not as_json:
        click.echo()
        return
    print_json(
        {
            "text": text,
            "finish": step.finish,
            "tokens": step.tokens,
            "prompt_tokens": step.prompt_tokens,
            "digest": f"{step.digest:08x}",
            "drafted": step.drafted,
            "accepted": step.accepted,
            "tokens_per_s": (step.tokens + step.prompt_tokens) / max(seconds, 1e-9),
        }
    )
