"""The contents of an image, read through the engine."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.engine import Model, Section
from shrew.errors import EngineError
from shrew.image.commands import Commands
from shrew.model.config import ModelConfig, stored_tensors, tensor_specs

SECTION_NAMES: dict[int, str] = {
    Section.CONFIG: "configuration",
    Section.TOKENIZER: "tokenizer",
    Section.DIRECTORY: "tensor directory",
    Section.WEIGHTS: "tensor data",
    Section.METADATA: "metadata",
    Section.SELFTEST: "self-test",
    Section.UNICODE: "Unicode classes",
    Section.COMMANDS: "commands",
}


def model_config(model: Model) -> ModelConfig:
    """The configuration of an image. rope_theta is left at its default: an image stores frequencies instead."""
    return ModelConfig(**model.config_fields())


def read_parameters(model: Model) -> dict[str, NDArray[np.float32]]:
    """The trained tensors as floats, exactly the values that the engine computes with."""
    config = model_config(model)
    return {
        spec.name: model.tensor(spec.role, spec.layer).values().reshape(spec.shape) for spec in tensor_specs(config)
    }


def read_commands(model: Model) -> Commands | None:
    """The image's grammar of commands, or None."""
    image = model.image()
    for kind, _, offset, size in _table(model):
        if kind == Section.COMMANDS:
            return Commands(bytes(image[offset : offset + size]))
    return None


def read_sections(model: Model) -> dict[int, bytes]:
    """The contents of all sections by kind."""
    image = model.image()
    return {kind: bytes(image[offset : offset + size]) for kind, _, offset, size in _table(model)}


def _table(model: Model) -> list[tuple[int, int, int, int]]:
    """Kind, flags, offset and size of every section."""
    image = model.image()
    (count,) = struct.unpack_from("<I", image, 16)
    return list(struct.iter_unpack("<IIII", image[64 : 64 + 16 * count]))


def _passes(model: Model) -> bool:
    try:
        return model.selftest()
    except EngineError:  # other tokens, or NaN or infinity
        return False


def describe(model: Model) -> dict[str, Any]:
    """Everything that ``shrew inspect`` shows, as plain data."""
    image, table = model.image(), _table(model)
    offsets = {kind: offset for kind, _, offset, _ in table}
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
    if Section.SELFTEST in offsets:
        prompt, generate, digest, _ = struct.unpack_from("<IIII", image, offsets[Section.SELFTEST])
        ids = struct.unpack_from(f"<{prompt}H", image, offsets[Section.SELFTEST] + 16)
        selftest = {"prompt": list(ids), "generate": generate, "digest": f"{digest:08x}", "passed": _passes(model)}
    commands = read_commands(model)
    return {
        "image_bytes": model.image_bytes,
        "format_version": struct.unpack_from("<I", image, 4)[0],
        "crc32": f"{model.crc32:08x}",
        "parameters": config.parameters,
        "sections": [
            {
                "kind": kind,
                "name": SECTION_NAMES.get(kind, f"kind {kind}"),
                "required": bool(flags),
                "offset": offset,
                "bytes": size,
            }
            for kind, flags, offset, size in table
        ],
        "config": model.config_fields(),
        "tokenizer": model.tokenizer_fields(),
        "unicode_bytes": sum(size for kind, _, _, size in table if kind == Section.UNICODE),
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
