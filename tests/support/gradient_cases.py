"""Models of every layer type, activation and loss, each beside its oracle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import fastmlp
from fastmlp import _core
from fastmlp.losses import UserLoss
from support import reference_losses as losses
from support import reference_network as network
from support.differences import central_differences

ROWS, FEATURES, OUTPUTS = 8, 4, 3
INPUT_SCALE, NOISE = 0.7, 0.2
# Farther than a difference of 1e-5 in one parameter moves any pre-activation or output here.
DISTANCE, LEAST_DEVIATION = 1e-3, 0.1

# Activation, the oracle's parameter, and where its derivative jumps.
ACTIVATIONS: dict[str, tuple[Any, float | None, tuple[float, ...]]] = {
    **{name: (name, None, ()) for name in ("identity", "sigmoid", "tanh", "softplus")},
    **{name: (name, None, ()) for name in ("gelu", "gelu_tanh", "silu", "mish")},
    **{name: (name, None, (0.0,)) for name in ("relu", "selu")},
    "hard_sigmoid": ("hard_sigmoid", None, (-3.0, 3.0)),
    "leaky_relu": (fastmlp.LeakyReLU(slope=0.1), 0.1, (0.0,)),
    "elu": (fastmlp.ELU(alpha=0.5), 0.5, (0.0,)),
    "step": ("step", 0.0, (0.0,)),
    "sign": ("sign", 0.0, (0.0,)),
    "straight-through step": (fastmlp.Step(straight_through=True), 1.0, (0.0,)),
    "straight-through sign": (fastmlp.Sign(straight_through=True), 1.0, (0.0,)),
}


@dataclass(frozen=True)
class Problem:
    """Arguments of a model, and the corresponding ones of the oracle."""

    loss: Any
    groups: list[losses.Group]
    targets: list[str]  # kind of each group's
    weighted: bool = False
    output: Any = "identity"


def of_one_loss(make, targets, weighted=False, output="identity", weight=1.0, **options):
    loss = make(weight=weight, **options)
    if "smoothing" in options:
        options["label_smoothing"] = options.pop("smoothing")
    return Problem(loss, [(loss.name, OUTPUTS, weight, options)], [targets], weighted, output)


def user_defined(name, targets, **options):
    group = (name, OUTPUTS, 1.0, options)
    return Problem(lambda o, t: losses.total([group], o, [t]), [group], [targets])


def of_two_groups(weighted):
    made = [
        fastmlp.SoftmaxCrossEntropy(outputs=3, weight=0.6, smoothing=0.1),
        fastmlp.Huber(outputs=2, weight=1.5, delta=0.8, output_weights=(1.0, 2.0)),
    ]
    groups = [
        ("softmax_cross_entropy", 3, 0.6, {"label_smoothing": 0.1}),
        ("huber", 2, 1.5, {"delta": 0.8, "output_weights": (1.0, 2.0)}),
    ]
    return Problem(made, groups, ["classes", "values"], weighted)


SOFTMAX = fastmlp.SoftmaxCrossEntropy
SMOOTHED = {"smoothing": 0.2, "weight": 0.8}
WEIGHTED = {"weight": 1.7, "output_weights": (1.0, 0.5, 3.0), "weighted": True}
ELEMENTWISE: dict[str, tuple[type, str, dict[str, Any]]] = {
    "binary_cross_entropy": (fastmlp.BinaryCrossEntropy, "shares", {}),
    "mse": (fastmlp.MSE, "values", {}),
    "half_mse": (fastmlp.HalfMSE, "values", {}),
    "mae": (fastmlp.MAE, "values", {}),
    "huber": (fastmlp.Huber, "values", {"delta": 0.7}),
    "poisson": (fastmlp.Poisson, "counts", {}),
    "quantile": (fastmlp.Quantile, "values", {"levels": (0.2, 0.5, 0.9)}),
}
PROBLEMS: dict[str, Problem] = {
    "classes": of_one_loss(SOFTMAX, "classes"),
    "weighted classes": of_one_loss(SOFTMAX, "classes", weighted=True),
    "probabilities": of_one_loss(SOFTMAX, "probabilities"),
    "smoothed classes": of_one_loss(SOFTMAX, "classes", weighted=True, **SMOOTHED),
    "smoothed probabilities": of_one_loss(SOFTMAX, "probabilities", **SMOOTHED),
    "hinge": of_one_loss(fastmlp.Hinge, "classes"),
    "weighted hinge": of_one_loss(fastmlp.Hinge, "classes", weighted=True, weight=0.6),
    **{name: of_one_loss(make, t, **options) for name, (make, t, options) in ELEMENTWISE.items()},
    **{
        f"weighted {name}": of_one_loss(make, targets, **options, **WEIGHTED)
        for name, (make, targets, options) in ELEMENTWISE.items()
    },
    "two groups": of_two_groups(False),
    "weighted groups": of_two_groups(True),
    "mse of softmax": of_one_loss(fastmlp.MSE, "values", weighted=True, output="softmax"),
    "user-defined": user_defined("huber", "values", delta=0.7),
    "user-defined of classes": user_defined("hinge", "classes"),
}


def drawn_targets(rng, kind, outputs):
    if kind == "classes":
        return rng.integers(0, outputs, ROWS)
    if kind == "probabilities":
        return rng.dirichlet(np.ones(outputs), ROWS)
    if kind == "shares":
        return rng.uniform(0, 1, (ROWS, outputs))
    if kind == "counts":
        return rng.poisson(2.0, (ROWS, outputs)).astype(np.float64)
    return rng.standard_normal((ROWS, outputs))


def distances_from_kinks(group, outputs, targets):
    name, _, _, options = group
    if name in ("mae", "quantile"):
        return outputs - targets
    if name == "huber":
        return np.abs(outputs - targets) - options["delta"]
    if name == "hinge":
        return outputs - outputs[np.arange(len(targets)), targets][:, None] + 1
    return np.ones(1)


@cache
def mask(seed, level, size, rate):
    return network.dropout_mask(seed, level, 0, ROWS, size, rate) if rate else None


@cache
def standard_noise(seed, step, rows, cols):
    """Return normal noise from the oracle's words by the core's quantiles, which err by 1e-7."""
    words = network.random_words(seed, network.NOISE, 0, step, rows, cols)
    uniform = ((words >> np.uint64(9)).astype(np.float64) + 0.5) * 2.0**-23
    deviates = _core.kernels.elementwise("inverse_normal_cdf", uniform.ravel()).reshape(rows, cols)
    exact = network.normal_noise(seed, step, rows, cols)
    np.testing.assert_allclose(deviates, exact, rtol=2e-7)
    return deviates


DRAWS = {
    "weights": lambda rng, shape: rng.normal(0, 1.5 / np.sqrt(shape[0]), shape),
    "biases": lambda rng, shape: rng.normal(0, 0.5, shape),
    "scales": lambda rng, shape: rng.uniform(0.5, 2, shape),
    "shifts": lambda rng, shape: rng.normal(0, 0.5, shape),
    "means": lambda rng, shape: rng.normal(0, 0.5, shape),
    "variances": lambda rng, shape: rng.uniform(0.5, 2, shape),
}


class Case:
    """A model with random parameters, its oracle, and samples."""

    def __init__(self, seed, hidden, problem, sizes=(6, 5), output="identity", **layers):
        rng = np.random.default_rng(seed)
        self.problem = problem
        self.activations = [*hidden, output]
        self.model = fastmlp.MLP(
            [FEATURES, *sizes, sum(group[1] for group in problem.groups)],
            activation=[ACTIVATIONS[name][0] for name in hidden],
            loss=problem.loss,
            output_activation=problem.output if output == "identity" else ACTIVATIONS[output][0],
            dtype="float64",
            seed=seed,
            input_scale=INPUT_SCALE,
            **layers,
        )
        old = self.model.parameters()
        self.model.set_parameters(
            {name: DRAWS[name.split(".")[-1]](rng, array.shape) for name, array in old.items()}
        )
        self.net = self._oracle()
        self.x = rng.standard_normal((ROWS, FEATURES)) / INPUT_SCALE
        kinds = zip(problem.targets, problem.groups, strict=True)
        self.targets = [drawn_targets(rng, kind, group[1]) for kind, group in kinds]
        self.sample_weight = rng.uniform(0, 2, ROWS) if problem.weighted else None
        self.evaluation: Any = self.model._core_gradient(ROWS, 1)

    def _oracle(self):
        arrays = {kind: dict(self.model._layer_arrays(kind)) for kind in DRAWS}
        layers = range(len(self.activations))
        sizes = self.model.layer_sizes[1:]
        return network.Network(
            weights=[arrays["weights"][i] for i in layers],
            biases=[arrays["biases"][i] for i in layers],
            activations=[name.split()[-1] for name in self.activations],
            parameters=[ACTIVATIONS[name][1] for name in self.activations],
            groups=self.problem.groups,
            scales=[arrays["scales"].get(i) for i in layers],
            softmax_output=self.problem.output == "softmax",
            shifts=[arrays["shifts"].get(i) for i in layers],
            residual=[*self.model.architecture.residual, False],
            running_means=[arrays["means"].get(i, np.zeros(sizes[i])) for i in layers],
            running_variances=[arrays["variances"].get(i, np.ones(sizes[i])) for i in layers],
        )

    def surroundings(self, training):
        """Return the arguments of the oracle besides the samples."""
        if not training:
            return {"training": False}
        architecture = self.model.architecture
        seed, rates = architecture.seed, [architecture.input_dropout, *architecture.dropout]
        levels = enumerate(zip(self.model.layer_sizes, rates, strict=False))
        return {
            "training": True,
            "masks": [mask(seed, level, size, rate) for level, (size, rate) in levels],
            "noise": architecture.input_noise * standard_noise(seed, 0, ROWS, FEATURES),
        }

    def is_smooth(self, training):
        """Return whether differences stay in smooth pieces of all functions and off thresholds."""
        traces, outputs = self.net.trace(self.x * INPUT_SCALE, **self.surroundings(training))
        distances = []
        for trace, name in zip(traces, self.activations, strict=True):
            distances += [trace.pre_activation - kink for kink in ACTIVATIONS[name][2]]
            if trace.deviation is not None and trace.deviation.min() < LEAST_DEVIATION:
                return False
        first = 0
        for group, targets in zip(self.problem.groups, self.targets, strict=True):
            own = outputs[:, first : first + group[1]]
            distances.append(distances_from_kinks(group, own, targets))
            first += group[1]
        return min(np.abs(d).min() for d in distances) > DISTANCE

    def compute(self, training):
        """Return the loss and all gradients, with those by scales of batch normalization."""
        loss = self.model.architecture.losses[0]
        return self.evaluation.compute(
            self.x,
            self.targets,
            sample_weight=self.sample_weight,
            training=training,
            seed=self.model.architecture.seed,
            loss_function=loss.function if isinstance(loss, UserLoss) else None,
        )

    def differences(self, kind, layer, training):
        array = dict(self.model._layer_arrays(kind))[layer].copy()

        def loss():
            self.model._assign(kind, layer, array)
            return self.compute(training)[0]

        (numeric,) = central_differences(loss, [array])
        self.model._assign(kind, layer, array)
        return numeric
