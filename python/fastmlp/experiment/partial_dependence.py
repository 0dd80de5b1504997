"""Partial dependence: how the mean answer of a model changes with the value of one column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import CategoryColumn, DateColumn, NumberColumn, Preprocessing
from fastmlp.experiment.evaluation import has_probabilities
from fastmlp.model import MLP

__all__ = ["PartialDependence", "partial_dependence"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

_MOST_ROWS = 250
_MOST_POINTS = 20
_MOST_CATEGORIES = 12
_OUTERMOST = 0.02


@dataclass(frozen=True, eq=False)
class PartialDependence:
    """The mean answer of a model when all samples have the same value in one column.

    Attributes
    ----------
    column : str
        Name of the column.
    kind : {"number", "date", "category"}
        Kind of the column.
    values : float64 array of shape (points,) or tuple of str
        Values of the column, ascending, or categories, the most frequent one first.
    means : float64 array of shape (points, outputs)
        Mean probabilities of classes or labels, or mean predictions in units of the targets; shares
        of the classes for a model without probabilities.
    present : float64 array of shape (samples,)
        Values of the column among the samples; empty for categories.
    """

    column: str
    kind: str
    values: Floats | tuple[str, ...]
    means: Floats
    present: Floats

    @property
    def span(self) -> float:
        """Largest change of a mean."""
        return float(np.ptp(self.means, axis=0).max())


def partial_dependence(
    network: MLP, x: Array, columns: Sequence[str], *, threads: int | None = None
) -> list[PartialDependence]:
    """Return the partial dependence of a model on columns.

    Values of numbers and dates are quantiles of the samples, between 2 % and 98 % of them; they
    become inputs as cells do.

    Parameters
    ----------
    network : MLP
        Network with its preprocessing.
    x : array of shape (samples, features)
        Inputs that the preprocessing has made; 250 of them, evenly spaced, are used.
    columns : sequence of str
        Names of columns, or of features where samples are arrays.
    threads : int, optional
        Worker threads; by default fastmlp chooses.

    Raises
    ------
    ValueError
        The model has no preprocessing, or a name is unknown.

    Notes
    -----
    J. Friedman, "Greedy function approximation: a gradient boosting machine", 2001, section 8.2.

    Examples
    --------
    >>> import fastmlp, numpy
    >>> from fastmlp.experiment.partial_dependence import partial_dependence
    >>> size = numpy.random.default_rng(0).uniform(20, 200, 300)
    >>> frame = {"size": size, "price": 3000 * size}
    >>> model = fastmlp.Model(target="price", epochs=40, seed=1).fit(frame, verbose=0)
    >>> x = model.preprocessing.inputs(fastmlp.data.Table("", {"size": size}))
    >>> (found,) = partial_dependence(model.network, x, ["size"])
    >>> bool(found.means[-1, 0] > 1.5 * found.means[0, 0])
    True
    """
    pre = network.preprocessing
    if pre is None:
        raise ValueError("the model must have its preprocessing, got None")
    rows = x[:: max(1, -(-len(x) // _MOST_ROWS))].astype(network.dtype, copy=False)
    places = _places(pre)
    for name in columns:
        if name not in places:
            raise ValueError(f"columns must be among {list(places)}, got {name!r}")
    original = pre.original_inputs(x)
    return [_of(network, pre, rows, original, name, *places[name], threads) for name in columns]


def _places(pre: Preprocessing) -> dict[str, tuple[slice, Any]]:
    """Return the inputs of each column, and the column, by its name."""
    if pre.columns is None:
        names = pre.feature_names or tuple(f"x{i}" for i in range(pre.features))
        return {name: (slice(i, i + 1), None) for i, name in enumerate(names)}
    found, start = {}, 0
    for column in pre.columns:
        stop = start + len(column.feature_names)
        found[column.name] = (slice(start, stop), column)
        start = stop
    return found


def _of(
    network: MLP,
    pre: Preprocessing,
    rows: Array,
    original: Floats,
    name: str,
    place: slice,
    column: Any,
    threads: int | None,
) -> PartialDependence:
    mine = original[:, place]
    kind = "number"
    present = np.empty(0)
    values: Floats | tuple[str, ...]
    if isinstance(column, CategoryColumn):
        kind = "category"
        values, encoded = _categories(column, mine)
    else:
        present = mine[:, 0]
        if isinstance(column, (NumberColumn, DateColumn)) and column.indicator:
            present = present[mine[:, -1] < 0.5]
        if isinstance(column, DateColumn):
            kind = "date"
        values = _quantiles(present)
        encoded = np.zeros((len(values), mine.shape[1]))
        if isinstance(column, DateColumn):
            # Parts of dates follow from the dates; those of the nearest sample are taken.
            nearest = np.abs(mine[:, 0][None, :] - values[:, None]).argmin(axis=1)
            encoded[:] = mine[nearest]
        else:
            encoded[:, 0] = values
    whole = np.zeros((len(encoded), original.shape[1]))
    whole[:, place] = encoded
    inputs = pre.standardized(whole, in_place=True)[:, place].astype(rows.dtype)
    # One prediction for all values is faster than one for each.
    repeated = np.tile(rows, (len(inputs), 1))
    repeated[:, place] = np.repeat(inputs, len(rows), axis=0)
    answers = _answers(network, pre, repeated, threads)
    means = answers.reshape(len(inputs), len(rows), -1).mean(axis=1)
    return PartialDependence(name, kind, values, means, present)


def _quantiles(present: Floats) -> Floats:
    if not len(present):
        return np.zeros(1)
    shares = np.linspace(_OUTERMOST, 1 - _OUTERMOST, _MOST_POINTS)
    values: Floats = np.unique(np.quantile(present, shares, method="nearest"))
    return values


def _categories(column: CategoryColumn, mine: Floats) -> tuple[tuple[str, ...], Floats]:
    """Return the most frequent categories, and their inputs."""
    names = (*column.categories, *(("missing",) if column.missing_level else ()))
    if column.as_code:
        codes = np.rint(mine[:, 0]).astype(np.int64)
    else:
        codes = np.where(mine.max(axis=1) > 0.5, mine.argmax(axis=1), -1)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    chosen = np.argsort(-counts, kind="stable")[: min(_MOST_CATEGORIES, len(names))]
    if column.as_code:
        return tuple(names[i] for i in chosen), chosen[:, None].astype(np.float64)
    return tuple(names[i] for i in chosen), np.eye(len(names))[chosen]


def _answers(network: MLP, pre: Preprocessing, x: Array, threads: int | None) -> Floats:
    if pre.task == "regression":
        return pre.decode(np.asarray(network.predict(x, threads=threads)).reshape(len(x), -1))
    if has_probabilities(network):
        return np.asarray(network.predict_proba(x, threads=threads), np.float64)
    predicted = np.asarray(network.predict(x, threads=threads))
    if pre.task == "multilabel":
        return predicted.astype(np.float64)
    shares: Floats = np.eye(pre.outputs)[predicted]
    return shares
