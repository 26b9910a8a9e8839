"""Each harness runs for a few seconds without a finding, and past findings stay fixed.

``make fuzz MINUTES=10`` runs them for longer.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz.run import HARNESSES, build, fuzz, fuzzing_compiler, past_findings, replay

from shrew.engine import Model

SECONDS = 10


@pytest.fixture(scope="module")
def harnesses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if fuzzing_compiler() is None:
        pytest.skip("no clang here links libFuzzer and AddressSanitizer")
    folder = tmp_path_factory.mktemp("fuzz")
    build(folder)
    return folder


@pytest.mark.parametrize("harness", HARNESSES)
def test_no_finding(harness: str, harnesses: Path) -> None:
    outcome = fuzz(harness, SECONDS, harnesses)
    assert outcome.status == 0, outcome.output[-4000:]
    assert outcome.reached > outcome.executions // 50, "too few inputs get past the checks"


@pytest.mark.parametrize("harness", [harness for harness in HARNESSES if past_findings(harness)])
def test_past_findings_stay_fixed(harness: str, harnesses: Path) -> None:
    outcome = replay(harness, harnesses)
    assert outcome.status == 0, outcome.output[-4000:]


def test_every_image_to_start_from_opens(harnesses: Path) -> None:
    for seed in sorted((harnesses / "seeds/image").iterdir()):
        model = Model.open(seed)
        assert model.config_fields()["context"] == 1 or model.selftest()
