"""Whatever surrounds a step of training, in lockstep with the float64 oracle for several epochs.

Dropout, noise, batch normalization, constraints on weights and gradients, averages, weights of
samples and classes, smoothed labels, frozen layers, penalties: alone and together.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from support import adaptive_rules as rules
from support import reference_losses as losses
from support import reference_network as network
from support.gradient_cases import standard_noise
from support.reference import minibatches
from support.tolerance import assert_same_bits, relative_error

# The first hidden layer has several panels and groups of random numbers; the last batch has one
# row, or all have 13 where they are even.
SIZES = [12, 37, 21, 5]
SAMPLES, BATCH, EPOCHS, SEED = 65, 16, 3, 2**33 + 5
RATE = 0.05
COMMON: Any = {"activation": ["gelu", "relu"], "dtype": "float64", "seed": SEED}
BN = {"batch_normalization": True}
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
KINDS = ("weights", "biases", "scales", "means", "variances")


def data():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((SAMPLES, SIZES[0]))
    x[:, 3:7] *= rng.random((SAMPLES, 4)) < 0.02  # columns that are zero in whole batches
    return x, (x[:, :5] + 0.5 * rng.standard_normal((SAMPLES, 5))).argmax(axis=1)


# ---------------------------------------------------------------- the oracle's training


@dataclass
class Oracle:
    """The network of a model with what its optimizer remembers.

    A frozen layer with batch normalization is one without it whose weights and biases have taken it
    in, as its moments stand still.
    """

    model: fastmlp.MLP
    rule: Any = rules.sgd
    rule_settings: dict[str, Any] = field(default_factory=lambda: {"momentum": 0.9})
    settings: dict[str, float] = field(default_factory=dict)
    averaging: fastmlp.EMA | fastmlp.SWA | None = None
    smoothing: float = 0.0

    def __post_init__(self):
        arrays = {kind: dict(self.model._layer_arrays(kind)) for kind in KINDS}
        sizes = self.model.layer_sizes
        layers = range(len(sizes) - 1)
        self.frozen = [not trains for trains in self.model.trainable]
        for i in layers:
            if self.frozen[i] and i in arrays["scales"]:
                factors = arrays["scales"].pop(i) / np.sqrt(arrays["variances"][i] + 1e-5)
                arrays["weights"][i] = arrays["weights"][i] * factors
                arrays["biases"][i] = arrays["biases"][i] - arrays["means"][i] * factors
        options = {"label_smoothing": self.smoothing}
        self.net = network.Network(
            weights=[arrays["weights"][i] for i in layers],
            biases=[arrays["biases"][i] for i in layers],
            activations=["gelu", "relu", "identity"],
            groups=[("softmax_cross_entropy", sizes[-1], 1.0, options)],
            scales=[arrays["scales"].get(i) for i in layers],
            running_means=[arrays["means"].get(i, np.zeros(sizes[i + 1])) for i in layers],
            running_variances=[arrays["variances"].get(i, np.ones(sizes[i + 1])) for i in layers],
        )
        self.lists = {
            "weights": self.net.weights,
            "biases": self.net.biases,
            "scales": self.net.scales,
            "means": self.net.running_means,
            "variances": self.net.running_variances,
        }
        self.places = [
            (kind, i)
            for kind in KINDS
            for i in layers
            if not self.frozen[i] and (kind in KINDS[:2] or self.net.scales[i] is not None)
        ]
        self.states: dict[Any, dict[str, Any]] = {place: {} for place in self.places}
        self.averages = self.arrays()
        self.steps = 0

    def arrays(self):
        """What is trained, by the names of a model's parameters."""
        return {f"layers.{i}.{kind}": self.lists[kind][i].copy() for kind, i in self.places}

    def step(self, x, y, sample_weights):
        architecture, net, rows = self.model.architecture, self.net, len(x)
        rates = [architecture.input_dropout, *architecture.dropout]
        masks = [
            network.dropout_mask(SEED, level, self.steps, rows, size, rate) if rate else None
            for level, (size, rate) in enumerate(zip(SIZES, rates, strict=False))
        ]
        deviates = standard_noise(SEED, self.steps, rows, SIZES[0])
        surroundings = {"masks": masks, "noise": architecture.input_noise * deviates}
        result = net.loss_and_gradients(x, [y], sample_weights, **surroundings)
        net.update_running(x, **surroundings)
        self.steps += 1
        of_kind = {"weights": result.dweights, "biases": result.dbiases, "scales": result.dscales}
        places = [(kind, i) for kind, i in self.places if kind in of_kind]
        gradients = self.clipped([of_kind[kind][i] for kind, i in places])
        self.update(zip(places, gradients, strict=True))
        if isinstance(self.averaging, fastmlp.EMA):
            self.average(self.averaging.decay)
        return result.loss

    def average(self, decay):
        new = self.arrays()
        self.averages = {k: network.ema(a, new[k], decay) for k, a in self.averages.items()}

    def clipped(self, gradients):
        if "clip_norm" in self.settings:
            gradients = network.clip_by_norm(gradients, self.settings["clip_norm"])
        bound = self.settings.get("clip_value", np.inf)
        return [network.clip_by_value(g, bound) for g in gradients]

    def update(self, gradients):
        l1, l2, decay = (self.settings.get(name, 0.0) for name in ("l1", "l2", "decay"))
        for (kind, i), g in gradients:
            w = self.lists[kind][i]
            if kind == "weights":
                g, w = g + l2 * w + l1 * np.sign(w), w * (1 - RATE * decay)
            state = self.states[kind, i]
            w = self.rule(w, g, state, self.steps, learning_rate=RATE, **self.rule_settings)
            if kind == "weights" and "max_norm" in self.settings:
                w = network.max_norm(w, self.settings["max_norm"])
            self.lists[kind][i] = w

    def train(self, x, y, w):
        """Mean loss of each epoch; the samples, of weights w, in the core's order."""
        counted = range(0)
        if isinstance(self.averaging, fastmlp.SWA):
            counted = range(self.averaging.start - 1, EPOCHS, self.averaging.every)
        epoch_losses = []
        for epoch in range(EPOCHS):
            order = _core.permutation(len(x), SEED, epoch)
            even = any(self.model.architecture.batch_normalization)
            batches = list(minibatches(order, BATCH, even=even))
            sums = [self.step(x[rows], y[rows], w[rows]) * w[rows].sum() for rows in batches]
            epoch_losses.append(sum(sums) / w.sum())
            if epoch in counted:
                self.average(1 - 1 / (counted.index(epoch) + 1))
        return epoch_losses


