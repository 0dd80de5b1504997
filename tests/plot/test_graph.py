"""Computational graphs: their numbers against textbooks and other arithmetic, and as drawn."""

from __future__ import annotations

import re

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, plot
from fastmlp.plot.graph import backpropagate

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Circle, Rectangle  # noqa: E402

RNG = np.random.default_rng(0)
CAPTION = "bold: value or weight; b: bias; ∂: derivative of the loss by it"


def output_itself(outputs, targets):
    return float(outputs.sum()), np.ones_like(outputs)


def neuron():
    model = MLP([2, 1], output_activation="sigmoid", loss=output_itself, dtype="float64")
    model.weights, model.biases = [np.array([[2.0], [-3.0]])], [np.array([-3.0])]
    return model


def two_by_two():
    model = MLP(
        [2, 2, 2],
        activation="sigmoid",
        output_activation="sigmoid",
        loss="half_mse",
        dtype="float64",
    )
    model.weights = [np.array([[0.2, -0.4], [0.5, 0.6]]), np.array([[0.1, -0.5], [-0.3, 0.8]])]
    return model


def random_network(sizes, **options):
    model = MLP(sizes, dtype="float64", seed=5, **options)
    rng = np.random.default_rng(1)
    model.biases = [rng.normal(size=size) for size in sizes[1:]]
    return model


# ---------------------------------------------------------------- numbers


def test_a_neuron_as_in_the_course():
    """CS231n, notes on backpropagation."""
    found = backpropagate(neuron(), [-1, -2], [0.0])
    assert found.loss == pytest.approx(0.73, abs=0.005)
    assert found.gradients[0] == pytest.approx([0.39, -0.59], abs=0.005)
    assert found.weight_gradients[0][:, 0] == pytest.approx([-0.20, -0.39], abs=0.005)
    assert found.bias_gradients[0] == pytest.approx([0.20], abs=0.005)
    assert found.gradients[1] == [1]


def test_two_layers_as_in_the_course():
    """Weights w1..w8 = .20 -.40 .50 .60 .10 -.50 -.30 .80 and their derivatives."""
    found = backpropagate(two_by_two(), [0.5, 0.3], [0.23, -0.07])
    assert found.values[1] == pytest.approx([0.56, 0.50], abs=0.005)
    assert found.values[2] == pytest.approx([0.48, 0.53], abs=0.005)
    assert found.loss == pytest.approx(0.21, abs=0.005)
    (w1, w2), (_, w4) = found.weight_gradients[0]
    assert (w1, w2, w4) == pytest.approx((-0.0084, 0.0126, 0.0076), abs=5e-5)
    (w5, w6), (w7, w8) = found.weight_gradients[1]
    assert (w5, w7, w6, w8) == pytest.approx((0.03, 0.03, 0.08, 0.07), abs=0.005)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_every_number_by_hand():
    """The chain rule written out in NumPy for tanh, sigmoid and the quadratic cost."""
    model = random_network([3, 4, 2], activation="tanh", output_activation="sigmoid", loss="mse")
    x, y = RNG.normal(size=3), RNG.normal(size=2)
    (w1, w2), (b1, b2) = model.weights, model.biases
    h = np.tanh(x @ w1 + b1)
    o = sigmoid(h @ w2 + b2)
    do = 2 * (o - y)
    dz2 = do * o * (1 - o)
    dh = w2 @ dz2
    dz1 = dh * (1 - h**2)
    found = backpropagate(model, x, y)
    expected = [
        (found.values, [x, h, o]),
        (found.gradients, [w1 @ dz1, dh, do]),
        (found.weight_gradients, [np.outer(x, dz1), np.outer(h, dz2)]),
        (found.bias_gradients, [dz1, dz2]),
    ]
    for arrays, by_hand in expected:
        for array, other in zip(arrays, by_hand, strict=True):
            np.testing.assert_allclose(array, other, rtol=1e-9, atol=1e-12)
    assert found.loss == pytest.approx(((o - y) ** 2).sum(), rel=1e-12)


