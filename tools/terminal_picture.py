"""Converts a terminal's contents to a picture for the README.

Usage: tmux capture-pane -e -p | python tools/terminal_picture.py OUTPUT.svg [TITLE]
"""

from __future__ import annotations

import io
import sys

from rich.ansi import AnsiDecoder
from rich.console import Console


def main(output: str, title: str = "shrew demo") -> None:
    lines = list(AnsiDecoder().decode(sys.stdin.read().rstrip()))
    width = max(line.cell_len for line in lines)
    console = Console(record=True, width=max(width, 60), file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, soft_wrap=True)
    console.save_svg(output, title=title)


if __name__ == "__main__":
    main(*sys.argv[1:])
