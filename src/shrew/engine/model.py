"""Models and sessions of the C engine."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib
from shrew.errors import ConfigError, EngineError, RunError

FINISH = ("running", "end", "stop", "length", "context")
TYPES = ("f32", "q8")
Finish = Literal["running", "end", "stop", "length", "context"]

#: Larger images are mapped instead of read.
MAP_ABOVE = 64_000_000


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How the next token is chosen; applied in the order repetition penalty, temperature, top-k, top-p, min-p."""

    temperature: float = 0.0
    """0 is greedy; up to 100."""
    top_p: float = 1.0
    """Keep the likeliest tokens that together reach this probability; 1 keeps all."""
    min_p: float = 0.0
    """Keep tokens at least this likely relative to the likeliest; 0 keeps all."""
    top_k: int = 0
    """Keep this many of the likeliest; 0 keeps all."""
    repetition_penalty: float = 1.0
    """Divides the logits of tokens already seen; 1 changes nothing."""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("temperature", 0.0, 100.0),
            ("min_p", 0.0, 1.0),
            ("repetition_penalty", 0.01, 100.0),
            ("top_k", 0, 0xFFFF),
        ):
            _require(name, getattr(self, name), low, high)
        if not 0.0 < self.top_p <= 1.0:
            raise ConfigError(f"top_p is {self.top_p}, must be above 0 and at most 1")


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


@dataclass(frozen=True)
class Tensor:
    """A weight tensor of an image, as the engine sees it."""

    data: NDArray[np.float32] | NDArray[np.int8]
    """[rows, cols], a view into the image."""
    scales: NDArray[np.float32] | None
    """[rows, groups] for q8."""
    type: str
    group: int
    stride: int
    """Bytes from row to row."""

    def values(self) -> NDArray[np.float32]:
        """[rows, cols] as floats."""
        if self.scales is None:
            return np.array(self.data, dtype=np.float32)
        spread = np.repeat(self.scales, self.group, axis=1)[:, : self.data.shape[1]]
        return np.asarray(self.data.astype(np.float32) * spread, dtype=np.float32)


