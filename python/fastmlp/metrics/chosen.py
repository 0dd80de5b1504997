"""Metrics that a training measures: names, and functions of the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from fastmlp._scalars import shown
from fastmlp.metrics.registry import METRICS, get_metric

__all__ = ["ChosenMetrics", "MetricFunction", "MetricLike", "chosen_metrics"]

MetricFunction = Callable[[Any, Any], float]
MetricLike = str | MetricFunction | tuple[str, MetricFunction]


@dataclass(frozen=True)
class ChosenMetrics:
    """Metrics of the library by name, and functions ``f(y_true, y_pred)`` by the name of each."""

    names: tuple[str, ...] = ()
    functions: Mapping[str, MetricFunction] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.names or self.functions)

    def with_names(self, names: Iterable[str]) -> ChosenMetrics:
        """Return these metrics and further ones of the library; functions come before them."""
        further = [name for name in names if name not in self.functions]
        return ChosenMetrics(tuple(dict.fromkeys([*self.names, *further])), self.functions)

    def values_of_functions(self, y_true: NDArray[Any], y_pred: NDArray[Any]) -> dict[str, float]:
        """Call the functions; see `chosen_metrics`.

        Raises
        ------
        TypeError
            A function returned no number.
        """
        values = {}
        for name, function in self.functions.items():
            value = function(y_true, y_pred)
            try:
                values[name] = float(value)
            except (TypeError, ValueError):
                raise TypeError(
                    f"metric {name} must return a number, got {shown(value)} "
                    f"({type(value).__name__})"
                ) from None
        return values


def chosen_metrics(metrics: Sequence[MetricLike]) -> ChosenMetrics:
    """Check the argument ``metrics`` of `fastmlp.MLP.fit`.

    Raises
    ------
    TypeError, ValueError
        An entry is neither the name of a metric nor a function with a name nor a pair of the two,
        or two have the same name.
    """
    if not isinstance(metrics, (list, tuple)):
        raise TypeError(
            "metrics must be a list or tuple of names, functions or (name, function) pairs, got "
            f"{shown(metrics)}"
        )
    names: list[str] = []
    functions: dict[str, MetricFunction] = {}
    for entry in metrics:
        name, function = _named(entry)
        if name in names or name in functions:
            raise ValueError(f"metrics must have different names, got {name!r} twice")
        if function is None:
            names.append(get_metric(name).name)
        else:
            functions[name] = function
    return ChosenMetrics(tuple(names), functions)


def _named(entry: object) -> tuple[str, MetricFunction | None]:
    """Return the name of an entry, and its function if it is not one of the library."""
    if isinstance(entry, str):
        if entry.startswith("val_"):
            raise ValueError(
                f"metrics must be named without val_, got {entry!r}; write "
                f"{entry.removeprefix('val_')!r}, which is recorded as {entry!r}"
            )
        return entry, None
    if isinstance(entry, tuple) and len(entry) == 2:
        name, function = entry
        if not isinstance(name, str) or not name or not callable(function):
            raise TypeError(f"metrics: a pair must be (name, function), got {shown(entry)}")
        return name, function
    if not callable(entry):
        raise TypeError(
            "metrics must be names, functions or (name, function) pairs, got "
            f"{shown(entry)} ({type(entry).__name__})"
        )
    name = getattr(entry, "__name__", "<lambda>")
    if name == "<lambda>":
        raise ValueError(
            f"metrics: {shown(entry)} has no name to record its values by; pass a function made "
            'by def, or a pair such as ("my_metric", function)'
        )
    # A metric of this library gets the probabilities and weights that it needs.
    is_ours = str(getattr(entry, "__module__", "")).startswith("fastmlp.metrics.")
    return name, None if is_ours and name in METRICS else entry
