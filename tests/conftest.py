"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# As the command line does, before NumPy is imported: its threads and those of training wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A busy machine fails no test.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data that is not part of the project; tests that ask for it skip where it is absent."""
    folder = Path(os.environ.get("SHREW_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
    if not (folder / "INDEX.md").is_file():
        pytest.skip(f"no test data in {folder}; set SHREW_DATA")
    return folder
