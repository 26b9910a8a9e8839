"""Rounding matrices to integers whose scales, and whose values before rounding, can be learnt."""

from __future__ import annotations

import numpy as np

from shrew.engine import QuantizedMatrix, multiplier_limit
from shrew.engine.tensor import RANGES, fit_scales
from shrew.image import WeightType
from shrew.model.parameters import Array

#: A group of zeros has no scale of its own.
SMALLEST_SCALE = np.float32(1e-12)


class Rounding:
    """Rounds a matrix [R, C] to integers times scales [R, G], one scale for each group of columns.

    A scale is a row's scale times an int8 multiplier, as the image stores it; what is learnt is their product, and
    every rounding here goes through the multipliers. Gradients pass through roundings as if those were not there
    (straight-through, Bengio et al. 2013), those of scales as in learned step size quantisation (Esser et al. 2020).
    """

    def __init__(
        self, weight: WeightType, matrix: Array, importance: Array | None = None, *, scales: Array | None = None
    ) -> None:
        """With ``scales`` or those of the least squared error of ``matrix``, columns weighted by ``importance`` [C]."""
        self.weight = weight.checked()
        self.low, self.high = RANGES[self.weight.type]
        self.rows, self.cols = matrix.shape
        self.width = self.weight.group or self.cols
        self.limit = multiplier_limit(self.weight.type, self.cols)
        if scales is not None:
            self.scales = scales
            return
        if importance is None:
            importance = np.ones(self.cols, np.float32)
        self.scales = fit_scales(matrix, self.weight.type, self.weight.group, importance)

    def forward(self, latent: Array) -> Array:
        """``latent`` [R, C] rounded, as floats."""
        row_scales, multipliers = self._stored_scales()
        scale = (row_scales[:, None] * multipliers)[..., None]
        self._ratio = self._grouped(latent) / scale
        self._integers = np.clip(np.rint(self._ratio), self.low, self.high)
        return self._columns(self._integers * scale)

    def backward(self, gradient: Array) -> tuple[Array, Array]:
        """The gradients of the latent values [R, C] and of the scales [R, G], from that of the rounded values."""
        groups = self._grouped(gradient)
        inside = (self._ratio > self.low - 0.5) & (self._ratio < self.high + 0.5)
        slope = self._integers - self._ratio * inside
        return self._columns(groups * inside), np.einsum("rgc,rgc->rg", groups, slope)

    def quantized(self, latent: Array) -> QuantizedMatrix:
        """What :meth:`forward` stands for, as an image stores it."""
        self.forward(latent)
        row_scales, multipliers = self._stored_scales()
        values = self._columns(self._integers).astype(np.int8)
        stored = multipliers.astype(np.int8) if self.weight.group else None
        return QuantizedMatrix(self.weight.type, self.weight.group, values, row_scales, stored)

    def _stored_scales(self) -> tuple[Array, Array]:
        """Row scales [R] and multipliers [R, G] nearest to the scales."""
        if not self.weight.group:
            return self.scales[:, 0], np.ones_like(self.scales)
        row_scales = np.maximum(np.abs(self.scales).max(axis=1), SMALLEST_SCALE) / np.float32(self.limit)
        multipliers = np.rint(self.scales / row_scales[:, None])
        return row_scales, np.where(multipliers == 0, np.copysign(np.float32(1), self.scales), multipliers)

    def _grouped(self, matrix: Array) -> Array:
        """[R, C] to [R, G, width], the last group filled up with zeros."""
        missing = -self.cols % self.width
        if missing:
            matrix = np.pad(matrix, ((0, 0), (0, missing)))
        return matrix.reshape(len(matrix), -1, self.width)

    def _columns(self, groups: Array) -> Array:
        return groups.reshape(len(groups), -1)[:, : self.cols]
