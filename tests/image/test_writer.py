"""The engine's writer gives the images of its predecessor in Python, byte for byte, in pieces, or an error code."""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from typing import Any

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, tiny_config
from image.golden_images import CHARACTERS, FILE, UNICODE, cases

from shrew.engine import Model, QuantizedMatrix
from shrew.engine.binding import ffi, lib
from shrew.engine.shape import engine_config
from shrew.engine.write import ImageWriter, put_digest, weights_bytes
from shrew.errors import ConfigError, EngineError, ImageTensorError
from shrew.image import Commands, WeightType, build_image
from shrew.model.attention import rope_frequencies
from shrew.model.config import stored_tensors

GOLDEN = json.loads(FILE.read_text())
CASES = cases()

CONFIG = tiny_config()
SPECS = stored_tensors(CONFIG)
PARAMETERS = {**random_parameters(CONFIG), "rope_frequency": rope_frequencies(CONFIG)}
SECTION = BYTES.section()


@pytest.mark.parametrize("name", CASES)
def test_images_are_those_of_the_writer_in_python(name: str) -> None:
    assert hashlib.sha256(CASES[name]()).hexdigest() == GOLDEN[name]


def test_every_golden_image_has_a_case() -> None:
    assert GOLDEN.keys() == CASES.keys()


class Writing:
    """One writing with all that the engine reads meanwhile, and the pieces that came out."""

    def __init__(self) -> None:
        self.pieces: list[tuple[int, bytes]] = []
        self.answer = 0
        self.storage = ffi.new("shrew_storage[]", len(SPECS))
        self.section = ffi.from_buffer(SECTION)
        self.parts = ffi.new("shrew_parts *")
        self.parts.config = engine_config(CONFIG)[0]
        self.parts.storage, self.parts.tokenizer, self.parts.tokenizer_bytes = self.storage, self.section, len(SECTION)
        self.writer = ffi.new("shrew_writer *")
        self.emit = ffi.callback("shrew_emit", self._emit)

    def _emit(self, context: Any, offset: int, data: Any, count: int) -> int:
        self.pieces.append((offset, bytes(ffi.buffer(data, count))))
        return self.answer

    def begin(self) -> int:
        return int(lib.shrew_write_begin(self.writer, self.parts, self.emit, ffi.NULL))

    def floats(self, values: Any) -> int:
        data = ffi.from_buffer("float[]", np.ascontiguousarray(values, np.float32))
        return int(lib.shrew_write_tensor(self.writer, ffi.new("shrew_values *", {"floats": data})))

    def all(self) -> int:
        for spec in SPECS:
            assert self.floats(PARAMETERS[spec.name]) == lib.SHREW_OK
        return int(lib.shrew_write_end(self.writer))

    def image(self) -> bytes:
        image = bytearray()
        for offset, piece in self.pieces[:-1]:
            assert offset == len(image)
            image += piece
        offset, checksum = self.pieces[-1]
        image[offset : offset + len(checksum)] = checksum
        return bytes(image)


def test_an_image_comes_in_pieces_and_its_checksum_last() -> None:
    writing = Writing()
    assert writing.begin() == lib.SHREW_OK
    assert writing.all() == lib.SHREW_OK
    assert {len(piece) for _, piece in writing.pieces[:-2]} == {lib.SHREW_WRITE_BUFFER}
    *rest, (offset, checksum) = writing.pieces
    assert offset == 12
    assert checksum == zlib.crc32(b"".join(piece for _, piece in rest)).to_bytes(4, "little")
    image, size = writing.image(), ffi.new("uint32_t *")
    assert lib.shrew_write_bytes(writing.parts, size) == lib.SHREW_OK
    assert size[0] == len(image)
    stored = Model.from_bytes(image)
    for spec in SPECS:
        assert np.array_equal(stored.tensor(spec.role, spec.layer).values().reshape(spec.shape), PARAMETERS[spec.name])


