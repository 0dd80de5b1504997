"""Results on samples: confusion matrix, scores of classes, predictions, importance of columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import metrics
from fastmlp.plot.fonts import width_of
from fastmlp.plot.numbers import written
from fastmlp.plot.style import (
    BESIDE,
    GRID,
    INK,
    OKABE_ITO,
    STYLE,
    add_color_bar,
    add_legend,
    add_title,
    frame,
    percent_ticks,
    plain,
    point_look,
    size_in_points,
    styled_axes,
    text_color_on,
)
from fastmlp.validation import choice, finite_array, integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["class_scores", "confusion_matrix", "importance", "predictions", "residuals"]

Floats = NDArray[np.float64]

_NORMALIZATIONS = {
    "true": "share of the true class (%)",
    "predicted": "share of the predicted class (%)",
    "all": "share of all samples (%)",
}
_MOST_NUMBERED_CLASSES = 25
_SMALLEST_FONT = 4.5
_MOST_TICKS = 30
_FEWEST_FOR_MEANS = 50


def confusion_matrix(
    y_true: ArrayLike | None = None,
    y_pred: ArrayLike | None = None,
    *,
    matrix: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    normalize: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many samples of each true class were assigned to each class.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        True and predicted labels. With `class_names` they are indices of the names, otherwise any
        labels of one type.
    matrix : array of shape (classes, classes)
        Confusion matrix in place of labels; rows are true classes.
    class_names : sequence of str, optional
        Names of the classes.
    normalize : {"true", "predicted", "all"}, optional
        Percentages to draw: of each row, of each column, or of all samples. An empty row or column
        has zeros.
    title : str, optional
        Title of the axes; by default the accuracy. An empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure, which grows with the number of classes.

    Returns
    -------
    Axes
        Axes with numbers in the cells for up to 25 classes if they fit; otherwise with a color bar.

    Raises
    ------
    TypeError, ValueError
        Both labels and `matrix` are given or neither is, or shapes or names do not match.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.confusion_matrix([0, 0, 1, 1], [0, 1, 1, 1], class_names=["cat", "dog"])
    >>> ax.get_title()
    'Recognized: 75.00 % of 4 samples'
    """
    if normalize is not None:
        normalize = choice("normalize", normalize, _NORMALIZATIONS)
    counts, names = _counts_and_names(y_true, y_pred, matrix, class_names)
    shown = counts if normalize is None else 100 * _shares(counts, normalize)
    classes = len(counts)
    side = float(np.clip(0.42 * classes, 3.2, 9.0))
    from matplotlib.colors import PowerNorm

    ax = styled_axes(ax, (side + 1.8, side + 1.2), grid=False)
    # Square roots make the few errors visible beside the many correct predictions.
    norm = PowerNorm(0.5, vmin=0, vmax=max(float(shown.max()), 1e-9))
    image = ax.imshow(shown, cmap="Blues", norm=norm)
    cells = [[_cell_text(value, normalize) for value in row] for row in shown.tolist()]
    size = _font_size(ax, cells)
    if classes <= _MOST_NUMBERED_CLASSES and size >= _SMALLEST_FONT:
        _write_cells(ax, image, cells, size)
    else:
        label = "samples" if normalize is None else _NORMALIZATIONS[normalize]
        add_color_bar(ax, image, label)
    _name_ticks(ax, names)
    frame(ax, GRID)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    total = counts.sum()
    accuracy = f"{100 * np.trace(counts) / total:.2f} % of {total:,.0f}" if total else "none"
    suffix = "" if normalize is None else f"\ncells: {_NORMALIZATIONS[normalize]}"
    add_title(ax, title, f"Recognized: {accuracy} samples{suffix}")
    return ax


def _counts_and_names(
    y_true: ArrayLike | None,
    y_pred: ArrayLike | None,
    matrix: ArrayLike | None,
    class_names: Sequence[str] | None,
) -> tuple[Floats, list[str]]:
    if (y_true is None) != (y_pred is None) or (y_true is None) == (matrix is None):
        raise ValueError("confusion_matrix must get y_true and y_pred, or matrix")
    labels: list[Any] | None = None
    if matrix is not None:
        counts = finite_array("matrix", matrix, np.float64)
        if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or counts.size == 0:
            raise ValueError(f"matrix must have shape (classes, classes), got {counts.shape}")
        if counts.min() < 0:
            raise ValueError(f"matrix must hold counts >= 0, got {counts.min():g}")
    else:
        truth, predicted = np.asarray(y_true), np.asarray(y_pred)
        if class_names is None and truth.ndim == predicted.ndim == 1:
            labels = np.union1d(truth, predicted).tolist()
        classes = None if class_names is None else len(class_names)
        counts = metrics.confusion_matrix(truth, predicted, classes).astype(np.float64)
    if class_names is not None and len(class_names) != len(counts):
        raise ValueError(
            f"class_names must have one entry per class: {len(counts)} needed, got "
            f"{len(class_names)}"
        )
    return counts, [plain(name, 18) for name in class_names or labels or range(len(counts))]


