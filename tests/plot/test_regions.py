"""Decision regions: pixels, points and boundaries against the model's own predictions."""

from __future__ import annotations

import runpy

import numpy as np
import pytest

from fastmlp import MLP, plot
from fastmlp.data import Preprocessing
from support.paths import ROOT

pytest.importorskip("matplotlib")

RNG = np.random.default_rng(0)


def pixel_centers(image):
    left, right, bottom, top = image.get_extent()
    rows, columns = image.get_array().shape
    across = left + (right - left) * (np.arange(columns) + 0.5) / columns
    up = bottom + (top - bottom) * (np.arange(rows) + 0.5) / rows
    if image.origin == "upper":
        up = up[::-1]
    return np.stack(np.meshgrid(across, up), axis=-1).reshape(-1, 2)


def boundaries(ax):
    """Points of the drawn lines between regions."""
    sets = [c for c in ax.collections if not c.filled]
    return np.concatenate([path.vertices for each in sets for path in each.get_paths()])


@pytest.mark.parametrize(
    ("loss", "outputs"),
    [
        ("softmax_cross_entropy", 2),
        ("softmax_cross_entropy", 5),
        ("hinge", 3),
        ("binary_cross_entropy", 1),
    ],
)
def test_regions_are_what_the_model_predicts(loss, outputs):
    model = MLP([2, 8, outputs], activation="tanh", loss=loss, dtype="float64", seed=3)
    x = 3 * RNG.standard_normal((40, 2)) + (10, -20)
    model.biases[0] = -np.array([10, -20]) @ model.weights[0]
    classes = max(outputs, 2)
    y = RNG.integers(0, classes, 40)
    ax = plot.decision_regions(model, x, y, resolution=60)
    (image,) = ax.images
    predicted = model.predict(pixel_centers(image))
    np.testing.assert_array_equal(np.ravel(image.get_array()), predicted)
    assert len(np.unique(predicted)) > 1
    for label, line in enumerate(ax.lines):
        np.testing.assert_array_equal(line.get_xydata(), x[y == label])
    assert len({line.get_marker() for line in ax.lines}) == classes
    scores = model.forward(boundaries(ax))
    if outputs == 1:
        scores = np.c_[scores, np.zeros(len(scores))]
    first, second = np.sort(scores, axis=1)[:, :-3:-1].T
    spread = np.ptp(model.forward(pixel_centers(image)))
    assert np.max(first - second) < 0.02 * spread


def test_regions_of_many_classes_differ_by_hatching():
    model = MLP([2, 4], loss="hinge", initializer="zeros")
    model.weights = [np.array([[1.0, -1, 0, 0], [0, 0, 1, -1]])]
    ax = plot.decision_regions(model, [[1, 1], [-1, -1]], [0, 1], resolution=20)
    hatches = [each.hatches[0] for each in ax.collections if each.filled]
    assert len(set(hatches)) == 3  # the fourth region has none


def test_regions_in_the_units_of_the_data():
    mean, scale = np.array([100.0, -3]), np.array([20.0, 0.5])
    preprocessing = Preprocessing(
        "classification",
        2,
        feature_names=("height (cm)", "$"),
        input_mean=mean,
        input_scale=scale,
        class_names=("no", "yes"),
    )
    model = MLP([2, 6, 2], seed=1)
    x, y = RNG.standard_normal((30, 2)), RNG.integers(0, 2, 30)
    ax = plot.decision_regions(model, x, y, preprocessing=preprocessing, resolution=40)
    (image,) = ax.images
    encoded = (pixel_centers(image) - mean) / scale
    agreeing = np.ravel(image.get_array()) == model.predict(encoded)
    assert agreeing.mean() > 0.999  # a center may lie on the line itself
    np.testing.assert_allclose(ax.lines[1].get_xydata(), x[y == 1] * scale + mean)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("height (cm)", r"\$")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["no", "yes"]
    assert ax.get_xlim() == pytest.approx(image.get_extent()[:2])


def test_one_class_everywhere_and_equal_points():
    model = MLP([2, 2], initializer="zeros")
    model.biases = [np.array([1.0, 0.0])]
    ax = plot.decision_regions(model, [[1, 1]], [1], resolution=5)
    assert not np.any(ax.images[0].get_array())
    plot.svg(ax)
    alone = plot.decision_regions(MLP([2, 1], loss="hinge"), [[0, 0]], [0], resolution=2)
    assert not np.any(alone.images[0].get_array())


