"""Robust scaling of inputs, and predictions that stay in the range of the targets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastmlp
from fastmlp.data import Options, Part, prepare
from fastmlp.data.moments import column_quartiles
from fastmlp.experiment.evaluation import evaluate
from support.preprocessing_examples import numbers, source, table, text

WHOLE = {"test_fraction": 0.0, "validation_fraction": 0.0}
ROBUST = Options(scaling="robust", **WHOLE)


def by_definition(column):
    """Median and scale of one column, from its sorted values."""
    ordered = np.sort(np.asarray(column, np.float64))

    def quantile(share):
        at = share * (len(ordered) - 1)
        below, part = int(at), at - int(at)
        return ordered[below] + part * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])

    distance = quantile(0.75) - quantile(0.25)
    if distance == 0:
        distance = 0.5 * (ordered[-1] - ordered[0])
    return quantile(0.5), distance or 1.0


# ---------------------------------------------------------------- quartiles


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@given(data=st.data())
def test_quartiles_are_those_of_the_sorted_values(dtype, data):
    few = st.sampled_from([0.0, 1.0, -2.5, 7.0])
    x = data.draw(
        hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, max_side=30),
            elements=None if dtype == "uint8" else few | st.floats(-6e4, 6e4, width=16),
        )
    )
    before = x.copy()
    median, scale = column_quartiles(x)
    expected = np.array([by_definition(column) for column in x.T])
    np.testing.assert_allclose(median, expected[:, 0], rtol=1e-13, atol=1e-300)
    np.testing.assert_allclose(scale, expected[:, 1], rtol=1e-9)
    np.testing.assert_array_equal(x, before)
    constant = (x == x[0]).all(axis=0)
    np.testing.assert_array_equal(median[constant], x[0, constant])
    np.testing.assert_array_equal(scale[constant], 1.0)


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_of_columns_change_nothing(monkeypatch, order):
    x = np.asarray(np.random.default_rng(3).standard_cauchy((501, 23)), order=order)
    whole = column_quartiles(x)
    for size in (1, 501 * 4, 501 * 23 - 1):
        monkeypatch.setattr("fastmlp.data.moments._SORTED_BLOCK", size)
        for found, expected in zip(column_quartiles(x), whole, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_scikit_learn_scales_alike_where_quartiles_differ():
    scaler = pytest.importorskip("sklearn.preprocessing").RobustScaler()
    x = np.random.default_rng(5).lognormal(0, 3, (173, 8))
    prepared = prepare(source(x, np.arange(173.0)), ROBUST)
    np.testing.assert_allclose(prepared.train.x, scaler.fit_transform(x), rtol=1e-12, atol=1e-13)


def test_pytabkit_scales_alike():
    pytest.importorskip("pytabkit")
    import torch
    from pytabkit.models.data.data import DictDataset, TensorInfo
    from pytabkit.models.nn_models.pipeline import MedianCenterFactory, RobustScaleFactory

    random = np.random.default_rng(7)
    x = np.stack(
        [
            random.normal(5, 2, 240), random.standard_cauchy(240), np.full(240, 3.5),
            np.where(random.random(240) < 0.1, random.normal(9, 1, 240), -2.0),
            random.integers(0, 3, 240).astype(float), (random.random(240) < 0.2).astype(float),
        ],
        axis=1,
    )  # fmt: skip
    tensors = {"x_cont": torch.as_tensor(x)}
    infos = {"x_cont": TensorInfo(feat_shape=[x.shape[1]])}
    for factory in (MedianCenterFactory(), RobustScaleFactory()):
        data = DictDataset(tensors, infos)
        tensors = factory._fit(data).forward_tensors(dict(tensors))
    prepared = prepare(source(x, np.arange(240.0)), ROBUST)
    np.testing.assert_allclose(prepared.train.x, tensors["x_cont"].numpy(), rtol=1e-12, atol=1e-14)


def test_values_of_pytabkit():
    """As above with pytabkit 1.8.0: quartiles, half the range, a constant."""
    x = np.array([[1, 0, 4], [2, 0, 4], [4, 0, 4], [8, 0, 4], [16, 0, 4], [32, 3, 4.0]])
    expected = [
        [-0.43478260869565216, 0, 0], [-0.34782608695652173, 0, 0], [-0.17391304347826086, 0, 0],
        [0.17391304347826086, 0, 0], [0.8695652173913043, 0, 0], [2.260869565217391, 2, 0],
    ]  # fmt: skip
    prepared = prepare(source(x, np.arange(6.0)), ROBUST)
    np.testing.assert_allclose(prepared.train.x, expected, rtol=1e-14)


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e200, 8e307])
def test_numbers_of_any_size(size):
    x = size * np.array([[1.0], [1.0], [2.0], [2.0], [2.0]])
    median, scale = column_quartiles(x)
    assert (median[0], scale[0]) == (2 * size, size)


def test_an_outlier_beside_nearly_equal_values_stays_in_range():
    x = np.array([[0.0], [1e-300], [2e-300], [3e-300], [4e-300], [1.0]])
    _, scale = column_quartiles(x)
    assert scale[0] == 0.5
    prepared = prepare(source(x, np.arange(6.0)), ROBUST)
    assert np.abs(prepared.train.x).max() == 2.0


def test_numbers_too_large_for_quartiles():
    x = np.array([[1, 1.7e308], [2, 1.7e308], [3, -1.7e308], [4, -1.7e308]])
    with pytest.raises(ValueError, match=r"input 1 \(counted from 0\) holds .* for quartiles"):
        prepare(source(x, np.arange(4.0)), ROBUST)


# ---------------------------------------------------------------- tables


def people(**more):
    return table(
        age=numbers(20, 30, None, 50, 90, None, 41, 1000),
        color=text("red", "blue", "red", None, "red", "red", "blue", "red"),
        member=text("yes", "no", "no", "yes", "yes", "no", "no", "no"),
        born=text(*(f"200{i}-0{i + 1}-11" for i in range(8))),
        **more,
    )


def test_quantities_alone_are_scaled():
    raw = people(y=np.arange(8.0))
    prepared = prepare(source(raw), ROBUST)
    pre = prepared.preprocessing
    plain = prepare(source(raw), Options(standardize=False, **WHOLE)).train.x
    quantities = [name == "age" or (name.startswith("born (")) for name in pre.feature_names]
    assert sum(quantities) < len(quantities)
    assert "age is missing" in pre.feature_names
    for i, (name, quantity) in enumerate(zip(pre.feature_names, quantities, strict=True)):
        median, scale = by_definition(plain[:, i]) if quantity else (0.0, 1.0)
        assert (pre.input_mean[i], pre.input_scale[i]) == pytest.approx((median, scale)), name
    np.testing.assert_array_equal(prepared.train.x, (plain - pre.input_mean) / pre.input_scale)
    assert prepared.notes[-1] == (
        "inputs: centered at the median and divided by the distance of the quartiles"
    )
    # A missing age is the median, so that it is 0.
    np.testing.assert_array_equal(prepared.train.x[[2, 5], pre.feature_names.index("age")], 0)


def test_later_rows_are_scaled_as_the_training_part():
    random = np.random.default_rng(2)
    raw = table(a=random.standard_cauchy(200), b=random.integers(0, 9, 200), y=np.arange(200.0))
    prepared = prepare(source(raw), Options(scaling="robust"))
    x = prepared.train.x
    np.testing.assert_allclose(np.median(x, axis=0), 0, atol=1e-15)
    first, third = np.quantile(x, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(third - first, 1)
    assert prepared.preprocessing == type(prepared.preprocessing).from_config(
        prepared.preprocessing.config(), prepared.preprocessing.arrays()
    )


def test_bytes_are_scaled_if_that_is_asked_for():
    x = np.arange(60, dtype=np.uint8).reshape(20, 3)
    assert prepare(source(x, np.arange(20.0)), Options(**WHOLE)).train.x.dtype == np.uint8
    scaled = prepare(source(x, np.arange(20.0)), ROBUST).train.x
    np.testing.assert_allclose(np.median(scaled, axis=0), 0, atol=1e-7)


def test_what_contradicts_itself_is_refused():
    with pytest.raises(ValueError, match="scaling must be left out where standardize is off"):
        Options(scaling="robust", standardize=False)
    with pytest.raises(
        ValueError, match="scaling must be one of standard, shared, robust, quantile, got "
    ):
        Options(scaling="robus")
    with pytest.raises(TypeError, match="clamp_target"):
        Options(clamp_target=1)


# ---------------------------------------------------------------- range of the targets


def test_the_range_is_that_of_the_training_part():
    y = np.random.default_rng(0).standard_cauchy((300, 2))
    prepared = prepare(source(np.arange(300.0)[:, np.newaxis], y), Options(clamp_target=True))
    pre = prepared.preprocessing
    truth = pre.in_units(prepared.train.y)
    np.testing.assert_allclose(pre.target_low, truth.min(axis=0), rtol=1e-12)
    np.testing.assert_allclose(pre.target_high, truth.max(axis=0), rtol=1e-12)
    wide = np.random.default_rng(1).normal(0, 1e3, (50, 2))
    free = wide * pre.target_scale + pre.target_mean
    np.testing.assert_array_equal(pre.decode(wide), np.clip(free, pre.target_low, pre.target_high))
    np.testing.assert_array_equal(pre.in_units(wide), free)


@pytest.mark.parametrize("standardizes", [True, False])
def test_predictions_are_limited_and_truths_are_not(standardizes):
    x = np.linspace(0, 1, 40)[:, np.newaxis]
    options = Options(clamp_target=True, standardize_target=standardizes, validation_fraction=0)
    later = Part(np.array([[2.0], [3.0], [-4.0]]), np.array([50.0, 60.0, -70.0]))
    prepared = prepare(source(x, 10 * x[:, 0] - 5, test=later), options)
    model = fastmlp.MLP([1, 1], loss="mse", seed=0)
    model.weights, model.biases = [[[1e3]]], [[0.0]]
    model.preprocessing = prepared.preprocessing
    measured = evaluate(model, prepared.test)
    np.testing.assert_allclose(measured.predictions[:, 0], [5, 5, -5], rtol=1e-12)
    assert measured.metrics["mae"] == pytest.approx((45 + 55 + 65) / 3)
    np.testing.assert_allclose(fastmlp.Model.of(model).predict(later.x), [5, 5, -5], rtol=1e-12)


def test_a_model_keeps_the_range_in_its_file(tmp_path):
    frame = {"x": np.linspace(-1, 1, 80), "y": np.linspace(-1, 1, 80) ** 3}
    settings = {
        "target": "y",
        "architecture": "mlp",
        "epochs": 3,
        "scaling": "robust",
        "hidden": "8",
    }
    model = fastmlp.Model(**settings, clamp_target=True).fit(frame, verbose=0)
    model.save(tmp_path / "model.safetensors")
    twin = fastmlp.load(tmp_path / "model.safetensors")
    far = {"x": np.array([-1e4, 1e4, 0.0])}
    pre = twin.preprocessing
    np.testing.assert_array_equal(twin.predict(far), model.predict(far))
    assert set(twin.predict(far)[:2]) <= {*pre.target_low, *pre.target_high}
    free = fastmlp.Model(**settings).fit(frame, verbose=0)
    assert free.preprocessing.target_low is None
    assert np.abs(free.predict(far)).max() > 1


def test_targets_in_units_are_for_regression_alone():
    pre = prepare(source(np.ones((9, 1)), np.arange(9) % 2), Options(**WHOLE)).preprocessing
    with pytest.raises(ValueError, match="task must be regression"):
        pre.in_units(np.ones((3, 2)))
