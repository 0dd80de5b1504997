"""MLPClassifier.save and load: everything comes back, nothing hostile does."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import re
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import NotFittedError

import fastmlp
from fastmlp.errors import FormatError
from fastmlp.estimators import MLPClassifier, MLPRegressor
from fastmlp.estimators.files import KIND
from fastmlp.estimators.stored_parameters import from_file, in_file
from fastmlp.model_file import read_model, write_model
from support.estimator_data import assert_same_parameters, iris, quietly, three_outputs
from support.random_estimators import KINDS, SEED, assert_same_predictions, fitted

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def reloaded(estimator, path):
    estimator.save(path)
    return type(estimator).load(path)


def assert_equal_values(mine, others, words):
    """Require equal types and values, also of random generators and arrays."""
    assert type(mine) is type(others), words
    if isinstance(mine, np.random.RandomState):
        mine, others = mine.get_state(), others.get_state()
    if isinstance(mine, (list, tuple)):
        assert len(mine) == len(others), words
        for one, other in zip(mine, others, strict=True):
            assert_equal_values(one, other, words)
    elif isinstance(mine, (np.ndarray, np.generic)):
        assert mine.dtype == others.dtype, words
        np.testing.assert_array_equal(mine, others, err_msg=words)
    elif isinstance(mine, float):
        np.testing.assert_equal(mine, others, err_msg=words)
    elif hasattr(mine, "learning_rate"):
        assert_equal_values(vars(mine), vars(others), words)
    elif isinstance(mine, dict):
        assert mine.keys() == others.keys(), words
        for name in mine:
            assert_equal_values(mine[name], others[name], f"{name}, {words}")
    elif isinstance(mine, fastmlp.schedules.Schedule):
        assert str(mine) == str(others), words
    else:
        assert mine == others, words


# ---------------------------------------------------------------- what comes back


@pytest.mark.parametrize("kind", KINDS)
def test_everything_comes_back(kind, path):
    for trial in range(4):
        estimator, x, words = fitted(SEED + trial, kind)
        loaded = reloaded(estimator, path)
        assert_same_predictions(estimator, loaded, x, words)
        assert_equal_values(loaded.get_params(), estimator.get_params(), words)
        public = {name: value for name, value in vars(estimator).items() if name.endswith("_")}
        assert_equal_values(
            {name: vars(loaded)[name] for name in public if name != "_label_binarizer"},
            public,
            words,
        )
        assert vars(loaded).keys() >= {name for name in vars(estimator) if name.endswith("_")}


@pytest.mark.parametrize("kind", KINDS)
def test_equal_estimators_write_equal_files(kind, path):
    estimator, _, words = fitted(SEED, kind)
    other = reloaded(estimator, path)
    first = path.read_bytes()
    other.save(path)
    assert path.read_bytes() == first, words
    pickle.loads(pickle.dumps(estimator)).save(path)
    assert path.read_bytes() == first, words


def test_names_of_features_come_back(path):
    pandas = pytest.importorskip("pandas")
    x, y = iris()
    frame = pandas.DataFrame(x, columns=["a", "b b", "ü", "d"])
    loaded = reloaded(MLPClassifier(max_iter=3).fit(frame, y), path)
    assert loaded.feature_names_in_.tolist() == ["a", "b b", "ü", "d"]
    assert loaded.feature_names_in_.dtype == object
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(frame[["d", "a", "b b", "ü"]])


def test_a_derived_class_is_loaded_by_itself(path):
    class Named(MLPClassifier):
        pass

    loaded = reloaded(Named(max_iter=3).fit(*iris()), path)
    assert type(loaded) is Named
    assert type(MLPClassifier.load(path)) is MLPClassifier


def test_many_names_fit_into_a_file(path):
    """The header, in which names of classes could be text, has a limit."""
    classes = [f"a class with a rather long name, which is number {i:06}" for i in range(25_000)]
    estimator = MLPClassifier((), random_state=0, n_threads=1)
    estimator.partial_fit([[0.0]], classes[:1], classes=classes)
    assert reloaded(estimator, path).classes_.tolist() == classes


def test_a_loss_without_its_function_predicts(path):
    def squares(outputs, targets):
        error = outputs - targets
        return (error**2).sum() / len(error), 2 * error / len(error)

    x, y = three_outputs()
    estimator = MLPRegressor(fastmlp.UserLoss(function=squares), max_iter=3).fit(x, y)
    loaded = reloaded(estimator, path)
    np.testing.assert_array_equal(loaded.predict(x), estimator.predict(x))
    assert loaded.loss == fastmlp.UserLoss()


VALUES = [
    None, True, -3, 2.5, np.inf, -np.inf, "", "ü\ud800", [1, (2, [3.5])], {}, {1: 0.5, "b": [1]},
    np.float32(0.1), np.int8(-4), np.bool_(True), np.str_("é"), np.array([[3], [4]], np.uint16),
    np.array(["a", "bcd"]), np.float64("nan"), fastmlp.ELU(0.3), fastmlp.Step(),
    fastmlp.Huber(delta=2), fastmlp.Quantile(levels=(0.1, 0.5), weight=2.0), fastmlp.Nadam(0.1),
    fastmlp.SGD(fastmlp.schedules.OneCycle(0.1)), np.random.RandomState(5),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=lambda value: re.sub(" at 0x.*", "", repr(value)))
def test_values_of_parameters_come_back(value):
    again = from_file(json.loads(json.dumps(in_file(value), allow_nan=False)))
    assert_equal_values(again, value, repr(value))


@pytest.mark.parametrize(
    "form",
    [
        {"random_state": [[0] * 624, 625, 0, 0.0]},  # NumPy would read beyond the numbers
        {"random_state": [[0] * 624, -1, 0, 0.0]},
        {"random_state": [[0] * 600, 600, 0, 0.0]},
        {"array": ["O", ["a"], False]},
        {"array": ["<U4", ["a" * 2**17, *["b"] * 2**12], False]},  # gigabytes as an array
        {"activation": "UserLoss"},
        {"schedule": ["Schedule", {"dict": []}]},
        {"optimizer": ["__init__", {"dict": []}]},
        {"eval": "1"},
    ],
    ids=lambda form: next(iter(form)),
)
def test_hostile_values_of_parameters_are_refused(form):
    with pytest.raises((KeyError, TypeError, ValueError)):
        from_file(form)


# ---------------------------------------------------------------- going on


def test_warm_starts_and_partial_fits_begin_with_the_weights_of_the_file(path):
    x, y = iris()
    for setting in ({}, {"early_stopping": True}, {"solver": "lbfgs"}):
        given = {"max_iter": 5, "random_state": 0, "warm_start": True, **setting}
        estimator = quietly(MLPClassifier(**given).fit, x, y)
        loaded = reloaded(estimator, path)
        assert_same_parameters(quietly(loaded.fit, x, y), quietly(estimator.fit, x, y))
        curves = [vars(model).get("loss_curve_") for model in (loaded, estimator)]
        assert curves[0] == curves[1]
    fresh = reloaded(MLPClassifier(random_state=0).fit(x, y), path)
    before = copy.deepcopy(fresh)
    fresh.partial_fit(x, y)
    assert fresh.t_ == before.t_ + len(x)
    assert len(fresh.loss_curve_) == len(before.loss_curve_) + 1


def test_a_warm_start_keeps_the_best_weights_of_the_file(path):
    x, y = iris()
    given = {"early_stopping": True, "random_state": 0, "warm_start": True}
    estimator = MLPClassifier(max_iter=6, **given).fit(x, y)
    estimator.coefs_ = [coef + 1 for coef in estimator.coefs_]  # no longer the best ones
    loaded = reloaded(estimator, path)
    assert loaded._best_parameters.equals(estimator._best_parameters)
    assert not loaded._best_parameters.equals(loaded._parameters())


def test_a_resumed_fit_is_refused(path):
    x, y = iris()
    loaded = reloaded(quietly(MLPClassifier(max_iter=3).fit, x, y), path)
    before = loaded.coefs_[0].copy()
    with pytest.raises(ValueError, match="which pickles keep and files of `save` do not"):
        loaded.set_params(max_iter=9).fit(x, y, resume=True)
    np.testing.assert_array_equal(loaded.coefs_[0], before)


# ---------------------------------------------------------------- what is refused in writing


def test_an_estimator_that_is_not_fitted_has_no_file(path):
    for method in ("save", "export"):
        with pytest.raises(NotFittedError):
            getattr(MLPClassifier(), method)(path.with_suffix(".npz"))
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize(
    "setting",
    [
        {"callbacks": [fastmlp.EarlyStopping("loss")]},
        {"optimizer": fastmlp.SGD(lambda epoch: 0.1)},
        {"optimizer": fastmlp.SGD(type("Own", (fastmlp.schedules.Constant,), {})(0.1))},
        {"activation": type("Own", (fastmlp.ELU,), {})(0.1)},
        {"random_state": np.random.RandomState(np.random.PCG64(0))},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_code_of_users_is_no_part_of_a_file(setting, path):
    estimator = quietly(MLPClassifier(max_iter=3, **setting).fit, *iris())
    path.write_text("old")
    (name,) = setting
    with pytest.raises(ValueError, match=rf"{name} must hold .* set_params\({name}=None\)"):
        estimator.save(path)
    assert path.read_text() == "old"
    estimator.set_params(**{name: MLPClassifier().get_params()[name]})
    if name != "activation":
        assert_same_parameters(reloaded(estimator, path), estimator)


def test_weights_that_are_not_finite_are_refused(path):
    estimator = MLPClassifier(max_iter=3).fit(*iris())
    estimator.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        estimator.save(path)
    assert not path.exists()


# ---------------------------------------------------------------- what is refused in reading


def test_a_file_of_another_kind_is_refused(path):
    fastmlp.MLP([4, 3]).save(path)
    with pytest.raises(FormatError, match="must be 'fastmlp-estimator', got 'fastmlp-model'"):
        MLPClassifier.load(path)
    estimator = MLPClassifier(max_iter=3).fit(*iris())
    estimator.save(path)
    with pytest.raises(FormatError, match="must be 'fastmlp-model', got 'fastmlp-estimator'"):
        fastmlp.load(path)
    with pytest.raises(FormatError, match="must be MLPRegressor, got MLPClassifier; call MLPClass"):
        MLPRegressor.load(path)
    with pytest.raises(FileNotFoundError):
        MLPClassifier.load(path.with_name("none"))


def test_every_flipped_bit_is_noticed(path):
    estimator = MLPClassifier((), max_iter=1, random_state=0)
    estimator.fit([[0.0], [1.0]], ["no", "yes"]).save(path)
    good = path.read_bytes()
    draw = np.random.default_rng(SEED)
    for position in draw.choice(len(good), min(len(good), 1500), replace=False):
        damaged = bytearray(good)
        damaged[position] ^= 1 << int(draw.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(FormatError):
            MLPClassifier.load(path)
    for length in draw.choice(len(good), 200, replace=False):
        path.write_bytes(good[:length])
        with pytest.raises(FormatError):
            MLPClassifier.load(path)


def replaced(tree, place, value):
    """Return a copy of nested lists and mappings with one item replaced, or removed by `...`."""
    tree = copy.deepcopy(tree)
    *way, last = place
    owner = tree
    for key in way:
        owner = owner[key]
    if value is ...:
        del owner[last]
    else:
        owner[last] = value
    return tree


def places(tree, way=()):
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*way, key)
        if isinstance(value, (dict, list)) and len(value) < 100:
            yield from places(value, (*way, key))


HOSTILE = (
    ..., None, True, -1, 2**70, 1e300, "", "x" * 50, [], {}, [[]], {"float": "nan"},
    {"random_state": [[0] * 624, 10**6, 0, 0.0]}, {"optimizer": ["sgd", {"dict": []}]},
    {"$array": "0"}, {"array": ["<U1000000000", "a", True]}, {"array": ["O", "a", True]},
)  # fmt: skip


@pytest.mark.parametrize("kind", ["two texts", "several sparse labels", "quantiles"])
def test_a_changed_config_is_refused_or_makes_a_whole_estimator(kind, path):
    """With a right digest: whoever can write a file can compute one."""
    estimator, x, words = fitted(SEED, kind)
    estimator.save(path)
    tensors, config = read_model(path, kind=KIND)
    learned, arrays = json.loads(config["learned"]), json.loads(config["arrays"])
    parameters = json.loads(config["parameters"])
    cases = [replaced(config, place, value) for place in places(config) for value in HOSTILE]
    for place, value in itertools.product(places(parameters), HOSTILE):
        cases.append({**config, "parameters": json.dumps(replaced(parameters, place, value))})
    for place, value in itertools.product(places(learned), HOSTILE):
        cases.append({**config, "learned": json.dumps(replaced(learned, place, value))})
    for place, value in itertools.product(places(arrays), HOSTILE):
        cases.append({**config, "arrays": json.dumps(replaced(arrays, place, value))})
    refused = 0
    draw = np.random.default_rng(SEED)
    for index in draw.choice(len(cases), 400, replace=False):
        write_model(path, tensors, cases[index], kind=KIND)
        try:
            loaded = type(estimator).load(path)
        except FormatError:
            refused += 1
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # such as feature names that the samples lack
                predicted = loaded.predict(x)
            assert predicted.shape[0] == x.shape[0], f"{words}, {cases[index]}"
    assert refused > 200


@pytest.mark.parametrize("kind", ["text", "two integers", "several labels", "three values"])
def test_changed_tensors_are_refused(kind, path):
    estimator, _, words = fitted(SEED, kind)
    print(words)
    estimator.save(path)
    tensors, config = read_model(path, kind=KIND)
    for name, array in tensors.items():
        if not name.startswith("layers."):
            continue
        other = {"float32": np.float64, "float64": np.float32}[array.dtype.name]
        changed = [array[:-1], array[..., np.newaxis], np.zeros((0, 10**15)), array.astype(other)]
        for value in (*changed, None):
            remaining = {key: held for key, held in tensors.items() if key != name}
            if value is not None:
                remaining[name] = value
            write_model(path, remaining, config, kind=KIND)
            with pytest.raises(FormatError):
                type(estimator).load(path)
    write_model(path, {**tensors, "layers.9.weights": np.ones((1, 1))}, config, kind=KIND)
    with pytest.raises(FormatError):
        type(estimator).load(path)


def test_a_short_text_among_a_long_one_asks_for_no_memory(path):
    estimator = MLPClassifier((), random_state=0)
    estimator.partial_fit([[0.0]], [0], classes=list(range(30_000))).save(path)
    tensors, config = read_model(path, kind=KIND)
    labels = sorted([*map(str, range(29_999)), "x" * 100_000])
    content = np.frombuffer(json.dumps(labels).encode(), np.uint8)
    (name,) = json.loads(config["learned"])["labels"]["classes"].values()
    arrays = json.loads(config["arrays"])
    arrays[name] = {"dtype": "|u1", "shape": [len(content)]}
    learned = json.loads(config["learned"])
    learned["labels"]["dtype"] = "U"
    tensors[f"state.{name}"] = content.astype(np.float32)
    config |= {"arrays": json.dumps(arrays), "learned": json.dumps(learned)}
    write_model(path, tensors, config, kind=KIND)
    with pytest.raises(FormatError, match="text must have at most"):
        MLPClassifier.load(path)


def test_numbers_that_their_type_cannot_hold_are_refused():
    with pytest.raises(ValueError, match="an array of float32 cannot hold its numbers"):
        from_file({"array": ["float32", [1e300], False]})