def test_many_points_become_a_bitmap():
    x = RNG.standard_normal((3000, 2))
    y = (x[:, 0] > 0).astype(int)
    few, many = (
        plot.decision_regions(MLP([2, 2]), x[:n], y[:n], resolution=10) for n in (50, 3000)
    )
    assert [line.get_rasterized() for line in (few.lines[0], many.lines[0])] == [False, True]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model must be a fastmlp.MLP, got int"),
        ({"model": MLP([3, 2])}, ValueError, "model must have 2 inputs, got 3"),
        ({"model": MLP([2, 2], loss="mse")}, ValueError, "model must have a loss of classes"),
        ({"model": MLP([2, 3], loss="binary_cross_entropy")}, ValueError, "with one output"),
        ({"x": [[1, 2, 3]]}, ValueError, r"x must have shape \(samples, 2\), got \(1, 3\)"),
        ({"x": [[np.inf, 0]]}, ValueError, "x must be finite"),
        ({"y": [2]}, ValueError, "y must hold labels from 0 to 1, got 2"),
        ({"y": [0, 1]}, ValueError, "y must have one entry per sample: 1 needed, got 2"),
        ({"class_names": ["a"]}, ValueError, "class_names must have one entry per class: 2"),
        ({"resolution": 1}, ValueError, "resolution must be >= 2, got 1"),
        ({"resolution": 10**7}, ValueError, "resolution must be <= 10000, got 10000000"),
        (
            {"model": MLP([2, 2], dtype="float64"), "x": [[1e308, 0], [-1e308, 1]], "y": [0, 1]},
            ValueError,
            r"x must have columns of a finite range, got -1e\+308 to 1e\+308; x / ",
        ),
        ({"preprocessing": "none"}, TypeError, "preprocessing must be a Preprocessing, got str"),
    ],
)
def test_regions_refuse(change, error, message):
    arguments = {"model": MLP([2, 2]), "x": [[0, 1]], "y": [0], **change}
    with pytest.raises(error, match=message):
        plot.decision_regions(**arguments)


# ---------------------------------------------------------------- the example


@pytest.fixture(scope="module")
def example():
    path = ROOT / "examples" / "lectures_pictures.py"
    if not path.is_file():
        pytest.skip("needs a source checkout")
    return runpy.run_path(str(path))


def test_xor_of_the_example_is_that_of_the_course(example):
    corners, xor = example["CORNERS"], example["XOR"]
    by_hand, learned = example["xor_by_hand"](), example["xor_learned"]()
    (hidden,) = by_hand.hidden_activations(corners)
    np.testing.assert_array_equal(hidden, [[0, 0], [1, 0], [1, 0], [2, 1]])
    np.testing.assert_array_equal(by_hand.predict(corners).ravel(), xor)
    np.testing.assert_array_equal(learned.predict(corners).ravel(), xor)


def test_pieces_of_the_example_reach_the_bounds(example):
    titles = [ax.get_title() for ax in example["linear_pieces"]().axes]
    assert [title.partition(" ")[0] for title in titles] == ["37", "44"]


def test_the_example_writes_its_pictures(example, tmp_path):
    example["PICTURES"].clear()
    example["PICTURES"]["neuron"] = example["neuron_by_hand"]
    files = list(example["write_pictures"](tmp_path / "new" / "folder"))
    assert [path.name for path in files] == ["neuron.svg", "neuron.png"]
    assert "<svg" in files[0].read_text(encoding="utf-8")
    assert files[1].read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("seed", range(12))
def test_axes_show_points_of_any_size(seed):
    """Large, tiny, equal, or different by rounding alone: the axes have a range around them."""
    chance = np.random.default_rng(seed)
    middle = chance.choice([0.0, 1.0, -1e-30, 1e8, -1e30])
    spread = chance.choice([0.0, 1e-16, 1e-12, 1e-3, 1.0]) * max(abs(middle), 1e-3)
    points = middle + spread * chance.standard_normal((12, 2))
    model = MLP([2, 2], seed=0, input_scale=1)
    ax = plot.decision_regions(model, points, np.arange(12) % 2)
    for (low, high), column in zip((ax.get_xlim(), ax.get_ylim()), points.T, strict=True):
        assert low < column.min() <= column.max() < high
