"""Arguments of `TabularClassifier` and `TabularRegressor`: names, labels, parts, errors, files."""

from __future__ import annotations

import warnings

import numpy as np
import pandas
import polars
import pytest

import fastmlp

INTERNAL = [
    "target",
    "target_0",
    "target_1",
    "sample weight",
    "target (2)",
    "fastmlp sample weight",
]
SETTINGS = {"epochs": 3, "hidden": [8], "random_state": 0}


def classifier(**settings: object) -> fastmlp.TabularClassifier:
    return fastmlp.TabularClassifier(**{**SETTINGS, **settings})


def regressor(**settings: object) -> fastmlp.TabularRegressor:
    return fastmlp.TabularRegressor(**{**SETTINGS, **settings})


def numbers(seed: int, rows: int = 80, columns: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns))


# ---------------------------------------------------------------- names of columns


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["classes", "value", "values"])
def test_results_do_not_depend_on_names_of_columns(seed, kind):
    random = np.random.default_rng([1, seed])
    x = numbers(seed, columns=4)
    make = classifier if kind == "classes" else regressor
    y = {"classes": (x[:, 0] > 0).astype(int), "value": x[:, 0], "values": x[:, :2]}[kind]
    weights = random.uniform(0.5, 2.0, len(x))
    odd = [*INTERNAL, "", " ", "a,b", "date=%d", "x1", "x0", "id", "y", "p(1)", "prediction"]
    names = random.permutation(odd)[:4].tolist()
    numbered = pandas.DataFrame(x)
    plain = pandas.DataFrame(x, columns=list("abcd"))
    expected = make().fit(plain, y, sample_weight=weights).predict(plain)
    for frame in (
        numbered,
        pandas.DataFrame(x, columns=names),
        polars.DataFrame(x, schema=names),
        dict(zip(names, x.T, strict=True)),
    ):
        fitted = make().fit(frame, y, sample_weight=weights)
        assert np.array_equal(fitted.predict(frame), expected), f"seed {seed}: {names}"
        assert fitted.n_features_in_ == 4
        assert fitted.feature_importances_.shape == (4,)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(ValueError, match="names of columns must differ, got '0' twice"):
        regressor().fit(pandas.DataFrame({0: [1.0] * 9, "0": [2.0] * 9}), np.arange(9.0))


# ---------------------------------------------------------------- labels


