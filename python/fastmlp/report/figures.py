"""The figures of a report, each with a caption and a description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastmlp.plot as plot
from fastmlp.experiment.importance import Importance
from fastmlp.experiment.partial_dependence import PartialDependence
from fastmlp.model import MLP
from fastmlp.plot.style import (
    INK,
    OKABE_ITO,
    add_legend,
    line_look,
    logarithmic,
    percent_ticks,
    plain,
    styled_axes,
)
from fastmlp.report.page import Picture, count, number, percent
from fastmlp.report.subject import largest

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = [
    "calibration_curve",
    "confusion_matrix",
    "data_sizes",
    "error_histogram",
    "importance",
    "learning_curves",
    "learning_rate",
    "partial_dependence",
    "precision_recall_curve",
    "predictions",
    "residuals",
    "roc_curve",
    "weight_templates",
    "worst_images",
]

Floats = NDArray[np.float64]
Records = Sequence[dict[str, Any]]

MOST_UNITS = 36


def _axes(height: float = 3.5) -> Axes:
    """Return axes whose texts are legible on a phone, too."""
    return styled_axes(None, (4.8, height))


# ---------------------------------------------------------------- training


def learning_curves(
    records: Records, quantity: str, monitored: str, chosen_epoch: int | None
) -> Picture:
    """Draw loss or accuracy by epoch; `monitored` names the part of the ``val_`` values."""
    axes = plot.learning_curves(records, quantity=quantity, title="", ax=_axes())
    for line in axes.get_lines():
        if line.get_label() == "training":
            line.set_linestyle("--")
        elif line.get_label() == "validation":
            line.set(linestyle="-", label=monitored)
    if chosen_epoch is not None:
        label = f"chosen epoch: {chosen_epoch}"
        axes.axvline(chosen_epoch, color=INK, linewidth=0.8, linestyle=":", label=label)
    add_legend(axes)
    parts = {"training": quantity, monitored: f"val_{quantity}"}
    write = percent if quantity == "accuracy" else number
    courses = [
        f"{part} {_course(values, write)}"
        for part, key in parts.items()
        if (values := _known(records, key))
    ]
    epochs = "1 epoch" if len(records) == 1 else f"each of {len(records)} epochs"
    shown = f"{quantity.capitalize()} after {epochs}: {', '.join(courses)}"
    caption = f"{shown}."
    if len(courses) > 1:
        caption += " Training is measured while the weights change within the epoch, "
        caption += f"{monitored} after it."
    return Picture(f"learning_curves_{quantity}", caption, shown, plot.svg(axes))


def _known(records: Records, key: str) -> list[float]:
    return [float(record[key]) for record in records if record.get(key) is not None]


def _course(values: list[float], write: Callable[[float], str]) -> str:
    first, last = write(values[0]), write(values[-1])
    return first if min(values) == max(values) else f"from {first} to {last}"


def learning_rate(records: Records) -> Picture:
    """Draw the learning rate of each epoch."""
    rates = _known(records, "learning_rate")
    shown = f"Learning rate by epoch: {_course(rates, number)}"
    if max(rates) > max(rates[0], rates[-1]):
        shown += f", at most {number(max(rates))}"
    axes = plot.learning_rate(records, title="", ax=_axes())
    return Picture("learning_rate", f"{shown}.", shown, plot.svg(axes))


def data_sizes(points: Records, key: str, title: str, write: Callable[[float], str]) -> Picture:
    """Draw a measure over the number of training samples."""
    sizes = [int(point["samples"]) for point in points]
    values = [float(point[key]) for point in points]
    axes = _axes()
    axes.plot(sizes, values, **line_look(0, points=len(sizes)))
    logarithmic(axes, "x")
    axes.minorticks_off()
    axes.set_xticks(sizes, [count(size) for size in sizes])
    axes.set_xlabel("training samples")
    axes.set_ylabel(title if key == "rmse" else f"{title.lower()} (%)")
    if key != "rmse":
        percent_ticks(axes.yaxis)
    shown = (
        f"{title} by number of training samples: {write(values[0])} of {count(sizes[0])}, "
        f"{write(values[-1])} of {count(sizes[-1])}"
    )
    return Picture("data_sizes", f"{shown}.", shown, plot.svg(axes))


# ---------------------------------------------------------------- results


def confusion_matrix(matrix: NDArray[Any], class_names: Sequence[str]) -> Picture:
    """Draw the confusion matrix in shares of each true class."""
    axes = plot.confusion_matrix(matrix=matrix, class_names=class_names, normalize="true", title="")
    right, total = int(np.trace(matrix)), int(matrix.sum())
    shown = (
        f"Confusion matrix of {len(matrix)} classes, {total:,} samples: "
        f"{percent(right / total)} on the diagonal"
    )
    caption = (
        "Rows are true classes, columns predicted ones; each row adds up to 100 % of its class."
    )
    return Picture("confusion_matrix", caption, shown, plot.svg(axes), wide=len(matrix) > 12)


def predictions(truth: Floats, predicted: Floats, target: str, suffix: str) -> Picture:
    """Draw predicted over true values of one target; `suffix` is appended to the file name."""
    axes = plot.predictions(truth, predicted, target_names=[target], title="")
    shown = f"Predicted against true {target} of {len(truth):,} samples"
    caption = f"{shown}; on the dashed line they are equal."
    return Picture(f"predictions{suffix}", caption, shown, plot.svg(axes))


def residuals(truth: Floats, predicted: Floats, target: str, suffix: str) -> Picture:
    """Draw the errors of one target over the predictions; `suffix` is appended to the file name."""
    axes = plot.residuals(truth, predicted, target_name=target, title="", ax=_axes())
    shown = f"Errors of {target} by the predicted value"
    caption = (
        f"{shown}: a bend of the mean, or a spread that grows, is something the model has not "
        "learned."
    )
    return Picture(f"residuals{suffix}", caption, shown, plot.svg(axes))


def error_histogram(truth: Floats, predicted: Floats, target: str, suffix: str) -> Picture:
    """Draw a histogram of the errors of one target; `suffix` is appended to the file name."""
    from matplotlib.ticker import MaxNLocator

    errors = predicted - truth
    axes = _axes()
    axes.hist(
        errors, bins=_bins(errors).tolist(), color=OKABE_ITO[0], edgecolor="white", linewidth=0.5
    )
    axes.axvline(0, color=INK, linewidth=1.0, linestyle="--")
    axes.grid(False, axis="x")
    axes.set_xlabel(f"predicted \u2212 true {plain(target)}")
    axes.set_ylabel("samples")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    mean, deviation = float(errors.mean()), float(errors.std())
    shown = (
        f"Histogram of the errors of {target}: mean {number(mean)}, "
        f"standard deviation {number(deviation)}"
    )
    caption = f"Errors of {target}: mean {number(mean)}, standard deviation {number(deviation)}."
    return Picture(f"error_histogram{suffix}", caption, shown, plot.svg(axes))


def _bins(errors: Floats) -> Floats:
    """Return bin edges by Freedman and Diaconis (1981): at most 60 bins, 1 for equal errors."""
    if np.ptp(errors) == 0:
        middle = float(errors[0])
        return np.array([middle - 0.5, middle + 0.5])
    edges: Floats = np.histogram_bin_edges(errors, "fd")
    return edges if len(edges) <= 61 else np.linspace(edges[0], edges[-1], 61)


def worst_images(pixels: NDArray[np.uint8], titles: Sequence[str], part: str) -> Picture:
    """Draw the samples with the highest loss as one image."""
    shape = pixels.shape[1:]
    axes = plot.images(pixels.reshape(len(pixels), -1), shape, titles)
    shown = f"The {len(pixels)} {part} samples with the highest loss"
    return Picture("worst_examples", f"{shown}.", shown, plot.svg(axes), in_page=False)


# ---------------------------------------------------------------- probabilities


def roc_curve(false_rates: Floats, true_rates: Floats, area: float, positive: str) -> Picture:
    """Draw the ROC curve of the positive class."""
    axes = plot.roc_curve(false_rates, true_rates, area=area, title="")
    shown = f"ROC curve of {positive}: area {area:.3f}"
    caption = (
        f"{shown}. The area is the probability that a sample of {positive} gets a higher "
        "probability than another one; 0.5 is chance, 1 is perfect."
    )
    return Picture("roc_curve", caption, shown, plot.svg(axes))


def precision_recall_curve(
    precision: Floats, recall: Floats, share: float, positive: str
) -> Picture:
    """Draw precision over recall of the positive class."""
    axes = plot.precision_recall_curve(precision, recall, share=share, title="")
    shown = f"Precision and recall of {positive} at all thresholds"
    caption = f"{shown}; {percent(share)} of the samples belong to it."
    return Picture("precision_recall_curve", caption, shown, plot.svg(axes))


def calibration_curve(predicted: Floats, observed: Floats, weights: Floats, what: str) -> Picture:
    """Draw what is predicted with some probability against how often it is so."""
    axes = plot.calibration_curve(predicted, observed, weights, title="")
    known = np.isfinite(predicted) & (weights > 0)
    gaps = np.abs(predicted[known] - observed[known])
    mean = float(np.average(gaps, weights=weights[known])) if known.any() else 0.0
    shown = f"Calibration of {what}: on average {100 * mean:.1f} points off"
    caption = (
        f"{shown}. Below the dashed line probabilities are too high, above it too low; bars tell "
        "how many samples there are."
    )
    return Picture("calibration_curve", caption, shown, plot.svg(axes))


# ---------------------------------------------------------------- influence


def importance(found: Importance, most: int, write: Callable[[float], str]) -> Picture:
    """Draw the importance of the columns with its spread."""
    share = found.metric == "accuracy"
    factor = 100.0 if share else 1.0
    label = "loss of accuracy (percentage points)" if share else "loss of R\u00b2"
    axes = plot.importance(
        found.names, factor * found.means, factor * found.deviations, most=most, label=label,
        title="", ax=_axes(max(2.2, 1.2 + 0.28 * min(most, len(found)))),
    )  # fmt: skip
    first = found.names[found.order[0]]
    some = _some(min(most, len(found)), len(found))
    shown = f"Importance of {some} columns, largest for {first} ({write(found.means.max().item())})"
    caption = f"{shown}. Lines are the standard deviations of {found.values.shape[1]} permutations."
    return Picture("importance", caption, shown, plot.svg(axes))


def partial_dependence(
    found: PartialDependence, means: Floats, outputs: Sequence[str], quantity: str, write: str,
    place: int, limits: tuple[float, float],
) -> Picture:  # fmt: skip
    """Draw the partial dependence on one column; `limits` are those of all predictions drawn."""
    axes = plot.partial_dependence(
        found.values, means, column=found.column, outputs=outputs if len(outputs) > 1 else None,
        present=None if found.kind == "category" else found.present,
        dates=found.kind == "date", label=_axis_label(quantity, write), shares=write == "share",
        title="",
    )  # fmt: skip
    least, most = limits
    # What hardly changes is a straight line.
    margin = max(0.05 * (most - least), 0.02 * abs(least), 0.02 * abs(most)) or 0.5
    if found.kind == "category":
        axes.set_xlim(min(0.0, least - margin), max(0.0, most + margin))
    else:
        axes.set_ylim(least - margin, most + margin)
    format_one = percent if write == "share" else number
    low, high = format_one(float(means.min())), format_one(float(means.max()))
    shown = f"{quantity[0].upper()}{quantity[1:]} by {found.column}: from {low} to {high}"
    return Picture(f"partial_dependence_{place}", f"{shown}.", shown, plot.svg(axes))


def _axis_label(quantity: str, write: str) -> str:
    label = plain(quantity, 34)
    return f"{label} (%)" if write == "share" else label


# ---------------------------------------------------------------- first layer


def weight_templates(
    model: MLP, image_shape: tuple[int, ...], unit_names: Sequence[str] | None
) -> Picture:
    """Draw the weights of the units of the first layer with the largest norms as images."""
    norms = np.linalg.norm(np.asarray(model.weights[0], np.float64), axis=0)
    units = largest(norms, MOST_UNITS).tolist()
    titles = None if unit_names is None else [unit_names[unit] for unit in units]
    axes = plot.weight_templates(
        model, image_shape=image_shape, units=units, titles=titles, title=""
    )
    some = _some(len(units), len(norms))
    shown = f"Weights of {some} units of the first layer as images, by falling norm"
    signs = "blue inputs raise a unit, orange ones lower it"
    if len(image_shape) == 3:
        signs = "gray is 0"
    caption = f"{shown}; {signs}."
    return Picture("weight_templates", caption, shown, plot.svg(axes), wide=True)


def _some(shown: int, count: int) -> str:
    return f"the {shown} strongest of {count}" if shown < count else f"all {count}"
