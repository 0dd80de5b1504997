"""Checks of single arguments: numbers, flags and names.

They need no NumPy, and neither do the modules that define what can be chosen by name. So help pages
list these names without the time that importing NumPy takes.
"""

from __future__ import annotations

import math
import numbers
import operator
import sys
from collections.abc import Iterable

from fastmlp.errors import did_you_mean

__all__ = ["choice", "flag", "integer", "keep", "real", "shown"]

_LARGEST_INTEGER = 2**63 - 1


def _is_bool(value: object) -> bool:
    """Whether `value` is a bool of Python or of NumPy."""
    numpy = sys.modules.get("numpy")
    return isinstance(value, bool) or (numpy is not None and isinstance(value, numpy.bool_))


def shown(value: object) -> str:
    """Return the text of `value` for a message, cut to 80 characters."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write integers of thousands of digits
        text = "an integer of too many digits to print"
    return text if len(text) <= 80 else text[:77] + "..."


def keep(owner: object, **checked: object) -> None:
    """Store checked values in a frozen dataclass.

    The argument itself may be a NumPy scalar, which wraps, rounds or widens where a Python number
    does not.
    """
    for name, value in checked.items():
        object.__setattr__(owner, name, value)


def integer(name: str, value: object, minimum: int, maximum: int = _LARGEST_INTEGER) -> int:
    """Return `value` as an int within [minimum, maximum]. A bool is not accepted."""
    if type(value) is int and minimum <= value <= maximum:
        return value
    try:
        if _is_bool(value):
            raise TypeError
        result = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {shown(value)} ({type(value).__name__})"
            f"{_integer_cure(value)}"
        ) from None
    if not minimum <= result <= maximum:
        bound = f">= {minimum}" if result < minimum else f"<= {maximum}"
        raise ValueError(f"{name} must be {bound}, got {shown(result)}")
    return result


def _integer_cure(value: object) -> str:
    """The end of a message: the integer that a float or a text stands for."""
    if value is None:
        return "; leave it out for the usual value"
    if not isinstance(value, (str, float)):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    whole = number.is_integer() and abs(number) < 1e15
    return f"; write {int(number)}" if whole else ""


def real(
    name: str, value: object, minimum: float, maximum: float = math.inf, *, below: bool = False
) -> float:
    """Return `value` as a finite float in [minimum, maximum]; `below` excludes maximum."""
    if _is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a real number, got {shown(value)} ({type(value).__name__})"
            f"{_real_cure(value)}"
        )
    try:
        result = float(value)
    except OverflowError:
        raise ValueError(
            f"{name} must be finite, got {shown(value)}, which is too large for a float"
        ) from None
    if not math.isfinite(result) or result < minimum:
        bound = "" if minimum == -math.inf else f" and >= {minimum:g}"
        raise ValueError(f"{name} must be finite{bound}, got {result}")
    if result > maximum or (below and result == maximum):
        percent = f"; {result:g} % is {result / 100:g}" if maximum == 1 < result < 100 else ""
        raise ValueError(
            f"{name} must be {'<' if below else '<='} {maximum:g}, got {result}{percent}"
        )
    return result


def _real_cure(value: object) -> str:
    """The end of a message: the number that a text stands for."""
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return ""
    return f"; write {value.strip()}" if isinstance(value, str) and math.isfinite(number) else ""


def flag(name: str, value: object) -> bool:
    """Return `value`, a bool of Python or NumPy, as a Python bool."""
    if value is True or value is False:
        return value
    if not _is_bool(value):
        raise TypeError(f"{name} must be a bool, got {type(value).__name__}; write True or False")
    return bool(value)


def choice(name: str, value: object, known: Iterable[str]) -> str:
    """Return `value` if it is among `known`; the error suggests the nearest name."""
    options = list(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {shown(value)} ({type(value).__name__})")
    if value in options:
        return str(value)
    hint = did_you_mean(value, options)
    raise ValueError(f"{name} must be one of {', '.join(options)}, got {value!r}{hint}")
