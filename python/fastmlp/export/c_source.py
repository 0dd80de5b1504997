"""Pieces of C: literals, arrays, comments, expressions of activations."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.export.constants import (
    GELU_TANH_CUBIC,
    GELU_TANH_FACTOR,
    SELU_ALPHA,
    SELU_SCALE,
)

__all__ = ["Scalar", "array_lines", "comment_text", "names_lines"]

_PER_LINE = 6  # C99 promises logical lines of 4095 characters, and readers like fewer


class Scalar:
    """C's type of the network's numbers, its literals and its functions.

    Parameters
    ----------
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        single = np.dtype(dtype) == np.float32
        self.type = "float" if single else "double"
        self.suffix = "f" if single else ""
        self._format = "%.9g" if single else "%.17g"  # enough digits to tell any two apart

    def literal(self, value: float) -> str:
        """A constant that reads back as the same number."""
        if math.isnan(value):
            return "NAN"
        text = self._format % value
        point = "" if "." in text or "e" in text else ".0"
        return f"{text}{point}{self.suffix}"

    def activation(self, name: str, parameter: float) -> str:
        """An activation as an expression of ``z``."""
        return _EXPRESSIONS[name](self, parameter)


Expression = Callable[[Scalar, float], str]


def _elu(scalar: Scalar, alpha: float) -> str:
    zero, f = scalar.literal(0), scalar.suffix
    return f"z > {zero} ? z : {scalar.literal(alpha)} * expm1{f}(z)"


def _gelu_tanh(scalar: Scalar, _: float) -> str:
    factor, cubic = scalar.literal(GELU_TANH_FACTOR), scalar.literal(GELU_TANH_CUBIC)
    one, f = scalar.literal(1), scalar.suffix
    return f"z / ({one} + exp{f}(-{factor} * z * ({one} + {cubic} * z * z)))"


def _filled(template: str) -> Expression:
    """An expression whose fields are literals, the parameter or ``f``, the functions' suffix."""

    def expression(scalar: Scalar, parameter: float) -> str:
        constants = {"zero": 0, "one": 1, "half": 0.5, "three": 3, "six": 6}
        constants |= {"root_half": math.sqrt(0.5), "parameter": parameter}
        literals = {name: scalar.literal(value) for name, value in constants.items()}
        return template.format(f=scalar.suffix, **literals)

    return expression


_EXPRESSIONS: dict[str, Expression] = {
    "identity": _filled("z"),
    "step": _filled("z > {zero} ? {one} : {zero}"),
    "sign": _filled("z > {zero} ? {one} : -{one}"),
    "sigmoid": _filled("{one} / ({one} + exp{f}(-z))"),
    "hard_sigmoid": _filled(
        "z <= -{three} ? {zero} : z >= {three} ? {one} : (z + {three}) / {six}"
    ),
    "tanh": _filled("tanh{f}(z)"),
    "relu": _filled("z > {zero} ? z : {zero}"),
    "leaky_relu": _filled("z > {zero} ? z : {parameter} * z"),
    "elu": _elu,
    "selu": lambda scalar, _: f"{scalar.literal(SELU_SCALE)} * ({_elu(scalar, SELU_ALPHA)})",
    "gelu": _filled("{half} * z * erfc{f}(-z * {root_half})"),
    "gelu_tanh": _gelu_tanh,
    "silu": _filled("z / ({one} + exp{f}(-z))"),
    "softplus": _filled("(z > {zero} ? z : {zero}) + log1p{f}(exp{f}(-fabs{f}(z)))"),
}


def array_lines(name: str, array: npt.NDArray[Any]) -> Iterator[str]:
    """The definition of a constant array of one or two dimensions, line by line."""
    scalar = Scalar(array.dtype)
    dimensions = "".join(f"[{size}]" for size in array.shape)
    yield f"static const {scalar.type} {name}{dimensions} = {{"
    if array.ndim == 1:
        yield from _value_lines(scalar, array, "    ")
    else:
        for row in array:
            yield "    {"
            yield from _value_lines(scalar, row, "        ")
            yield "    },"
    yield "};"


def _value_lines(scalar: Scalar, row: npt.NDArray[Any], indent: str) -> Iterator[str]:
    values = row.tolist()
    for start in range(0, len(values), _PER_LINE):
        literals = map(scalar.literal, values[start : start + _PER_LINE])
        yield f"{indent}{', '.join(literals)},"


def comment_text(text: str) -> str:
    """Text that cannot end the comment it stands in, on one line."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def _string_literal(text: str) -> str:
    """The UTF-8 bytes of a text as a C string, in ASCII."""
    return f'"{"".join(map(_escaped, text.encode(errors="backslashreplace")))}"'


def _escaped(byte: int) -> str:
    if chr(byte) in '"\\?':  # question marks could make trigraphs
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def names_lines(name: str, names: Sequence[str]) -> Iterator[str]:
    """The definition of an array of strings."""
    yield f"static const char *const {name}[{len(names)}] = {{"
    for item in names:
        yield f"    {_string_literal(item)},"
    yield "};"
