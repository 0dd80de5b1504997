"""Digits that are left: every activation and every loss against values that lose none.

The exact values are of 80-bit long double arithmetic, in forms that do not cancel. Every function
of the core has an entry here, what it may lose and why; a new one without an entry fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest

from fastmlp import _core
from fastmlp.activations import ACTIVATIONS
from support import reference, reference_activations, reference_losses
from support.activation_bounds import exact
from support.elementwise import SAMPLES
from support.tolerance import ulp_errors, unit_roundoff

kernels = _core.kernels
SINGLE = np.float32

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double as the reference"
)


# ---------------------------------------------------------------- activations


@dataclass(frozen=True)
class Digits:
    """Largest error in ulps of the value and of the derivative, over all of float32.

    Between two z the derivative may be off by `absolute` in units of u instead. Nothing is promised
    below `from_z`, where a factor is subnormal.
    """

    value: float
    derivative: float
    absolute: float = 0.0
    between: tuple[float, float] = (-np.inf, np.inf)
    from_z: float = -np.inf


# Derivatives of sigmoid and tanh come from the stored output, which costs nothing and keeps the
# digits of 1 - output: u absolute. Those of silu, mish and both gelus cross zero, where terms of
# size 1 cancel. The exponent of the tanh form of gelu is a rounded polynomial, whose error grows
# with it.
ROOT = (-2, 0)
ACTIVATION_DIGITS = {
    "identity": Digits(0, 0),
    "step": Digits(0, 0),
    "sign": Digits(0, 0),
    "relu": Digits(0, 0),
    "leaky_relu": Digits(0.5, 0),
    "hard_sigmoid": Digits(1.5, 0.5),
    "sigmoid": Digits(3, 4, absolute=3, between=(0, np.inf)),
    "tanh": Digits(3, 0, absolute=6),
    "elu": Digits(1, 1),
    "selu": Digits(2, 2.5),
    "softplus": Digits(2, 3),
    "silu": Digits(4, 6, absolute=4, between=ROOT, from_z=-87),
    "mish": Digits(4, 6, absolute=4, between=(-3, 0), from_z=-87),
    "gelu": Digits(8, 10, absolute=4, between=ROOT),
    "gelu_tanh": Digits(200, 250, absolute=8, between=ROOT),
}


def sample_of(name: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    dense = [rng.uniform(-r, r, 20_000) for r in (0.1, 1, 4, 10, 20, 105)]
    corners = [c + s * 10.0 ** rng.uniform(-7, 0, 2000) for c in (-3, 0, 3) for s in (-1, 1)]
    z = np.concatenate([SAMPLES["float32"][::3], *dense, *corners]).astype(SINGLE)
    return z[::4] if name == "gelu" else z


def errors_of(name: str):
    """z, errors of value and derivative in ulps, of the derivative also in units of u."""
    z = sample_of(name)
    z = z[z >= ACTIVATION_DIGITS[name].from_z]
    parameter = float(SINGLE({"leaky_relu": 0.01, "elu": 1.0}.get(name, 0.0)))
    value, derivative = kernels.activation(name, z[None], np.zeros_like(z), parameter=parameter)
    with np.errstate(all="ignore"):
        exact_value, exact_derivative = exact(name, z, parameter)
    absolute = np.abs(derivative[0].astype(np.longdouble) - exact_derivative) / unit_roundoff(
        SINGLE
    )
    return (
        z,
        ulp_errors(value[0], exact_value),
        ulp_errors(derivative[0], exact_derivative),
        absolute,
    )


def test_every_activation_has_an_entry():
    assert set(ACTIVATION_DIGITS) == set(kernels.names["activation"]) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATION_DIGITS)
def test_digits_of_an_activation(name):
    digits = ACTIVATION_DIGITS[name]
    z, value, derivative, absolute = errors_of(name)
    worst = int(np.argmax(value))
    assert value[worst] <= digits.value, f"value at {z[worst]!r} is off by {value[worst]:.3g} ulp"
    between = (z >= digits.between[0]) & (z <= digits.between[1])
    derivative = np.where(between & (absolute <= digits.absolute), 0, derivative)
    worst = int(np.argmax(derivative))
    assert derivative[worst] <= digits.derivative, (
        f"derivative at {z[worst]!r} is off by {derivative[worst]:.3g} ulp"
    )


def test_corners_are_exact(isa, dtype):
    """Piecewise functions where their pieces meet and just beside."""
    three = np.array([-3, 3], dtype)
    inside, outside = (np.nextafter(three, toward) for toward in (0, 10 * three))
    for z, expected in ((three, [0, 1]), (outside, [0, 1])):
        z = z.astype(dtype)
        value, derivative = kernels.activation("hard_sigmoid", z[None], 0 * z, isa=isa)
        np.testing.assert_array_equal(value[0], expected)
        np.testing.assert_array_equal(derivative[0], [0, 0])
        np.testing.assert_array_equal(reference_activations.value("hard_sigmoid", z), expected)
    value, derivative = kernels.activation(
        "hard_sigmoid", inside[None].astype(dtype), 0 * three, isa=isa
    )
    assert 0 < value[0, 0] < 1e-6
    assert 1 - 1e-6 < value[0, 1] <= 1
    np.testing.assert_array_equal(derivative[0], np.array([1, 1], dtype) / 6)
    for name, limits in {
        "sigmoid": (0, 1),
        "tanh": (-1, 1),
        "elu": (-1, 1e4),
        "silu": (0, 1e4),
        "mish": (0, 1e4),
    }.items():
        far = np.array([-1e4, 1e4], dtype)
        value, derivative = kernels.activation(name, far[None], 0 * far, parameter=1.0, isa=isa)
        np.testing.assert_array_equal(value[0], limits)
        assert derivative[0, 0] == 0


# ---------------------------------------------------------------- losses

MARGINS = np.concatenate([np.linspace(0, 100, 4001), np.linspace(0, 1, 1001)])
LOGITS = MARGINS[:, None]
LOG_RATES = np.linspace(-80, 80, 4001)
DIFFERENCES = np.concatenate(
    [s * 10.0 ** np.linspace(-12, 4, 4001) for s in (-1, 1)] + [np.zeros(1)]
)


@dataclass(frozen=True)
class LossDigits:
    """Largest error of row loss and derivative in units of u, relative to a size.

    The size is the exact one, or `size(outputs, targets)` of the terms that cancel in it.
    """

    roundoffs: float
    outputs: np.ndarray
    targets: object
    size: object = None
    parameter: float = 0.0


def two_classes():
    return np.stack([MARGINS, 0 * MARGINS], axis=1)


def poisson_size(o, t):
    return np.exp(o) + np.abs(t * o) + np.abs(t)


def shared_size(o, t):
    """A target between yes and no: its distance from the nearer one and that of sigma cancel."""
    smaller = reference.sigmoid(-np.abs(o))
    return (smaller + np.where(o < 0, t, 1 - t)) * (1 + np.abs(o))


def hinge_size(scores, labels):
    return 1 + np.abs(scores).sum(axis=1, keepdims=True)


LOSS_DIGITS = {
    "softmax_cross_entropy": [LossDigits(8, two_classes(), label) for label in (0, 1)],
    "binary_cross_entropy": [
        *(LossDigits(8, o, t) for o in (LOGITS, -LOGITS) for t in (0.0, 1.0)),
        *(LossDigits(8, o, t, shared_size) for o in (LOGITS, -LOGITS) for t in (0.75, 0.999)),
    ],
    "hinge": [LossDigits(3, two_classes(), label, hinge_size) for label in (0, 1)],
    "mse": [LossDigits(3, DIFFERENCES[:, None], t) for t in (0.0, 1.0, 1e6)],
    "half_mse": [LossDigits(3, DIFFERENCES[:, None], t) for t in (0.0, 1.0)],
    "mae": [LossDigits(1, DIFFERENCES[:, None], t) for t in (0.0, 1.0)],
    "huber": [
        LossDigits(5, DIFFERENCES[:, None], t, parameter=d) for t in (0.0, 1.0) for d in (1.0, 0.3)
    ],
    "poisson": [
        LossDigits(5, np.linspace(-80, 80, 4001)[:, None], t, poisson_size) for t in (0.0, 3.0)
    ],
    "quantile": [LossDigits(3, DIFFERENCES[:, None], t, parameter=0.3) for t in (0.0, 1.0)],
}


def test_every_loss_has_an_entry():
    without_kernel = {"user_defined"}
    assert set(LOSS_DIGITS) == set(kernels.names["loss"]) - without_kernel


@pytest.mark.parametrize(
    ("name", "case"),
    [(name, case) for name, cases in LOSS_DIGITS.items() for case in cases],
    ids=[f"{name}-{i}" for name, cases in LOSS_DIGITS.items() for i in range(len(cases))],
)
def test_digits_of_a_loss(name, case, dtype):
    outputs = case.outputs.astype(dtype)
    if name in ("softmax_cross_entropy", "hinge"):
        targets = wide_targets = np.full(len(outputs), case.targets)
    else:
        targets = np.full(outputs.shape, case.targets, dtype)
        wide_targets = targets.astype(np.longdouble)
    parameter = float(np.dtype(dtype).type(case.parameter))
    row_loss, gradient, _ = kernels.loss(name, outputs, targets, 1.0, parameter=parameter)
    o = outputs.astype(np.longdouble)
    options = {"huber": {"delta": parameter}, "quantile": {"levels": parameter}}.get(name, {})
    exact_loss, exact_gradient = reference_losses.LOSSES[name](o, wide_targets, **options)
    u, tiny = unit_roundoff(dtype), 4 * np.finfo(dtype).smallest_subnormal
    for got, expected in ((row_loss[:, None], exact_loss[:, None]), (gradient, exact_gradient)):
        size = np.abs(expected) if case.size is None else case.size(o, wide_targets)
        error = np.abs(got - expected) - tiny
        off = error > case.roundoffs * u * size
        where = np.argwhere(off)
        assert not np.any(off), (
            f"{name} of {outputs[where[0][0]]} toward {case.targets}: {got[tuple(where[0])]!r}, "
            f"expected {expected[tuple(where[0])]!r}"
        )


@pytest.mark.parametrize("margin", [1, 15, 17, 40, 80])
@pytest.mark.parametrize("columns", [2, 10, 33])
@pytest.mark.parametrize("label", [0, -1])
def test_a_sure_row_keeps_its_digits(margin, columns, label, isa, dtype):
    """log1p((K - 1) e^-margin), and the same less than 1 in the gradient, classes and shares."""
    logits = np.zeros((1, columns), dtype)
    logits[0, label] = margin
    rest = (columns - 1) * np.exp(-np.longdouble(margin))
    shares = np.zeros_like(logits)
    shares[0, label] = 1
    for targets in (np.array([label % columns]), shares):
        loss, gradient, _ = kernels.loss("softmax_cross_entropy", logits, targets, 1.0, isa=isa)
        rtol = 16 * unit_roundoff(dtype)
        np.testing.assert_allclose(loss, [float(np.log1p(rest))], rtol=rtol)
        np.testing.assert_allclose(gradient[0, label], float(-rest / (1 + rest)), rtol=rtol)
        others = np.delete(gradient[0], label)
        np.testing.assert_allclose(
            others, float(np.exp(-np.longdouble(margin)) / (1 + rest)), rtol=rtol
        )


def test_the_first_of_equal_maxima(isa, dtype):
    """All equal, and two equal of three; the derivative sees no difference between them."""
    logits = np.array([[0, 0, 0], [5, 5, -1e30], [1e38, 1e38, 1e38]], dtype)
    loss, gradient, correct = kernels.loss(
        "softmax_cross_entropy", logits, np.array([1, 0, 2]), 1.0, isa=isa
    )
    np.testing.assert_allclose(loss, np.log([3, 2, 3]), rtol=4 * unit_roundoff(dtype))
    expected = np.array([[1 / 3, -2 / 3, 1 / 3], [-0.5, 0.5, 0], [1 / 3, 1 / 3, -2 / 3]])
    np.testing.assert_allclose(gradient, expected, rtol=4 * unit_roundoff(dtype))
    np.testing.assert_array_equal(correct, [0, 1, 0])


def test_what_is_not_finite_shows_in_the_loss(isa, dtype):
    """At every place, as label or not, where the others are smaller, equal or larger."""
    for bad, columns, other in product((np.nan, np.inf), (1, 2, 3, 17), (0, -np.inf, 1e30)):
        for place in range(columns):
            logits = np.full((columns, columns), other, dtype)
            logits[:, place] = bad
            for targets in (np.arange(columns), np.eye(columns, dtype=dtype)):
                loss = kernels.loss("softmax_cross_entropy", logits, targets, 1.0, isa=isa)[0]
                assert not np.any(np.isfinite(loss)), (bad, columns, place, other)
