"""The space of a hidden layer: XOR with the numbers of the textbook, and networks by themselves."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import MLP, SGD, plot

pytest.importorskip("matplotlib")

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR = np.array([0, 1, 1, 0])


def by_hand():
    """I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, section 6.1."""
    model = MLP([2, 2, 1], activation="relu", loss="mse", dtype="float64")
    model.weights = [np.ones((2, 2)), [[1.0], [-2.0]]]
    model.biases = [[0.0, -1.0], [0.0]]
    return model


def trained(loss, outputs):
    model = MLP([2, 2, outputs], activation="tanh", loss=loss, dtype="float64", seed=0)
    targets = XOR if loss in ("softmax_cross_entropy", "hinge") else XOR[:, None]
    model.fit(
        CORNERS, targets, epochs=600, batch_size=4, optimizer=SGD(0.1, momentum=0.9), verbose=0
    )
    return model


def boundaries(ax):
    sets = [c for c in ax.collections if not c.filled]
    return np.concatenate([path.vertices for each in sets for path in each.get_paths()])


def pixels(ax):
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    across = left + (right - left) * (np.arange(columns) + 0.5) / columns
    up = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    return np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2), np.ravel(image.get_array())


def test_xor_with_the_numbers_of_the_course():
    ax = plot.hidden_space(by_hand(), CORNERS, XOR)
    points = [line.get_xydata().tolist() for line in ax.lines[:2]]
    assert points == [[[0, 0], [2, 1]], [[1, 0], [1, 0]]]
    assert {text.get_text(): tuple(text.xy) for text in ax.texts} == {
        "(0, 0)": (0, 0), "(0, 1)\n(1, 0)": (1, 0), "(1, 1)": (2, 1),
    }  # fmt: skip
    line = boundaries(ax)
    np.testing.assert_allclose(line @ [1, -2], 0.5, atol=1e-9)
    grid, classes = pixels(ax)
    np.testing.assert_array_equal(classes, grid @ [1, -2] > 0.5)
    assert ax.get_title() == "Space of hidden layer 1 of a 2-2-1 network"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("hidden unit 1", "hidden unit 2")


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [("mse", 1), ("binary_cross_entropy", 1), ("softmax_cross_entropy", 2), ("hinge", 2)],
)
def test_learned_networks_part_the_classes_in_their_last_layer(loss, outputs):
    model = trained(loss, outputs)
    ax = plot.hidden_space(model, CORNERS, XOR, class_names=["equal", "different"])
    (hidden,) = model.hidden_activations(CORNERS)
    for label, line in enumerate(ax.lines[:2]):
        np.testing.assert_array_equal(line.get_xydata(), hidden[label == XOR])
    grid, classes = pixels(ax)
    scores = grid @ model.weights[1] + model.biases[1]
    expected = {
        "mse": lambda: scores[:, 0] > 0.5,
        "binary_cross_entropy": lambda: scores[:, 0] > 0,
    }.get(loss, lambda: scores.argmax(axis=1))()
    np.testing.assert_array_equal(classes, expected)
    np.testing.assert_array_equal(model.predict(CORNERS).ravel() > 0.5, XOR)
    nearest = [np.abs(grid - point).sum(axis=1).argmin() for point in hidden]
    np.testing.assert_array_equal(classes[nearest], XOR)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["equal", "different"]


def test_a_layer_in_the_middle_has_the_layers_behind_it():
    model = MLP([3, 5, 2, 4, 3], dtype="float64", activation="tanh", seed=2)
    x = np.random.default_rng(0).normal(size=(30, 3))
    y = np.arange(30) % 3
    ax = plot.hidden_space(model, x, y, layer=1, resolution=30)
    hidden = model.hidden_activations(x)[1]
    np.testing.assert_array_equal(ax.lines[1].get_xydata(), hidden[y == 1])
    grid, classes = pixels(ax)
    third = np.tanh(grid @ model.weights[2] + model.biases[2])
    scores = third @ model.weights[3] + model.biases[3]
    np.testing.assert_array_equal(classes, scores.argmax(axis=1))
    assert len(np.unique(classes)) > 1
    assert not ax.texts  # 30 samples have no labels
    assert ax.get_title() == "Space of hidden layer 2 of a 3-5-2-4-3 network"
    other = plot.hidden_space(model, x, y, layer=-2, resolution=30)
    np.testing.assert_array_equal(pixels(other)[1], classes)


def test_labels_of_the_user_and_of_close_points():
    texts = ["neither", "b", "$a_1$", ""]
    ax = plot.hidden_space(by_hand(), CORNERS, XOR, labels=texts)
    assert [text.get_text() for text in ax.texts] == ["neither", "b\n\\$a_1\\$"]


def test_single_precision_and_standardized_inputs():
    model = MLP([2, 2, 2], activation="tanh", seed=0)
    x = np.random.default_rng(1).normal(size=(40, 2)) * (50, 1) + (1000, 0)
    y = (x[:, 0] > 1000).astype(int)
    model.fit(x, y, epochs=5, verbose=0)
    ax = plot.hidden_space(model, x, y)
    (hidden,) = model.hidden_activations(x)
    drawn = np.concatenate([line.get_xydata() for line in ax.lines[:2]])
    np.testing.assert_allclose(drawn, np.concatenate([hidden[y == 0], hidden[y == 1]]), atol=1e-5)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model must be a fastmlp.MLP, got int"),
        ({"model": MLP([2, 2])}, ValueError, "model must have a hidden layer with two units, got"),
        (
            {"model": MLP([2, 3, 1], loss="mse")},
            ValueError,
            "layer must be a hidden layer with two units, layer 0 has 3",
        ),
        ({"layer": 1}, ValueError, "layer must be <= 0, got 1"),
        ({"model": MLP([2, 2, 3], loss="mse")}, ValueError, "must have a loss of classes.* with 3"),
        (
            {"model": MLP([2, 2, 2], batch_normalization=True)},
            ValueError,
            "model must have no batch normalization",
        ),
        ({"y": [0, 1, 2, 0]}, ValueError, "y must hold labels from 0 to 1, got 2"),
        ({"y": [0, 1]}, ValueError, "y must have one entry per sample"),
        ({"x": [[1, 2, 3]]}, ValueError, "x must have 2 features"),
        ({"labels": ["a"]}, ValueError, "labels must have one entry per sample: 4 needed, got 1"),
        ({"class_names": ["a"]}, ValueError, "class_names must have one entry per class: 2"),
        ({"resolution": 1}, ValueError, "resolution must be >= 2"),
    ],
)
def test_spaces_refuse(change, error, message):
    arguments = {"model": by_hand(), "x": CORNERS, "y": XOR, **change}
    with pytest.raises(error, match=message):
        plot.hidden_space(**arguments)
