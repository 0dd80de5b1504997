"""Importance of columns by permutation: definition, scikit-learn, threads, hostile calls."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import fastmlp
from fastmlp import permutation_importance
from fastmlp.data import Samples
from fastmlp.experiment.importance import _permutations, importance_of
from fastmlp.metrics import METRICS, get_metric

pytest.importorskip("polars")

SEEDS = range(4)
seeds = pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: f"seed={seed}")


def houses(seed, count=240, missing=True):
    random = np.random.default_rng(seed)
    size = random.uniform(20, 200, count)
    town = random.choice(["Bonn", "Kiel", "Ulm"], count)
    noise = random.normal(size=count)
    price = 3000 * size + 90_000 * (town == "Kiel") + random.normal(0, 5000, count)
    if missing:
        size[random.random(count) < 0.1] = np.nan
    return {"size": size, "town": town, "noise": noise}, price


@pytest.fixture(scope="module")
def regression():
    frame, price = houses(0)
    model = fastmlp.Model(target="price", architecture="mlp", epochs=30, seed=1)
    return model.fit({**frame, "price": price}, verbose=0)


@pytest.fixture(scope="module")
def classification():
    frame, price = houses(1)
    kind = np.array(["low", "mid", "high"])[np.digitize(price, [250_000, 400_000])]
    model = fastmlp.Model(target="kind", epochs=30, seed=1)
    return model.fit({**frame, "kind": kind}, verbose=0), frame, kind


# ---------------------------------------------------------------- what it is


def test_a_permuted_column_is_a_permuted_column_of_the_table(regression):
    """By the definition, with the cells of the table themselves."""
    frame, price = houses(7)
    found = permutation_importance(regression, {**frame, "price": price}, repeats=3, seed=5)
    assert found.names == ("size", "town", "noise")
    first = np.random.RandomState(5)
    shuffled = np.random.RandomState(first.randint(2**31, dtype=np.int64))
    positions, orders = np.arange(240), [np.arange(240)]
    for _ in range(3):
        shuffled.shuffle(positions)
        orders.append(orders[-1][positions])
    before = regression.evaluate({**frame, "price": price}).metrics["r2"]
    assert found.score == before
    for i, name in enumerate(found.names):
        for j, order in enumerate(orders[1:]):
            other = {**frame, name: frame[name][order], "price": price}
            after = regression.evaluate(other).metrics["r2"]
            assert found.values[i, j] == pytest.approx(before - after, rel=1e-9, abs=1e-12)
    np.testing.assert_allclose(found.means, found.values.mean(axis=1))
    np.testing.assert_allclose(found.deviations, found.values.std(axis=1))


@seeds
@pytest.mark.parametrize(
    ("metric", "scoring"),
    [(None, "accuracy"), ("balanced_accuracy", "balanced_accuracy"), ("log_loss", "neg_log_loss")],
)
def test_scikit_learn_finds_the_same_for_a_frame(classification, metric, scoring, seed):
    pandas = pytest.importorskip("pandas")
    inspection = pytest.importorskip("sklearn.inspection")
    model, frame, kind = classification
    rows = pandas.DataFrame(frame)
    estimator = model.to_estimator()
    options = {"n_repeats": 4, "random_state": seed}
    expected = inspection.permutation_importance(estimator, rows, kind, scoring=scoring, **options)
    for given in (model, estimator):
        found = permutation_importance(given, rows, kind, metric=metric, repeats=4, seed=seed)
        np.testing.assert_allclose(found.values, expected.importances, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(found.means, expected.importances_mean, rtol=1e-5, atol=1e-12)
        np.testing.assert_allclose(found.deviations, expected.importances_std, rtol=1e-5, atol=1e-9)


@seeds
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("kind", ["classifier", "regressor", "labels", "another library"])
def test_scikit_learn_finds_the_same_for_estimators(kind, seed):
    inspection = pytest.importorskip("sklearn.inspection")
    random = np.random.default_rng(seed)
    x = random.normal(size=(120, 4))
    value = x[:, 0] - 2 * x[:, 1] + 0.1 * random.normal(size=120)
    options = {"max_iter": 15, "random_state": seed}
    if kind == "regressor":
        y, model, scoring = value, fastmlp.MLPRegressor(**options), "r2"
    elif kind == "labels":
        y = np.stack([value > 0, x[:, 2] > 0], axis=1).astype(int)
        model, scoring = fastmlp.MLPClassifier(**options), "accuracy"
    elif kind == "classifier":
        y = np.array(["b", "a", "c"])[np.digitize(value, [-1, 1])]
        model, scoring = fastmlp.MLPClassifier(**options), "accuracy"
    else:
        from sklearn.linear_model import LogisticRegression

        y, model, scoring = (value > 0).astype(int), LogisticRegression(), "accuracy"
    model.fit(x, y)
    weights = random.exponential(size=120)
    expected = inspection.permutation_importance(
        model, x, y, scoring=scoring, n_repeats=3, random_state=seed, sample_weight=weights
    )
    found = permutation_importance(model, x, y, repeats=3, seed=seed, sample_weight=weights)
    np.testing.assert_allclose(found.values, expected.importances, rtol=1e-6, atol=1e-12)
    assert found.names == ("x0", "x1", "x2", "x3")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_pandas_frame_for_an_estimator_is_left_as_it_was():
    pandas = pytest.importorskip("pandas")
    frame, price = houses(3, missing=False)
    rows = pandas.DataFrame({"size": frame["size"], "noise": frame["noise"]}, index=range(9, 249))
    before = rows.copy()
    model = fastmlp.MLPRegressor(max_iter=30, random_state=0).fit(rows / [100, 1], price / 1e5)
    found = permutation_importance(model, rows / [100, 1], price / 1e5, seed=3)
    pandas.testing.assert_frame_equal(rows, before)
    assert found.names == ("size", "noise")
    assert found.means[0] > 10 * abs(found.means[1])


# ---------------------------------------------------------------- metrics, tasks, samples


@pytest.mark.parametrize("name", ["top_k:1" if name == "top_k:5" else name for name in METRICS])
def test_every_metric_of_the_task_counts_what_is_lost(regression, classification, name):
    model, frame, kind = classification
    data = {**frame, "kind": kind}
    if "regression" in get_metric(name).functions:
        frame, price = houses(2)
        model, data = regression, {**frame, "price": price}
        if name == "poisson_deviance":
            return  # permuted houses may be predicted below 0, which is infinitely bad
    found = permutation_importance(model, data, metric=name, repeats=2)
    assert found.metric == name
    assert found.names[found.order[0]] == "size"
    assert found.means[0] > 0
    if name != "max_error":  # that of a single sample is no steady measure
        assert abs(found.means[2]) < 0.2 * found.means[0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_on_arrays(dtype):
    random = np.random.default_rng(4)
    x = random.normal(size=(200, 3))
    y = (x[:, 1] > 0).astype(int)
    network = fastmlp.MLP([3, 8, 2], seed=0, dtype=dtype)
    network.fit(x, y, epochs=30, verbose=0)
    kept = x.copy()
    found = permutation_importance(network, x, y, metric="auc")
    np.testing.assert_array_equal(x, kept)
    assert found.order[0] == 1
    assert found.means[1] > 0.3
    bytes_ = (x * 20 + 100).clip(0, 255).astype(np.uint8)
    other = fastmlp.MLP([3, 8, 2], seed=0, input_scale=1 / 255)
    assert permutation_importance(other, bytes_, y).names == ("x0", "x1", "x2")


def test_several_labels_and_targets():
    frame, price = houses(5, missing=False)
    labels = {"dear": (price > 3e5).astype(int), "wild": (frame["noise"] > 0).astype(int)}
    model = fastmlp.Model(target=("dear", "wild"), task="multilabel", epochs=20)
    model.fit({**frame, **labels}, verbose=0)
    found = permutation_importance(model, {**frame, **labels}, metric="f1")
    assert found.means[0] > 0.05
    assert found.means[2] > 0.05
    two = {"price": price, "twice": 2 * frame["noise"]}
    model = fastmlp.Model(target=("price", "twice"), epochs=20).fit({**frame, **two}, verbose=0)
    found = permutation_importance(model, {**frame, **two})
    assert found.means[0] > 0.1
    assert found.means[2] > 0.1


def test_samples_that_were_set_aside_and_files(tmp_path):
    frame, price = houses(6, missing=False)
    lines = ["size,town,noise,price"]
    lines += [f"{a},{b},{c},{d}" for a, b, c, d in zip(*frame.values(), price, strict=True)]
    path = tmp_path / "houses.csv"
    path.write_text("\n".join(lines))
    model = fastmlp.Model(target="price", epochs=20).fit(path, verbose=0)
    aside = permutation_importance(model)
    assert aside.samples == 48
    whole = permutation_importance(model, path)
    assert whole.samples == 240
    rows = [dict(zip(("size", "town", "noise", "price"), row, strict=True))
            for row in zip(*frame.values(), price, strict=True)]  # fmt: skip
    np.testing.assert_array_equal(permutation_importance(model, rows).values, whole.values)
    np.testing.assert_array_equal(permutation_importance(model, frame, price).values, whole.values)


# ---------------------------------------------------------------- several models together


@pytest.mark.parametrize("kind", ["regression", "classification", "multilabel"])
def test_one_model_together_is_that_model(kind, regression, classification):
    frame, price = houses(3)
    if kind == "regression":
        model, data = regression, {**frame, "price": price}
    elif kind == "classification":
        model, data = classification[0], {**classification[1], "kind": classification[2]}
    else:
        data = {**frame, "dear": (price > 3e5) * 1, "big": (price > 4e5) * 1}
        model = fastmlp.Model(target=["dear", "big"], epochs=20, seed=1, task="multilabel")
        model.fit(data, verbose=0)
    alone = permutation_importance(model, data, repeats=2, seed=3)
    together = permutation_importance(fastmlp.BaggedModel([model]), data, repeats=2, seed=3)
    assert together.as_json() == alone.as_json()


@pytest.mark.parametrize("metric", ["r2", "rmse"])
def test_models_that_know_other_names_and_columns_are_permuted_together(metric):
    """One has not seen a town, and another lacks a column, which is permuted for the others."""
    frame, price = houses(4, missing=False)
    data = {**frame, "price": price}
    some = {name: cells[frame["town"] != "Ulm"] for name, cells in data.items()}
    settings = {"target": "price", "architecture": "mlp", "epochs": 20}
    models = [
        fastmlp.Model(**settings, seed=0).fit(data, verbose=0),
        fastmlp.Model(**settings, seed=1).fit(some, verbose=0),
        fastmlp.Model(**settings, seed=2, exclude="size").fit(data, verbose=0),
    ]
    bag = fastmlp.BaggedModel(models)

    def score(columns):
        squares = np.mean((bag.predict(columns) - price) ** 2)
        return 1 - squares / np.var(price) if metric == "r2" else float(np.sqrt(squares))

    found = permutation_importance(bag, data, metric=metric, repeats=2, seed=6, threads=2)
    assert set(found.names) == {"size", "town", "noise"}
    before = score(frame)
    assert found.score == pytest.approx(before, rel=1e-6)
    sign = 1 if metric == "r2" else -1
    for name, values in zip(found.names, found.values, strict=True):
        for order, value in zip(_permutations(len(price), 2, 6), values, strict=True):
            after = score({**frame, name: frame[name][order]})
            assert value == pytest.approx(sign * (before - after), abs=1e-5 * before)
    alone = permutation_importance(bag, data, metric=metric, repeats=2, seed=6, threads=1)
    assert np.array_equal(alone.values, found.values)


def test_several_models_need_samples(regression):
    bag = fastmlp.BaggedModel([regression])
    with pytest.raises(ValueError, match="x must be given for several models"):
        permutation_importance(bag)
    with pytest.raises(ValueError, match="sample_weight must be None"):
        permutation_importance(bag, {}, sample_weight=[1.0])


def test_weights_count(regression):
    frame, price = houses(8)
    data = {**frame, "price": price}
    weights = np.r_[np.ones(120), np.zeros(120)]
    found = permutation_importance(regression, data, sample_weight=weights, metric="mae")
    half = regression.evaluate({name: values[:120] for name, values in data.items()})
    assert found.score == pytest.approx(half.metrics["mae"])


@seeds
def test_threads_change_nothing(classification, seed):
    model, frame, kind = classification
    data = {**frame, "kind": kind}
    one = permutation_importance(model, data, metric="log_loss", seed=seed, threads=1)
    many = permutation_importance(model, data, metric="log_loss", seed=seed, threads=3)
    assert one.values.tobytes() == many.values.tobytes()
    assert one.score == many.score
    other = permutation_importance(model, data, metric="log_loss", seed=seed + 1)
    assert one.values.tobytes() != other.values.tobytes()


def test_the_inputs_that_are_passed_stay_as_they_are(classification):
    model, frame, kind = classification
    pre = model.preprocessing
    x = pre.inputs(fastmlp.data.frames.table_of(frame)).astype(np.float32)
    names = np.array(pre.class_names)
    y = np.array([np.flatnonzero(names == k)[0] for k in kind])
    x.flags.writeable = False
    importance_of(model.network, Samples(x, y))


# ---------------------------------------------------------------- result


def test_the_result_reads_as_a_table(regression):
    frame, price = houses(9)
    found = permutation_importance(regression, {**frame, "price": price})
    lines = repr(found).splitlines()
    assert lines[0].startswith("loss of r2 (0.9")
    assert [line.split()[0] for line in lines[1:]] == ["size", "town", "noise"]
    assert len(found) == 3
    document = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert [entry["column"] for entry in document["columns"]] == ["size", "town", "noise"]
    assert document["columns"][0]["mean"] == found.means[0]
    assert math.isclose(np.mean(document["columns"][0]["values"]), found.means[0])


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metric": "auc"}, ValueError, "metric must be one of mse, rmse.*for regression, got 'au"),
        ({"metric": "rmsee"}, ValueError, "did you mean 'rmse'"),
        ({"repeats": 0}, ValueError, "repeats must be >= 1, got 0"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"seed": 2**32}, ValueError, "seed must be <= 4294967295"),
        ({"threads": 0}, ValueError, "threads must be >= 1, got 0"),
        ({"sample_weight": [1.0, math.nan]}, ValueError, "sample_weight"),
        ({"sample_weight": [1.0, 2.0]}, ValueError, "sample_weight must hold a weight >= 0 for"),
    ],
)
def test_bad_arguments_are_refused(regression, arguments, error, message):
    frame, price = houses(2)
    with pytest.raises(error, match=message):
        permutation_importance(regression, {**frame, "price": price}, **arguments)


def test_what_is_no_model_or_no_sample_is_refused(regression):
    network = fastmlp.MLP([3, 2], loss="hinge")
    x, y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    sparse = pytest.importorskip("scipy.sparse").csr_matrix(x)
    with pytest.raises(TypeError, match="model must have a method predict, got str"):
        permutation_importance("model", x, y)
    with pytest.raises(ValueError, match="x and y must be given"):
        permutation_importance(network, x)
    with pytest.raises(TypeError, match="x must be a dense array, got a sparse matrix"):
        permutation_importance(network, sparse, y)
    with pytest.raises(ValueError, match=r"x must have shape \(samples, features\)"):
        permutation_importance(network, x[0], y)
    with pytest.raises(ValueError, match="a model without probabilities, got 'log_loss'"):
        permutation_importance(network, x, y, metric="log_loss")
    with pytest.raises(ValueError, match="set no samples aside|samples"):
        permutation_importance(regression)
    with pytest.raises(fastmlp.FormatError, match="column 'price', the target, is missing"):
        permutation_importance(regression, houses(2)[0])
