"""Questions about other things than a device: what a device should say that it does not know."""

from __future__ import annotations

from importlib.resources import files


def other_questions() -> dict[str, list[str]]:
    """Questions of several kinds, such as arithmetic and small talk, in each kind in the order of the file."""
    kinds: dict[str, list[str]] = {}
    for line in files("shrew.corpus").joinpath("data", "others.txt").read_text("utf-8").splitlines():
        if line.startswith("#"):
            kind = kinds.setdefault(line.removeprefix("#").strip(), [])
        elif line.strip():
            kind.append(line.strip())
    return kinds
