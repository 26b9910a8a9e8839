"""Answers questions: a queue on the event loop, the engine's steps on threads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from shrew.engine import PROMPT_BYTES_PER_TOKEN, Model, Session
from shrew.engine.session import Finish
from shrew.errors import ContextFullError, EngineError, TextError
from shrew.image import describe
from shrew.serve import limits
from shrew.serve.message import Question
from shrew.serve.refusal import Refusal
from shrew.serve.turns import Turns

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """The outcome of an answer: the fields of ``done``."""

    reason: Finish | Literal["cancelled"]
    seed: int
    tokens: int = 0
    prompt_tokens: int = 0
    tok_per_s: float = 0.0
    prompt_tok_per_s: float = 0.0
    digest: str = "00000000"
    command: str | None = None
    confidence: float = 0.0
    from_memory: bool = False

    def fields(self) -> dict[str, Any]:
        """The fields as they are sent. Those about commands and the memory are included only if they apply."""
        values = asdict(self)
        if self.command is None:
            del values["command"]
        if self.command is None and not self.from_memory:
            del values["confidence"]
        if not self.from_memory:
            del values["from_memory"]
        return values


class Request:
    """An accepted question. Its thread writes the answer, the event loop reads it."""

    def __init__(self, client: Hashable, question: Question) -> None:
        self.client = client
        self.question = question
        self.ahead = 0
        self.cancelled = False
        self.outcome: Answer | Refusal | None = None
        self._pieces: deque[str] = deque()
        self._news = asyncio.Event()
        self._told = False
        self._loop = asyncio.get_running_loop()

    def write(self, text: str) -> None:
        """Called on the thread: passes text to the reader. The reader is woken only once until it has read the text."""
        self._pieces.append(text)
        if not self._told:
            self._told = True
            self._loop.call_soon_threadsafe(self._news.set)

    def end(self, outcome: Answer | Refusal) -> None:
        self.outcome = outcome
        self._news.set()

    async def pieces(self) -> AsyncIterator[str]:
        """Yields the text as it is generated, until there is an outcome."""
        while self.outcome is None or self._pieces:
            await self._news.wait()
            self._news.clear()
            self._told = False  # before reading, so that text written from now on wakes the reader again
            ended = self.outcome is not None
            if text := "".join(self._pieces.popleft() for _ in range(len(self._pieces))):
                yield text
            if ended:
                return

    async def answer(self) -> Answer:
        """Waits for the outcome. Raises a Refusal if the answer failed."""
        async for _ in self.pieces():
            pass
        assert self.outcome is not None
        if isinstance(self.outcome, Refusal):
            raise self.outcome
        return self.outcome


class Loaded:
    """A loaded model with its sessions."""

    def __init__(self, name: str, model: Model, sessions: int, threads: int) -> None:
        model.name = name  # used in messages to clients, who must not see the file's path
        self.name = name
        self.prompt_bytes = model.context * PROMPT_BYTES_PER_TOKEN
        self.free = [model.session(threads=threads) for _ in range(sessions)]
        self.session_bytes = self.free[0].bytes
        self.facts = self._facts(describe(model))

    def _facts(self, contents: dict[str, Any]) -> dict[str, Any]:
        metadata = {pair["key"]: pair["value"] for pair in reversed(contents["metadata"])}
        selftest = contents["selftest"]
        return {
            "name": self.name,
            "title": metadata.get("name"),
            "bytes": contents["image_bytes"],
            "crc32": contents["crc32"],
            **{name: contents["config"][name] for name in ("context", "vocab", "dim", "layers")},
            "parameters": contents["parameters"],
            "selftest": "absent" if selftest is None else "passed" if selftest["passed"] else "failed",
            **{name: metadata.get(name) for name in ("refusal", "licence", "description")},
            "commands": contents["commands"] is not None,
        }


def generate(request: Request, session: Session) -> Answer:
    """Answers a request on the calling thread. EngineError."""
    question = request.question
    if request.cancelled:
        return Answer("cancelled", question.seed)
    started = prompt_read = first_chosen = time.perf_counter()
    prompt_tokens = steps = 0
    for step in session.generate(
        question.prompt,
        raw=question.raw,
        max_tokens=question.max_tokens,
        seed=question.seed,
        stop=question.stop,
        sampling=question.sampling,
    ):
        if step.prompt_tokens > prompt_tokens:
            prompt_tokens, prompt_read = step.prompt_tokens, time.perf_counter()
        else:
            steps += 1
            if steps == 1:  # the first token is sampled from the prompt's logits, without a pass through the model
                first_chosen = time.perf_counter()
        if step.text:
            request.write(step.text)
        if request.cancelled:
            break
    return Answer(
        reason="cancelled" if step.finish == "running" else step.finish,
        seed=question.seed,
        tokens=step.tokens,
        prompt_tokens=prompt_tokens,
        tok_per_s=_rate(0 if step.from_memory else steps - 1, time.perf_counter() - first_chosen),
        prompt_tok_per_s=_rate(prompt_tokens, prompt_read - started),
        digest=f"{step.digest:08x}",
        command=step.command,
        confidence=round(step.confidence, 6),
        from_memory=step.from_memory,
    )


def _rate(count: int, seconds: float) -> float:
    return round(max(count, 0) / max(seconds, 1e-9), 1)


class Answering:
    """The queue, which runs as many answers at once as there are sessions. Used only on the event loop."""

    def __init__(self, sessions: int) -> None:
        self.sessions = sessions
        self.answered = 0
        self.loaded: Loaded | None = None
        self._waiting: Turns[Hashable, Request] = Turns()
        self._running: set[Request] = set()
        self._unanswered: Counter[Hashable] = Counter()
        self._pool = ThreadPoolExecutor(sessions, thread_name_prefix="session")

    def use(self, loaded: Loaded) -> None:
        """Uses another model from now on. Answers in progress continue with the old one."""
        self.loaded = loaded

    def ask(self, client: Hashable, question: Question) -> Request:
        """Accepts a question, which will get exactly one outcome, or raises a Refusal."""
        if not question.prompt:
            raise Refusal("prompt", "the prompt is empty")
        if self._unanswered[client] >= limits.PER_CLIENT:
            raise Refusal("busy", f"{limits.PER_CLIENT} requests of this connection are unanswered; wait for one")
        if len(self._waiting) >= limits.QUEUE:
            raise Refusal("busy", f"{limits.QUEUE} requests are waiting; try again later")
        if self.loaded is None:
            raise Refusal("no_model", "no model is loaded; load one that is stored, or upload one")
        if (size := len(question.prompt.encode())) > self.loaded.prompt_bytes:
            raise Refusal("prompt", f"the prompt has {size:,} bytes, this model takes {self.loaded.prompt_bytes:,}")
        request = Request(client, question)
        self._unanswered[client] += 1
        ahead = self._waiting.add(client, request) + len(self._running)
        self._start()
        if request not in self._running:
            request.ahead = ahead
        return request

    def cancel(self, request: Request) -> None:
        """Ends a request before its next step, or at once if it is waiting."""
        request.cancelled = True
        if self._waiting.remove(request.client, request):
            self._end(request, Answer("cancelled", request.question.seed))

    def cancel_all(self) -> None:
        while (request := self._waiting.next()) is not None:
            self._end(request, Answer("cancelled", request.question.seed))
        for request in self._running:
            request.cancelled = True

    def close(self) -> None:
        self.cancel_all()
        self._pool.shutdown()

    def _start(self) -> None:
        while self.loaded and len(self._running) < self.sessions and (request := self._waiting.next()) is not None:
            self._running.add(request)
            loaded, session = self.loaded, self.loaded.free.pop()
            future = asyncio.get_running_loop().run_in_executor(self._pool, generate, request, session)
            future.add_done_callback(partial(self._ended, request, loaded, session))

    def _ended(self, request: Request, loaded: Loaded, session: Session, future: asyncio.Future[Answer]) -> None:
        loaded.free.append(session)
        self._running.discard(request)
        error = future.exception()
        self._end(request, future.result() if error is None else _refusal(error))
        self._start()

    def _end(self, request: Request, outcome: Answer | Refusal) -> None:
        self.answered += 1
        self._unanswered[request.client] -= 1
        if not self._unanswered[request.client]:
            del self._unanswered[request.client]
        request.end(outcome)


def _refusal(error: BaseException) -> Refusal:
    if isinstance(error, ContextFullError | TextError):
        return Refusal("prompt", str(error))
    if isinstance(error, EngineError):
        return Refusal("engine", str(error))
    log.error("an answer failed", exc_info=error)
    return Refusal("engine", "the server failed; its log says why")
