from __future__ import annotations

import re

import pytest

from shrew.errors import ConfigError
from shrew.model import presets
from shrew.model.parameters import init_parameters
from shrew.model.presets import PRESETS, preset
from shrew.train.config import TrainConfig


def test_the_two_that_are_known_by_their_size():
    assert preset("microgpt").model.parameters == 4192
    assert preset("stories260k").model.parameters == 260032


@pytest.mark.parametrize("name", PRESETS)
def test_parameters_are_as_documented(name):
    documented = re.search(rf"`{name}` +([\d,]+) ", presets.__doc__)
    assert int(documented[1].replace(",", "")) == preset(name).model.parameters
    assert init_parameters(preset(name).model, 0).flat.size == preset(name).model.parameters


@pytest.mark.parametrize("name", PRESETS)
def test_training_options_are_valid(name):
    TrainConfig(**preset(name).train)


def test_model_for_another_vocabulary():
    assert preset("desk").model_for(501).vocab == 501


def test_unknown_preset():
    with pytest.raises(ConfigError, match="no preset 'dask'; there are microgpt, nano, desk"):
        preset("dask")