def _shares(counts: Floats, normalize: str) -> Floats:
    axis = {"true": 1, "predicted": 0, "all": None}[normalize]
    totals = np.broadcast_to(counts.sum(axis=axis, keepdims=True), counts.shape)
    shares = np.zeros_like(counts)
    np.divide(counts, totals, out=shares, where=totals > 0)
    return shares


def _cell_text(value: float, normalize: str | None) -> str:
    if normalize is None:
        return written(value, 3)
    return "0" if value == 0 else f"{value:.1f}"


def _font_size(ax: Axes, cells: list[list[str]]) -> float:
    """Return the font size at which texts fit their cells; a digit is 0.64 times its size wide."""
    width, height = size_in_points(ax)
    side = min(width, height) / len(cells)
    longest = max(len(text) for row in cells for text in row)
    return float(min(STYLE["axes.labelsize"], 0.85 * side / (0.64 * longest), 0.6 * side))


def _write_cells(ax: Axes, image: AxesImage, cells: list[list[str]], size: float) -> None:
    colors = image.to_rgba(np.asarray(image.get_array()))
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            ax.text(column, row, text, ha="center", va="center", size=size,
                    color=text_color_on(colors[row, column]))  # fmt: skip


def _name_ticks(ax: Axes, names: list[str]) -> None:
    places = range(0, len(names), -(-len(names) // _MOST_TICKS))
    shown = [names[place] for place in places]
    width, _ = size_in_points(ax)
    room = width / len(names) * places.step / (0.62 * STYLE["xtick.labelsize"])
    crowded = max(map(width_of, shown)) > room
    ax.set_xticks(places, shown, rotation=90 if crowded else 0)
    ax.set_yticks(places, shown)


def class_scores(
    per_class: Sequence[Mapping[str, Any]], *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw precision, recall and F1 of each class as horizontal bars.

    Parameters
    ----------
    per_class : sequence of mappings
        One mapping per class with "class", with "precision", "recall" and "f1" in [0, 1], and
        optionally with "support", the number of samples of the class.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure, which grows with the number of classes.

    Returns
    -------
    Axes
        Axes with three bars per class.

    Raises
    ------
    TypeError, ValueError
        There are no classes, or a class lacks a number.

    Examples
    --------
    >>> from fastmlp import plot
    >>> scores = {"precision": 0.9, "recall": 0.6, "f1": 0.72}
    >>> ax = plot.class_scores([{"class": "cat", **scores}, {"class": "dog", **scores}])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['cat', 'dog']
    """
    measures = ("precision", "recall", "f1")
    values = np.array([
        [_score(index, entry, name) for name in measures] for index, entry in enumerate(per_class)
    ])  # fmt: skip
    if len(values) == 0:
        raise ValueError("per_class must have at least one class, got none")
    ax = styled_axes(
        ax, (STYLE["figure.figsize"][0], float(np.clip(1.6 + 0.5 * len(values), 3, 40)))
    )
    rows = np.arange(len(values))
    looks = zip(measures, OKABE_ITO, ("", "///", "xx"), strict=False)
    for index, (name, color, hatch) in enumerate(looks):
        label = "F1" if name == "f1" else name
        ax.barh(rows + 0.27 * (index - 1), values[:, index], height=0.25, color=color, hatch=hatch,
                edgecolor="white", linewidth=0, label=label)  # fmt: skip
    ax.set_yticks(rows, [_class_label(entry) for entry in per_class])
    ax.set(xlim=(0, 1), ylim=(len(values) - 0.5, -0.5))
    percent_ticks(ax.xaxis)
    ax.grid(False, axis="y")
    ax.set_xlabel("score (%)")
    ax.set_ylabel("class (samples)" if "support" in per_class[0] else "class")
    add_title(ax, title, "Scores of the classes")
    add_legend(ax, **BESIDE)
    return ax


def _score(index: int, entry: object, name: str) -> float:
    if not isinstance(entry, Mapping):
        raise TypeError(f"per_class[{index}] must be a mapping, got {type(entry).__name__}")
    if name not in entry or "class" not in entry:
        raise ValueError(f"per_class[{index}] must have 'class' and {name!r}, got {list(entry)}")
    return float(finite_array(f"per_class[{index}][{name!r}]", entry[name], np.float64))


def _class_label(entry: Mapping[str, Any]) -> str:
    support = f" ({written(entry['support'], 6)})" if "support" in entry else ""
    return plain(entry["class"]) + support


def predictions(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    target_names: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot predicted over true values of a regression, with the diagonal where they are equal.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,) or (samples, targets)
        True and predicted values.
    target_names : sequence of str, optional
        Names of the targets, such as "price (EUR)".
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with one point per sample and target.

    Raises
    ------
    TypeError, ValueError
        Shapes differ, there are no samples, a value is not finite, or the number of names is
        wrong.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.predictions([1.0, 2.0, 3.0], [1.1, 1.9, 3.2], target_names=["price (EUR)"])
    >>> ax.get_xlabel()
    'true price (EUR)'
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


def residuals(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    target_name: str | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the errors of a regression, predicted minus true values, over the predicted values.

    Errors without a pattern lie around 0 everywhere, equally far. The line tells their mean in ten
    parts of equally many samples.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        True and predicted values.
    target_name : str, optional
        Name of the target, such as "price (EUR)".
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with one point per sample.

    Raises
    ------
    TypeError, ValueError
        Shapes differ, there are no samples or several targets, or a value is not finite.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.residuals([1.0, 2.0, 3.0], [1.1, 1.9, 3.2], target_name="price (EUR)")
    >>> ax.get_xlabel()
    'predicted price (EUR)'
    """
    truth, predicted = _columns("y_true", y_true), _columns("y_pred", y_pred)
    if truth.shape != predicted.shape or truth.shape[1] != 1:
        raise ValueError(
            f"y_pred must have one column and the shape of y_true, {truth.shape}, got "
            f"{predicted.shape}"
        )
    values, errors = predicted[:, 0], (predicted - truth)[:, 0]
    ax = styled_axes(ax)
    ax.plot(values, errors, **point_look(0, points=len(values)))
    ax.axhline(0.0, color=INK, linewidth=1.0, linestyle="--")
    order = np.argsort(values, kind="stable")
    if len(order) >= _FEWEST_FOR_MEANS:
        parts = np.array_split(order, 10)
        ax.plot([values[part].mean() for part in parts], [errors[part].mean() for part in parts],
                color=OKABE_ITO[1], linewidth=STYLE["lines.linewidth"], label="mean")  # fmt: skip
        add_legend(ax)
    name = "value" if target_name is None else plain(target_name)
    ax.set_xlabel(f"predicted {name}")
    ax.set_ylabel(f"predicted \u2212 true {name}")
    add_title(ax, title, "Errors")
    return ax


def importance(
    names: Sequence[str],
    means: ArrayLike,
    deviations: ArrayLike | None = None,
    *,
    most: int = 30,
    label: str = "loss of score",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the importance of columns as horizontal bars, the most important one on top.

    Parameters
    ----------
    names : sequence of str
        Names of the columns.
    means : array of shape (columns,)
        Importance of each column, such as ``fastmlp.permutation_importance(...).means``.
    deviations : array of shape (columns,), optional
        Standard deviations, >= 0, drawn as lines of this length to both sides.
    most : int
        Largest number of columns that are drawn, >= 1; the title tells if there are more.
    label : str
        Label of the axis of the values.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure, which grows with the number of columns.

    Returns
    -------
    Axes
        Axes with one bar per column.

    Raises
    ------
    TypeError, ValueError
        There are no columns, or the arrays do not match the names.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.importance(["town", "size"], [0.1, 0.8], [0.02, 0.05])
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['size', 'town']
    """
    values: Floats = finite_array("means", means, np.float64)
    spreads: Floats = finite_array(
        "deviations", np.zeros(len(names)) if deviations is None else deviations, np.float64
    )
    for name, array in (("means", values), ("deviations", spreads)):
        if array.shape != (len(names),) or len(names) == 0:
            raise ValueError(
                f"{name} must have a value for each of {len(names)} names, at least one, got shape "
                f"{array.shape}"
            )
    if spreads.min() < 0:
        raise ValueError(f"deviations must be >= 0, got {spreads.min()}")
    order = np.argsort(-values, kind="stable")[: integer("most", most, 1)]
    ax = styled_axes(
        ax, (STYLE["figure.figsize"][0], float(np.clip(1.4 + 0.32 * len(order), 2.5, 40)))
    )
    rows = np.arange(len(order))
    ax.barh(
        rows, values[order], height=0.62, color=OKABE_ITO[0],
        xerr=None if deviations is None else spreads[order],
        error_kw={"ecolor": INK, "elinewidth": 1.0, "capsize": 2.0},
    )  # fmt: skip
    ax.axvline(0.0, color=INK, linewidth=0.8)
    ax.set_yticks(rows, [plain(names[i]) for i in order])
    ax.set(ylim=(len(order) - 0.5, -0.5))
    ax.grid(False, axis="y")
    ax.set_xlabel(label)
    left = len(names) - len(order)
    usual = f"Importance of the columns ({left} more)" if left else "Importance of the columns"
    add_title(ax, title, usual)
    return ax


def _columns(name: str, values: ArrayLike) -> Floats:
    array: Floats = finite_array(name, values, np.float64)
    if array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(
            f"{name} must have shape (samples,) or (samples, targets) and a sample, got "
            f"{array.shape}"
        )
    return array.reshape(len(array), -1)
