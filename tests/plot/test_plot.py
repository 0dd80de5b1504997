"""Pictures: what their artists hold is what was computed, and they can be read and repeated."""

from __future__ import annotations

import doctest
import importlib
import re
import subprocess
import sys
import threading
from xml.etree import ElementTree

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, plot
from fastmlp.expressions import variable
from support import reference_activations

matplotlib = pytest.importorskip("matplotlib")

from matplotlib.axes import Axes  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

RNG = np.random.default_rng(0)
RECORDS = [
    {
        "epoch": epoch,
        "loss": 2 / epoch,
        "accuracy": 1 - 0.5 / epoch,
        "val_loss": 2 / epoch + 0.02 * epoch,
        "val_accuracy": 0.9 - 0.01 * (epoch - 4) ** 2,
        "learning_rate": 0.1 * 0.5 ** (epoch // 4),
    }
    for epoch in range(1, 21)
]
POINTS = RNG.standard_normal((60, 2))
SIDES = (POINTS[:, 0] > 0).astype(int)
SCORES = [
    {"class": name, "precision": 0.25, "recall": 0.5, "f1": 1 / 3, "support": 1200}
    for name in ("cat", "dog")
]

A, B = variable("a", 2.0), variable("$b$", -1.0)

# One picture of every kind; each is called with ax= or without.
ALBUM = {
    "learning_curves": lambda **o: plot.learning_curves(RECORDS, **o),
    "learning_rate": lambda **o: plot.learning_rate(RECORDS, **o),
    "predictions": lambda **o: plot.predictions(POINTS, POINTS + 0.1, **o),
    "confusion_matrix": lambda **o: plot.confusion_matrix(SIDES, SIDES[::-1], **o),
    "class_scores": lambda **o: plot.class_scores(SCORES, **o),
    "importance": lambda **o: plot.importance(["size", "$x$"], [0.1, 0.5], [0.02, 0.1], **o),
    "residuals": lambda **o: plot.residuals(POINTS[:, 0], POINTS[:, 0] + 0.1, **o),
    "roc_curve": lambda **o: plot.roc_curve([0, 0.2, 1], [0, 0.7, 1], area=0.75, **o),
    "precision_recall_curve": lambda **o: plot.precision_recall_curve(
        [0.4, 0.8, 1], [1, 0.6, 0], share=0.4, **o
    ),
    "calibration_curve": lambda **o: plot.calibration_curve([0.2, 0.8], [0.3, 0.9], [5, 3], **o),
    "partial_dependence": lambda **o: plot.partial_dependence(
        ["a", "$b$"], [[0.2, 0.8], [0.6, 0.4]], column="size", outputs=["x", "y"], **o
    ),
    "activation_functions": lambda **o: plot.activation_functions(["relu", "tanh"], **o),
    "gradient_norms": lambda **o: plot.gradient_norms([0.1, 0.02, 0.004], **o),
    "images": lambda **o: plot.images(RNG.integers(0, 256, (6, 16)).astype(np.uint8), **o),
    "weight_templates": lambda **o: plot.weight_templates(MLP([16, 5, 2]), **o),
    "decision_regions": lambda **o: plot.decision_regions(
        MLP([2, 4, 2]), POINTS, SIDES, resolution=20, **o
    ),
    "computational_graph": lambda **o: plot.computational_graph(MLP([2, 3, 2]), [1, 2], 1, **o),
    "expression_graph": lambda **o: plot.expression_graph((A + B) ** 2 * A, **o),
    "hidden_space": lambda **o: plot.hidden_space(
        MLP([2, 2, 2]), [[0, 1], [2, 3]], [0, 1], resolution=20, **o
    ),
    "linear_regions": lambda **o: plot.linear_regions(MLP([2, 4, 2]), **o),
    "loss_surface": lambda **o: plot.loss_surface(
        lambda a, b: a**2 + b**2, paths={"$path": [[0.5, 0.5], [0, 0]]}, resolution=20, **o
    ),
}
pictures = pytest.mark.parametrize("name", ALBUM)


def run_python(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def boxes_of_texts(ax):
    """Extents of all texts, in pixels."""
    renderer = ax.figure.canvas.get_renderer()
    found = [*ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        found += [t.label1 for t in axis.get_major_ticks() if low <= t.get_loc() <= high]
    return {t: t.get_window_extent(renderer) for t in found if t.get_text() and t.get_visible()}


def drawn(ax):
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(ax.figure).draw()
    return ax


def assert_nothing_is_cut_off(ax):
    page = ax.figure.bbox
    for text, box in boxes_of_texts(ax).items():
        assert page.x0 - 0.5 <= box.x0, text
        assert box.x1 <= page.x1 + 0.5, text
        assert page.y0 - 0.5 <= box.y0, text
        assert box.y1 <= page.y1 + 0.5, text
        assert text.get_size() >= 7, text


# ---------------------------------------------------------------- all pictures


@pictures
def test_pictures_are_axes_of_a_figure_of_their_own(name):
    first, second = ALBUM[name](), ALBUM[name]()
    assert isinstance(first, Axes)
    assert first.figure is not second.figure
    assert first.get_xlabel() or name in ("images", "weight_templates")


@pictures
def test_pictures_go_where_they_are_told(name):
    left, right = Figure(figsize=(9, 4)).subplots(1, 2)
    assert ALBUM[name](ax=right, title="A title") is right
    assert right.get_title() == "A title"
    assert not left.has_data()
    with pytest.raises(TypeError, match="ax must be matplotlib Axes or None, got int"):
        ALBUM[name](ax=3)
    with pytest.raises(TypeError, match="title must be a string"):
        ALBUM[name](title=3)


@pictures
def test_titles_can_be_left_out(name):
    assert ALBUM[name](title="").get_title() == ""


@pictures
def test_pictures_are_legible_sound_and_the_same_every_time(name):
    settings = dict(matplotlib.rcParams)
    axes = ALBUM[name]()
    text = plot.svg(axes)
    assert dict(matplotlib.rcParams) == settings
    assert_nothing_is_cut_off(drawn(axes))
    assert plot.svg(axes.figure) == text
    root = ElementTree.fromstring(text)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    references = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert references <= set(ids)
    assert references
    assert not re.search(r"dc:date|20\d\d-\d\d-\d\d", text)


def test_ids_of_pictures_do_not_meet_in_a_page():
    ids = [
        set(re.findall(r'\bid="([^"]+)"', plot.svg(plot.gradient_norms(norms))))
        for norms in ([1.0], [2.0])
    ]
    assert not ids[0] & ids[1]


def test_svg_has_the_title_and_takes_pictures_only():
    axes = plot.learning_curves(RECORDS, title="Cost: $5 & <more>")
    titles = [e.text for e in ElementTree.fromstring(plot.svg(axes)).iter() if "title" in e.tag]
    assert "Cost: $5 & <more>" in titles
    with pytest.raises(TypeError, match="picture must be matplotlib Axes or a Figure, got str"):
        plot.svg("figure")


def test_layout_goes_on_after_svg():
    axes = plot.learning_curves(RECORDS)
    before = plot.svg(axes)
    narrow = drawn(axes).get_position().height
    axes.set_title("two\nlines")
    assert plot.svg(axes) != before
    assert drawn(axes).get_position().height < narrow
    assert axes.get_in_layout()


def test_threads_draw_at_the_same_time():
    names = ("gradient_norms", "confusion_matrix")
    expected = {name: plot.svg(ALBUM[name]()) for name in names}
    found = [{} for _ in range(3)]

    def work(into):
        for name in expected:
            into[name] = plot.svg(ALBUM[name]())

    workers = [threading.Thread(target=work, args=(into,)) for into in found]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for into in found:
        assert into == expected


def test_another_process_draws_the_same_and_never_imports_pyplot():
    there = run_python("""
import sys
from fastmlp import MLP, plot
from fastmlp.expressions import variable
assert "matplotlib" not in sys.modules
axes = plot.confusion_matrix([0, 1, 1], [0, 1, 0])
text = plot.svg(axes)
plot.weight_templates(MLP([4, 2])).figure.savefig("/dev/null", format="png")
assert "matplotlib.pyplot" not in sys.modules
print(text, end="")
""")
    assert there == plot.svg(plot.confusion_matrix([0, 1, 1], [0, 1, 0]))


@pytest.mark.parametrize("name", plot.__all__)
def test_every_function_has_an_example_that_runs(name):
    value = getattr(plot, name)
    if not callable(value):
        return
    globs = dict(vars(importlib.import_module(value.__module__)))
    (test,) = doctest.DocTestFinder(recurse=False).find(value, name, globs=globs)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_a_missing_matplotlib_is_told_in_one_line():
    assert (
        run_python("""
import sys
sys.modules["matplotlib"] = None
from fastmlp import plot
try:
    plot.learning_curves([])
except ImportError as error:
    print(error)
""")
        == "matplotlib is needed; run \"pip install 'fastmlp[plot]'\"\n"
    )


def test_style_can_be_used_for_own_pictures():
    with matplotlib.rc_context(plot.STYLE):
        cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
    assert tuple(cycle) == plot.OKABE_ITO


# ---------------------------------------------------------------- curves


@pytest.mark.parametrize(("quantity", "best"), [("loss", 10), ("accuracy", 4)])
def test_learning_curves_are_the_records(quantity, best):
    ax = plot.learning_curves(RECORDS, quantity=quantity)
    training, validation, ring = ax.lines
    for line, key in ((training, quantity), (validation, f"val_{quantity}")):
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, 21))
        np.testing.assert_array_equal(line.get_ydata(), [record[key] for record in RECORDS])
    assert training.get_linestyle() != validation.get_linestyle()
    assert training.get_marker() != validation.get_marker()
    assert ring.get_xdata() == [best]
    assert ring.get_ydata() == [RECORDS[best - 1][f"val_{quantity}"]]
    assert legend(ax)[:2] == ["training", "validation"]
    assert legend(ax)[2].endswith(f"in epoch {best}")
    assert ("%" in ax.get_ylabel()) == (quantity == "accuracy")


def test_learning_curves_of_a_history():
    model = MLP([2, 3, 2])
    history = model.fit(POINTS, SIDES, epochs=4, validation_data=(POINTS[:9], SIDES[:9]), verbose=0)
    ax = plot.learning_curves(history)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), history.loss)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), history.val_loss)


