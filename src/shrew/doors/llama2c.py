"""The door for llama2.c: checkpoints of version 0 (float) and version 2 (``ak42``, int8 with a scale per group).

The layouts are those that llama2.c's ``export.py`` writes: the tensors of one kind are stored together for all layers,
matrices as [out, in]. The tokenizer is a separate file, ``tokenizer.bin``: a u32 with the length of the longest token,
then for each token an f32 score, an i32 length and its bytes. The first three tokens are unknown, beginning and end of
text; the next 256 are the single bytes, written ``<0x00>`` to ``<0xFF>``. Any two neighbours that together spell a
token are merged, the token with the highest score first.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shrew.doors.door import ForeignModel
from shrew.errors import ConfigError, ImportFileError, TokenizerError
from shrew.files import printable
from shrew.model.config import ModelConfig
from shrew.tokenizer import Tokenizer
from shrew.tokenizer.tokenizer import MAX_PIECE_BYTES

TAKES: Final = "llama2.c checkpoints (version 0, float, or 2, int8) with their tokenizer.bin"

_MAGIC_V1_UP = 0x616B3432
_V0_HEADER_BYTES, _V2_HEADER_BYTES = 28, 256

#: An upper limit for plausible numbers: no model is that wide, deep or long, and bytes of text read as larger numbers.
_ABSURD = 1 << 20

#: Kinds of tensors per layer: our name, rows and columns in terms of the configuration.
_MATRICES = ("query", "key", "value", "out", "gate", "down", "up")

_UNK, _BOS, _EOS, _FIRST_BYTE, _FIRST_TEXT = 0, 1, 2, 3, 259


def recognises(file: Path) -> bool:
    """By the magic number, or, as version 0 has none, by seven numbers that form a plausible shape."""
    if not file.is_file():
        return False
    with file.open("rb") as content:
        header = content.read(_V0_HEADER_BYTES)
    if len(header) < _V0_HEADER_BYTES:
        return False
    if struct.unpack_from("<I", header)[0] == _MAGIC_V1_UP:
        return True
    fields = [abs(field) for field in struct.unpack("<7i", header)]  # the vocabulary may be negative
    dim, _, _, heads, kv_heads, *_ = fields
    return all(0 < field < _ABSURD for field in fields) and dim % heads == 0 and heads % kv_heads == 0


def source_of(file: Path, tokenizer: Path | None) -> ForeignModel:
    """Reads a checkpoint and its tokenizer. ImportFileError, TokenizerError."""
    if tokenizer is None:
        raise ImportFileError(f"{file}: a llama2.c checkpoint holds no tokenizer; give its tokenizer.bin too")
    config, parameters = read_checkpoint(file)
    metadata = [
        ("name", printable(file.stem)),
        ("provenance", f"imported from llama2.c checkpoint {printable(file.name)}"),
    ]
    return ForeignModel(config, parameters, read_tokenizer(tokenizer, vocab=config.vocab), metadata)


# ---- Checkpoints -------------------------------------------------------------------------------------------------


def read_checkpoint(path: str | os.PathLike[str]) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    """Reads configuration and float tensors of a llama2.c checkpoint. ImportFileError if it is malformed."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{file}: {error.strerror or error}") from error
    if len(data) < _V0_HEADER_BYTES:
        raise ImportFileError(f"{file}: {len(data)} bytes are too few for a llama2.c checkpoint")
    read = _read_v2 if struct.unpack_from("<I", data)[0] == _MAGIC_V1_UP else _read_v0
    config, parameters = read(file, data)
    if not all(np.isfinite(tensor).all() for tensor in parameters.values()):
        raise ImportFileError(f"{file}: holds NaN or infinity; not a llama2.c checkpoint, or a damaged one")
    return config, parameters