class Model:
    """A validated, read-only model image. Open one with :meth:`open` or :meth:`from_bytes`."""

    def __init__(self, buffer: Any, size: int, name: str) -> None:
        self._buffer = buffer  # keeps the image alive
        self._image = ffi.from_buffer(buffer)
        self._model = ffi.new("shrew_model *")
        self.name = name
        self.image_bytes = size
        check(lib.shrew_model_open(self._model, self._image, size), name)

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Model:
        """An image file. Raises an :class:`~shrew.errors.ImageError` that says why a bad one is refused.

        Up to 64 MB are read into memory, and the file may change or go afterwards. A larger file is mapped: it must
        stay as it is while the model is in use, since the system kills a process that reads what was cut off.
        """
        try:
            with Path(path).open("rb") as file:
                if os.fstat(file.fileno()).st_size > MAP_ABOVE:
                    mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                    return cls(mapped, len(mapped), str(path))
                return cls.from_bytes(file.read(MAP_ABOVE + 1), str(path))
        except OSError as error:
            raise RunError(f"{path}: {error.strerror or error}") from error

    @classmethod
    def from_bytes(cls, image: bytes, name: str = "image") -> Model:
        """An image in memory. It is copied once, to an aligned address."""
        room = np.empty(len(image) + 64, dtype=np.uint8)
        start = -room.ctypes.data % 64
        aligned = room[start : start + max(len(image), 1)]
        aligned[: len(image)] = np.frombuffer(image, dtype=np.uint8)
        aligned.flags.writeable = False  # the engine checks it once
        return cls(aligned, len(image), name)

    def config_fields(self) -> dict[str, Any]:
        """The image's configuration under the field names of :class:`shrew.model.config.ModelConfig`."""
        c = self._model.config
        numbers = ("dim", "layers", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "norm_eps")
        return {
            **{name: getattr(c, name) for name in numbers},
            "norm": ("rms", "rms-plain", "layer")[c.norm],
            "position": ("rope", "learned")[c.position],
            "mlp": ("swiglu", "gelu", "relu")[c.mlp],
            "bias_qkv": bool(c.flags & lib.SHREW_BIAS_QKV),
            "bias_out": bool(c.flags & lib.SHREW_BIAS_OUT),
            "bias_mlp": bool(c.flags & lib.SHREW_BIAS_MLP),
            "tied_head": bool(c.flags & lib.SHREW_TIED_HEAD),
            "embed_norm": bool(c.flags & lib.SHREW_EMBED_NORM),
            "final_norm": bool(c.flags & lib.SHREW_FINAL_NORM),
        }

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return int(self._model.config.vocab)

    @property
    def context(self) -> int:
        """Most tokens that a session can hold."""
        return int(self._model.config.context)

    def metadata(self) -> list[tuple[str, str]]:
        """Key and value pairs in the order of the file; a key may occur several times."""
        pairs: list[tuple[str, str]] = []
        key, value = ffi.new("const char **"), ffi.new("const char **")
        key_bytes, value_bytes = ffi.new("size_t *"), ffi.new("size_t *")
        while lib.shrew_model_metadata(self._model, len(pairs), key, key_bytes, value, value_bytes) == 0:
            pairs.append(
                (
                    bytes(ffi.buffer(key[0], key_bytes[0])).decode("utf-8", "replace"),
                    bytes(ffi.buffer(value[0], value_bytes[0])).decode("utf-8", "replace"),
                )
            )
        return pairs

    def tensor(self, role: int, layer: int = 0) -> Tensor:
        """A tensor by ``shrew_role`` and layer."""
        t = ffi.new("shrew_tensor *")
        check(lib.shrew_model_tensor(self._model, role, layer, t), f"{self.name}: tensor {role} of layer {layer}")
        quantized = t.type == lib.SHREW_Q8
        item = np.dtype(np.int8 if quantized else np.float32)
        data = self._view(t.data, item, t.rows, t.stride // item.itemsize)[:, : t.cols]
        scales = self._view(t.scales, np.dtype(np.float32), t.rows, t.groups) if quantized else None
        return Tensor(data, scales, TYPES[t.type], t.group, t.stride)

    def _view(self, pointer: Any, item: np.dtype[Any], rows: int, cols: int) -> NDArray[Any]:
        """A part of the image, which stays in memory as long as the view does."""
        offset = int(ffi.cast("uintptr_t", pointer)) - int(ffi.cast("uintptr_t", self._image))
        return np.frombuffer(self._buffer, dtype=item, count=rows * cols, offset=offset).reshape(rows, cols)

    def image(self) -> memoryview:
        """The bytes of the image itself."""
        return memoryview(self._buffer)

    def tokenizer_fields(self) -> dict[str, Any]:
        """What the image's tokenizer is; token ids are None where it has no such token."""
        t = self._model.tokenizer
        special = {name: getattr(t, name) for name in ("bos", "eos", "pad", "unk")}
        return {
            "kind": ("bpe", "sentencepiece", "character")[t.kind],
            "vocab": t.vocab,
            "merges": t.merge_count,
            **{name: None if token == lib.SHREW_NO_TOKEN else token for name, token in special.items()},
            "prompt_prefix": _u16_list(t.prefix, t.prefix_count),
            "prompt_suffix": _u16_list(t.suffix, t.suffix_count),
        }

    @property
    def bos(self) -> int | None:
        """The token that begins a text, if the tokenizer has one."""
        return None if self._model.tokenizer.bos == lib.SHREW_NO_TOKEN else int(self._model.tokenizer.bos)

    @property
    def eos(self) -> int | None:
        """The token that ends a text, if the tokenizer has one."""
        return None if self._model.tokenizer.eos == lib.SHREW_NO_TOKEN else int(self._model.tokenizer.eos)

    def encode(self, text: str | bytes) -> NDArray[np.uint16]:
        """Token ids [n] of a text, without beginning-of-text. Raises EngineError where a character has no token."""
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        ids = np.empty(len(data) + 1, dtype=np.uint16)
        count = ffi.new("size_t *")
        scratch = ffi.new("char[]", lib.shrew_encode_scratch_bytes(len(data)) or 1)
        status = lib.shrew_encode(
            ffi.addressof(self._model.tokenizer),
            ffi.from_buffer(data),
            len(data),
            ffi.from_buffer("uint16_t[]", ids, require_writable=True),
            len(ids),
            count,
            scratch,
            len(scratch),
        )
        check(status, self.name)
        return ids[: count[0]].copy()

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for; special tokens stand for none."""
        self._token_ids([token])
        data, count = ffi.new("const uint8_t **"), ffi.new("size_t *")
        check(
            lib.shrew_token_bytes(ffi.addressof(self._model.tokenizer), token, data, count),
            f"{self.name}: token {token}",
        )
        return bytes(ffi.buffer(data[0], count[0]))

    def _token_ids(self, ids: NDArray[Any] | Sequence[int]) -> NDArray[np.uint16]:
        """The same ids as the engine takes them. EngineError if one is no token of this model."""
        tokens = np.asarray(ids)
        if tokens.size:
            wrong = tokens[(tokens < 0) | (tokens >= self.vocab)]
            if wrong.size:
                reason = f"token {wrong[0]} is none of the {self.vocab} from 0"
                raise EngineError(f"{self.name}: {reason}", lib.SHREW_E_ARGUMENT)
        return np.ascontiguousarray(tokens, dtype=np.uint16)

    def session(self, *, context: int = 0, block: int = 0) -> Session:
        """A new conversation; ``context`` and ``block`` 0 mean the model's context and 16 prompt tokens at a time."""
        return Session(self, context=context, block=block)

    def session_bytes(self, *, context: int = 0, block: int = 0) -> int:
        """Bytes of memory that such a session takes."""
        _require("context", context, 0, self.context)
        _require("block", block, 0, lib.SHREW_MAX_BLOCK)
        options = ffi.new("shrew_session_options *", {"context": context, "block": block})
        size = ffi.new("size_t *")
        check(lib.shrew_session_bytes(self._model, options, size), f"{self.name}: session")
        return int(size[0])

    def selftest(self) -> bool:
        """Runs the image's self-test. False: it has none. Raises SelfTestError where the tokens differ."""
        return self.session().selftest()

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """The answer to a prompt, piece by piece. Options as in :meth:`Session.generate`."""
        for progress in self.session().generate(prompt, **options):
            if progress.text:
                yield progress.text

    def generate(self, prompt: str, **options: Any) -> str:
        """The whole answer to a prompt. Options as in :meth:`Session.generate`."""
        return "".join(self.stream(prompt, **options))


class Session:
    """One mutable conversation. Not for use by two threads at once."""

    def __init__(self, model: Model, *, context: int = 0, block: int = 0) -> None:
        self.model = model
        size = model.session_bytes(context=context, block=block)
        self._memory = np.empty(size + 16, dtype=np.uint8)
        start = -self._memory.ctypes.data % 16
        options = ffi.new("shrew_session_options *", {"context": context, "block": block})
        opened = ffi.new("shrew_session **")
        self._place = ffi.from_buffer(self._memory[start : start + size])
        check(lib.shrew_session_open(opened, model._model, options, self._place, size), f"{model.name}: session")
        self._session = opened[0]
        self.bytes = size

    def reset(self) -> None:
        """Forgets all tokens."""
        check(lib.shrew_session_reset(self._session), self.model.name)

    @property
    def position(self) -> int:
        """Tokens held."""
        return int(lib.shrew_session_position(self._session))

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
        _require("max_tokens", max_tokens, 0, 0xFFFFFFFF)
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
                finish=FINISH[progress.finish],  # type: ignore[arg-type]  # FINISH mirrors shrew_finish
                token=None if progress.token == lib.SHREW_NO_TOKEN else int(progress.token),
                tokens=progress.tokens,
                prompt_tokens=progress.prompt_tokens,
                prompt_total=progress.prompt_total,
                digest=progress.digest,
            )
            if progress.finish != lib.SHREW_RUNNING:
                return

    def selftest(self) -> bool:
        """Runs the image's self-test in this session. False: the image has none."""
        present = ffi.new("int *")
        check(lib.shrew_session_selftest(self._session, present), f"{self.model.name}: self-test")
        return bool(present[0])


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name} is {value}, must be {low} to {high}")


