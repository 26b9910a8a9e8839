"""Chooses how each matrix of a model is stored, and measures the cost.

The C engine rounds to nearest. ``rounding`` and ``rounded`` implement rounding with learnt scales: learnt in training,
or in ``calibration``, after ``balance``, from the outputs of the float network. ``fit`` chooses types for a budget;
``text`` generates text to calibrate on. ``job`` runs all of it.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shrew.engine import Model
from shrew.errors import ConfigError
from shrew.image import WeightType
from shrew.model.config import ModelConfig, tensor_specs

__all__ = ["TensorError", "choose_types", "parse_override", "parse_type", "tensor_errors"]


@dataclass(frozen=True)
class TensorError:
    """The error from storing one matrix as integers."""

    name: str
    type: WeightType
    bytes: int
    relative: float
    """Root mean square of the error divided by that of the values."""
    largest: float
    """Largest absolute error."""


def parse_override(text: str, default_group: int) -> tuple[str, WeightType]:
    """Parses ``PATTERN=TYPE`` or ``PATTERN=TYPE:GROUP``, such as ``*.down.weight=q8:32``. ConfigError if malformed."""
    pattern, equals, kind = text.partition("=")
    group = kind.partition(":")[2]
    if not pattern or not equals or (group and not group.isdigit()):
        raise ConfigError(f"tensor type {text!r} is not PATTERN=TYPE or PATTERN=TYPE:GROUP, such as 'head.*=q8:32'")
    return pattern, parse_type(kind, default_group)


def parse_type(text: str, default_group: int = -1) -> WeightType:
    """Parses ``TYPE`` or ``TYPE:GROUP``, such as ``q4:16``. ConfigError if malformed."""
    name, _, group = text.partition(":")
    if group and not group.isdigit():
        raise ConfigError(f"weight type {text!r} is not TYPE or TYPE:GROUP, such as q4:16")
    return WeightType(name, int(group or default_group)).checked()


def choose_types(
    config: ModelConfig, default: WeightType, overrides: Iterable[tuple[str, WeightType]] = ()
) -> dict[str, WeightType]:
    """The type of every matrix: that of the last override whose pattern matches its name, else ``default``."""
    names = [spec.name for spec in tensor_specs(config) if not spec.vector]
    types = dict.fromkeys(names, default.checked())
    for pattern, weight in overrides:
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise ConfigError(f"no matrix of this model matches {pattern!r}; its matrices are {', '.join(names[:4])} …")
        types.update(dict.fromkeys(matches, weight))
    return types


def tensor_errors(
    model: Model, config: ModelConfig, parameters: Mapping[str, NDArray[np.float32]], types: Mapping[str, WeightType]
) -> list[TensorError]:
    """The error of each matrix of an image, compared with the floats from which it was made."""
    errors = []
    for spec in tensor_specs(config):
        if spec.vector:
            continue
        stored = model.tensor(spec.role, spec.layer)
        exact = parameters[spec.name].astype(np.float64)
        difference = stored.values() - exact
        power = float(np.sqrt(np.mean(exact**2)))
        errors.append(
            TensorError(
                spec.name,
                types[spec.name],
                stored.bytes,
                float(np.sqrt(np.mean(difference**2))) / power if power else 0.0,
                float(np.abs(difference).max()),
            )
        )
    return errors
