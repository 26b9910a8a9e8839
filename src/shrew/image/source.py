"""The source of an image: from a run, an f32 image, or a door (an imported file)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shrew.engine import ROPE_FREQUENCY, Model, QuantizedMatrix, Section
from shrew.errors import RunError
from shrew.image.commands import Commands
from shrew.image.contents import model_config, read_commands, read_parameters, read_sections, stored_memory
from shrew.image.writer import ImageTokenizer, Matrix, WeightType, build_image
from shrew.memory import Memory
from shrew.model.attention import rope_frequencies
from shrew.model.config import ModelConfig, tensor_specs


@dataclass(frozen=True)
class Source:
    """A model with everything that goes into its image."""

    config: ModelConfig
    parameters: Mapping[str, NDArray[np.float32]]
    tokenizer: ImageTokenizer
    metadata: Sequence[tuple[str, str]] = ()
    quantized: Mapping[str, QuantizedMatrix] = field(default_factory=dict, repr=False)
    """Matrices of ``parameters`` that were trained as integers."""
    commands: Commands | None = None
    """The grammar of answers that begin with ``Do: ``."""
    memory: Memory | None = None
    """Answers to questions that the image recognises."""
    left_out: Sequence[str] = ()
    """What was not imported, and why: one line each, for people."""

    @property
    def trained_types(self) -> dict[str, WeightType]:
        """The types of all matrices, as ``quantized`` has them; f32 for the rest."""
        types = {spec.name: WeightType("f32") for spec in tensor_specs(self.config) if not spec.vector}
        for name, matrix in self.quantized.items():
            types[name] = WeightType(matrix.type, matrix.group)
        return types

    @property
    def bare(self) -> Source:
        """The model alone, without metadata, grammar and memory."""
        return replace(self, metadata=(), commands=None, memory=None)


def image_of(
    source: Source,
    types: Mapping[str, WeightType] | WeightType | None = None,
    matrices: Mapping[str, Matrix] | None = None,
) -> bytes:
    """The image of ``source``, as bytes.

    Without ``types``, every matrix is stored exactly as it was trained; with them, rounded to the nearest value of its
    type. ``matrices`` replace the source's, for example those calibrated for ``types``. Raises ConfigError if the parts
    do not fit together.
    """
    own: Mapping[str, Matrix] = source.parameters
    if types is None:
        types, own = source.trained_types, {**own, **source.quantized}
    return build_image(
        source.config,
        own if matrices is None else matrices,
        source.tokenizer,
        types=types,
        metadata=source.metadata,
        commands=source.commands,
        memory=source.memory,
    )


@dataclass(frozen=True)
class StoredTokenizer:
    """The tokenizer of an image, as its sections."""

    vocab: int
    bos: int | None
    prompt_prefix: tuple[int, ...]
    prompt_suffix: tuple[int, ...]
    sections: Mapping[int, bytes] = field(repr=False)

    def section(self) -> bytes:
        return self.sections[Section.TOKENIZER]

    def unicode_section(self) -> bytes | None:
        return self.sections.get(Section.UNICODE)

    def prompts_section(self) -> bytes | None:
        return self.sections.get(Section.PROMPTS)


def source_of(model: Model) -> Source:
    """The source of an image that Shrew wrote. :func:`image_of` makes the same image of it. RunError for others."""
    config = model_config(model)
    if config.position == "rope":
        config = _with_frequencies(config, model.tensor(ROPE_FREQUENCY).values()[0], model.name)
    tensors = {spec.name: model.tensor(spec.role, spec.layer) for spec in tensor_specs(config)}
    fields = model.tokenizer_fields()
    frame = tuple(fields["prompt_prefix"]), tuple(fields["prompt_suffix"])
    return Source(
        config,
        read_parameters(model),
        StoredTokenizer(model.vocab, model.bos, *frame, read_sections(model)),
        model.metadata(),
        quantized={name: tensor.quantized() for name, tensor in tensors.items() if tensor.type != "f32"},
        commands=read_commands(model),
        memory=stored_memory(model),
    )


def open_float_image(path: Path) -> Source:
    """Opens an image whose matrices are all f32. RunError if some are not: rounding cannot be undone."""
    source = source_of(Model.open(path))
    if source.quantized:
        name, matrix = next(iter(source.quantized.items()))
        raise RunError(f"{path}: is quantised already ({name} is {matrix.type}); quantise the run or the f32 image")
    return source


def _with_frequencies(config: ModelConfig, frequencies: NDArray[np.float32], path: str) -> ModelConfig:
    """The configuration with the base of ``frequencies``: an image stores only the rotary frequencies."""
    if len(frequencies) > 1:
        base = float(np.float64(frequencies[1]) ** (-config.head_dim / 2))
        config = replace(config, rope_theta=round(base) if abs(base / round(base) - 1) < 1e-4 else base)
    if not np.allclose(rope_frequencies(config), frequencies, rtol=1e-5):
        raise RunError(f"{path}: its rotary frequencies follow no base; only an image made by Shrew can be quantised")
    return config
