"""Line plots: learning curves, learning rates, gradient norms by layer, activation functions."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp._named import as_config, named
from fastmlp.activations import ACTIVATIONS, Activation
from fastmlp.history import History
from fastmlp.model import MLP
from fastmlp.network import Network
from fastmlp.plot.style import (
    INK,
    OKABE_ITO,
    add_legend,
    add_note,
    add_title,
    line_look,
    logarithmic,
    percent_ticks,
    plain,
    short_number,
    styled_axes,
    whole_numbers,
)
from fastmlp.training.lr_finder import LearningRates
from fastmlp.validation import choice, finite_array, flag, real

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["activation_functions", "gradient_norms", "learning_curves", "learning_rate"]

Floats = NDArray[np.float64]
Records = Sequence[Mapping[str, Any]]
Norms = Network | Sequence[float] | ArrayLike

_AXIS_LABELS = {"loss": "mean loss per sample", "accuracy": "accuracy (%)"}
_THIN: dict[str, Any] = {"linewidth": 0.8, "marker": "none"}
_NOTHING = "no epoch has been completed"
_ACTIVATION_POINTS = 801


def learning_curves(
    history: History | Records | Mapping[str, History | Records],
    *,
    quantity: str = "loss",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the loss or the accuracy of training and validation over the epochs.

    Parameters
    ----------
    history : History or list of records, or a mapping of names to these
        One run, or several to compare. A record is a mapping with at least ``epoch`` and the
        quantity, such as the records of callbacks and the lines of ``metrics.jsonl``.
    quantity : {"loss", "accuracy"}
        Quantity to plot.
    title : str, optional
        Title of the axes; by default the name of the quantity. An empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        For one run, axes with lines "training" and "validation" and a ring around the best epoch of
        validation. For several runs, axes with one color per run and thin lines for validation.
        Without any epoch, the axes have a note instead.

    Raises
    ------
    TypeError, ValueError
        `history` is not a history, records lack ``epoch``, or the quantity was not measured.

    Examples
    --------
    >>> from fastmlp import plot
    >>> records = [
    ...     {"epoch": 1, "loss": 0.9, "val_loss": 1.0},
    ...     {"epoch": 2, "loss": 0.5, "val_loss": 0.7},
    ... ]
    >>> ax = plot.learning_curves(records)
    >>> [text.get_text() for text in ax.get_legend().get_texts()]
    ['training', 'validation', 'best: 0.7 in epoch 2']
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
            percent_ticks(ax.yaxis)
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
    """Return epochs and values of training and of validation; either may be empty."""
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
    """Return epochs and values of the records that have this quantity."""
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
    """Plot the learning rate of each epoch, or the loss over the rates of a range test.

    Parameters
    ----------
    rates : LearningRates or list of records
        Result of `MLP.lr_find`, or records with ``epoch`` and ``learning_rate``.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with one line. For `LearningRates` the axis of the rates is logarithmic, and a second
        line marks the suggestion; without one the title says why.

    Raises
    ------
    TypeError, ValueError
        `rates` is neither a `LearningRates` nor a list of records, or the records lack
        ``learning_rate``.

    Examples
    --------
    >>> from fastmlp import plot
    >>> records = [{"epoch": epoch, "learning_rate": 0.1 / epoch} for epoch in (1, 2, 3)]
    >>> ax = plot.learning_rate(records)
    >>> ax.get_ylabel()
    'learning rate'
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
    usual = "Loss while the learning rate grows"
    if found.suggestion is None:
        problem = str(found.problem).partition(";")[0]
        usual = textwrap.fill(f"No learning rate is suggested: {problem}", 70)
    else:
        ax.axvline(
            found.suggestion,
            color=OKABE_ITO[1],
            linestyle="--",
            label=f"steepest descent: {short_number(found.suggestion)}",
        )
    logarithmic(ax, "x")
    ax.set_xlabel("learning rate")
    ax.set_ylabel("mean loss per sample, smoothed")
    add_title(ax, title, usual)
    add_legend(ax)
    return ax


# ---------------------------------------------------------------- layers and activations


