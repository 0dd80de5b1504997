"""The figures of a report, each with a caption and a description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fastmlp.plot as plot
from fastmlp.model import MLP
from fastmlp.plot.style import INK, OKABE_ITO, STYLE, add_legend, plain, styled_axes
from fastmlp.report.page import Picture, number, percent
from fastmlp.report.subject import largest

__all__ = [
    "confusion_matrix",
    "input_weights",
    "learning_curves",
    "learning_rate",
    "predictions",
    "residuals",
    "weight_templates",
    "worst_images",
]

Floats = NDArray[np.float64]
Records = Sequence[dict[str, Any]]

MOST_UNITS = 36
MOST_INPUTS = 20


# ---------------------------------------------------------------- training


def learning_curves(
    records: Records, quantity: str, monitored: str, chosen_epoch: int | None
) -> Picture:
    """Draw loss or accuracy by epoch; `monitored` names the part of the ``val_`` values."""
    axes = plot.learning_curves(records, quantity=quantity)
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
    axes = plot.learning_rate(records, title="")
    return Picture("learning_rate", f"{shown}.", shown, plot.svg(axes))


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
    """Draw a histogram of the errors of one target; `suffix` is appended to the file name."""
    from matplotlib.ticker import MaxNLocator

    errors = predicted - truth
    axes = styled_axes(None)
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
    return Picture(f"residuals{suffix}", caption, shown, plot.svg(axes))


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
    signs = "gray is 0" if len(image_shape) == 3 else "red inputs raise a unit, blue ones lower it"
    caption = f"{shown}; {signs}."
    return Picture("weight_templates", caption, shown, plot.svg(axes), wide=True)


def input_weights(norms: Floats, names: Sequence[str]) -> Picture:
    """Draw the norms of the inputs whose weights in the first layer are largest."""
    chosen = largest(norms, MOST_INPUTS)
    axes = styled_axes(None, (STYLE["figure.figsize"][0], 1.1 + 0.26 * len(chosen)))
    axes.barh(np.arange(len(chosen)), norms[chosen], height=0.7, color=OKABE_ITO[0])
    axes.set_yticks(range(len(chosen)), [plain(names[i]) for i in chosen])
    axes.set_ylim(len(chosen) - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel("Euclidean norm of the weights")
    some = _some(len(chosen), len(norms))
    strongest = f"largest for {names[chosen[0]]} ({number(norms[chosen[0]])})"
    shown = f"Norms of the first layer's weights of {some} inputs, {strongest}"
    return Picture("input_weights", f"{shown}.", shown, plot.svg(axes))


def _some(shown: int, count: int) -> str:
    return f"the {shown} strongest of {count}" if shown < count else f"all {count}"
