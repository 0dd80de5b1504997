"""An ONNX graph being built, node by node."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ML_DOMAIN", "Graph"]

ML_DOMAIN = "ai.onnx.ml"  # operators for texts

# W. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation
# 23, 1969: numerators and denominators, highest power first, of erf(y) / y in y^2 up to the limit
# and of exp(y^2) erfc(y) in y above it. Above y = 4, where Cody uses a third form, the second has
# an error of erfc below 3e-16.
_CODY_LIMIT = 0.46875
_CODY_ERF = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2,
     3.77485237685302021e2, 3.20937758913846947e3),
    (1.0, 2.36012909523441209e1, 2.44024637934444173e2,
     1.28261652607737228e3, 2.84423683343917062e3),
)  # fmt: skip
_CODY_ERFC = (
    (2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594,
     6.61191906371416295e1, 2.98635138197400131e2, 8.81952221241769090e2,
     1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3),
    (1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2,
     1.62138957456669019e3, 3.29079923573345963e3, 4.36261909014324716e3,
     3.43936767414372164e3, 1.23033935480374942e3),
)  # fmt: skip
_ERFC_UNDERFLOWS = 40.0


class Graph:
    """An ONNX graph being built. Numbers among the inputs of a node become constants.

    Parameters
    ----------
    onnx : module
        Package onnx.
    dtype : dtype
        Dtype of the constants that are made from numbers.
    """

    def __init__(self, onnx: Any, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self.scope = ""  # prefix of the names of nodes
        self._onnx = onnx
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._scalars: dict[tuple[str, float], str] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def add(
        self,
        operator: str,
        *inputs: str | float,
        result: str = "",
        domain: str = "",
        **attributes: Any,
    ) -> str:
        """Add a node and return the name of its result."""
        tensors = [item if isinstance(item, str) else self._scalar(item) for item in inputs]
        name = f"{self.scope}/{operator}_{len(self._nodes)}"
        node = self._onnx.helper.make_node(
            operator, tensors, [result or name], name=name, domain=domain, **attributes
        )
        self._nodes.append(node)
        return result or name

    def cast(self, tensor: str, dtype: npt.DTypeLike, result: str = "") -> str:
        """Add a conversion to a dtype and return the name of its result."""
        return self.add("Cast", tensor, result=result, to=self._element_type(dtype))

    def constant(self, name: str, array: npt.NDArray[Any]) -> str:
        """Add an array of numbers or of str as a constant and return its name."""
        contents = np.asarray(array, order="C")
        self._constants.append(self._onnx.numpy_helper.from_array(contents, name))
        return name

    @contextmanager
    def numbers(self, dtype: npt.DTypeLike) -> Iterator[None]:
        """Make constants of another dtype from the numbers among the inputs of nodes."""
        before, self.dtype = self.dtype, np.dtype(dtype)
        try:
            yield
        finally:
            self.dtype = before

    def _scalar(self, value: float) -> str:
        key = self.dtype.name, value
        if key not in self._scalars:
            # No column of a table can have such a name, see `input_names`.
            name = f"constants.{len(self._scalars)}"
            self._scalars[key] = self.constant(name, np.array(value, self.dtype))
        return self._scalars[key]

    def input(self, name: str, dtype: npt.DTypeLike, *dimensions: int, meaning: str = "") -> str:
        """Declare an input of shape (N, *dimensions) and return its name."""
        info = self._value_info(name, dtype, dimensions)
        info.doc_string = meaning
        self._inputs.append(info)
        return name

    def output(self, name: str, dtype: npt.DTypeLike, *dimensions: int) -> None:
        """Declare that a result is an output of shape (N, *dimensions)."""
        self._outputs.append(self._value_info(name, dtype, dimensions))

    def normal_cdf(self, z: str) -> str:
        """Add the standard normal distribution function of a float64 tensor, to 3e-16."""
        y = self.add("Mul", self.add("Min", self.add("Abs", z), _ERFC_UNDERFLOWS), math.sqrt(0.5))
        square = self.add("Mul", y, y)
        erf = self.add("Mul", y, self._ratio(*_CODY_ERF, square))
        decay = self.add("Exp", self.add("Neg", square))
        erfc = self.add(
            "Where",
            self.add("Less", y, _CODY_LIMIT),
            self.add("Sub", 1.0, erf),
            self.add("Mul", decay, self._ratio(*_CODY_ERFC, y)),
        )
        tail = self.add("Mul", erfc, 0.5)
        return self.add("Where", self.add("Less", z, 0.0), tail, self.add("Sub", 1.0, tail))

    def _ratio(self, top: Sequence[float], bottom: Sequence[float], x: str) -> str:
        return self.add("Div", self._polynomial(top, x), self._polynomial(bottom, x))

    def _polynomial(self, coefficients: Sequence[float], x: str) -> str:
        value: str | float = coefficients[0]
        for coefficient in coefficients[1:]:
            value = self.add("Add", self.add("Mul", x, value), coefficient)
        assert isinstance(value, str)
        return value

    def proto(self, name: str) -> Any:
        """Return the graph as a GraphProto of onnx."""
        return self._onnx.helper.make_graph(
            self._nodes, name, self._inputs, self._outputs, self._constants
        )

    def _value_info(self, name: str, dtype: npt.DTypeLike, dimensions: tuple[int, ...]) -> Any:
        element_type = self._element_type(dtype)
        return self._onnx.helper.make_tensor_value_info(name, element_type, ["N", *dimensions])

    def _element_type(self, dtype: npt.DTypeLike) -> int:
        if np.dtype(dtype) == object:
            return int(self._onnx.TensorProto.STRING)
        return int(self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))