def gradient_norms(
    norms: Norms | Mapping[str, Norms],
    x: ArrayLike | None = None,
    y: Any = None,
    *,
    training: bool = False,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot the Euclidean norm of the gradient with respect to each layer's weights.

    Parameters
    ----------
    norms : MLP, array of shape (layers,), or a mapping of names to these
        Norms, or a model whose norms on `x` and `y` are computed. A mapping has one line per entry.
    x, y : arrays, optional
        Samples and targets, which are required for models.
    training : bool
        Argument ``training`` of `MLP.gradient_norms`.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with a logarithmic scale of the norms, unless a norm is 0.

    Raises
    ------
    TypeError, ValueError
        Norms are negative or missing, or a model is given without samples.

    Examples
    --------
    >>> from fastmlp import plot
    >>> ax = plot.gradient_norms({"sigmoid": [0.001, 0.01, 0.1], "relu": [0.08, 0.09, 0.1]})
    >>> ax.get_yscale()
    'log'
    """
    named = norms if isinstance(norms, Mapping) else {"": norms}
    if not named:
        raise ValueError("norms must have at least one entry, got none")
    lines = {
        str(name): _norms_of(f"norms[{name!r}]" if name else "norms", item, x, y, training)
        for name, item in named.items()
    }
    ax = styled_axes(ax)
    for index, (name, values) in enumerate(lines.items()):
        layers = np.arange(1, len(values) + 1)
        look = line_look(index, points=len(values)) | {"markevery": None}
        ax.plot(layers, values, label=plain(name) or None, **look)
    if all(values.min() > 0 for values in lines.values()):
        logarithmic(ax, "y")
    whole_numbers(ax)
    ax.set_xlabel("layer of weights, from the inputs")
    ax.set_ylabel("norm of the gradient")
    add_title(ax, title, "Gradient of the loss with respect to each layer's weights")
    add_legend(ax)
    return ax


def _norms_of(argument: str, item: object, x: Any, y: Any, training: bool) -> Floats:
    if isinstance(item, Network):
        if x is None or y is None:
            raise ValueError(f"{argument} is a model, which needs x and y")
        return np.asarray(item.gradient_norms(x, y, training=training), np.float64)
    values = finite_array(argument, item, np.float64)
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"{argument} must have shape (layers,), got {values.shape}")
    if values.min() < 0:
        raise ValueError(f"{argument} must be >= 0, got {values.min():g}")
    return values


def activation_functions(
    activations: str | Activation | Sequence[str | Activation],
    *,
    derivative: bool = False,
    limits: tuple[float, float] = (-4.0, 4.0),
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Plot activation functions, or their derivatives, as the core computes them.

    Parameters
    ----------
    activations : str, Activation or sequence of these
        Activations in the form that `fastmlp.MLP` accepts.
    derivative : bool
        Whether to draw the derivatives, which backpropagation uses.
    limits : pair of float
        Smallest and largest argument.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure.

    Returns
    -------
    Axes
        Axes with one line per activation.

    Raises
    ------
    TypeError, ValueError
        An activation does not exist, or `limits` do not ascend.

    Examples
    --------
    >>> from fastmlp import LeakyReLU, plot
    >>> ax = plot.activation_functions(["tanh", LeakyReLU(0.1)], derivative=True)
    >>> [line.get_label() for line in ax.lines[:2]]
    ['tanh', 'leaky_relu, slope 0.1']
    """
    items = [activations] if isinstance(activations, (str, Activation)) else activations
    chosen = [named("activations", item, Activation, ACTIVATIONS) for item in items]
    if not chosen:
        raise ValueError("activations must have at least one entry, got none")
    derivative = flag("derivative", derivative)
    low, high = (real("limits", end, -np.inf) for end in limits)
    if low >= high:
        raise ValueError(f"limits must ascend, got {low:g} and {high:g}")
    ax = styled_axes(ax)
    z = np.linspace(low, high, _ACTIVATION_POINTS)
    for index, activation in enumerate(chosen):
        look = line_look(index, points=_ACTIVATION_POINTS) | {"marker": "none"}
        ax.plot(
            z,
            _activation_curve(activation, z, derivative),
            label=_activation_label(activation),
            **look,
        )
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_xlabel("weighted input z")
    ax.set_ylabel("derivative dφ/dz" if derivative else "activation φ(z)")
    add_title(ax, title, "Derivatives of activations" if derivative else "Activations")
    add_legend(ax)
    return ax


def _activation_curve(activation: Activation, z: Floats, derivative: bool) -> Floats:
    """Return values or derivatives at `z`, computed by a network of one unit with weight 1."""
    unit = MLP([1, 1], output_activation=activation, loss=_sum_of_outputs, dtype="float64")
    unit.weights = [np.ones((1, 1))]
    column = z[:, None]
    if derivative:
        return np.asarray(unit.input_gradients(column, column))[:, 0]
    return np.asarray(unit.forward(column))[:, 0]


def _sum_of_outputs(outputs: Floats, targets: Floats) -> tuple[float, Floats]:
    return float(outputs.sum()), np.ones_like(outputs)


def _activation_label(activation: Activation) -> str:
    config = as_config(activation)
    if isinstance(config, str):
        return config
    settings = ", ".join(f"{name} {value}" for name, value in config.items() if name != "name")
    return f"{activation.name}, {settings}"