def test_learning_curves_without_validation_or_with_gaps():
    assert legend(plot.learning_curves([{"epoch": 1, "loss": 1.0}])) == ["training"]
    gaps = [{"epoch": 5, "loss": 2.0}, {"epoch": 6, "loss": 1.0, "val_loss": 3.0}]
    training, validation = plot.learning_curves(gaps).lines
    np.testing.assert_array_equal(training.get_xdata(), [5, 6])
    np.testing.assert_array_equal(validation.get_xdata(), [6])


@pytest.mark.parametrize("nothing", [[], fastmlp.History(), {}, {"a run": []}])
def test_learning_curves_before_the_first_epoch(nothing):
    ax = plot.learning_curves(nothing, quantity="accuracy")
    assert not ax.lines
    assert texts(ax) == ["no epoch has been completed"]


def test_one_epoch_can_be_seen():
    ax = drawn(plot.learning_curves(RECORDS[:1]))
    assert [line.get_marker() for line in ax.lines] == ["o", "s"]
    shown = [text.get_text() for text in boxes_of_texts(ax)]
    assert {"epoch", "1"} <= set(shown)
    assert not {"0", "2", "0.5", "1.5"} & set(shown)


def test_several_runs_in_one_picture():
    runs = {"Adam_1": RECORDS, "$SGD": RECORDS[:5], "_own": [{"epoch": 1, "loss": 0.5}]}
    ax = plot.learning_curves(runs)
    assert legend(ax) == ["Adam_1", r"\$SGD", " _own", "thin: validation"]
    first, own_validation, second, *_ = ax.lines
    assert first.get_color() == own_validation.get_color() != second.get_color()
    np.testing.assert_array_equal(second.get_ydata(), [r["loss"] for r in RECORDS[:5]])
    plot.svg(ax)


