"""`TabularClassifier` and `TabularRegressor`: conventions, folds, weights, limits, files."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

import fastmlp

ARCHITECTURES = ("realmlp", "realmlp-s", "tabm", "resnet", "mlp")
# A network sees mini-batches: a weight of 2 is not the same as two equal samples.
EXPECTED = {"check_sample_weight_equivalence_on_dense_data"}


def table(seed: int, rows: int = 240) -> tuple[dict[str, object], np.ndarray, np.ndarray]:
    """Return a frame with numbers, categories and gaps, labels and values."""
    random = np.random.default_rng(seed)
    size = random.gamma(4.0, 25.0, rows)
    town = random.choice(["Ada", "Bo", "Cy"], rows)
    code = random.choice([f"c{i}" for i in range(20)], rows)
    fresh = random.random(rows) < 0.4
    value = size * np.where(town == "Cy", 2.0, 1.0) + 40.0 * fresh + random.normal(0, 5, rows)
    gaps = [None if random.random() < 0.1 else float(s) for s in size]
    frame = {"size": gaps, "town": town, "code": code, "fresh": fresh}
    labels = np.array(["low", "mid", "top"])[np.digitize(value, [80.0, 160.0])]
    return frame, labels, value


def small(kind: type, architecture: str = "realmlp", **settings: object) -> object:
    members = {} if architecture != "tabm" else {"members": 3, "learning_rate": 0.02}
    return kind(
        architecture, **{"epochs": 12, "hidden": [16], "random_state": 0, **members, **settings}
    )


@pytest.mark.parametrize("kind", [fastmlp.TabularClassifier, fastmlp.TabularRegressor])
def test_check_estimator_finds_what_it_finds_for_every_network(kind):
    found = check_estimator(
        kind(epochs=20, hidden=[32], random_state=0), on_fail=None, on_skip=None
    )
    failed = {check["check_name"] for check in found if check["status"] == "failed"}
    assert failed <= EXPECTED
    assert sum(check["status"] == "passed" for check in found) > 40


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("seed", range(2))
def test_frames_with_gaps_and_unknown_names_are_learned(architecture, seed):
    frame, labels, value = table(seed)
    epochs = 60 if architecture != "tabm" else 150
    classifier = small(fastmlp.TabularClassifier, architecture, epochs=epochs).fit(frame, labels)
    assert classifier.score(frame, labels) > 0.75, f"seed {seed}"
    probabilities = classifier.predict_proba(frame)
    assert probabilities.shape == (240, 3)
    assert np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-5)
    assert list(classifier.classes_) == ["low", "mid", "top"]
    regressor = small(fastmlp.TabularRegressor, architecture, epochs=epochs).fit(frame, value)
    assert regressor.score(frame, value) > 0.6, f"seed {seed}"
    odd = {"size": [None, 1e9], "town": ["Zoe", None], "code": ["c77", "c1"], "fresh": [None, True]}
    assert set(classifier.predict(odd)) <= {"low", "mid", "top"}
    answers = regressor.predict(odd)
    assert np.isfinite(answers).all()
    if architecture != "mlp":
        assert (answers >= value.min() - 1e-3).all()
        assert (answers <= value.max() + 1e-3).all()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_results_depend_on_the_seed_alone(architecture):
    frame, labels, _ = table(3)
    made = [
        small(fastmlp.TabularClassifier, architecture, n_cv=2, n_ens=2, n_jobs=jobs)
        .fit(frame, labels)
        .predict_proba(frame)
        for jobs in (1, 2)
    ]
    assert np.array_equal(made[0], made[1])
    one = [
        small(fastmlp.TabularClassifier, architecture, n_jobs=jobs)
        .fit(frame, labels)
        .predict_proba(frame)
        for jobs in (1, 2)
    ]
    assert np.array_equal(one[0], one[1])
    other = small(fastmlp.TabularClassifier, architecture, random_state=1).fit(frame, labels)
    assert not np.array_equal(other.predict_proba(frame), one[0])


def test_folds_and_repetitions_make_a_bag_of_networks():
    frame, labels, _ = table(4)
    classifier = small(fastmlp.TabularClassifier, n_cv=3, n_ens=2).fit(frame, labels)
    networks = classifier.model_.networks
    assert len(networks) == 6
    assert len({network.architecture.seed for network in networks}) == 6
    own = [small_bag(network).predict_proba(frame) for network in networks]
    assert np.allclose(classifier.predict_proba(frame), np.mean(own, axis=0), atol=1e-6)


def small_bag(network: fastmlp.MLP) -> fastmlp.Model:
    return fastmlp.Model.of(network)


def test_given_samples_choose_the_epoch_and_are_not_trained_on():
    frame, labels, _ = table(5)
    more, truth, _ = table(6, 60)
    classifier = small(fastmlp.TabularClassifier).fit(frame, labels, X_val=more, y_val=truth)
    again = small(fastmlp.TabularClassifier).fit(frame, labels, X_val=more, y_val=truth)
    assert np.array_equal(classifier.predict_proba(more), again.predict_proba(more))
    with pytest.raises(ValueError, match="X_val and y_val must be given together"):
        small(fastmlp.TabularClassifier).fit(frame, labels, X_val=more)
    with pytest.raises(ValueError, match="X_val must be left out with n_cv > 1"):
        small(fastmlp.TabularClassifier, n_cv=2).fit(frame, labels, X_val=more, y_val=truth)


def test_weights_count_in_training():
    random = np.random.default_rng(7)
    x = random.normal(size=(300, 1))
    y = random.integers(0, 2, 300)  # noise: the classes' shares decide
    weights = np.where(y == 1, 50.0, 1.0)
    plain = small(fastmlp.TabularClassifier, epochs=20).fit(x, y)
    weighted = small(fastmlp.TabularClassifier, epochs=20).fit(x, y, sample_weight=weights)
    by_class = small(fastmlp.TabularClassifier, epochs=20, class_weight={0: 1, 1: 50}).fit(x, y)
    assert weighted.predict_proba(x)[:, 1].mean() > plain.predict_proba(x)[:, 1].mean() + 0.2
    assert np.array_equal(weighted.predict_proba(x), by_class.predict_proba(x))


@pytest.mark.parametrize("metric", ["accuracy", "auc", "log_loss", "f1"])
def test_a_metric_chooses_the_epoch(metric):
    frame, labels, _ = table(8)
    classifier = small(fastmlp.TabularClassifier, metric=metric).fit(frame, labels)
    assert classifier.score(frame, labels) > 0.4
    with pytest.raises(ValueError, match="metric"):
        small(fastmlp.TabularClassifier, metric="accurate").fit(frame, labels)


def test_other_losses_predict_other_quantities():
    random = np.random.default_rng(9)
    x = random.uniform(0, 1, (600, 1))
    y = x[:, 0] + random.exponential(1.0, 600)
    high = small(fastmlp.TabularRegressor, loss=fastmlp.Quantile(levels=0.9), epochs=60).fit(x, y)
    share = float(np.mean(y <= high.predict(x)))
    assert 0.8 < share < 0.97
    counts = random.poisson(np.exp(1.5 * x[:, 0]))
    rates = small(fastmlp.TabularRegressor, loss="poisson", epochs=60).fit(x, counts).predict(x)
    assert (rates >= 0).all()
    assert abs(rates.mean() - counts.mean()) < 0.5


def test_the_score_of_several_quantiles():
    x = np.random.default_rng(3).normal(size=(200, 3))
    y = x[:, 0] + 0.1 * x[:, 1]
    loss = fastmlp.Quantile(levels=[0.1, 0.9])
    regressor = small(fastmlp.TabularRegressor, loss=loss, epochs=60).fit(x, y)
    predicted = regressor.predict(x)

    def lost(level, values):
        return np.mean(np.maximum(level * (y - values), (level - 1) * (y - values)))

    saved = [
        1 - lost(level, predicted[:, j]) / lost(level, np.quantile(y, level))
        for j, level in enumerate((0.1, 0.9))
    ]
    np.testing.assert_allclose(regressor.score(x, y), np.mean(saved), rtol=1e-6)
    with pytest.raises(NotFittedError):
        fastmlp.TabularRegressor().score(x, y)
    assert np.isfinite(cross_val_score(regressor, x, y, cv=2)).all()


@pytest.mark.parametrize("folds", [2, 5])
def test_mean_probabilities_sum_to_1(folds):
    frame, labels, _ = table(3, 120)
    classifier = small(fastmlp.TabularClassifier, n_cv=folds, epochs=3).fit(frame, labels)
    sums = classifier.predict_proba(frame).sum(axis=1)
    np.testing.assert_allclose(sums, 1.0, rtol=0, atol=1e-15)


@pytest.mark.parametrize("folds", [1, 2])
def test_a_time_limit_that_suffices_changes_nothing(folds):
    frame, labels, _ = table(10, 200)
    free, limited = (
        small(fastmlp.TabularClassifier, epochs=5, n_cv=folds, **limit).fit(frame, labels)
        for limit in ({}, {"time_limit": 600.0})
    )
    assert limited.n_iter_ == [5] * folds
    assert (limited.predict_proba(frame) == free.predict_proba(frame)).all()


def test_a_training_that_diverges_says_so_with_a_time_limit_too():
    frame, _, values = table(10, 300)
    settings = {"optimizer": "sgd", "learning_rate": 1e6, "standardize_target": False}
    settings |= {"target": "y", "task": "regression", "architecture": "mlp", "time_limit": 1}
    model = fastmlp.Model(**settings)
    with pytest.raises(fastmlp.DivergedError, match="diverged in epoch 1"):
        model.fit({**frame, "y": values}, verbose=0)


@pytest.mark.parametrize("architecture", ["realmlp", "tabm"])
def test_a_time_limit_shortens_the_training(architecture):
    frame, labels, _ = table(10, 600)
    classifier = small(
        fastmlp.TabularClassifier, architecture=architecture, epochs=200, time_limit=1e-3
    )
    with pytest.warns(UserWarning, match="leaves 1 of 200 epochs, which rarely learn"):
        classifier.fit(frame, labels)
    assert classifier.n_iter_ == [1]


def test_importance_finds_the_columns_that_count():
    random = np.random.default_rng(11)
    x = random.normal(size=(500, 3))
    classifier = small(fastmlp.TabularClassifier, epochs=40).fit(x, x[:, 1] > 0)
    importances = classifier.feature_importances_
    assert importances.shape == (3,)
    assert importances.argmax() == 1
    assert importances[1] > 0.2 > max(importances[0], importances[2])


def test_models_are_saved_loaded_pickled_and_cloned(tmp_path):
    frame, labels, _ = table(12)
    one = small(fastmlp.TabularClassifier).fit(frame, labels)
    one.save(tmp_path / "one.safetensors")
    loaded = fastmlp.load(tmp_path / "one.safetensors")
    assert np.array_equal(loaded.predict(frame), one.predict(frame))
    bag = small(fastmlp.TabularClassifier, n_cv=2).fit(frame, labels)
    bag.save(tmp_path / "bag")
    again = fastmlp.load(tmp_path / "bag")
    assert np.array_equal(again.predict(frame), bag.predict(frame))
    copy = pickle.loads(pickle.dumps(bag))
    assert np.array_equal(copy.predict_proba(frame), bag.predict_proba(frame))
    assert not hasattr(clone(bag), "model_")
    with pytest.raises(ValueError, match=r"single network.*model_\.models\[0\]\.export"):
        bag.export(tmp_path / "bag.onnx")


@pytest.mark.parametrize("kind", ["int", "float", "bool", "str"])
def test_labels_come_back_as_they_were(kind):
    random = np.random.default_rng(13)
    x = random.normal(size=(120, 2))
    codes = (x[:, 0] > 0).astype(int)
    labels = {
        "int": codes * 10 - 3,
        "float": codes + 0.0,
        "bool": codes == 1,
        "str": np.array(["no", "yes"])[codes],
    }[kind]
    classifier = small(fastmlp.TabularClassifier, epochs=30).fit(x, labels)
    assert classifier.predict(x).dtype.kind == labels.dtype.kind
    assert set(classifier.predict(x)) <= set(labels)
    assert classifier.score(x, labels) > 0.9


def test_it_works_in_cross_validation_of_scikit_learn():
    random = np.random.default_rng(14)
    x = random.normal(size=(200, 3))
    y = x[:, 0] * x[:, 1]
    scores = [
        cross_val_score(small(fastmlp.TabularRegressor, epochs=60, random_state=s), x, y, cv=3)
        for s in range(3)
    ]
    assert np.median(scores) > 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"architecture": "realmpl"}, "architecture"),
        ({"n_cv": 0}, "n_cv"),
        ({"n_cv": 1000}, "n_cv"),
        ({"n_ens": 0}, "n_ens"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"time_limit": -1.0}, "time_limit"),
        ({"members": 0}, "members"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_wrong_settings_are_refused_by_name(settings, message):
    frame, labels, _ = table(15, 60)
    arguments = {"epochs": 2, "random_state": 0} | settings
    with pytest.raises((TypeError, ValueError), match=message):
        fastmlp.TabularClassifier(**arguments).fit(frame, labels)
