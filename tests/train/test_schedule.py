from __future__ import annotations

import numpy as np
import pytest

from shrew.run import TrainConfig
from shrew.train.schedule import rate_factor


def factors(**options):
    config = TrainConfig(steps=1, **options)
    return np.array([rate_factor(config, share) for share in np.linspace(0, 1, 1001)])


@pytest.mark.parametrize("schedule", ["cosine", "wsd", "constant"])
@pytest.mark.parametrize("warmup", [0.0, 0.1])
def test_rises_to_the_peak_and_stays_positive(schedule, warmup):
    rate = factors(schedule=schedule, warmup=warmup, floor=0.05)
    peak = int(warmup * 1000)
    assert rate[peak] == pytest.approx(1)
    assert (np.diff(rate[: peak + 1]) > 0).all()
    assert (np.diff(rate[peak:]) <= 0).all()
    assert rate.min() > 0
    assert rate.max() <= 1


def test_cosine_ends_at_the_floor():
    rate = factors(schedule="cosine", warmup=0.0, floor=0.2)
    assert rate[-1] == pytest.approx(0.2)
    assert rate[500] == pytest.approx(0.6)


def test_wsd_is_flat_and_then_falls():
    rate = factors(schedule="wsd", warmup=0.1, decay=0.4, floor=0.1)
    assert (rate[100:600] == 1).all()
    assert rate[800] == pytest.approx(0.55)
    assert rate[-1] == pytest.approx(0.1)
    assert factors(schedule="wsd", decay=0.0)[-1] == 1


def test_constant():
    assert (factors(schedule="constant", warmup=0.0) == 1).all()