CASES = [
    ("relu", "identity", "softmax_cross_entropy", 1),
    ("softplus", "softmax", "softmax_cross_entropy", [0.2, 0.3, 0.5]),
    ("gelu", "softmax", "mse", [0.2, 0.3, 0.5]),
    ("elu", "identity", "hinge", 2),
    ("silu", "sigmoid", "binary_cross_entropy", [1, 0, 1]),
    ("leaky_relu", "identity", "poisson", [2, 0, 1]),
    ("hard_sigmoid", "tanh", fastmlp.Huber(delta=0.1), [0.2, 0.3, 0.5]),
    ("selu", "identity", [fastmlp.MSE(outputs=1), fastmlp.Hinge(outputs=2, weight=0.5)], [[1], 0]),
]


@pytest.mark.parametrize(("activation", "output", "loss", "y"), CASES)
def test_gradients_are_those_of_the_model_and_of_differences(activation, output, loss, y):
    model = random_network(
        [2, 4, 3, 3], activation=activation, output_activation=output, loss=loss, input_scale=0.5
    )
    x = np.array([0.7, -1.2])
    found = backpropagate(model, x, y)
    target = [batch_of_one(t) for t in y] if isinstance(loss, list) else batch_of_one(y)
    total, dweights, dbiases = model.loss_and_gradients(x[None], target)
    assert found.loss == pytest.approx(total, rel=1e-12)
    for mine, theirs in zip(found.weight_gradients, dweights, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-15)
    for mine, theirs in zip(found.bias_gradients, dbiases, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.gradients[0], model.input_gradients(x[None], target)[0], 1e-9)
    hidden = model.hidden_activations(x[None])
    for layer, values in enumerate(hidden, start=1):
        np.testing.assert_array_equal(found.values[layer], values[0])
        rest = MLP(model.layer_sizes[layer:], **rest_of(model, layer))
        rest.weights, rest.biases = model.weights[layer:], model.biases[layer:]
        differences = central_differences(rest, values, target)
        np.testing.assert_allclose(found.gradients[layer], differences, rtol=1e-5, atol=1e-9)


def batch_of_one(y):
    return np.reshape(y, (1, -1) if np.ndim(y) else 1)


def rest_of(model, layer):
    """Arguments of the network behind a hidden layer."""
    arguments = model.architecture.arguments()
    for name in (
        "activation", "dropout", "batch_normalization", "parametric", "layer_normalization",
        "residual",
    ):  # fmt: skip
        arguments[name] = arguments[name][layer:]
    return arguments | {"input_scale": 1.0, "activation": arguments["activation"] or "relu"}


def central_differences(model, values, target, step=1e-6):
    slopes = []
    for unit in np.eye(values.shape[1]):
        above, below = (
            model.evaluate(values + side * step * unit, target)["loss"] for side in (1, -1)
        )
        slopes.append((above - below) / (2 * step))
    return slopes


def test_outputs_of_a_softmax_and_their_gradients():
    """Of softmax and cross-entropy the derivative by the scores is p - y."""
    model = MLP([3, 3], dtype="float64", initializer="zeros")
    model.weights = [np.eye(3)]
    found = backpropagate(model, [0.6, -2.3, 1.9], 0)
    assert found.prediction == pytest.approx([0.21, 0.01, 0.78], abs=0.005)
    assert found.gradients[1] == pytest.approx(found.prediction - [1, 0, 0], rel=1e-12)
    np.testing.assert_allclose(found.gradients[0], found.gradients[1], rtol=1e-12)


def test_single_precision_is_computed_in_double():
    single = MLP([3, 4, 2], seed=2)
    double = MLP([3, 4, 2], seed=2, dtype="float64")
    double.set_parameters(single.parameters())
    x = RNG.normal(size=3)
    mine, theirs = backpropagate(single, x, 1), backpropagate(double, x, 1)
    assert mine.loss == theirs.loss
    np.testing.assert_array_equal(mine.gradients[0], theirs.gradients[0])
    assert mine.values[1].dtype == np.float64


def test_dropout_is_left_out_and_the_model_stays_as_it_was():
    model = MLP([3, 8, 2], dropout=0.5, input_dropout=0.2, seed=1)
    before = {name: array.copy() for name, array in model.parameters().items()}
    x = np.ones(3, np.float32)
    first, second = backpropagate(model, x, 1), backpropagate(model, x[None], [1])
    assert first.loss == second.loss == pytest.approx(model.evaluate(x[None], [1])["loss"], 1e-6)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])


# ---------------------------------------------------------------- as drawn


def shown(value):
    """As the picture writes a number."""
    mantissa, _, power = f"{value:.3g}".replace("-", "−").partition("e")
    raised = power.replace("−0", "⁻").translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return "0" if value == 0 else f"{mantissa}·10{raised}" if power else mantissa