class _Reader:
    """Reads arrays of the file in order, and refuses a file that is too short or too long."""

    def __init__(self, path: Path, data: bytes, offset: int) -> None:
        self.path, self.data, self.offset = path, data, offset

    def take(self, count: int, dtype: str) -> NDArray[np.generic]:
        size = count * np.dtype(dtype).itemsize
        if self.offset + size > len(self.data):
            raise ImportFileError(
                f"{self.path}: cut short: {self.offset + size} bytes needed, {len(self.data)} there; fetch it again"
            )
        array = np.frombuffer(self.data, dtype=dtype, count=count, offset=self.offset)
        self.offset += size
        return array

    def floats(self, *shape: int) -> NDArray[np.float32]:
        return self.take(int(np.prod(shape)), "<f4").astype(np.float32).reshape(shape)

    def done(self) -> None:
        if self.offset != len(self.data):
            raise ImportFileError(
                f"{self.path}: {len(self.data) - self.offset} bytes left over; not a llama2.c checkpoint of this shape"
            )


def _config(path: Path, fields: tuple[int, ...], *, tied: bool) -> ModelConfig:
    dim, ffn, layers, heads, kv_heads, vocab, context = fields
    try:
        return ModelConfig(
            dim=dim,
            layers=layers,
            heads=heads,
            kv_heads=kv_heads,
            ffn=ffn,
            vocab=vocab,
            context=context,
            tied_head=tied,
        )
    except ConfigError as error:
        raise ImportFileError(f"{path}: not a llama2.c checkpoint that fits a Shrew image ({error})") from error


def _shapes(c: ModelConfig) -> dict[str, tuple[int, int]]:
    query, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    return {
        "query": (query, c.dim),
        "key": (kv, c.dim),
        "value": (kv, c.dim),
        "out": (c.dim, query),
        "gate": (c.ffn, c.dim),
        "down": (c.dim, c.ffn),
        "up": (c.ffn, c.dim),
    }


