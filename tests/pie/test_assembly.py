"""The ESP32-S3's assembly: interprets the shipped source, and compares it with what its comments promise."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from engine.test_build import ENGINE
from numpy.typing import NDArray
from pie.interpreter import ACCX_LIMIT, Machine, MachineError, Memory, Program, call, load, parse

SOURCE = ENGINE / "src/kernels/pie.S"
LIMIT = 511  # of an activation

# Chunks of 16 columns: one, which skips the loop; two, the smallest number that enters it; more; rows of real models.
CHUNKS = [1, 2, 3, 4, 11, 48]
ROWS = [1, 2, 3, 16]  # a tile has 16
MASKS = [0x03, 0x0F, 0x3F, 0xFF]  # the lowest row of a byte, and with those above it


@pytest.fixture(scope="module")
def program() -> Program:
    return load(SOURCE)


def run(
    program: Program,
    weights: NDArray[np.int8] | NDArray[np.uint8],
    x: NDArray[np.int16],
    gap: int = 0,
    mask: int | None = None,
) -> tuple[list[int], Machine]:
    """Dot products of weights [rows, columns] with x. ``gap`` bytes separate rows. Memory ends after the last row."""
    rows, columns = weights.shape
    padded = np.pad(weights, ((0, 0), (0, gap)), constant_values=85)
    memory = Memory()
    at = [
        memory.place(data) for data in (padded.tobytes()[: len(padded.tobytes()) - gap], x.tobytes(), bytes(4 * rows))
    ]
    arguments = [at[0], columns + gap, at[1], columns // 16, at[2], rows]
    if mask is None:
        machine = call(program, "shrew_pie_dots", memory, arguments)
    else:
        machine = call(program, "shrew_pie_masked_dots", memory, [*arguments, mask * 0x01010101])
    return np.frombuffer(memory.blocks[at[2]], np.int32).tolist(), machine


def scores(program: Program, keys: NDArray[np.int8], query: NDArray[np.int8]) -> tuple[list[int], Machine]:
    """Scores of keys [tokens, width]. Keys with width 8 are aligned to 8, as in a cache with an odd context."""
    count, width = keys.shape
    memory = Memory()
    at = [memory.place(data.tobytes(), misaligned=width % 16) for data in (keys, query)]
    out = memory.place(bytes(4 * count))
    machine = call(program, "shrew_pie_scores", memory, [*at, count, width, out])
    return np.frombuffer(memory.blocks[out], np.int32).tolist(), machine


def mix(
    program: Program, values: NDArray[np.int8], width: int, weights: NDArray[np.int32]
) -> tuple[list[int], Machine]:
    """Sums of the first eight columns of rows that are width apart."""
    memory = Memory()
    end = (len(weights) - 1) * width + 8
    at = memory.place(values[:end].tobytes(), misaligned=8)
    arguments = [at, width, memory.place(weights.tobytes()), len(weights), memory.place(bytes(64))]
    machine = call(program, "shrew_pie_mix", memory, arguments)
    raw = memory.blocks[arguments[-1]]
    lanes = [raw[start : start + 5] for half in (0, 32) for start in range(half, half + 20, 5)]
    return [int.from_bytes(lane, "little", signed=True) // 256 for lane in lanes], machine


@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("rows", ROWS)
def test_dots_are_exact(program: Program, chunks: int, rows: int) -> None:
    random = np.random.default_rng(chunks * 100 + rows)
    weights = random.integers(-128, 128, (rows, 16 * chunks), np.int8)
    x = random.integers(-LIMIT, LIMIT + 1, 16 * chunks, np.int16)
    assert run(program, weights, x)[0] == (weights.astype(int) @ x).tolist()
    for mask in MASKS:
        masked = weights.view(np.uint8) & mask
        assert run(program, weights.view(np.uint8), x, mask=mask)[0] == (masked.astype(int) @ x).tolist()


def test_rows_may_lie_apart(program: Program) -> None:
    """As those of one group of a longer row do."""
    random = np.random.default_rng(1)
    weights = random.integers(-127, 128, (5, 32), np.int8)
    x = random.integers(-LIMIT, LIMIT + 1, 32, np.int16)
    assert run(program, weights, x, gap=48)[0] == (weights.astype(int) @ x).tolist()
    assert (
        run(program, weights.view(np.uint8), x, gap=48, mask=255)[0]
        == (weights.view(np.uint8).astype(int) @ x).tolist()
    )


@pytest.mark.parametrize("sign", [1, -1])
def test_the_longest_row_of_largest_values_fits_the_accumulator(program: Program, sign: int) -> None:
    x = np.full(16384, sign * LIMIT, np.int16)
    assert run(program, np.full((1, 16384), 127, np.int8), x)[0] == [16384 * 127 * LIMIT * sign]
    assert run(program, np.full((1, 16384), 255, np.uint8), x, mask=255)[0] == [16384 * 255 * LIMIT * sign]


@pytest.mark.parametrize("width", [8, 16, 32, 48, 128])  # a half register; one; the loop once; and more
@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_attention_is_exact(program: Program, width: int, count: int) -> None:
    random = np.random.default_rng(width + count)
    keys, values = random.integers(-127, 128, (2, count, width), np.int8)
    query = random.integers(-127, 128, width, np.int8)
    weights = random.integers(0, 30721, count, np.int32)
    assert scores(program, keys, query)[0] == (keys.astype(int) @ query).tolist()
    for d in range(0, width, 8):
        exact = weights @ values[:, d : d + 8]
        assert mix(program, values.ravel()[d:], width, weights)[0] == exact.tolist()


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_weights_fit_the_accumulator(program: Program, sign: int) -> None:
    """The largest weights add up to 2^24."""
    weights = np.full(1024, 16384, np.int32)
    values = np.full((1024, 8), 127 * sign, np.int8)
    assert mix(program, values.ravel(), 8, weights)[0] == [(127 << 24) * sign] * 8


def test_instructions_are_what_the_source_says(program: Program) -> None:
    """The difference that one chunk of columns, or one token, makes: how many, and with cycles of waiting."""

    def zeros(*shape: int) -> NDArray[np.int8]:
        return np.zeros(shape, np.int8)

    def cost_of_one(measured: Callable[[int], Machine]) -> tuple[int, int]:
        more, less = measured(9), measured(8)
        return more.instructions - less.instructions, more.cycles - less.cycles

    x = np.zeros(144, np.int16)
    assert cost_of_one(lambda n: run(program, zeros(1, 16 * n), x[: 16 * n])[1]) == (4, 5)
    assert cost_of_one(lambda n: run(program, zeros(1, 16 * n), x[: 16 * n], mask=255)[1]) == (5, 6)
    assert cost_of_one(lambda n: scores(program, zeros(n, 8), zeros(8))[1]) == (6, 6)
    assert cost_of_one(lambda n: scores(program, zeros(1, 16 * n), zeros(16 * n))[1]) == (2, 3)
    assert cost_of_one(lambda n: mix(program, zeros(8 * n), 8, np.zeros(n, np.int32))[1]) == (5, 5)


def test_gas_assembles_it(tmp_path: Path) -> None:
    """Where the environment has a description of the ESP32-S3 for Debian's assembler (XTENSA_GNU_CONFIG)."""
    assembler = shutil.which("xtensa-lx106-elf-as")
    if assembler is None or "XTENSA_GNU_CONFIG" not in os.environ:
        pytest.skip("no xtensa-lx106-elf-as with XTENSA_GNU_CONFIG for the ESP32-S3")
    plain = tmp_path / "pie.s"
    plain.write_text("".join(line for line in SOURCE.read_text().splitlines(True) if not line.startswith("#")))
    subprocess.run([assembler, plain, "-o", tmp_path / "pie.o"], check=True)