def test_tensors_that_are_missing_or_too_many_are_refused() -> None:
    writing = Writing()
    assert writing.begin() == lib.SHREW_OK
    assert lib.shrew_write_end(writing.writer) == lib.SHREW_E_STATE
    assert writing.all() == lib.SHREW_OK
    assert writing.floats(PARAMETERS[SPECS[0].name]) == lib.SHREW_E_STATE
    count = len(writing.pieces)
    assert lib.shrew_write_end(writing.writer) == lib.SHREW_E_STATE
    assert len(writing.pieces) == count, "the end was written twice"


@pytest.mark.parametrize("at", ["begin", "tensors"])
def test_what_emit_returns_ends_the_writing(at: str) -> None:
    writing = Writing()
    long = ffi.new("uint8_t[]", lib.SHREW_WRITE_BUFFER)
    pair = ffi.new("shrew_pair[]", [(writing.section, 1, long, len(long))])
    if at == "begin":
        writing.parts.metadata, writing.parts.metadata_pairs, writing.answer = pair, 1, 77
    assert writing.begin() == writing.answer
    writing.answer = 77
    assert writing.floats(PARAMETERS[SPECS[0].name]) == 77
    count = len(writing.pieces)
    assert writing.floats(PARAMETERS[SPECS[1].name]) == 77
    assert lib.shrew_write_end(writing.writer) == 77
    assert len(writing.pieces) == count


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_float_that_is_no_number_is_refused_for_good(value: float) -> None:
    writing = Writing()
    assert writing.begin() == lib.SHREW_OK
    bad = PARAMETERS[SPECS[0].name].copy()
    bad[-1, -1] = value
    assert writing.floats(bad) == lib.SHREW_E_NUMBER
    assert writing.floats(PARAMETERS[SPECS[0].name]) == lib.SHREW_E_NUMBER


MATRIX, VECTOR = 0, next(i for i, spec in enumerate(SPECS) if spec.vector)


@pytest.mark.parametrize(
    ("tensor", "kind", "group", "status"),
    [
        (MATRIX, lib.SHREW_TYPES, 0, "SHREW_E_TYPE"),
        (MATRIX, 0xFFFFFFFF, 0, "SHREW_E_TYPE"),
        (MATRIX, 1, 8, "SHREW_E_TENSOR"),
        (MATRIX, 1, 272, "SHREW_E_TENSOR"),
        (MATRIX, 0, 32, "SHREW_E_TENSOR"),
        (VECTOR, 1, 0, "SHREW_E_TENSOR"),
    ],
)
def test_types_that_a_tensor_cannot_have_are_refused(tensor: int, kind: int, group: int, status: str) -> None:
    writing, size = Writing(), ffi.new("uint32_t *")
    writing.storage[tensor].type, writing.storage[tensor].group = kind, group
    expected = getattr(lib, status)
    assert writing.begin() == expected
    assert lib.shrew_write_bytes(writing.parts, size) == expected
    assert lib.shrew_write_weights_bytes(ffi.addressof(writing.parts, "config"), writing.storage, size) == expected
    assert writing.floats(PARAMETERS[SPECS[0].name]) == expected
    assert writing.pieces == []


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [("dim", 0, "SHREW_E_CONFIG"), ("norm_eps", 0.0, "SHREW_E_CONFIG"), ("norm_eps", np.nan, "SHREW_E_CONFIG")],
)
def test_impossible_configurations_are_refused(field: str, value: float, status: str) -> None:
    writing = Writing()
    setattr(writing.parts.config, field, value)
    assert writing.begin() == getattr(lib, status)


