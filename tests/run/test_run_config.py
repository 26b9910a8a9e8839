from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from train.toy_rows import MODEL

from shrew.errors import ConfigError
from shrew.run import RunConfig, TrainConfig, read_run_config


def test_round_trip():
    config = RunConfig(
        model=MODEL,
        train=TrainConfig(minutes=2.5, optimizer="muon", learning_rate=1e-05),
        data={"files": ['a "b"\\c\nü', "d"], "documents": 3, "share": 0.5, "shuffled": True, "odd key.": "x"},
    )
    assert RunConfig.from_toml(config.to_toml(), "config.toml") == config


texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = texts | st.integers(-(2**62), 2**62) | st.booleans()


@given(st.dictionaries(texts, scalars | st.floats(allow_nan=False) | st.lists(texts)))
def test_any_data_table_survives(data):
    config = RunConfig(model=MODEL, train=TrainConfig(steps=1), data=data)
    read = RunConfig.from_toml(config.to_toml(), "config.toml").data
    assert read == data
    assert {key: type(value) for key, value in read.items()} == {key: type(value) for key, value in data.items()}


GOOD = RunConfig(model=MODEL, train=TrainConfig(steps=10)).to_toml()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("steps = 10", "stepz = 10", "config.toml: train.stepz: unknown key"),
        ("steps = 10", 'steps = "ten"', "config.toml: train.steps: expected int, got str"),
        ("steps = 10", "steps = 1.5", "config.toml: train.steps: expected int, got float"),
        ("steps = 10", "steps = 0", "config.toml: train: set steps or minutes"),
        ("batch = 32", "batch = 0", "config.toml: train: batch is 0, must be at least 1"),
        ("learning_rate = 0.003", "learning_rate = inf", "config.toml: train: learning_rate is inf, must be finite"),
        ("learning_rate = 0.003", "learning_rate = nan", "config.toml: train: learning_rate is nan, must be above 0"),
        ('optimizer = "adamw"', 'optimizer = "sgd"', "config.toml: train.optimizer: invalid enum value 'sgd'"),
        ('norm = "rms"', 'norm = "batch"', "config.toml: model.norm: invalid enum value 'batch'"),
        ("dim = 16\n", "", "config.toml: model: object missing required field dim"),
        ("heads = 4", "heads = 3", "config.toml: model: heads 3 is not a multiple of kv_heads 2"),
        ("[data]", "[dada]", "config.toml: unknown table [dada]; there are [model], [train] and [data]"),
        ("[train]", "[train", "config.toml: not TOML: "),
        ("[data]", "[data]\nx = {}", "config.toml: data[...]: expected bool | int | float | str | array, got object"),
        ("[data]", "[data]\nx = [1]", "config.toml: data[...][0]: expected str, got int"),
    ],
)
def test_errors_name_file_and_key_in_one_line(old, new, message):
    assert old in GOOD
    with pytest.raises(ConfigError) as raised:
        RunConfig.from_toml(GOOD.replace(old, new), "config.toml")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_missing_table():
    with pytest.raises(ConfigError, match=r"table \[model\] is missing"):
        RunConfig.from_toml("[train]\nsteps = 1\n", "config.toml")


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read: No such file"):
        read_run_config(tmp_path / "none.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.toml: cannot read: not UTF-8"):
        read_run_config(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("options", "step", "seconds", "share"),
    [
        ({"steps": 10}, 5, 1e9, 0.5),
        ({"minutes": 2}, 10**9, 30, 0.25),
        ({"steps": 10, "minutes": 1}, 1, 30, 0.5),  # the first to be reached counts
        ({"steps": 10, "minutes": 1}, 9, 30, 0.9),
        ({"steps": 10}, 11, 0, 1.0),
    ],
)
def test_share(options, step, seconds, share):
    assert TrainConfig(**options).share(step, seconds) == share
