"""What clients send and what they get, against docs/PROTOCOL.md."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.core import Error, Out, block, code_name, ffi, lib

PROTOCOL = (Path(__file__).parents[2] / "docs/PROTOCOL.md").read_text()
FRESH_SEED = 77


def rules(prompt_bytes: int = 2048) -> Any:
    made = ffi.new("protocol_rules *")
    made.defaults = lib.fw_options_default()
    made.seed = FRESH_SEED
    made.prompt_bytes = prompt_bytes
    return made


def text_of(pointer: Any, count: int) -> str:
    return bytes(ffi.buffer(pointer, count)).decode()


def options_of(options: Any) -> dict[str, float]:
    sampling = options.sampling
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
    return {**{name: getattr(sampling, name) for name in names}, "max_tokens": options.max_tokens}


class Read:
    """One message as the core reads it."""

    def __init__(self, message: Any, prompt_bytes: int = 2048) -> None:
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        self._buffer = block(data)
        self.error = Error()
        self.message = ffi.new("protocol_message *")
        code = lib.fw_protocol_read(self.message, self._buffer, len(data), rules(prompt_bytes), self.error.struct)
        self.code = code_name(code)
        self.request = self.message.request
        self.id = self.request.id if self.message.has_id else None


GENERATE = {"type": "generate", "id": 3, "prompt": "hi"}


def test_codes_are_those_of_the_document() -> None:
    documented = dict(re.findall(r"^\| `(\w+)` \| (\d{3}|–) \|", PROTOCOL, re.MULTILINE))
    ours = {code_name(code): lib.fw_protocol_http_status(code) for code in range(1, lib.PROTOCOL_CODES)}
    assert documented.keys() == ours.keys()
    assert {name: str(status) for name, status in ours.items() if documented.get(name, "–") != "–"} == {
        name: status for name, status in documented.items() if status != "–"
    }


SAMPLING = {
    "temperature": st.floats(0, 100, width=32),
    "top_p": st.floats(0, 1, exclude_min=True, width=32),
    "top_k": st.integers(0, 2**32 - 1),
    "min_p": st.floats(0, 1, width=32),
    "repetition_penalty": st.floats(0.015625, 100, width=32),
    "max_tokens": st.integers(1, 65535),
}


@given(
    st.fixed_dictionaries(
        {
            "type": st.just("generate"),
            "id": st.integers(0, 2**32 - 1),
            "prompt": st.text(st.characters(codec="utf-8"), min_size=1, max_size=99),
        },
        optional={**SAMPLING, "seed": st.integers(0, 2**53 - 1), "raw": st.booleans()},
    ).flatmap(lambda message: st.permutations(list(message.items())).map(dict))
)
def test_a_request_arrives_as_it_was_sent(message: dict[str, Any]) -> None:
    got = Read(message)
    assert got.code == "ok"
    assert got.message.type == lib.PROTOCOL_GENERATE
    assert got.id == message["id"]
    assert text_of(got.request.prompt, got.request.prompt_bytes) == message["prompt"]
    assert got.request.seed == message.get("seed", FRESH_SEED)
    assert got.request.raw == message.get("raw", False)
    defaults = {"temperature": 0, "top_p": 1, "top_k": 0, "min_p": 0, "repetition_penalty": 1, "max_tokens": 0}
    asked = {name: message.get(name, default) for name, default in defaults.items()}
    assert options_of(got.request.options) == {
        name: struct.unpack("f", struct.pack("f", value))[0] if name not in ("top_k", "max_tokens") else value
        for name, value in asked.items()
    }


def test_cancel_and_info() -> None:
    cancel, info = Read({"type": "cancel", "id": 9}), Read({"type": "info"})
    assert (cancel.code, cancel.message.type, cancel.id) == ("ok", lib.PROTOCOL_CANCEL, 9)
    assert (info.code, info.message.type, info.id) == ("ok", lib.PROTOCOL_INFO, None)


@pytest.mark.parametrize(
    ("message", "code", "id_", "line"),
    [
        (b"", "json", None, "not one JSON object"),
        (b"[]", "json", None, "not one JSON object"),
        (b'{"type":"info"', "json", None, "not one JSON object"),
        (b'{"type":"generate","id":3,"prompt":"\xff"}', "json", None, "not one JSON object"),
        (b'{"type":"cancel","id":3} x', "json", None, "not one JSON object"),
        ({}, "message", None, "type must be there, as text"),
        ({"id": 3}, "message", 3, "type must be there, as text"),
        ({"type": 1, "id": 3}, "message", 3, "type must be there, as text"),
        ({"type": "generat", "id": 3}, "message", 3, "unknown type 'generat'"),
        ({"type": "generate", "prompt": "x"}, "message", None, "id must be there, as an integer"),
        ({**GENERATE, "id": "3"}, "message", None, "id must be there, as an integer"),
        (b'{"type":"cancel","id":3.0}', "message", None, "id must be an integer, without fraction and exponent"),
        ({**GENERATE, "id": -1}, "value", None, "id must be 0 to 4294967295"),
        ({**GENERATE, "id": 2**32}, "value", None, "id must be 0 to 4294967295"),
        ({"type": "generate", "id": 3}, "message", 3, "prompt must be there, as text"),
        ({**GENERATE, "prompt": None}, "message", 3, "prompt must be there, as text"),
        ({**GENERATE, "temprature": 1}, "message", 3, "unknown field 'temprature'"),
        ({**GENERATE, "€" * 20: 1}, "message", 3, f"unknown field '{'€' * 10}…'"),
        ({**GENERATE, "\n\x7f\x9b": 1}, "message", 3, "unknown field '???'"),
        ({"type": "cancel", "id": 3, "prompt": "x"}, "message", 3, "field 'prompt' does not belong here"),
        ({"type": "info", "id": 3}, "message", 3, "field 'id' does not belong here"),
        (b'{"type":"cancel","id":3,"id":3}', "message", 3, "field 'id' is there twice"),
        ({**GENERATE, "temperature": "1"}, "message", 3, "temperature must be a number"),
        ({**GENERATE, "temperature": True}, "message", 3, "temperature must be a number"),
        ({**GENERATE, "temperature": 100.001}, "value", 3, "temperature must be 0 to 100"),
        ({**GENERATE, "temperature": -1e-300}, "value", 3, "temperature must be 0 to 100"),
        (b'{"type":"generate","id":3,"prompt":"x","temperature":1e999}', "value", 3, "temperature must be 0 to 100"),
        ({**GENERATE, "top_p": 0}, "value", 3, "top_p must be above 0, to 1"),
        ({**GENERATE, "top_p": 1e-60}, "value", 3, "top_p must be above 0, to 1"),
        ({**GENERATE, "top_k": 1.5}, "message", 3, "top_k must be an integer"),
        ({**GENERATE, "top_k": 2**32}, "value", 3, "top_k must be 0 to 4294967295"),
        ({**GENERATE, "min_p": 1.01}, "value", 3, "min_p must be 0 to 1"),
        ({**GENERATE, "repetition_penalty": 0.001}, "value", 3, "repetition_penalty must be 0.01 to 100"),
        ({**GENERATE, "max_tokens": 0}, "value", 3, "max_tokens must be 1 to 65535"),
        ({**GENERATE, "max_tokens": 65536}, "value", 3, "max_tokens must be 1 to 65535"),
        ({**GENERATE, "seed": 2**53}, "value", 3, "seed must be 0 to 9007199254740991"),
        ({**GENERATE, "raw": 1}, "message", 3, "raw must be true or false"),
        ({**GENERATE, "prompt": ""}, "prompt", 3, "the prompt is empty"),
        ({**GENERATE, "prompt": "ä" * 1025}, "prompt", 3, "the prompt has 2050 bytes; 2048 fit"),
    ],
)
def test_each_defect_has_its_code_and_line(message: Any, code: str, id_: int | None, line: str) -> None:
    got = Read(message)
    assert (got.code, got.error.code, got.id, got.error.line) == (code, code, id_, line)


def test_a_prompt_fits_the_context_too() -> None:
    assert lib.fw_protocol_prompt_bytes(10) == 80
    assert lib.fw_protocol_prompt_bytes(4096) == lib.PROTOCOL_PROMPT_BYTES
    assert Read({**GENERATE, "prompt": "x" * 80}, 80).code == "ok"
    assert Read({**GENERATE, "prompt": "x" * 81}, 80).code == "prompt"


def result(**fields: Any) -> Any:
    made = ffi.new("protocol_result *")
    for name, value in fields.items():
        setattr(made, name, value)
    return made


DONE = {
    "tokens": 5,
    "prompt_tokens": 7,
    "tok_per_s": 12.345678,
    "prompt_tok_per_s": 0.0,
    "digest": 0xAB,
    "seed": 2**53 - 1,
}


def test_messages_of_the_server() -> None:
    out = Out()
    lib.fw_protocol_write_queued(out.text, 2**32 - 1, 3)
    assert json.loads(out.bytes) == {"type": "queued", "id": 2**32 - 1, "ahead": 3}

    out = Out()
    said = 'Grüße "\\\n\x01😀'.encode()
    lib.fw_protocol_write_token(out.text, 0, said, len(said))
    assert json.loads(out.bytes) == {"type": "token", "id": 0, "text": said.decode()}

    out = Out()
    lib.fw_protocol_write_done(out.text, 4, result(reason=lib.PROTOCOL_REACHED_LENGTH, **DONE))
    fields = {**DONE, "reason": "length", "tok_per_s": 12.35, "digest": "000000ab"}
    assert json.loads(out.bytes) == {"type": "done", "id": 4, **fields}

    out, command = Out(), ffi.new("char[]", b"light on")
    lib.fw_protocol_write_done(
        out.text, 4, result(reason=lib.PROTOCOL_REFUSED, **DONE, command=command, command_bytes=8, confidence=0.25)
    )
    refused = {**fields, "reason": "refused", "command": "light on", "confidence": 0.25}
    assert json.loads(out.bytes) == {"type": "done", "id": 4, **refused}

    out, error = Out(), Error()
    lib.fw_protocol_fail(error.struct, lib.PROTOCOL_BUSY, ffi.NULL)
    lib.fw_protocol_write_error(out.text, ffi.NULL, error.struct)
    lost = {"id": None, "code": "busy", "message": "too many requests are waiting: try again soon"}
    assert json.loads(out.bytes) == {"type": "error", **lost}

    out = Out()
    lib.fw_protocol_write_error(out.text, ffi.new("uint32_t *", 12), error.struct)
    assert json.loads(out.bytes) == {"type": "error", **lost, "id": 12}

    out = Out()
    lib.fw_protocol_write_http_error(out.text, error.struct)
    body = {"code": "busy", "message": lost["message"], "type": "invalid_request_error"}
    assert json.loads(out.bytes) == {"error": body}


@pytest.mark.parametrize("reason", ["end", "stop", "length", "context", "cancelled", "refused"])
def test_reasons_have_the_names_of_the_document(reason: str) -> None:
    names = [ffi.string(lib.fw_protocol_reason_name(i)).decode() for i in range(lib.PROTOCOL_REFUSED + 1)]
    assert reason in names
    assert f"`{reason}`" in PROTOCOL


def test_the_longest_token_message_fits_its_buffer() -> None:
    out = Out(lib.PROTOCOL_OUT_BYTES)
    lib.fw_protocol_write_token(out.text, 2**32 - 1, b"\x01" * lib.SHREW_TEXT_BYTES, lib.SHREW_TEXT_BYTES)
    assert len(json.loads(out.bytes)["text"]) == lib.SHREW_TEXT_BYTES


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        *((name, True) for name in ("a", "-", "gate-2_b.bin", "A" * 32)),
        *((name, False) for name in ("", ".a", "A" * 33, "a/b", "a b", "ä", "a\0", "a@", "a[", "a`")),
    ],
)
def test_names_of_models(name: str, valid: bool) -> None:
    data = name.encode()
    assert bool(lib.fw_protocol_name_is_valid(block(data), len(data))) == valid