def test_lines_can_be_told_apart_without_color():
    ax = plot.learning_curves({str(i): [{"epoch": 1, "loss": i}] for i in range(8)})
    looks = {(line.get_linestyle(), str(line._dash_pattern)) for line in ax.lines}
    assert len(looks) == 8
    assert len({line.get_marker() for line in ax.lines}) == 8


def test_curves_refuse():
    with pytest.raises(ValueError, match="quantity must be one of loss, accuracy"):
        plot.learning_curves(RECORDS, quantity="los")
    with pytest.raises(ValueError, match="history must have 'accuracy', which was not measured"):
        plot.learning_curves([{"epoch": 1, "loss": 1.0}], quantity="accuracy")
    with pytest.raises(ValueError, match=r"history\[1\] must have 'epoch', got loss"):
        plot.learning_curves([{"epoch": 1, "loss": 1.0}, {"loss": 1.0}])
    with pytest.raises(TypeError, match=r"history\['a'\] must be a History or a list"):
        plot.learning_curves({"a": 3})
    with pytest.raises(TypeError, match="must have numbers as 'epoch' and 'loss'"):
        plot.learning_curves([{"epoch": 1, "loss": "low"}])
    uneven = fastmlp.History(loss=[1.0, 2.0], val_loss=[1.0])
    with pytest.raises(ValueError, match=r"history.val_loss must have one value per epoch: 2"):
        plot.learning_curves(uneven)
    with pytest.raises(ValueError, match="rates must have 'learning_rate'"):
        plot.learning_rate([{"epoch": 1}])


