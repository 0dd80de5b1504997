"""What the checks of arguments return is what is kept: plain numbers, whatever type came."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import warnings
from pathlib import Path

import numpy as np
import pytest

import fastmlp
from fastmlp import schedules, validation
from support.public_arguments import ARGUMENTS

PACKAGE = Path(fastmlp.__file__).parent
# Predicates decide, and return nothing to keep.
CHECKS = {n for n in validation.__all__ if not n.startswith(("keep", "require_", "is_"))}
# What consumes a value without keeping it.
DROPS = (ast.Expr, ast.Compare, ast.If, ast.BoolOp, ast.UnaryOp, ast.Assert, ast.While)

# ---------------------------------------------------------------- the sources


def thrown_away(source):
    """Lines of calls of checks whose result nobody keeps."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    lines = []
    for node in ast.walk(tree):
        called = isinstance(node, ast.Call) and getattr(node.func, "id", None)
        if called in CHECKS and isinstance(parents[node], DROPS):
            lines.append(node.lineno)
    return lines


def test_the_scan_finds_what_is_thrown_away():
    assert thrown_away("real('a', a, 0.0)") == [1]
    assert thrown_away("if real('a', a, 0.0) == 0:\n    pass") == [1]
    assert thrown_away("x = real('a', a, 0.0)\ny = f(flag('b', b))") == []


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_no_check_is_thrown_away(path):
    assert thrown_away(path.read_text(encoding="utf-8")) == []


# ---------------------------------------------------------------- NumPy's numbers


def ints(value):
    return [np.uint8(value), np.int8(value), np.uint64(value), np.array(value, np.int16)]


def floats(value):
    return [np.float16(value), np.float32(value), np.float64(value), np.longdouble(value)]


def strange(value):
    """The same value in NumPy's types; tuples by their items."""
    if isinstance(value, bool):
        return [np.bool_(value)]
    if isinstance(value, int):
        return ints(value)
    if isinstance(value, float):
        return floats(value)
    if isinstance(value, str):
        return [np.str_(value)]
    if isinstance(value, tuple):
        return [tuple(column) for column in zip(*map(strange, value), strict=True)]
    return []


# Results of computations, errors and bases take no settings; the last ones are tested below.
NO_SETTINGS = {"Callback", "History", "LearningRates", "Plan", "Schedule"}
NO_SETTINGS |= {"CrossValidation", "DataUnavailableError", "DivergedError", "FormatError"}
ELSEWHERE = {"MLP", "MLPClassifier", "MLPRegressor", "Model", "ModelClassifier"}
ELSEWHERE |= {"ModelRegressor", "TabularClassifier", "TabularRegressor", "TensorBoard"}
ELSEWHERE |= {"BaggedModel"}


def public_classes():
    for module in (fastmlp, schedules):
        for name in module.__all__:
            if inspect.isclass(value := getattr(module, name)):
                yield name, value


def test_every_public_class_is_tried_with_every_argument():
    for name, kind in public_classes():
        if name in NO_SETTINGS | ELSEWHERE or issubclass(kind, Exception):
            continue
        expected = set(inspect.signature(kind).parameters)
        if kind is fastmlp.LambdaCallback:
            expected = {"on_step_end", "every_steps"}
        assert set(ARGUMENTS.get(kind, ())) == expected, name


def kept(value, seen=()):
    """All numbers and texts that an object holds, with the way to them."""
    if isinstance(value, (np.generic, np.ndarray, bool, int, float, str)):
        yield "", value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from ((f"[{i}]{way}", found) for way, found in kept(item, seen))
    elif type(value).__module__.startswith("fastmlp") and id(value) not in seen:
        for name, item in vars(value).items():
            yield from ((f".{name}{way}", found) for way, found in kept(item, (*seen, id(value))))


def built_differently(kind):
    arguments = ARGUMENTS[kind]
    for name, value in arguments.items():
        for other in strange(value):
            yield name, other, kind(**{**arguments, name: other})


@pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_objects_keep_plain_values(kind):
    plain = list(kept(kind(**ARGUMENTS[kind])))
    for name, other, built in built_differently(kind):
        found = list(kept(built))
        assert found == plain, (name, type(other))
        assert [type(v) for _, v in found] == [type(v) for _, v in plain], (name, type(other))
        wrong = [way for way, v in found if isinstance(v, (np.generic, np.ndarray))]
        assert not wrong, (name, type(other), wrong)


