"""Curves that judge a model: their points are those that were given, and faults are named."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from fastmlp import metrics, plot

RNG = np.random.default_rng(4)


def drawn(ax, label):
    (line,) = [line for line in ax.get_lines() if line.get_label().startswith(label)]
    return np.column_stack(line.get_data())


def test_roc_curve_goes_through_its_points():
    x, y = np.sort(RNG.random(50)), np.sort(RNG.random(50))
    np.testing.assert_array_equal(drawn(plot.roc_curve(x, y), "model"), np.column_stack([x, y]))
    many = np.linspace(0, 1, 5001)
    thinned = drawn(plot.roc_curve(many, np.sqrt(many)), "model")
    assert len(thinned) <= 400
    np.testing.assert_array_equal(thinned[[0, -1]], [[0, 0], [1, 1]])
    np.testing.assert_array_equal(thinned[:, 1], np.sqrt(thinned[:, 0]))


def test_precision_is_drawn_over_recall_in_order():
    ax = plot.precision_recall_curve([0.5, 0.8, 1.0], [1.0, 0.6, 0.0], share=0.5)
    np.testing.assert_array_equal(drawn(ax, "model"), [[0, 1], [0.6, 0.8], [1, 0.5]])
    np.testing.assert_array_equal(drawn(ax, "chance")[:, 1], [0.5, 0.5])


def test_calibration_leaves_out_empty_bins():
    ax = plot.calibration_curve([0.1, np.nan, 0.9], [0.2, np.nan, 0.7], [10, 0, 30])
    np.testing.assert_array_equal(drawn(ax, "model"), [[0.1, 0.2], [0.9, 0.7]])
    heights = [bar.get_height() for bar in ax.patches]
    assert heights[1] == pytest.approx(3 * heights[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot.roc_curve([], []), r"shape \(points,\)"),
        (lambda: plot.roc_curve([0.0, 1.0], [0.0]), "true_positive_rates must have 2 values"),
        (lambda: plot.roc_curve([0.0, 1.5], [0.0, 1.0]), "false_positive_rates must hold shares"),
        (lambda: plot.calibration_curve([0.5], [-0.5]), "observed must hold shares"),
        (lambda: plot.residuals([1.0, 2.0], [1.0]), "y_pred must have one column"),
        (lambda: plot.residuals([[1.0, 2.0]], [[1.0, 2.0]]), "y_pred must have one column"),
        (lambda: plot.partial_dependence([1.0], [0.1, 0.2]), "means must have a row for each"),
        (lambda: plot.partial_dependence(["a"], [0.1], outputs=["x", "y"]), "outputs must have 1"),
    ],
)
def test_faults_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_residuals_have_the_mean_of_ten_parts():
    truth = RNG.normal(size=200)
    predicted = truth + 0.5
    ax = plot.residuals(truth, predicted)
    np.testing.assert_allclose(drawn(ax, "mean")[:, 1], 0.5)
    assert not [line for line in plot.residuals(truth[:20], predicted[:20]).get_lines()
                if line.get_label() == "mean"]  # fmt: skip


def test_dependence_on_categories_has_a_bar_for_each_output():
    means = np.array([[0.1, 0.9], [0.4, 0.6], [0.7, 0.3]])
    ax = plot.partial_dependence(["a", "b", "c"], means, outputs=["no", "yes"], shares=True)
    widths = [bar.get_width() for bar in ax.patches]
    np.testing.assert_allclose(widths, [*means[:, 0], *means[:, 1]])
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]


def test_dependence_on_dates_has_days_at_its_ticks():
    days = np.array([18262.0, 18400.0, 18627.0])  # in 2020
    ax = plot.partial_dependence(days, [1.0, 2.0, 3.0], column="since", present=days, dates=True)
    ax.figure.draw_without_rendering()
    ticks = [label.get_text() for label in ax.get_xticklabels()]
    assert ticks
    assert all(tick.startswith(("2019-", "2020-", "2021-")) for tick in ticks)


@pytest.mark.parametrize("seed", range(20))
def test_precision_falls_where_the_recall_stays(seed):
    chance = np.random.default_rng(seed)
    y = chance.integers(0, 2, 12)
    y[:2] = 0, 1
    precisions, recalls, _ = metrics.precision_recall_curve(y, chance.permutation(12))
    ax = plot.precision_recall_curve(precisions, recalls)
    points = np.column_stack([recalls, precisions])[::-1]
    np.testing.assert_array_equal(drawn(ax, "model"), points)
    assert ax.lines[0].get_drawstyle() == "steps-pre"
