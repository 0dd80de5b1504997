"""Pictures made of cells and pixels: confusion matrices, images, templates of weights."""

from __future__ import annotations

import numpy as np
import pytest

from fastmlp import MLP, plot
from fastmlp.data import Preprocessing

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.colors import to_rgb  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

RNG = np.random.default_rng(0)


def labels(classes, samples=500):
    y_true = RNG.integers(0, classes, samples)
    return y_true, np.where(RNG.random(samples) < 0.8, y_true, RNG.integers(0, classes, samples))


def counted(y_true, y_pred, classes):
    matrix = np.zeros((classes, classes), int)
    for row, column in zip(y_true, y_pred, strict=True):
        matrix[row, column] += 1
    return matrix


def numbers_in_cells(ax):
    """By row and column, where they stand."""
    return {(round(t.get_position()[1]), round(t.get_position()[0])): t for t in ax.texts}


def luminance(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


# ---------------------------------------------------------------- confusion matrices


@pytest.mark.parametrize("classes", [1, 2, 10])
def test_cells_show_their_counts_in_a_color_that_stands_out(classes):
    y_true, y_pred = labels(classes)
    matrix = counted(y_true, y_pred, classes)
    names = [f"class {i}" for i in range(classes)]
    ax = plot.confusion_matrix(y_true, y_pred, class_names=names)
    FigureCanvasAgg(ax.figure).draw()
    (image,) = ax.images
    np.testing.assert_array_equal(image.get_array(), matrix)
    cells = numbers_in_cells(ax)
    assert len(cells) == classes**2
    colors = image.to_rgba(image.get_array())
    width = ax.bbox.width / classes
    for place, text in cells.items():
        assert text.get_text() == str(matrix[place])
        lights = sorted([luminance(to_rgb(text.get_color())), luminance(colors[place][:3])])
        assert (lights[1] + 0.05) / (lights[0] + 0.05) >= 4.5
        assert text.get_window_extent().width < width
    assert [label.get_text() for label in ax.get_yticklabels()] == names
    assert [label.get_text() for label in ax.get_xticklabels()] == names
    right = 100 * np.trace(matrix) / 500
    assert ax.get_title() == f"Recognized: {right:.2f} % of 500 samples"
    assert (ax.get_ylabel(), ax.get_xlabel()) == ("true class", "predicted class")


def test_cells_show_their_counts_up_to_25_classes():
    assert len(plot.confusion_matrix(matrix=np.eye(25)).texts) == 625


@pytest.mark.parametrize("classes", [26, 30, 100])
def test_many_classes_have_a_color_bar_and_fewer_names(classes):
    y_true, y_pred = labels(classes, 5000)
    ax = plot.confusion_matrix(y_true, y_pred)
    assert not ax.texts
    assert len(ax.get_yticks()) <= 30
    (bar,) = ax.child_axes
    assert bar.get_ylabel() == "samples"
    for tick, label in zip(ax.get_yticks(), ax.get_yticklabels(), strict=True):
        assert label.get_text() == str(tick)


def test_numbers_too_small_to_read_are_left_out():
    small = Figure(figsize=(1.5, 1.5)).add_subplot()
    assert not plot.confusion_matrix(*labels(20), ax=small).texts
    assert plot.confusion_matrix(*labels(2), ax=small).texts


@pytest.mark.parametrize(
    ("normalize", "expected"),
    [
        ("true", [["75.0", "25.0", "0"], ["0", "100.0", "0"], ["0", "0", "0"]]),
        ("predicted", [["100.0", "50.0", "0"], ["0", "50.0", "0"], ["0", "0", "0"]]),
        ("all", [["60.0", "20.0", "0"], ["0", "20.0", "0"], ["0", "0", "0"]]),
    ],
)
def test_shares_and_empty_classes(normalize, expected):
    matrix = [[3, 1, 0], [0, 1, 0], [0, 0, 0]]
    ax = plot.confusion_matrix(matrix=matrix, normalize=normalize)
    cells = numbers_in_cells(ax)
    assert [[cells[i, j].get_text() for j in range(3)] for i in range(3)] == expected
    assert "%" in ax.get_title()
    plot.svg(plot.confusion_matrix(matrix=np.zeros((2, 2)), normalize=normalize))


def test_labels_of_any_kind():
    ax = plot.confusion_matrix(["b", "a", "a"], ["b", "b", "a"])
    np.testing.assert_array_equal(ax.images[0].get_array(), [[1, 1], [0, 1]])
    names = ["$x^2$ & <b>", "_own", "a very long name of a class indeed", "two\nlines"]
    odd = plot.confusion_matrix(matrix=np.eye(4), class_names=names)
    assert [label.get_text() for label in odd.get_yticklabels()] == [
        r"\$x^2\$ & <b>", " _own", "a very long name …", "two lines",
    ]  # fmt: skip
    plot.svg(odd)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "confusion_matrix must get y_true and y_pred, or matrix"),
        ({"y_true": [0]}, "confusion_matrix must get y_true and y_pred, or matrix"),
        ({"y_true": [0], "y_pred": [0], "matrix": [[1]]}, "confusion_matrix must get"),
        ({"matrix": [[1, 2]]}, r"matrix must have shape \(classes, classes\), got \(1, 2\)"),
        ({"matrix": [[-1]]}, "matrix must hold counts >= 0, got -1"),
        ({"matrix": [[1]], "class_names": ["a", "b"]}, "class_names must have one entry per class"),
        ({"matrix": [[1]], "normalize": "rows"}, "normalize must be one of true, predicted, all"),
        ({"y_true": [0, 2], "y_pred": [0, 1], "class_names": ["a", "b"]}, "y_true must hold"),
        ({"y_true": [0, 1], "y_pred": [0]}, "y_pred must have one label per sample"),
    ],
)
def test_confusion_matrix_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot.confusion_matrix(**arguments)


