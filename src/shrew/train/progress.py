"""Shows the progress of training on stderr: a live line on a terminal, occasional plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from shrew.run import LogRecord

PLAIN_EVERY_SECONDS = 10.0


class TrainingProgress(Protocol):
    """What the loop reports. The order of calls is: start; any number of step, log and note; close."""

    def start(self, step: int, steps: int, share: float) -> None:
        """Training begins after ``step`` of ``steps`` (0: bounded by time), with the fraction ``share`` done."""

    def step(self, step: int, share: float) -> None: ...

    def log(self, record: LogRecord) -> None: ...

    def note(self, text: str) -> None:
        """One line for the reader."""

    def close(self) -> None: ...


def make_progress(stream: TextIO | None = None) -> TrainingProgress:
    stream = stream or sys.stderr
    return LiveProgress(stream) if stream.isatty() else PlainProgress(stream)


class SilentProgress:
    def start(self, step: int, steps: int, share: float) -> None: ...

    def step(self, step: int, share: float) -> None: ...

    def log(self, record: LogRecord) -> None: ...

    def note(self, text: str) -> None: ...

    def close(self) -> None: ...


class Clock:
    """Estimates the time left from the part of the run that this process has done."""

    def __init__(self, share: float) -> None:
        self._first_share = share
        self._started = time.monotonic()

    def left(self, share: float) -> str:
        done = share - self._first_share
        if done <= 0:
            return "–:––"
        seconds = round((time.monotonic() - self._started) * (1 - share) / done)
        hours, minutes = divmod(seconds // 60, 60)
        return f"{hours}:{minutes:02}:{seconds % 60:02}" if hours else f"{minutes}:{seconds % 60:02}"


class PlainProgress:
    """Prints a line at the first and last record, at each evaluation, and otherwise every ten seconds."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last_line = 0.0
        self._share = 0.0
        self._clock = Clock(0.0)

    def start(self, step: int, steps: int, share: float) -> None:
        self._clock = Clock(share)

    def step(self, step: int, share: float) -> None:
        self._share = share

    def log(self, record: LogRecord) -> None:
        now = time.monotonic()
        if record.validation is None and now - self._last_line < PLAIN_EVERY_SECONDS and self._share < 1:
            return
        self._last_line = now
        validation = "" if record.validation is None else f"  validation {record.validation:.4f}"
        self.note(
            f"step {record.step:>6}  {self._share:4.0%}  loss {record.loss:.4f}{validation}  "
            f"{record.tokens_per_s:,.0f} tokens/s  {self._clock.left(self._share)} left"
        )

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None: ...


class LiveProgress:
    """Updates one line in place: bar, step, losses, speed, time left."""

    def __init__(self, stream: TextIO) -> None:
        self._clock = Clock(0.0)
        self._steps = 0
        self._task: TaskID | None = None
        self._progress = Progress(
            TextColumn("[bold]train"),
            BarColumn(bar_width=None, complete_style="green", finished_style="green"),
            TextColumn("[progress.percentage]{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[step]}", style="cyan"),
            TextColumn("loss [bold]{task.fields[loss]}[/]"),
            TextColumn("{task.fields[validation]}", style="magenta"),
            TextColumn("{task.fields[speed]} tokens/s", style="dim"),
            TextColumn("{task.fields[left]} left"),
            console=Console(file=stream),
            expand=True,
            refresh_per_second=8,
        )

    def start(self, step: int, steps: int, share: float) -> None:
        self._clock = Clock(share)
        self._steps = steps
        self._task = self._progress.add_task(
            "train",
            total=1.0,
            step=self._count(step),
            loss="–",
            validation="",
            speed="–",
            left="–:––",
        )
        self._progress.update(self._task, completed=share)
        self._progress.start()

    def step(self, step: int, share: float) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=share, step=self._count(step), left=self._clock.left(share))

    def log(self, record: LogRecord) -> None:
        if self._task is None:
            return
        self._progress.update(self._task, loss=f"{record.loss:.3f}", speed=f"{record.tokens_per_s:,.0f}")
        if record.validation is not None:
            self._progress.update(self._task, validation=f"validation [bold]{record.validation:.3f}[/]")

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()

    def _count(self, step: int) -> str:
        return f"{step:,}/{self._steps:,}" if self._steps else f"step {step:,}"
