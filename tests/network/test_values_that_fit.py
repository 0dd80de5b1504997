"""Numbers that the core's type cannot hold: a right result, or an error that names the argument."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import fastmlp
from fastmlp import schedules
from support.public_arguments import ARGUMENTS

X = np.random.default_rng(1).standard_normal((12, 3))
Y = np.random.default_rng(2).integers(0, 2, 12)
VALUES = np.random.default_rng(3).random((12, 2))
DTYPES = ("float32", "float64")
SEED = int(os.environ.get("FASTMLP_TEST_SEED") or random.SystemRandom().getrandbits(32))
# A few iterations of L-BFGS are enough here.
pytestmark = pytest.mark.filterwarnings("ignore::fastmlp.ConvergenceWarning")

HUGE = 10**5000  # more digits than Python writes
HOSTILE = [
    1e300, -1e300, 3.5e38, -3.5e38, 3e38, 1e-300, 1e-50, 1e-40, 5e-324, 1 - 1e-12, 1 + 1e-12,
    10**400, -(10**400), HUGE, 2**31, 2**63 - 1, 2**63, 2**64, -1, 0, -0.0,
    float("nan"), float("inf"), float("-inf"), np.float16(65504), np.float32("inf"),
    np.longdouble("1e4000"), np.longdouble("1e-4000"), Fraction(1, 3), Fraction(10**400),
    Fraction(1, 10**400), Decimal("0.5"), "0.5", b"1", None, True, np.bool_(True), np.array([1.0]),
    np.array([[1]]), np.array(2.0), [1, 2], 1j, np.complex64(1), np.datetime64(1, "s"),
]  # fmt: skip


def shown(value):
    try:
        return f"{type(value).__name__} {value!r}"[:40]
    except ValueError:
        return "an integer of thousands of digits"


def is_right(use, names, case):
    """Whether `use` ends well: a finite result, or an error that names one of `names`."""
    try:
        with np.errstate(all="raise", under="ignore", over="ignore", invalid="ignore"):
            result = use()
    except fastmlp.DivergedError:
        return True
    except MemoryError:
        return True
    except Exception as error:
        named = any(name in str(error) for name in names)
        if not named or not isinstance(error, (TypeError, ValueError)):
            raise AssertionError((case, repr(error)[:300])) from error
        return True
    assert result is None or np.isfinite(result).all(), (case, result)
    return False


def trained(dtype, fit=None, values=False, **arguments):
    model = fastmlp.MLP([3, 4, 2], dtype=dtype, **arguments)
    if not np.isfinite(model.forward(X)).all():
        # Large factors overflow in any type; the initial parameters themselves must not.
        assert all(np.isfinite(array).all() for array in model.parameters().values())
    options = {"epochs": 2, "batch_size": 5, "verbose": 0, "threads": 1, **(fit or {})}
    model.fit(X, VALUES if values else Y, **options)
    result = np.concatenate([array.ravel() for array in model.parameters().values()])
    if np.abs(result).max() < 1e9:  # larger ones may overflow in the products of a prediction
        result = np.append(result, model.forward(X))
    return result


def used(kind, built, dtype):
    """What an object of a public class does where it is used."""
    if issubclass(kind, (fastmlp.optimizers.Optimizer, fastmlp.LBFGS)):
        return trained(dtype, {"optimizer": built})
    if issubclass(kind, fastmlp.averaging.Averaging):
        return trained(dtype, {"averaging": built})
    if issubclass(kind, fastmlp.initializers.Initializer):
        return trained(dtype, initializer=built)
    if issubclass(kind, fastmlp.activations.Activation):
        return trained(dtype, activation=built)
    if issubclass(kind, fastmlp.losses.Loss):
        classes = kind in (fastmlp.SoftmaxCrossEntropy, fastmlp.Hinge)
        return trained(dtype, values=not classes, loss=built)
    if issubclass(kind, schedules.Schedule):
        return trained(dtype, {"optimizer": fastmlp.SGD(built)})
    if kind in (fastmlp.EarlyStopping, fastmlp.LambdaCallback, fastmlp.LearningRateScheduler):
        return trained(dtype, {"callbacks": [built]})
    return None


def scalars(kind):
    return [n for n, v in ARGUMENTS[kind].items() if isinstance(v, (bool, int, float, str))]


def tried(kind, name, value, dtype):
    def use():
        arguments = dict(ARGUMENTS[kind])
        if kind is fastmlp.UserLoss:
            arguments["function"] = lambda o, t: (float(((o - t) ** 2).mean()), (o - t) / o.size)
        return used(kind, kind(**{**arguments, name: value}), dtype)

    names = [name, "learning_rate"] if issubclass(kind, schedules.Schedule) else [name]
    return is_right(use, names, (SEED, kind.__name__, name, shown(value), dtype))


@pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_public_classes(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in scalars(kind):
        for value in HOSTILE:
            for dtype in DTYPES:
                tried(kind, name, value, dtype)


def random_value(random_numbers):
    exponent = random_numbers.choice([-400, -320, -308, -46, -39, -1, 0, 38, 39, 300, 308, 400])
    number = Fraction(random_numbers.randint(1, 9999), 1000) * Fraction(10) ** exponent
    number *= random_numbers.choice([1, 1, 1, -1])
    if abs(exponent) < 308:
        number = random_numbers.choice([number, float(number), np.longdouble(float(number))])
    return random_numbers.choice([number, int(number)])


def test_random_values(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random_numbers = random.Random(SEED)
    for _ in range(400):
        kind = random_numbers.choice(list(ARGUMENTS))
        name = random_numbers.choice(scalars(kind) or [None])
        if name is not None:
            tried(kind, name, random_value(random_numbers), random_numbers.choice(DTYPES))


MODEL = ("input_scale", "seed", "dropout", "input_dropout", "input_noise", "batch_normalization")
FIT = ("epochs", "batch_size", "threads", "resume", "shuffle")


@pytest.mark.parametrize("name", [*MODEL, "dtype", "activation", "loss", "initializer"])
def test_models(name):
    for value in HOSTILE:
        for dtype in DTYPES:
            arguments = {"dtype": dtype, name: value}
            is_right(lambda a=arguments: trained(**a), [name], (name, shown(value), dtype))


@pytest.mark.parametrize("name", FIT)
def test_fit(name):
    stop = fastmlp.LambdaCallback(on_epoch_end=lambda *_: True)
    for value in HOSTILE:
        fit = {"callbacks": [stop], name: value}
        is_right(lambda f=fit: trained("float32", f), [name], (name, shown(value)))


def test_class_weights():
    for value in HOSTILE:
        for dtype in DTYPES:
            fit = {"class_weight": {0: value}, "sample_weight": np.full(12, 1e20)}
            for options in (fit, {**fit, "sample_weight": None}):
                is_right(
                    lambda o=options, d=dtype: trained(d, o),
                    ["class_weight", "sample_weight"],
                    (shown(value), dtype),
                )


@pytest.mark.parametrize("dtype", DTYPES)
def test_sample_weights(dtype):
    for value in (1e300, 3.5e38, 3e38, 1e-300, 1e-50, 1e-40, 5e-324, np.nan, np.inf, -1.0, 0.0):
        for weights in (np.full(12, value), np.array([value] * 11 + [1.0])):
            fit = {"sample_weight": weights}
            is_right(lambda f=fit: trained(dtype, f), ["sample_weight"], (value, dtype))


@pytest.mark.parametrize("name", ["lowest", "highest", "steps", "batch_size"])
def test_learning_rate_finder(name):
    for value in HOSTILE:

        def use(value=value):
            model = fastmlp.MLP([3, 2])
            rates = model.lr_find(X, Y, **{"steps": 5, name: value})
            return np.append(rates.rates, rates.losses)

        if not (name == "steps" and isinstance(value, int) and value > 10**6):
            is_right(use, [name], (name, shown(value)))


def test_functions():
    make, entropy = fastmlp.datasets.make, fastmlp.metrics.entropy
    matrix = fastmlp.metrics.confusion_matrix
    for value in HOSTILE:
        if not (isinstance(value, int) and value > 10**6):
            is_right(lambda v=value: make("xor", samples=v)[0], ["samples"], shown(value))
        is_right(lambda v=value: make("xor", noise=v)[0], ["noise"], shown(value))
        is_right(lambda v=value: make("xor", seed=v)[0], ["seed"], shown(value))
        is_right(lambda v=value: entropy([0.5, 0.5], base=v), ["base"], shown(value))
        if not (isinstance(value, int) and 10**4 < value < 2**63):
            is_right(lambda v=value: matrix([0, 0], [0, 0], v), ["classes", "y_"], shown(value))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: fastmlp.MLP([3, 2], input_scale=10**400), "input_scale must be finite"),
        (lambda: fastmlp.MLP([3, 2], input_scale=1e-50), "input_scale must not be .* float32"),
        (lambda: fastmlp.MLP([3, 2], initializer=fastmlp.Constant(3.5e38)), "value must .*float32"),
        (lambda: trained("float32", {"optimizer": fastmlp.SGD(1e39)}), "learning_rate .*float32"),
        (lambda: trained("float32", {"optimizer": fastmlp.SGD(l2=1e39)}), "l2 .*float32"),
        (
            lambda: trained("float32", {"optimizer": fastmlp.SGD(schedules.Constant(1e39))}),
            "learning_rate .*float32",
        ),
        (lambda: trained("float32", input_dropout=1 - 1e-12), "input_dropout .*float32"),
        (lambda: trained("float32", {"averaging": fastmlp.EMA(1 - 1e-12)}), "decay .*float32"),
    ],
)
def test_messages_name_the_argument_the_type_and_the_cure(use, message):
    with pytest.raises(ValueError, match=message) as caught:
        use()
    assert (
        "10**400" in message or "float64" in str(caught.value) or "too large" in str(caught.value)
    )


@pytest.mark.parametrize("weight", [1e-40, 3e38])
def test_weights_that_the_core_cannot_divide_by(weight):
    for fit in (
        {"sample_weight": np.full(12, weight)},
        {"class_weight": {0: weight, 1: weight}},
    ):
        with pytest.raises(ValueError, match="_weight.* must be 0 or at least .* divide"):
            trained("float32", fit)


def test_what_single_precision_cannot_hold_double_can():
    assert np.isfinite(trained("float64", input_scale=1e-50)).all()
    assert np.isfinite(trained("float64", {"optimizer": fastmlp.SGD(l2=1e-50)})).all()


ESTIMATOR = ("alpha", "batch_size", "learning_rate_init", "power_t", "max_iter", "tol", "momentum")
ESTIMATOR += ("validation_fraction", "beta_1", "beta_2", "epsilon", "n_iter_no_change", "max_fun")
ESTIMATOR += ("dropout", "input_dropout", "n_threads", "hidden_layer_sizes", "random_state")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("solver", ["sgd", "adam", "lbfgs"])
def test_estimators(solver):
    pytest.importorskip("sklearn")
    for name in ESTIMATOR:
        for value in HOSTILE:
            if name in ("hidden_layer_sizes", "max_iter") and isinstance(value, (int, Fraction)):
                continue  # takes as long as it is told to
            if isinstance(value, (Fraction, Decimal)) or value is HUGE:
                continue  # scikit-learn's own checks take no such numbers
            for dtype in (np.float32, np.float64):

                def use(name=name, value=value, dtype=dtype):
                    options = {"max_iter": 2, "hidden_layer_sizes": 3, "solver": solver}
                    estimator = fastmlp.MLPClassifier(**{**options, name: value})
                    estimator.fit(X.astype(dtype), Y)
                    return estimator.predict_proba(X)

                case = (solver, name, shown(value), dtype.__name__)
                is_right(use, [name, "non-finite parameter"], case)
