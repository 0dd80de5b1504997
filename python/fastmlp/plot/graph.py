"""Drawing of a small network as a graph with values and derivatives of one sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.losses import Loss
from fastmlp.model import MLP
from fastmlp.network import Network
from fastmlp.plot.networks import in_float64, require_plain
from fastmlp.plot.pen import FORWARD_AND_BACK, MOST_NODES, Pen, Point
from fastmlp.plot.style import OKABE_ITO, add_title, ink, plain, short_number, styled_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Backpropagation", "backpropagate", "computational_graph"]

Floats = NDArray[np.float64]

_MOST_LABELS = 32  # labeled connections between two layers
# All lengths are inches.
_COLUMN_WIDTH = 2.2
_ROW_HEIGHT = 1.15
_RADIUS = 0.38
_LABEL_WIDTH, _LABEL_HEIGHT = 0.62, 0.36
_LABEL_DISTANCE = 1.05  # distance from the column on the left
_MARGIN = 0.75
_HEADING = 0.55
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


# ---------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Backpropagation:
    """The values of one sample in a network and the derivatives of its loss, in float64.

    Attributes
    ----------
    loss : float
        Loss of the sample.
    values, gradients : list of arrays of shape (units,)
        Values and the derivatives of the loss with respect to them: first the inputs, then the
        outputs of each layer. If the loss is computed from logits or logarithms of rates, these are
        the outputs of the last layer.
    weights, weight_gradients : list of arrays of shape (in, out)
        Weights of each layer and the derivatives of the loss with respect to them.
    biases, bias_gradients : list of arrays of shape (units,)
        Biases of each layer and the derivatives of the loss with respect to them, which are also
        the derivatives with respect to the weighted inputs of the units.
    prediction : array of shape (outputs,)
        Probabilities or rates if the loss defines them, else the outputs themselves.
    """

    loss: float
    values: list[Floats]
    gradients: list[Floats]
    weights: list[Floats]
    weight_gradients: list[Floats]
    biases: list[Floats]
    bias_gradients: list[Floats]
    prediction: Floats


def backpropagate(model: Network, x: ArrayLike, y: Any) -> Backpropagation:
    """Run one sample forward and backward through a network, in float64 and without dropout.

    Parameters
    ----------
    model : MLP
        Model without batch or layer normalization and residual blocks.
    x : array of shape (features,) or (1, features)
        Inputs of the sample.
    y : int, array of shape (outputs,) or (1, outputs), or a list of these
        Target of the sample in the form that `MLP.fit` accepts for the loss; a list for several
        losses.

    Raises
    ------
    TypeError, ValueError
        `model` is not a model, or `x` or `y` is not one sample of it.
    """
    require_plain(model)
    exact = in_float64(model)
    row, target = _one_row(x), _one_target(model, y)
    loss, weight_gradients, bias_gradients = exact.loss_and_gradients(row, target, threads=1)
    weights = list(exact.weights)
    outputs = exact._outputs_of(exact._rows(row), "none", 1)
    values = [row, *exact.hidden_activations(row, threads=1), outputs]
    gradients = [exact.input_gradients(row, target, threads=1)]
    for layer in range(1, len(weights)):  # the chain rule sums over the units of the next layer
        gradients.append((weights[layer] @ bias_gradients[layer])[None])
    gradients.append(_loss_alone(exact).input_gradients(outputs, target, threads=1))
    link = exact.architecture.losses[0].link if len(exact.architecture.losses) == 1 else "none"
    return Backpropagation(
        loss=float(loss),
        values=[value[0] for value in values],
        gradients=[gradient[0] for gradient in gradients],
        weights=weights,
        weight_gradients=weight_gradients,
        biases=list(exact.biases),
        bias_gradients=bias_gradients,
        prediction=exact._outputs_of(exact._rows(row), link, 1)[0],
    )


def _loss_alone(model: MLP) -> MLP:
    """Return a network whose outputs equal its inputs, with the loss of `model`."""
    outputs = model.layer_sizes[-1]
    loss = model.architecture.arguments()["loss"]
    alone = MLP([outputs, outputs], loss=loss, dtype="float64")
    alone.weights = [np.eye(outputs)]
    return alone


def _one_row(x: ArrayLike) -> Floats:
    row = np.atleast_2d(np.asarray(x, np.float64))
    if row.ndim != 2 or len(row) != 1:
        raise ValueError(f"x must be one sample, (features,) or (1, features), got {row.shape}")
    return row


def _one_target(model: Network, y: Any) -> Any:
    losses = model.architecture.losses
    if len(losses) == 1:
        return _target_of(losses[0], y)
    if not isinstance(y, (list, tuple)) or len(y) != len(losses):
        raise TypeError(f"y must be a list of {len(losses)} targets, one per loss")
    return [_target_of(loss, item) for loss, item in zip(losses, y, strict=True)]


def _target_of(loss: Loss, y: Any) -> NDArray[Any]:
    target = np.asarray(y)
    if target.ndim == 0:
        return target.reshape(1) if loss.takes_classes else target.reshape(1, 1)
    if target.ndim == 1 and not (loss.takes_classes and len(target) == 1):
        return target.reshape(1, -1)
    return target


# ---------------------------------------------------------------- drawing


def computational_graph(
    model: Network,
    x: ArrayLike,
    y: Any,
    *,
    feature_names: Sequence[str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a small network as a graph with the values and derivatives of one sample.

    Parameters
    ----------
    model : MLP
        Model without batch normalization, with at most 60 nodes (inputs, units and the loss).
    x : array of shape (features,) or (1, features)
        Inputs of the sample.
    y : int, array of shape (outputs,) or (1, outputs), or a list of these
        Target of the sample in the form that `MLP.fit` accepts for the loss; a list for several
        losses.
    feature_names : sequence of str, optional
        Names of the inputs; by default x₁, x₂ and so on.
    title : str, optional
        Title of the axes; an empty string sets none.
    ax : Axes, optional
        Axes to draw on; by default those of a new figure, which grows with the network.

    Returns
    -------
    Axes
        Axes with the graph. Nodes show their value and below it, after ∂, the derivative of the
        loss with respect to it. Connections show their weight and units their bias in the same
        way. Lines are solid for positive weights and dashed for negative ones; thicker lines have
        larger weights. Between two layers with more than 32 connections the numbers are omitted.

    Raises
    ------
    TypeError, ValueError
        `model` is not a model or has too many nodes, or `x` or `y` is not one sample of it.

    Examples
    --------
    >>> from fastmlp import MLP, plot
    >>> model = MLP([2, 3, 1], activation="tanh", loss="mse", seed=0)
    >>> ax = plot.computational_graph(model, [0.5, -1.0], [0.25], feature_names=["a", "b"])
    >>> ax.get_title()
    'Values forward, gradients back'
    """
    if isinstance(model, Network) and sum(model.layer_sizes) + 1 > MOST_NODES:
        raise ValueError(
            f"model must have at most {MOST_NODES} inputs, units and loss together, got "
            f"{sum(model.layer_sizes) + 1}"
        )
    numbers = backpropagate(model, x, y)
    sizes = model.layer_sizes
    if feature_names is not None and len(feature_names) != sizes[0]:
        raise ValueError(
            f"feature_names must have one entry per input: {sizes[0]} needed, got "
            f"{len(feature_names)}"
        )
    plan = _Plan.of(sizes)
    ax = styled_axes(ax, (plan.width, plan.height + 0.7), grid=False)
    pen = Pen(ax, plan.width, plan.height)
    for layer in range(len(sizes) - 1):
        _draw_connections(pen, plan, numbers, layer)
    _draw_way_to_loss(pen, plan)
    _draw_nodes(pen, plan, numbers, _names(sizes, feature_names))
    _write_captions(pen, plan, model, numbers, y)
    pen.finish(
        "bold: value or weight; b: bias; ∂: derivative of the loss by it\n"
        "blue, solid: weight ≥ 0; orange, dashed: weight < 0"
    )
    add_title(ax, title, FORWARD_AND_BACK)
    return ax


