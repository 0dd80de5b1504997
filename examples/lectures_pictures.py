"""Pictures from courses on neural networks, drawn with fastmlp.plot and written as SVG and PNG.

The XOR network and its hidden space; activations and their derivatives; update rules compared; two
small networks with all values and gradients; vanishing gradients; decision regions of narrow, wide
and deep networks; weight templates of classifiers of digits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import fastmlp
from fastmlp import MLP, SGD, plot, schedules

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0, 1, 1, 0])


def spirals(samples: int, turns: float, seed: int) -> tuple[Array, Labels]:
    """Points of two arms around each other."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, samples)
    radius = np.sqrt(rng.random(samples))
    angle = 2 * np.pi * turns * radius + np.pi * y
    x = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
    return x + 0.03 * rng.standard_normal(x.shape), y


# ---------------------------------------------------------------- XOR


def xor_by_hand() -> MLP:
    """I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 6.1.

    The output is 0 or 1; the last bias subtracts 1/2, so that the sign decides the class.
    """
    model = MLP([2, 2, 1], activation="relu", loss="binary_cross_entropy", dtype="float64")
    model.weights = [np.ones((2, 2)), np.array([[1.0], [-2.0]])]
    model.biases = [np.array([0.0, -1.0]), np.array([-0.5])]
    return model


def xor_learned() -> MLP:
    """The same by gradient descent from random weights."""
    model = MLP([2, 2, 1], activation="tanh", loss="binary_cross_entropy", dtype="float64", seed=1)
    optimizer = SGD(0.3, momentum=0.9)
    model.fit(CORNERS, XOR[:, None], epochs=500, batch_size=4, optimizer=optimizer, verbose=0)
    return model


def last_layer(model: MLP) -> MLP:
    """The output layer as a network of its own, on the hidden units."""
    layer = MLP(model.layer_sizes[-2:], loss="binary_cross_entropy", dtype="float64")
    layer.weights, layer.biases = [model.weights[-1]], [model.biases[-1]]
    return layer


def hidden_space() -> Figure:
    """Classes that no line separates in the inputs are separated by a line in the hidden units."""
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    rows = figure.subplots(2, 2)
    for row, (model, origin) in zip(
        rows, ((xor_by_hand(), "weights by hand"), (xor_learned(), "weights learned")), strict=True
    ):
        plot.decision_regions(model, CORNERS, XOR, title=f"Inputs, {origin}", ax=row[0])
        (hidden,) = model.hidden_activations(CORNERS)
        title = f"Hidden units, {origin}"
        plot.decision_regions(last_layer(model), hidden, XOR, title=title, ax=row[1])
        row[1].set(xlabel="h₁", ylabel="h₂")
        for ax in row:
            for line in ax.lines:
                line.set_markersize(10)
    return figure


# ---------------------------------------------------------------- activations and training


def activations() -> Figure:
    """Functions on the left, derivatives on the right."""
    chosen = ["step", "sigmoid", "tanh", "relu", fastmlp.LeakyReLU(slope=0.1)]
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot.activation_functions(chosen, ax=left).set_ylim(-1.2, 2.2)
    plot.activation_functions(chosen, derivative=True, ax=right)
    return figure


def race() -> Figure:
    """Loss of several update rules on one problem, with the same weights and batches."""
    x, y = spirals(400, turns=1, seed=0)
    racers = {
        "plain": SGD(0.1),
        "step decay": SGD(schedules.StepDecay(0.3, 0.5, every=25)),
        "momentum": SGD(0.1, momentum=0.9),
        "Nesterov": SGD(0.1, momentum=0.9, nesterov=True),
        "Adagrad": fastmlp.Adagrad(0.1),
        "RMSprop": fastmlp.RMSprop(0.01),
        "Adam": fastmlp.Adam(0.01),
    }
    histories = {
        name: MLP([2, 20, 2]).fit(x, y, epochs=100, batch_size=20, optimizer=rule, verbose=0)
        for name, rule in racers.items()
    }
    ax = plot.learning_curves(histories, title="Update rules on two spirals")
    ax.set_yscale("log")
    return ax.get_figure(root=True)


