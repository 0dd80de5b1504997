"""How well classes are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp import metrics
from fastmlp.plot.style import (
    BESIDE,
    GRID,
    OKABE_ITO,
    STYLE,
    add_colour_bar,
    add_legend,
    add_title,
    frame,
    per_cent,
    plain,
    size_in_points,
    styled_axes,
    text_colour_on,
)
from fastmlp.validation import choice, finite_array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["class_scores", "confusion_matrix"]

Floats = NDArray[np.float64]

_NORMALISATIONS = {
    "true": "share of the true class (%)",
    "predicted": "share of the predicted class (%)",
    "all": "share of all samples (%)",
}
_MOST_NUMBERED_CLASSES = 25
_SMALLEST_FONT = 4.5
_MOST_TICKS = 30


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
    """How many samples of each class were taken for each class.

    Parameters
    ----------
    y_true, y_pred : array of shape (samples,)
        Labels: with `class_names` indices of them, otherwise any labels of one kind.
    matrix : array of shape (classes, classes)
        Counts instead of labels; rows are true classes.
    class_names : sequence of str, optional
    normalize : {"true", "predicted", "all"}, optional
        Draw per cents of each row, of each column, or of all samples. An empty row or column has 0.
    title : str, optional
        By default the accuracy; an empty one sets none.
    ax : Axes, optional
        By default those of a new figure, which grows with the number of classes.

    Returns
    -------
    Axes
        Up to 25 classes have their numbers in the cells, if there is room for them in `ax`; more
        have a colour bar instead.

    Raises
    ------
    TypeError, ValueError
        Neither or both of labels and matrix, or such as do not fit together.
    """
    if normalize is not None:
        normalize = choice("normalize", normalize, _NORMALISATIONS)
    counts, names = _counts_and_names(y_true, y_pred, matrix, class_names)
    shown = counts if normalize is None else 100 * _shares(counts, normalize)
    classes = len(counts)
    side = float(np.clip(0.42 * classes, 3.2, 9.0))
    from matplotlib.colors import PowerNorm

    ax = styled_axes(ax, (side + 1.8, side + 1.2), grid=False)
    # Square roots, so that the few mistakes show beside the many hits.
    norm = PowerNorm(0.5, vmin=0, vmax=max(float(shown.max()), 1e-9))
    image = ax.imshow(shown, cmap="Blues", norm=norm)
    cells = [[_cell_text(value, normalize) for value in row] for row in shown.tolist()]
    size = _font_size(ax, cells)
    if classes <= _MOST_NUMBERED_CLASSES and size >= _SMALLEST_FONT:
        _write_cells(ax, image, cells, size)
    else:
        label = "samples" if normalize is None else _NORMALISATIONS[normalize]
        add_colour_bar(ax, image, label)
    _name_ticks(ax, names)
    frame(ax, GRID)
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class")
    total = counts.sum()
    accuracy = f"{100 * np.trace(counts) / total:.2f} % of {total:,.0f}" if total else "none"
    suffix = "" if normalize is None else f"\ncells: {_NORMALISATIONS[normalize]}"
    add_title(ax, title, f"Recognised: {accuracy} samples{suffix}")
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
        return f"{value:.0f}" if value == round(value) else f"{value:.3g}"
    return "0" if value == 0 else f"{value:.1f}"


def _font_size(ax: Axes, cells: list[list[str]]) -> float:
    """Of numbers that fit their cells; a digit is about 0.64 of its size wide."""
    width, height = size_in_points(ax)
    side = min(width, height) / len(cells)
    longest = max(len(text) for row in cells for text in row)
    return float(min(STYLE["axes.labelsize"], 0.85 * side / (0.64 * longest), 0.6 * side))


def _write_cells(ax: Axes, image: AxesImage, cells: list[list[str]], size: float) -> None:
    colours = image.to_rgba(np.asarray(image.get_array()))
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            ax.text(column, row, text, ha="center", va="center", size=size,
                    color=text_colour_on(colours[row, column]))  # fmt: skip


def _name_ticks(ax: Axes, names: list[str]) -> None:
    places = range(0, len(names), -(-len(names) // _MOST_TICKS))
    shown = [names[place] for place in places]
    width, _ = size_in_points(ax)
    room = width / len(names) * places.step / (0.62 * STYLE["xtick.labelsize"])
    crowded = max(map(len, shown)) > room
    ax.set_xticks(places, shown, rotation=90 if crowded else 0)
    ax.set_yticks(places, shown)


def class_scores(
    per_class: Sequence[Mapping[str, Any]], *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Precision, recall and F1 of each class as horizontal bars.

    Parameters
    ----------
    per_class : sequence of mappings
        With "class", "precision", "recall", "f1" in [0, 1] and, if wished, "support", the number of
        its samples.
    title : str, optional
        An empty one sets none.
    ax : Axes, optional
        By default those of a new figure, which grows with the number of classes.

    Returns
    -------
    Axes

    Raises
    ------
    TypeError, ValueError
        No classes, or a class without one of these numbers.
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
    for index, (name, colour, hatch) in enumerate(looks):
        label = "F1" if name == "f1" else name
        ax.barh(rows + 0.27 * (index - 1), values[:, index], height=0.25, color=colour, hatch=hatch,
                edgecolor="white", linewidth=0, label=label)  # fmt: skip
    ax.set_yticks(rows, [_class_label(entry) for entry in per_class])
    ax.set(xlim=(0, 1), ylim=(len(values) - 0.5, -0.5))
    per_cent(ax.xaxis)
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
    support = f" ({entry['support']:,})" if "support" in entry else ""
    return plain(entry["class"]) + support
