"""Sessions of the C engine: one mutable conversation each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, make_dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib
from shrew.errors import ConfigError

if TYPE_CHECKING:
    from shrew.engine.model import Model

MAX_STOP_BYTES: Final[int] = lib.SHREW_MAX_STOP_BYTES
MAX_COMMAND_BYTES: Final[int] = lib.SHREW_MAX_COMMAND_BYTES
PROMPT_BYTES_PER_TOKEN: Final[int] = lib.SHREW_PROMPT_BYTES_PER_TOKEN

Finish = Literal["running", "end", "stop", "length", "context", "refused"]
FINISH: Final[dict[int, Finish]] = {
    lib.SHREW_RUNNING: "running",
    lib.SHREW_FINISH_END: "end",
    lib.SHREW_FINISH_STOP: "stop",
    lib.SHREW_FINISH_LENGTH: "length",
    lib.SHREW_FINISH_CONTEXT: "context",
    lib.SHREW_FINISH_REFUSED: "refused",
}


class SamplingOption(NamedTuple):
    """``shrew_option``"""

    description: str
    range: str
    kind: type[int] | type[float]
    low: float
    high: float
    above_low: bool
    """Whether ``low`` itself is out of range."""
    usual: Any


def _sampling_option(index: int) -> tuple[str, SamplingOption]:
    told = ffi.new("shrew_option *")
    check(lib.shrew_sampling_option(index, told), f"sampling option {index}")
    name, description, range_ = (ffi.string(text).decode() for text in (told.name, told.description, told.range))
    values = told.least, told.most, told.usual
    if told.is_integer:
        low, high, usual = (value.integer for value in values)
    else:  # the shortest decimal of a binary32: 0.01 and not 0.00999999978
        low, high, usual = (float(str(np.float32(value.number))) for value in values)
    kind = int if told.is_integer else float
    return name, SamplingOption(description, range_, kind, low, high, bool(told.above_least), usual)


#: The options of :class:`Sampling` by their names, as the engine states them.
SAMPLING_OPTIONS: Final = dict(map(_sampling_option, range(lib.SHREW_SAMPLING_OPTIONS)))


_fields = [(name, option.kind, option.usual) for name, option in SAMPLING_OPTIONS.items()]
_Options: Any = make_dataclass("_Options", _fields, frozen=True, kw_only=True)


@dataclass(frozen=True, kw_only=True)
class Sampling(_Options):  # type: ignore[misc]  # mypy takes any field
    """How the next token is chosen; applied in the order repetition penalty, temperature, top-k, top-p, min-p.

    Without arguments it is greedy. The fields are :data:`SAMPLING_OPTIONS`, which has what each means, its range and
    its default.
    """

    def __post_init__(self) -> None:
        for name, option in SAMPLING_OPTIONS.items():
            value = getattr(self, name)
            if not option.low <= value <= option.high or (option.above_low and value == option.low):
                raise ConfigError(f"{name} is {value}, must be {option.range}")


@dataclass(frozen=True)
class Progress:
    """What one step of a generation brought."""

    text: str
    """Whole characters, possibly none."""
    finish: Finish
    token: int | None
    tokens: int
    """Generated so far; end-of-text does not count."""
    prompt_tokens: int
    """Prompt tokens processed so far, of ``prompt_total``."""
    prompt_total: int
    digest: int
    """CRC-32 of the generated ids as little-endian u16."""
    drafted: int
    """Tokens guessed ahead so far, where the session drafts; ``accepted`` of them came out right."""
    accepted: int
    confidence: float = 0.0
    """Of a command that the model writes: the probability of what it is so far. Of what the image's memory says: how
    near the question comes to one that it knows, 0 to 1. Else 0."""
    from_memory: bool = False
    """The image's memory answers or refuses, and the model reads nothing."""
    command: str | None = None
    """At the end of an answer that is a command, what follows ``Do: ``; with the finish ``refused``, what is not to be
    done."""


@dataclass(frozen=True)
class Times:
    """Where the time of some tokens went, in nanoseconds: the answer's are those that were fed one by one, the prompt's
    the others.
    """

    tokens: int
    by_phase: dict[str, int]
    """Embedding; of all layers queries, keys and values, attention, its output, up and gate, activation, down; head;
    choice of the next token."""
    by_layer: list[int]


#: What a session does, in the order of ``shrew_phase``.
PHASES = ("embed", "qkv", "attend", "out", "up", "activate", "down", "head", "choose")

#: Prompt tokens that a session of this face takes at a time: a computer has the memory that a chip has not.
HOST_BLOCK = 64

#: How the cache holds keys and values, in the order of ``shrew_cache``.
CACHES = {"auto": lib.SHREW_CACHE_AUTO, "f32": lib.SHREW_CACHE_F32, "int8": lib.SHREW_CACHE_INT8}


