"""The build options of shrew.h: a small build refuses what it lacks, and computes everything else unchanged."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from engine.models import BYTES, random_parameters, tiny_config
from engine.test_build import RUNTIME
from engine.test_build import build as build_engine

from shrew.engine import TYPES as NAMES
from shrew.engine import Model
from shrew.engine.binding import ffi, lib
from shrew.image import Commands, WeightType, build_image
from shrew.ports.target import SMALL
from shrew.tokenizer import PromptForm

SOURCES = [*RUNTIME, Path(__file__).with_name("build_options.c")]
OPTIONS = [flag.removeprefix("-D") for flag in SMALL.flags if flag.startswith("-DSHREW_")]
#: Every weight type, and the option that leaves it out.
TYPES = {name: option if (option := f"SHREW_NO_{name.upper()}") in OPTIONS else None for name in (*NAMES, "q8:16")}

Library = Callable[[Sequence[str]], ctypes.CDLL]


class Request(ctypes.Structure):
    """As in build_options.c."""

    _fields_ = [
        *((name, ctypes.c_uint32) for name in ("cache", "draft", "marks", "top_k")),
        *((name, ctypes.c_float) for name in ("temperature", "top_p", "min_p", "repetition_penalty")),
    ]


PLAIN = {"temperature": 0.7, "top_p": 0.9, "repetition_penalty": 1.0}
IDS = np.array([66, 1, 200, 7], dtype=np.uint16)


def compiler() -> str:
    found = next((name for name in ("gcc", "clang") if shutil.which(name)), None)
    if found is None:
        pytest.skip("neither gcc nor clang is installed")
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Builds the engine with some options, each choice of them once."""

    @cache
    def build(options: tuple[str, ...]) -> ctypes.CDLL:
        output = tmp_path_factory.mktemp("engine") / "engine.so"
        flags = ["-O0", "-fPIC", *(f"-D{option}" for option in options)]
        build_engine(compiler(), output, *flags, sources=SOURCES, link=["-shared"])
        return ctypes.CDLL(str(output))

    return lambda options: build(tuple(options))


def image(types: str) -> bytes:
    config = tiny_config()
    name, _, group = types.partition(":")
    return build_image(config, random_parameters(config), BYTES, types=WeightType(name, int(group or -1)))


def run(engine: ctypes.CDLL, data: bytes, **request: float) -> tuple[int, int, np.ndarray]:
    """Feeds IDS and samples: the status, the id, the logits."""
    logits = np.zeros(BYTES.vocab, np.float32)
    chosen = ctypes.c_uint32()
    status = engine.feed_and_sample(
        data,
        ctypes.c_size_t(len(data)),
        IDS.ctypes.data_as(ctypes.c_void_p),
        ctypes.c_size_t(len(IDS)),
        ctypes.byref(Request(**{**PLAIN, **request})),
        logits.ctypes.data_as(ctypes.c_void_p),
        ctypes.byref(chosen),
    )
    return status, chosen.value, logits


@pytest.mark.parametrize("option", ["", *OPTIONS, "all"])
def test_a_build_refuses_what_it_leaves_out_and_nothing_else(library: Library, option: str) -> None:
    options = OPTIONS if option == "all" else [option] if option else []
    engine = library(options)
    for types, without in TYPES.items():
        data = image(types)
        status, _, logits = run(engine, data)
        assert status == (lib.SHREW_E_TYPE if without in options else lib.SHREW_OK), types
        if not status:
            expected = Model.from_bytes(data).session().feed_all(IDS)[-1]
            assert np.array_equal(logits.view(np.uint32), expected.view(np.uint32)), types
    requests = {
        "SHREW_NO_F32": {"cache": lib.SHREW_CACHE_F32},
        "SHREW_NO_DRAFT": {"draft": 3},
        "SHREW_NO_MARKS": {"marks": 1},
        "SHREW_GREEDY_TOP_P": {"top_k": 5},
    }
    for without, request in requests.items():
        expected = lib.SHREW_E_ARGUMENT if without in options else lib.SHREW_OK
        assert run(engine, image("q8"), **request)[0] == expected, without
    for request in ({"min_p": 0.1}, {"repetition_penalty": 1.2}):
        expected = lib.SHREW_E_ARGUMENT if "SHREW_GREEDY_TOP_P" in options else lib.SHREW_OK
        assert run(engine, image("q8"), **request)[0] == expected, request


@pytest.mark.parametrize("kind", range(lib.SHREW_TYPES))
def test_a_build_describes_the_types_that_it_has(library: Library, kind: int) -> None:
    told = ctypes.create_string_buffer(ffi.sizeof("shrew_type_description"))
    for options in ([], OPTIONS):
        expected = lib.SHREW_E_TYPE if options and kind != lib.SHREW_Q8 else lib.SHREW_OK
        assert library(options).shrew_describe_type(kind, told) == expected
    assert library([]).shrew_describe_type(lib.SHREW_TYPES, told) == lib.SHREW_E_ARGUMENT


def test_a_build_without_commands_refuses_a_grammar(library: Library) -> None:
    config = tiny_config()
    data = build_image(
        config, random_parameters(config), BYTES, types=WeightType("q8"), commands=Commands.of(["led on"])
    )
    assert run(library([]), data)[0] == lib.SHREW_OK
    assert run(library(["SHREW_NO_COMMANDS"]), data)[0] == lib.SHREW_E_UNKNOWN


def test_a_build_without_forms_of_prompts_refuses_one(library: Library) -> None:
    config, tokenizer = tiny_config(), replace(BYTES, prompt_form=PromptForm())
    data = build_image(config, random_parameters(config), tokenizer, types=WeightType("q8"))
    assert run(library([]), data)[0] == lib.SHREW_OK
    assert run(library(["SHREW_NO_PROMPTS"]), data)[0] == lib.SHREW_E_UNKNOWN


@pytest.mark.parametrize("request_", [{"temperature": 0.0}, {"top_p": 1.0}, {"top_p": 0.5}], ids=str)
def test_what_a_small_sampler_has_left_chooses_alike(library: Library, request_: dict[str, float]) -> None:
    data = image("q8")
    small = run(library(OPTIONS), data, **request_)
    assert small[0] == lib.SHREW_OK
    assert small[1] == run(library([]), data, **request_)[1]
