"""The contents of an image, read through the engine."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shrew.engine import FORMAT_VERSION, Model, Section
from shrew.errors import EngineError
from shrew.image.commands import Commands
from shrew.memory import Memory, read_memory
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
    Section.PROMPTS: "form of prompts",
    Section.MEMORY: "memory",
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
    for kind, _, offset, size in model.sections():
        if kind == Section.COMMANDS:
            return Commands(bytes(image[offset : offset + size]))
    return None


def stored_memory(model: Model) -> Memory | None:
    """The image's memory, or None."""
    section = read_sections(model).get(Section.MEMORY)
    return None if section is None else read_memory(section)


def read_sections(model: Model) -> dict[int, bytes]:
    """The contents of all sections by kind."""
    image = model.image()
    return {kind: bytes(image[offset : offset + size]) for kind, _, offset, size in model.sections()}


def _passes(model: Model) -> bool:
    try:
        return model.selftest()
    except EngineError:  # other tokens, or NaN or infinity
        return False


def describe(model: Model) -> dict[str, Any]:
    """Everything that ``shrew inspect`` shows, as plain data."""
    image, table = model.image(), model.sections()
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
        header = struct.Struct("<IIII")
        prompt, generate, digest, _ = header.unpack_from(image, offsets[Section.SELFTEST])
        ids = struct.unpack_from(f"<{prompt}H", image, offsets[Section.SELFTEST] + header.size)
        selftest = {"prompt": list(ids), "generate": generate, "digest": f"{digest:08x}", "passed": _passes(model)}
    commands, memory = read_commands(model), stored_memory(model)
    return {
        "image_bytes": model.image_bytes,
        "format_version": FORMAT_VERSION,
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
        "memory": memory
        and {
            "bytes": len(memory.section),
            "buckets": len(memory.table),
            "dim": memory.table.shape[1],
            "bits": memory.bits,
            "keys": len(memory.keys),
            "answers": len(memory.answers),
            "accept": round(memory.accept, 6),
            "refuse": round(memory.refuse, 6),
        },
        "session_bytes": model.session_bytes(),
    }
