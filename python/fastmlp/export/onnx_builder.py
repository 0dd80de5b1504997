"""An ONNX graph in the making."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Graph"]

_BATCH = "N"


class Graph:
    """Nodes, constants and outputs; numbers among the inputs of a node become constants.

    Parameters
    ----------
    onnx : module
    dtype : dtype
        Of numbers that become constants.
    """

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.scope = ""  # begins the names of nodes
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._scalars: dict[float, str] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def add(self, operator: str, *inputs: str | float, result: str = "", **attributes: Any) -> str:
        """Add a node; returns the name of its result."""
        tensors = [item if isinstance(item, str) else self._scalar(item) for item in inputs]
        name = f"{self.scope}/{operator}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(
            operator, tensors, [result or name], name=name, **attributes
        )
        self._nodes.append(node)
        return result or name

    def cast(self, tensor: str, dtype: npt.DTypeLike, result: str = "") -> str:
        """Add a conversion."""
        return self.add("Cast", tensor, result=result, to=self._element_type(dtype))

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Keep an array under a name."""
        self._constants.append(
            self._onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
        )
        return name

    def _scalar(self, value: float) -> str:
        if value not in self._scalars:
            name = f"constant_{len(self._scalars)}"
            self._scalars[value] = self.constant(name, np.array(value, self.dtype))
        return self._scalars[value]

    def input(self, name: str, dtype: npt.DTypeLike, *dimensions: int) -> str:
        """Declare an input of shape (N, *dimensions)."""
        self._inputs.append(self._value_info(name, dtype, dimensions))
        return name

    def output(self, name: str, dtype: npt.DTypeLike, *dimensions: int) -> None:
        """Declare a result an output of shape (N, *dimensions)."""
        self._outputs.append(self._value_info(name, dtype, dimensions))

    def proto(self, name: str) -> Any:
        """The whole as ONNX's GraphProto."""
        return self._onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, self._constants
        )

    def _value_info(self, name: str, dtype: npt.DTypeLike, dimensions: tuple[int, ...]) -> Any:
        element_type = self._element_type(dtype)
        return self._onnx.helper.make_tensor_value_info(name, element_type, [_BATCH, *dimensions])

    def _element_type(self, dtype: npt.DTypeLike) -> int:
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
