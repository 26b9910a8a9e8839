"""Fixtures for all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# As on the command line, before NumPy is imported: otherwise BLAS threads and training threads wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A busy machine must not make tests fail.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with data that is not part of the project. Tests that use it are skipped if it is missing."""
    folder = Path(os.environ.get("SHREW_DATA") or Path(__file__).resolve().parents[2] / "shared/data")
    if not (folder / "INDEX.md").is_file():
        pytest.skip(f"no test data in {folder}; set SHREW_DATA")
    return folder