@dataclass(frozen=True)
class _Plan:
    """Positions in inches: one column for the inputs, one per layer of units, one for the loss."""

    sizes: tuple[int, ...]  # nodes in each column
    body: float  # height of the columns

    @classmethod
    def of(cls, layer_sizes: Sequence[int]) -> _Plan:
        connections = [a * b for a, b in zip(layer_sizes, layer_sizes[1:], strict=False)]
        labels = [count for count in connections if count <= _MOST_LABELS]
        rows = max(*layer_sizes, 2)
        return cls(
            (*layer_sizes, 1), max(_ROW_HEIGHT * rows, _LABEL_HEIGHT * max(labels, default=0))
        )

    @property
    def width(self) -> float:
        return 2 * _MARGIN + _COLUMN_WIDTH * (len(self.sizes) - 1)

    @property
    def height(self) -> float:
        return self.body + _HEADING

    def place(self, column: int, row: int) -> Point:
        """Return the center of a node; the first row is at the top."""
        spacing = self.body / self.sizes[column]
        return _MARGIN + _COLUMN_WIDTH * column, self.body - spacing * (row + 0.5)

    def is_labeled(self, layer: int) -> bool:
        return self.sizes[layer] * self.sizes[layer + 1] <= _MOST_LABELS

    def label_place(self, layer: int, i: int, j: int) -> Point:
        """Return the center of the label of the connection from i to j; labels form a column."""
        inputs, outputs = self.sizes[layer], self.sizes[layer + 1]
        spacing = self.body / (inputs * outputs)
        place = _MARGIN + _COLUMN_WIDTH * layer + _LABEL_DISTANCE
        return place, self.body - spacing * (i * outputs + j + 0.5)