def nodes_of(ax):
    """Centers of the circles, column by column from the left, each from the top."""
    centers = [tuple(p.center) for p in ax.patches if isinstance(p, Circle)]
    columns = sorted({round(x, 6) for x, _ in centers})
    return [
        sorted((c for c in centers if round(c[0], 6) == x), key=lambda c: -c[1]) for x in columns
    ]


def texts_near(ax, place, distance):
    near = [
        text for text in ax.texts if np.hypot(*np.subtract(text.get_position(), place)) < distance
    ]
    return [t.get_text() for t in sorted(near, key=lambda t: -t.get_position()[1])]


def test_nodes_show_their_values_and_gradients():
    model = random_network([3, 4, 2], activation="tanh")
    x = RNG.normal(size=3)
    numbers = backpropagate(model, x, 1)
    ax = plot.computational_graph(model, x, 1)
    columns = nodes_of(ax)
    assert [len(column) for column in columns] == [3, 4, 2]
    for column, values, gradients in zip(columns, numbers.values, numbers.gradients, strict=True):
        for place, value, gradient in zip(column, values, gradients, strict=True):
            assert texts_near(ax, place, 0.2) == [shown(value), f"∂ {shown(gradient)}"]
    for column, biases, slopes in zip(
        columns[1:], numbers.biases, numbers.bias_gradients, strict=True
    ):
        for place, bias, slope in zip(column, biases, slopes, strict=True):
            assert f"b {shown(bias)}  ∂ {shown(slope)}" in texts_near(ax, place, 0.5)
    (box,) = (p for p in ax.patches if isinstance(p, Rectangle))
    assert texts_near(ax, box.get_center(), 0.2) == [shown(numbers.loss), "∂ 1"]
    assert "target 1" in texts_near(ax, box.get_center(), 0.5)
    for place, probability in zip(columns[-1], numbers.prediction, strict=True):
        assert f"softmax {shown(probability)}" in texts_near(ax, place, 0.7)
    written = [text.get_text() for text in ax.texts]
    assert {"x₁", "x₂", "x₃", "h₁", "h₄", "o₁", "o₂"} <= set(written)
    assert {"inputs", "layer 1\ntanh", "layer 2\nidentity"} <= set(written)
    assert "loss\nsoftmax cross entropy" in written
    assert ax.get_xlabel().startswith(CAPTION)


def test_connections_show_their_weights_and_gradients():
    model = random_network([3, 4, 2], activation="tanh")
    x = RNG.normal(size=3)
    numbers = backpropagate(model, x, 0)
    ax = plot.computational_graph(model, x, 0)
    columns = nodes_of(ax)
    lines = [np.round(line.get_xydata(), 9).tolist() for line in ax.lines]
    for layer, (weights, gradients) in enumerate(
        zip(numbers.weights, numbers.weight_gradients, strict=True)
    ):
        found = {}
        for i, place in enumerate(columns[layer]):
            starts = [k for k, line in enumerate(lines) if np.allclose(line[0], place)]
            for k in starts:
                (left, y), (right, same), end = lines[k][1], lines[k + 1][0], lines[k + 1][1]
                assert y == same
                (j,) = (j for j, p in enumerate(columns[layer + 1]) if np.allclose(p, end))
                found[i, j] = (k, ((left + right) / 2, y))
        assert len(found) == weights.size
        heights = [y for _, (_, (_, y)) in sorted(found.items())]
        assert heights == sorted(heights, reverse=True)  # so that no lines cross before the numbers
        for (i, j), (k, place) in found.items():
            expected = [shown(weights[i, j]), f"∂ {shown(gradients[i, j])}"]
            assert texts_near(ax, place, 0.15) == expected
            looks = {(ax.lines[n].get_linestyle(), ax.lines[n].get_color()) for n in (k, k + 1)}
            assert looks == {("-", "#0072B2") if weights[i, j] >= 0 else ("--", "#D55E00")}
        widths = {ij: ax.lines[k].get_linewidth() for ij, (k, _) in found.items()}
        strongest = np.unravel_index(np.abs(weights).argmax(), weights.shape)
        assert max(widths, key=widths.get) == tuple(map(int, strongest))


