"""Models of the C engine: validated images."""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.engine.binding import check, ffi, lib
from shrew.engine.session import Session, session_options
from shrew.engine.shape import config_fields
from shrew.engine.tensor import ROWS_PER_BYTE, TYPES, Tensor
from shrew.engine.tokenizer import KIND_NAMES, prompt_form
from shrew.errors import EngineError, RunError

#: Larger images are memory-mapped instead of read. In bytes.
MAP_ABOVE = 64_000_000


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
        """Opens an image file. Raises an :class:`~shrew.errors.ImageError` that says why a bad one is refused.

        A file of up to 64 MB is read into memory and may change or disappear afterwards. A larger file is mapped and
        must not change while the model is in use: the system kills a process that reads beyond a truncated file.
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
    def from_bytes(cls, image: bytes | bytearray, name: str = "image") -> Model:
        """Opens an image in memory. It is copied once, to an aligned address."""
        room = np.empty(len(image) + 64, dtype=np.uint8)
        start = -room.ctypes.data % 64
        aligned = room[start : start + max(len(image), 1)]
        aligned[: len(image)] = np.frombuffer(image, dtype=np.uint8)
        aligned.flags.writeable = False  # the engine validates it only once
        return cls(aligned, len(image), name)

    def config_fields(self) -> dict[str, Any]:
        """The image's configuration under the field names of :class:`shrew.model.config.ModelConfig`."""
        return config_fields(self._model.config)

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
        """The tensor with a ``shrew_role`` and layer. EngineError if there is none."""
        t = ffi.new("shrew_tensor *")
        check(lib.shrew_model_tensor(self._model, role, layer, t), f"{self.name}: tensor {role} of layer {layer}")
        kind = TYPES[t.type]
        data_rows = -(-t.rows // ROWS_PER_BYTE[kind])
        data = self._view(t.data, np.dtype(np.uint8), data_rows, t.stride)
        row_scales = multipliers = None
        if t.row_scales != ffi.NULL:
            row_scales = self._view(t.row_scales, np.dtype(np.float32), t.rows, 1)[:, 0]
        if t.multipliers != ffi.NULL:
            multipliers = self._view(t.multipliers, np.dtype(np.int8), t.rows, t.groups)
        return Tensor(kind, t.rows, t.cols, t.group, t.stride, data, row_scales, multipliers)

    def _view(self, pointer: Any, item: np.dtype[Any], rows: int, cols: int) -> NDArray[Any]:
        """A view of a part of the image, [rows, cols]. It keeps the image in memory."""
        offset = int(ffi.cast("uintptr_t", pointer)) - int(ffi.cast("uintptr_t", self._image))
        return np.frombuffer(self._buffer, dtype=item, count=rows * cols, offset=offset).reshape(rows, cols)

    def image(self) -> memoryview:
        """The bytes of the image itself."""
        return memoryview(self._buffer)

    @property
    def crc32(self) -> int:
        """The image's checksum, verified when it was opened."""
        return int(struct.unpack_from("<I", self.image(), lib.CRC_OFFSET)[0])

    def sections(self) -> list[tuple[int, int, int, int]]:
        """Kind, flags, offset and size of every section."""
        image = self.image()
        (count,) = struct.unpack_from("<I", image, lib.SECTION_COUNT_OFFSET)
        table = image[lib.IMAGE_HEADER_BYTES :][: count * lib.SECTION_ENTRY_BYTES]
        return list(struct.iter_unpack("<IIII", table))

    def tokenizer_fields(self) -> dict[str, Any]:
        """The fields of the image's tokenizer. Ids of special tokens that it lacks are None."""
        t = self._model.tokenizer
        special = {name: getattr(t, name) for name in ("bos", "eos", "pad", "unk")}
        return {
            "kind": KIND_NAMES[t.kind],
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
        """Token ids [n] of a text, without beginning-of-text. Raises EngineError if a character has no token."""
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

    def written(self, prompt: str) -> str:
        """A chat prompt in the form in which the model reads it; as it is where the image has no such form."""
        section = self._model.prompts
        if section == ffi.NULL:
            return prompt
        form = bytes(ffi.buffer(section, self._model.prompts_bytes))
        return prompt_form(form, prompt.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

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
        """The ids as an array for the engine. EngineError if one is not a token of this model."""
        tokens = np.asarray(ids)
        if tokens.size:
            wrong = tokens[(tokens < 0) | (tokens >= self.vocab)]
            if wrong.size:
                reason = f"token {wrong[0]} is none of the {self.vocab} from 0"
                raise EngineError(f"{self.name}: {reason}", lib.SHREW_E_ARGUMENT)
        return np.ascontiguousarray(tokens, dtype=np.uint16)

    def session(self, **options: Any) -> Session:
        """Opens a new conversation.

        Options: ``context``, the tokens to hold (0: the model's context); ``block``, the prompt tokens processed at a
        time (64; 0: the engine's default of 8, as on a chip); ``draft``, the most tokens to guess ahead (0: none);
        ``cache``: auto, f32 or int8; ``unit``: auto or one of :func:`~shrew.engine.units`; ``threads`` (1); ``timed``
        for :meth:`Session.times`. Only ``cache`` changes the result.
        """
        return Session(self, **options)

    def session_bytes(self, **options: Any) -> int:
        """Bytes of memory of a session with the same options; here ``block`` defaults to 0."""
        size = ffi.new("size_t *")
        check(lib.shrew_session_bytes(self._model, session_options(self, **options), size), f"{self.name}: session")
        return int(size[0])

    def selftest(self) -> bool:
        """Runs the image's self-test. Returns False if it has none. Raises SelfTestError if the tokens differ."""
        return self.session().selftest()

    def stream(self, prompt: str, **options: Any) -> Iterator[str]:
        """Yields the answer to a prompt in pieces. Options as in :meth:`Session.generate`."""
        for progress in self.session().generate(prompt, **options):
            if progress.text:
                yield progress.text

    def generate(self, prompt: str, **options: Any) -> str:
        """Returns the whole answer to a prompt. Options as in :meth:`Session.generate`."""
        return "".join(self.stream(prompt, **options))


def _u16_list(pointer: Any, count: int) -> list[int]:
    return np.frombuffer(ffi.buffer(pointer, 2 * count), dtype="<u2").tolist() if count else []
