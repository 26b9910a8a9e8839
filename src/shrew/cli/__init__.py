"""The command line: parse, call, print. One file per noun.

Results go to stdout, progress to stderr; ``--json`` prints one JSON object. Exit codes: 0 success, 1 an error in one
line, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys

# Training shards its batches over threads itself; a BLAS that starts its own on top makes them wait for each other.
# This must come before NumPy is imported anywhere.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import click

from shrew import __version__
from shrew.cli.chat import chat, generate
from shrew.cli.corpus import corpus
from shrew.cli.demo import demo
from shrew.cli.eval import eval_
from shrew.cli.importer import import_
from shrew.cli.inspect import inspect
from shrew.cli.quantize import quantize
from shrew.cli.tokenizer import tokenizer
from shrew.cli.train import train
from shrew.errors import ShrewError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="shrew")
def shrew() -> None:
    """Language models for microcontrollers: text in, a talking chip out.

    Start with `shrew demo`. With your own data: `shrew train --data FILE --out RUN`, `shrew quantize RUN -o
    model.bin`, `shrew chat model.bin`.
    """


for _command in (demo, train, quantize, eval_, chat, generate, inspect, import_, tokenizer, corpus):
    shrew.add_command(_command)


def main() -> None:
    """The ``shrew`` command."""
    try:
        status = shrew.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except ShrewError as error:
        click.echo(f"shrew: {error}", err=True)
        sys.exit(1)
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:  # `shrew … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(status if isinstance(status, int) else 0)
