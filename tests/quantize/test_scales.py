"""Scales that learning begins with, as the engine's writer chooses them: those of the search in NumPy before it."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from quantize.golden_scales import FILE, cases

from shrew.engine.binding import ffi, lib
from shrew.engine.tensor import TYPES, fit_scales

GOLDEN = json.loads(FILE.read_text())
CASES = cases()


@pytest.mark.parametrize("name", CASES)
def test_scales_are_those_of_numpy(name: str) -> None:
    assert hashlib.sha256(CASES[name]()).hexdigest() == GOLDEN[name]


def test_every_golden_scale_has_a_case() -> None:
    assert GOLDEN.keys() == CASES.keys()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e-45])
@pytest.mark.parametrize("kind", ["q8", "q4", "ternary"])
def test_odd_values_leave_other_groups_alone(kind: str, value: float) -> None:
    matrix, importance = np.linspace(-1, 1, 40, dtype=np.float32)[None], np.ones(40, np.float32)
    expected = fit_scales(matrix, kind, 16, importance)
    matrix[0, 20] = value
    assert fit_scales(matrix, kind, 16, importance)[0, [0, 2]].tolist() == expected[0, [0, 2]].tolist()


def test_arguments_are_checked() -> None:
    def status(kind: int = TYPES.index("q4"), rows: int = 1, cols: int = 16, group: int = 16, null: int = -1) -> int:
        arrays = [floats, floats, scales]
        matrix, importance, out = [ffi.NULL if i == null else array for i, array in enumerate(arrays)]
        return int(lib.shrew_fit_scales(kind, matrix, rows, cols, group, importance, out))

    floats, scales = ffi.new("float[]", 32), ffi.new("float[]", [7.0] * 3)
    assert {status(null=i) for i in range(3)} == {lib.SHREW_E_ARGUMENT}
    for wrong in ({"kind": 0}, {"kind": 4}, {"rows": 0}, {"cols": 0}, {"cols": 16385}, {"group": 8}, {"group": 272}):
        assert status(**wrong) == lib.SHREW_E_ARGUMENT
    assert list(scales) == [7.0] * 3
    assert status(cols=32) == lib.SHREW_OK
    assert scales[0] != 7.0 != scales[1]
    assert scales[2] == 7.0
