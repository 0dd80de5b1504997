"""What is learned from the training part, against scikit-learn and exact arithmetic."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastmlp.data import Options, Part, prepare
from fastmlp.data.moments import column_moments, standardize
from support.preprocessing_examples import numbers, source, table, text

WORDS = ("a", "b", "B", "10", "9", "é", None)


def drawn_table(draw, kinds, rows, words):
    values = st.integers(-8, 8).map(float) | st.floats(-6e4, 6e4, width=16)
    number = hnp.arrays(np.float64, rows, elements=st.one_of(values, st.just(np.nan)))
    word = st.lists(st.sampled_from(words), min_size=rows, max_size=rows)
    return {
        f"c{i}": draw(number) if is_number else text(*draw(word))
        for i, is_number in enumerate(kinds)
    } | {"y": np.arange(rows) / 7}


@st.composite
def mixed_tables(draw):
    """Columns, and later ones with the same names and categories that are new."""
    kinds = draw(st.lists(st.booleans(), min_size=1, max_size=4))
    first = drawn_table(draw, kinds, draw(st.integers(8, 30)), WORDS)
    later = drawn_table(draw, kinds, draw(st.integers(1, 8)), (*WORDS, "A", "010", " a"))
    for name in list(first)[:-1]:
        values = first[name]
        if values.dtype == object:
            # A column of digits holds numbers, one that never varies is left out.
            present = set(values) - {None}
            assume(len(present) > 1 and not present <= {"9", "10"})
        else:
            present = values[~np.isnan(values)]
            assume(len(set(present)) > 1)
    return first, later


def scikit_learn_encoding(first, later, missing):
    """Both tables, by what scikit-learn learns from the first."""
    pytest.importorskip("sklearn")
    from sklearn.compose import make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    *names, _target = first
    blocks = []
    for i, name in enumerate(names):
        fill = SimpleImputer(missing_values=None, strategy="most_frequent")
        if missing == "auto":
            fill = SimpleImputer(missing_values=None, strategy="constant", fill_value="\U0010ffff")
        encoder = OneHotEncoder(sparse_output=False, handle_unknown="ignore")
        imputer = make_pipeline(fill, encoder)
        if first[name].dtype != object:
            strategy = "median" if missing == "auto" else missing
            many = np.isnan(first[name]).sum() >= 2
            imputer = SimpleImputer(strategy=strategy, add_indicator=missing == "auto" and many)
        blocks.append((imputer, [i]))
    encoder = make_pipeline(make_column_transformer(*blocks), StandardScaler())

    def matrix(given):
        return np.stack([given[name].astype(object) for name in names], axis=1)

    return encoder.fit_transform(matrix(first)), encoder.transform(matrix(later))


@pytest.mark.parametrize("missing", ["auto", "mean", "median", "most_frequent"])
@given(tables=mixed_tables())
def test_tables_are_encoded_as_by_scikit_learn(missing, tables):
    expected, expected_later = scikit_learn_encoding(*tables, missing)
    first, later = (table(**columns) for columns in tables)
    options = Options(missing=missing, validation_fraction=0)
    prepared = prepare(source(first, test=Part(later)), options)
    np.testing.assert_allclose(prepared.train.x, expected, rtol=1e-9, atol=1e-6)
    np.testing.assert_allclose(prepared.test.x, expected_later, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(prepared.train.x, prepared.preprocessing.inputs(first))
    np.testing.assert_array_equal(prepared.test.x, prepared.preprocessing.inputs(later))


def test_one_block_per_column_in_the_order_of_the_file():
    prepared = prepare(
        source(
            table(
                b=numbers(1, 2, 3, 4),
                color=text("red", "blue", "red", "blue"),
                y=numbers(0, 1, 0, 1),
                a=numbers(5, 6, 7, 9),
            )
        ),
        Options(test_fraction=0, validation_fraction=0, standardize=False),
    )
    assert prepared.preprocessing.feature_names == ("b", "color=blue", "color=red", "a")
    np.testing.assert_array_equal(
        prepared.train.x, [[1, 0, 1, 5], [2, 1, 0, 6], [3, 0, 1, 7], [4, 1, 0, 9]]
    )
    assert prepared.train.x.dtype == np.float64
    assert prepared.preprocessing.features == 4


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@given(data=st.data())
def test_moments_are_those_of_exact_arithmetic(dtype, data):
    x = data.draw(
        hnp.arrays(
            dtype,
            hnp.array_shapes(min_dims=2, max_dims=2, max_side=40),
            elements=None if dtype == "uint8" else st.floats(-1e8, 1e8, width=32),
        )
    )
    mean, scale = column_moments(x)
    exact = x.astype(np.longdouble)
    expected = exact.std(axis=0)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-14, atol=1e-8)
    constant = (x == x[0]).all(axis=0)
    np.testing.assert_array_equal(scale[constant], 1.0)
    np.testing.assert_array_equal(mean[constant], x[0, constant])
    np.testing.assert_allclose(scale[~constant], expected[~constant], rtol=1e-10)


def test_moments_of_more_rows_than_one_block(monkeypatch):
    x = 1e6 + np.random.default_rng(0).standard_normal((1000, 7))
    mean, scale = column_moments(x)
    exact = x.astype(np.longdouble)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-15)
    np.testing.assert_allclose(scale, exact.std(axis=0), rtol=1e-13)
    monkeypatch.setattr("fastmlp.data.moments._BLOCK", 7 * 13)
    blocked_mean, blocked_scale = column_moments(x)
    np.testing.assert_allclose(blocked_mean, mean, rtol=1e-15)
    np.testing.assert_allclose(blocked_scale, scale, rtol=1e-12)
    whole = (x - mean) / scale
    np.testing.assert_array_equal(standardize(x, mean, scale, in_place=False), whole)
    assert standardize(x, mean, scale, in_place=True) is x
    np.testing.assert_array_equal(x, whole)


@pytest.mark.parametrize("size", [1e-310, 1e-200, 1e200, 1e307])
def test_squares_neither_overflow_nor_vanish(size):
    mean, scale = column_moments(np.array([[size], [3 * size]]))
    assert mean[0] == pytest.approx(2 * size, rel=1e-12)
    assert scale[0] == pytest.approx(size, rel=1e-9)


def test_float32_is_measured_and_scaled_in_float64():
    x = (np.arange(12, dtype=np.float32) / 8 + np.float32(2**16)).reshape(-1, 1)
    mean, scale = column_moments(x)
    assert mean[0] == 2**16 + 5.5 / 8
    result = standardize(x, mean, scale, in_place=False)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, ((x - mean) / scale).astype(np.float32))


def test_targets_are_standardized_as_by_scikit_learn_and_come_back():
    scaler = pytest.importorskip("sklearn.preprocessing").StandardScaler()
    y = np.random.default_rng(0).lognormal(3, 2, (50, 3))
    x = np.arange(50.0).reshape(-1, 1)
    prepared = prepare(source(x, y), Options(test_fraction=0, validation_fraction=0))
    assert prepared.task == "regression"
    np.testing.assert_allclose(prepared.train.y, scaler.fit_transform(y), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(prepared.preprocessing.decode(prepared.train.y), y, rtol=1e-12)
    outputs = np.array([[0.5, -1, 2]], np.float32)
    p = prepared.preprocessing
    expected = outputs.astype(np.float64) * p.target_scale + p.target_mean
    np.testing.assert_array_equal(p.decode(outputs), expected)