@pytest.mark.parametrize(
    ("key", "key_bytes", "value_bytes", "pairs", "status"),
    [
        (SECTION, 0x10000, 1, 1, "SHREW_E_METADATA"),
        (SECTION, 0, 1, 1, "SHREW_E_METADATA"),
        (SECTION, 1, 1 << 32, 1, "SHREW_E_METADATA"),
        (SECTION, 1, 1, 257, "SHREW_E_METADATA"),
        (b"stop", 4, 0, 1, "SHREW_E_METADATA"),
        (b"stop", 4, 65, 1, "SHREW_E_METADATA"),
        (b"stop", 4, 64, 256, "SHREW_OK"),
        (b"stops", 5, 65, 1, "SHREW_OK"),
        (b"stop", 3, 0, 1, "SHREW_OK"),
        (None, 4, 1, 1, "SHREW_E_ARGUMENT"),
    ],
)
def test_metadata_is_checked(key: bytes | None, key_bytes: int, value_bytes: int, pairs: int, status: str) -> None:
    writing, size = Writing(), ffi.new("uint32_t *")
    name = ffi.NULL if key is None else ffi.from_buffer(key)
    pair = ffi.new("shrew_pair[]", [(name, key_bytes, writing.section, value_bytes)] * pairs)
    writing.parts.metadata, writing.parts.metadata_pairs = pair, pairs
    assert lib.shrew_write_bytes(writing.parts, size) == getattr(lib, status)
    assert writing.begin() == getattr(lib, status)


@pytest.mark.parametrize(
    ("prompt", "generate", "status"),
    [
        ([], 1, "SHREW_E_SELFTEST_SECTION"),
        ([1], 0, "SHREW_E_SELFTEST_SECTION"),
        ([1] * CONFIG.context, 1, "SHREW_E_SELFTEST_SECTION"),
        ([1], CONFIG.context, "SHREW_E_SELFTEST_SECTION"),
        ([1], 0xFFFFFFFF, "SHREW_E_SELFTEST_SECTION"),
        ([CONFIG.vocab], 1, "SHREW_E_SELFTEST_SECTION"),
        ([1, 2, CONFIG.vocab - 1], CONFIG.context - 3, "SHREW_OK"),
    ],
)
def test_the_self_test_is_checked(prompt: list[int], generate: int, status: str) -> None:
    writing = Writing()
    ids = ffi.new("uint16_t[]", prompt)
    writing.parts.selftest_prompt, writing.parts.selftest_prompt_tokens = ids, len(prompt)
    writing.parts.selftest_tokens = generate
    assert writing.begin() == getattr(lib, status)


COMMANDS = Commands.of(["light (on|off)"]).section


@pytest.mark.parametrize(
    ("part", "data", "status"),
    [
        ("tokenizer", SECTION[:-4], "SHREW_E_TOKENIZER"),
        ("tokenizer", SECTION[:32] + b"\1" + SECTION[33:], "SHREW_E_RESERVED"),
        ("tokenizer", CHARACTERS.section(), "SHREW_E_TOKENIZER"),
        ("tokenizer", UNICODE.section(), "SHREW_E_UNICODE"),
        ("unicode", UNICODE.unicode_section(), "SHREW_E_UNICODE"),
        ("unicode", b"", "SHREW_E_UNICODE"),
        ("commands", COMMANDS[:-1], "SHREW_E_COMMANDS"),
        ("commands", b"", "SHREW_E_COMMANDS"),
        ("commands", b"\0\0\0\x40" + COMMANDS[4:], "SHREW_E_COMMANDS"),
        ("commands", COMMANDS, "SHREW_OK"),
    ],
)
def test_sections_that_no_model_opens_with_are_refused(part: str, data: bytes, status: str) -> None:
    writing = Writing()
    given = ffi.from_buffer(data)
    setattr(writing.parts, part, given)
    setattr(writing.parts, f"{part}_bytes", len(data))
    assert writing.begin() == getattr(lib, status)
    if status != "SHREW_OK":
        assert writing.pieces == []