# ---------------------------------------------------------------- lockstep


@dataclass(frozen=True)
class Case:
    model: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, float] = field(default_factory=dict)
    fit: dict[str, Any] = field(default_factory=dict)
    frozen: tuple[int, ...] = ()
    adam: bool = False


DROPOUT = {"dropout": [0.4, 0.2]}
MIXED = {**BN, **DROPOUT, "input_dropout": 0.1, "input_noise": 0.3}
PENALTIES = {"l1": 1e-3, "l2": 1e-2, "decay": 0.1}
CLIPS = {"clip_norm": 0.5, "clip_value": 0.05}
WEIGHTS = {"sample_weight": np.random.default_rng(5).uniform(0, 2, SAMPLES)}
CASES = {
    "dropout": Case(DROPOUT),
    "input dropout": Case({"input_dropout": 0.3}),
    "noise": Case({"input_noise": 0.5}),
    "batch normalization": Case(BN),
    "one normalized layer": Case({"batch_normalization": [False, True]}),
    "max-norm": Case(settings={"max_norm": 0.8}),
    "clipped values": Case(settings={"clip_value": 0.01}),
    "clipped norm": Case(settings={"clip_norm": 0.3}),
    "both clips": Case(BN, CLIPS),
    "l1": Case(settings={"l1": 1e-2}),
    "l2": Case(settings={"l2": 1e-1}),
    "decay": Case(settings={"decay": 0.5}),
    "sample weights": Case(fit=WEIGHTS),
    "balanced classes": Case(fit={"class_weight": "balanced"}),
    "weights of classes": Case(fit={"class_weight": {0: 3.0, 3: 0.25}}),
    "weights of both": Case(BN, fit={**WEIGHTS, "class_weight": "balanced"}),
    "smoothing": Case({"loss": fastmlp.SoftmaxCrossEntropy(smoothing=0.2)}),
    "EMA": Case(fit={"averaging": fastmlp.EMA(0.9)}),
    "SWA": Case(fit={"averaging": fastmlp.SWA(start=2)}),
    "first layer frozen": Case(frozen=(0,)),
    "middle layer frozen": Case(BN, frozen=(1,)),
    "last layer frozen": Case(BN, CLIPS, frozen=(-1,)),
    "only the last layer": Case({**BN, **DROPOUT}, PENALTIES | CLIPS, frozen=(0, 1)),
    "frozen, averaged, bounded": Case(
        MIXED, {"max_norm": 0.8, **PENALTIES}, {"averaging": fastmlp.EMA(0.8)}, (1,)
    ),
    "averaged batch normalization": Case(MIXED, fit={"averaging": fastmlp.SWA(every=2)}),
    "Adam with everything": Case(
        {**MIXED, "loss": fastmlp.SoftmaxCrossEntropy(smoothing=0.1)},
        {**PENALTIES, **CLIPS, "max_norm": 1.5},
        {**WEIGHTS, "class_weight": "balanced", "averaging": fastmlp.EMA(0.7)},
        adam=True,
    ),
}