def _stop_bytes(stop: str) -> bytes:
    """A stop string as the engine takes it."""
    encoded = stop.encode("utf-8", "surrogatepass")
    if not 1 <= len(encoded) <= lib.SHREW_MAX_STOP_BYTES or b"\0" in encoded:
        raise ConfigError(f"stop string {stop!r} must have 1 to {lib.SHREW_MAX_STOP_BYTES} bytes, none of them zero")
    return encoded


def _u16_list(pointer: Any, count: int) -> list[int]:
    return np.frombuffer(ffi.buffer(pointer, 2 * count), dtype="<u2").tolist() if count else []


def _sampling(sampling: Sampling) -> Any:
    return ffi.new(
        "shrew_sampling *",
        {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "min_p": sampling.min_p,
            "repetition_penalty": sampling.repetition_penalty,
            "top_k": sampling.top_k,
        },
    )


def quantize_q8(
    matrix: NDArray[np.float32], group: int, name: str = "matrix"
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A float matrix [rows, cols] as q8: values [rows, stride] padded to 16, scales [rows, ceil(cols / group)]."""
    source = np.ascontiguousarray(matrix, dtype=np.float32)
    rows, cols = source.shape
    values = np.zeros((rows, -(-cols // 16) * 16), dtype=np.int8)
    scales = np.zeros((rows, -(-cols // group)), dtype=np.float32)
    status = lib.shrew_quantize_q8(
        ffi.from_buffer("float[]", source),
        rows,
        cols,
        group,
        ffi.from_buffer("int8_t[]", values, require_writable=True),
        ffi.from_buffer("float[]", scales, require_writable=True),
    )
    check(status, f"{name}: quantising to q8, group {group}")
    return values, scales
