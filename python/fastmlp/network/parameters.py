"""Lists of parameters for users, and checks of parameters that users assign."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from fastmlp.validation import finite_array

__all__ = ["Parameters", "checked_parameter", "checked_parameters", "parameter_shape"]

Array = npt.NDArray[Any]


class Parameters(list[Array]):
    """List of read-only copies of parameters; assigning an item changes the network."""

    def __init__(self, arrays: Iterable[Array], assign: Callable[[int, object], None]) -> None:
        super().__init__(arrays)
        self._assign = assign
        for array in self:
            array.flags.writeable = False

    @overload
    def __setitem__(self, index: SupportsIndex, value: Array) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[Array]) -> None: ...
    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            raise TypeError("assign one layer at a time, or the whole list to the model")
        layer = range(len(self))[index]
        self._assign(layer, value)
        copy = np.array(value, dtype=self[layer].dtype)
        copy.flags.writeable = False
        super().__setitem__(layer, copy)


def parameter_shape(kind: str, layer: int, layer_sizes: Sequence[int]) -> tuple[int, ...]:
    """Return (in, out) for the weights of a layer, (out,) for its other arrays."""
    inputs, outputs = layer_sizes[layer : layer + 2]
    return (inputs, outputs) if kind == "weights" else (outputs,)


def checked_parameter(
    name: str, layer: int, value: object, layer_sizes: Sequence[int], dtype: np.dtype[Any]
) -> Array:
    """Return one array of a layer in `dtype`, or raise."""
    array = finite_array(f"{name}[{layer}]", value, dtype)
    shape = parameter_shape(name, layer, layer_sizes)
    if array.shape != shape:
        raise ValueError(f"{name}[{layer}] must have shape {shape}, got {array.shape}")
    if name == "variances" and array.min() < 0:
        raise ValueError(f"{name}[{layer}] must be >= 0, got {array.min()}")
    return array


def checked_parameters(
    name: str, values: object, layer_sizes: Sequence[int], dtype: np.dtype[Any]
) -> list[Array]:
    """Return one array per layer in `dtype`, or raise."""
    if not isinstance(values, (list, tuple)):
        raise TypeError(
            f"{name} must be a list of one array per layer, got {type(values).__name__}"
        )
    layers = len(layer_sizes) - 1
    if len(values) != layers:
        raise ValueError(f"{name} must have {layers} arrays, got {len(values)}")
    return [checked_parameter(name, i, v, layer_sizes, dtype) for i, v in enumerate(values)]