def start(case):
    """A model whose moments and scales are not those that it was born with."""
    model = fastmlp.MLP(SIZES, **COMMON, **case.model)
    rng = np.random.default_rng(6)
    parameters = model.parameters()
    for name in parameters:
        if name.endswith(("scales", "variances")):
            parameters[name] = rng.uniform(0.5, 2, parameters[name].shape)
        elif not name.endswith("weights"):
            parameters[name] = 0.3 * rng.standard_normal(parameters[name].shape)
    model.set_parameters(parameters)
    if case.frozen:
        model.freeze(case.frozen)
    return model


def optimizer_of(case):
    optimizer = fastmlp.Adam(RATE) if case.adam else fastmlp.SGD(RATE, momentum=0.9)
    return dataclasses.replace(optimizer, **case.settings)


def fit(model, case, **options):
    arguments = {"epochs": EPOCHS, "batch_size": BATCH, "verbose": 0, **case.fit, **options}
    return model.fit(*data(), optimizer=optimizer_of(case), **arguments)


def oracle_weights(case, y):
    """Weights of the samples, those of their classes by the definition of "balanced"."""
    weights = case.fit.get("sample_weight", np.ones(SAMPLES))
    by_class = case.fit.get("class_weight", {})
    if by_class == "balanced":
        by_class = {k: SAMPLES / (5 * np.sum(y == k)) for k in range(5)}
    return weights * np.array([by_class.get(int(label), 1.0) for label in y])


@pytest.fixture(scope="module")
def plain_outputs():
    model = start(Case())
    fit(model, Case())
    return model.forward(data()[0])


@pytest.mark.parametrize("name", CASES)
def test_lockstep_with_the_oracle(name, plain_outputs):
    case, (x, y) = CASES[name], data()
    model = start(case)
    before = model.parameters()
    oracle = Oracle(
        model,
        rule=rules.adam if case.adam else rules.sgd,
        rule_settings=ADAM if case.adam else {"momentum": 0.9},
        settings=case.settings,
        averaging=case.fit.get("averaging"),
        smoothing=getattr(case.model.get("loss"), "smoothing", 0.0),
    )
    expected_losses = oracle.train(x, y, oracle_weights(case, y))
    history = fit(model, case)
    np.testing.assert_allclose(history.loss, expected_losses, rtol=1e-10)
    expected = oracle.averages if oracle.averaging else oracle.arrays()
    for key, array in model.parameters().items():
        if key in expected:
            assert relative_error([array], [expected[key]]) < 1e-10, key
            assert relative_error([before[key]], [expected[key]]) > 1e-4, f"{key} hardly moved"
        else:
            assert_same_bits(array, before[key], key)
    assert relative_error([model.forward(x)], [plain_outputs]) > 1e-4, "without any effect"


@pytest.mark.parametrize("name", ["batch normalization", "dropout", "averaged batch normalization"])
def test_predictions_use_running_moments_and_neither_masks_nor_noise(name):
    x, y = data()
    model = start(CASES[name])
    fit(model, CASES[name])
    net = Oracle(model).net
    outputs = net.forward(x)
    assert relative_error([model.forward(x)], [outputs]) < 1e-12
    exact, _ = losses.total(net.groups, outputs, [y])
    assert model.evaluate(x, y)["loss"] == pytest.approx(exact, rel=1e-12)
    assert model.loss_and_gradients(x, y)[0] == pytest.approx(exact, rel=1e-12)
    assert model.loss_and_gradients(x, y, training=True)[0] != pytest.approx(exact, rel=1e-6)
    before = model.parameters()
    model.loss_and_gradients(x, y, training=True)
    for key, array in model.parameters().items():
        assert_same_bits(array, before[key], f"{key} after a gradient")


def test_frozen_layers_may_train_again():
    model = start(CASES["middle layer frozen"])
    fit(model, CASES["middle layer frozen"], epochs=1)
    model.unfreeze()
    assert model.trainable == [True] * 3
    before = model.parameters()
    fit(model, Case(BN), epochs=1)
    assert all(np.any(array != before[key]) for key, array in model.parameters().items())


