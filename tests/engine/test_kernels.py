"""Every set of kernels that runs here gives the reference's bits, alone (kernels.c) and in a whole model."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, tiny_config
from engine.test_build import BARE, RUNTIME, build

from shrew.engine import Model, units
from shrew.image import WeightType, build_image

UNITS = {name: unit for name, unit in units().items() if name != "reference"}  # those that this processor runs


@pytest.fixture(scope="module", params=["gcc", "clang"])
def driver(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler: str = request.param
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    output = tmp_path_factory.mktemp("kernels") / compiler
    build(compiler, output, "-O2", *BARE, sources=[*RUNTIME, Path(__file__).with_name("kernels.c")], link=["-no-pie"])
    return output


@pytest.mark.parametrize("unit", UNITS)
def test_kernels_give_the_bits_of_the_reference(driver: Path, unit: str) -> None:
    """Products, attention and activations of every type on random and extreme input, at sizes around whole vectors."""
    done = subprocess.run([str(driver), str(UNITS[unit])], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout or f"killed by signal {-done.returncode}"


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("weights", ["f32", "q8", "q8:32", "q4", "q4:48", "ternary"])
def test_models_give_the_bits_of_the_reference(unit: str, weights: str) -> None:
    """Through the whole engine: a prompt in blocks and tokens one by one, heads wider than a vector among them."""
    name, _, group = weights.partition(":")
    types = WeightType(name, int(group)) if group else WeightType(name)
    for changes in ({"heads": 4, "kv_heads": 2}, {"head_dim": 72, "mlp": "gelu", "norm": "layer"}):
        config = tiny_config(dim=40, ffn=56, **changes)
        model = Model.from_bytes(build_image(config, random_parameters(config), BYTES, types=types))
        ids = np.random.default_rng(0).integers(0, config.vocab, 40).astype(np.uint16)
        expected = model.session(unit="reference").feed_all(ids)
        session = model.session(unit=unit, block=13)
        logits = np.concatenate(
            [session.feed_all(ids[:20]), *(session.feed_all(ids[i : i + 1]) for i in range(20, 40))]
        )
        assert np.array_equal(logits.view(np.uint32), expected.view(np.uint32))