@pytest.mark.parametrize("part", ["tokenizer", "commands"])
def test_sections_that_are_not_aligned_are_refused(part: str) -> None:
    writing = Writing()
    shifted = ffi.new("uint8_t[]", b"x" + (SECTION if part == "tokenizer" else COMMANDS))
    setattr(writing.parts, part, shifted + 1)
    setattr(writing.parts, f"{part}_bytes", len(shifted) - 2)
    assert writing.begin() == lib.SHREW_E_ALIGNMENT


def test_what_is_accepted_opens() -> None:
    """Whatever is damaged in what the writer gets: it refuses, or the image opens."""
    r, outcomes = random.Random(3), {True: 0, False: 0}
    for _ in range(1500):
        writing = Writing()
        writing.storage = writing.parts.storage = ffi.new("shrew_storage[]", 2000)  # for any number of layers
        given = {"tokenizer": SECTION, "commands": COMMANDS}
        part = r.choice(["tokenizer", "commands", "config", "storage", "selftest"])
        if part in given:
            damaged = bytearray(given[part])
            damaged[r.randrange(len(damaged))] ^= 1 << r.randrange(8)
            given[part] = bytes(damaged)
        for name, section in given.items():
            setattr(writing.parts, name, ffi.from_buffer(section))
            setattr(writing.parts, f"{name}_bytes", len(section))
        if part == "config":
            numbers = ffi.cast("uint32_t *", ffi.addressof(writing.parts.config))
            numbers[r.randrange(13)] ^= 1 << r.randrange(32)
        if part == "storage":
            storage = writing.storage[r.randrange(len(SPECS))]
            storage.type, storage.group = r.choice([0, 0, 5]), r.choice([0, 0, 16])
        ids = ffi.new("uint16_t[]", [r.choice([1, 1, 1, 300])])
        writing.parts.selftest_prompt, writing.parts.selftest_prompt_tokens = ids, 1
        writing.parts.selftest_tokens = r.choice([1, 2, 47, 48]) if part == "selftest" else 1
        accepted = writing.begin() == lib.SHREW_OK
        outcomes[accepted] += 1
        if not accepted:
            assert writing.pieces == []
            continue
        count, shape = ffi.new("uint32_t *"), ffi.new("shrew_shape *")
        assert lib.shrew_shape_tensors(ffi.addressof(writing.parts, "config"), count) == lib.SHREW_OK
        for index in range(count[0]):
            assert lib.shrew_shape_tensor(ffi.addressof(writing.parts, "config"), index, shape) == lib.SHREW_OK
            assert writing.floats(np.ones((shape.rows, shape.cols))) == lib.SHREW_OK
        assert lib.shrew_write_end(writing.writer) == lib.SHREW_OK
        Model.from_bytes(writing.image())
    assert min(outcomes.values()) > 100


@pytest.mark.parametrize("size", [0xFFFFFFFF, (1 << 64) - 100])
def test_an_image_beyond_32_bits_is_refused(size: int) -> None:
    writing = Writing()
    writing.parts.unicode, writing.parts.unicode_bytes = writing.section, size
    assert writing.begin() == lib.SHREW_E_SIZE


def test_arguments_are_checked() -> None:
    writing, size = Writing(), ffi.new("uint32_t *")
    null, bad = ffi.NULL, lib.SHREW_E_ARGUMENT
    assert lib.shrew_write_begin(null, writing.parts, writing.emit, null) == bad
    assert lib.shrew_write_begin(writing.writer, null, writing.emit, null) == bad
    assert lib.shrew_write_begin(writing.writer, writing.parts, null, null) == bad
    assert lib.shrew_write_bytes(writing.parts, null) == bad
    assert lib.shrew_write_weights_bytes(null, writing.storage, size) == bad
    assert lib.shrew_write_tensor(null, ffi.new("shrew_values *")) == bad
    assert lib.shrew_write_end(null) == bad
    for field in ("storage", "tokenizer"):
        writing = Writing()
        setattr(writing.parts, field, null)
        assert writing.begin() == bad
    writing = Writing()
    assert writing.begin() == lib.SHREW_OK
    assert lib.shrew_write_tensor(writing.writer, null) == bad
    assert lib.shrew_write_tensor(writing.writer, ffi.new("shrew_values *")) == bad
    assert lib.shrew_write_digest(null, 64, 0) == bad


