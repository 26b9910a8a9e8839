"""OpenAI's shape: the request, the answer in parts and in events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from firmware.test_protocol import DONE, FRESH_SEED, options_of, result, rules, text_of

from firmware.core import Error, Out, block, code_name, ffi, lib


class Read:
    """One request as the core reads it."""

    def __init__(self, request: Any, others: tuple[str, ...] = ("other",)) -> None:
        data = request if isinstance(request, bytes) else json.dumps(request).encode()
        self._buffer = block(data)
        self.error = Error()
        self.asked = ffi.new("openai_request *")
        names = [ffi.new("char[]", name.encode()) for name in others]
        code = lib.fw_openai_read(self.asked, self._buffer, len(data), rules(), names, len(names), self.error.struct)
        self.code = code_name(code)
        self.request = self.asked.request

    @property
    def prompt(self) -> str:
        return text_of(self.request.prompt, self.request.prompt_bytes)

    @property
    def stops(self) -> list[str]:
        return [ffi.string(self.request.stops[i]).decode() for i in range(self.request.stop_count)]


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


HI = {"messages": [user("hi")]}


def test_the_prompt_is_the_last_message() -> None:
    earlier = [{"role": "system", "content": "be kind"}, user("first"), {"role": "assistant", "content": None}]
    got = Read({"model": "whatever", "messages": [*earlier, user('last "\u20ac\n')]})
    assert (got.code, got.prompt, got.request.seed, got.asked.stream) == ("ok", 'last "€\n', FRESH_SEED, 0)


def test_parts_are_one_text() -> None:
    parts = [{"type": "text", "text": text} for text in ("Grü\u00dfe", "", ' "an" ', "alle")]
    assert Read({"messages": [user(parts)]}).prompt == 'Grüße "an" alle'


def test_every_option() -> None:
    options = {"temperature": 0.5, "top_p": 0.25, "top_k": 4, "min_p": 0.125, "repetition_penalty": 2, "max_tokens": 9}
    got = Read(
        {**HI, **options, "seed": 5, "stop": ["\n", "End"], "stream": True, "stream_options": {"include_usage": True}}
    )
    assert got.code == "ok"
    assert options_of(got.request.options) == options
    assert (got.request.seed, got.stops, got.asked.stream, got.asked.include_usage) == (5, ["\n", "End"], 1, 1)
    newer = Read({**HI, "max_tokens": 9, "max_completion_tokens": 7, "stop": "."})
    assert (newer.request.options.max_tokens, newer.stops) == (7, ["."])


def test_null_and_what_changes_nothing_is_ignored() -> None:
    absent = dict.fromkeys(
        ("temperature", "stop", "seed", "n", "tools", "stream", "stream_options", "max_tokens", "model")
    )
    ignored = {"user": "x", "metadata": {"a": [1]}, "logprobs": False, "tools": [], "functions": [], "n": 1}
    got = Read({**absent, **ignored, **HI})
    assert (got.code, got.prompt, got.request.stop_count) == ("ok", "hi", 0)


@pytest.mark.parametrize(
    ("request_", "code", "line"),
    [
        (b"{", "json", "not one JSON object"),
        ({}, "message", "messages must be a list of messages, at least one"),
        ({"messages": []}, "message", "messages must be a list of messages, at least one"),
        ({"messages": "hi"}, "message", "messages must be a list of messages, at least one"),
        ({"messages": ["hi"]}, "message", "messages must be a list of messages, at least one"),
        ({"messages": [{"content": "hi"}]}, "message", "role must be there, as text"),
        (
            {"messages": [user("hi"), {"role": "assistant", "content": "x"}]},
            "value",
            "the last message must be a user's",
        ),
        ({"messages": [{"role": "user"}]}, "message", "content must be there, as text"),
        ({"messages": [user(5)]}, "message", "content must be text, or a list of parts that have a type"),
        ({"messages": [user(["hi"])]}, "message", "content must be text, or a list of parts that have a type"),
        ({"messages": [user([{"type": "image_url"}])]}, "value", "content may only have parts of type text"),
        ({"messages": [user([{"type": "text"}])]}, "message", "text must be there, as text"),
        ({"messages": [user("")]}, "prompt", "the prompt is empty"),
        ({"messages": [user([])]}, "prompt", "the prompt is empty"),
        ({"messages": [user("x" * 2049)]}, "prompt", "the prompt has 2049 bytes; 2048 fit"),
        ({**HI, "n": 2}, "value", "n must be 1 to 1"),
        ({**HI, "tools": [{}]}, "value", "tools and functions are not supported"),
        ({**HI, "functions": [{}]}, "value", "tools and functions are not supported"),
        ({**HI, "model": "other"}, "value", "this model is stored, and another one answers: load it first"),
        ({**HI, "model": 3}, "message", "model must be there, as text"),
        ({**HI, "stream": "yes"}, "message", "stream must be true or false"),
        ({**HI, "stream_options": True}, "message", "stream_options must be an object"),
        ({**HI, "stream_options": {"include_usage": 1}}, "message", "include_usage must be true or false"),
        ({**HI, "stop": 5}, "message", "stop must be text or a list of texts"),
        ({**HI, "stop": ["a", None]}, "message", "stop must be text or a list of texts"),
        ({**HI, "stop": list("abcde")}, "value", "stop may have at most four texts"),
        ({**HI, "stop": ""}, "value", "each text of stop has 1 to 64 bytes, none of them zero"),
        ({**HI, "stop": "x" * 65}, "value", "each text of stop has 1 to 64 bytes, none of them zero"),
        ({**HI, "stop": "a\0b"}, "value", "each text of stop has 1 to 64 bytes, none of them zero"),
        ({**HI, "max_completion_tokens": 0}, "value", "max_completion_tokens must be 1 to 65535"),
        ({**HI, "temperature": 101}, "value", "temperature must be 0 to 100"),
        (b'{"messages":[{"role":"user","content":"hi"}],"seed":1,"seed":2}', "message", "field 'seed' is there twice"),
    ],
)
def test_each_defect_has_its_code_and_line(request_: Any, code: str, line: str) -> None:
    got = Read(request_)
    assert (got.code, got.error.line) == (code, line)


SAID = ["Hel", 'lo "you"\n', "€"]
SHREW = {**DONE, "reason": "length", "tok_per_s": 12.35, "digest": "000000ab"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
HEAD = {"id": "chatcmpl-00000000000000ff", "created": 1_700_000_000, "model": "gate"}


def answer(include_usage: bool) -> Any:
    model = ffi.new("char[]", b"gate")
    made = ffi.new("openai_answer *", {"number": 255, "created": HEAD["created"], "include_usage": include_usage})
    made.model = model
    answer.keep = model  # type: ignore[attr-defined]
    return made


def test_a_whole_answer_comes_in_parts() -> None:
    head, tail, told = Out(), Out(), b""
    lib.fw_openai_write_head(head.text, answer(False))
    for said in SAID:
        part = Out()
        lib.fw_openai_write_part(part.text, said.encode(), len(said.encode()))
        told += part.bytes
    lib.fw_openai_write_tail(tail.text, result(reason=lib.PROTOCOL_REACHED_LENGTH, **DONE))
    message = {"role": "assistant", "content": "".join(SAID)}
    assert json.loads(head.bytes + told + tail.bytes) == {
        **HEAD,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "length"}],
        "usage": USAGE,
        "shrew": SHREW,
    }


@pytest.mark.parametrize("include_usage", [False, True])
@pytest.mark.parametrize(
    ("reason", "finish"), [("END", "stop"), ("STOP", "stop"), ("CONTEXT", "length"), ("CANCELLED", "stop")]
)
def test_events(include_usage: bool, reason: str, finish: str) -> None:
    out, about = Out(), answer(include_usage)
    lib.fw_openai_write_first_event(out.text, about)
    for said in SAID:
        lib.fw_openai_write_event(out.text, about, said.encode(), len(said.encode()))
    lib.fw_openai_write_last_events(out.text, about, result(reason=getattr(lib, f"PROTOCOL_{reason}"), **DONE))
    *events, done, end = out.bytes.decode().split("\n\n")
    assert (done, end) == ("data: [DONE]", "")
    chunks = [json.loads(event.removeprefix("data: ")) for event in events]
    assert all({**chunk, **HEAD, "object": "chat.completion.chunk"} == chunk for chunk in chunks)
    if include_usage:
        last = chunks.pop()
        assert (last["choices"], last["usage"]) == ([], USAGE)
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": ""},
        *({"content": said} for said in SAID),
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * 4 + [finish]
    assert chunks[-1]["shrew"]["tokens"] == 5


def test_an_error_after_events_began() -> None:
    out, error = Out(), Error()
    lib.fw_protocol_fail(error.struct, lib.PROTOCOL_ENGINE, b"the model computed NaN or infinity")
    lib.fw_openai_write_error_event(out.text, error.struct)
    body = {"code": "engine", "message": "the model computed NaN or infinity", "type": "server_error"}
    assert out.bytes == b"data: " + json.dumps({"error": body}, separators=(",", ":")).encode() + b"\n\n"


@pytest.mark.parametrize("capacity", [1, 5, 7, 60, 200, 300])
def test_an_event_that_does_not_fit_says_so(capacity: int) -> None:
    out = Out(capacity)
    lib.fw_openai_write_event(out.text, answer(False), b"some text", 9)
    assert bool(out.text.full) == (capacity < 300)


def test_the_list_of_models() -> None:
    out = Out()
    names = [ffi.new("char[]", b"gate"), ffi.new("char[]", b"desk")]
    lib.fw_openai_write_models(out.text, names, 2)
    listed = json.loads(out.bytes)
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == ["gate", "desk"]
