"""MLPClassifier and MLPRegressor inside scikit-learn: its checks, its tools, its conventions."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
import sklearn
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import check_is_fitted

import fastmlp
from fastmlp.estimators import MLPClassifier, MLPRegressor
from support.estimator_data import (
    VERSION,
    digits,
    iris,
    one_output,
    peer_of,
    quietly,
    three_outputs,
    two_classes,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SMALL = {"max_iter": 30, "random_state": 0, "hidden_layer_sizes": 20, "learning_rate_init": 0.02}


# ---------------------------------------------------------------- scikit-learn's own checks


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator_type", [MLPClassifier, MLPRegressor])
def test_check_estimator_finds_nothing_that_it_does_not_find_in_scikit_learn(estimator_type):
    estimator = estimator_type(max_iter=100)
    found = [
        {check["check_name"] for check in checks if check["status"] == "failed"}
        for checks in (
            check_estimator(estimator, on_fail=None),
            check_estimator(peer_of(estimator), on_fail=None),
        )
    ]
    assert found[0] <= found[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator_type", [MLPClassifier, MLPRegressor])
def test_check_estimator_of_lbfgs(estimator_type):
    """The weights of samples are theirs whatever the batches, of which there are none here."""
    estimator = estimator_type(solver="lbfgs", max_iter=100, n_threads=1)
    checks = check_estimator(estimator, on_fail=None)
    assert not [check for check in checks if check["status"] == "failed"]
    passed = {check["check_name"] for check in checks if check["status"] == "passed"}
    assert "check_sample_weight_equivalence_on_dense_data" in passed


@pytest.mark.parametrize("estimator_type", [MLPClassifier, MLPRegressor])
def test_parameters_and_defaults_are_those_of_scikit_learn(estimator_type):
    mine, others = estimator_type().get_params(), peer_of(estimator_type()).get_params()
    if VERSION >= (1, 7):
        assert mine.items() >= others.items()
    added = {
        "dropout", "input_dropout", "batch_normalization", "optimizer", "callbacks", "n_threads",
        "compute_dtype",
    }  # fmt: skip
    assert set(mine) - set(others) - {"class_weight", "loss"} == added
    estimator = clone(estimator_type(alpha=0.5, optimizer=fastmlp.SGD(0.1)))
    assert estimator.alpha == 0.5
    assert estimator.optimizer == fastmlp.SGD(0.1)


def test_tags():
    assert is_classifier(MLPClassifier())
    assert is_regressor(MLPRegressor())
    assert MLPClassifier().__sklearn_tags__().classifier_tags.multi_label
    assert MLPRegressor().__sklearn_tags__().input_tags.sparse


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_partial_fit_is_there_when_it_can_be_used(solver):
    assert hasattr(MLPClassifier(solver=solver), "partial_fit") == (solver == "adam")
    assert hasattr(MLPRegressor(solver=solver), "partial_fit") == (solver == "adam")
    assert hasattr(MLPClassifier(solver=solver, optimizer=fastmlp.SGD()), "partial_fit")


# ---------------------------------------------------------------- its tools


def test_grid_search_in_two_processes():
    x, y = iris()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    grid = {"mlpclassifier__alpha": [1e-4, 1.0], "mlpclassifier__dropout": [0.0, 0.2]}
    two = GridSearchCV(pipeline, grid, n_jobs=2).fit(x, y)
    one = GridSearchCV(pipeline, grid).fit(x, y)
    assert two.best_score_ > 0.9
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(two.cv_results_[name], one.cv_results_[name])


@pytest.mark.parametrize(
    ("estimator", "data"), [(MLPClassifier(**SMALL), iris), (MLPRegressor(**SMALL), one_output)]
)
def test_cross_validation_gives_the_scores_of_scikit_learn(estimator, data):
    x, y = data()
    scores = cross_val_score(estimator, x, y)
    np.testing.assert_allclose(scores, cross_val_score(peer_of(estimator), x, y), rtol=1e-9)


def test_calibration_gives_the_probabilities_of_scikit_learn():
    x, y = two_classes()
    estimator = MLPClassifier(**SMALL)
    calibrated = CalibratedClassifierCV(estimator, cv=3).fit(x, y)
    expected = CalibratedClassifierCV(peer_of(estimator), cv=3).fit(x, y)
    np.testing.assert_allclose(calibrated.predict_proba(x), expected.predict_proba(x), rtol=1e-6)


def test_ensembles_and_other_meta_estimators():
    x, y = iris()
    bagging = BaggingClassifier(MLPClassifier(**SMALL), n_estimators=3, random_state=0).fit(x, y)
    voting = VotingClassifier(
        [("mlp", MLPClassifier(**SMALL)), ("linear", LogisticRegression(max_iter=500))],
        voting="soft",
    ).fit(x, y)
    assert bagging.score(x, y) > 0.9
    assert voting.score(x, y) > 0.9
    importance = permutation_importance(voting, x, y, n_repeats=2, random_state=0)
    assert importance.importances_mean.argmax() >= 2  # the petals
    x, y = three_outputs()
    scaled = TransformedTargetRegressor(MLPRegressor(**SMALL), transformer=StandardScaler())
    assert scaled.fit(x, 100 * y).score(x, 100 * y) > 0.8
    assert MultiOutputRegressor(MLPRegressor(**SMALL)).fit(x, y).score(x, y) > 0.8


def test_pipelines_keep_their_output_settings():
    x, y = iris()
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    pipeline.set_output(transform="default").fit(x, y)
    assert isinstance(pipeline.predict(x), np.ndarray)


def test_names_of_features():
    pandas = pytest.importorskip("pandas")
    x, y = iris()
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    frame = pandas.DataFrame(x, columns=names)
    labels = pandas.Series(np.array(["a", "b", "c"])[y])
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    classifier = pipeline.set_output(transform="pandas").fit(frame, labels)[-1]
    assert classifier.feature_names_in_.tolist() == names
    assert set(pipeline.predict(frame)) == {"a", "b", "c"}
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        classifier.predict(x)
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame[names[::-1]])


def test_weights_are_routed():
    x, y = iris()
    weights = np.linspace(0.1, 3, len(x))
    with sklearn.config_context(enable_metadata_routing=True):
        classifier = MLPClassifier(**SMALL).set_fit_request(sample_weight=True)
        search = GridSearchCV(classifier.set_score_request(sample_weight=False), {"alpha": [0.1]})
        search.fit(x, y, sample_weight=weights)
    expected = MLPClassifier(**SMALL, alpha=0.1).fit(x, y, weights)
    np.testing.assert_array_equal(search.best_estimator_.coefs_[0], expected.coefs_[0])


# ---------------------------------------------------------------- copies


@pytest.mark.parametrize(
    ("estimator", "data"),
    [
        (MLPClassifier(**SMALL), iris),
        (MLPClassifier(**SMALL, early_stopping=True, batch_normalization=True), digits),
        (MLPRegressor(**SMALL, solver="lbfgs"), three_outputs),
    ],
)
def test_pickle_and_joblib_keep_a_fitted_estimator(estimator, data):
    x, y = data()
    estimator = clone(estimator).fit(x, y)
    expected = estimator.predict(x)
    buffer = io.BytesIO()
    joblib.dump(estimator, buffer)
    buffer.seek(0)
    for copied in (pickle.loads(pickle.dumps(estimator)), joblib.load(buffer)):
        np.testing.assert_array_equal(copied.predict(x), expected)
        np.testing.assert_array_equal(
            copied.fit(x, y).coefs_[0], clone(estimator).fit(x, y).coefs_[0]
        )


def test_a_clone_is_not_fitted():
    x, y = iris()
    classifier = MLPClassifier(**SMALL).fit(x, y)
    check_is_fitted(classifier)
    with pytest.raises(sklearn.exceptions.NotFittedError):
        check_is_fitted(clone(classifier))


def test_repr_is_that_of_scikit_learn():
    estimator = MLPClassifier(alpha=0.5, hidden_layer_sizes=(3, 4))
    assert repr(estimator) == "MLPClassifier(alpha=0.5, hidden_layer_sizes=(3, 4))"


# ---------------------------------------------------------------- its callbacks


class Follower:
    """A callback by the protocol of scikit-learn 1.9."""

    def __init__(self, stop_after=None):
        self.calls = []
        self.scores = []
        self.stop_after = stop_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(f"begin {context.task_name} {context.task_id}")

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.calls.append(f"end {context.task_name} {context.task_id}")
        self.scores.append(fitted_estimator.score(X, y))
        return context.task_name == "epoch" and context.task_id == self.stop_after


@pytest.mark.skipif(VERSION < (1, 9), reason="callbacks came with scikit-learn 1.9")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_callbacks_of_scikit_learn(solver):
    x, y = iris()
    follower = Follower(stop_after=2)
    settings = SMALL | {"solver": solver, "max_iter": 9}
    classifier = MLPClassifier(**settings).set_callbacks(follower).fit(x, y)
    assert classifier.n_iter_ == 3
    epochs = [f"{when} epoch {i}" for i in range(3) for when in ("begin", "end")]
    assert follower.calls == ["setup", "begin fit 0", *epochs, "end fit 0", "teardown"]
    scores = [
        quietly(MLPClassifier(**settings | {"max_iter": i}).fit, x, y).score(x, y)
        for i in (1, 2, 3, 3)
    ]
    assert follower.scores == scores


@pytest.mark.skipif(VERSION < (1, 9), reason="callbacks came with scikit-learn 1.9")
def test_the_scoring_monitor_of_scikit_learn():
    from sklearn.callback import ScoringMonitor

    x, y = one_output()
    monitor = ScoringMonitor(scoring="r2")
    regressor = MLPRegressor(**SMALL | {"max_iter": 5}).set_callbacks(monitor).fit(x, y)
    scores = [row["r2"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(scores) == 5
    assert scores[-1] == regressor.score(x, y)


# ---------------------------------------------------------------- the optional dependency


def test_scikit_learn_is_loaded_only_with_an_estimator():
    code = """
import sys
import fastmlp, fastmlp.model, fastmlp.callbacks
assert "sklearn" not in sys.modules
sys.modules["sklearn"] = None
try:
    import fastmlp.estimators
except ImportError as error:
    assert "pip install 'fastmlp[sklearn]'" in str(error)
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=60)
