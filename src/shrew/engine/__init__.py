"""The Python face of the C engine: the only package that touches C.

:class:`Model` is a validated image, :class:`Session` one conversation with it, in memory that this package allocates
and the engine merely uses.
"""

from shrew.engine.model import Model, quantize_q8
from shrew.engine.session import Progress, Sampling, Session

__all__ = ["Model", "Progress", "Sampling", "Session", "quantize_q8"]
