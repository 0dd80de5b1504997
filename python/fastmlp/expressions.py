"""Expressions of numbers that know their derivatives: computational graphs, gate by gate.

Operators and functions of this module compute a number and remember from what. The chain rule then
goes through them backward, one local derivative after another, as backpropagation does in a
network. The sigmoid neuron of Stanford's course CS231n, notes on backpropagation:

>>> from fastmlp.expressions import exp, variable
>>> w0, x0 = variable("w0", 2.0), variable("x0", -1.0)
>>> w1, x1 = variable("w1", -3.0), variable("x1", -2.0)
>>> w2 = variable("w2", -3.0)
>>> neuron = 1 / (1 + exp(-(w0 * x0 + w1 * x1 + w2)))
>>> round(neuron.value, 2)
0.73
>>> {name: round(slope, 2) for name, slope in neuron.gradient().items()}
{'w0': -0.2, 'x0': 0.39, 'w1': -0.39, 'x1': -0.59, 'w2': 0.2}

`fastmlp.plot.expression_graph` draws them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from fastmlp._scalars import real, shown

__all__ = [
    "Expression",
    "cos",
    "exp",
    "log",
    "maximum",
    "relu",
    "sigmoid",
    "sin",
    "sqrt",
    "tanh",
    "variable",
]


def __dir__() -> list[str]:
    return __all__


_OTHER_VALUES = "other values of the variables"
_SUPERSCRIPTS = str.maketrans("\u22120123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True, eq=False)
class Expression:
    """A number computed from others: a variable, or one operation with its operands.

    ``+ - * / **`` with expressions and numbers make expressions. A number is part of the operation:
    ``x + 1`` has one operand and the operation "+ 1".

    Attributes
    ----------
    operation : str
        Name of the operation as a graph shows it, or that of the variable.
    value : float
        The number, in float64.
    operands : tuple of Expression
        What it was computed from; none for a variable.
    slopes : tuple of float
        Derivative of this number by each operand.

    Examples
    --------
    >>> from fastmlp.expressions import variable
    >>> x, y = variable("x", 3.0), variable("y", -4.0)
    >>> square = (x + y) ** 2
    >>> square.operation, square.value, square.slopes
    ('x²', 1.0, (-2.0,))
    """

    operation: str
    value: float
    operands: tuple[Expression, ...] = ()
    slopes: tuple[float, ...] = ()

    __array_ufunc__: ClassVar[None] = None  # numbers of NumPy leave their operators to this class

    def __repr__(self) -> str:
        return f"Expression({self.operation!r}, {self.value:g})"

    def __copy__(self) -> Expression:
        return self  # it does not change

    def __deepcopy__(self, memo: object) -> Expression:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        graph = _GRAPHS.get(id(self)) or _Graph(self)
        return operator.getitem, (graph, graph.places[self])

    def nodes(self) -> list[Expression]:
        """Return all expressions in this one, each once and after its operands.

        Examples
        --------
        >>> from fastmlp.expressions import variable
        >>> x = variable("x", 3.0)
        >>> (x * x + 1).nodes()
        [Expression('x', 3), Expression('×', 9), Expression('+ 1', 10)]
        """
        found: dict[Expression, None] = {}
        waiting = [self]
        while waiting:
            node = waiting[-1]
            missing = [operand for operand in node.operands if operand not in found]
            if missing:
                waiting += reversed(missing)
            else:
                found.setdefault(waiting.pop())
        return list(found)

    def derivatives(self) -> dict[Expression, float]:
        """Return the derivative of this expression by each of its nodes, in the order of `nodes`.

        The derivative by what is used more than once is the sum over its uses.

        Raises
        ------
        ValueError
            A derivative is too large for float64.

        Examples
        --------
        >>> from fastmlp.expressions import variable
        >>> x = variable("x", 3.0)
        >>> (x * x).derivatives()[x]
        6.0
        """
        found = dict.fromkeys(self.nodes(), 0.0)
        found[self] = 1.0
        for node in reversed(found):
            if not math.isfinite(found[node]):
                raise ValueError(
                    f"the derivative by {node.operation!r} must be finite, got {found[node]}; "
                    f"choose {_OTHER_VALUES}"
                )
            for operand, slope in zip(node.operands, node.slopes, strict=True):
                found[operand] += found[node] * slope
        return found

    def gradient(self) -> dict[str, float]:
        """Return the derivative of this expression by each of its variables, by their names.

        Raises
        ------
        ValueError
            Two variables have the same name, or a derivative is too large for float64.

        Examples
        --------
        >>> from fastmlp.expressions import sin, variable
        >>> x, y = variable("x", 0.0), variable("y", 2.0)
        >>> (y * sin(x)).gradient()
        {'y': 0.0, 'x': 2.0}
        """
        found: dict[str, float] = {}
        for node, slope in self.derivatives().items():
            if node.operands:
                continue
            if node.operation in found:
                raise ValueError(
                    f"variables must have different names, got two {node.operation!r}; use one "
                    "variable twice, or name them apart"
                )
            found[node.operation] = slope
        return found

    def __add__(self, other: object) -> Expression:
        return _both(self, other, "+", lambda a, b: (a + b, 1.0, 1.0), "+ {}".format)

    def __radd__(self, other: object) -> Expression:
        return self + other

    def __sub__(self, other: object) -> Expression:
        return _both(self, other, "\u2212", lambda a, b: (a - b, 1.0, -1.0), "\u2212 {}".format)

    def __rsub__(self, other: object) -> Expression:
        return _both(self, other, "", lambda a, b: (b - a, -1.0, 1.0), "{} \u2212 x".format)

    def __mul__(self, other: object) -> Expression:
        return _both(self, other, "×", lambda a, b: (a * b, b, a), "× {}".format)

    def __rmul__(self, other: object) -> Expression:
        return self * other

    def __neg__(self) -> Expression:
        return self * -1.0

    def __truediv__(self, other: object) -> Expression:
        def divided(a: float, b: float) -> tuple[float, ...]:
            return a / b, 1 / b, -a / b / b

        return _both(self, other, "÷", divided, "÷ {}".format, never=0.0)

    def __rtruediv__(self, other: object) -> Expression:
        return _both(self, other, "", lambda a, b: (b / a, -b / a / a, 1 / a), "{}/x".format)

    def __pow__(self, other: object) -> Expression:
        return _both(self, other, "^", _power, _raised)

    def __rpow__(self, other: object) -> Expression:
        def turned(a: float, b: float) -> tuple[float, ...]:
            value = math.pow(b, a)
            return value, _by_exponent(b, a, value)

        return _both(self, other, "", turned, "{}^x".format)


class _Graph:
    """An expression with all in it, pickled as one list, however deep it is.

    The pickler keeps it until it ends. So what was pickled before, by itself or in another
    expression, is the same object for all when it is loaded.
    """

    def __init__(self, root: Expression) -> None:
        new = [node for node in root.nodes() if id(node) not in _GRAPHS]
        self.places = {node: place for place, node in enumerate(new)}
        for node in new:
            _GRAPHS[id(node)] = self

    def __reduce__(self) -> tuple[Any, ...]:
        rows = [
            (
                node.operation,
                node.value,
                node.slopes,
                [self.places.get(o, o) for o in node.operands],
            )
            for node in self.places
        ]
        return _loaded, (rows,)


_GRAPHS: WeakValueDictionary[int, _Graph] = WeakValueDictionary()


def _loaded(rows: list[Any]) -> list[Expression]:
    """Return the expressions of a `_Graph`; an operand is a place in it or an expression."""
    made: list[Expression] = []
    for operation, value, slopes, operands in rows:
        found = tuple(made[one] if isinstance(one, int) else one for one in operands)
        made.append(Expression(operation, value, found, slopes))
    return made


def variable(name: str, value: float) -> Expression:
    """Return a variable with a value, of which expressions are made.

    Parameters
    ----------
    name : str
        Name, which graphs show and `Expression.gradient` uses.
    value : float
        Finite number.

    Raises
    ------
    TypeError, ValueError
        `name` is not a text or empty, or `value` is not a finite number.

    Examples
    --------
    >>> from fastmlp.expressions import variable
    >>> variable("w", 0.5) * 3
    Expression('× 3', 1.5)
    """
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {shown(name)} ({type(name).__name__})")
    if not name.strip():
        raise ValueError(f"name must have letters, got {name!r}")
    return Expression(name, real("value", value, -math.inf))


# ---------------------------------------------------------------- functions


def exp(x: Expression) -> Expression:
    """Return e to the power of `x`.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import exp, variable
    >>> exp(variable("x", 0.0))
    Expression('exp', 1)
    """
    return _one(x, "exp", lambda a: (math.exp(a), math.exp(a)))


def log(x: Expression) -> Expression:
    """Return the natural logarithm of `x`, which must be positive.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import log, variable
    >>> log(variable("x", 4.0)).slopes
    (0.25,)
    """
    return _one(x, "ln", lambda a: (math.log(a), 1 / a))


def sin(x: Expression) -> Expression:
    """Return the sine of `x` in radians.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import sin, variable
    >>> x = variable("x", 1.0)
    >>> round(sin(1 / x**2).gradient()["x"], 4)  # -2 cos(1)
    -1.0806
    """
    return _one(x, "sin", lambda a: (math.sin(a), math.cos(a)))


def cos(x: Expression) -> Expression:
    """Return the cosine of `x` in radians.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import cos, variable
    >>> cos(variable("x", 0.0))
    Expression('cos', 1)
    """
    return _one(x, "cos", lambda a: (math.cos(a), -math.sin(a)))


def tanh(x: Expression) -> Expression:
    """Return the hyperbolic tangent of `x`.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import tanh, variable
    >>> tanh(variable("x", 0.0)).slopes
    (1.0,)
    """

    def computed(a: float) -> tuple[float, ...]:
        small = math.exp(-2 * abs(a))  # 1 - tanh(a)**2 without the difference
        return math.tanh(a), 4 * small / (1 + small) ** 2

    return _one(x, "tanh", computed)


def sigmoid(x: Expression) -> Expression:
    """Return ``1 / (1 + exp(-x))`` as one operation, with the derivative ``value (1 - value)``.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import sigmoid, variable
    >>> sigmoid(variable("x", 0.0)).slopes
    (0.25,)
    """

    def computed(a: float) -> tuple[float, ...]:
        small = math.exp(-abs(a))  # never overflows
        value = 1 / (1 + small) if a >= 0 else small / (1 + small)
        return value, small / (1 + small) ** 2

    return _one(x, "sigmoid", computed)


def relu(x: Expression) -> Expression:
    """Return `x` where it is positive, else 0; the derivative at 0 is 0.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import relu, variable
    >>> relu(variable("x", -2.0)).slopes
    (0.0,)
    """
    return _one(x, "relu", lambda a: (max(a, 0.0), float(a > 0)))


def sqrt(x: Expression) -> Expression:
    """Return the square root of `x`, which must be positive.

    Parameters
    ----------
    x : Expression

    Examples
    --------
    >>> from fastmlp.expressions import sqrt, variable
    >>> sqrt(variable("x", 4.0)).slopes
    (0.25,)
    """
    return _one(x, "√", lambda a: (math.sqrt(a), 0.5 / math.sqrt(a)))


def maximum(x: Expression | float, y: Expression | float) -> Expression:
    """Return the larger one of two; the derivative by it is 1, and if both are equal, by `x`.

    Parameters
    ----------
    x, y : Expression or float
        One of them is an expression.

    Examples
    --------
    >>> from fastmlp.expressions import maximum, variable
    >>> x, y = variable("x", 2.0), variable("y", -1.0)
    >>> maximum(x, y).gradient()
    {'x': 1.0, 'y': 0.0}
    >>> maximum(0.0, y).gradient()
    {'y': 0.0}
    """

    def computed(a: float, b: float) -> tuple[float, ...]:
        return max(a, b), float(a >= b), float(a < b)

    def turned(a: float, b: float) -> tuple[float, ...]:
        return max(a, b), float(a > b)

    name, other = ("y", y) if isinstance(x, Expression) else ("x", x)
    if isinstance(y, Expression) and not isinstance(x, Expression):
        found = _both(y, x, "max", turned, "max {}".format)
    else:
        found = _both(_checked(x), y, "max", computed, "max {}".format)
    if found is NotImplemented:
        raise TypeError(
            f"{name} must be an Expression or a real number, got {shown(other)} "
            f"({type(other).__name__})"
        )
    return found


# ---------------------------------------------------------------- operations


def _checked(x: object) -> Expression:
    if not isinstance(x, Expression):
        raise TypeError(
            f"x must be an Expression, got {type(x).__name__}; variable(name, value) makes one"
        )
    return x


def _raised(exponent: str) -> str:
    whole = exponent.lstrip("\u2212").isdigit()
    return f"x{exponent.translate(_SUPERSCRIPTS)}" if whole else f"x^{exponent}"


def _power(a: float, b: float) -> tuple[float, ...]:
    value = math.pow(a, b)
    by_base = b * math.pow(a, b - 1) if b != 0 else 0.0
    return value, by_base, _by_exponent(a, b, value)


def _by_exponent(a: float, b: float, value: float) -> float:
    if a == 0:  # 0 for each positive exponent
        return 0.0 if b > 0 else math.nan
    return math.log(a) * value if a > 0 else math.nan


def _one(x: object, operation: str, function: Callable[[float], tuple[float, ...]]) -> Expression:
    return _computed(operation, (_checked(x),), function)


def _both(
    x: Expression,
    other: object,
    operation: str,
    function: Callable[[float, float], tuple[float, ...]],
    with_number: Callable[[str], str],
    never: float | None = None,
) -> Expression:
    """Return an operation of two expressions, or of one with a number in its name.

    `never` is a number with which the operation has no value, whatever the variables are.
    """
    if isinstance(other, Expression):
        return _computed(operation, (x, other), function)
    if not isinstance(other, Real) or isinstance(other, bool):
        return NotImplemented  # type: ignore[no-any-return]
    number = real("the number of an operation", other, -math.inf)
    name = with_number(f"{number:.3g}".replace("-", "\u2212"))
    cure = "choose another number" + ("" if number == never else f", or {_OTHER_VALUES}")
    return _computed(name, (x,), lambda a: function(a, number)[:2], cure)


def _computed(
    operation: str,
    operands: tuple[Expression, ...],
    function: Callable[..., tuple[float, ...]],
    cure: str = f"choose {_OTHER_VALUES}",
) -> Expression:
    numbers = [operand.value for operand in operands]
    try:
        value, *slopes = function(*numbers)
    except (ArithmeticError, ValueError):  # no number: 1/0, the logarithm of -1, exp(1000)
        value, slopes = math.nan, []
    if not all(map(math.isfinite, (value, *slopes))):
        at = " and ".join(f"{number:g}" for number in numbers)
        raise ValueError(
            f"{operation} must have a finite value and finite derivatives, which it lacks at {at}; "
            f"{cure}"
        )
    return Expression(operation, value, operands, tuple(slopes))
