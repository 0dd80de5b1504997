"""Measures of models on samples, beside those of scikit-learn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Part, Preprocessing, RawData, Samples, Table
from fastmlp.errors import FormatError
from fastmlp.experiment.evaluation import evaluate, regression_metrics
from fastmlp.experiment.serving import evaluate_part, part_of
from support.serving_models import HOSTILE, models, table

metrics = pytest.importorskip("sklearn.metrics")

MACRO = {"average": "macro", "zero_division": 0}


@pytest.fixture(scope="module")
def networks():
    return models()


def raw_table(**changes):
    columns = {
        name: np.array(values, object if isinstance(values[0], str) else float)
        for name, values in (table() | changes).items()
    }
    return Table("t.csv", columns, first_line=2)


def samples_of(network, **changes):
    part = Part(raw_table(**changes), None)
    return Samples(network.preprocessing.inputs(part.x), network.preprocessing.targets(part))


def macro(y_true, y_pred):
    return {
        "macro_precision": metrics.precision_score(y_true, y_pred, **MACRO),
        "macro_recall": metrics.recall_score(y_true, y_pred, **MACRO),
        "macro_f1": metrics.f1_score(y_true, y_pred, **MACRO),
    }


def require_rows(rows, names, y_true, y_pred):
    """The table of the classes against scikit-learn's."""
    columns = metrics.precision_recall_fscore_support(
        y_true, y_pred, labels=range(len(names)), zero_division=0
    )
    assert [row["class"] for row in rows] == list(names)
    for key, values in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose([row[key] for row in rows], values, rtol=1e-15)


# ---------------------------------------------------------------- tasks


@pytest.mark.parametrize("only", [None, ("a,b", "=1+1", " lead")])
@pytest.mark.parametrize("name", ["hostile", "hinge"])
def test_classification(networks, name, only):
    """Also with samples of some classes alone: those that do not occur do not count."""
    network = networks[name]
    kinds = table()["kind"]
    if only is not None:
        kinds = [only[i % len(only)] for i in range(len(kinds))]
    samples = samples_of(network, kind=kinds)
    predicted = network.predict(samples.x)
    measured = evaluate(network, samples)
    assert measured.task == "classification"
    assert measured.samples == len(samples)
    expected = {"accuracy": metrics.accuracy_score(samples.y, predicted)}
    expected |= macro(samples.y, predicted)
    assert measured.metrics == pytest.approx(expected, rel=1e-15)
    assert measured.accuracy == expected["accuracy"]
    matrix = metrics.confusion_matrix(samples.y, predicted, labels=range(len(HOSTILE)))
    np.testing.assert_array_equal(measured.confusion, matrix)
    require_rows(measured.per_class, HOSTILE, samples.y, predicted)
    np.testing.assert_array_equal(measured.predictions, predicted)
    assert measured.per_target is None
    if name == "hinge":
        assert measured.probabilities is None
        return
    np.testing.assert_array_equal(measured.probabilities, network.predict_proba(samples.x))
    loss = metrics.log_loss(samples.y, measured.probabilities, labels=range(len(HOSTILE)))
    assert measured.loss == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("name", ["labels", "label"])
def test_multilabel(networks, name):
    network = networks[name]
    samples = samples_of(network)
    names = network.preprocessing.class_names
    predicted = network.predict(samples.x).reshape(len(samples), -1)
    truth = samples.y.astype(int)
    measured = evaluate(network, samples)
    right = truth == predicted
    assert measured.metrics["subset_accuracy"] == measured.accuracy == right.all(axis=1).mean()
    assert measured.metrics["label_accuracy"] == 1 - metrics.hamming_loss(truth, predicted)
    for i, row in enumerate(measured.per_class):
        values = metrics.precision_recall_fscore_support(
            truth[:, i], predicted[:, i], average="binary", zero_division=0
        )
        assert [row["precision"], row["recall"], row["f1"]] == pytest.approx(values[:3])
        assert (row["class"], row["support"]) == (names[i], truth[:, i].sum())
    for key in ("precision", "recall", "f1"):
        mean = np.mean([row[key] for row in measured.per_class])
        assert measured.metrics[f"macro_{key}"] == pytest.approx(mean, rel=1e-15)
    assert measured.confusion is None
    assert measured.predictions.shape == truth.shape


