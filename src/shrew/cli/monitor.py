"""``shrew monitor``: a board's console."""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

import click
from rich.text import Text

from shrew.cli.chat import answer, board_title, forget_input, prepare_input
from shrew.cli.options import print_error, printable, remarks
from shrew.errors import BoardError, BoardLostError

if TYPE_CHECKING:
    from serial import Serial

    from shrew.board.console import Console

_PROMPT = "› "
#: A line that contains a password.
_SECRET = re.compile(r"\s*/\s*wifi\b", re.IGNORECASE)
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

#: A board that has not answered by then may be running anything; its output is shown anyway.
_GREETING_SECONDS = 5.0
_PLUGGED_IN_AGAIN_SECONDS = 0.3


@click.command()
@click.option("--port", metavar="PORT", help="The board's serial port.  [default: the only board found]")
def monitor(port: str | None) -> None:
    """Open a board's console: see its output, ask its model, give commands.

    A line is a question for the model, or after a slash a command for the board, such as /status, /models, /load NAME,
    /wifi or /help. Ctrl-C ends an answer, Ctrl-D ends the command. If the board is unplugged, waits for it.
    """
    from shrew.board.console import Console
    from shrew.board.ports import choose, open_port

    screen = _Screen()
    prepare_input()
    line = open_port(choose(port))
    while True:
        try:
            with Console(line, screen.show, screen.wake) as board:
                _greet(board)
                _converse(board, screen)
                return
        except BoardLostError as error:
            if not screen.interactive:
                raise
            print_error(f"{error.device}: the board is gone; plug it in again, or leave with Ctrl-C")
            line = _wait_for(port)


class _Screen:
    """The terminal, where a question is typed while the board may print."""

    def __init__(self) -> None:
        self.interactive = sys.stdin.isatty()
        self._typing = False

    def ask(self) -> str:
        self._typing = self.interactive
        try:
            line = input(_PROMPT if self.interactive else "")
        finally:
            self._typing = False
        if self.interactive and _SECRET.match(line):
            forget_input(line)
        return line.strip()

    def show(self, line: str) -> None:
        """Prints a line of the board above the line being typed."""
        text = printable(_COLOURS.sub("", line))
        if not self._typing:
            click.echo(text)
            return
        import readline

        click.echo(f"\r\x1b[K{text}\n{_PROMPT}{readline.get_line_buffer()}", nl=False)

    def wake(self) -> None:
        """Ends :meth:`ask` with a KeyboardInterrupt."""
        if self._typing:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _greet(board: Console) -> None:
    try:
        model = board.info(_GREETING_SECONDS).model
    except BoardLostError:
        raise
    except BoardError as error:
        print_error(error)
        return
    title = board_title(model) if model else Text("no model: shrew flash MODEL")
    remarks.print(Text.assemble(title, " · ask something, or /help; Ctrl-D ends"))


def _converse(board: Console, screen: _Screen) -> None:
    while True:
        try:
            line = screen.ask()
            if line.startswith("/") and not line.startswith("/ask "):
                board.command(line[1:] or "help")
            elif question := line.removeprefix("/ask "):
                answer(board, question, None, figures=screen.interactive)
        except EOFError:
            if screen.interactive:
                click.echo()
            return
        except KeyboardInterrupt:
            click.echo()
            board.check()
        except BoardLostError:
            raise
        except BoardError as error:
            print_error(error)


def _wait_for(port: str | None) -> Serial:
    from shrew.board.ports import choose, open_port

    while True:
        time.sleep(_PLUGGED_IN_AGAIN_SECONDS)
        try:
            return open_port(choose(port))
        except BoardError:
            continue