GRAPHS = {
    "one neuron": lambda **o: plot.computational_graph(neuron(), [-1, -2], [0.0], **o),
    "two by two": lambda **o: plot.computational_graph(
        two_by_two(), [0.5, 0.3], [0.23, -0.07], **o
    ),
    "iris": lambda **o: plot.computational_graph(
        random_network([4, 5, 3]),
        RNG.normal(size=4),
        2,
        feature_names=["sepal length", "sepal width", "petal length", "petal width"],
        **o,
    ),
    "deep": lambda **o: plot.computational_graph(
        random_network([2, 3, 3, 3, 1], loss="mse"), RNG.normal(size=2), 0.5, **o
    ),
}


@pytest.mark.parametrize("name", GRAPHS)
def test_texts_lie_clear_of_each_other_and_of_the_edges(name):
    ax = GRAPHS[name]()
    FigureCanvasAgg(ax.figure).draw()
    boxes = [(text, text.get_window_extent()) for text in ax.texts]
    for index, (text, box) in enumerate(boxes):
        assert text.get_size() >= 7
        for other, second in boxes[:index]:
            assert not box.overlaps(second), (text, other)
        assert box.x0 >= 0
        assert box.x1 <= ax.figure.bbox.x1


def test_small_axes_get_small_letters():
    ax = Figure(figsize=(4, 2.7), layout="constrained").add_subplot()
    GRAPHS["iris"](ax=ax)
    FigureCanvasAgg(ax.figure).draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    overlaps = sum(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert overlaps <= 0.05 * len(boxes)


def test_dense_layers_have_lines_without_numbers():
    ax = plot.computational_graph(random_network([6, 6, 2]), np.ones(6), 0)
    dense, labeled, to_loss = 36, 2 * 12, 2
    assert len(ax.lines) == dense + labeled + to_loss
    pairs = [text for text in ax.texts if text.get_text().startswith("∂")]
    assert len(pairs) == 6 + 6 + 2 + 12 + 1


def test_names_and_scales_of_inputs_and_long_targets():
    model = MLP([2, 5], loss="mse", input_scale=1 / 255)
    ax = plot.computational_graph(model, [255, 0], [1, 2, 3, 4, -5], feature_names=["$a", "b" * 40])
    written = [text.get_text() for text in ax.texts]
    assert r"\$a" in written
    assert "b" * 15 + "…" in written
    assert "inputs, used\ntimes 0.00392" in written
    assert "target 1, 2, 3, …" in written
    plot.svg(ax)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"model": "mlp"}, TypeError, "model must be a fastmlp.MLP, got str"),
        ({"model": MLP([2, 30, 30])}, ValueError, "at most 60 inputs, units and loss.* got 63"),
        (
            {"model": MLP([2, 3, 2], batch_normalization=True)},
            ValueError,
            r"model must have no batch normalization; pass model.folded\(\)",
        ),
        ({"x": [[1, 2], [3, 4]]}, ValueError, r"x must be one sample, .* got \(2, 2\)"),
        ({"x": [1, 2, 3]}, ValueError, "x must have 2 features"),
        ({"x": [1, np.nan]}, ValueError, "x must be finite"),
        ({"y": 2}, ValueError, "y must hold labels from 0 to 1, got 2"),
        ({"feature_names": ["a"]}, ValueError, "feature_names must have one entry per input: 2"),
        (
            {"model": MLP([2, 2], loss=[fastmlp.MSE(outputs=1), fastmlp.MAE(outputs=1)]), "y": 1},
            TypeError,
            "y must be a list of 2 targets, one per loss",
        ),
    ],
)
def test_refusals(arguments, error, message):
    call = {"model": MLP([2, 2]), "x": [1, 2], "y": 0, **arguments}
    with pytest.raises(error, match=message):
        plot.computational_graph(call.pop("model"), call.pop("x"), call.pop("y"), **call)


def test_folded_networks_can_be_drawn():
    model = MLP([2, 3, 2], batch_normalization=True, dtype="float64")
    model.fit(RNG.normal(size=(40, 2)), RNG.integers(0, 2, 40), epochs=2, verbose=0)
    found = backpropagate(model.folded(), [1, 2], 1)
    assert found.loss == pytest.approx(model.evaluate([[1, 2]], [1])["loss"], rel=1e-9)


def test_letters_of_svg_are_text():
    written = re.findall(r">([^<>]+)</text>", plot.svg(GRAPHS["one neuron"]()))
    assert {"0.731", "∂ 0.393", "x₁"} <= set(written)
