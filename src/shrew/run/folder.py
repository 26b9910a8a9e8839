"""The run folder, which has everything about one training. Only this module writes to it.

=======================  =====================================================================
``config.toml``          model, training and data (:class:`RunConfig`)
``tokenizer.json``       written by the caller
``commands.json``        the learnt commands: the grammar of an image
``memory.bin``, ``.json``  answers to questions that an image recognises (``memory.py``)
``model.safetensors``    the best weights so far, with metadata
``checkpoint.safetensors``  parameters, optimiser, order of data: where ``--resume`` continues
``log.jsonl``            one JSON object per logged step
``loss.png``             the loss curve, if matplotlib is installed
``writer.lock``          names the process that is writing (``lock.py``)
=======================  =====================================================================

Files are replaced atomically: a new file is written next to the old one, synced to disk, then renamed. A crash or a
full disk leaves the old file unchanged. If several processes train together, only the first writes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from shrew.corpus import Corpus
from shrew.errors import ConfigError, DataError, RunError
from shrew.files import remove_unfinished, write_atomically
from shrew.model.parameters import Array, Parameters
from shrew.quantize.rounded import SCALES_OF
from shrew.run.config import RunConfig, read_run_config
from shrew.run.data import DataConfig
from shrew.run.lock import make_folder
from shrew.run.processes import this_process


@dataclass(frozen=True)
class LogRecord:
    """One line of ``log.jsonl``."""

    step: int
    loss: float
    """Nats per learned token, the mean since the previous line."""
    validation: float | None
    """The same for the validation rows; None if this step was not evaluated."""
    lr: float
    tokens: int
    """Tokens processed since the start of the run, without padding."""
    tokens_per_s: float
    seconds: float
    """Seconds of all parts of the run so far."""


class Weights(NamedTuple):
    """The contents of ``model.safetensors``."""

    parameters: Parameters
    scales: dict[str, Array]
    """Scales of the matrices that were trained as integers, by name of the matrix."""
    metadata: dict[str, str]


class Run:
    """An existing run folder with a valid configuration."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config
        self.writes = this_process().first
        """Whether this process changes the folder."""
        self.tokenizer_path = path / "tokenizer.json"
        self.commands_path = path / "commands.json"
        self.memory_path = path / "memory.bin"
        self.weights_path = path / "model.safetensors"
        self.checkpoint_path = path / "checkpoint.safetensors"
        self.log_path = path / "log.jsonl"
        self.plot_path = path / "loss.png"

    @classmethod
    def create(cls, path: str | Path, config: RunConfig, *, overwrite: bool = False) -> Run:
        """Creates the folder, or uses an empty one. ``overwrite`` replaces an existing run. RunError."""
        path = Path(path)
        run = cls(path, config)
        if not run.writes:
            return run
        make_folder(path)
        if (path / "config.toml").exists():
            if not overwrite:
                raise RunError(f"{path}: holds a run already; go on with --resume or replace it with --overwrite")
            run._clear()
        run.replace(path / "config.toml", config.to_toml().encode())
        return run

    @classmethod
    def open(cls, path: str | Path) -> Run:
        """Opens an existing run. RunError if it is not a run, ConfigError if its configuration is invalid."""
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"{path}: no such run folder; `shrew train` makes one")
        if not (path / "config.toml").is_file():
            raise RunError(f"{path}: not a run folder: config.toml is missing")
        return cls(path, read_run_config(path / "config.toml"))

    @property
    def _all_but_config(self) -> tuple[Path, ...]:
        texts = self.tokenizer_path, self.commands_path
        memory = self.memory_path, self.memory_path.with_suffix(".json")
        return *texts, *memory, self.weights_path, self.checkpoint_path, self.log_path, self.plot_path

    @property
    def data(self) -> DataConfig | None:
        """The run's data, with present paths; None if config.toml does not name it."""
        return DataConfig.from_table(self.config.data, self.path)

    def load_corpus(self) -> Corpus:
        """Loads the run's corpus. DataError if it is gone or unreadable, RunError if the run does not name its data."""
        data = self.data
        if data is None:
            raise RunError(f"{self.path}: does not name its training data")
        if data.gone:
            gone = ", ".join(data.gone)
            raise DataError(f"{self.path}: its data is gone ({gone}); bring it back, or put it into this folder")
        return data.load()

    def _clear(self) -> None:
        for old in self._all_but_config:
            try:
                old.unlink(missing_ok=True)
            except OSError as error:
                raise RunError(f"{old}: cannot remove: {error.strerror}") from None

    def remove_unfinished(self) -> None:
        """Removes temporary files of a training that was killed. No training may be running in the folder."""
        if self.writes:
            for path in self._all_but_config:
                remove_unfinished(path)

    def replace(self, path: Path, content: bytes) -> None:
        """Writes one of the folder's files atomically. RunError."""
        if self.writes:
            write_atomically(path, content)

    def save_weights(self, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
        """Saves weights. ``tensors``: parameters and, if matrices are rounded, their scales."""
        # One entry, because safetensors writes several in no fixed order, and equal runs must give equal files.
        entry = {"shrew": json.dumps(dict(metadata), sort_keys=True)}
        self.replace(self.weights_path, save(dict(tensors), entry))

    def load_weights(self) -> Weights:
        """Loads the best weights. RunError if the file is missing, malformed or of another model."""
        tensors, entries = read_tensors(self.weights_path)
        own = {name: tensor for name, tensor in tensors.items() if not name.startswith(SCALES_OF)}
        scales = {name.removeprefix(SCALES_OF): tensors[name] for name in tensors.keys() - own.keys()}
        try:
            return Weights(Parameters.of(self.config.model, own), scales, json.loads(entries.get("shrew", "{}")))
        except (ConfigError, ValueError) as error:
            raise RunError(f"{self.weights_path}: does not fit config.toml: {error}") from None

    def save_commands(self, commands: Sequence[str]) -> None:
        self.replace(self.commands_path, json.dumps(list(commands), indent=1).encode() + b"\n")

    def load_commands(self) -> list[str] | None:
        """The learnt commands; None if the run does not store them, like runs of the first version. RunError."""
        try:
            commands = json.loads(self.commands_path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise RunError(f"{self.commands_path}: not a list of commands: {error}") from None
        if not isinstance(commands, list) or not all(isinstance(command, str) for command in commands):
            raise RunError(f"{self.commands_path}: not a list of commands; remove it, and give --commands FILE")
        return commands

    def append_log(self, record: LogRecord) -> None:
        if not self.writes:
            return
        try:
            with self.log_path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(asdict(record)) + "\n")
        except OSError as error:
            raise RunError(f"{self.log_path}: cannot write: {error.strerror}") from None

    def read_log(self) -> list[LogRecord]:
        """Reads all complete lines; a crash may have truncated the last one."""
        try:
            lines = self.log_path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise RunError(f"{self.log_path}: cannot read: {error}") from None
        try:
            return [LogRecord(**json.loads(line)) for line in lines[:-1] if line]
        except (ValueError, TypeError) as error:
            raise RunError(f"{self.log_path}: malformed: {error}") from None

    def cut_log(self, step: int) -> list[LogRecord]:
        """Drops lines after ``step``, so that a run resumed there does not repeat them. Returns the rest."""
        kept = [record for record in self.read_log() if record.step <= step]
        self.replace(self.log_path, "".join(json.dumps(asdict(record)) + "\n" for record in kept).encode())
        return kept


def read_tensors(path: Path) -> tuple[dict[str, Array], dict[str, str]]:
    """Reads tensors and metadata of a safetensors file. RunError if it is unreadable."""
    if not path.is_file():
        raise RunError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            tensors: dict[str, NDArray[np.float32]] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
            return dict(tensors), dict(file.metadata() or {})
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise RunError(f"{path}: not a readable safetensors file: {error}") from None
