"""What a memory takes, and the largest that fits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrew.errors import ConfigError
from shrew.memory import Memory, MemoryOptions, fit_memory, memory_bytes
from shrew.memory.options import TABLES

ANSWERS = [(3,), (4, 5), (6, 7, 8)]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("keys", [3, 4])
def test_bytes_are_those_of_the_section(bits: int, keys: int) -> None:
    memory = Memory(
        table=np.zeros((32, 48), np.int8),
        bits=bits,
        keys=np.zeros((keys, 48), np.int8),
        key_scale=1 / 127,
        answer_of=np.zeros(keys, np.int32),
        answers=tuple(ANSWERS),
        accept=0.5,
        refuse=0.5,
    )
    assert memory_bytes(MemoryOptions(buckets=32, dim=48, bits=bits), keys, ANSWERS) == len(memory.section)


@given(st.integers(4500, 2_000_000))
def test_the_largest_table_that_fits_is_taken(budget: int) -> None:
    fitting = fit_memory(budget, ANSWERS, MemoryOptions(seed=7))
    assert memory_bytes(fitting, 5, ANSWERS) <= budget
    assert fitting.seed == 7
    larger = TABLES[: TABLES.index((fitting.buckets, fitting.dim))]
    assert all(memory_bytes(MemoryOptions(buckets=b, dim=d), 5, ANSWERS) > budget for b, d in larger)


def test_too_small_a_budget_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^memory: 1,000 bytes are too few for 3 answers, which take [\d,]+ bytes"):
        fit_memory(1000, ANSWERS)


def test_room_is_left_for_keys_that_come_later() -> None:
    budget = memory_bytes(MemoryOptions(), 5, ANSWERS)
    assert fit_memory(budget, ANSWERS).buckets == 4096
    assert fit_memory(budget, ANSWERS, added=1).buckets == 2048


def test_tables_are_in_order_and_allowed() -> None:
    sizes = [memory_bytes(MemoryOptions(buckets=b, dim=d), 0, []) for b, d in TABLES]
    assert sizes == sorted(set(sizes), reverse=True)
