"""The run: a folder with everything about one training.

Only ``folder`` writes to it, and ``lock`` allows one process at a time; ``config`` and ``data`` are its
``config.toml``; ``memory`` learns and keeps its memory; ``loading`` converts it to the source of an image.
"""

from shrew.run.config import RunConfig, TrainConfig, read_run_config, stored_types
from shrew.run.data import DataConfig
from shrew.run.folder import LogRecord, Run, Weights, read_tensors
from shrew.run.loading import LoadedRun, load_run
from shrew.run.lock import sole_writer
from shrew.run.memory import (
    DEFAULT_REFUSAL,
    RunMemory,
    corrected_memory,
    learn_memory,
    load_memory,
    refusal_of,
    save_memory,
)

__all__ = [
    "DEFAULT_REFUSAL",
    "DataConfig",
    "LoadedRun",
    "LogRecord",
    "Run",
    "RunConfig",
    "RunMemory",
    "TrainConfig",
    "Weights",
    "corrected_memory",
    "learn_memory",
    "load_memory",
    "load_run",
    "read_run_config",
    "read_tensors",
    "refusal_of",
    "save_memory",
    "sole_writer",
    "stored_types",
]