def test_learning_rates_of_epochs():
    ax = plot.learning_rate(RECORDS)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [r["learning_rate"] for r in RECORDS])
    assert ax.get_yscale() == "linear"
    steep = [{"epoch": e, "learning_rate": 10.0**-e} for e in (1, 2, 3)]
    assert plot.learning_rate(steep).get_yscale() == "log"
    assert texts(plot.learning_rate([])) == ["no epoch has been completed"]


def test_search_for_a_learning_rate():
    found = MLP([2, 3, 2]).lr_find(POINTS, SIDES, steps=30, batch_size=20)
    ax = plot.learning_rate(found)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), np.c_[found.rates, found.losses])
    assert ax.lines[1].get_xdata() == [found.suggestion] * 2
    assert ax.get_xscale() == "log"


def test_predictions_against_the_truth():
    truth, predicted = RNG.standard_normal((2, 50))
    ax = plot.predictions(truth, predicted, target_names=["price ($)"])
    diagonal, points = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), np.c_[truth, predicted])
    np.testing.assert_array_equal(*diagonal.get_xydata().T)
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.get_xlabel() == r"true price (\$)"
    two = plot.predictions(POINTS, POINTS[::-1], target_names=["a", "b"])
    np.testing.assert_array_equal(two.lines[2].get_xydata(), np.c_[POINTS[:, 1], POINTS[::-1, 1]])
    assert legend(two) == ["equal", "a", "b"]
    assert plot.predictions([3.0], [3.0]).lines[1].get_xydata().tolist() == [[3, 3]]
    with pytest.raises(ValueError, match=r"y_pred must have the shape of y_true, \(2, 1\)"):
        plot.predictions([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="y_true must be finite"):
        plot.predictions([np.nan], [1.0])
    with pytest.raises(ValueError, match="target_names must have one entry per target: 1"):
        plot.predictions([1.0], [1.0], target_names=["a", "b"])


# ---------------------------------------------------------------- functions


@pytest.mark.parametrize("derivative", [False, True])
def test_activation_functions_are_those_of_the_oracle(derivative):
    names = [*reference_activations.PLAIN, *reference_activations.PARAMETRIC]
    ax = plot.activation_functions(names, derivative=derivative, limits=(-5, 7))
    oracle = reference_activations.derivative if derivative else reference_activations.value
    for name, line in zip(names, ax.lines, strict=False):
        z = line.get_xdata()
        assert (z[0], z[-1]) == (-5, 7)
        np.testing.assert_allclose(line.get_ydata(), oracle(name, z), rtol=1e-12, atol=1e-15)
        assert line.get_label() == name


def test_activation_functions_with_parameters():
    chosen = [fastmlp.LeakyReLU(slope=0.25), fastmlp.ELU(alpha=2.0), "relu"]
    ax = plot.activation_functions(chosen, limits=(-1, 1))
    assert legend(ax) == ["leaky_relu, slope 0.25", "elu, alpha 2.0", "relu"]
    assert [line.get_ydata()[0] for line in ax.lines[:3]] == pytest.approx(
        [-0.25, 2 * np.expm1(-1), 0]
    )
    assert len(plot.activation_functions("tanh").lines) == 3
    with pytest.raises(ValueError, match="activations must be one of .* did you mean 'tanh'"):
        plot.activation_functions(["tan"])
    with pytest.raises(ValueError, match="activations must have at least one"):
        plot.activation_functions([])
    with pytest.raises(ValueError, match="limits must ascend, got 1 and -1"):
        plot.activation_functions("tanh", limits=(1, -1))


def test_gradient_norms():
    models = {f"{n} layers": MLP([2, *[4] * n, 2], activation="sigmoid") for n in (1, 3)}
    ax = plot.gradient_norms(models, POINTS, SIDES)
    for line, model in zip(ax.lines, models.values(), strict=True):
        norms = model.gradient_norms(POINTS, SIDES)
        np.testing.assert_array_equal(line.get_ydata(), norms)
        np.testing.assert_array_equal(line.get_xdata(), np.arange(1, len(norms) + 1))
    assert ax.get_yscale() == "log"
    assert legend(ax) == list(models)
    assert plot.gradient_norms([0.0, 1.0]).get_yscale() == "linear"
    assert len(plot.gradient_norms(models["1 layers"], POINTS, SIDES).lines) == 1
    with pytest.raises(ValueError, match="norms is a model, which needs x and y"):
        plot.gradient_norms(MLP([2, 2]))
    with pytest.raises(ValueError, match=r"norms\['a'\] must be >= 0, got -1"):
        plot.gradient_norms({"a": [-1.0]})
    with pytest.raises(ValueError, match=r"norms must have shape \(layers,\)"):
        plot.gradient_norms([[1.0]])