def neuron_by_hand() -> Figure:
    """CS231n, notes on backpropagation: f = sigmoid(w1 x1 + w2 x2 + b) and its derivatives."""

    def output_itself(outputs: Array, targets: Array) -> tuple[float, Array]:
        return float(outputs.sum()), np.ones_like(outputs)

    model = MLP([2, 1], output_activation="sigmoid", loss=output_itself, dtype="float64")
    model.weights, model.biases = [np.array([[2.0], [-3.0]])], [np.array([-3.0])]
    title = "A neuron, and the derivatives of its output"
    return plot.computational_graph(model, [-1, -2], [0.0], title=title).get_figure(root=True)


def network_by_hand() -> Figure:
    """Backpropagation through two layers of two sigmoids each."""
    model = MLP(
        [2, 2, 2],
        activation="sigmoid",
        output_activation="sigmoid",
        loss="half_mse",
        dtype="float64",
    )
    model.weights = [np.array([[0.2, -0.4], [0.5, 0.6]]), np.array([[0.1, -0.5], [-0.3, 0.8]])]
    ax = plot.computational_graph(model, [0.5, 0.3], [0.23, -0.07])
    return ax.get_figure(root=True)


def vanishing_gradients() -> Figure:
    """One to five hidden layers of sigmoids, before training."""
    x = np.random.default_rng(0).standard_normal((256, 20))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    models = {
        f"{layers} hidden": MLP([20, *[30] * layers, 2], activation="sigmoid")
        for layers in range(1, 6)
    }
    return plot.gradient_norms(models, x, y).get_figure(root=True)


# ---------------------------------------------------------------- what networks learn


def regions() -> Figure:
    """More units and layers make finer regions."""
    x, y = spirals(400, turns=1.25, seed=0)
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for ax, hidden in zip(
        panels.flat, ([3], [6], [20], [10, 10], [10, 10, 10], [10, 10, 10, 10]), strict=True
    ):
        model = MLP([2, *hidden, 2], seed=1)
        optimizer = fastmlp.Adam(schedules.Cosine(0.02))
        model.fit(x, y, epochs=150, batch_size=10, optimizer=optimizer, verbose=0)
        recognized = 100 * model.evaluate(x, y)["accuracy"]
        sizes = "-".join(map(str, model.layer_sizes))
        plot.decision_regions(model, x, y, title=f"{sizes}: {recognized:.1f} % right", ax=ax)
        ax.label_outer()
        if ax is not panels[0, -1]:
            ax.get_legend().remove()
    return figure


def templates(hidden: list[int]) -> Figure:
    """First weights of a classifier of digits, by rows of pixels."""
    digits = fastmlp.datasets.load("mnist", report=lambda line: print(line, file=sys.stderr))
    initializer = fastmlp.Normal(0.02) if hidden else "zeros"
    model = MLP([784, *hidden, 10], input_scale=1 / 255, initializer=initializer)
    optimizer = SGD(0.05, momentum=0.5, l2=1e-3)
    model.fit(digits.x_train, digits.y_train, epochs=4, optimizer=optimizer, verbose=0)
    right = 100 * model.evaluate(digits.x_test, digits.y_test)["accuracy"]
    who = f"{hidden[0]} hidden units look" if hidden else "a linear classifier looks"
    ax = plot.weight_templates(
        model,
        titles=None if hidden else digits.class_names,
        title=f"What {who} for, with {right:.1f} % of the test images right",
    )
    return ax.get_figure(root=True)


PICTURES: dict[str, Callable[[], Figure]] = {
    "xor_hidden_space": hidden_space,
    "activations": activations,
    "race": race,
    "neuron_by_hand": neuron_by_hand,
    "network_by_hand": network_by_hand,
    "vanishing_gradients": vanishing_gradients,
    "decision_regions": regions,
    "templates_linear": lambda: templates([]),
    "templates_hidden": lambda: templates([30]),
}


def write_pictures(folder: Path) -> Iterator[Path]:
    """Draw each picture and yield its files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        figure = draw()
        vectors = folder / f"{name}.svg"
        vectors.write_text(plot.svg(figure), encoding="utf-8")
        pixels = folder / f"{name}.png"
        figure.savefig(pixels, dpi=150)
        yield from (vectors, pixels)


def main() -> None:
    """Write the pictures into a folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with matplotlib.rc_context(plot.STYLE):
        for path in write_pictures(options.folder):
            print(path)


if __name__ == "__main__":
    main()
