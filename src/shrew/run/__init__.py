"""The run: a folder with everything about one training.

Only ``folder`` writes to it, and ``lock`` allows one process at a time; ``config`` and ``data`` are its
``config.toml``; ``loading`` converts it to the source of an image.
"""

from shrew.run.config import RunConfig, TrainConfig, read_run_config, stored_types
from shrew.run.data import DataConfig
from shrew.run.folder import LogRecord, Run, Weights, read_tensors
from shrew.run.loading import LoadedRun, load_run
from shrew.run.lock import sole_writer

__all__ = [
    "DataConfig",
    "LoadedRun",
    "LogRecord",
    "Run",
    "RunConfig",
    "TrainConfig",
    "Weights",
    "load_run",
    "read_run_config",
    "read_tensors",
    "sole_writer",
    "stored_types",
]