@pytest.mark.parametrize("name", ["price", "two"])
def test_regression_in_the_units_of_the_targets(networks, name):
    network = networks[name]
    samples = samples_of(network)
    targets = network.preprocessing.target_names
    truth = np.column_stack([table()[target] for target in targets])
    predicted = network.preprocessing.decode(network.predict(samples.x))
    measured = evaluate(network, samples)
    np.testing.assert_array_equal(measured.predictions, predicted)
    functions = {
        "mse": metrics.mean_squared_error,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
        "r2": metrics.r2_score,
    }
    expected = {key: function(truth, predicted) for key, function in functions.items()}
    assert measured.metrics == pytest.approx(expected, rel=1e-12)
    for i, row in enumerate(measured.per_target):
        single = {
            key: function(truth[:, i], predicted[:, i]) for key, function in functions.items()
        }
        assert row["target"] == targets[i]
        assert {key: row[key] for key in single} == pytest.approx(single, rel=1e-12)
    # The loss is that of the training: of standardized targets.
    scaled = (predicted - truth) / network.preprocessing.target_scale
    assert measured.loss == pytest.approx((scaled**2).sum(axis=1).mean(), rel=1e-5)
    assert (measured.accuracy, measured.confusion, measured.per_class) == (None, None, None)


@pytest.mark.parametrize(
    ("truth", "predicted"),
    [
        ([3.0, 3.0, 3.0], [3.0, 3.0, 3.0]),
        ([3.0, 3.0, 3.0], [3.0, 3.0, 4.0]),
        ([[3.0, 1.0], [3.0, 2.0]], [[3.0, 1.5], [3.0, 2.0]]),
        ([1e-9, 2e-9], [2e-9, 1e-9]),
        ([1e8, 1e8 + 1], [1e8, 1e8 + 2]),
    ],
)
def test_targets_that_do_not_vary(truth, predicted):
    found = regression_metrics(truth, predicted)
    assert found["r2"] == pytest.approx(metrics.r2_score(truth, predicted), rel=1e-7)


def test_residuals_beyond_all_numbers_are_said_to_be_so():
    found = regression_metrics([1e200, 0.0], [-1e200, 0.0])
    assert (found["mse"], found["mae"]) == (np.inf, 1e200)


def weighted(network):
    samples = samples_of(network)
    weight = np.linspace(0, 2, len(samples))
    return samples, weight, evaluate(network, dataclasses.replace(samples, weight=weight))


def test_weights_of_samples_count_in_every_measure_of_classes(networks):
    network = networks["hostile"]
    samples, weight, measured = weighted(network)
    plain = evaluate(network, samples)
    assert measured.metrics != plain.metrics
    truth, predicted = samples.y, plain.predictions
    labels = range(len(HOSTILE))
    loss = metrics.log_loss(truth, plain.probabilities, sample_weight=weight, labels=labels)
    assert measured.loss == pytest.approx(loss, rel=1e-6)
    accuracy = metrics.accuracy_score(truth, predicted, sample_weight=weight)
    assert measured.accuracy == pytest.approx(accuracy, rel=1e-14)
    matrix = metrics.confusion_matrix(truth, predicted, labels=labels, sample_weight=weight)
    np.testing.assert_allclose(measured.confusion, matrix, rtol=1e-14)
    columns = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0, sample_weight=weight
    )
    for key, values in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose([row[key] for row in measured.per_class], values, rtol=1e-12)
        if key != "support":
            assert measured.metrics[f"macro_{key}"] == pytest.approx(values.mean(), rel=1e-12)


def test_weights_of_samples_count_in_every_measure_of_labels(networks):
    samples, weight, measured = weighted(networks["labels"])
    truth, predicted = samples.y.astype(int), measured.predictions
    subset = metrics.accuracy_score(truth, predicted, sample_weight=weight)
    assert measured.accuracy == pytest.approx(subset, rel=1e-14)
    right = 1 - metrics.hamming_loss(truth, predicted, sample_weight=weight)
    assert measured.metrics["label_accuracy"] == pytest.approx(right, rel=1e-14)
    columns = metrics.precision_recall_fscore_support(
        truth, predicted, zero_division=0, sample_weight=weight
    )
    for key, values in zip(("precision", "recall", "f1", "support"), columns, strict=True):
        np.testing.assert_allclose([row[key] for row in measured.per_class], values, rtol=1e-12)


@pytest.mark.parametrize("name", ["price", "two"])
def test_weights_of_samples_count_in_every_measure_of_quantities(networks, name):
    network = networks[name]
    samples, weight, measured = weighted(network)
    truth = network.preprocessing.decode(samples.y)
    functions = {
        "mse": metrics.mean_squared_error,
        "rmse": metrics.root_mean_squared_error,
        "mae": metrics.mean_absolute_error,
        "r2": metrics.r2_score,
    }
    for key, function in functions.items():
        expected = function(truth, measured.predictions, sample_weight=weight)
        assert measured.metrics[key] == pytest.approx(expected, rel=1e-12), key
        for i, row in enumerate(measured.per_target):
            one = function(truth[:, i], measured.predictions[:, i], sample_weight=weight)
            assert row[key] == pytest.approx(one, rel=1e-12), key


