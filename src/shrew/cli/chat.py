"""``shrew chat`` and ``shrew generate``: talk with an image through the engine."""

from __future__ import annotations

import atexit
import io
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click
from rich.text import Text

from shrew.cli.options import (
    GenerationCommand,
    ImagePath,
    generation_options,
    image_argument,
    json_option,
    print_error,
    print_json,
    printable,
    remarks,
    sampling,
    session,
    session_options,
)
from shrew.errors import BoardError, DataError, EngineError

if TYPE_CHECKING:
    from shrew.board.messages import StoredModel
    from shrew.engine import Model, Progress, Sampling


HISTORY_LINES = 1000


class Talker(Protocol):
    """Something that answers: a session of the engine, or a board."""

    @property
    def generate(self) -> Callable[..., Iterator[Progress]]: ...


@click.command(cls=GenerationCommand)
@click.argument("image", metavar="[IMAGE]", required=False, type=ImagePath())
@click.option("--port", metavar="PORT", help="Talk with the board on this serial port instead; auto finds the port.")
@generation_options
@session_options
@click.option("--quiet", is_flag=True, help="Print no greeting and no statistics.")
def chat(image: Path | None, port: str | None, quiet: bool, **options: Any) -> None:
    """Talk with IMAGE, or with a board. Each question starts a new conversation, which small models cannot follow.

    If standard input is not a terminal, each line is a question. Ctrl-D ends the chat.
    """
    from shrew.engine import Model

    if (image is None) == (port is None):
        raise click.UsageError("Name an IMAGE to talk with, or the --port of a board.")
    chosen = sampling(options)
    if image is not None:
        model = Model.open(image)
        converse(session(model, options), title(model), chosen, quiet=quiet, **options)
    else:
        _converse_with_board(port, chosen, quiet, **options)


def _converse_with_board(
    port: str | None, chosen: Sampling, quiet: bool, stop: Sequence[str], draft: int, threads: int, **options: Any
) -> None:
    from shrew.board.console import Console
    from shrew.board.ports import choose, open_port

    if stop or draft or threads > 1:
        raise click.UsageError("--stop, --draft and --threads are for an IMAGE: a board does not take them.")
    with Console(open_port(choose(None if port == "auto" else port))) as board:
        model = board.info().model
        if model is None:
            raise BoardError(f"{board.device}: the board has no model; write one with shrew flash MODEL")
        converse(board, board_title(model), chosen, quiet=quiet, **options)


def title(model: Model) -> Text:
    return _title(dict(model.metadata()).get("name", model.name), model.image_bytes)


def board_title(model: StoredModel) -> Text:
    return _title(model.title or model.name, model.bytes)


def _title(name: str, size: int) -> Text:
    return Text.assemble((printable(name), "bold"), f" · {size:,} bytes")


def converse(talker: Talker, title: Text, chosen: Sampling, *, quiet: bool = False, **options: Any) -> None:
    """Answers questions from standard input on standard output until the end of the input.

    A question that is refused gets one line on standard error.
    """
    interactive = sys.stdin.isatty()
    prepare_input()
    if interactive and not quiet:
        remarks.print(Text.assemble(title, " · ask something; Ctrl-D ends"))
    while True:
        try:
            question = input("› " if interactive else "").strip()
        except EOFError:
            if interactive:
                click.echo()
            return
        if question:
            answer(talker, question, chosen, figures=interactive and not quiet, **options)


def prepare_input() -> None:
    """Sets up line editing, Ctrl-C and a persistent history on a terminal. Invalid UTF-8 then only makes a question
    invalid, instead of ending the command."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if sys.stdin.isatty():
        import readline

        # A terminal that was started in the background, as by `nohup … &`, passes on that SIGINT is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        path = Path(click.get_app_dir("shrew")) / "history"
        with suppress(OSError):  # no history yet
            readline.read_history_file(path)
        atexit.register(_keep_history, path)


def _keep_history(path: Path) -> None:
    import readline

    readline.set_history_length(HISTORY_LINES)
    with suppress(OSError):  # no history in a read-only home
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        readline.write_history_file(path)


def forget_input(line: str) -> None:
    """Removes the last line, which has a secret, from the history."""
    import readline

    last = readline.get_current_history_length()
    if last and readline.get_history_item(last) == line:
        readline.remove_history_item(last - 1)


def answer(talker: Talker, question: str, chosen: Sampling | None, *, figures: bool, **options: Any) -> None:
    """Prints the answer to one question as it is generated. Ctrl-C ends it."""
    start, step = time.perf_counter(), None
    try:
        if re.search("[\udc80-\udcff]", question):
            raise DataError("the question is not UTF-8")
        for step in talker.generate(question, sampling=chosen, **options):
            click.echo(printable(step.text), nl=False)
    except (DataError, EngineError) as error:
        print_error(error)
    except KeyboardInterrupt:
        click.echo(" …", nl=False)
    click.echo()
    if figures and step and step.from_memory:
        remarks.print(f"[dim]from memory · {step.confidence:.0%} sure · {step.finish}[/]", highlight=False)
    elif figures and step and step.tokens:
        rate = (step.tokens + step.prompt_tokens) / max(time.perf_counter() - start, 1e-9)
        remarks.print(f"[dim]{step.tokens} tokens · {rate:,.0f} tokens/s · {step.finish}[/]", highlight=False)


@click.command(cls=GenerationCommand)
@image_argument
@click.argument("prompt", default="")
@click.option("--raw", is_flag=True, help="Continue the text of PROMPT instead of answering it.")
@generation_options
@session_options
@json_option
def generate(image: Path, prompt: str, raw: bool, as_json: bool, **options: Any) -> None:
    """Generate text with IMAGE: the answer to PROMPT, or with --raw its continuation.

    An empty PROMPT generates a text from its beginning, which suits models trained on plain text.
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
            "from_memory": step.from_memory,
            "confidence": step.confidence,
            "command": step.command,
            "tokens_per_s": (step.tokens + step.prompt_tokens) / max(seconds, 1e-9),
        }
    )