def units() -> dict[str, int]:
    """The kernels that this build has and this processor runs: name to ``shrew_unit``, the fastest last."""
    names = {unit: lib.shrew_unit_name(unit) for unit in range(1, lib.SHREW_UNITS)}
    return {ffi.string(name).decode(): unit for unit, name in names.items() if name != ffi.NULL}


def session_options(
    model: Model,
    *,
    context: int = 0,
    block: int = 0,
    draft: int = 0,
    cache: str = "auto",
    unit: str = "auto",
    threads: int = 1,
) -> Any:
    """A ``shrew_session_options``. ConfigError where a value is out of range."""
    require_range("context", context, 0, model.context)
    require_range("block", block, 0, lib.SHREW_MAX_BLOCK)
    require_range("draft", draft, 0, lib.SHREW_MAX_BLOCK - 1)
    require_range("threads", threads, 1, lib.SHREW_MAX_WORKERS)
    available = {"auto": 0, **units()}
    for name, value, choices in (("cache", cache, CACHES), ("unit", unit, available)):
        if value not in choices:
            raise ConfigError(f"{name} is {value!r}, must be one of {', '.join(choices)}")
    fields = {"context": context, "block": block, "draft": draft, "workers": threads, "grain": 50_000}
    return ffi.new("shrew_session_options *", {**fields, "cache": CACHES[cache], "unit": available[unit]})


def _start_threads(settings: Any) -> Any:
    """Threads that share a session's work and end with it, entered into its options; None for one thread."""
    if settings.workers < 2:
        return None
    threads = lib.shrew_threads_open(settings.workers)
    if threads == ffi.NULL:
        raise ConfigError(f"the system refuses {settings.workers} threads; ask for fewer")
    settings.parallel_for = ffi.addressof(lib, "shrew_threads_for")
    settings.parallel_context = threads
    return ffi.gc(threads, lib.shrew_threads_close)


