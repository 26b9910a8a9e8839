"""The firmware's answers to requests are those of other callers of the engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from engine.models import BYTES, random_image, random_parameters, says, tiny_config

from firmware.core import Error, Opened, block, code_name, ffi, lib
from shrew.engine import Model, Sampling
from shrew.image import Commands, build_image
from shrew.tokenizer import train_character

IMAGE = random_image(5)


class Answer:
    """One answered request: its text, result or error."""

    def __init__(
        self,
        opened: Opened,
        prompt: bytes,
        *,
        cancelled: Callable[[Answer], bool] = lambda answer: False,
        listens: bool = True,
        stops: tuple[bytes, ...] = (),
        **fields: Any,
    ) -> None:
        self.pieces: list[bytes] = []
        self.asked = self.clock = 0
        request = ffi.new("protocol_request *", {"options": lib.fw_options_default(), "seed": 1})
        kept = [ffi.new("char[]", stop) for stop in stops]
        text = block(prompt)
        request.prompt, request.prompt_bytes, request.stop_count = text, len(prompt), len(stops)
        for i, stop in enumerate(kept):
            request.stops[i] = stop
        for name, value in fields.items():
            owner = request if name in ("seed", "raw") else request.options
            setattr(owner if hasattr(owner, name) else owner.sampling, name, value)

        def write(_: Any, piece: Any, count: int) -> int:
            assert count > 0
            self.pieces.append(bytes(ffi.buffer(piece, count)))
            return int(not listens)

        def is_cancelled(_: Any) -> int:
            self.asked += 1
            return int(cancelled(self))

        def now_us(_: Any) -> int:
            self.clock += 1000
            return self.clock

        sink = ffi.new("answer_sink *")
        calls = [
            ffi.callback("int(void *, const char *, size_t)", write),
            ffi.callback("int(void *)", is_cancelled),
            ffi.callback("uint64_t(void *)", now_us),
        ]
        self._buffer = ffi.new("char[]", lib.SHREW_TEXT_BYTES)
        sink.write, sink.is_cancelled, sink.now_us, sink.buffer = *calls, self._buffer
        self.result, self.error = ffi.new("protocol_result *"), Error()
        self.code = code_name(lib.fw_answer_request(opened.session, request, sink, self.result, self.error.struct))

    @property
    def reason(self) -> str:
        return str(ffi.string(lib.fw_protocol_reason_name(self.result.reason)).decode())

    @property
    def command(self) -> str | None:
        result = self.result
        return bytes(ffi.buffer(result.command, result.command_bytes)).decode() if result.command else None

    @property
    def text(self) -> str:
        return b"".join(self.pieces).decode()


def saying(text: bytes, **options: Any) -> Opened:
    """A model that answers this to a prompt of one byte, or of ``prompt`` tokens including the frame."""
    return Opened(says(text, **{"prompt": 3, **options}).image())


def test_an_answer_is_the_engine_s() -> None:
    opened, session = Opened(IMAGE), Model.from_bytes(IMAGE).session()
    for seed in (1, 2**53 - 1):
        sampling = Sampling(temperature=1.0, top_p=0.9)
        steps = list(session.generate("hi there", seed=seed, max_tokens=20, sampling=sampling))
        answer = Answer(opened, b"hi there", seed=seed, max_tokens=20, temperature=1.0, top_p=0.9)
        assert (answer.code, answer.text) == ("ok", "".join(step.text for step in steps))
        assert (answer.result.tokens, answer.result.digest) == (steps[-1].tokens, steps[-1].digest)
        assert (answer.result.prompt_tokens, answer.result.seed) == (steps[-1].prompt_tokens, seed)
        assert answer.reason == steps[-1].finish


def test_reasons() -> None:
    assert (Answer(saying(b"Yes."), b"x").reason, Answer(saying(b"Yes."), b"x").text) == ("end", "Yes.")
    stopped = Answer(saying(b"Yes. And"), b"x", stops=(b" An", b"zzz"))
    assert (stopped.reason, stopped.text) == ("stop", "Yes.")
    assert Answer(saying(b"Yes."), b"x", max_tokens=2).reason == "length"
    assert Answer(saying(b"Yes", end=False), b"x").reason == "context"


def test_commands_come_whole_or_are_refused() -> None:
    grammar, refusal = Commands.of(["led (on|off)"], 0.5), [("refusal", "Not so fast.")]
    done = Answer(saying(b"Do: led off", commands=grammar), b"x")
    assert (done.reason, done.pieces, done.command) == ("end", [b"Do: led off"], "led off")
    assert done.result.confidence > 0.8
    refused = Answer(saying(b"Do: led onward!", commands=grammar, metadata=refusal), b"x")
    assert (refused.reason, refused.text, refused.command) == ("refused", "Not so fast.", "led on")
    assert 0 < refused.result.confidence < 0.5
    assert Answer(saying(b"Hello.", commands=grammar), b"x").command is None
    cut = Answer(saying(b"Do: led off", commands=grammar), b"x", cancelled=lambda answer: answer.asked > 3)
    assert (cut.reason, cut.text, cut.command) == ("cancelled", "", None)


def test_rates_count_the_steps_they_are_of() -> None:
    answer = Answer(saying(b"0123456789", prompt=21), b"x" * 19)
    assert answer.code == "ok"
    assert (answer.result.prompt_tokens, answer.result.tokens) == (21, 10)
    assert answer.result.prompt_tok_per_s == pytest.approx(21 / 0.003)  # three blocks
    assert answer.result.tok_per_s == pytest.approx(10 / 0.010)  # ten steps after the one that chose the first token
    assert Answer(saying(b"0"), b"x", max_tokens=1).result.tok_per_s == 0


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
def test_cancel_takes_effect_between_two_steps(steps: int) -> None:
    answer = Answer(saying(b"0123456789"), b"x", cancelled=lambda answer: answer.asked > steps)
    assert (answer.code, answer.reason, answer.asked) == ("ok", "cancelled", steps + 1)
    assert answer.result.tokens == len(answer.text) == max(steps - 1, 0)


def test_an_answer_that_nobody_hears_ends() -> None:
    answer = Answer(saying(b"0123456789"), b"x", listens=False)
    assert (answer.code, answer.reason, answer.text) == ("ok", "cancelled", "0")


def test_what_the_engine_refuses_is_an_error_of_the_protocol() -> None:
    opened = Opened(IMAGE)
    assert Answer(opened, b"x" * 100).code == "prompt"
    assert Answer(opened, b"x" * 100).error.line == "the prompt has more tokens than fit"
    assert Answer(opened, b"hi", max_tokens=3).code == "ok"  # the session goes on after a refusal


def test_an_engine_that_fails_ends_the_answer() -> None:
    config = tiny_config(tied_head=False)
    parameters = random_parameters(config)
    parameters["token_embedding.weight"][BYTES.encode("z")] = 3e38
    answer = Answer(Opened(build_image(config, parameters, BYTES)), b"abcz")
    assert (answer.code, answer.error.line) == ("engine", "the model computed NaN or infinity")


def test_a_character_that_the_model_lacks_is_an_error_of_the_prompt() -> None:
    letters = train_character(["abc déf"])
    config = tiny_config(vocab=letters.vocab)
    answer = Answer(Opened(build_image(config, random_parameters(config), letters)), b"abc?")
    assert (answer.code, answer.error.line) == ("prompt", "the text has a character that this tokenizer cannot encode")