# ---- The interpreter itself ------------------------------------------------------------------------------------------


def interpret(body: str, *arguments: int, memory: Memory | None = None) -> Machine:
    return call(parse(f"f:\n entry a1, 32\n{body}\n retw\n"), "f", memory or Memory(), arguments)


def test_a_vector_load_drops_the_low_address_bits() -> None:
    memory = Memory()
    at = memory.place(bytes(range(32)))
    machine = interpret("ee.vld.128.ip q0, a2, 16", at + 7, memory=memory)
    assert machine.q[0] == bytes(range(16))
    assert machine.a[2] == at + 23


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("ee.vmulas.u8.accx q0, q1", "line 3: 'ee.vmulas.u8.accx' is not an instruction"),
        ("add a8, a9", "line 3: add takes 3 operands"),
        ("ee.vld.128.ip q0, a2, 8", "line 3: '8' is not what the instruction takes"),
        ("ee.andq q0, q1, q8", "line 3: 'q8' is not"),
        ("mov a8, a9", "line 3: a9 is read but was never written"),
        ("ee.zero.accx\nee.vmulas.s16.accx q0, q1", "line 4: q0 is read"),
        ("movi a1, 4", "line 3: a1 belongs to the calling convention"),
        ("movi a8, 64\nl32i a8, a8, 0", "line 4: 4 bytes at 0x40 are outside"),
        ("movi a8, 66\nl32i a8, a8, 0", "line 4: the word at 0x42 is not aligned"),
    ],
)
def test_what_a_chip_would_do_silently_is_an_error(body: str, message: str) -> None:
    with pytest.raises(MachineError, match=message):
        interpret(body)


def test_reading_past_a_block_is_an_error() -> None:
    memory = Memory()
    at = memory.place(bytes(31))
    with pytest.raises(MachineError, match="outside"):
        interpret("ee.vld.128.ip q0, a2, 16\nee.vld.128.ip q0, a2, 16", at, memory=memory)


def test_the_accumulator_saturates_at_40_bits() -> None:
    memory = Memory()
    at = memory.place(np.full(8, -32768, np.int16).tobytes())
    body = """
        ee.vld.128.ip q0, a2, 0
        ee.zero.accx
        loopgtz a3, .Lend
        ee.vmulas.s16.accx q0, q0
    .Lend:
    """
    assert interpret(body, at, 63, memory=memory).accx == 63 << 33
    assert interpret(body, at, 64, memory=memory).accx == ACCX_LIMIT - 1


def test_a_loop_of_no_turns_is_skipped() -> None:
    body = "movi a8, 1\nloopgtz a2, .Lend\naddi a8, a8, 1\n.Lend:"
    assert [interpret(body, times & 0xFFFFFFFF).a[8] for times in (-1, 0, 1, 5)] == [1, 1, 2, 6]
