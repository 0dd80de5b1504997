"""Quantities mapped from their quantiles to those of the standard normal distribution."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import fastmlp
from fastmlp.data import Options, Part, prepare
from fastmlp.data.normal_map import NormalMap
from support.preprocessing_examples import mapped, numbers, source, table, tabular, text

WHOLE = {"test_fraction": 0.0, "validation_fraction": 0.0}
QUANTILE = Options(scaling="quantile", **WHOLE)
END = 5.199337582290661  # of scikit-learn's QuantileTransformer


def columns(seed, rows):
    """Columns of many kinds: smooth, heavy tails, tiny and huge, ties, constant, mostly zero."""
    random = np.random.default_rng(seed)
    return np.stack(
        [
            random.normal(5, 2, rows), random.standard_cauchy(rows), random.lognormal(0, 3, rows),
            1e-200 * random.normal(0, 1, rows), 1e200 * random.normal(1, 1, rows),
            random.integers(0, 5, rows).astype(float), np.full(rows, 3.5),
            np.where(random.random(rows) < 0.6, 0.0, random.random(rows)),
            (random.random(rows) < 0.1).astype(float),
        ],
        axis=1,
    )  # fmt: skip


CONTINUOUS = [0, 1, 2, 4]  # but for the tiny one, which scikit-learn takes for constant


def prepared_of(x, options=QUANTILE):
    return prepare(source(x, np.arange(float(len(x)))), options)


# ---------------------------------------------------------------- the map


@pytest.mark.parametrize("rows", [12, 100, 364, 1000, 40_000])
def test_scikit_learn_maps_alike_where_numbers_differ(rows):
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    x = columns(rows, rows)[:, CONTINUOUS]
    count = min(max(min(rows // 30, 1000), 10), rows)
    theirs = preprocessing.QuantileTransformer(
        n_quantiles=count, output_distribution="normal", subsample=None
    ).fit(x)
    # Beyond the ends, too.
    later = np.concatenate([x, columns(rows + 1, 500)[:, CONTINUOUS], 2 * x.min(axis=0)[None]])
    pre = prepared_of(x).preprocessing
    # A chord over a step of 0.1 is off by 0.1^2 / 8 times the largest result, roughly.
    np.testing.assert_allclose(pre.inputs(later), theirs.transform(later), rtol=0, atol=7e-3)


def test_quantiles_are_mapped_to_those_of_the_normal_distribution():
    special = pytest.importorskip("scipy.special")
    x = np.random.default_rng(1).permutation(np.arange(301.0))
    inputs = prepared_of(x[:, np.newaxis]).train.x[:, 0]
    inputs = inputs[np.argsort(x)]
    share = np.clip(np.arange(301) / 300, 1e-7, 1 - 1e-7)
    np.testing.assert_allclose(inputs, special.ndtri(share), atol=7e-3)
    # Exact at quantiles; ten of them have two thirds of 300 in common with the numbers.
    np.testing.assert_allclose(inputs[[100, 200]], special.ndtri([1 / 3, 2 / 3]), atol=1e-12)
    assert (inputs[0], inputs[-1]) == pytest.approx((-END, END), abs=1e-6)


def test_equal_numbers_are_in_the_middle_of_their_probabilities():
    special = pytest.importorskip("scipy.special")
    x = np.repeat([0.0, 1.0, 2.0, 7.0], [300, 300, 150, 150])
    inputs = prepared_of(x[:, np.newaxis]).train.x[:, 0]
    found = [inputs[x == value] for value in (0, 1, 2, 7)]
    assert all((values == values[0]).all() for values in found)
    # The ends of the probabilities are known to a quantile of thirty.
    found = special.ndtr([values[0] for values in found])
    np.testing.assert_allclose(found, [1 / 6, 1 / 2, 3 / 4, 11 / 12], atol=0.5 / 29)


def test_a_column_without_variation_is_zero_whatever_comes():
    pre = prepared_of(np.full((50, 1), -7.5)).preprocessing
    np.testing.assert_allclose(pre.inputs(np.array([[-7.5], [-1e300], [3.0]])), 0.0, atol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@given(data=st.data())
def test_maps_of_any_columns(dtype, data):
    """Not decreasing, within the ends, the same row by row, undone by the inverse."""
    few = st.sampled_from([0.0, 1.0, -2.5, 1e-300 if dtype == "float64" else 1e-30])
    x = data.draw(
        hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
            elements=None if dtype == "uint8" else few | st.floats(-6e4, 6e4, width=16),
        )
    )
    before = x.copy()
    prepared = prepared_of(x)
    pre, inputs = prepared.preprocessing, prepared.train.x
    np.testing.assert_array_equal(x, before)
    assert inputs.dtype == (np.float64 if dtype == "float64" else np.float32)
    assert np.isfinite(inputs).all()
    assert np.abs(inputs).max() <= END + 1e-6
    for row, whole in zip(x, inputs, strict=True):
        np.testing.assert_array_equal(pre.inputs(row[np.newaxis])[0], whole)
    for column, values in zip(x.T, inputs.T, strict=True):
        ordered = values[np.argsort(column, kind="stable")]
        assert (np.diff(ordered) >= -1e-14).all()  # but for rounding
    exact = NormalMap(pre.input_quantiles, pre.normal_quantiles)
    scaled = (x - pre.input_mean) / pre.input_scale
    again = exact.apply(exact.invert(exact.apply(scaled)))
    np.testing.assert_allclose(again, exact.apply(scaled), rtol=0, atol=1e-6)


def test_numbers_of_any_size_and_outliers():
    for size in (5e-324, 1e-310, 1e-200, 1e200, 8e307):
        x = size * np.array([[1.0], [1.0], [2.0], [2.0], [2.0]])
        inputs = prepared_of(x).train.x
        assert inputs[0] < inputs[2], size
        assert np.isfinite(inputs).all()
    x = np.array([[0.0], [1e-300], [2e-300], [3e-300], [4e-300], [1.0]])
    assert np.isfinite(prepared_of(x).train.x).all()


def test_numbers_too_large_are_refused():
    x = np.array([[1.0, 1.7e308], [2, 1.7e308], [3, -1.7e308], [4, -1.7e308], [5, 1.7e308]])
    with pytest.raises(ValueError, match=r"input 1 \(counted from 0\) holds .* for quartiles"):
        prepared_of(x)
    with pytest.raises(ValueError, match="infinite|inf"):
        prepared_of(np.array([[1.0], [np.inf], [2.0]]))
    pre = prepared_of(np.arange(20.0)[:, np.newaxis]).preprocessing
    with pytest.raises(ValueError, match="infinite|inf"):
        pre.inputs(np.array([[np.inf]]))


# ---------------------------------------------------------------- tables


def people(**more):
    return table(
        age=numbers(20, 30, None, 50, 90, None, 41, 1000),
        color=text("red", "blue", "red", None, "red", "red", "blue", "red"),
        member=text("yes", "no", "no", "yes", "yes", "no", "no", "no"),
        born=text(*(f"200{i}-0{i + 1}-11" for i in range(8))),
        **more,
    )


@pytest.mark.parametrize("category_inputs", ["one_hot", "code"])
def test_quantities_alone_are_mapped(category_inputs):
    raw = people(y=np.arange(8.0))
    options = Options(scaling="quantile", category_inputs=category_inputs, **WHOLE)
    prepared = prepare(source(raw), options)
    pre = prepared.preprocessing
    plain = prepare(
        source(raw), Options(standardize=False, category_inputs=category_inputs, **WHOLE)
    ).train.x
    quantities = [name == "age" or name.startswith("born (") for name in pre.feature_names]
    np.testing.assert_array_equal(pre.quantities, quantities)
    others = ~pre.quantities
    np.testing.assert_array_equal(prepared.train.x[:, others], plain[:, others])
    assert len(pre.input_quantiles) == sum(quantities)
    alone = prepared_of(plain[:, quantities])
    np.testing.assert_array_equal(prepared.train.x[:, quantities], alone.train.x)
    np.testing.assert_allclose(pre.original_inputs(prepared.train.x), plain, atol=1e-9)
    assert prepared.notes[-1] == (
        "inputs: mapped from their quantiles to those of the standard normal distribution"
    )


def test_a_table_of_categories_has_no_map():
    raw = table(a=text("x", "y", "x", "z"), y=np.arange(4.0))
    pre = prepare(source(raw), QUANTILE).preprocessing
    assert pre.input_quantiles is None
    np.testing.assert_array_equal(pre.input_mean, 0.0)


def test_the_training_part_alone_decides():
    random = np.random.default_rng(2)
    cells = {
        "a": random.standard_cauchy(200), "b": random.integers(0, 9, 200), "y": np.arange(200.0),
    }  # fmt: skip
    options = Options(scaling="quantile", test_fraction=0)
    prepared = prepare(source(table(**cells)), options)
    pre = prepared.preprocessing
    others = np.round(pre.in_units(prepared.validation.y)[:, 0]).astype(int)
    assert len(others) == 20
    cells["a"][others] *= 1e6
    again = prepare(source(table(**cells)), options)
    assert again.preprocessing == pre
    assert not np.array_equal(again.validation.x, prepared.validation.x)


def test_test_rows_are_mapped_as_the_training_part():
    x = columns(4, 300)
    later = columns(5, 100)
    test = Part(later, np.arange(100.0))
    prepared = prepare(source(x, np.arange(300.0), test=test), Options(scaling="quantile"))
    np.testing.assert_array_equal(prepared.test.x, prepared.preprocessing.inputs(later))


# ---------------------------------------------------------------- files


def test_files_and_copies_hold_the_map(tmp_path):
    random = np.random.default_rng(3)
    frame = {
        "x": random.standard_cauchy(200), "z": random.integers(0, 4, 200),
        "kind": random.choice(["a", "b"], 200), "y": random.normal(0, 1, 200),
    }  # fmt: skip
    settings = {"target": "y", "epochs": 3, "scaling": "quantile", "hidden": "8"}
    model = fastmlp.Model(**settings).fit(frame, verbose=0)
    model.save(tmp_path / "model.safetensors")
    twin = fastmlp.load(tmp_path / "model.safetensors")
    assert (
        twin.preprocessing == model.preprocessing == pickle.loads(pickle.dumps(twin.preprocessing))
    )
    assert twin.preprocessing.input_quantiles is not None
    np.testing.assert_array_equal(twin.predict(frame), model.predict(frame))
    far = {name: cells[:3].copy() for name, cells in frame.items() if name != "y"}
    near = {name: cells.copy() for name, cells in far.items()}
    far["x"][:] = 1e9
    near["x"][:] = frame["x"].max()  # the last quantile, or beyond it
    np.testing.assert_allclose(twin.predict(far), twin.predict(near), rtol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"normal_quantiles": None}, "must be given together"),
        ({"input_mean": None, "input_scale": None}, "input_mean must be given where"),
        ({"input_quantiles": np.zeros((2, 4))}, r"must have shape \(1, points\)"),
        ({"input_quantiles": np.zeros(4)}, r"must have shape \(1, points\)"),
        ({"input_quantiles": np.zeros((1, 1))}, "2 or more points"),
        ({"input_quantiles": np.array([[0.0, 1.0, 2.0]])}, "that of input_quantiles"),
        ({"input_quantiles": np.array([[0.0, 1.0, 1.0, 2.0]])}, "must increase"),
        ({"input_quantiles": np.array([[0.0, 1.0, np.nan, 2.0]])}, "must be finite"),
        ({"normal_quantiles": np.array([[0.0, 1.0, 0.5, 2.0]])}, "must not decrease"),
    ],
)
def test_maps_that_do_not_fit_are_refused(arrays, message):
    fields = {name: getattr(mapped(), name) for name in mapped().arrays()}
    with pytest.raises(ValueError, match=message):
        tabular(**(fields | arrays))


def test_an_example_by_hand():
    inputs = np.array(
        [[40.0, 0, 1, 0], [30, 1, 0, 0], [45, 0, 0, 0], [1e9, 0, 0, 1], [-9, 0, 0, 1]]
    )
    found = mapped().standardized(inputs.copy(), in_place=True)
    np.testing.assert_allclose(found[:, 0], [0.0, -2.5, 1.0, 1.0, -5.0])
    np.testing.assert_array_equal(found[:, 1:], inputs[:, 1:])
