"""Tensors that the caller has copied to other memory."""

from __future__ import annotations

import numpy as np
import pytest
from engine.models import random_image

from shrew.engine.binding import ffi, lib
from shrew.image import WeightType

IDS = np.array([5, 70, 71, 9], dtype=np.uint16)


def aligned(size: int, shift: int = 0) -> np.ndarray:
    buffer = np.zeros(size + 32, np.uint8)
    start = -buffer.ctypes.data % 16 + shift
    return buffer[start : start + size]


def logits(model) -> bytes | None:
    """The logits; None if they are NaN or infinite."""
    size = ffi.new("size_t *")
    assert lib.shrew_session_bytes(model, ffi.NULL, size) == 0
    memory = aligned(size[0])
    session, used = ffi.new("shrew_session **"), ffi.new("size_t *")
    assert lib.shrew_session_open(session, model, ffi.NULL, ffi.from_buffer(memory), size[0]) == 0
    status = lib.shrew_session_feed(session[0], ffi.from_buffer("uint16_t[]", IDS), len(IDS), used)
    assert status in (lib.SHREW_OK, lib.SHREW_E_NUMBER)
    if status:
        return None
    return bytes(ffi.buffer(lib.shrew_session_logits(session[0]), 4 * model.config.vocab))


@pytest.mark.parametrize("types", [WeightType("f32"), WeightType("q8"), WeightType("q4", 16), WeightType("ternary")])
def test_copies_are_read_instead_of_the_image(types: WeightType) -> None:
    content = random_image(types=types, position="rope", bias_qkv=True, tied_head=False)
    image = aligned(len(content))
    image[:] = np.frombuffer(content, np.uint8)
    model = ffi.new("shrew_model *")
    assert lib.shrew_model_open(model, ffi.from_buffer(image), len(content)) == 0
    expected = logits(model)
    assert expected
    places, copies = ffi.new("void *[]", model.tensors), []
    role, start, size = ffi.new("shrew_role *"), ffi.new("void **"), ffi.new("size_t *")
    stretches, roles = [], []
    for i in range(model.tensors):
        assert lib.shrew_model_tensor_bytes(model, i, role, start, size) == 0
        original = ffi.buffer(start[0], size[0])
        copies.append(aligned(size[0]))
        copies[-1][:] = np.frombuffer(original, np.uint8)
        places[i] = ffi.cast("void *", copies[-1].ctypes.data)
        stretches.append((int(ffi.cast("uintptr_t", start[0])), size[0]))
        roles.append(int(role[0]))
    ends = [start + size for start, size in stretches]
    assert all(0 <= start - end < 64 for (start, _), end in zip(stretches[1:], ends, strict=False)), "no byte is missed"
    assert {lib.SHREW_TOKEN_EMBEDDING, lib.SHREW_ROPE_FREQUENCY, lib.SHREW_QUERY_BIAS, lib.SHREW_HEAD} <= set(roles)
    assert lib.shrew_model_place(model, places) == 0
    for start, size in stretches:
        ffi.buffer(ffi.cast("char *", start), size)[:] = b"\x55" * size  # nobody reads what lies there now
    assert logits(model) == expected
    assert lib.shrew_model_place(model, ffi.NULL) == 0
    assert logits(model) != expected


def test_wrong_calls_are_refused() -> None:
    content = random_image()
    image = aligned(len(content))
    image[:] = np.frombuffer(content, np.uint8)
    model = ffi.new("shrew_model *")
    assert lib.shrew_model_open(model, ffi.from_buffer(image), len(content)) == 0
    role, start, size = ffi.new("shrew_role *"), ffi.new("void **"), ffi.new("size_t *")
    assert lib.shrew_model_tensor_bytes(model, model.tensors, role, start, size) == lib.SHREW_E_ARGUMENT
    assert lib.shrew_model_tensor_bytes(model, 0, ffi.NULL, start, size) == lib.SHREW_E_ARGUMENT
    places, copy = ffi.new("void *[]", model.tensors), aligned(64, shift=8)
    places[1] = ffi.cast("void *", copy.ctypes.data)
    assert lib.shrew_model_place(model, places) == lib.SHREW_E_ALIGNMENT
    assert model.places == ffi.NULL
