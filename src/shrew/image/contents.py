"""What is inside an image, read back through the engine."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.engine import Model
from shrew.errors import EngineError
from shrew.image.commands import Commands
from shrew.image.writer import COMMANDS_SECTION, stored_tensors
from shrew.model.config import ModelConfig, tensor_specs

SECTION_NAMES = {
    1: "configuration",
    2: "tokenizer",
    3: "tensor directory",
    4: "tensor data",
    5: "metadata",
    6: "self-test",
    7: "Unicode classes",
    COMMANDS_SECTION: "commands",
}


def model_config(model: Model) -> ModelConfig:
    """The configuration of an image. Its rope_theta stays the default: an image stores frequencies instead."""
    return ModelConfig(**model.config_fields())


def read_parameters(model: Model) -> dict[str, NDArray[np.float32]]:
    """The trained tensors as floats, exactly the values that the engine computes with."""
    config = model_config(model)
    return {
        spec.name: model.tensor(spec.role, spec.layer).values().reshape(spec.shape) for spec in tensor_specs(config)
    }


def read_commands(model: Model) -> Commands | None:
    """The grammar of commands that an image carries, if it does."""
    sections = read_sections(model)
    return Commands(sections[COMMANDS_SECTION]) if COMMANDS_SECTION in sections else None


def read_sections(model: Model) -> dict[int, bytes]:
    """The contents of all sections by kind."""
    image = model.image()
    (count,) = struct.unpack_from("<I", image, 16)
    table = [struct.unpack_from("<IIII", image, 64 + 16 * i) for i in range(count)]
    return {kind: bytes(image[offset : offset + size]) for kind, _, offset, size in table}


def _passes(model: Model) -> bool:
    try:
        return model.selftest()
    except EngineError:  # other tokens, or no numbers at all
        return False


def describe(model: Model) -> dict[str, Any]:
    """Everything ``shrew inspect`` shows, as plain data."""
    image = model.image()
    total, crc, count = struct.unpack_from("<III", image, 8)
    sections = []
    for i in range(count):
        kind, flags, offset, size = struct.unpack_from("<IIII", image, 64 + 16 * i)
        name = SECTION_NAMES.get(kind, f"kind {kind}")
        sections.append({"kind": kind, "name": name, "required": bool(flags), "offset": offset, "bytes": size})
    by_kind = {section["kind"]: section for section in sections}

    config = model_config(model)
    tensors = []
    for spec in stored_tensors(config):
        tensor = model.tensor(spec.role, spec.layer)
        tensors.append(
            {
                "name": spec.name,
                "type": tensor.type,
                "group": tensor.group,
                "rows": spec.rows,
                "cols": spec.cols,
                "bytes": tensor.bytes,
            }
        )
    selftest = None
    if 6 in by_kind:
        prompt, generate, digest, _ = struct.unpack_from("<IIII", image, by_kind[6]["offset"])
        ids = struct.unpack_from(f"<{prompt}H", image, by_kind[6]["offset"] + 16)
        selftest = {"prompt": list(ids), "generate": generate, "digest": f"{digest:08x}", "passed": _passes(model)}
    commands = read_commands(model)
    return {
        "image_bytes": total,
        "format_version": struct.unpack_from("<I", image, 4)[0],
        "crc32": f"{crc:08x}",
        "parameters": config.parameters,
        "sections": sections,
        "config": model.config_fields(),
        "tokenizer": model.tokenizer_fields(),
        "unicode_bytes": by_kind[7]["bytes"] if 7 in by_kind else 0,
        "tensors": tensors,
        "metadata": [{"key": key, "value": value} for key, value in model.metadata()],
        "selftest": selftest,
        "commands": commands
        and {
            "count": commands.count(),
            "threshold": round(commands.threshold, 6),
            "examples": commands.examples(5),
        },
        "session_bytes": model.session_bytes(),
    }