def test_scores_of_classes():
    entries = [
        {"class": "cat", "precision": 0.1, "recall": 0.2, "f1": 0.3, "support": 1200},
        {"class": "$dog", "precision": 0.4, "recall": 0.5, "f1": 0.6, "support": 7},
    ]
    ax = plot.class_scores(entries)
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[0.1, 0.4], [0.2, 0.5], [0.3, 0.6]]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["cat (1,200)", r"\$dog (7)"]
    assert ax.yaxis_inverted()  # as in the table, the first class stands on top
    assert len({bars[0].get_hatch() for bars in ax.containers}) == 3
    with pytest.raises(ValueError, match="per_class must have at least one class"):
        plot.class_scores([])
    with pytest.raises(ValueError, match=r"per_class\[1\] must have 'class' and 'precision'"):
        plot.class_scores([entries[0], {"class": "x"}])
    with pytest.raises(TypeError, match=r"per_class\[0\] must be a mapping, got int"):
        plot.class_scores([3])


# ---------------------------------------------------------------- mosaics


def tiles_in(mosaic, height, width):
    """The tiles of a mosaic in reading order, found by what is between them."""
    filled = ~np.isnan(mosaic.reshape(*mosaic.shape[:2], -1)).any(axis=2)
    found = []
    for row, column in np.argwhere(filled):
        if not filled[row, column]:
            continue
        block = (slice(row, row + height), slice(column, column + width))
        assert filled[block].all()
        filled[block] = False
        found.append(mosaic[block])
    assert not filled.any()
    return found


@pytest.mark.parametrize(("count", "shape"), [(1, (3, 3)), (7, (4, 2)), (20, (28, 28))])
@pytest.mark.parametrize("titled", [False, True])
def test_images_are_the_samples(count, shape, titled):
    x = RNG.integers(1, 256, (count, shape[0] * shape[1])).astype(np.uint8)
    titles = [f"no. {i}" for i in range(count)] if titled else None
    ax = plot.images(x, shape, titles)
    (image,) = ax.images
    tiles = tiles_in(np.ma.filled(image.get_array().astype(float), np.nan), *shape)
    np.testing.assert_array_equal(np.reshape(tiles, (count, -1)), x)
    assert image.get_clim() == (0, 255)
    assert [text.get_text() for text in ax.texts] == (titles or [])


def test_color_images_keep_their_colors():
    x = RNG.random((5, 4, 3, 3))
    (image,) = plot.images(x).images
    shown = np.asarray(image.get_array())
    gaps = shown[..., 3] == 0
    assert set(np.unique(shown[..., 3])) == {0, 1}
    shown[gaps] = np.nan
    tiles = np.array(tiles_in(shown, 4, 3))[..., :3]
    np.testing.assert_allclose(tiles, (x - x.min()) / (x.max() - x.min()), rtol=1e-12)


def test_titles_stand_above_their_images():
    ax = plot.images(RNG.random((6, 16)), titles=list("abcdef"))
    FigureCanvasAgg(ax.figure).draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    dark = ~np.ma.getmaskarray(ax.images[0].get_array())
    for box in boxes:
        (left, low), (right, high) = ax.transData.inverted().transform(box)
        rows = slice(max(0, int(np.ceil(high + 0.5))), max(0, int(np.floor(low + 0.5))))
        assert not dark[rows, max(0, int(left + 0.5)) : int(right + 0.5) + 1].any()
    for one in range(6):
        assert not any(boxes[one].overlaps(boxes[other]) for other in range(one))


def test_images_refuse():
    with pytest.raises(
        ValueError, match="image_shape must be given if the number of features is no"
    ):
        plot.images(np.ones((2, 12)))
    with pytest.raises(ValueError, match=r"image_shape must have 12 values, got \(3, 3\)"):
        plot.images(np.ones((2, 12)), (3, 3))
    with pytest.raises(ValueError, match=r"image_shape must be \(height, width\) or"):
        plot.images(np.ones((2, 12)), (2, 3, 2))
    with pytest.raises(ValueError, match="titles must have one entry per image: 2 needed, got 1"):
        plot.images(np.ones((2, 4)), titles=["a"])
    with pytest.raises(ValueError, match=r"x must have shape \(samples, features\), got \(4,\)"):
        plot.images(np.ones(4))
    with pytest.raises(ValueError, match=r"x must have at least one sample .* shape \(0, 784\)"):
        plot.images(np.ones((0, 784)))


