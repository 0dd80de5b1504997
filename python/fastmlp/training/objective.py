"""Loss and gradient as functions of a flat vector of parameters, for external optimizers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.losses import core_function
from fastmlp.network import Network
from fastmlp.network.architecture import INPUT_KINDS, TRAINED_KINDS
from fastmlp.network.samples import Data
from fastmlp.validation import thread_count

__all__ = ["Objective"]

Array = npt.NDArray[Any]


class Objective:
    """Mean loss of a model over samples as a function of its parameters.

    The flat vector holds the weights of all layers, each in C order, then the biases of all layers,
    then the scales of the layers with batch normalization. The gradient of frozen layers is 0.

    Parameters
    ----------
    model : Network
        Model whose parameters are those of the last call.
    data : Data
        Samples, targets and weights.
    threads : int, optional
        Number of threads; the default depends on the work.
    l2 : float
        Coefficient of the penalty: the loss adds ``l2 / 2`` times the sum of the squared weights.
    """

    def __init__(
        self,
        model: Network,
        data: Data,
        threads: int | None = None,
        l2: float = 0.0,
    ) -> None:
        self._model = model
        self._data = data
        self._l2 = l2
        self._loss_function = core_function(model.architecture.losses)
        self._gradient = model._core_gradient(len(data), thread_count(threads))
        self._shapes = [
            (kind, layer, array.shape)
            for kind in TRAINED_KINDS
            for layer, array in model._layer_arrays(kind)
        ]
        trainable = model.trainable
        self._frozen = np.concatenate(
            [
                np.full(np.prod(shape), not trainable[0 if kind in INPUT_KINDS else layer])
                for kind, layer, shape in self._shapes
            ]
        )
        self._weights = sum(
            int(np.prod(shape)) for kind, _, shape in self._shapes if kind == "weights"
        )

    def flat(self) -> npt.NDArray[np.float64]:
        """Return the model's parameters as a float64 array of shape (parameters,)."""
        arrays = [array for kind in TRAINED_KINDS for _, array in self._model._layer_arrays(kind)]
        return _joined(arrays)

    def assign(self, flat: npt.NDArray[np.float64]) -> None:
        """Set the model's parameters, converted to its dtype."""
        first = 0
        for kind, layer, shape in self._shapes:
            count = int(np.prod(shape))
            values = flat[first : first + count].reshape(shape)
            self._model._assign(kind, layer, values.astype(self._model.dtype))
            first += count

    def __call__(self, flat: npt.NDArray[np.float64]) -> tuple[float, npt.NDArray[np.float64]]:
        """Return the loss and its gradient at `flat`, in float64 for either dtype of the model."""
        self.assign(flat)
        loss, arrays = self._gradient.compute(
            self._data.rows,
            self._data.targets,
            sample_weight=self._data.sample_weight,
            loss_function=self._loss_function,
        )
        gradient = _joined([array for kind in TRAINED_KINDS for array in arrays[kind]])
        if self._l2:
            weights = flat[: self._weights]
            loss += self._l2 / 2 * float(weights @ weights)
            gradient[: self._weights] += self._l2 * weights
        gradient[self._frozen] = 0
        return loss, gradient


def _joined(arrays: Sequence[Array]) -> npt.NDArray[np.float64]:
    return np.concatenate([array.ravel() for array in arrays], dtype=np.float64)
