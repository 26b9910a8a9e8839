"""Shrew: language models for microcontrollers.

>>> import shrew
>>> model = shrew.load("model.bin")  # doctest: +SKIP
>>> model.generate("How big is the flash?")  # doctest: +SKIP
'The board has 16 MB of flash.'
>>> for piece in model.stream("Tell me a story.", max_tokens=200):  # doctest: +SKIP
...     print(piece, end="", flush=True)
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

from shrew.errors import ShrewError

if TYPE_CHECKING:
    import os

    from shrew.engine import Model

__all__ = ["ShrewError", "__version__", "load"]

__version__ = version("shrew")


def load(path: str | os.PathLike[str]) -> Model:
    """Opens and validates a model image. Raises an :class:`~shrew.errors.ImageError` that says what is wrong."""
    from shrew.engine import Model

    return Model.open(path)