ODD_LABELS = [
    "", " ", "\n", "\t", " a", "a", "a ", "NA", "nan", "null", "01", "1", "1.0", "true", "?", "-",
    "2020-01-01", "1,5", "Yes", "no", "a;b", '"', "\x00b", "é", "None",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("dtype", ["U", "O"])
def test_labels_are_values_and_never_cells(seed, dtype, tmp_path):
    random = np.random.default_rng([2, seed])
    labels = random.permutation(ODD_LABELS)[: random.integers(2, 6)]
    codes = random.integers(0, len(labels), 90)
    x = np.eye(len(labels))[codes] + 0.05 * numbers(seed, 90, len(labels))
    y = labels[codes].astype(object if dtype == "O" else "U")
    fitted = classifier(epochs=60).fit(x, y, X_val=x, y_val=y)
    assert np.array_equal(fitted.classes_, np.unique(y)), f"seed {seed}"
    assert fitted.score(x, y) > 0.8, f"seed {seed}: {labels}"
    assert set(fitted.predict(x)) <= set(y)
    assert fitted.predict(x).dtype == y.dtype
    fitted.save(tmp_path / "m.safetensors")
    loaded = fastmlp.TabularClassifier.load(tmp_path / "m.safetensors")
    assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert loaded.predict(x).tolist() == fitted.predict(x).tolist()
    # No sample was left out in silence: the same codes give the same probabilities.
    plain = classifier(epochs=60).fit(x, np.searchsorted(fitted.classes_, y), X_val=x,
                                      y_val=np.searchsorted(fitted.classes_, y))  # fmt: skip
    assert np.array_equal(plain.predict_proba(x), fitted.predict_proba(x))


@pytest.mark.parametrize(
    "labels",
    [
        np.array([2**60, 2**60 + 1]),
        np.array([-(2**63), 2**63 - 1]),
        np.array([0, 2**64 - 1], np.uint64),
        np.array([-128, 127], np.int8),
        np.array([1e15, -3.0]),
        np.array([0.0, 16777216.0], np.float32),
        np.array([False, True]),
    ],
    ids=str,
)
@pytest.mark.parametrize("n_cv", [1, 2])
def test_labels_of_numbers_come_back_exactly(labels, n_cv, tmp_path):
    x = numbers(3)
    y = labels[(x[:, 0] > 0).astype(int)]
    fitted = classifier(epochs=30, n_cv=n_cv).fit(x, y)
    assert np.array_equal(fitted.classes_, np.unique(y))
    assert fitted.predict(x).dtype == y.dtype
    assert np.mean(fitted.predict(x) == y) > 0.8
    fitted.save(tmp_path / "m")
    loaded = fastmlp.TabularClassifier.load(tmp_path / "m")
    if labels.dtype != np.uint64:
        assert loaded.classes_.tolist() == fitted.classes_.tolist()
    assert np.array_equal(loaded.predict_proba(x), fitted.predict_proba(x))


@pytest.mark.parametrize("gap", [None, float("nan"), pandas.NA], ids=repr)
def test_labels_that_are_missing_are_refused(gap):
    x = numbers(4, 12)
    whole = np.array(["a", "b"] * 6, object)
    broken = whole.copy()
    broken[5] = gap
    with pytest.raises(ValueError, match="y must hold labels"):
        classifier().fit(x, broken)
    with pytest.raises(ValueError, match="y_val must hold labels"):
        classifier().fit(x, whole, X_val=x, y_val=broken)


def test_labels_that_no_file_can_hold_are_refused():
    with pytest.raises(ValueError, match="y must hold text that UTF-8 can hold"):
        classifier().fit(numbers(4, 12), ["a", "\ud800"] * 6)


# ---------------------------------------------------------------- samples that choose the epoch


def test_targets_of_validation_are_treated_as_those_of_training():
    x = numbers(5)
    y = (x[:, 0] > 0).astype(int)
    expected = classifier().fit(x, y, X_val=x, y_val=y).predict_proba(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, about columns
        for given in (y[:, None], y[:, None].tolist(), y.tolist(), pandas.Series(y)):
            fitted = classifier().fit(x, y, X_val=x, y_val=given)
            assert np.array_equal(fitted.predict_proba(x), expected)
        value = regressor().fit(x, x[:, 0], X_val=x, y_val=x[:, :1].tolist())
    assert np.array_equal(
        value.predict(x), regressor().fit(x, x[:, 0], X_val=x, y_val=x[:, 0]).predict(x)
    )
    with pytest.raises(ValueError, match="y_val must hold labels that y holds, got 7"):
        classifier().fit(x, y, X_val=x, y_val=np.where(y == 1, 7, 0))
    with pytest.raises(ValueError, match="y_val must have as many targets as y"):
        regressor().fit(x, x[:, 0], X_val=x, y_val=x[:, :2])
    for make, held in ((classifier, y.astype(float)), (regressor, x[:, 0].copy())):
        held[3] = np.nan
        with pytest.raises(ValueError, match="Input y_val contains NaN"):
            make().fit(x, y, X_val=x, y_val=held)


@pytest.mark.parametrize("fraction", [0.01, 0.07, 0.2, 0.4, 0.7, 0.9])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_validation_has_the_share_that_is_asked_for(make, fraction):
    x = numbers(6)
    y = (x[:, 0] > 0).astype(int)
    fitted = make(validation_fraction=fraction).fit(x, y)
    assert len(fitted._held_out) == max(1, round(80 * fraction))


def test_validation_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="must be 0 for 2 samples, each the only one of its"):
        classifier().fit([[0.0], [1.0]], ["a", "b"])
    assert (
        regressor(validation_fraction=0).fit([[0.0], [1.0]], [0.0, 1.0]).validation_scores_ is None
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("n_cv", [1, 2, 4])
def test_a_class_of_one_sample_is_known_to_all_networks(seed, n_cv):
    x = numbers(seed, 41)
    y = np.where(x[:, 0] > 0, "a", "b").astype("U4")
    y[np.random.default_rng([7, seed]).choice(41, 2, replace=False)] = ["one", "only"]
    fitted = classifier(n_cv=n_cv).fit(x, y)
    assert fitted.predict_proba(x).shape == (41, 4), f"seed {seed}"
    for network in fitted.model_.networks:
        assert network.preprocessing.class_names == ("a", "b", "one", "only")
    with pytest.raises(ValueError, match="n_cv must be at most 39, the samples that are not"):
        classifier(n_cv=40).fit(x, y)


@pytest.mark.parametrize("settings", [{}, {"n_cv": 4}])
def test_weights_of_zero_for_a_whole_part_are_refused(settings):
    x = numbers(8)
    y = (x[:, 0] > 0).astype(int)
    weights = np.zeros(80)
    weights[0] = 1.0
    with pytest.raises(ValueError, match="sample_weight must not be 0 for all of the .* samples"):
        classifier(**settings).fit(x, y, sample_weight=weights)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n_cv", [1, 3])
def test_errors_name_the_row_as_it_was_given(seed, n_cv):
    random = np.random.default_rng([9, seed])
    row = int(random.integers(80))
    frame = pandas.DataFrame(numbers(seed), columns=["a", "b", "c"])
    frame = frame.sample(frac=1.0, random_state=seed)
    y = np.arange(80) % 2
    frame.iloc[row, 1] = np.inf
    with pytest.raises(ValueError, match=rf"row {row + 1}\b.*'b'"):
        classifier(n_cv=n_cv).fit(frame, y)
    whole = frame.replace(np.inf, 0.0)
    with pytest.raises(ValueError, match=rf"X_val: row {row + 1}\b.*'b'"):
        classifier().fit(whole, y, X_val=frame, y_val=y)


def test_rows_of_rows_keep_their_numbers():
    table = fastmlp.data.Table("t", {"a": np.arange(9.0)})
    part = table.rows(np.array([8, 3, 5])).rows(np.array([2, 0]))
    assert [part.place(0), part.place(1)] == ["row 6", "row 9"]


def test_samples_without_rows_are_refused_as_by_scikit_learn():
    x = numbers(10)
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    for given in (x, frame):
        fitted = regressor().fit(given, x[:, 0])
        with pytest.raises(ValueError, match="0 sample.* while a minimum of 1 is required"):
            fitted.predict(given[:0])


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (regressor, {"metric": "accuracy"}, "metric must be one of mse, .* for regression"),
        (classifier, {"metric": "r2"}, "metric must be one of accuracy, .* for classification"),
        (classifier, {"metric": "auc", "validation_fraction": 0}, "metric must be None without"),
    ],
)
def test_metrics_that_do_not_fit_are_refused_by_name(make, settings, message):
    x = numbers(11)
    with pytest.raises(ValueError, match=message):
        make(**settings).fit(x, (x[:, 0] > 0).astype(int))


