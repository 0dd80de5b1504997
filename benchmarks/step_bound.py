"""Probabilistic error bound for whole training steps in float32.

The worst case multiplies a rounding error by the absolute row sums of every layer, which for wide
layers says nothing. Here roundings are independent with mean zero, the model of Higham and Mary
(SIAM J. Sci. Comput. 41, 2019), in which a sum of k terms is off by lambda sqrt(k) u |a| |b|:
each quantity of the float64 oracle carries a standard deviation, propagated to first order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from support.reference import Network, activation_derivative, softmax
from support.tolerance import ELEMENTWISE_ROUNDOFFS, WEAKEST_BOUND, unit_roundoff

Array = NDArray[np.float64]
# Deviations that an error may reach: in the model each element stays below with 1 - 2 exp(-18).
LAMBDA = 6.0
U = unit_roundoff(np.float32)


def assert_update(actual: Array, exact: Array, bound: Array, what: str) -> None:
    """Assert that elements are within their bounds, and most bounds small enough to be useful.

    Not all of them: where a unit sits on the kink of a relu, the gradients that pass through it
    are uncertain by a whole sample's share.
    """
    telling = np.mean(bound <= WEAKEST_BOUND * np.max(np.abs(exact)))
    assert telling >= 0.5, f"{what}: only {telling:.0%} of the bounds are meaningful"
    good = np.abs(actual - exact) <= bound  # false for NaN
    assert np.all(good), f"{what}: {np.count_nonzero(~good)} of {good.size} elements are off"


def product_variance(a: Array, va: Array, b: Array, vb: Array) -> Array:
    """Variance of computed a @ b: that of the operands and that of k rounded additions."""
    rounding = a.shape[1] * U**2 * (np.abs(a) @ np.abs(b)) ** 2
    return va @ (b * b + vb) + (a * a) @ vb + rounding


class StepBound:
    """Deviations of float32 parameters from the oracle's, carried along the oracle's steps."""

    def __init__(self, net: Network) -> None:
        self.parameters = [(np.zeros_like(w), np.zeros_like(b)) for w, b in _layers(net)]
        self.velocities = [(np.zeros_like(w), np.zeros_like(b)) for w, b in _layers(net)]

    def bounds(self) -> tuple[list[Array], list[Array]]:
        """Bounds on the error of every weight and bias."""
        weights, biases = zip(*self.parameters, strict=True)
        return [LAMBDA * w for w in weights], [LAMBDA * b for b in biases]

    def step(self, net: Network, x: NDArray, y: NDArray, rate: float, momentum: float) -> None:
        """Advance by the step that `net.step` is about to take."""
        outputs, variances, derivative_variances = self._forward(net, x)
        d, vd = self._loss(outputs[-1], variances[-1], y)
        updates = []
        for layer in reversed(range(len(net.weights))):
            w, vw = net.weights[layer], self.parameters[layer][0] ** 2
            derivative = activation_derivative(net.activation_of(layer), outputs[layer + 1])
            dz = d * derivative
            vdz = (
                vd * (derivative**2 + derivative_variances[layer])
                + d * d * derivative_variances[layer]
                + (2 * U * dz) ** 2
            )
            a, va = outputs[layer], variances[layer]
            vdw = product_variance(a.T, va.T, dz, vdz)
            vdb = vdz.sum(axis=0) + len(x) * (U * np.abs(dz).sum(axis=0)) ** 2
            updates.append((layer, 0, a.T @ dz, vdw))
            updates.append((layer, 1, dz.sum(axis=0), vdb))
            if layer:
                d, vd = dz @ w.T, product_variance(dz, vdz, w.T, vw.T)
        for layer, kind, gradient, variance in updates:
            self._update(net, layer, kind, gradient, np.sqrt(variance), rate, momentum)

    def _forward(self, net: Network, x: NDArray) -> tuple[list[Array], list[Array], list[Array]]:
        outputs = net.layer_outputs(x)
        variances = [(2 * U * outputs[0]) ** 2]  # the input scale and the product with it
        derivative_variances = []
        for layer, w in enumerate(net.weights):
            dw, db = self.parameters[layer]
            vz = product_variance(outputs[layer], variances[layer], w, dw * dw)
            z = outputs[layer] @ w + net.biases[layer]
            vz += db * db + (U * z) ** 2
            name, out = net.activation_of(layer), outputs[layer + 1]
            if name == "relu":
                variances.append(vz)
                # Within its error of 0 a unit may be computed on the other side of the kink. Such a
                # flip changes the derivative by 1, once, so 1 is the bound and not the deviation.
                derivative_variances.append((np.abs(z) <= LAMBDA * np.sqrt(vz)) / LAMBDA**2)
            elif name == "sigmoid":  # first derivative at most 1/4, second at most 1
                variances.append(vz / 16 + (ELEMENTWISE_ROUNDOFFS * U * out) ** 2)
                derivative_variances.append(variances[-1] + (2 * U) ** 2)
            else:
                assert name == "identity", name
                variances.append(vz)
                derivative_variances.append(np.zeros_like(vz))
        return outputs, variances, derivative_variances

    @staticmethod
    def _loss(logits: Array, variance: Array, y: NDArray) -> tuple[Array, Array]:
        """Softmax minus one-hot over the batch: dp_i = p_i (e_i - sum p_j e_j), and roundings."""
        p = softmax(logits)
        spread = logits.max(axis=1, keepdims=True) - logits.min(axis=1, keepdims=True)
        own = (logits.shape[1] + 8 + 2 * spread) * U
        deviation = p * (2 * np.sqrt(variance.max(axis=1, keepdims=True)) + own)
        p[np.arange(len(y)), y] -= 1
        deviation += 4 * U * np.abs(p)
        return p / len(y), (deviation / len(y)) ** 2

    def _update(
        self,
        net: Network,
        layer: int,
        kind: int,
        gradient: Array,
        deviation: Array,
        rate: float,
        momentum: float,
    ) -> None:
        """v' = mu v - rate g, w' = w + v': deviations add, as w and v share their history."""
        velocity = np.abs(net.velocities[layer][kind])
        value = np.abs((net.weights, net.biases)[kind][layer])
        size = momentum * velocity + rate * np.abs(gradient)
        dv = momentum * self.velocities[layer][kind] + rate * deviation + 4 * U * size
        dp = self.parameters[layer][kind] + dv + U * (value + size)
        self.velocities[layer] = _replaced(self.velocities[layer], kind, dv)
        self.parameters[layer] = _replaced(self.parameters[layer], kind, dp)


def _layers(net: Network) -> zip[tuple[Array, Array]]:
    return zip(net.weights, net.biases, strict=True)


def _replaced(pair: tuple[Array, Array], kind: int, value: Array) -> tuple[Array, Array]:
    return (value, pair[1]) if kind == 0 else (pair[0], value)
