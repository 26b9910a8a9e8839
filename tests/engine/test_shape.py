"""The engine says which tensors a configuration implies, as the table of docs/FORMAT.md does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shrew.engine.binding import ffi, lib
from shrew.engine.shape import config_fields, engine_config, shape_of
from shrew.errors import ConfigError
from shrew.model.config import ModelConfig, TensorSpec, stored_tensors, tensor_specs

BASE: dict[str, Any] = {"dim": 24, "layers": 2, "heads": 2, "kv_heads": 1, "vocab": 300, "context": 48, "ffn": 40}

#: Role, name and shape, a number or a field of the configuration, with what a tensor needs.
OUTSIDE_BEFORE = (
    (0, "token_embedding.weight", ("vocab", "dim"), ""),
    (1, "position_embedding.weight", ("context", "dim"), "learned"),
    (2, "rope_frequency", (1, "half head"), "rope"),
    (3, "embed_norm.weight", (1, "dim"), "embed_norm gain"),
    (4, "embed_norm.bias", (1, "dim"), "embed_norm shift"),
)
LAYER = (
    (5, "attention_norm.weight", (1, "dim"), "gain"),
    (6, "attention_norm.bias", (1, "dim"), "shift"),
    (7, "query.weight", ("query", "dim"), ""),
    (8, "key.weight", ("kv", "dim"), ""),
    (9, "value.weight", ("kv", "dim"), ""),
    (10, "query.bias", (1, "query"), "bias_qkv"),
    (11, "key.bias", (1, "kv"), "bias_qkv"),
    (12, "value.bias", (1, "kv"), "bias_qkv"),
    (13, "out.weight", ("dim", "query"), ""),
    (14, "out.bias", (1, "dim"), "bias_out"),
    (15, "mlp_norm.weight", (1, "dim"), "gain"),
    (16, "mlp_norm.bias", (1, "dim"), "shift"),
    (17, "gate.weight", ("ffn", "dim"), "swiglu"),
    (18, "up.weight", ("ffn", "dim"), ""),
    (19, "gate.bias", (1, "ffn"), "bias_mlp swiglu"),
    (20, "up.bias", (1, "ffn"), "bias_mlp"),
    (21, "down.weight", ("dim", "ffn"), ""),
    (22, "down.bias", (1, "dim"), "bias_mlp"),
)
OUTSIDE_AFTER = (
    (23, "final_norm.weight", (1, "dim"), "final_norm gain"),
    (24, "final_norm.bias", (1, "dim"), "final_norm shift"),
    (25, "head.weight", ("vocab", "dim"), "untied"),
)


def specification(c: ModelConfig) -> list[TensorSpec]:
    numbers = {name: getattr(c, name) for name in ("dim", "ffn", "vocab", "context")}
    numbers |= {"half head": c.head_dim // 2, "query": c.heads * c.head_dim, "kv": c.kv_heads * c.head_dim, 1: 1}
    has = {"": True, c.position: True, c.mlp: True, "gain": c.norm != "rms-plain", "shift": c.norm == "layer"}
    has |= {name: getattr(c, name) for name in ("bias_qkv", "bias_out", "bias_mlp", "embed_norm", "final_norm")}
    has["untied"] = not c.tied_head
    found = []
    parts = [("", 0, OUTSIDE_BEFORE), *((f"layers.{i}.", i, LAYER) for i in range(c.layers)), ("", 0, OUTSIDE_AFTER)]
    for prefix, layer, table in parts:
        for role, name, shape, needs in table:
            if all(has.get(need, False) for need in needs.split()):
                rows, cols = (numbers[length] for length in shape)
                found.append(TensorSpec(prefix + name, role, layer, rows, cols, shape[0] == 1))
    return found


@st.composite
def configs(draw: st.DrawFn) -> ModelConfig:
    kv_heads, switch = draw(st.integers(1, 4)), st.booleans()
    switches = ("bias_qkv", "bias_out", "bias_mlp", "tied_head", "embed_norm", "final_norm")
    return ModelConfig(
        dim=draw(st.integers(1, 4096)),
        layers=draw(st.sampled_from([1, 2, 9, 10, 11, 64])),
        heads=kv_heads * draw(st.integers(1, 4)),
        kv_heads=kv_heads,
        head_dim=2 * draw(st.integers(1, 128)),
        vocab=draw(st.integers(1, 65535)),
        context=draw(st.integers(1, 32768)),
        ffn=draw(st.integers(1, 16384)),
        norm=draw(st.sampled_from(["rms", "rms-plain", "layer"])),
        position=draw(st.sampled_from(["rope", "learned"])),
        mlp=draw(st.sampled_from(["swiglu", "gelu", "relu"])),
        **{name: draw(switch) for name in switches},
    )


@given(configs())
def test_the_tensors_are_those_of_the_specification(config: ModelConfig) -> None:
    assert list(shape_of(config)) == stored_tensors(config) == specification(config)
    assert tensor_specs(config) == [spec for spec in specification(config) if spec.name != "rope_frequency"]


@given(configs())
def test_a_configuration_survives_the_way_into_the_engine_and_back(config: ModelConfig) -> None:
    fields = config_fields(engine_config(config))
    assert ModelConfig(**{**fields, "norm_eps": config.norm_eps}) == config
    assert fields["norm_eps"] == pytest.approx(config.norm_eps)


def test_an_enum_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="norm"):
        tensor_specs(ModelConfig(**BASE, norm="batch"))


@pytest.mark.parametrize("field", ["dim", "layers", "heads", "kv_heads", "head_dim", "ffn", "vocab", "context", "norm"])
def test_the_engine_checks_a_configuration_before_it_answers(field: str) -> None:
    config = engine_config(ModelConfig(**BASE))
    setattr(config, field, 0xFFFFFFFF)
    count, shape = ffi.new("uint32_t *"), ffi.new("shrew_shape *")
    assert lib.shrew_shape_tensors(config, count) == lib.SHREW_E_CONFIG
    assert lib.shrew_shape_tensor(config, 0, shape) == lib.SHREW_E_CONFIG


def test_arguments_are_checked() -> None:
    config, shape, count = engine_config(ModelConfig(**BASE)), ffi.new("shrew_shape *"), ffi.new("uint32_t *")
    assert lib.shrew_shape_tensors(config, count) == lib.SHREW_OK
    assert lib.shrew_shape_tensor(config, count[0] - 1, shape) == lib.SHREW_OK
    for past in (count[0], 0xFFFFFFFF):
        assert lib.shrew_shape_tensor(config, past, shape) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_shape_tensor(ffi.NULL, 0, shape) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_shape_tensor(config, 0, ffi.NULL) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_shape_tensors(ffi.NULL, count) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_shape_tensors(config, ffi.NULL) == lib.SHREW_E_ARGUMENT


def test_names_fit_their_room_and_belong_to_a_tensor() -> None:
    room = ffi.new("char[]", lib.SHREW_TENSOR_NAME_BYTES)
    assert lib.shrew_tensor_name(lib.SHREW_ATTENTION_NORM_WEIGHT, 63, room, len(room)) == lib.SHREW_OK
    assert ffi.string(room) == b"layers.63.attention_norm.weight"
    assert lib.shrew_tensor_name(lib.SHREW_QUERY, 0, room, len(room) - 1) == lib.SHREW_E_BUFFER
    assert lib.shrew_tensor_name(lib.SHREW_QUERY, 0, ffi.NULL, len(room)) == lib.SHREW_E_ARGUMENT
    for role, layer in ((lib.SHREW_ROLES, 0), (lib.SHREW_HEAD, 1), (lib.SHREW_QUERY, 64)):
        assert lib.shrew_tensor_name(role, layer, room, len(room)) == lib.SHREW_E_ARGUMENT
