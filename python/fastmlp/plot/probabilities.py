"""Curves of probabilities: ROC, precision and recall, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.plot.style import (
    INK,
    OKABE_ITO,
    STYLE,
    add_legend,
    add_title,
    percent_ticks,
    styled_axes,
)
from fastmlp.validation import finite_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["calibration_curve", "precision_recall_curve", "roc_curve"]

Floats = NDArray[np.float64]

_SIDE = 4.0
# More points of a curve cannot be told apart in a picture.
_MOST_POINTS = 400


def roc_curve(
    false_positive_rates: ArrayLike,
    true_positive_rates: ArrayLike,
    *,
    area: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the receiver operating characteristic of a classifier of two classes.

    Parameters
    ----------
    false_positive_rates, true_positive_rates : array of shape (points,)
        Rates at falling thresholds, as ``fastmlp.metrics.roc_curve`` returns them.
    area : float, optional
        Area under the curve, for the legend.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with the curve and, dashed, that of a model that knows nothing.

    Raises
    ------
    TypeError, ValueError
        The arrays have no points or different lengths, or hold no shares from 0 to 1.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.roc_curve([0.0, 0.0, 1.0], [0.0, 0.5, 1.0], area=0.75)
    >>> [line.get_label() for line in ax.get_lines()]
    ['model: area 0.750', 'chance: area 0.5']
    """
    x, y = _pair("false_positive_rates", false_positive_rates,
                 "true_positive_rates", true_positive_rates)  # fmt: skip
    ax = _square(ax)
    label = "model" if area is None else f"model: area {area:.3f}"
    ax.plot(*_thinned(x, y), color=OKABE_ITO[0], linewidth=STYLE["lines.linewidth"], label=label)
    ax.plot((0, 1), (0, 1), color=INK, linewidth=1.0, linestyle="--",
            label="chance: area 0.5")  # fmt: skip
    ax.set_xlabel("false positive rate (%)")
    ax.set_ylabel("true positive rate (%)")
    add_title(ax, title, "ROC curve")
    add_legend(ax, loc="lower right")
    return ax


def precision_recall_curve(
    precision: ArrayLike,
    recall: ArrayLike,
    *,
    share: float | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw precision over recall of a classifier of two classes.

    Parameters
    ----------
    precision, recall : array of shape (points,)
        Values at the thresholds, as ``fastmlp.metrics.precision_recall_curve`` returns them.
    share : float, optional
        Share of positive samples, the precision of a model that knows nothing.
    title, ax
        As for `roc_curve`.

    Returns
    -------
    Axes
        Axes with the curve in steps.

    Raises
    ------
    TypeError, ValueError
        The arrays have no points or different lengths, or hold no shares from 0 to 1.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.precision_recall_curve([0.5, 1.0, 1.0], [1.0, 0.5, 0.0], share=0.5)
    >>> ax.get_ylabel()
    'precision (%)'
    """
    y, x = _pair("precision", precision, "recall", recall)
    # From the highest threshold to the lowest: points of the same recall lose precision.
    order = np.argsort(x[::-1], kind="stable")
    ax = _square(ax)
    ax.plot(*_thinned(x[::-1][order], y[::-1][order]), color=OKABE_ITO[0], drawstyle="steps-pre",
            linewidth=STYLE["lines.linewidth"], label="model")  # fmt: skip
    if share is not None:
        ax.axhline(share, color=INK, linewidth=1.0, linestyle="--",
                   label=f"chance: {100 * share:.1f} %")  # fmt: skip
    ax.set_xlabel("recall (%)")
    ax.set_ylabel("precision (%)")
    add_title(ax, title, "Precision and recall")
    add_legend(ax, loc="lower left")
    return ax


def calibration_curve(
    predicted: ArrayLike,
    observed: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often what is predicted with a probability comes true.

    Parameters
    ----------
    predicted, observed : array of shape (bins,)
        Mean probability of the samples of each bin, and the share of them that is positive, as
        ``fastmlp.metrics.calibration_curve`` returns them. Bins that are NaN are left out.
    weights : array of shape (bins,), optional
        Number or weight of the samples of each bin, drawn as bars at the bottom.
    title, ax
        As for `roc_curve`.

    Returns
    -------
    Axes
        Axes with a point for each bin; on the dashed line the probabilities are right.

    Raises
    ------
    TypeError, ValueError
        The arrays have no points or different lengths, or hold no shares from 0 to 1.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.calibration_curve([0.1, 0.9], [0.2, 0.8], [30, 70])
    >>> ax.get_xlabel()
    'predicted probability (%)'
    """
    known = np.isfinite(np.asarray(predicted, np.float64))
    x, y = _pair("predicted", np.asarray(predicted)[known],
                 "observed", np.asarray(observed)[known])  # fmt: skip
    ax = _square(ax)
    if weights is not None:
        heights = finite_array("weights", weights, np.float64)[known]
        share = heights / max(float(heights.sum()), 1e-300)
        ax.bar(x, 0.25 * share / max(float(share.max()), 1e-300), width=0.05, color=OKABE_ITO[5],
               label="samples", zorder=1)  # fmt: skip
    ax.plot((0, 1), (0, 1), color=INK, linewidth=1.0, linestyle="--", label="perfect")
    ax.plot(x, y, color=OKABE_ITO[0], linewidth=STYLE["lines.linewidth"], marker="o",
            markersize=STYLE["lines.markersize"], label="model")  # fmt: skip
    ax.set_xlabel("predicted probability (%)")
    ax.set_ylabel("observed frequency (%)")
    add_title(ax, title, "Calibration")
    add_legend(ax, loc="upper left")
    return ax


def _square(ax: Axes | None) -> Axes:
    """Return axes for shares from 0 to 1 in both directions."""
    ax = styled_axes(ax, (_SIDE + 0.4, _SIDE))
    ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    percent_ticks(ax.xaxis)
    percent_ticks(ax.yaxis)
    return ax


def _pair(x_name: str, x: ArrayLike, y_name: str, y: ArrayLike) -> tuple[Floats, Floats]:
    first: Floats = finite_array(x_name, x, np.float64)
    second: Floats = finite_array(y_name, y, np.float64)
    for name, values in ((x_name, first), (y_name, second)):
        if values.ndim != 1 or not len(values):
            raise ValueError(f"{name} must have shape (points,), at least one, got {values.shape}")
        if values.min() < -1e-9 or values.max() > 1 + 1e-9:
            raise ValueError(
                f"{name} must hold shares from 0 to 1, got {values.min():g} to {values.max():g}"
            )
    if len(first) != len(second):
        raise ValueError(f"{y_name} must have {len(first)} values, as {x_name}, got {len(second)}")
    return first, second


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= _MOST_POINTS:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, _MOST_POINTS).round().astype(np.int64))
    return x[kept], y[kept]
