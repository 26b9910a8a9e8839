from __future__ import annotations

import io

import pytest

from shrew.run import LogRecord
from shrew.train.progress import LiveProgress, PlainProgress, SilentProgress, make_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def records(steps=50):
    for step in range(1, steps + 1):
        validation = 2.0 if step % 25 == 0 else None
        yield LogRecord(step, 3.0 / step, validation, 1e-3, 100 * step, 12345.6, 0.1 * step)


def play(progress):
    progress.start(0, 50, 0.0)
    for record in records():
        progress.step(record.step, record.step / 50)
        progress.log(record)
    progress.note("[a note]")
    progress.close()


def test_plain_lines_are_few():
    stream = io.StringIO()
    progress = make_progress(stream)
    assert isinstance(progress, PlainProgress)
    play(progress)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4  # the first, two evaluations, the note
    assert lines[1].startswith("step     25   50%  loss 0.1200  validation 2.0000  12,346 tokens/s")
    assert "\x1b" not in stream.getvalue()


def test_live_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    stream = Terminal()
    progress = make_progress(stream)
    assert isinstance(progress, LiveProgress)
    play(progress)
    for part in ("100%", "50/50", "0.060", "2.000", "12,346 tokens/s", "[a note]"):
        assert part in stream.getvalue()


@pytest.mark.parametrize("progress", [SilentProgress(), PlainProgress(io.StringIO()), LiveProgress(Terminal())])
def test_a_run_that_is_complete_already(progress):
    progress.start(50, 50, 1.0)
    progress.close()
