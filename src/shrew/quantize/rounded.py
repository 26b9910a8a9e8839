"""Parameters whose matrices are rounded to integers times scales, as in an image, while both are being learnt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor

import numpy as np

from shrew.engine import QuantizedMatrix
from shrew.errors import RunError
from shrew.image import WeightType
from shrew.model.parameters import Array, Parameters
from shrew.quantize.rounding import Rounding

#: Prefix of the name of a matrix' scales in a file.
SCALES_OF = "scales."


class Adam:
    """The direction of Adam's steps (Kingma and Ba 2015) for one vector."""

    def __init__(self, size: int) -> None:
        self.first, self.second = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self.steps = 0

    def direction(self, gradient: Array) -> Array:
        self.steps += 1
        self.first += 0.1 * (gradient - self.first)
        self.second += 0.01 * (gradient * gradient - self.second)
        root = np.sqrt(self.second / np.float32(1 - 0.99**self.steps))
        root += 1e-12
        return np.asarray(self.first / root / np.float32(1 - 0.9**self.steps))


class Rounded:
    """The roundings of a model's matrices, with their learnt scales in one vector.

    The caller keeps the latent values, those before rounding. Tensors that are not in ``roundings`` stay float.
    """

    def __init__(
        self,
        latent: Parameters,
        types: Mapping[str, WeightType],
        rate: float,
        importance: Mapping[str, Array] | None = None,
    ) -> None:
        """Starts with the best scales for ``latent``, columns weighted by ``importance``, as in :class:`Rounding`.

        ``rate`` is the full learning rate of a scale, relative to the scale.
        """
        self.roundings = {
            name: Rounding(weight, latent[name], None if importance is None else importance.get(name))
            for name, weight in types.items()
            if weight.type != "f32"
        }
        self._parameters = latent.copy()
        self._scales = _flat(rounding.scales for rounding in self.roundings.values())
        start = 0
        for rounding in self.roundings.values():
            end = start + rounding.scales.size
            rounding.scales = self._scales[start:end].reshape(rounding.scales.shape)
            start = end
        self._rates = np.float32(rate) * np.abs(self._scales)
        self._adam = Adam(self._scales.size)

    def round(self, latent: Parameters, executor: Executor | None = None) -> Parameters:
        """The parameters as the image will have them. Valid until the next call."""

        def one(name: str) -> None:
            rounding = self.roundings.get(name)
            self._parameters[name][...] = latent[name] if rounding is None else rounding.forward(latent[name])

        list((executor.map if executor else map)(one, latent))
        return self._parameters

    def pull_back(self, gradients: Parameters, executor: Executor | None = None) -> Array:
        """Converts gradients of the result of :meth:`round` to those of the latent values, in place. Returns the
        gradients of the scales."""

        def one(name: str) -> Array:
            gradients[name][...], of_scales = self.roundings[name].backward(gradients[name])
            return of_scales

        return _flat((executor.map if executor else map)(one, self.roundings))

    def learn(self, gradient: Array, share: float) -> None:
        """Moves the scales against their gradient, at the fraction ``share`` of the full rate."""
        self._scales -= np.float32(share) * self._rates * self._adam.direction(gradient)

    def quantized(self, latent: Parameters) -> dict[str, QuantizedMatrix]:
        """The rounded matrices for the writer of images."""
        return {name: rounding.quantized(latent[name]) for name, rounding in self.roundings.items()}

    def tensors(self, latent: Parameters) -> dict[str, Array]:
        """The rounded parameters and, under separate names, the scales: what :func:`integers_of` needs."""
        scales = {SCALES_OF + name: rounding.scales for name, rounding in self.roundings.items()}
        return {**self.round(latent), **scales}

    def state(self) -> dict[str, Array]:
        """The scales and the state of their optimiser, for a checkpoint."""
        adam, steps = self._adam, np.array([self._adam.steps], np.float64)
        return dict(zip(_STATE, (self._scales, self._rates, adam.first, adam.second, steps), strict=True))

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Restores :meth:`state`. RunError if it is of another model or other types."""
        for name, own in self.state().items():
            if name not in state or state[name].shape != own.shape:
                raise RunError(f"{name!r} is missing or belongs to other weight types")
            own[...] = state[name]
        self._adam.steps = int(state["scales_steps"][0])


_STATE = ("scales", "scales_rates", "scales_first", "scales_second", "scales_steps")


def integers_of(
    parameters: Mapping[str, Array], scales: Mapping[str, Array], types: Mapping[str, WeightType]
) -> dict[str, QuantizedMatrix]:
    """Recovers the integers of rounded matrices from their scales. RunError if these do not fit ``types``."""
    matrices = {}
    for name, matrix_scales in scales.items():
        weight = types.get(name, WeightType("f32"))
        if weight.type == "f32":
            raise RunError(f"there are scales for {name}, which is stored as f32")
        rounding = Rounding(weight, parameters[name], scales=matrix_scales)
        if matrix_scales.shape != (rounding.rows, -(-rounding.cols // rounding.width)):
            raise RunError(f"the scales of {name} are {matrix_scales.shape}, which does not fit {weight}")
        matrices[name] = rounding.quantized(parameters[name])
        if not np.array_equal(matrices[name].floats(), parameters[name]):
            raise RunError(f"the values of {name} are not multiples of its scales")
    return matrices


def _flat(arrays: Iterable[Array]) -> Array:
    return np.concatenate([np.zeros(0, np.float32), *(array.ravel() for array in arrays)])