def test_between_epochs_the_averages_are_seen_and_the_parameters_trained():
    x, y = data()
    seen = []
    case = Case(BN, fit={"averaging": fastmlp.EMA(0.9)})
    model = start(case)
    history = fit(
        model,
        case,
        validation_data=(x, y),
        callbacks=[lambda model, record: seen.append((model.parameters(), model.evaluate(x, y)))],
    )
    without = start(case)
    plain = without.fit(
        x, y, epochs=EPOCHS, batch_size=BATCH, optimizer=optimizer_of(case), verbose=0
    )
    assert history.loss == plain.loss
    assert history.val_loss == [measured["loss"] for _, measured in seen]
    for key, array in model.parameters().items():
        assert_same_bits(array, seen[-1][0][key], key)
        assert np.any(array != without.parameters()[key])


# ---------------------------------------------------------------- single parts


def masks_seen(dtype, steps, sizes, rates, seed):
    """Which values of each level were kept in each step: the others' weights do not move."""
    model = fastmlp.MLP(
        sizes, activation="identity", loss="mse", dtype=dtype, seed=seed, input_dropout=rates[0],
        dropout=rates[1:],
    )  # fmt: skip
    weights = [model.weights]
    capture = fastmlp.LambdaCallback(
        on_step_end=lambda training, record: weights.append(training.model.weights), every_steps=1
    )
    model.fit(
        np.ones((1, sizes[0])), [[9.0]], epochs=steps, optimizer=fastmlp.SGD(1e-3),
        callbacks=[capture], verbose=0,
    )  # fmt: skip
    pairs = zip(weights, weights[1:], strict=False)
    return [[np.any(a != b, axis=1) for a, b in zip(*pair, strict=True)] for pair in pairs]


def test_every_step_and_level_has_a_mask_of_its_own(dtype):
    sizes, rates, steps = [400, 300, 200, 1], [0.2, 0.5, 0.3], 4
    seen = masks_seen(dtype, steps, sizes, rates, SEED)
    for level, (size, rate) in enumerate(zip(sizes, rates, strict=False)):
        kept = [masks[level] for masks in seen]
        for step, mask in enumerate(kept):
            exact = network.dropout_mask(SEED, level, step, 1, size, rate)[0] > 0
            np.testing.assert_array_equal(mask, exact, f"level {level}, step {step}")
        deviation = np.sqrt(rate * (1 - rate) / (steps * size))
        assert np.mean(kept) == pytest.approx(1 - rate, abs=5 * deviation)
    starts = {mask[:200].tobytes() for masks in seen for mask in masks}
    assert len(starts) == steps * 3
    other = masks_seen(dtype, 1, sizes, rates, SEED + 1)
    assert all(np.any(a != b) for a, b in zip(other[0], seen[0], strict=True))


def test_dropout_keeps_the_expected_output():
    """The slope of the squared output is twice its mean over the masks of many equal rows."""
    rate, rows = 0.4, 20000
    model = fastmlp.MLP(
        [3, 50, 1], activation="tanh", loss="mse", dtype="float64", dropout=rate,
        initializer=fastmlp.Constant(0.3),
    )  # fmt: skip
    x = np.array([[0.5, -1.0, 2.0]])
    terms = model.hidden_activations(x)[0][0] * model.weights[1][:, 0]
    _, _, dbiases = model.loss_and_gradients(
        np.repeat(x, rows, axis=0), np.zeros((rows, 1)), training=True
    )
    deviation = np.sqrt((terms**2).sum() * rate / (1 - rate) / rows)
    assert deviation < 0.01 * terms.sum()
    assert dbiases[1][0] / 2 == pytest.approx(model.forward(x)[0, 0], abs=5 * deviation)


def test_running_moments_of_equal_batches():
    """After t steps that change nothing, 1 - 0.9^t of the batch's own and 0.9^t of 0 and 1."""
    x, y = data()
    model = fastmlp.MLP(SIZES, **COMMON, **BN)
    product = x @ model.weights[0]
    model.fit(x, y, epochs=7, batch_size=SAMPLES, optimizer=fastmlp.SGD(0.0), verbose=0)
    left = 0.9**7
    parameters = model.parameters()
    mean, variance = product.mean(axis=0), product.var(axis=0, ddof=1)
    np.testing.assert_allclose(parameters["layers.0.means"], (1 - left) * mean, rtol=1e-10)
    np.testing.assert_allclose(
        parameters["layers.0.variances"], left + (1 - left) * variance, rtol=1e-12
    )
