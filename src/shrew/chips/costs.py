"""What the work of work.py costs on a processor: instructions for each unit, fitted to counts under QEMU.

``tools/fit_costs.py`` makes costs.json and says how well it predicts models that it was not fitted to.
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
    """One way of computing, such as plain C on RV32IMC."""

    instructions: dict[str, float]
    """For each unit of work."""
    vector_cycles: dict[str, float] = {}
    """The same on a vector unit whose instructions are not among those above: cycles."""
    error: dict[str, float] = {}
    """How far predictions were from counts for models not fitted to: mean and largest, as fractions."""


@cache
def known() -> Mapping[str, Costs]:
    """By name: those of the emulated targets, and the ESP32-S3's vector unit."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, Costs])


def total(units: Iterable[Counter[str]]) -> Counter[str]:
    """All units of several steps."""
    return sum(units, Counter())


def price(units: Mapping[str, float], of: Mapping[str, float]) -> float:
    """What work costs; units without a price cost nothing."""
    return sum(times * of.get(unit, 0.0) for unit, times in units.items())