@pytest.mark.parametrize(("kind", "value"), [("q8", -128), ("q4", 8), ("q4", -9), ("ternary", 2), ("ternary", -2)])
def test_integers_beyond_their_type_are_refused(kind: str, value: int) -> None:
    values = np.zeros((CONFIG.vocab, CONFIG.dim), np.int8)
    values[-1, -1] = value
    matrix = QuantizedMatrix(kind, 0, values, np.ones(CONFIG.vocab, np.float32), None)
    with pytest.raises(ImageTensorError, match=r"token_embedding\.weight"):
        build_image(CONFIG, {**random_parameters(CONFIG), "token_embedding.weight": matrix}, BYTES)


def test_a_multiplier_beyond_its_limit_is_refused() -> None:
    config = tiny_config(dim=512, heads=1, head_dim=2)
    multipliers = np.ones((config.vocab, 2), np.int8)
    multipliers[-1, -1] = -65
    shape = config.vocab, config.dim
    matrix = QuantizedMatrix("q8", 256, np.zeros(shape, np.int8), np.ones(config.vocab, np.float32), multipliers)
    with pytest.raises(ImageTensorError, match=r"token_embedding\.weight"):
        build_image(config, {**random_parameters(config), "token_embedding.weight": matrix}, BYTES)


@pytest.mark.parametrize(("scales", "multipliers"), [(8, (9, 2)), (9, (9, 1)), (9, (8, 2)), (9, None)])
def test_scales_that_do_not_fit_their_matrix_are_refused(scales: int, multipliers: tuple[int, int] | None) -> None:
    config = tiny_config(ffn=9)
    given = None if multipliers is None else np.ones(multipliers, np.int8)
    matrix = QuantizedMatrix("q8", 16, np.zeros((9, config.dim), np.int8), np.ones(scales, np.float32), given)
    with pytest.raises(ConfigError, match=r"layers\.0\.up\.weight"):
        build_image(config, {**random_parameters(config), "layers.0.up.weight": matrix}, BYTES)


def test_memory_that_is_too_small_is_not_written_beyond() -> None:
    room = ffi.new("uint8_t[]", 64)
    memory = ffi.new("shrew_memory *", {"bytes": room, "capacity": 60})
    data = ffi.new("uint8_t[]", b"\1" * 64)
    for offset, count in ((0, 61), (60, 1), (61, 0), (2**64 - 1, 1), (1, 2**64 - 1)):
        assert lib.shrew_emit_to_memory(memory, offset, data, count) == lib.SHREW_E_BUFFER
    assert lib.shrew_emit_to_memory(memory, 56, data, 4) == lib.SHREW_OK
    assert bytes(ffi.buffer(room)) == bytes(56) + b"\1" * 4 + bytes(4)


def test_a_digest_needs_a_self_test() -> None:
    writer = ImageWriter(CONFIG, [("f32", 0)] * len(SPECS), SECTION)
    for spec in SPECS:
        writer.write(PARAMETERS[spec.name], spec.name)
    with pytest.raises(EngineError):
        put_digest(writer.image(), 1)
    for length in (0, 16, 63, 70):
        with pytest.raises(EngineError):
            put_digest(bytearray(b"\xff" * length), 1)


def test_the_weights_take_what_is_said_before() -> None:
    image = build_image(CONFIG, random_parameters(CONFIG), BYTES, types=WeightType("q4", 16))
    storage = [("f32", 0) if spec.vector else ("q4", 16) for spec in SPECS]
    table = np.frombuffer(image, "<u4", 4 * int(np.frombuffer(image, "<u4", 1, 16)[0]), 64).reshape(-1, 4)
    assert weights_bytes(CONFIG, storage) == table[-1, 3]
