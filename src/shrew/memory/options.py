"""What a memory is made of, and what that comes to in bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from shrew.corpus.variants import Variation
from shrew.errors import ConfigError

MOST_BUCKETS: Final = 1 << 20
MOST_DIM: Final = 256
MOST_ANSWERS: Final = 0xFFFF

#: Keys for commands that must not be done (:mod:`shrew.memory.contrasts`): negated ones, and those with another number.
KINDS: Final = 2

#: Steps of a training, by default: as many as a small corpus needs, and more for more questions.
LEAST_STEPS, MOST_STEPS, QUESTIONS_PER_STEP = 500, 4000, 3


@dataclass(frozen=True)
class MemoryOptions:
    """How a memory is learnt. ConfigError where a value cannot work.

    A table of 4096 x 64 items of 4 bits takes 131 KB, one of 2048 x 64 half of that; a key takes ``dim`` bytes.
    """

    buckets: int = 4096
    """Rows of the table, a power of two from 16 to 2^20."""
    dim: int = 64
    """Columns of table and keys, a multiple of 16 up to 256."""
    bits: int = 4
    """Of an item of the table: 4 or 8."""
    seed: int = 0
    steps: int | None = None
    """None: by the number of questions (:meth:`steps_for`)."""
    batch: int = 128
    """Questions in a step."""
    variation: Variation = field(default_factory=Variation)
    forget: float = 0.2
    """Share of a question's features that a step leaves out, so that none alone decides."""
    others: float = 0.15
    """Share of a batch that is foreign questions."""
    contrasts: float = 0.05
    """Share of a batch that is commands turned into what the device cannot do (:mod:`shrew.memory.contrasts`)."""
    rate: float = 1e-2
    """Learning rate of the table."""
    key_rate: float = 3e-3
    """Learning rate of the keys."""
    sharpness: float = 16.0
    """What cosines are multiplied by in the softmax."""
    apart: float = 0.5
    """The cosine that a refusal counts as: right keys should be nearer than this, all others less near."""
    most_lost: float = 0.02
    """Share of right answers that may be refused to keep others out. More keeps out many more."""

    def __post_init__(self) -> None:
        _check(self.buckets & (self.buckets - 1) == 0, "buckets", self.buckets, "a power of two")
        _check(16 <= self.buckets <= MOST_BUCKETS, "buckets", self.buckets, f"from 16 to {MOST_BUCKETS}")
        _check(self.dim % 16 == 0 and 16 <= self.dim <= MOST_DIM, "dim", self.dim, f"a multiple of 16 up to {MOST_DIM}")
        _check(self.bits in (4, 8), "bits", self.bits, "4 or 8")
        _check(self.seed >= 0, "seed", self.seed, "0 or more")
        _check(self.steps is None or 1 <= self.steps <= 1_000_000, "steps", self.steps, "from 1 to 1000000")
        _check(1 <= self.batch <= 65536, "batch", self.batch, "from 1 to 65536")
        _check(0.0 <= self.forget < 1.0, "forget", self.forget, "at least 0 and below 1")
        for name in ("others", "contrasts"):
            _check(0.0 <= getattr(self, name) <= 0.5, name, getattr(self, name), "from 0 to 0.5")
        for name in ("rate", "key_rate"):
            _check(0.0 < getattr(self, name) <= 1.0, name, getattr(self, name), "above 0 and at most 1")
        _check(0.0 < self.sharpness <= 1000.0, "sharpness", self.sharpness, "above 0 and at most 1000")
        _check(0.0 <= self.most_lost < 1.0, "most_lost", self.most_lost, "at least 0 and below 1")
        _check(0.0 <= self.apart < 1.0, "apart", self.apart, "at least 0 and below 1")

    def steps_for(self, questions: int) -> int:
        """How many steps to train on so many distinct questions."""
        return self.steps or min(max(LEAST_STEPS, questions // QUESTIONS_PER_STEP), MOST_STEPS)


def _check(right: bool, name: str, value: object, wanted: str) -> None:
    if not right:
        raise ConfigError(f"{name}: {value} must be {wanted}")


def memory_bytes(options: MemoryOptions, keys: int, answers: Sequence[Sequence[int]]) -> int:
    """Size of the section with so many keys and answers of these token ids."""
    ids = sum(map(len, answers))
    table = options.buckets * options.dim * options.bits // 8
    return 48 + table + keys * options.dim + _padded(2 * keys) + 4 * len(answers) + _padded(2 * ids)


def _padded(count: int) -> int:
    return count + -count % 4


DEFAULTS: Final = MemoryOptions()

#: Tables (buckets, columns) that are worth their size, the largest first.
TABLES: Final = (
    (16384, 64),
    (8192, 64),
    (4096, 64),
    (2048, 64),
    (2048, 48),
    (1024, 48),
    (1024, 32),
    (512, 32),
    (256, 32),
)


def fit_memory(
    budget: int, answers: Sequence[Sequence[int]], options: MemoryOptions = DEFAULTS, *, added: int = 0
) -> MemoryOptions:
    """``options`` with the largest table whose section takes at most ``budget`` bytes. ConfigError where none fits.

    ``answers`` are token ids, each with one key; ``added`` are keys to leave room for that are put in later.
    """
    keys = len(answers) + KINDS + added
    for buckets, dim in TABLES:
        smaller = replace(options, buckets=buckets, dim=dim)
        needed = memory_bytes(smaller, keys, answers)
        if needed <= budget:
            return smaller
    raise ConfigError(f"memory: {budget:,} bytes are too few for {len(answers):,} answers, which take {needed:,} bytes")
