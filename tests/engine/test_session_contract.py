"""What shrew.h promises of a session when calls come in an unusual order, or fail."""

from __future__ import annotations

import numpy as np
import pytest
from engine.models import BYTES, random_image, random_parameters, says, scripted_model, tiny_config

from shrew.engine import Model, Sampling
from shrew.engine.binding import ffi, lib
from shrew.errors import ContextFullError, EngineError
from shrew.image import build_image


def test_feeding_during_a_generation_is_refused() -> None:
    session = says(b"abc", prompt=12, context=30).session(block=4)
    steps = session.generate("0123456789")
    next(steps)  # a block of the prompt
    with pytest.raises(EngineError, match="state"):
        session.feed([5])
    assert "".join(step.text for step in steps) == "abc"


def test_feeding_after_a_generation_first_appends_its_last_token() -> None:
    image = random_image(seed=3)
    by_hand, generated = Model.from_bytes(image).session(), Model.from_bytes(image).session()
    tokens = [s.token for s in generated.generate("hi", max_tokens=4) if s.token is not None]
    generated.feed([9])
    prompt = [0, *BYTES.encode(b"hi").tolist(), 2]
    assert np.array_equal(by_hand.feed([*prompt, *tokens, 9, 7]), generated.feed([7]))
    assert generated.position == len(prompt) + 4 + 2


def overflowing_model() -> Model:
    """Overflows only at token 78."""
    config = tiny_config(tied_head=False)
    parameters = random_parameters(config)
    parameters["token_embedding.weight"][78] = 3e38
    return Model.from_bytes(build_image(config, parameters, BYTES))


@pytest.mark.parametrize("block", [1, 2, 3, 4, 8])
def test_an_overflow_is_reported_whatever_the_block_and_takes_nothing(block: int) -> None:
    session = overflowing_model().session(block=block)
    with pytest.raises(EngineError, match="NaN or infinity"):
        session.feed_all(np.array([5, 6, 78, 7], np.uint16))
    assert session.position <= 2
    session.reset()
    with pytest.raises(EngineError, match="NaN or infinity"):
        session.feed([5, 78, 7])
    session.reset()
    assert np.isfinite(session.feed([5, 7])).all()


def test_a_refused_image_leaves_no_model() -> None:
    model = ffi.new("shrew_model *")
    damaged = bytearray(random_image())
    damaged[-1] ^= 1
    room = np.zeros(len(damaged) + 16, np.uint8)
    aligned = room[-room.ctypes.data % 16 :][: len(damaged)]
    aligned[:] = np.frombuffer(bytes(damaged), np.uint8)
    assert lib.shrew_model_open(model, ffi.from_buffer(aligned), len(damaged)) == lib.SHREW_E_CHECKSUM
    size = ffi.new("size_t *")
    assert lib.shrew_session_bytes(model, ffi.NULL, size) == lib.SHREW_E_ARGUMENT


def test_a_misaligned_image_is_refused() -> None:
    image = random_image()
    room = np.zeros(len(image) + 32, np.uint8)
    start = -room.ctypes.data % 16 + 4
    room[start : start + len(image)] = np.frombuffer(image, np.uint8)
    model = ffi.new("shrew_model *")
    assert lib.shrew_model_open(model, ffi.from_buffer(room[start:]), len(image)) == lib.SHREW_E_ALIGNMENT


def test_too_little_memory_is_refused_and_exactly_enough_is_enough() -> None:
    model = Model.from_bytes(random_image())
    size, opened = model.session_bytes(), ffi.new("shrew_session **")
    room = np.zeros(size + 16, np.uint8)
    place = ffi.from_buffer(room[-room.ctypes.data % 16 :])
    assert lib.shrew_session_open(opened, model._model, ffi.NULL, place, size - 1) == lib.SHREW_E_MEMORY
    assert lib.shrew_session_open(opened, model._model, ffi.NULL, place, size) == lib.SHREW_OK


def test_bad_sampling_is_refused_before_any_work() -> None:
    model = Model.from_bytes(random_image())
    session = model.session()
    session.feed([3, 4])
    request = ffi.new(
        "shrew_request *", {"raw": 1, "sampling": {"temperature": -1.0, "top_p": 1.0, "repetition_penalty": 1.0}}
    )
    assert lib.shrew_session_begin(session._session, request) == lib.SHREW_E_ARGUMENT
    assert session.position == 2


def test_a_penalty_that_overflows_is_an_error_not_a_wrong_token() -> None:
    config = tiny_config(final_norm=False, tied_head=False)
    parameters = random_parameters(config)
    parameters["head.weight"] *= np.float32(2e36)
    session = Model.from_bytes(build_image(config, parameters, BYTES)).session()
    logits = session.feed([3])
    raised = [int(token) for token in np.argsort(-logits)[:20]]  # what the penalty will raise beyond all numbers
    assert np.isfinite(session.feed(raised)).all()
    with pytest.raises(EngineError, match="NaN or infinity"):
        session.sample(Sampling(temperature=1.0, repetition_penalty=0.01))


def test_the_longest_prompt_does_not_depend_on_the_block() -> None:
    model = scripted_model([0] * 20, context=20)
    for block in (1, 20):
        session = model.session(block=block)
        for length, fits in ((18, True), (19, False), (160, False), (161, False), (10**6, False)):
            if fits:
                assert next(iter(session.generate("x" * length))).prompt_total == 20
            else:
                with pytest.raises(ContextFullError):
                    list(session.generate("x" * length))


def test_the_selftest_needs_room_and_clears_the_session() -> None:
    model = Model.from_bytes(random_image())
    session = model.session()
    session.feed([3, 4])
    assert session.selftest()
    assert session.position == 0
    with pytest.raises(ContextFullError):
        model.session(context=4).selftest()
