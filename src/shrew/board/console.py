"""The firmware's console on a serial port: lines for people, mixed with the messages of docs/PROTOCOL.md."""

from __future__ import annotations

import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, cast

import msgspec

from shrew.board.messages import Done, Failure, Info, Message, Token, decode
from shrew.board.ports import lost
from shrew.engine import Progress, Sampling
from shrew.engine.session import Finish
from shrew.errors import BoardError, DataError

if TYPE_CHECKING:
    from serial import Serial

#: How long a board may take to start; it loads its model first.
BOOT_SECONDS = 20.0

#: Silence within an answer after which to ask the board whether it is still alive, and how often to ask.
_SILENCE_SECONDS, _QUESTIONS = 5.0, 3

#: A board whose uptime is this much shorter than an answer has restarted during the answer.
_RESTART_SECONDS = 2.0

#: Limit of a line's length: noise, as from a wrong baud rate, has no line ends.
_LONGEST_LINE = 1 << 16

_CANCEL_KEY = b"\x03"
_MESSAGE = re.compile(r'\{"type":')
_PROMPTS = re.compile(r"^(> )+|(> )+$")


def _ignore(*_: object) -> None: ...


class Console:
    """A connection to a board. Messages are kept for the method that waits for them. A thread of this class passes all
    other output of the board to ``output``, line by line, and calls ``on_loss`` when the connection ends.
    """

    def __init__(
        self, port: Serial, output: Callable[[str], None] = _ignore, on_loss: Callable[[], None] = _ignore
    ) -> None:
        self._port = port
        self._output = output
        self._on_loss = on_loss
        self._messages: SimpleQueue[Message | None] = SimpleQueue()
        self._next_id = random.getrandbits(31)
        self._echo = ""
        self.message_bytes = 4096
        """Length of the longest message that the board accepts; updated once the board has told it."""
        self._lost = threading.Event()
        self._closing = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def device(self) -> str:
        return str(self._port.port)

    def __enter__(self) -> Console:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._reader.join()
        self._port.close()

    def check(self) -> None:
        """Raises BoardLostError if the connection has ended."""
        if self._lost.is_set():
            raise lost(self.device)

    # From the board

    def _read(self) -> None:
        rest = b""
        try:
            while not self._closing:
                *lines, rest = (rest + self._port.read(max(1, self._port.in_waiting))).split(b"\n")
                for line in lines:
                    self._take(line.decode("utf-8", "replace").rstrip("\r"))
                rest = rest[-_LONGEST_LINE:]
        except OSError:
            self._lost.set()
            self._messages.put(None)
            self._on_loss()

    def _take(self, line: str) -> None:
        found = _MESSAGE.search(line)
        try:
            if found:
                self._messages.put(decode(line[found.start() :]))
        except msgspec.MsgspecError:
            found = None
        text = _PROMPTS.sub("", line[: found.start()] if found else line)
        if text == self._echo:
            self._echo = ""
        elif text or not found:
            self._output(text)

    def _message(self, seconds: float) -> Message | None:
        """The next message, or None if none arrives in time."""
        try:
            message = self._messages.get(timeout=seconds)
        except Empty:
            self.check()
            return None
        if message is None:
            raise lost(self.device)
        return message

    # To the board

    def _write(self, data: bytes) -> None:
        try:
            self._port.write(data)
        except OSError as error:
            raise lost(self.device) from error

    def _send(self, type_: str, **fields: Any) -> None:
        self._write(_line(type_, **fields))

    def info(self, seconds: float = BOOT_SECONDS) -> Info:
        """The board's ``info`` message. BoardError if it does not answer."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._write(_CANCEL_KEY)  # discards an unfinished line
            self._send("info")
            again = min(time.monotonic() + 1, end)
            while (left := again - time.monotonic()) > 0:
                message = self._message(left)
                if isinstance(message, Info):
                    self.message_bytes = message.limits.message_bytes
                    return message
        raise BoardError(
            f"{self.device}: Shrew's firmware does not answer; press the board's RESET, or write the firmware with "
            "shrew flash --firmware"
        )

    def command(self, line: str) -> None:
        """Sends a command for people, such as ``status``. Its output has gone to ``output`` when this returns."""
        self._next_id += 1
        self._echo = line
        self._write(line.encode("utf-8", "surrogateescape") + b"\n")
        while True:
            self._send("generate", id=self._next_id)  # has no prompt, so the board refuses it, after executing the line
            while message := self._message(_SILENCE_SECONDS):
                if isinstance(message, Failure) and message.id == self._next_id:
                    return

    def generate(self, prompt: str, *, sampling: Sampling | None = None, **options: int) -> Iterator[Progress]:
        """Like :meth:`shrew.engine.Session.generate` with ``seed`` and ``max_tokens``, but on the board, whose defaults
        apply. Closing the iterator early cancels the answer.

        Raises DataError if the question is invalid, BoardError if the board fails.
        """
        self._next_id += 1
        request: dict[str, Any] = {"id": self._next_id, "prompt": prompt}
        request |= vars(sampling) if sampling else {}
        request |= {name: value for name, value in options.items() if name != "max_tokens" or value}
        if (size := len(_line("generate", **request))) > self.message_bytes:
            most = f"{size:,} bytes with all that goes with it, and the board takes {self.message_bytes:,}"
            raise DataError(f"the question is too long: {most}")
        self._send("generate", **request)
        return self._answer(self._next_id)

    def _answer(self, id_: int) -> Iterator[Progress]:
        ended = False
        try:
            for message in self._messages_of(id_):
                if isinstance(message, Failure):
                    raise DataError(f"the board says: {message.message}")
                ended = isinstance(message, Done)
                yield _progress(message)
                if ended:
                    return
        except (GeneratorExit, KeyboardInterrupt):
            if not ended:
                self._cancel(id_)
            raise

    def _cancel(self, id_: int) -> None:
        self._send("cancel", id=id_)
        for message in self._messages_of(id_):
            if not isinstance(message, Token):
                return

    def _messages_of(self, id_: int) -> Iterator[Token | Done | Failure]:
        """Yields the board's messages about a request, while they arrive. Cancels answers that nobody waits for."""
        begun, unanswered = time.monotonic(), 0
        while True:
            message = self._message(_SILENCE_SECONDS)
            if message is None:
                if unanswered == _QUESTIONS:
                    raise BoardError(f"{self.device}: the board has fallen silent; press its RESET")
                unanswered += 1
                self._send("info")
                continue
            unanswered = 0
            if isinstance(message, Info):
                if message.uptime_s < time.monotonic() - begun - _RESTART_SECONDS:
                    raise BoardError(f"{self.device}: the board has restarted in the middle of an answer")
            elif isinstance(message, Token | Done | Failure) and message.id in (id_, None):
                yield message  # an error without an id means that a line was damaged on its way
            elif isinstance(message, Token):
                self._send("cancel", id=message.id)


def _line(type_: str, **fields: Any) -> bytes:
    return json.dumps({"type": type_, **fields}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _progress(message: Token | Done) -> Progress:
    done = message if isinstance(message, Done) else None
    prompt_tokens = done.prompt_tokens if done else 0
    return Progress(
        text="" if isinstance(message, Done) else message.text,
        finish=cast(Finish, done.reason if done else "running"),
        token=None,
        tokens=done.tokens if done else 0,
        prompt_tokens=prompt_tokens,
        prompt_total=prompt_tokens,
        digest=int(done.digest, 16) if done else 0,
        drafted=0,
        accepted=0,
        confidence=done.confidence if done else 0.0,
        from_memory=done.from_memory if done else False,
        command=done.command if done else None,
    )
