"""Matrices of many shapes, and hashes of their scales as NumPy found them before the engine's writer did.

``golden_scales.json`` was made at commit b543f3d, by ``PYTHONPATH=tests python -m quantize.golden_scales``.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from image.golden_images import numbers

from shrew.image import WeightType
from shrew.quantize.rounding import Rounding

FILE = Path(__file__).with_suffix(".json")
RANDOM = 240

#: Factors of whole matrices: common ones, some whose squares vanish, and one whose squares overflow.
FACTORS = (1.0, 0.02, 300.0, 1e-7, 1e-11, 1e-13, 1e-25, 1e17, 3e20)


def random_scales(seed: int) -> bytes:
    r = random.Random(seed)
    weight = WeightType(r.choice(("q8", "q4", "ternary")), r.choice([0, 0, 16, 32, 48, 128, 240, 256]))
    rows = r.choice([1, 2, 7, 40])
    cols = r.choice(
        [1, 7, 8, 9, 16, 31, 100, 128, 129, 136, 137, 256, 257, 512, 1000, r.randint(1, 700), 16384 // rows]
    )
    matrix = numbers(r, rows, cols) * np.float32(r.choice(FACTORS) if r.random() < 0.4 else 1)
    if r.random() < 0.3:  # groups without any value, and values that stand out
        matrix[numbers(r, rows, cols) < r.choice([-0.4, 0.3, 0.49])] = 0
        matrix[:, :: r.randint(1, cols)] *= np.float32(r.choice([-8, 0, 1, 50]))
    importance = None
    if r.random() < 0.6:
        importance = 2 * numbers(r, cols)
        for _ in range(3):
            importance = importance * importance  # to the eighth power, which every processor computes alike
    return Rounding(weight, matrix, importance).scales.tobytes()


def cases() -> dict[str, Callable[[], bytes]]:
    return {f"random {seed}": partial(random_scales, seed) for seed in range(RANDOM)}


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        hashes = {name: hashlib.sha256(make()).hexdigest() for name, make in cases().items()}
    FILE.write_text(json.dumps(hashes, indent=1) + "\n")
