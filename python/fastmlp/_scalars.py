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
    try:
        if _is_bool(value):
            raise TypeError
        result = int(operator.index(value))  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(
            f"{name} must be an integer, got {shown(value)} ({type(value).__name__})"
        ) from None
    if not minimum <= result <= maximum:
        bound = f">= {minimum}" if result < minimum else f"<= {maximum}"
        raise ValueError(f"{name} must be {bound}, got {shown(result)}")
    return result


def real(
    name: str, value: object, minimum: float, maximum: float = math.inf, *, below: bool = False
) -> float:
    """Return `value` as a finite float in [minimum, maximum]; `below` excludes maximum."""
    if _is_bool(value) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"{name} must be a real number, got {shown(value)} ({type(value).__name__})"
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
        raise ValueError(f"{name} must be {'<' if below else '<='} {maximum:g}, got {result}")
    return result


def flag(name: str, value: object) -> bool:
    """Return `value`, a bool of Python or NumPy, as a Python bool."""
    if not _is_bool(value):
        raise TypeError(f"{name} must be a bool, got {type(value).__name__}")
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
