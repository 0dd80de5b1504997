"""Error bounds that are derived, and checkers that refuse a bound too weak to catch an error.

Notation follows Higham, Accuracy and Stability of Numerical Algorithms (2002): u is the unit
round-off, gamma_k = k u / (1 - k u) bounds the relative error of k rounded operations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from support.reference import Network, activation_derivative, softmax

Array = NDArray[np.floating]

# A bound above this share of the result's scale would let wrong results pass.
WEAKEST_BOUND = 0.01


def unit_roundoff(dtype: DTypeLike) -> float:
    return float(np.finfo(dtype).eps) / 2


def gamma(k: int, dtype: DTypeLike) -> float:
    ku = k * unit_roundoff(dtype)
    assert ku < 1, f"gamma_{k} does not exist in {dtype}"
    return ku / (1 - ku)


def assert_within(actual: ArrayLike, exact: ArrayLike, bound: ArrayLike, what: str = "") -> None:
    """Assert |actual - exact| <= bound for all elements, with a bound that is not too weak."""
    actual, exact, bound = np.asarray(actual), np.asarray(exact), np.asarray(bound)
    assert actual.shape == exact.shape, f"{what}: shape {actual.shape}, expected {exact.shape}"
    scale = float(np.max(np.abs(exact)))
    assert np.max(bound) <= WEAKEST_BOUND * scale, (
        f"{what}: the bound {np.max(bound):.3g} is not meaningful for results of size {scale:.3g}"
    )
    error = np.abs(actual.astype(np.longdouble) - exact)
    # Written so that NaN fails: no comparison with NaN is true.
    good = error <= bound
    if not np.all(good):
        where = tuple(int(i) for i in np.argwhere(~good)[0])
        raise AssertionError(
            f"{what}: {np.count_nonzero(~good)} of {good.size} elements off, first at {where}: "
            f"{actual[where]!r}, expected {exact[where]!r}"
        )


def assert_product(actual: Array, a: Array, b: Array, what: str = "") -> None:
    """Assert that `actual` is a @ b by k fused multiply-adds per element, in any order."""
    a64, b64 = a.astype(np.longdouble), b.astype(np.longdouble)
    magnitudes = np.abs(a64) @ np.abs(b64)
    assert_within(actual, a64 @ b64, gamma(a.shape[1], actual.dtype) * magnitudes, what)


def assert_same_bits(actual: Array, expected: Array, what: str = "") -> None:
    """Assert equality to the last bit, with signs of zeros; any NaN equals any NaN."""
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype}, expected {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: {actual.shape}, expected {expected.shape}"
    integer = np.dtype(f"u{actual.dtype.itemsize}")
    bits, wanted = (np.ascontiguousarray(v).view(integer) for v in (actual, expected))
    different = bits != wanted
    if actual.dtype.kind == "f":
        different &= ~(np.isnan(actual) & np.isnan(expected))
    if np.any(different):
        where = tuple(int(i) for i in np.argwhere(different)[0])
        raise AssertionError(
            f"{what}: {np.count_nonzero(different)} of {bits.size} elements differ, first at "
            f"{where}: {actual[where]!r} and {expected[where]!r}"
        )


def ulp_errors(actual: Array, exact: NDArray[np.longdouble]) -> NDArray[np.longdouble]:
    """Return the error of each element in units in the last place of the exact value.

    Below the normal range one unit is the smallest subnormal number.  An infinity is only right
    where the exact value rounds to one, and is then free of error; a NaN where NaN is exact.
    """
    info = np.finfo(actual.dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        rounded = exact.astype(actual.dtype)
        exponent = np.frexp(np.where(np.isfinite(exact), exact, 0))[1] - 1
        exponent = np.where(exact == 0, info.minexp, np.maximum(exponent, info.minexp))
        ulp = np.ldexp(np.longdouble(1), exponent - info.nmant)
        error = np.abs(actual.astype(np.longdouble) - exact) / ulp
    agree = (actual == rounded) & np.isinf(rounded)
    agree |= np.isnan(actual) & np.isnan(exact)
    error = np.where(agree, np.longdouble(0), error)
    return np.where(np.isnan(error), np.longdouble(np.inf), error)


def relative_error(actual: list[Array], expected: list[Array]) -> float:
    """Return the largest max |difference| / max |expected| of the arrays."""
    worst = 0.0
    for a, e in zip(actual, expected, strict=True):
        assert a.shape == e.shape
        error = float(np.max(np.abs(a - e))) / float(np.max(np.abs(e)))
        assert np.isfinite(error)
        worst = max(worst, error)
    return worst


# ---------------------------------------------------------------- a whole training step


# Relative error allowed to sigmoid and tanh, in units of u: 3 ulp are at most 6 u.
ELEMENTWISE_ROUNDOFFS = 6


class RunningErrorBound:
    """Bound on |float32 parameters - float64 oracle|, carried along the oracle's own steps.

    First-order running error analysis (Higham, section 3.3).  Every quantity q of a step has a
    companion `eq` >= |computed q - exact q|: the propagated bounds of its inputs plus its own
    rounding errors.  The bound grows with the steps, because each step starts from the last one's.
    """

    def __init__(self, net: Network, dtype: DTypeLike) -> None:
        self.dtype = dtype
        self.u = unit_roundoff(dtype)
        self.weights = [np.zeros_like(w) for w in net.weights]
        self.biases = [np.zeros_like(b) for b in net.biases]
        self.velocities = [
            (np.zeros_like(w), np.zeros_like(b))
            for w, b in zip(net.weights, net.biases, strict=True)
        ]

    def step(
        self, net: Network, x: Array, y: NDArray, learning_rate: float, momentum: float, l2: float
    ) -> None:
        """Advance by the step that `net.step` (no Nesterov) is about to take."""
        outputs = net.layer_outputs(x)
        errors, derivative_errors = self._forward(net, outputs)
        doutput, edoutput = self._loss(net, outputs[-1], errors[-1], y)
        updates = []
        for layer in reversed(range(len(net.weights))):
            w, ew = net.weights[layer], self.weights[layer]
            derivative = activation_derivative(net.activation_of(layer), outputs[layer + 1])
            dz = doutput * derivative
            edz = edoutput * (derivative + derivative_errors[layer])
            edz += np.abs(doutput) * derivative_errors[layer] + 2 * self.u * np.abs(dz)
            inputs, einputs = np.abs(outputs[layer]), errors[layer]
            rounding = gamma(len(x), self.dtype) * np.abs(dz)
            edw = inputs.T @ (edz + rounding) + einputs.T @ (np.abs(dz) + edz)
            edb = (edz + rounding).sum(axis=0)
            updates.append((layer, inputs.T @ np.abs(dz), edw, np.abs(dz).sum(axis=0), edb))
            edoutput = edz @ (np.abs(w) + ew).T + np.abs(dz) @ ew.T
            edoutput += gamma(w.shape[1], self.dtype) * (np.abs(dz) @ np.abs(w).T)
            doutput = dz @ w.T
        for layer, dw, edw, db, edb in updates:
            rate = (learning_rate, momentum)
            ew, evw = self._update(net, layer, 0, dw, edw, *rate, l2)
            eb, evb = self._update(net, layer, 1, db, edb, *rate, 0.0)
            self.weights[layer], self.biases[layer] = ew, eb
            self.velocities[layer] = (evw, evb)

    def _forward(self, net: Network, outputs: list[Array]) -> tuple[list[Array], list[Array]]:
        """Return bounds for the layers' outputs and for their activations' derivatives."""
        errors = [2 * self.u * np.abs(outputs[0])]  # input_scale and the product with it
        derivative_errors = []
        for layer, w in enumerate(net.weights):
            a, ea, ew = np.abs(outputs[layer]), errors[layer], self.weights[layer]
            size = a @ np.abs(w) + np.abs(net.biases[layer])
            ez = ea @ (np.abs(w) + ew) + a @ ew + self.biases[layer]
            ez += gamma(w.shape[0] + 1, self.dtype) * size
            name, out = net.activation_of(layer), outputs[layer + 1]
            rounding = ELEMENTWISE_ROUNDOFFS * self.u
            if name in ("identity", "relu"):  # exact, derivative at most 1
                errors.append(ez)
                # A pre-activation within its error of 0 may sit on either side of the kink.
                near_kink = outputs[layer] @ w + net.biases[layer]
                unsure = (np.abs(near_kink) <= ez) if name == "relu" else np.zeros_like(ez)
                derivative_errors.append(unsure.astype(np.float64))
            elif name == "sigmoid":  # derivative at most 1/4, |s'| = |1 - 2 out| <= 1
                errors.append(ez / 4 + rounding * out)
                derivative_errors.append(errors[-1] + 2 * self.u)
            else:  # tanh: derivative at most 1, |s'| = 2 |out| <= 2
                errors.append(ez + rounding * np.abs(out))
                derivative_errors.append(2 * errors[-1] + 2 * self.u)
        return errors, derivative_errors

    def _loss(self, net: Network, out: Array, eout: Array, y: NDArray) -> tuple[Array, Array]:
        """Return the derivative of the loss by the outputs and its bound."""
        if net.loss == "mse":
            doutput = 2 * (out - y) / len(out)
            own = self.u * (np.abs(y) + 4 * np.abs(out - y))
            return doutput, 2 * (eout + own) / len(out)
        p = softmax(out)
        classes = out.shape[1]
        # dp_i = p_i (e_i - sum p_j e_j), so at most 2 p_i max e; the rest is softmax's own rounding
        # (shift, exp, sum, divide), whose shift error scales with the spread of the logits.
        spread = out.max(axis=1, keepdims=True) - out.min(axis=1, keepdims=True)
        own = (classes + 8 + 2 * spread) * self.u
        ep = p * (2 * eout.max(axis=1, keepdims=True) + own)
        p[np.arange(len(y)), y] -= 1
        return p / len(out), (ep + 4 * self.u * np.abs(p)) / len(out)

    def _update(
        self,
        net: Network,
        layer: int,
        kind: int,
        size: Array,
        eg: Array,
        learning_rate: float,
        momentum: float,
        l2: float,
    ) -> tuple[Array, Array]:
        """Return bounds after v' = mu v - lr (g + l2 w), w' = w + v', with a few roundings each."""
        value = np.abs((net.weights, net.biases)[kind][layer])
        ew = (self.weights, self.biases)[kind][layer]
        velocity, ev = np.abs(net.velocities[layer][kind]), self.velocities[layer][kind]
        step_size = momentum * velocity + learning_rate * (size + l2 * value)
        ev = momentum * ev + learning_rate * (eg + l2 * ew) + 8 * self.u * step_size
        return ew + ev + self.u * (value + step_size), ev
