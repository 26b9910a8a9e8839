"""Predicts the time per token on a chip: cycles of computing, plus waiting for slow memories.

These cores stall on a cache miss, and their caches do not prefetch, so for one core the two add up. If two cores share
a step, one computes while the other waits, until the memory is saturated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from shrew.chips.costs import known, price
from shrew.chips.facts import FIRMWARE, Chip, Memory
from shrew.chips.layout import Layout
from shrew.chips.placement import FLASH, PSRAM
from shrew.chips.work import BLOCK, Step, decode_steps, prompt_steps, steps

#: Number of positions at which time is computed; it grows almost linearly with the position.
SAMPLES: Final = 8

COMPUTING: Final = "computing"


@dataclass
class Time:
    """Seconds per token, and their parts."""

    seconds: float = 0.0
    by_step: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds by step: embedding, qkv, attention, out, mlp, head."""
    by_cause: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds of a single core by cause: computing, or waiting for psram or flash."""

    @property
    def per_second(self) -> float:
        return 1 / self.seconds


@dataclass(frozen=True)
class Machine:
    """A chip with its memories and a model in them."""

    chip: Chip
    flash: Memory
    psram: Memory | None
    placement: Mapping[str, str]
    session: str
    """The memory of the session."""
    cores: int

    def time(self, done: Iterable[Step], tokens: float) -> Time:
        """The time of some steps, divided by the number of tokens that they process."""
        time = Time()
        for step in done:
            computing, waiting = self._computing(step), self._waiting(step)
            seconds = self._together(step, computing, sum(waiting.values())) / tokens
            time.seconds += seconds
            time.by_step[step.name] += seconds
            for cause, part in {COMPUTING: computing, **waiting}.items():
                time.by_cause[cause] += part / tokens
        return time

    def _computing(self, step: Step) -> float:
        costs = known()[self.chip.costs]
        cycles = price(step.units, costs.instructions) * self.chip.cycles_per_instruction.value
        return (cycles + price(step.units, costs.vector_cycles)) / self.chip.hertz

    def _waiting(self, step: Step) -> dict[str, float]:
        memories = {FLASH: self.flash, PSRAM: self.psram}
        waiting: dict[str, float] = {}
        reads = [(self.placement[name], count) for name, count in step.reads.items()]
        if step.cached:
            reads.append((self.session, step.cached))
        for place, count in reads:
            memory = memories.get(place)
            if memory is not None:
                seconds = count / memory.bandwidth.value + memory.latency.value
                waiting[place] = waiting.get(place, 0.0) + seconds
        return waiting

    def _together(self, step: Step, computing: float, waiting: float) -> float:
        cores = min(self.cores, step.shared // FIRMWARE.grain)
        if cores < 2:
            return computing + waiting
        longest = -(-step.parts // cores) / step.parts
        handing_over = FIRMWARE.synchronisation.value / self.chip.hertz
        return max(waiting, (computing + waiting) * longest) + handing_over


def decode_time(machine: Machine, layout: Layout, context: int) -> Time:
    """Time per token of an answer, the mean over all positions of the context."""
    times = [machine.time(decode_steps(layout, position), 1) for position in _spread(context)]
    return _sum(times, 1 / len(times))


def prompt_time(machine: Machine, layout: Layout, context: int) -> Time:
    """Time per token of a prompt that fills the context, read in blocks of the default size."""
    block = min(BLOCK, context)
    blocks = [machine.time(prompt_steps(layout, first * block, block), block) for first in _spread(context // block)]
    last = steps(layout, tokens=1, position=context - 1, scored=1, sampled=False, floats=layout.is_float)
    head = machine.time([step for step in last if step.name == "head"], context)
    return _sum([_sum(blocks, 1 / len(blocks)), head])


def _spread(count: int) -> list[int]:
    """A sample of the numbers below ``count`` that has the same mean as all of them."""
    samples = min(SAMPLES, count)
    return [round((2 * i + 1) * count / (2 * samples) - 0.5) for i in range(samples)]


def _sum(times: Iterable[Time], share: float = 1.0) -> Time:
    """The sum of times, multiplied by ``share``."""
    total = Time()
    for time in times:
        total.seconds += share * time.seconds
        for sums, parts in ((total.by_step, time.by_step), (total.by_cause, time.by_cause)):
            for name, seconds in parts.items():
                sums[name] += share * seconds
    return total
