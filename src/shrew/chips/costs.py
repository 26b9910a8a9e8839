"""The cost of the work in work.py on a processor: instructions per unit of work, fitted to counts under QEMU.

``tools/fit_costs.py`` writes costs.json, and measures how well it predicts models that it was not fitted to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Final

import msgspec

FILE: Final = Path(__file__).with_name("costs.json")


class Costs(msgspec.Struct, frozen=True):
    """The costs of one implementation, such as plain C on RV32IMC."""

    instructions: dict[str, float]
    """Instructions per unit of work."""
    vector_cycles: dict[str, float] = {}
    """Cycles per unit of work on a vector unit, whose instructions are not counted above."""
    error: dict[str, float] = {}
    """Relative errors of predictions for models that were not fitted to: mean and largest."""


@cache
def known() -> Mapping[str, Costs]:
    """All costs by name: those of the emulated targets, and of the ESP32-S3's vector unit."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Costs])


def total(units: Iterable[Counter[str]]) -> Counter[str]:
    """The sum of the units of work of several steps."""
    return sum(units, Counter())


def price(units: Mapping[str, float], of: Mapping[str, float]) -> float:
    """The cost of some work. Units without a price cost nothing."""
    return sum(times * of.get(unit, 0.0) for unit, times in units.items())
