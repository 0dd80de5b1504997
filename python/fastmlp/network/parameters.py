"""Lists of parameters for users, and checks of parameters that users assign."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from fastmlp.validation import finite_array

__all__ = ["Parameters", "checked_parameter", "checked_parameters", "parameter_place"]

Array = npt.NDArray[Any]
Shape = tuple[int, ...]


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


def parameter_place(name: str) -> tuple[str, int]:
    """Return kind and index of a parameter from its name, as `Network.parameters` has it."""
    _, index, kind = name.split(".")
    return kind, int(index)


def checked_parameter(name: str, value: object, shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return one array of parameters in `dtype`, or raise."""
    array = finite_array(name, value, dtype)
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if "variances" in name and array.min() < 0:
        raise ValueError(f"{name} must be >= 0, got {array.min()}")
    return array


def checked_parameters(
    name: str, values: object, shapes: Sequence[Shape], dtype: np.dtype[Any]
) -> list[Array]:
    """Return one array per layer in `dtype`, or raise."""
    if not isinstance(values, (list, tuple)):
        raise TypeError(
            f"{name} must be a list of one array per layer, got {type(values).__name__}"
        )
    if len(values) != len(shapes):
        raise ValueError(f"{name} must have {len(shapes)} arrays, got {len(values)}")
    return [
        checked_parameter(f"{name}[{i}]", value, shape, dtype)
        for i, (value, shape) in enumerate(zip(values, shapes, strict=True))
    ]