class Session:
    """One mutable conversation. Not for use by two threads at once."""

    def __init__(self, model: Model, *, timed: bool = False, **options: Any) -> None:
        self.model = model
        options = {"block": HOST_BLOCK, **options}
        settings = session_options(model, **options)
        self._threads = _start_threads(settings)
        self._times = ffi.new("shrew_times *") if timed else None
        if timed:
            settings.mark, settings.mark_context = ffi.addressof(lib, "shrew_stopwatch"), self._times
        size = model.session_bytes(**options)
        self._memory = np.empty(size + 16, dtype=np.uint8)
        start = -self._memory.ctypes.data % 16
        opened = ffi.new("shrew_session **")
        self._place = ffi.from_buffer(self._memory[start : start + size])
        check(lib.shrew_session_open(opened, model._model, settings, self._place, size), f"{model.name}: session")
        self._session = opened[0]
        self.bytes = size

    def reset(self) -> None:
        """Forgets all tokens."""
        check(lib.shrew_session_reset(self._session), self.model.name)

    @property
    def position(self) -> int:
        """Tokens held."""
        return int(lib.shrew_session_position(self._session))

    def times(self) -> dict[Literal["prompt", "answer"], Times]:
        """Of all that was computed so far, in a session that was opened with ``timed``."""
        if (spent := self._times) is None:
            raise ConfigError("the session keeps no times; open it with timed=True")

        def of(kind: int) -> Times:
            phases = dict(zip(PHASES, list(spent.by_phase[kind])[1:], strict=True))
            return Times(spent.tokens[kind], phases, list(spent.by_layer[kind])[: spent.layers])

        return {"prompt": of(lib.SHREW_TIMES_PROMPT), "answer": of(lib.SHREW_TIMES_ANSWER)}

    def feed(self, ids: NDArray[np.uint16] | Sequence[int]) -> NDArray[np.float32]:
        """Appends tokens [n], n >= 1, and returns the logits [vocab] of the token to come."""
        tokens = self.model._token_ids(ids)
        used = ffi.new("size_t *")
        while len(tokens):
            pointer = ffi.from_buffer("uint16_t[]", tokens)
            check(lib.shrew_session_feed(self._session, pointer, len(tokens), used), self.model.name)
            tokens = tokens[used[0] :]
        logits = lib.shrew_session_logits(self._session)
        if logits == ffi.NULL:
            check(lib.SHREW_E_STATE, self.model.name)
        vocab = self.model.vocab
        return np.frombuffer(ffi.buffer(logits, vocab * 4), dtype=np.float32).copy()

    def feed_all(self, ids: NDArray[np.uint16] | Sequence[int]) -> NDArray[np.float32]:
        """Appends tokens [n] and returns the logits [n, vocab] after each of them."""
        tokens = self.model._token_ids(ids)
        logits = np.empty((len(tokens), self.model.vocab), dtype=np.float32)
        used, done = ffi.new("size_t *"), 0
        while done < len(tokens):
            status = lib.shrew_session_feed_logits(
                self._session,
                ffi.from_buffer("uint16_t[]", tokens[done:]),
                len(tokens) - done,
                ffi.from_buffer("float[]", logits[done:], require_writable=True),
                used,
            )
            check(status, self.model.name)
            done += used[0]
        return logits

    def seed(self, seed: int) -> None:
        """Seeds the sampler."""
        check(lib.shrew_session_seed(self._session, seed & (2**64 - 1)), self.model.name)

    def sample(self, sampling: Sampling) -> int:
        """Chooses the next token without appending it."""
        token = ffi.new("uint32_t *")
        check(lib.shrew_session_sample(self._session, _sampling(sampling), token), self.model.name)
        return int(token[0])

    def generate(
        self,
        prompt: str,
        *,
        raw: bool = False,
        keep: bool = False,
        max_tokens: int = 0,
        seed: int = 0,
        stop: Sequence[str] = (),
        sampling: Sampling | None = None,
        **fields: Any,
    ) -> Iterator[Progress]:
        """Generates text, one bounded step at a time.

        ``raw`` continues the text as it is instead of framing it as a chat prompt; ``keep`` goes on with what the
        session holds; ``max_tokens`` 0 means as many as fit; each stop string has 1 to 64 bytes of UTF-8. How tokens
        are chosen is said by ``sampling`` or by the fields of :class:`Sampling`, such as ``temperature=0.7``.
        """
        if sampling and fields:
            raise ConfigError(f"give either sampling or {', '.join(fields)}, not both")
        require_range("max_tokens", max_tokens, 0, 0xFFFFFFFF)
        text = prompt.encode("utf-8", "surrogatepass")
        stops = [ffi.new("char[]", _stop_bytes(string)) for string in stop]
        stop_list = ffi.new("char *[]", stops or [ffi.NULL])
        prompt_buffer = ffi.from_buffer(text)
        request = ffi.new(
            "shrew_request *",
            {
                "prompt": prompt_buffer,
                "prompt_bytes": len(text),
                "raw": int(raw),
                "keep": int(keep),
                "max_tokens": max_tokens,
                "seed": seed & (2**64 - 1),
                "sampling": _sampling(sampling or Sampling(**fields))[0],
                "stops": ffi.cast("const char *const *", stop_list),
                "stop_count": len(stops),
            },
        )
        check(lib.shrew_session_begin(self._session, request), f"{self.model.name}: prompt")
        self._stops = stops, stop_list  # the engine refers to them until the end
        return self._steps()

    def _steps(self) -> Iterator[Progress]:
        """The steps of the generation just begun."""
        out, progress = ffi.new("char[]", lib.SHREW_TEXT_BYTES), ffi.new("shrew_progress *")
        while True:
            check(lib.shrew_session_next(self._session, out, lib.SHREW_TEXT_BYTES, progress), self.model.name)
            yield Progress(
                text=bytes(ffi.buffer(out, progress.text_bytes)).decode("utf-8"),
                finish=FINISH[progress.finish],
                token=None if progress.token == lib.SHREW_NO_TOKEN else int(progress.token),
                tokens=progress.tokens,
                prompt_tokens=progress.prompt_tokens,
                prompt_total=progress.prompt_total,
                digest=progress.digest,
                drafted=progress.drafted,
                accepted=progress.accepted,
                confidence=progress.confidence,
                from_memory=bool(progress.from_memory),
                command=self._command() if progress.finish != lib.SHREW_RUNNING else None,
            )
            if progress.finish != lib.SHREW_RUNNING:
                return

    def _command(self) -> str | None:
        text, size = ffi.new("char[]", MAX_COMMAND_BYTES), ffi.new("size_t *")
        status = lib.shrew_session_command(self._session, text, MAX_COMMAND_BYTES, size)
        if status == lib.SHREW_E_STATE:
            return None
        check(status, self.model.name)
        return bytes(ffi.buffer(text, size[0])).decode("utf-8", "replace")

    def selftest(self) -> bool:
        """Runs the image's self-test in this session. False: the image has none."""
        present = ffi.new("int *")
        check(lib.shrew_session_selftest(self._session, present), f"{self.model.name}: self-test")
        return bool(present[0])


def require_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, must be {low} to {high}")


def _stop_bytes(stop: str) -> bytes:
    """A stop string as the engine takes it."""
    encoded = stop.encode("utf-8", "surrogatepass")
    if not 1 <= len(encoded) <= MAX_STOP_BYTES or b"\0" in encoded:
        raise ConfigError(f"stop string {stop!r} must have 1 to {MAX_STOP_BYTES} bytes, none of them zero")
    return encoded


def _sampling(sampling: Sampling) -> Any:
    return ffi.new("shrew_sampling *", {name: getattr(sampling, name) for name in SAMPLING_OPTIONS})
