"""Losses with their targets, their exact values by the oracle, and bounds of errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastmlp import _core
from support import reference, reference_losses
from support.strategies import normals
from support.tolerance import gamma, unit_roundoff

kernels = _core.kernels
SCALE = 1 / 128


@dataclass(frozen=True)
class Case:
    """A loss, the kind of its targets, and its parameter or smoothing."""

    name: str
    targets: str = "normals"
    parameter: float = 0.0
    smoothing: float = 0.0

    def __str__(self) -> str:
        options = [str(number) for number in (self.parameter, self.smoothing) if number]
        return "-".join([self.name, self.targets, *options])

    @property
    def has_classes(self) -> bool:
        return self.targets in ("classes", "shares")

    def run(self, outputs, targets, scale=SCALE, isa=None):
        options = {"parameter": self.parameter, "smoothing": self.smoothing, "isa": isa}
        return kernels.loss(self.name, outputs, targets, scale, **options)

    def exact(self, outputs, targets):
        """Return row losses and derivatives by the oracle, with options rounded as in the core."""
        rounded = [float(outputs.dtype.type(number)) for number in (self.parameter, self.smoothing)]
        options = {"huber": {"delta": rounded[0]}, "quantile": {"levels": rounded[0]}}
        options |= {"softmax_cross_entropy": {"label_smoothing": rounded[1]}}
        if targets.dtype.kind == "f":
            targets = targets.astype(np.longdouble)
        loss = reference_losses.LOSSES[self.name]
        return loss(outputs.astype(np.longdouble), targets, **options.get(self.name, {}))


SOFTMAX = [
    Case("softmax_cross_entropy", targets, smoothing=smoothing)
    for targets in ("classes", "shares")
    for smoothing in (0.0, 0.1)
]
HINGE = Case("hinge", "classes")
BINARY = Case("binary_cross_entropy", "yes or no")
ELEMENTWISE = [
    BINARY,
    Case("binary_cross_entropy", "uniforms"),
    Case("mse"),
    Case("half_mse"),
    Case("mae"),
    Case("huber", parameter=1.0),
    Case("huber", parameter=0.3),
    Case("poisson", "counts"),
    *(Case("quantile", parameter=level) for level in (0.1, 0.5, 0.9)),
]


def targets_of(case, rng, shape, dtype):
    if case.targets == "classes":
        return rng.integers(0, shape[1], shape[0])
    draw = {
        "shares": lambda: rng.dirichlet(np.ones(shape[1]), shape[0]),
        "yes or no": lambda: rng.integers(0, 2, shape),
        "uniforms": lambda: rng.uniform(0, 1, shape),
        "counts": lambda: rng.poisson(2, shape),
        "normals": lambda: rng.standard_normal(shape),
    }
    return draw[case.targets]().astype(dtype)


def sample(case, shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    outputs = 3 * normals(rng, shape, dtype)
    return outputs, targets_of(case, rng, shape, dtype)


def as_targets(case, labels, columns, dtype):
    """Return labels in the form that the case takes."""
    return labels if case.targets == "classes" else np.eye(columns, dtype=dtype)[labels]


def right_rows(case, outputs, targets):
    """Return whether rows lead to the right class or classes; none if targets are values."""
    if case.has_classes:
        labels = targets if targets.ndim == 1 else targets.argmax(axis=1)
        return outputs.argmax(axis=1) == labels
    if case.name == "binary_cross_entropy":
        return ((outputs > 0) == (targets > 0.5)).all(axis=1)
    return np.zeros(len(outputs), bool)


def additions(columns):
    """Return the additions of a sum over outputs: one per 16 outputs, four to join the lanes."""
    return -(-columns // 16) + 4


def softmax_bounds(case, outputs, targets):
    """Return bounds of the row loss mass * log1p(rest) + gap and of the derivative.

    The rest is the sum of exponentials without the first maximum. Shifting by the maximum adds
    an error of u * (maximum - logit) to the exponent; exp and log1p count 4 u each,
    other operations 1; a smoothed share is rounded four times.
    """
    logits, columns = outputs.astype(np.longdouble), outputs.shape[1]
    u, rows, first = unit_roundoff(outputs.dtype), np.arange(len(outputs)), outputs.argmax(axis=1)
    shares = np.eye(columns)[targets] if targets.ndim == 1 else targets.astype(np.longdouble)
    shares = (1 - case.smoothing) * shares + case.smoothing / columns
    mass = shares.sum(axis=1)
    below = logits.max(axis=1, keepdims=True) - logits
    others = np.exp(-below)
    others[rows, first] = 0
    rest = others.sum(axis=1)
    roundings = gamma(additions(columns) + 8, outputs.dtype)
    rest_error = roundings * rest + u * (others * below).sum(axis=1)
    loss_bound = mass * rest_error / (1 + rest)
    loss_bound += roundings * (mass * np.log1p(rest) + (shares * below).sum(axis=1))
    p = others / (1 + rest[:, None]) * mass[:, None]
    share_error = rest_error / (1 + rest)
    bound = (2 * share_error[:, None] + 2 * roundings + u * below) * p + 6 * u * shares
    # At the first maximum (sum of the other shares - share * rest) / (1 + rest).
    at_first = shares[rows, first]
    terms = (mass - at_first + at_first * rest) / (1 + rest)
    bound[rows, first] = at_first * share_error + (roundings + share_error) * terms
    return loss_bound, bound


def hinge_bounds(outputs, labels):
    """Return bounds of the sum of the margins z_j - z_y + 1; derivatives are counts."""
    scores, u = outputs.astype(np.longdouble), unit_roundoff(outputs.dtype)
    gap = scores - np.take_along_axis(scores, labels[:, None], axis=1)
    roundings = u * (np.abs(gap) + np.abs(gap + 1))
    assert np.all(np.abs(gap + 1) > roundings), "a margin is too near to 0 for its sign to be sure"
    margins = np.maximum(gap + 1, 0).sum(axis=1)
    adding = gamma(additions(outputs.shape[1]), outputs.dtype)
    return roundings.sum(axis=1) + adding * margins, np.zeros(outputs.shape)


def elementwise_bounds(case, outputs, targets):
    o, t = outputs.astype(np.longdouble), targets.astype(np.longdouble)
    loss, derivative = (
        np.abs(one).reshape(o.shape)
        for one in case.exact(outputs.reshape(-1, 1), targets.reshape(-1, 1))
    )
    # Differences, and their products with themselves or with a rounded 1 - level.
    loss_roundoffs, derivative_roundoffs = 3 * loss, derivative
    if case.name == "mae":
        loss_roundoffs, derivative_roundoffs = loss, 0 * derivative
    elif case.name == "huber":
        loss_roundoffs = case.parameter * np.abs(o - t) + 3 * loss
    elif case.name == "poisson":  # exp counts 4
        loss_roundoffs, derivative_roundoffs = 4 * np.exp(o) + loss, 4 * np.exp(o) + derivative
    elif case.name == "binary_cross_entropy":
        # log1p(exp(-|z|)) counts 5, see test_activations.py; what is added to it has no other sign.
        # The smaller of s and 1 - s counts 6; 1 - t is exact from 1/2 on, and for t = 0.
        rounded = np.where((o >= 0) & (t > 0) & (t < 0.5), 1 - t, 0)
        loss_roundoffs = 7 * loss
        derivative_roundoffs = 6 * reference.sigmoid(-np.abs(o)) + rounded + derivative
    u, adding = unit_roundoff(outputs.dtype), gamma(additions(o.shape[1]), outputs.dtype)
    return u * loss_roundoffs.sum(axis=1) + adding * loss.sum(axis=1), u * derivative_roundoffs


def bounds_of(case, outputs, targets):
    """Return bounds of row losses and of derivatives."""
    if case == HINGE:
        return hinge_bounds(outputs, targets)
    bounds = softmax_bounds if case in SOFTMAX else elementwise_bounds
    return bounds(case, outputs, targets)
