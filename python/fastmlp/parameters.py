"""Parameters as users see them: lists of read-only arrays whose items can be assigned."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

__all__ = ["Parameters"]

Array = npt.NDArray[Any]


class Parameters(list[Array]):
    """Read-only copies of the parameters; assigning an item changes the model."""

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