# ---------------------------------------------------------------- arrays and frames


def test_arrays_and_frames_stand_for_each_other():
    x = numbers(12)
    y = x[:, 0] > 0
    frame = pandas.DataFrame(x, columns=["a", "b", "c"])
    of_frame, of_array = classifier().fit(frame, y), classifier().fit(x, y)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        assert np.array_equal(of_frame.predict_proba(x), of_frame.predict_proba(frame))
    with pytest.warns(UserWarning, match="X has feature names"):
        assert np.array_equal(of_array.predict_proba(frame), of_array.predict_proba(x))
    with pytest.raises(ValueError, match="features"), pytest.warns(UserWarning, match="names"):
        of_frame.predict(x[:, :2])
    with pytest.raises(ValueError, match="X has 2 features"):
        of_array.predict(frame[["a", "b"]])


def test_arrays_of_numbers_do_not_stand_for_text():
    random = np.random.default_rng(13)
    frame = pandas.DataFrame(
        {"size": random.normal(size=60), "town": random.choice(["A", "B"], 60)}
    )
    fitted = classifier().fit(frame, frame["town"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.array_equal(fitted.predict_proba(frame.to_numpy()), fitted.predict_proba(frame))
        with pytest.raises(ValueError, match="X must be a frame.*'town' holds text"):
            fitted.predict(np.zeros((2, 2)))


# ---------------------------------------------------------------- attributes, files, quantiles


@pytest.mark.parametrize("n_cv", [1, 2])
@pytest.mark.parametrize("make", [classifier, regressor])
def test_training_is_told(make, n_cv, tmp_path):
    x = numbers(14)
    frame = {"a": x[:, 0], "b": np.where(x[:, 1] > 0, "p", "q"), "c": np.full(80, 5.0)}
    with pytest.warns(UserWarning, match=r"not used: 'c' is 5\.0 in every row"):
        fitted = make(n_cv=n_cv, n_ens=2).fit(frame, (x[:, 0] > 0).astype(int))
    assert [len(history.val_loss) for history in fitted.histories_] == [3] * 2 * n_cv
    assert len(fitted.validation_scores_) == 2 * n_cv
    network, held = fitted.model_.networks[0], fitted._held_out
    if make is classifier:
        score = np.average(network.predict(held.x) == held.y)
    else:
        truth = network.preprocessing.in_units(held.y)[:, 0]
        errors = network.preprocessing.decode(network.predict(held.x))[:, 0] - truth
        score = 1 - np.sum(errors**2) / np.sum((truth - truth.mean()) ** 2)
    assert fitted.validation_scores_[0] == pytest.approx(score, abs=1e-6)
    fitted.save(tmp_path / "m")
    loaded = type(fitted).load(tmp_path / "m")
    assert np.array_equal(loaded.predict(frame), fitted.predict(frame))
    assert loaded.n_iter_ == fitted.n_iter_
    assert [h.val_loss for h in loaded.histories_] == [h.val_loss for h in fitted.histories_]
    other = fastmlp.TabularRegressor if make is classifier else fastmlp.TabularClassifier
    with pytest.raises(fastmlp.FormatError, match="must hold a model of"):
        other.load(tmp_path / "m")
    with (
        pytest.raises(ValueError, match="must be a frame"),
        pytest.warns(UserWarning, match="names"),
    ):
        loaded.predict(x)


def test_a_model_of_arrays_is_loaded_as_one(tmp_path):
    x = numbers(15, columns=12)
    x[:, 3] = 1.0  # is left out
    fitted = regressor().fit(x, x[:, 11])
    fitted.save(tmp_path / "m.safetensors")
    loaded = fastmlp.TabularRegressor.load(tmp_path / "m.safetensors")
    assert np.array_equal(loaded.predict(x), fitted.predict(x))
    assert loaded.n_features_in_ == 12
    fastmlp.MLP([2, 1]).save(tmp_path / "plain.safetensors")
    with pytest.raises(fastmlp.FormatError, match="must hold a model of a table"):
        fastmlp.TabularRegressor.load(tmp_path / "plain.safetensors")


def test_several_quantiles_of_one_target():
    random = np.random.default_rng(16)
    x = random.uniform(0, 1, (500, 1))
    y = x[:, 0] + random.exponential(1.0, 500)
    loss = fastmlp.Quantile(levels=[0.1, 0.9])
    fitted = regressor(loss=loss, epochs=60, hidden=[16]).fit(x, y)
    found = fitted.predict(x)
    assert found.shape == (500, 2)
    assert 0.03 < np.mean(y <= found[:, 0]) < 0.2
    assert 0.8 < np.mean(y <= found[:, 1]) < 0.97
    names = fitted.model_.networks[0].preprocessing.target_names
    assert names == ("quantile 0.1", "quantile 0.9")
    held = regressor(loss=loss).fit(x, y, X_val=x, y_val=y)
    assert held.predict(x).shape == (500, 2)


def test_a_loss_without_probabilities_predicts_labels():
    x = numbers(17)
    y = np.where(x[:, 0] > 0, "yes", "no")
    for n_cv in (1, 3):
        fitted = classifier(loss="hinge", epochs=30, n_cv=n_cv).fit(x, y)
        assert fitted.score(x, y) > 0.8


# ---------------------------------------------------------------- columns that no network reads


def test_columns_that_are_not_used_are_named_with_the_reason():
    random = np.random.default_rng(0)
    columns = {
        "size": random.standard_normal(40),
        "name": [f"house {i}" for i in range(40)],
        "country": ["here"] * 40,
    }
    y = (columns["size"] > 0).astype(int)
    with pytest.warns(UserWarning, match="columns of X are not used") as caught:
        fastmlp.TabularClassifier(epochs=1, random_state=0).fit(columns, y)
    assert "'name' is text that differs in every row" in str(caught[0].message)
    assert "'country' is 'here' in every row" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fastmlp.TabularClassifier(epochs=1, random_state=0).fit({"size": columns["size"]}, y)


def test_a_type_is_taken_as_numpy_has_it():
    x = np.random.default_rng(0).standard_normal((40, 2))
    made = fastmlp.TabularRegressor(epochs=1, random_state=0, dtype=np.float64).fit(x, x[:, 0])
    assert made.model_.networks[0].dtype == np.float64


def test_a_function_as_loss_is_refused_with_where_it_is_taken():
    x = np.random.default_rng(0).standard_normal((40, 2))
    with pytest.raises(TypeError, match=r"loss must be a name or .*fastmlp\.MLP takes functions"):
        fastmlp.TabularRegressor(loss=lambda outputs, targets: 0.0).fit(x, x[:, 0])


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, 1e308])
def test_weights_of_classes_are_named_as_they_were_given(weight):
    x = numbers(0)
    with pytest.raises(ValueError, match=r"class_weight\[0\] must be"):
        classifier(class_weight={0: weight, 1: 1.0}).fit(x, (x[:, 0] > 0).astype(int))


@pytest.mark.parametrize("unit", ["datetime64[us]", "timedelta64[s]"])
def test_times_are_no_quantities(unit):
    x = numbers(0)
    with pytest.raises(TypeError, match=r"y must be numbers, got (date|time)"):
        regressor().fit(x, np.arange(len(x)).astype(unit))