def _read_v0(path: Path, data: bytes) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    fields = struct.unpack_from("<7i", data)
    tied = fields[5] > 0  # a negative vocabulary marks an untied head
    c = _config(path, (*fields[:5], abs(fields[5]), fields[6]), tied=tied)
    reader, shapes = _Reader(path, data, _V0_HEADER_BYTES), _shapes(c)
    parameters = {"token_embedding.weight": reader.floats(c.vocab, c.dim)}

    def norms(name: str) -> None:
        for i, row in enumerate(reader.floats(c.layers, c.dim)):
            parameters[f"layers.{i}.{name}.weight"] = row

    def matrices(*names: str) -> None:
        for name in names:
            for i, matrix in enumerate(reader.floats(c.layers, *shapes[name])):
                parameters[f"layers.{i}.{name}.weight"] = matrix

    norms("attention_norm")
    matrices("query", "key", "value", "out")
    norms("mlp_norm")
    matrices("gate", "down", "up")
    parameters["final_norm.weight"] = reader.floats(c.dim)
    reader.floats(2, c.context, c.head_dim // 2)  # skips cosines and sines of old versions: an image stores frequencies
    if not tied:
        parameters["head.weight"] = reader.floats(c.vocab, c.dim)
    reader.done()
    return c, parameters


def _read_v2(path: Path, data: bytes) -> tuple[ModelConfig, dict[str, NDArray[np.float32]]]:
    if len(data) < _V2_HEADER_BYTES:
        raise ImportFileError(f"{path}: cut short inside its header; fetch it again")
    version = struct.unpack_from("<i", data, 4)[0]
    if version != 2:
        raise ImportFileError(f"{path}: llama2.c checkpoint version {version}; versions 0 and 2 can be imported")
    fields = struct.unpack_from("<7i", data, 8)
    shared, group = struct.unpack_from("<Bi", data, 36)
    c = _config(path, fields, tied=bool(shared))
    shapes = _shapes(c)
    if group < 1 or any(rows * cols % group for rows, cols in [*shapes.values(), (c.vocab, c.dim)]):
        raise ImportFileError(f"{path}: group size {group} does not divide its tensors")
    reader = _Reader(path, data, _V2_HEADER_BYTES)
    parameters: dict[str, NDArray[np.float32]] = {}
    for name in ("attention_norm", "mlp_norm"):
        for i, row in enumerate(reader.floats(c.layers, c.dim)):
            parameters[f"layers.{i}.{name}.weight"] = row
    parameters["final_norm.weight"] = reader.floats(c.dim)

    def dequantized(rows: int, cols: int) -> NDArray[np.float32]:
        values = reader.take(rows * cols, "i1").astype(np.float32).reshape(-1, group)
        scales = reader.floats(rows * cols // group, 1)
        return np.asarray(values * scales, dtype=np.float32).reshape(rows, cols)

    parameters["token_embedding.weight"] = dequantized(c.vocab, c.dim)
    for name in _MATRICES:
        for i in range(c.layers):
            parameters[f"layers.{i}.{name}.weight"] = dequantized(*shapes[name])
    if not shared:
        parameters["head.weight"] = dequantized(c.vocab, c.dim)
    reader.done()
    return c, parameters


# ---- Tokenizers --------------------------------------------------------------------------------------------------


def read_tokenizer(path: str | os.PathLike[str], *, vocab: int) -> Tokenizer:
    """Reads the tokenizer of a llama2.c model with ``vocab`` tokens. TokenizerError if it is malformed."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise TokenizerError(f"{file}: {error.strerror or error}") from error
    try:
        scores, pieces = _read_pieces(data, vocab)
        merges = _merges(pieces)
        return Tokenizer(
            kind="sentencepiece",
            pieces=tuple(pieces),
            specials={"<unk>": _UNK, "<s>": _BOS, "</s>": _EOS},
            merges=tuple(merges),
            ranks=_ranks(merges, scores),
            byte_ids=tuple(range(_FIRST_BYTE, _FIRST_TEXT)),
            bos=_BOS,
            # llama2.c trains on stories that begin with <s> and do not end with </s>; it stops when <s> is generated.
            eos=_BOS,
            unk=_UNK,
            prompt_prefix=(_BOS,),
            space_prefix=True,
        )
    except TokenizerError as error:
        raise TokenizerError(f"{file}: not a llama2.c tokenizer of {vocab} tokens: {error}") from error


def _read_pieces(data: bytes, vocab: int) -> tuple[list[float], list[bytes]]:
    if vocab < _FIRST_TEXT:
        raise TokenizerError(f"there are always {_FIRST_TEXT} or more")
    scores, pieces, offset = [], [], 4
    for token in range(vocab):
        if offset + 8 > len(data):
            raise TokenizerError(f"cut short at token {token}")
        score, length = struct.unpack_from("<fi", data, offset)
        offset += 8
        if math.isnan(score):
            raise TokenizerError(f"the score of token {token} is not a number")
        if not 0 < length <= MAX_PIECE_BYTES:
            raise TokenizerError(f"token {token} has {length} bytes, must be 1 to {MAX_PIECE_BYTES}")
        if offset + length > len(data):
            raise TokenizerError(f"cut short at token {token}")
        scores.append(score)
        pieces.append(data[offset : offset + length])
        offset += length
    if offset != len(data):
        raise TokenizerError(f"{len(data) - offset} bytes are left over")
    for byte in range(256):
        if pieces[_FIRST_BYTE + byte] != b"<0x%02X>" % byte:
            raise TokenizerError(f"token {_FIRST_BYTE + byte} is not byte {byte}")
    return scores, [b"", b"", b"", *(bytes([byte]) for byte in range(256)), *pieces[_FIRST_TEXT:]]


def _merges(pieces: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """Every way to form a token from two others: (left, right, result)."""
    ids: dict[bytes, int] = {}
    for token in range(_FIRST_TEXT, len(pieces)):
        ids.setdefault(pieces[token], token)
    return [
        (ids[piece[:cut]], ids[piece[cut:]], token)
        for piece, token in ids.items()
        for cut in range(1, len(piece))
        if piece[:cut] in ids and piece[cut:] in ids
    ]


def _ranks(merges: Sequence[tuple[int, int, int]], scores: Sequence[float]) -> tuple[int, ...] | None:
    """Ranks of merges by descending score, equal for equal scores. None if the results' ids give the same order."""
    results = sorted({result for _, _, result in merges})
    if all(scores[before] > scores[after] for before, after in pairwise(results)):
        return None
    order = {score: rank for rank, score in enumerate(sorted({scores[result] for result in results}, reverse=True))}
    return tuple(order[scores[result]] for _, _, result in merges)
