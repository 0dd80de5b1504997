"""Gradients of the core, in float64, for every layer type, activation and loss together.

Each is compared twice: with the oracle, element by element, under the masks and the noise that the
seed fixes; and with central differences of the core's own loss. The thresholds have no derivative
that differences could show, so theirs is compared with the slope they pretend to have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastmlp
import reference_losses as losses
import reference_network as network
from fastmlp.losses import UserLoss
from test_reference import central_differences

ROWS, FEATURES, OUTPUTS = 8, 4, 3
HIDDEN = (6, 5)
INPUT_SCALE = 0.7
NOISE = 0.2
# Farther than a difference of 1e-5 in one parameter moves any pre-activation or output here.
DISTANCE = 1e-3
LEAST_DEVIATION = 0.1
BOUND = 1e-6

LAYERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "batch normalisation": {"batch_normalization": True},
    "both": {"dropout": [0.3, 0.2], "batch_normalization": True},
    "input dropout": {"input_dropout": 0.25},
    "input noise": {"input_noise": NOISE},
}
# Activation, the oracle's parameter, and where its slope jumps.
ACTIVATIONS: dict[str, tuple[Any, float | None, tuple[float, ...]]] = {
    "identity": ("identity", None, ()),
    "sigmoid": ("sigmoid", None, ()),
    "hard_sigmoid": ("hard_sigmoid", None, (-3.0, 3.0)),
    "tanh": ("tanh", None, ()),
    "relu": ("relu", None, (0.0,)),
    "leaky_relu": (fastmlp.LeakyReLU(slope=0.1), 0.1, (0.0,)),
    "elu": (fastmlp.ELU(alpha=0.5), 0.5, (0.0,)),
    "selu": ("selu", None, (0.0,)),
    "gelu": ("gelu", None, ()),
    "gelu_tanh": ("gelu_tanh", None, ()),
    "silu": ("silu", None, ()),
    "softplus": ("softplus", None, ()),
    "step": ("step", 0.0, (0.0,)),
    "sign": ("sign", 0.0, (0.0,)),
    "straight-through step": (fastmlp.Step(straight_through=True), 1.0, (0.0,)),
    "straight-through sign": (fastmlp.Sign(straight_through=True), 1.0, (0.0,)),
}
THRESHOLDS = ("step", "sign")


def oracle_name(activation: str) -> str:
    return activation.split()[-1]


# ---------------------------------------------------------------- losses with their targets


@dataclass(frozen=True)
class Problem:
    """What a model is given, and the same for the oracle."""

    loss: Any
    groups: tuple[losses.Group, ...]
    targets: tuple[str, ...]  # kind of each group's
    weighted: bool = False
    output: Any = "identity"


ELEMENTWISE: dict[str, tuple[type, str, dict[str, Any]]] = {
    "binary_cross_entropy": (fastmlp.BinaryCrossEntropy, "shares", {}),
    "mse": (fastmlp.MSE, "values", {}),
    "half_mse": (fastmlp.HalfMSE, "values", {}),
    "mae": (fastmlp.MAE, "values", {}),
    "huber": (fastmlp.Huber, "values", {"delta": 0.7}),
    "poisson": (fastmlp.Poisson, "counts", {}),
    "quantile": (fastmlp.Quantile, "values", {"levels": (0.2, 0.5, 0.9)}),
}


def elementwise(name: str, weighted: bool) -> Problem:
    make, targets, options = ELEMENTWISE[name]
    factor, of_outputs = (1.7, {"output_weights": (1.0, 0.5, 3.0)}) if weighted else (1.0, {})
    loss = make(**options, **of_outputs, weight=factor)
    return Problem(loss, ((name, OUTPUTS, factor, options | of_outputs),), (targets,), weighted)


def of_classes(name: str, loss: Any, targets: str, **options: Any) -> Problem:
    factor = 1.0 if isinstance(loss, str) else loss.weight
    weighted = targets.startswith("weighted ")
    kind = targets.removeprefix("weighted ")
    return Problem(loss, ((name, OUTPUTS, factor, options),), (kind,), weighted)


def user_defined(name: str, targets: str, **options: Any) -> Problem:
    group: losses.Group = (name, OUTPUTS, 1.0, options)

    def function(outputs: NDArray, wanted: NDArray) -> tuple[float, NDArray]:
        return losses.total([group], outputs, [wanted])

    return Problem(function, (group,), (targets,))


def two_groups(weighted: bool) -> Problem:
    made = [
        fastmlp.SoftmaxCrossEntropy(outputs=3, weight=0.6, smoothing=0.1),
        fastmlp.Huber(outputs=2, weight=1.5, delta=0.8, output_weights=(1.0, 2.0)),
    ]
    groups = (
        ("softmax_cross_entropy", 3, 0.6, {"label_smoothing": 0.1}),
        ("huber", 2, 1.5, {"delta": 0.8, "output_weights": (1.0, 2.0)}),
    )
    return Problem(made, groups, ("classes", "values"), weighted)


SOFTMAX = "softmax_cross_entropy"
SMOOTHED = fastmlp.SoftmaxCrossEntropy(smoothing=0.2, weight=0.8)
PROBLEMS: dict[str, Problem] = {
    "classes": of_classes(SOFTMAX, SOFTMAX, "classes"),
    "weighted classes": of_classes(SOFTMAX, SOFTMAX, "weighted classes"),
    "probabilities": of_classes(SOFTMAX, SOFTMAX, "probabilities"),
    "smoothed classes": of_classes(SOFTMAX, SMOOTHED, "weighted classes", label_smoothing=0.2),
    "smoothed probabilities": of_classes(SOFTMAX, SMOOTHED, "probabilities", label_smoothing=0.2),
    "hinge": of_classes("hinge", "hinge", "classes"),
    "weighted hinge": of_classes("hinge", fastmlp.Hinge(weight=0.6), "weighted classes"),
    **{name: elementwise(name, False) for name in ELEMENTWISE},
    **{f"weighted {name}": elementwise(name, True) for name in ELEMENTWISE},
    "two groups": two_groups(False),
    "weighted groups": two_groups(True),
    "mse of softmax": Problem("mse", (("mse", OUTPUTS, 1.0, {}),), ("values",), True, "softmax"),
    "user-defined": user_defined("huber", "values", delta=0.7),
    "user-defined of classes": user_defined("hinge", "classes"),
}


def drawn_targets(rng: np.random.Generator, kind: str, outputs: int) -> NDArray:
    if kind == "classes":
        return rng.integers(0, outputs, ROWS)
    if kind == "probabilities":
        return rng.dirichlet(np.ones(outputs), ROWS)
    if kind == "shares":
        return rng.uniform(0, 1, (ROWS, outputs))
    if kind == "counts":
        return rng.poisson(2.0, (ROWS, outputs)).astype(np.float64)
    return rng.standard_normal((ROWS, outputs))


def distances_from_kinks(group: losses.Group, outputs: NDArray, targets: NDArray) -> NDArray:
    name, _, _, options = group
    if name in ("mae", "quantile"):
        return outputs - targets
    if name == "huber":
        return np.abs(outputs - targets) - options["delta"]
    if name == "hinge":
        return outputs - outputs[np.arange(len(targets)), targets][:, None] + 1
    return np.ones(1)


# ---------------------------------------------------------------- one model, twice


@lru_cache(maxsize=None)
def mask(seed: int, level: int, size: int, rate: float) -> NDArray | None:
    return network.dropout_mask(seed, level, 0, ROWS, size, rate) if rate else None


@lru_cache(maxsize=None)
def noise(seed: int) -> NDArray:
    return NOISE * network.normal_noise(seed, 0, ROWS, FEATURES)


class Case:
    """A model with random parameters, its oracle, and samples."""

    def __init__(
        self,
        seed: int,
        hidden: Sequence[str],
        problem: Problem,
        sizes: Sequence[int] = HIDDEN,
        output: str = "identity",
        **layers: Any,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.problem = problem
        last = problem.output if output == "identity" else ACTIVATIONS[output][0]
        self.model = fastmlp.MLP(
            [FEATURES, *sizes, sum(group[1] for group in problem.groups)],
            activation=[ACTIVATIONS[name][0] for name in hidden],
            loss=problem.loss,
            output_activation=last,
            dtype="float64",
            seed=seed,
            input_scale=INPUT_SCALE,
            **layers,
        )
        self.places = [
            (kind, layer)
            for kind in ("weights", "biases", "scales")
            for layer, _ in self.model.layer_arrays(kind)
        ]
        self._randomise(rng)
        self.net = self._oracle([*hidden, output])
        self.x = rng.standard_normal((ROWS, FEATURES)) / INPUT_SCALE
        kinds = zip(problem.targets, problem.groups, strict=True)
        self.targets = [drawn_targets(rng, kind, group[1]) for kind, group in kinds]
        self.sample_weight = rng.uniform(0, 2, ROWS) if problem.weighted else None
        self.evaluation: Any = self.model.core_gradient(ROWS, 1)

    def _randomise(self, rng: np.random.Generator) -> None:
        draws: dict[str, Callable[[tuple[int, ...]], NDArray]] = {
            "weights": lambda shape: rng.normal(0, 1.5 / np.sqrt(shape[0]), shape),
            "biases": lambda shape: rng.normal(0, 0.5, shape),
            "scales": lambda shape: rng.uniform(0.5, 2, shape),
            "means": lambda shape: rng.normal(0, 0.5, shape),
            "variances": lambda shape: rng.uniform(0.5, 2, shape),
        }
        old = self.model.parameters()
        self.model.set_parameters(
            {name: draws[name.split(".")[-1]](array.shape) for name, array in old.items()}
        )

    def _oracle(self, activations: list[str]) -> network.Network:
        arrays = {
            kind: dict(self.model.layer_arrays(kind))
            for kind in ("weights", "biases", "scales", "means", "variances")
        }
        layers = range(len(activations))
        sizes = self.model.layer_sizes[1:]
        return network.Network(
            weights=list(arrays["weights"].values()),
            biases=list(arrays["biases"].values()),
            activations=[oracle_name(name) for name in activations],
            parameters=[ACTIVATIONS[name][1] for name in activations],
            groups=list(self.problem.groups),
            scales=[arrays["scales"].get(layer) for layer in layers],
            softmax_output=self.problem.output == "softmax",
            running_means=[arrays["means"].get(i, np.zeros(sizes[i])) for i in layers],
            running_variances=[arrays["variances"].get(i, np.ones(sizes[i])) for i in layers],
        )

    def surroundings(self, training: bool) -> dict[str, Any]:
        """What the oracle needs besides the samples."""
        architecture = self.model.architecture
        rates = [architecture.input_dropout, *architecture.dropout]
        sizes = self.model.layer_sizes
        masks = [mask(architecture.seed, i, sizes[i], rate) for i, rate in enumerate(rates)]
        return {
            "training": training,
            "masks": masks if training else None,
            "noise": noise(architecture.seed) if training and architecture.input_noise else None,
        }

    def is_smooth(self, training: bool, activations: Sequence[str]) -> bool:
        """Whether differences see one smooth piece of every function, and thresholds are safe."""
        traces, outputs = self.net.trace(self.x * INPUT_SCALE, **self.surroundings(training))
        distances = [np.ones(1)]
        for trace, name in zip(traces, activations, strict=True):
            distances += [trace.pre_activation - kink for kink in ACTIVATIONS[name][2]]
            if trace.deviation is not None and trace.deviation.min() < LEAST_DEVIATION:
                return False
        first = 0
        for group, targets in zip(self.problem.groups, self.targets, strict=True):
            own = outputs[:, first : first + group[1]]
            distances.append(distances_from_kinks(group, own, targets))
            first += group[1]
        return min(np.abs(d).min() for d in distances) > DISTANCE

    def compute(self, training: bool) -> tuple[float, dict[str, list[NDArray]]]:
        """Loss and all gradients, those by the scales of batch normalisation as well."""
        loss = self.model.architecture.losses[0]
        return self.evaluation.compute(
            self.x,
            self.targets,
            sample_weight=self.sample_weight,
            training=training,
            seed=self.model.architecture.seed,
            loss_function=loss.function if isinstance(loss, UserLoss) else None,
        )

    def differences(self, kind: str, layer: int, training: bool) -> NDArray:
        array = dict(self.model.layer_arrays(kind))[layer].copy()

        def loss() -> float:
            self.model.assign(kind, layer, array)
            return self.compute(training)[0]

        (numeric,) = central_differences(loss, [array])
        self.model.assign(kind, layer, array)
        return numeric


def smooth_case(training: bool, hidden: Sequence[str], problem: Problem, **options: Any) -> Case:
    activations = [*hidden, options.get("output", "identity")]
    for seed in range(100):
        case = Case(seed, hidden, problem, **options)
        if case.is_smooth(training, activations):
            return case
    raise AssertionError("no seed keeps the samples away from the kinks")


# ---------------------------------------------------------------- the comparison


class Worst:
    """The largest relative errors met, and where."""

    def __init__(self) -> None:
        self.errors: dict[str, tuple[float, str]] = {}
        self.count = 0

    def add(self, against: str, what: str, actual: NDArray, expected: NDArray) -> None:
        assert actual.shape == expected.shape, what
        self.count += 1
        scale = np.max(np.abs(expected))
        if scale == 0:
            assert not actual.any(), f"{against}, {what}: must be 0"
            return
        error = float(np.max(np.abs(actual - expected)) / scale)
        assert error < BOUND, f"{against}, {what}: relative error {error:.2g}"
        self.errors[against] = max(self.errors.get(against, (0.0, "")), (error, what))


@pytest.fixture(scope="module")
def worst() -> Iterator[Worst]:
    return Worst()


def check(case: Case, training: bool, label: str, worst: Worst) -> None:
    y = case.targets if len(case.targets) > 1 else case.targets[0]
    loss, dweights, dbiases = case.model.loss_and_gradients(
        case.x, y, sample_weight=case.sample_weight, training=training
    )
    _, arrays = case.compute(training)
    gradients = dict(zip(case.places, [*dweights, *dbiases, *arrays["scales"]], strict=True))
    exact = case.net.loss_and_gradients(
        case.x * INPUT_SCALE, case.targets, case.sample_weight, **case.surroundings(training)
    )
    assert loss == pytest.approx(exact.loss, rel=1e-12), label
    of_oracle = {"weights": exact.dweights, "biases": exact.dbiases, "scales": exact.dscales}
    last = len(dweights) - 1
    has_thresholds = any(name in THRESHOLDS for name in case.net.activations)
    for (kind, layer), gradient in gradients.items():
        what = f"{label}: {kind}[{layer}]"
        worst.add("the oracle", what, gradient, of_oracle[kind][layer])
        if not has_thresholds or (layer == last and case.net.activations[-1] not in THRESHOLDS):
            worst.add("differences", what, gradient, case.differences(kind, layer, training))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layers", LAYERS)
def test_gradients_of_all_losses(layers: str, activation: str, worst: Worst) -> None:
    for training in (False, True):
        for name, problem in PROBLEMS.items():
            case = smooth_case(training, [activation] * 2, problem, **LAYERS[layers])
            check(case, training, f"{layers}, {activation}, {name}, training {training}", worst)


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradients_without_hidden_layers(name: str, worst: Worst) -> None:
    for training in (False, True):
        case = smooth_case(training, [], PROBLEMS[name], sizes=(), input_dropout=0.25)
        check(case, training, f"no hidden layer, {name}, training {training}", worst)


@pytest.mark.parametrize("loss", ["mse", "weighted half_mse", "mae"])
@pytest.mark.parametrize("output", ACTIVATIONS)
def test_gradients_of_output_activations(output: str, loss: str, worst: Worst) -> None:
    case = smooth_case(True, ["silu"], PROBLEMS[loss], sizes=(6,), output=output)
    check(case, True, f"output {output}, {loss}", worst)


def test_gradients_where_every_layer_is_another(worst: Worst) -> None:
    options = {
        "sizes": (5, 17, 4, 6),
        "dropout": [0.0, 0.3, 0.2, 0.0],
        "batch_normalization": [True, False, True, False],
        "input_dropout": 0.2,
        "input_noise": NOISE,
    }
    hidden = ["gelu", "leaky_relu", "tanh", "softplus"]
    for training in (False, True):
        for name, problem in PROBLEMS.items():
            case = smooth_case(training, hidden, problem, **options)
            check(case, training, f"mixed, {name}, training {training}", worst)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("penalties", [{}, {"l2": 0.3}, {"l1": 0.2}, {"l1": 0.2, "l2": 0.3}])
def test_penalties_are_part_of_a_step(penalties: dict[str, float], layers: str) -> None:
    """w - lr (g + l2 w + l1 sign w) for weights, lr g for the rest: step 0 of a training."""
    case = Case(1, ["silu"] * 2, PROBLEMS["weighted mse"], **LAYERS[layers])
    sparse = case.model.weights[1].copy()
    sparse[0] = 0
    case.model.weights[1] = sparse  # l1 has slope 0 there
    before = {place: dict(case.model.layer_arrays(place[0]))[place[1]] for place in case.places}
    _, arrays = case.compute(True)
    rate, l1, l2 = 0.1, penalties.get("l1", 0.0), penalties.get("l2", 0.0)
    case.model.fit(
        case.x, case.targets[0], sample_weight=case.sample_weight, epochs=1, batch_size=ROWS,
        shuffle=False, optimizer=fastmlp.SGD(rate, **penalties), verbose=0,
    )  # fmt: skip
    gradients = dict(zip(case.places, sum((arrays[k] for k in arrays), []), strict=True))
    for (kind, layer), w in before.items():
        g = gradients[kind, layer] + (kind == "weights") * (l2 * w + l1 * np.sign(w))
        after = dict(case.model.layer_arrays(kind))[layer]
        np.testing.assert_allclose(after, w - rate * g, rtol=1e-13, atol=1e-15)


def test_worst_relative_error(worst: Worst, capsys: pytest.CaptureFixture[str]) -> None:
    if not worst.errors:
        pytest.skip("no gradient was compared in this run")
    with capsys.disabled():
        print(f"\n{worst.count} gradients compared; worst relative errors:")
        for against, (error, what) in worst.errors.items():
            print(f"  against {against}: {error:.2g} ({what})")
    assert all(error < BOUND for error, _ in worst.errors.values())