@pytest.mark.parametrize(
    "kind",
    [kind for kind in ARGUMENTS if issubclass(kind, schedules.Schedule)],
    ids=lambda kind: kind.__name__,
)
def test_schedules_give_the_same_rates(kind):
    expected = kind(**ARGUMENTS[kind]).rates(0, 400, 4, 100)
    for name, other, built in built_differently(kind):
        got = built.rates(0, 400, 4, 100)
        assert got.tobytes() == expected.tobytes(), (name, type(other))


def test_integers_beyond_a_byte_do_not_wrap():
    """300 epochs: a byte that is multiplied or added to wraps at 256."""
    for every in (np.uint8(100), np.int8(100)):
        plain, other = (schedules.StepDecay(1.0, 0.5, e, per="step") for e in (100, every))
        assert other.rates(0, 1000, 10, 100).tobytes() == plain.rates(0, 1000, 10, 100).tobytes()
        ramp = schedules.WarmUp(schedules.Constant(1.0), every, per="epoch")
        assert ramp.rates(0, 10_000, 100, 300)[5000] == 0.5


# ---------------------------------------------------------------- what trains

X = np.random.default_rng(1).standard_normal((40, 3)).astype(np.float32)
Y = np.random.default_rng(2).integers(0, 2, 40)


def trained(sizes=(3, 4, 2), fit=None, **arguments):
    model = fastmlp.MLP(list(sizes), **arguments)
    model.fit(X, Y, **{"epochs": 3, "verbose": 0, **(fit or {})})
    return b"".join(a.tobytes() for a in model.parameters().values())


MODEL = {
    "input_scale": 0.5,
    "seed": 100,
    "dropout": 0.25,
    "input_dropout": 0.25,
    "input_noise": 0.5,
    "batch_normalization": True,
    "dtype": "float64",
    "activation": "tanh",
    "initializer": "he_normal",
    "output_activation": "identity",
}
FIT = {"epochs": 3, "batch_size": 8, "threads": 2, "resume": False, "shuffle": False, "verbose": 0}


@pytest.mark.parametrize("name", MODEL)
def test_models(name):
    expected = trained(**MODEL)
    for other in strange(MODEL[name]):
        assert trained(**{**MODEL, name: other}) == expected, type(other)


@pytest.mark.parametrize("name", FIT)
def test_fit(name):
    expected = trained(fit=FIT)
    for other in strange(FIT[name]):
        assert trained(fit={**FIT, name: other}) == expected, type(other)


@pytest.mark.parametrize(
    "kind", [k for k in ARGUMENTS if issubclass(k, fastmlp.optimizers.Optimizer)]
)
def test_optimizers(kind):
    expected = trained(fit={"optimizer": kind(**ARGUMENTS[kind])})
    for name, other, built in built_differently(kind):
        assert trained(fit={"optimizer": built}) == expected, (name, type(other))


@pytest.mark.filterwarnings("ignore::fastmlp.ConvergenceWarning")  # a few iterations do
def test_lbfgs_with_a_small_integer_for_its_memory():
    """SciPy computes the size of its workspace from it: in a byte that would be too small."""
    pytest.importorskip("scipy")
    expected = trained(fit={"optimizer": fastmlp.LBFGS(memory=20)})
    for memory in ints(20):
        assert trained(fit={"optimizer": fastmlp.LBFGS(memory=memory)}) == expected


def test_callbacks_every_so_many_steps():
    def steps(every):
        seen = []
        hook = fastmlp.LambdaCallback(
            on_step_end=lambda _, record: seen.append(record["step"]), every_steps=every
        )
        fastmlp.MLP([3, 2]).fit(X, Y, epochs=20, batch_size=1, callbacks=[hook], verbose=0)
        return seen

    for every in ints(100):
        assert steps(every) == steps(100) == list(range(100, 801, 100))


def test_class_weights():
    expected = trained(fit={"class_weight": {0: 0.5, 1: 2.0}})
    for one, two in zip(floats(0.5), floats(2.0), strict=True):
        for first, second in zip(ints(0), ints(1), strict=True):
            if isinstance(first, np.generic):
                weights = {first: one, second: two}
                assert trained(fit={"class_weight": weights}) == expected


