"""The command line: parse, call, print. One file per noun.

Results go to stdout, progress to stderr; ``--json`` prints one JSON object. Exit codes: 0 success, 1 an error in one
line, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

# Training shards its batches over threads itself; a BLAS with its own threads would make them wait for each other. This
# must be set before NumPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

from shrew import __version__
from shrew.cli.bench import bench
from shrew.cli.chat import chat, generate
from shrew.cli.corpus import corpus
from shrew.cli.correct import correct
from shrew.cli.demo import demo
from shrew.cli.eval import eval_
from shrew.cli.flash import flash
from shrew.cli.importer import import_
from shrew.cli.inspect import inspect
from shrew.cli.memory import remember
from shrew.cli.monitor import monitor
from shrew.cli.options import print_error
from shrew.cli.plan import plan
from shrew.cli.presets import presets
from shrew.cli.quantize import quantize
from shrew.cli.serve import serve
from shrew.cli.tokenizer import tokenizer
from shrew.cli.train import train
from shrew.errors import ShrewError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="shrew")
def shrew() -> None:
    """Language models for microcontrollers.

    Start with `shrew demo`. With your own data: `shrew train --data FILE --out RUN`, `shrew quantize RUN -o
    model.bin`, `shrew chat model.bin`.
    """


_COMMANDS = (
    demo,
    train,
    correct,
    quantize,
    remember,
    eval_,
    chat,
    generate,
    serve,
    flash,
    monitor,
    inspect,
    plan,
    bench,
    import_,
    tokenizer,
    corpus,
    presets,
)
for _command in _COMMANDS:
    shrew.add_command(_command)


def main() -> None:
    """The ``shrew`` command."""
    try:
        status = _run()
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:  # `shrew … | head`
        status = 0
        _discard(1, 2)
    except OSError as error:  # a full disk behind `shrew … > file`
        status = 1
        _discard(1)
        print_error(f"{error.filename or 'standard output'}: {error.strerror or error}")
    sys.exit(status)


def _run() -> int:
    """Returns the command's exit code. Click's own ``main`` would end the process at a broken pipe."""
    if "_SHREW_COMPLETE" in os.environ:
        shrew.main(prog_name="shrew")
    try:
        with shrew.make_context("shrew", sys.argv[1:]) as context:
            shrew.invoke(context)
        return 0
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except ShrewError as error:
        print_error(error)
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except SystemExit as end:  # rich turns a broken pipe into this
        raise end.__context__ if isinstance(end.__context__, BrokenPipeError) else end from None


def _discard(*descriptors: int) -> None:
    """Discards buffered output, including what Python flushes at its end."""
    for descriptor in descriptors:
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