# ---------------------------------------------------------------- weights


def shown_weights(ax):
    (image,) = ax.images
    return np.ma.filled(image.get_array(), np.nan), image


def test_templates_are_the_columns_of_the_weights():
    model = MLP([12, 7, 3], dtype="float64")
    ax = plot.weight_templates(model, image_shape=(3, 4))
    mosaic, image = shown_weights(ax)
    tiles = np.reshape(tiles_in(mosaic, 3, 4), (7, 12))
    np.testing.assert_array_equal(tiles, model.weights[0].T)
    largest = np.abs(model.weights[0]).max()
    assert image.get_clim() == (-largest, largest)
    assert image.cmap(0.5)[:3] == pytest.approx((1, 1, 1), abs=0.05)  # no weight, no color
    assert ax.child_axes[0].get_ylabel() == "weight"
    some = plot.weight_templates(model, layer=-1, image_shape=(7, 1), units=[2, 0], titles="ab")
    tiles = np.reshape(tiles_in(shown_weights(some)[0], 7, 1), (2, 7))
    np.testing.assert_array_equal(tiles, model.weights[1].T[[2, 0]])
    assert [text.get_text() for text in some.texts] == ["a", "b"]
    assert some.get_title() == "Weights of layer 2, 2 of 3 units"


def test_templates_of_color_images():
    model = MLP([12, 2], dtype="float64")
    model.weights = [np.linspace(-1, 0.5, 24).reshape(12, 2)]
    (image,) = plot.weight_templates(model, image_shape=(2, 2, 3)).images
    shown = np.asarray(image.get_array())
    shown[shown[..., 3] == 0] = np.nan
    tiles = np.array(tiles_in(shown, 2, 2))[..., :3]
    expected = (model.weights[0].T.reshape(2, 2, 2, 3) + 1) / 2  # -1 is black, 0 gray
    np.testing.assert_allclose(tiles, expected, rtol=1e-12)


def test_templates_know_the_images_of_the_data():
    model = MLP([6, 3])
    model.preprocessing = Preprocessing(
        "classification", 6, image_shape=(2, 3), class_names=("a", "b", "c")
    )
    tiles = tiles_in(shown_weights(plot.weight_templates(model))[0], 2, 3)
    np.testing.assert_array_equal(np.reshape(tiles, (3, 6)), model.weights[0].T)


def test_templates_of_many_units_and_of_zeros():
    ax = plot.weight_templates(MLP([4, 300, 2]))
    assert len(tiles_in(shown_weights(ax)[0], 2, 2)) == 100
    assert ax.get_title() == "Weights of layer 1, 100 of 300 units"
    plot.svg(plot.weight_templates(MLP([4, 2], initializer="zeros")))


def test_templates_refuse():
    model = MLP([12, 3])
    with pytest.raises(TypeError, match="model must be a fastmlp.MLP, got list"):
        plot.weight_templates([[1.0]])
    with pytest.raises(ValueError, match="image_shape must be given"):
        plot.weight_templates(model)
    with pytest.raises(ValueError, match=r"units\[0\] must be <= 2, got 3"):
        plot.weight_templates(model, image_shape=(3, 4), units=[3])
    with pytest.raises(ValueError, match="units must name at least one"):
        plot.weight_templates(model, image_shape=(3, 4), units=[])
    with pytest.raises(ValueError, match="layer must be <= 0, got 1"):
        plot.weight_templates(model, layer=1)
    with pytest.raises(ValueError, match="titles must have one entry per unit: 3 needed, got 1"):
        plot.weight_templates(model, image_shape=(3, 4), titles=["a"])


def test_importance_is_drawn_from_the_most_important_column_down():
    names = [f"c{i}" for i in range(40)]
    means = np.linspace(-0.01, 0.8, 40)
    ax = plot.importance(names, means, means / 10 + 0.1, label="loss of auc")
    assert [label.get_text() for label in ax.get_yticklabels()] == names[:9:-1]
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, means[:9:-1])
    assert ax.get_ylim() == (29.5, -0.5)
    assert ax.get_xlabel() == "loss of auc"
    assert ax.get_title() == "Importance of the columns (10 more)"
    assert plot.importance(["a"], [0.0]).get_title() == "Importance of the columns"
    for arguments, message in (
        ((["a", "b"], [1.0]), "means must have a value for each of 2 names"),
        (([], []), "means must have a value for each of 0 names, at least one"),
        ((["a"], [np.nan]), "means"),
        ((["a"], [1.0], [-1.0]), "deviations must be >= 0, got -1"),
        ((["a"], [1.0], [1.0, 2.0]), "deviations must have a value for each of 1 names"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.importance(*arguments)
    with pytest.raises(ValueError, match="most must be >= 1, got 0"):
        plot.importance(["a"], [1.0], most=0)