def _draw_connections(pen: Pen, plan: _Plan, numbers: Backpropagation, layer: int) -> None:
    weights, gradients = numbers.weights[layer], numbers.weight_gradients[layer]
    largest = float(np.abs(weights).max()) or 1.0
    for i, j in np.ndindex(weights.shape):
        weight = float(weights[i, j])
        look = {
            "color": OKABE_ITO[0] if weight >= 0 else OKABE_ITO[1],
            "linestyle": "-" if weight >= 0 else (0, (4, 2)),
            "linewidth": 0.5 + 1.7 * abs(weight) / largest,
        }
        start, end = plan.place(layer, i), plan.place(layer + 1, j)
        if not plan.is_labeled(layer):
            pen.line([start, end], **look)
            continue
        x, y = plan.label_place(layer, i, j)
        pen.line([start, (x - _LABEL_WIDTH / 2, y)], **look)
        pen.line([(x + _LABEL_WIDTH / 2, y), end], **look)
        pen.pair((x, y), weight, float(gradients[i, j]), size=0.85)


def _draw_way_to_loss(pen: Pen, plan: _Plan) -> None:
    last = len(plan.sizes) - 1
    for row in range(plan.sizes[-2]):
        ends = [plan.place(last - 1, row), plan.place(last, 0)]
        pen.line(ends, color=ink(pen.ax), linewidth=0.8)


def _names(sizes: Sequence[int], feature_names: Sequence[str] | None) -> list[list[str]]:
    letters = ["x", *["h"] * (len(sizes) - 2), "o"]
    names = [
        [f"{letter}{row + 1}".translate(_SUBSCRIPTS) for row in range(size)]
        for letter, size in zip(letters, sizes, strict=True)
    ]
    if feature_names is not None:
        names[0] = [plain(name, 16) for name in feature_names]
    return names


def _draw_nodes(pen: Pen, plan: _Plan, numbers: Backpropagation, names: list[list[str]]) -> None:
    from matplotlib.patches import Circle, Rectangle

    look: dict[str, Any] = {"facecolor": "#F4F4F4", "edgecolor": "black", "zorder": 3}
    look["linewidth"] = 1.1 * pen.scale
    for column, values in enumerate(numbers.values):
        for row, value in enumerate(values):
            x, y = place = plan.place(column, row)
            pen.ax.add_patch(Circle(place, _RADIUS, **look))
            pen.pair(place, float(value), float(numbers.gradients[column][row]), size=0.95)
            pen.beside((x, y + _RADIUS + 0.1), names[column][row])
            if column > 0:
                bias = short_number(float(numbers.biases[column - 1][row]))
                derivative = short_number(float(numbers.bias_gradients[column - 1][row]))
                pen.beside((x, y - _RADIUS - 0.1), f"b {bias}  ∂ {derivative}")
    x, y = place = plan.place(len(plan.sizes) - 1, 0)
    corner = (x - _RADIUS, y - _RADIUS)
    pen.ax.add_patch(Rectangle(corner, 2 * _RADIUS, 2 * _RADIUS, **look))
    pen.pair(place, numbers.loss, 1.0)


def _write_captions(
    pen: Pen, plan: _Plan, model: Network, numbers: Backpropagation, y: Any
) -> None:
    """Write the names of the columns, and predictions and target below outputs and loss."""
    architecture = model.architecture
    spec = architecture.spec()
    heads = [str(layer["activation"]) for layer in spec["layers"]]
    if spec["softmax_output"]:
        heads[-1] = "softmax"
    scale = architecture.input_scale
    inputs = "inputs" if scale == 1 else f"inputs, used\ntimes {short_number(scale)}"
    if model.standardization is not None:
        inputs = "inputs, used\nstandardized"
    losses = "\n+ ".join(loss.name for loss in architecture.losses)
    captions = [f"layer {index + 1}\n{name}" for index, name in enumerate(heads)]
    top = plan.body + _HEADING / 2
    for column, caption in enumerate([inputs, *captions, f"loss\n{losses}"]):
        pen.text((plan.place(column, 0)[0], top), caption.replace("_", " "))
    link = architecture.losses[0].link if len(architecture.losses) == 1 else "none"
    if link != "none":
        for row, value in enumerate(numbers.prediction):
            x_place, y_place = plan.place(len(plan.sizes) - 2, row)
            below = (x_place, y_place - _RADIUS - 0.24)
            pen.beside(below, f"{link} {short_number(float(value))}")
    x_place, y_place = plan.place(len(plan.sizes) - 1, 0)
    pen.beside((x_place, y_place - _RADIUS - 0.1), f"target {_target_text(y)}")


def _target_text(y: Any) -> str:
    if isinstance(y, (list, tuple)) and any(np.ndim(item) for item in y):
        return "; ".join(_target_text(item) for item in y)
    values = np.ravel(np.asarray(y, np.float64))
    text = ", ".join(short_number(value) for value in values[:3])
    return text + (", …" if len(values) > 3 else "")
