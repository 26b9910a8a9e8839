"""Shrew: language models for microcontrollers.

>>> import shrew
>>> model = shrew.load("model.bin")  # doctest: +SKIP
>>> model.generate("How big is the flash?")  # doctest: +SKIP
'The board has 16 MB of flash.'
>>> for piece in model.stream("Tell me a story.", max_tokens=200, temperature=0.7):  # doctest: +SKIP
...     print(piece, end="", flush=True)
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from shrew.errors import ShrewError

if TYPE_CHECKING:
    import os

    from shrew.engine import Model, Sampling

__all__ = ["Sampling", "ShrewError", "__version__", "load"]

__version__ = version("shrew")


def load(path: str | os.PathLike[str]) -> Model:
    """Opens and validates a model image. Raises an :class:`~shrew.errors.ImageError` that says why it is refused."""
    from shrew.engine import Model

    return Model.open(path)


def __getattr__(name: str) -> Any:
    """Loads the engine on first use."""
    if name == "Sampling":
        from shrew.engine import Sampling

        return Sampling
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
