"""Quantities along a training, and along the true values of a regression."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.history import History
from fastmlp.plot.style import (
    INK,
    OKABE_ITO,
    STYLE,
    add_legend,
    add_note,
    add_title,
    line_look,
    logarithmic,
    per_cent,
    plain,
    point_look,
    short_number,
    styled_axes,
    whole_numbers,
)
from fastmlp.training.lr_finder import LearningRates
from fastmlp.validation import choice, finite_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["learning_curves", "learning_rate", "predictions"]

Floats = NDArray[np.float64]
Records = Sequence[Mapping[str, Any]]

_AXIS_LABELS = {"loss": "mean loss per sample", "accuracy": "accuracy (%)"}
_THIN: dict[str, Any] = {"linewidth": 0.8, "marker": "none"}
_NOTHING = "no epoch has been completed"


def learning_curves(
    history: History | Records | Mapping[str, History | Records],
    *,
    quantity: str = "loss",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Loss or accuracy after each epoch, of training and, where it was measured, of validation.

    Parameters
    ----------
    history : History or list of records, or a mapping of names to these
        Of one run; or of several, to be compared. A record is what callbacks get and
        ``metrics.jsonl`` holds, with at least ``epoch`` and the quantity.
    quantity : {"loss", "accuracy"}
    title : str, optional
        By default the name of the quantity; an empty one sets none.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes
        One run: lines "training" and "validation", and a ring around the best epoch of validation.
        Several: a colour for each, and thin lines for validation. Without epochs the axes say so.

    Raises
    ------
    TypeError, ValueError
        No history, records without epochs, or a quantity that was not measured.
    """
    quantity = choice("quantity", quantity, _AXIS_LABELS)
    runs = _runs(history, quantity)
    ax = styled_axes(ax)
    single = not isinstance(history, Mapping)
    for index, (name, (training, validation)) in enumerate(runs.items()):
        if single:
            _draw(ax, training, "training", line_look(0, points=len(training[0])))
            _draw(ax, validation, "validation", line_look(1, points=len(validation[0])))
            _ring_the_best(ax, validation, quantity)
        else:
            look = line_look(index, points=len(training[0]))
            _draw(ax, training, plain(name), look)
            _draw(ax, validation, None, look | _THIN)
    if not single and any(len(validation[0]) for _, validation in runs.values()):
        ax.plot([], [], color=INK, label="thin: validation", **_THIN)
    if any(len(training[0]) for training, _ in runs.values()):
        whole_numbers(ax)
        if quantity == "accuracy":
            per_cent(ax.yaxis)
    else:
        add_note(ax, _NOTHING)
    ax.set_xlabel("epoch")
    ax.set_ylabel(_AXIS_LABELS[quantity])
    add_title(ax, title, quantity.capitalize())
    add_legend(ax)
    return ax


Line = tuple[Floats, Floats]


def _runs(history: object, quantity: str) -> dict[str, tuple[Line, Line]]:
    if not isinstance(history, Mapping):
        return {"": _lines("history", history, quantity)}
    return {str(name): _lines(f"history[{name!r}]", run, quantity) for name, run in history.items()}


def _lines(argument: str, history: object, quantity: str) -> tuple[Line, Line]:
    """Epochs and values of training and of validation, which may be empty."""
    if isinstance(history, History):
        values = {name: getattr(history, name) for name in (quantity, f"val_{quantity}")}
        count = len(history.loss)
        for name, series in values.items():
            if len(series) not in (0, count):
                raise ValueError(
                    f"{argument}.{name} must have one value per epoch: {count} needed, got "
                    f"{len(series)}"
                )
        epochs = np.arange(1, count + 1, dtype=np.float64)
        lines = [(epochs[: len(v)], np.asarray(v, np.float64)) for v in values.values()]
    else:
        records = _checked_records(argument, history)
        count = len(records)
        lines = [_series(argument, records, name) for name in (quantity, f"val_{quantity}")]
    if count and not len(lines[0][0]):
        raise ValueError(f"{argument} must have {quantity!r}, which was not measured")
    return lines[0], lines[1]


def _checked_records(argument: str, records: object) -> list[Mapping[str, Any]]:
    wrong = isinstance(records, (str, bytes, Mapping)) or not isinstance(records, Iterable)
    checked = [] if wrong else list(records)  # type: ignore[call-overload]
    if wrong or not all(isinstance(record, Mapping) for record in checked):
        raise TypeError(
            f"{argument} must be a History or a list of records, got {type(records).__name__}"
        )
    for index, record in enumerate(checked):
        if "epoch" not in record:
            raise ValueError(f"{argument}[{index}] must have 'epoch', got {', '.join(record)}")
    return checked


def _series(argument: str, records: Records, name: str) -> Line:
    """Epochs and values of the records that have this quantity."""
    found = [record for record in records if record.get(name) is not None]
    try:
        values = [[float(record["epoch"]), float(record[name])] for record in found]
    except (TypeError, ValueError):
        raise TypeError(f"{argument} must have numbers as 'epoch' and {name!r}") from None
    epochs, series = np.array(values, np.float64).reshape(-1, 2).T
    return epochs, series


