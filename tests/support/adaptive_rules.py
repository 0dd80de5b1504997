"""The adaptive optimizers in NumPy, written from their papers: oracle of the core's rules.

Each takes a parameter, its gradient with the penalties added, a dictionary of state that starts
empty, the step counted from 1 and the settings, and returns the new parameter.
"""

from __future__ import annotations

import numpy as np


def _average(state, name, decay, value):
    state[name] = decay * state.get(name, 0.0) + (1 - decay) * value
    return state[name]


def sgd(w, g, state, t, *, learning_rate, momentum=0.0, nesterov=False):
    state["v"] = momentum * state.get("v", 0.0) - learning_rate * g
    return w + (momentum * state["v"] - learning_rate * g if nesterov else state["v"])


def adagrad(w, g, state, t, *, learning_rate, epsilon):
    state["s"] = state.get("s", 0.0) + g**2
    return w - learning_rate * g / (np.sqrt(state["s"]) + epsilon)


def rmsprop(w, g, state, t, *, learning_rate, rho, epsilon, momentum=0.0, centred=False):
    variance = _average(state, "s", rho, g**2)
    if centred:
        variance = np.maximum(variance - _average(state, "m", rho, g) ** 2, 0)
    state["v"] = momentum * state.get("v", 0.0) + g / (np.sqrt(variance) + epsilon)
    return w - learning_rate * state["v"]


def adam(w, g, state, t, *, learning_rate, beta1, beta2, epsilon, amsgrad=False):
    m = _average(state, "m", beta1, g) / (1 - beta1**t)
    s = _average(state, "s", beta2, g**2)
    if amsgrad:
        s = state["largest"] = np.maximum(state.get("largest", 0.0), s)
    return w - learning_rate * m / (np.sqrt(s / (1 - beta2**t)) + epsilon)


def adamax(w, g, state, t, *, learning_rate, beta1, beta2, epsilon):
    m = _average(state, "m", beta1, g) / (1 - beta1**t)
    state["u"] = np.maximum(beta2 * state.get("u", 0.0), np.abs(g) + epsilon)
    return w - learning_rate * m / state["u"]


def nadam(w, g, state, t, *, learning_rate, beta1, beta2, epsilon):
    def mu(step):
        return beta1 * (1 - 0.5 * 0.96 ** (0.004 * step))

    m, s = _average(state, "m", beta1, g), _average(state, "s", beta2, g**2) / (1 - beta2**t)
    state["p"] = product = state.get("p", 1.0) * mu(t)
    mean = mu(t + 1) * m / (1 - product * mu(t + 1)) + (1 - mu(t)) * g / (1 - product)
    return w - learning_rate * mean / (np.sqrt(s) + epsilon)


def lion(w, g, state, t, *, learning_rate, beta1, beta2):
    m = state.get("m", 0.0)
    _average(state, "m", beta2, g)
    return w - learning_rate * np.sign(beta1 * m + (1 - beta1) * g)


def train(net, x, y, batch, steps, rule, *, l1=0.0, l2=0.0, decay=0.0, **settings):
    """Train the float64 oracle on consecutive batches, from the start again after the last one."""
    count = len(net.weights)
    states = [{} for _ in range(2 * count)]
    for t in range(1, steps + 1):
        first = (t - 1) * batch % len(x)
        _, dweights, dbiases = net.loss_and_gradients(
            x[first : first + batch], y[first : first + batch]
        )
        for i in range(count):
            w = net.weights[i]
            g = dweights[i] + l2 * w + l1 * np.sign(w)
            w = w * (1 - settings["learning_rate"] * decay)
            net.weights[i] = rule(w, g, states[i], t, **settings)
            net.biases[i] = rule(net.biases[i], dbiases[i], states[count + i], t, **settings)
