"""Pieces of C: literals of numbers and texts, comments, definitions of arrays."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["NAME", "Scalar", "array_lines", "comment_text", "names_lines", "string_literal"]

# Names have no underscores at the ends or in pairs, because C and C++ reserve such names.
NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*", re.ASCII)
_VALUES_PER_LINE = 6  # C99 guarantees lines of 4095 characters; short lines are readable
# Patterns in C expressions of activations.
_NUMBER = re.compile(r"\d+\.\d+(e[+-]?\d+)?")
_FUNCTION = re.compile(r"[a-z]\w*(?=\()")


class Scalar:
    """The C type of the network's numbers, with its literals and functions.

    Parameters
    ----------
    dtype : dtype
        Dtype of the network, float32 or float64.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        single = np.dtype(dtype) == np.float32
        self.type = "float" if single else "double"
        self.suffix = "f" if single else ""
        self._format = "%.9g" if single else "%.17g"  # digits that identify each number

    def literal(self, value: float) -> str:
        """Return a C literal that a compiler reads as the same number."""
        if math.isnan(value):
            return "NAN"
        text = self._format % value
        point = "" if "." in text or "e" in text else ".0"
        return f"{text}{point}{self.suffix}"

    def expression(self, text: str, parameter: float) -> str:
        """Convert an expression of `fastmlp.activations.Form.c` to this type."""
        text = _NUMBER.sub(lambda match: self.literal(float(match.group())), text)
        text = _FUNCTION.sub(rf"\g<0>{self.suffix}", text)
        return re.sub(r"\bparameter\b", self.literal(parameter), text)


def array_lines(name: str, array: npt.NDArray[Any]) -> Iterator[str]:
    """Yield the definition of a constant array: of floats or of int."""
    whole = array.dtype.kind == "i"
    scalar = Scalar(array.dtype)
    literal: Callable[[Any], str] = str if whole else scalar.literal
    dimensions = "".join(f"[{size}]" for size in array.shape)
    yield f"static const {'int' if whole else scalar.type} {name}{dimensions} = {{"
    yield from _rows_lines(literal, array, "    ")
    yield "};"


def _rows_lines(
    literal: Callable[[Any], str], array: npt.NDArray[Any], indent: str
) -> Iterator[str]:
    if array.ndim == 1:
        yield from _value_lines(literal, array, indent)
        return
    for row in array:
        yield f"{indent}{{"
        yield from _rows_lines(literal, row, f"{indent}    ")
        yield f"{indent}}},"


def _value_lines(
    literal: Callable[[Any], str], row: npt.NDArray[Any], indent: str
) -> Iterator[str]:
    values = row.tolist()
    for start in range(0, len(values), _VALUES_PER_LINE):
        literals = map(literal, values[start : start + _VALUES_PER_LINE])
        yield f"{indent}{', '.join(literals)},"


def comment_text(text: str) -> str:
    """Return the text on one line, without sequences that mean something in a comment.

    Those are the beginning and the end of a comment, and the trigraph of a backslash, about which
    compilers warn at the end of a line.
    """
    printable = "".join(character if character.isprintable() else " " for character in text)
    for sequence, apart in (("*/", "* /"), ("/*", "/ *"), ("??/", "?? /")):
        printable = printable.replace(sequence, apart)
    return printable


def string_literal(text: str) -> str:
    """Return the UTF-8 bytes of a text as an ASCII C string literal."""
    return f'"{"".join(map(_escaped, text.encode(errors="backslashreplace")))}"'


def _escaped(byte: int) -> str:
    if chr(byte) in '"\\?':  # question marks could form trigraphs
        return f"\\{chr(byte)}"
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"


def names_lines(name: str, names: Sequence[str]) -> Iterator[str]:
    """Yield the definition of an array of strings."""
    yield f"static const char *const {name}[{len(names)}] = {{"
    for item in names:
        yield f"    {string_literal(item)},"
    yield "};"
