"""Conformance vectors: small images, jobs that use them, and the results that every target must give.

``vectors.json`` has one vector per line, sorted by name: a name, its purpose, the image's file name, a job
(:class:`shrew.ports.bundle.Job`), and the fields of the job's last line.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from shrew.errors import PortError
from shrew.files import write_atomically
from shrew.ports.bundle import Job
from shrew.ports.sources import source_root
from shrew.ports.target import FULL, Target, Variant

FORMAT: Final = 1
MANIFEST: Final = "vectors.json"


class Vector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One conformance vector. ``job.image`` is empty in the manifest and filled from the file ``image``."""

    name: str
    reason: str
    image: str
    job: Job
    expected: dict[str, int | str]


class _Manifest(msgspec.Struct, forbid_unknown_fields=True):
    format: int
    vectors: list[Vector]


def load(folder: Path | None = None) -> list[Vector]:
    """Reads vectors and images from a folder (None: those that come with Shrew). PortError if malformed."""
    folder = folder or source_root() / "vectors"
    path = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
        if manifest.format != FORMAT:
            raise PortError(f"{path}: format {manifest.format} is not {FORMAT}, which this version reads")
        images = {name: (folder / name).read_bytes() for name in {vector.image for vector in manifest.vectors}}
    except OSError as error:
        raise PortError(f"{error.filename}: {error.strerror}; make the vectors with tools/make_vectors.py") from error
    except msgspec.DecodeError as error:
        raise PortError(f"{path}: {error}; make it again with tools/make_vectors.py") from error
    return [_with_image(vector, images[vector.image]) for vector in manifest.vectors]


def save(folder: Path, vectors: Sequence[Vector]) -> None:
    """Writes the manifest and the images, and removes images that no vector uses."""
    folder.mkdir(parents=True, exist_ok=True)
    images = {vector.image: vector.job.image for vector in vectors}
    for name, image in images.items():
        write_atomically(folder / name, image)
    for path in folder.glob("*.bin"):
        if path.name not in images:
            path.unlink()
    lines = [
        msgspec.json.encode(_with_image(vector, b"")).decode()
        for vector in sorted(vectors, key=lambda vector: vector.name)
    ]
    text = f'{{"format":{FORMAT},"vectors":[\n' + ",\n".join(lines) + "\n]}\n"
    write_atomically(folder / MANIFEST, text.encode())


def differences(
    target: Target, vectors: Sequence[Vector], *, unit: int = 0, timeout: float = 300, variant: Variant = FULL
) -> list[str]:
    """Runs vectors on a target and returns a line for each field that differs. Empty: all are identical.

    ``unit`` forces the kernels of a ``shrew_unit``, which the target must have.
    """
    jobs = [msgspec.structs.replace(vector.job, unit=unit) for vector in vectors]
    found = []
    for vector, outcome in zip(vectors, target.run(jobs, timeout=timeout, variant=variant), strict=True):
        for field, expected in vector.expected.items():
            result = outcome.result.get(field)
            if result != expected:
                reason = f"{field} is {result}, must be {expected} ({vector.reason})"
                found.append(f"{target.name}: {vector.name}: {reason}")
    return found


def _with_image(vector: Vector, image: bytes) -> Vector:
    return msgspec.structs.replace(vector, job=msgspec.structs.replace(vector.job, image=image))