def test_learning_rate_finder():
    def found(**changed):
        options = {"lowest": 0.0009765625, "highest": 0.5, "steps": 100, "batch_size": 8}
        rates = fastmlp.MLP([3, 2]).lr_find(X, Y, **{**options, **changed})
        return rates.rates.tobytes() + rates.losses.tobytes()

    for name, value in {"lowest": 0.0009765625, "highest": 0.5}.items():
        for other in floats(value):
            assert found(**{name: other}) == found(), (name, type(other))
    for name, value in {"steps": 100, "batch_size": 8}.items():
        for other in ints(value):
            assert found(**{name: other}) == found(), (name, type(other))


def test_functions():
    def made(**changed):
        arguments = {"samples": 100, "noise": 0.25, "seed": 7, **changed}
        return b"".join(a.tobytes() for a in fastmlp.datasets.make("moons", **arguments))

    for samples, noise, seed in zip(ints(100), floats(0.25), ints(7), strict=True):
        assert made(samples=samples) == made(noise=noise) == made(seed=seed) == made()
    shares = [0.25, 0.75]
    metrics = fastmlp.metrics
    for base, count in zip(floats(2.0), ints(3), strict=True):
        assert metrics.entropy(shares, base=base) == metrics.entropy(shares, base=2.0)
        matrix = metrics.confusion_matrix([0, 1], [1, 1], count)
        assert matrix.tolist() == metrics.confusion_matrix([0, 1], [1, 1], 3).tolist()
    assert metrics.f1([0, 1], [1, 1], average=np.str_("macro")) == 1 / 3


def test_replaced_heads_and_frozen_layers():
    model = fastmlp.MLP([3, 4, 2])
    for outputs in ints(5):
        head = model.replace_head(outputs, seed=outputs)
        assert list(map(type, head.layer_sizes)) == [int, int, int]
    for layer in ints(1):
        model.freeze(layer)
        assert model.trainable == [True, False]
        model.unfreeze()


# ---------------------------------------------------------------- estimators

ESTIMATOR = {
    "hidden_layer_sizes": (4,),
    "alpha": 0.0009765625,
    "batch_size": 8,
    "learning_rate": "invscaling",
    "learning_rate_init": 0.0625,
    "power_t": 0.25,
    "max_iter": 5,
    "shuffle": True,
    "random_state": 7,
    "tol": 0.0009765625,
    "verbose": False,
    "warm_start": False,
    "momentum": 0.5,
    "nesterovs_momentum": False,
    "early_stopping": True,
    "validation_fraction": 0.25,
    "beta_1": 0.5,
    "beta_2": 0.75,
    "epsilon": 0.0009765625,
    "n_iter_no_change": 3,
    "max_fun": 100,
    "dropout": 0.25,
    "input_dropout": 0.25,
    "batch_normalization": True,
    "n_threads": 1,
}


@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_estimators_use_plain_values_and_keep_what_was_given(name, solver):
    sklearn = pytest.importorskip("sklearn")
    kind = getattr(fastmlp, name)
    arguments = {**ESTIMATOR, "solver": solver}
    if solver == "lbfgs":
        arguments |= {"dropout": 0.0, "input_dropout": 0.0, "early_stopping": False}
    targets = Y if name == "MLPClassifier" else X[:, 0]

    def fitted(estimator):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            estimator.fit(X, targets)
        return b"".join(a.tobytes() for a in (*estimator.coefs_, *estimator.intercepts_))

    def types(estimator):
        return {k: type(v) for k, v in vars(estimator).items() if k.endswith("_")}

    plain = kind(**arguments)
    expected = fitted(plain)
    for argument, value in arguments.items():
        for other in strange(value):
            if isinstance(other, np.ndarray):
                continue  # scikit-learn's own checks refuse arrays
            estimator = kind(**{**arguments, argument: other})
            assert estimator.get_params()[argument] is other
            assert sklearn.base.clone(estimator).get_params()[argument] == other
            assert fitted(estimator) == expected, (argument, type(other))
            assert types(estimator) == types(plain), (argument, type(other))


def test_dataclasses_of_the_package_are_all_known():
    """A public dataclass that is new must be in the table above."""
    known = {kind.__name__ for kind in ARGUMENTS} | NO_SETTINGS
    found = {name for name, kind in public_classes() if dataclasses.is_dataclass(kind)}
    assert found <= known
