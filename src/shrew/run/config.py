"""The configuration of a run, stored in ``config.toml``: its model, its training options, the origin of its data."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from shrew.errors import ConfigError
from shrew.image import WeightType
from shrew.model.config import ModelConfig
from shrew.quantize import choose_types, parse_override, parse_type

Scalar = str | int | float | bool
Value = Scalar | list[str]
Table = TypeVar("Table")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How a model is trained. The run ends at ``steps`` or ``minutes``, whichever is reached first; one must be set."""

    steps: int = 0
    """Optimiser steps in all; 0: bounded by minutes."""
    minutes: float = 0.0
    """Training time in all, including resumed parts; 0: bounded by steps, which makes the result reproducible."""
    batch: int = 32
    """Rows per step."""
    learning_rate: float = 3e-3
    """Peak learning rate."""
    optimizer: Literal["adamw", "muon"] = "adamw"
    schedule: Literal["cosine", "wsd", "constant"] = "cosine"
    warmup: float = 0.02
    """Fraction of the run over which the rate rises."""
    decay: float = 0.3
    """Fraction of the run over which ``wsd`` lowers the rate at the end."""
    floor: float = 0.05
    """Final rate, as a fraction of its peak."""
    weight_decay: float = 0.1
    """Weight decay of matrices; vectors do not decay."""
    beta1: float = 0.9
    beta2: float = 0.99
    clip: float = 1.0
    """Gradients are clipped to this norm; 0: no clipping."""
    keep: Literal["best", "last"] = "best"
    """Which weights become ``model.safetensors``: those of the lowest validation loss, or the last ones. When answers
    are memorised, the loss on new phrasings rises long before their accuracy stops rising."""
    weights: str = "f32"
    """How matrices will be stored: ``TYPE`` or ``TYPE:GROUP``, such as ``q4:16``. If that is not f32, the last part of
    the run computes loss and gradients with rounded matrices, as the image will have them."""
    tensors: str = ""
    """Other types for some matrices: ``PATTERN=TYPE[:GROUP]``, separated by blanks; the last match wins."""
    quantize_from: float = 0.5
    """Fraction of the run after which matrices are rounded."""
    backend: Literal["numpy", "torch"] = "numpy"
    """What computes. Either continues from a checkpoint of the other, with the same numbers up to rounding."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where PyTorch computes; auto: on CUDA if there is a device."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of PyTorch's matrix products and attention. Parameters, norms, loss, optimiser are always float32."""
    compile: bool = False
    """Have PyTorch compile the network: takes a minute at the start, and makes steps faster, mainly on a GPU."""
    seed: int = 0
    log_every: int = 10
    eval_every: int = 100
    checkpoint_every: int = 200
    threads: int = 2
    """CPU threads. With NumPy, their number does not change results, and more than 8 do not help."""

    def __post_init__(self) -> None:
        if self.steps == 0 and self.minutes == 0:
            raise ConfigError("train: set steps or minutes")
        for name in ("batch", "log_every", "eval_every", "checkpoint_every", "threads"):
            self._check(name, getattr(self, name) >= 1, "at least 1")
        for name in ("steps", "minutes", "weight_decay", "clip", "seed"):
            self._check(name, getattr(self, name) >= 0, "at least 0")
        for name in ("warmup", "decay", "floor"):
            self._check(name, 0 <= getattr(self, name) <= 1, "between 0 and 1")
        for name in ("beta1", "beta2", "warmup", "quantize_from"):
            self._check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._check("learning_rate", self.learning_rate > 0, "above 0")
        if self.backend == "numpy":
            for name, only in (("device", ("auto", "cpu")), ("precision", ("float32",)), ("compile", (False,))):
                self._check(name, getattr(self, name) in only, f"{only[-1]} with the backend numpy")
        for item in fields(self):
            value = getattr(self, item.name)
            self._check(item.name, not isinstance(value, float) or abs(value) < float("inf"), "finite")

    def _check(self, name: str, good: bool, rule: str) -> None:
        if not good:
            raise ConfigError(f"train: {name} is {getattr(self, name)}, must be {rule}")

    def share(self, step: int, seconds: float) -> float:
        """The fraction of the run that is done after ``step`` steps and ``seconds``, 0 to 1."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / (60 * self.minutes) if self.minutes else 0.0
        return min(max(by_steps, by_time), 1.0)


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """The contents of a run folder's ``config.toml``."""

    model: ModelConfig
    train: TrainConfig
    data: Mapping[str, Value] = field(default_factory=dict)
    """The origin of the rows, as their creator describes it. Training does not read it."""

    def to_toml(self) -> str:
        tables = {"model": asdict(self.model), "train": asdict(self.train), "data": dict(self.data)}
        return "\n".join(f"[{name}]\n{_emit(table)}" for name, table in tables.items())

    @classmethod
    def from_toml(cls, text: str, name: str) -> RunConfig:
        """Parses ``config.toml``. Raises a ConfigError in one line that names the file (``name``) and the key."""
        try:
            tables = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{name}: not TOML: {error}") from None
        if unknown := sorted(set(tables) - {"model", "train", "data"}):
            raise ConfigError(f"{name}: unknown table [{unknown[0]}]; there are [model], [train] and [data]")
        for table in ("model", "train"):
            if table not in tables:
                raise ConfigError(f"{name}: table [{table}] is missing")
        return cls(
            model=_table(ModelConfig, tables["model"], f"{name}: model"),
            train=_table(TrainConfig, tables["train"], f"{name}: train"),
            data=_convert(dict[str, Value], tables.get("data", {}), f"{name}: data"),
        )


def stored_types(model: ModelConfig, config: TrainConfig) -> dict[str, WeightType]:
    """The type of every matrix that ``config`` trains for. ConfigError if a type is invalid."""
    default = parse_type(config.weights)
    return choose_types(model, default, [parse_override(text, default.group) for text in config.tensors.split()])


def read_run_config(path: Path) -> RunConfig:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path}: cannot read: {reason}") from None
    return RunConfig.from_toml(text, str(path))


def _table(kind: type[Table], table: object, name: str) -> Table:
    if isinstance(table, dict):
        known = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # every Table is a dataclass
        if unknown := sorted(set(table) - known):
            raise ConfigError(f"{name}.{unknown[0]}: unknown key")
    return _convert(kind, table, name)


def _convert(kind: type[Table], value: object, name: str) -> Table:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.steps`": moves the path to the front, in our notation
        reason, _, path = str(error).replace("`", "").partition(" - at $")
        raise ConfigError(f"{name}{path}: {reason[0].lower()}{reason[1:]}") from None
    except ConfigError as error:
        raise ConfigError(f"{name.rpartition(': ')[0]}: {error}") from None


def _emit(table: Mapping[str, Value]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _value(key)


def _value(value: Value) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # TOML's basic strings have the escapes of JSON, and also escape U+007F
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    return repr(value)
