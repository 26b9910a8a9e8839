"""The interface between the training loop and its backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from shrew.corpus.packed import PackedRows
from shrew.model.parameters import Array, Parameters


class Step(NamedTuple):
    nats: float
    """The loss of the batch in nats: the sum over tokens, times their weights."""
    learned: float
    """The sum of the weights."""
    norm: float
    """Norm of the gradient of ``nats / learned``, before clipping."""


class Backend(Protocol):
    """Parameters and their optimiser, on any device.

    All backends compute the same formulas on the same batches and use the same names for their state, so each can
    continue from another's checkpoint. If several processes train together, all call the same methods in the same order
    with the same rows, of which each processes its share, and all get the same results.
    """

    def step(self, batch: PackedRows, learning_rate: float) -> Step:
        """Makes one optimiser step. FloatingPointError if loss, gradient or parameters become NaN or infinite."""

    def evaluate(self, rows: PackedRows) -> tuple[float, float]:
        """The loss of ``rows`` and the sum of their weights, as in :class:`Step`."""

    def begin_rounding(self) -> None:
        """From now on, computes losses and gradients with the matrices rounded as ``config`` says."""

    def parameters(self) -> Parameters:
        """The parameters that the optimiser moves, as float32 in main memory. Valid until the next step."""

    def tensors(self) -> Mapping[str, Array]:
        """The tensors that a run saves: the parameters, or the rounded ones with scales. Valid until the next step."""

    def optimizer_state(self) -> dict[str, Array]:
        """Everything except the parameters that a resumed run needs. Valid until the next step."""

    def load(self, parameters: Parameters, optimizer_state: Mapping[str, Array]) -> None:
        """Restores the results of :meth:`parameters` and :meth:`optimizer_state`. RunError if they do not fit."""

    def largest(self, value: float) -> float:
        """The largest ``value`` among all processes, so that decisions by clocks and signals agree."""

    def close(self) -> None:
        """Releases threads and connections."""
