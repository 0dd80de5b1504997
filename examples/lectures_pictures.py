"""Pictures from courses on neural networks, drawn with fastmlp.plot and written as SVG and PNG.

The XOR network and its hidden space; activations and their derivatives; update rules compared, by
their losses and on a surface; expressions, a neuron and two small networks with all values and
gradients; vanishing gradients; decision regions of narrow, wide and deep networks, and while one
trains; linear regions; weight templates of classifiers of digits.
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
from fastmlp import MLP, SGD, ParameterRecorder, plot, schedules
from fastmlp.expressions import exp, sigmoid, sin, variable

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
    """I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 6.1."""
    model = MLP([2, 2, 1], activation="relu", loss="mse", dtype="float64")
    model.weights = [np.ones((2, 2)), np.array([[1.0], [-2.0]])]
    model.biases = [np.array([0.0, -1.0]), np.array([0.0])]
    return model


def xor_learned() -> MLP:
    """The same by gradient descent from random weights."""
    model = MLP([2, 2, 1], activation="tanh", loss="binary_cross_entropy", dtype="float64", seed=1)
    optimizer = SGD(0.3, momentum=0.9)
    model.fit(CORNERS, XOR[:, None], epochs=500, batch_size=4, optimizer=optimizer, verbose=0)
    return model


def hidden_space() -> Figure:
    """Classes that no line separates in the inputs are separated by a line in the hidden units."""
    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    plot.hidden_space(xor_by_hand(), CORNERS, XOR, title="XOR, weights by hand", ax=left)
    plot.hidden_space(xor_learned(), CORNERS, XOR, title="XOR, weights learned", ax=right)
    left.get_legend().remove()
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


def descent() -> Figure:
    """The same rules on a valley that is steep across and flat along."""

    def valley(a: Array, b: Array) -> Array:
        return (a**2 + 20 * b**2) / 2

    racers = {
        "plain": SGD(0.09),
        "momentum": SGD(0.03, momentum=0.9),
        "Nesterov": SGD(0.03, momentum=0.9, nesterov=True),
        "Adagrad": fastmlp.Adagrad(0.3),
        "RMSprop": fastmlp.RMSprop(0.05),
        "Adam": fastmlp.Adam(0.1),
    }
    paths = {name: plot.descend(valley, (-1.8, 0.8), rule, 40) for name, rule in racers.items()}
    limits, title = ((-2, 2), (-1, 1)), "40 steps of update rules in a valley"
    return plot.loss_surface(valley, limits, paths=paths, title=title).get_figure(root=True)


def neuron_by_gates() -> Figure:
    """The same neuron of elementary operations, and with the sigmoid as one operation."""
    w0, x0, w1, x1, w2 = (
        variable(name, value)
        for name, value in {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}.items()
    )
    z = w0 * x0 + w1 * x1 + w2
    figure = Figure(figsize=(10, 11), layout="constrained")
    above, below = figure.subplots(2, 1)
    plot.expression_graph(1 / (exp(-z) + 1), title="A sigmoid neuron, gate by gate", ax=above)
    plot.expression_graph(sigmoid(z), title="The sigmoid as one gate", ax=below)
    return figure


def chain_of_functions() -> Figure:
    """sin(1/x^2) at x = 0.8."""
    expression = sin(1 / variable("x", 0.8) ** 2)
    title = "sin(1/x²), and its derivative"
    return plot.expression_graph(expression, title=title).get_figure(root=True)


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
        panels.flat, ([3], [6], [20], [6, 6], [6, 6, 6], [6, 6, 6, 6]), strict=True
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


def regions_over_time() -> Figure:
    """The regions bend around the arms while the network trains."""
    x, y = spirals(400, turns=1, seed=0)
    model, recorder = MLP([2, 16, 16, 2], seed=1), ParameterRecorder()
    optimizer = fastmlp.Adam(0.01)
    model.fit(x, y, epochs=100, batch_size=20, optimizer=optimizer, callbacks=[recorder], verbose=0)
    return plot.decision_regions_over_time(model, x, y, recorder)[0].get_figure(root=True)


def tangents(units: int) -> tuple[Array, Array]:
    """Weights and biases of units whose lines touch a small circle and all cross each other."""
    angles = np.linspace(0, 0.8 * np.pi, units)
    weights = np.stack([np.cos(angles), np.sin(angles)])
    return weights, -0.1 - weights.T @ [0.5, 0.5]


def linear_pieces() -> Figure:
    """Of eight units, two layers of four make more pieces than one layer of eight can.

    The first layer folds the square along both middles, by two units each, so that each
    line of the second layer is drawn four times: the proof of G. Montufar et al., 2014.
    """
    wide = MLP([2, 8, 1], loss="mse", dtype="float64")
    wide.weights[0], wide.biases[0] = tangents(8)
    deep = MLP([2, 4, 4, 1], loss="mse", dtype="float64")
    deep.weights[0], deep.biases[0] = np.kron(np.eye(2), [[2.0, 2.0]]), np.array([0.0, -1, 0, -1])
    weights, deep.biases[1] = tangents(4)
    deep.weights[1] = np.kron(np.eye(2), [[1.0], [-2.0]]) @ weights
    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for ax, model in zip(figure.subplots(1, 2), (wide, deep), strict=True):
        plot.linear_regions(model, ((0, 1), (0, 1)), ax=ax)
        assert plot.count_linear_regions(model, ((0, 1), (0, 1))) == plot.linear_regions_bound(
            model.layer_sizes
        )
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
    "descent": descent,
    "neuron_by_gates": neuron_by_gates,
    "chain_of_functions": chain_of_functions,
    "neuron_by_hand": neuron_by_hand,
    "network_by_hand": network_by_hand,
    "vanishing_gradients": vanishing_gradients,
    "decision_regions": regions,
    "regions_over_time": regions_over_time,
    "linear_regions": linear_pieces,
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