def _draw(ax: Axes, line: Line, label: str | None, look: dict[str, Any]) -> None:
    if len(line[0]):
        ax.plot(*line, label=label, **look)


def _ring_the_best(ax: Axes, line: Line, quantity: str) -> None:
    epochs, values = line
    finite = np.isfinite(values)
    if len(values) < 2 or not finite.any():
        return
    worst = np.inf if quantity == "loss" else -np.inf
    comparable = np.where(finite, values, worst)
    best = int(comparable.argmin() if quantity == "loss" else comparable.argmax())
    value = f"{values[best]:.4g}" if quantity == "loss" else f"{100 * values[best]:.2f} %"
    label = f"best: {value} in epoch {epochs[best]:g}"
    ax.plot(epochs[best], values[best], "o", markersize=11, markerfacecolor="none",
            markeredgecolor=INK, label=label)  # fmt: skip


def learning_rate(
    rates: LearningRates | Records, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """The learning rate of each epoch, or how the loss answered to growing rates.

    Parameters
    ----------
    rates : LearningRates or list of records
        What `MLP.lr_find` returns, or records with ``epoch`` and ``learning_rate``.
    title : str, optional
        An empty one sets none.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes
        Of `LearningRates` with logarithmic rates and a line at the suggested one.

    Raises
    ------
    TypeError, ValueError
        Neither of them, or records without a learning rate.
    """
    if isinstance(rates, LearningRates):
        return _draw_search(rates, title, styled_axes(ax))
    records = _checked_records("rates", rates)
    line = _series("rates", records, "learning_rate")
    if records and not len(line[0]):
        raise ValueError("rates must have 'learning_rate', which the records lack")
    ax = styled_axes(ax)
    look = line_look(0, points=len(line[0])) | {"drawstyle": "steps-mid"}
    _draw(ax, line, None, look)
    if records:
        whole_numbers(ax)
        if line[1].min() > 0 and line[1].max() > 50 * line[1].min():
            logarithmic(ax, "y")
    else:
        add_note(ax, _NOTHING)
    ax.set_xlabel("epoch")
    ax.set_ylabel("learning rate")
    add_title(ax, title, "Learning rate")
    return ax


def _draw_search(found: LearningRates, title: str | None, ax: Axes) -> Axes:
    ax.plot(found.rates, found.losses, **line_look(0, points=len(found.rates)), label="loss")
    ax.axvline(
        found.suggestion,
        color=OKABE_ITO[1],
        linestyle="--",
        label=f"steepest descent: {short_number(found.suggestion)}",
    )
    logarithmic(ax, "x")
    ax.set_xlabel("learning rate")
    ax.set_ylabel("mean loss per sample, smoothed")
    add_title(ax, title, "Loss while the learning rate grows")
    add_legend(ax)
    return ax


def predictions(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    target_names: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Predicted against true values of a regression; on the diagonal they are equal.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,) or (samples, targets)
    target_names : sequence of str, optional
        One for each target, with its unit if it has one.
    title : str, optional
        An empty one sets none.
    ax : Axes, optional
        By default those of a new figure.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        Values of different shapes, no samples, values that are not finite, or a wrong number of
        names.
    """
    truth, predicted = _columns("y_true", y_true), _columns("y_pred", y_pred)
    if truth.shape != predicted.shape:
        raise ValueError(f"y_pred must have the shape of y_true, {truth.shape}, got "
                         f"{predicted.shape}")  # fmt: skip
    targets = truth.shape[1]
    if target_names is not None and len(target_names) != targets:
        raise ValueError(
            f"target_names must have one entry per target: {targets} needed, got "
            f"{len(target_names)}"
        )
    side = STYLE["figure.figsize"][1] + 0.4
    ax = styled_axes(ax, (side, side))
    low = float(min(truth.min(), predicted.min()))
    high = float(max(truth.max(), predicted.max()))
    margin = 0.04 * (high - low) or 0.5
    ends = (low - margin, high + margin)
    ax.plot(ends, ends, color=INK, linewidth=1.0, linestyle="--", label="equal", zorder=1.5)
    names = [f"target {i + 1}" for i in range(targets)] if target_names is None else target_names
    for index in range(targets):
        look = point_look(index, points=truth.size)
        ax.plot(truth[:, index], predicted[:, index], label=plain(names[index]), **look)
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    what = f" {plain(names[0])}" if targets == 1 and target_names is not None else " value"
    ax.set_xlabel(f"true{what}")
    ax.set_ylabel(f"predicted{what}")
    add_title(ax, title, "Predictions")
    if targets > 1:
        add_legend(ax)
    return ax


def _columns(name: str, values: ArrayLike) -> Floats:
    array: Floats = finite_array(name, values, np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(
            f"{name} must have shape (samples,) or (samples, targets) and a sample, got "
            f"{array.shape}"
        )
    return array.reshape(len(array), -1)
