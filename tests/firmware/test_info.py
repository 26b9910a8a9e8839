"""The info message: facts from an image, and what the server adds."""

from __future__ import annotations

import json
from typing import Any

from engine.models import BYTES, random_parameters, tiny_config

from firmware.core import Opened, Out, ffi, lib
from shrew.engine import SAMPLING_OPTIONS, Model
from shrew.image import Commands, build_image


def info(**fields: Any) -> dict[str, Any]:
    """What is written; texts among the fields are kept alive until then."""
    kept = {name: ffi.new("char[]", value) if isinstance(value, bytes) else value for name, value in fields.items()}
    out = Out(lib.INFO_OUT_BYTES)
    about = ffi.new("info *", {"version": ffi.NULL, "defaults": lib.fw_options_default()})
    for name, value in kept.items():
        setattr(about, name, value)
    lib.fw_info_write(out.text, about, 1)
    return dict(json.loads(out.bytes))


def test_info_says_what_an_image_is() -> None:
    description = "ä" * 300
    metadata = [("name", "gate"), ("licence", "CC0"), ("description", description), ("name", "second"), ("stop", "\n")]
    config = tiny_config()
    grammar = Commands.of(["led on"])
    opened = Opened(build_image(config, random_parameters(config), BYTES, metadata=metadata, commands=grammar))
    name, model = ffi.new("char[]", b"gate.bin"), ffi.new("info_model *")
    lib.fw_info_of_model(model, name, opened.model)
    model.selftest = lib.INFO_SELFTEST_PASSED
    told = info(model=model, version=b"0.1", device=b"esp32s3")
    image = Model.from_bytes(bytes(ffi.buffer(opened.model.image, opened.model.image_bytes)))
    assert (told["type"], told["protocol"], told["version"], told["device"]) == ("info", 1, "0.1", "esp32s3")
    assert told["model"] == {
        "name": "gate.bin",
        "title": "gate",
        "bytes": image.image_bytes,
        "crc32": f"{int.from_bytes(image.image()[12:16], 'little'):08x}",
        "context": config.context,
        "vocab": config.vocab,
        "dim": config.dim,
        "layers": config.layers,
        "parameters": config.parameters,
        "selftest": "passed",
        "refusal": None,
        "licence": "CC0",
        "description": "ä" * 200,
        "commands": True,
    }


def test_info_says_what_the_server_is() -> None:
    names = [
        ffi.new("char[]", text)
        for text in (b"gate", b"flash", b"desk", b"sd", b"free", b"ap", b"shrew-1234", b"192.168.4.1")
    ]
    stored = ffi.new("info_stored[]", [(names[0], 1000, names[1], 1), (names[2], 2000, names[3], 0)])
    memory = ffi.new("info_memory[]", [(names[4], 5_000_000_000)])
    limits = {
        "message_bytes": 4096,
        "prompt_bytes": 384,
        "queue": 16,
        "per_client": 4,
        "clients": 12,
        "upload_bytes": 7,
    }
    lists = {"models": stored, "model_count": 2, "memory": memory, "memory_count": 1}
    wifi = {"wifi_mode": names[5], "wifi_ssid": names[6], "wifi_address": names[7]}
    told = info(**lists, **limits, **wifi, uptime_s=8, requests=9)
    assert told["model"] is None
    assert told["models"] == [
        {"name": "gate", "bytes": 1000, "place": "flash", "active": True},
        {"name": "desk", "bytes": 2000, "place": "sd", "active": False},
    ]
    greedy = {**{name: option.usual for name, option in SAMPLING_OPTIONS.items()}, "max_tokens": 0}
    assert told["defaults"] == greedy
    assert told["limits"] == limits
    assert (told["memory"], told["uptime_s"], told["requests"]) == ({"free": 5_000_000_000}, 8, 9)
    assert told["wifi"] == {"mode": "ap", "ssid": "shrew-1234", "address": "192.168.4.1"}
    assert "wifi" not in info()