def test_as_json_says_nothing_of_single_samples(networks):
    measured = evaluate(networks["hostile"], samples_of(networks["hostile"]))
    content = measured.as_json()
    assert content["confusion_matrix"] == measured.confusion.tolist()
    assert content["accuracy"] == measured.accuracy
    assert not {"predictions", "probabilities"} & set(content)


# ---------------------------------------------------------------- parts of files


def test_a_part_with_targets_among_its_columns(networks):
    network = networks["two"]
    measured = evaluate_part(network, Part(raw_table(), None))
    assert measured.as_json() == evaluate(network, samples_of(network)).as_json()


def test_labels_of_a_source_are_taken_by_the_names_that_it_gives_them():
    """A folder of images may lack a class or count the classes in another order."""
    network = fastmlp.MLP([2, 3], seed=1)
    network.preprocessing = Preprocessing(
        "classification", 2, class_names=("ant", "bee", "cow"), indexed_classes=True
    )
    x = np.random.Generator(np.random.PCG64(0)).normal(size=(20, 2))
    predicted = network.predict(x)
    theirs = ("cow", "bee", "ant")
    part = Part(x, 2 - predicted)
    assert evaluate_part(network, part, class_names=theirs).accuracy == 1.0
    assert evaluate_part(network, part).accuracy < 1.0


@pytest.mark.parametrize(
    ("name", "task", "y"),
    [
        ("plain", "classification", np.arange(40) % 3),
        ("yes", "multilabel", np.arange(40) % 2),
        ("values", "regression", np.random.Generator(np.random.PCG64(2)).normal(size=(40, 2))),
    ],
)
def test_a_model_without_preprocessing_has_the_task_of_its_loss(networks, name, task, y):
    network = networks[name]
    x = np.column_stack([table()["a"], table()["b"]])
    measured = evaluate_part(network, Part(x, y))
    assert measured.task == task
    direct = network.evaluate(x, y.reshape(-1, 1) if name == "yes" else y)
    assert measured.loss == direct["loss"]
    assert network.preprocessing is None
    if name == "plain":
        assert measured.accuracy == direct["accuracy"]
        assert [row["class"] for row in measured.per_class] == ["0", "1", "2"]


def test_what_cannot_be_measured(networks):
    x = np.zeros((4, 2))
    with pytest.raises(ValueError, match="several losses"):
        evaluate_part(networks["losses"], Part(x, np.zeros(4, int)))
    with pytest.raises(ValueError, match="must have its preprocessing, got None"):
        evaluate(networks["plain"], Samples(x, np.zeros(4, int)))
    with pytest.raises(FormatError, match=r"'3' is none of the 3 classes"):
        evaluate_part(networks["plain"], Part(x, np.array([0, 1, 2, 3])))
    with pytest.raises(FormatError, match="must have 2 features, got 3"):
        evaluate_part(networks["plain"], Part(np.zeros((4, 3)), np.zeros(4, int)))
    with pytest.raises(FormatError, match=r"t\.csv: holds no targets for a model .* on arrays"):
        evaluate_part(networks["plain"], Part(raw_table(), None))
    columns = {name: raw_table().columns[name] for name in ("a", "b", "color", "id")}
    bare = Table("new.csv", columns, first_line=2)
    message = r"new\.csv: column 'price', the target, is missing.*'fastmlp predict' needs no"
    with pytest.raises(FormatError, match=message):
        evaluate_part(networks["price"], Part(bare, None))


def test_the_loss_must_be_one_of_the_task():
    network = fastmlp.MLP([2, 2], loss="mse", seed=1)
    network.preprocessing = Preprocessing("multilabel", 2, class_names=("sweet", "sour"))
    samples = Samples(np.zeros((4, 2)), np.zeros((4, 2)))
    with pytest.raises(
        ValueError, match="loss mse predicts quantities, not the classes of a multilabel"
    ):
        evaluate(network, samples)


def test_the_part_of_a_source():
    train, test = Part(np.zeros((3, 2)), None), Part(np.zeros((2, 2)), None)
    whole = RawData("any", train, None, None, None, None, None, {})
    divided = dataclasses.replace(whole, test=test)
    assert part_of(whole, "auto") is part_of(whole, "training") is train
    assert part_of(divided, "training") is train
    assert part_of(divided, "auto") is part_of(divided, "test") is test
    with pytest.raises(ValueError, match="any has no test part of its own"):
        part_of(whole, "test")
