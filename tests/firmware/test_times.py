"""Where a model's time went, as the console's `status` shows it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firmware.core import Out, ffi, lib


class Record:
    def __init__(self) -> None:
        self.now = 10**9
        self.struct = ffi.new("shrew_times *")

    def __call__(self, phase: str, took: int, layer: int = 0, tokens: int = 1) -> None:
        """A phase that takes so long."""
        lib.shrew_times_mark(self.struct, self.now, getattr(lib, f"SHREW_PHASE_{phase}"), layer, tokens)
        self.now += took

    def table(self) -> list[str]:
        lines: list[str] = []
        while True:
            out = Out(lib.TIMES_LINE_BYTES)
            if not lib.fw_times_add_line(out.text, self.struct, len(lines)):
                return lines
            lines.append(out.bytes.decode())


def one_pass(record: Record, tokens: int, factor: int) -> None:
    record("EMBED", 10 * factor, tokens=tokens)
    for layer in range(2):
        for i, phase in enumerate(("QKV", "ATTEND", "OUT", "UP", "ACTIVATE", "DOWN")):
            record(phase, (1000 * (layer + 1) + i) * factor, layer, tokens)
    record("HEAD", 3000 * factor)
    record("NONE", 12345)
    record("CHOOSE", 7 * factor)
    record("NONE", 999_999)


def test_the_table_has_milliseconds_a_token_for_prompt_and_answer() -> None:
    record = Record()
    one_pass(record, 4, 2)
    for _ in range(2):
        one_pass(record, 1, 1)
    assert record.table() == [
        "ms/token       prompt     answer",
        "embed           0.005      0.010",
        "qkv             1.500      3.000",
        "attend          1.501      3.002",
        "out             1.502      3.004",
        "up              1.503      3.006",
        "activate        1.504      3.008",
        "down            1.505      3.010",
        "head            1.500      3.000",
        "choose          0.004      0.007",
        "all            10.524     21.047",
        "layer 0         3.008      6.015",
        "layer 1         6.008     12.015",
    ]


def test_a_model_that_was_asked_nothing_has_no_table() -> None:
    record = Record()
    record("NONE", 5)
    assert record.table() == []


def test_without_a_prompt_its_column_has_no_numbers() -> None:
    record = Record()
    one_pass(record, 1, 1)
    assert all(line.split()[-2] == "-" for line in record.table()[1:])


def test_an_hour_of_a_slow_model_of_the_most_layers_fits() -> None:
    record = Record()
    for layer in range(lib.SHREW_TIMES_LAYERS):
        record("EMBED", 3_600_000_000)
        record("DOWN", 3_600_000_000, layer)
    record("NONE", 0)
    table = record.table()
    assert table[-1].split()[:2] == ["layer", "63"]
    assert len({len(line) for line in table}) == 1


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10**6), st.integers(0, 63), st.integers(0, 64))))
def test_no_time_is_lost_or_counted_twice(marks: list[tuple[int, int, int, int]]) -> None:
    struct: Any = ffi.new("shrew_times *")
    now = total = layers = 0
    for phase, took, layer, tokens in marks:
        lib.shrew_times_mark(struct, now, phase, layer, tokens)
        now += took
        total += took if phase else 0
        layers += took if lib.SHREW_PHASE_QKV <= phase <= lib.SHREW_PHASE_DOWN else 0
    lib.shrew_times_mark(struct, now, lib.SHREW_PHASE_NONE, 0, 0)
    assert sum(sum(struct.by_phase[kind]) for kind in range(lib.SHREW_TIMES_KINDS)) == total
    assert sum(sum(struct.by_layer[kind]) for kind in range(lib.SHREW_TIMES_KINDS)) == layers
