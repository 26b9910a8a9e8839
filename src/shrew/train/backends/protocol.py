"""What the training loop asks of the code that holds parameters and optimiser: NumPy's or PyTorch's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from shrew.corpus.packed import PackedRows
from shrew.model.parameters import Array, Parameters


class Step(NamedTuple):
    nats: float
    """The loss summed over the batch, each token by its weight."""
    learned: float
    """The sum of the weights."""
    norm: float
    """Of the gradient of ``nats / learned``, before clipping."""


class Backend(Protocol):
    """Parameters and their optimiser, wherever they lie.

    All backends compute the same formulas on the same batches and name their state alike, so each can go on from the
    checkpoint of another. Where several processes train together, all call the same methods in the same order with
    the same rows, of which each takes its share, and all are given the same results.
    """

    def step(self, batch: PackedRows, learning_rate: float) -> Step:
        """One move of the parameters. FloatingPointError where loss, gradient or parameters are NaN or infinite."""

    def evaluate(self, rows: PackedRows) -> tuple[float, float]:
        """The loss over ``rows`` and the sum of the weights, as in :class:`Step`."""

    def begin_rounding(self) -> None:
        """From here on losses and gradients are those of the model with its matrices rounded as ``config`` says."""

    def parameters(self) -> Parameters:
        """What the optimiser moves, float32 in main memory; good until the next step."""

    def tensors(self) -> Mapping[str, Array]:
        """What a run keeps: the parameters, or the rounded ones with their scales; good until the next step."""

    def optimizer_state(self) -> dict[str, Array]:
        """Everything besides the parameters that a resumed run needs; good until the next step."""

    def load(self, parameters: Parameters, optimizer_state: Mapping[str, Array]) -> None:
        """Takes over what the two methods above gave. RunError where it does not fit."""

    def largest(self, value: float) -> float:
        """The largest ``value`` of all processes. What they decide by clocks and signals, they decide by this."""

    def close(self) -> None:
        """Gives back threads and connections."""
