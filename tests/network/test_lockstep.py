"""Random networks of every kind in lockstep with the float64 oracle.

Embedded inputs, scales, mixes, members and all that surrounds a step, alone and together, as they
are drawn; rates, decays and epsilons of single arrays; rates, decays and dropout of single steps.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp.inputs import Numbers
from support import random_networks, reference_losses
from support.gradient_cases import standard_noise
from support.model_oracles import (
    RULES,
    Factors,
    OracleTraining,
    batches,
    gradient_of,
    masks_of,
    oracle_of,
    trained_names,
)

# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())
CHUNKS, CASES = 8, 12
DISTURBANCES = 4  # of the start, to see how rounding is amplified
SMOOTH_LOSSES = (
    fastmlp.SoftmaxCrossEntropy,
    fastmlp.BinaryCrossEntropy,
    fastmlp.MSE,
    fastmlp.HalfMSE,
    fastmlp.Poisson,
)
SMOOTH = ["sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "softplus", "mish", "identity"]


def drawn_case(seed: int, dtype: str, **options: Any) -> random_networks.Case:
    """Return a case with a loss of the core, of at most 40 samples to a batch.

    Bytes are not embedded: angles of hundreds of turns would amplify rounding.
    """
    for number in range(100):
        case = random_networks.case(seed + 7919 * number)
        embeds_bytes = case.x.dtype == np.uint8 and "inputs" in case.model
        own = not callable(case.model["loss"])
        if own and case.fit["batch_size"] <= 40 and not embeds_bytes:
            model = {**case.model, "dtype": dtype, "compute_dtype": None, **options}
            return replace(case, model=model)
    raise AssertionError("no small case with a loss of the core")


def model_of(case: random_networks.Case) -> fastmlp.MLP:
    """Return the model with parameters that differ from their usual start."""
    options = dict(case.model)
    model = fastmlp.MLP(options.pop("layer_sizes"), **options)
    rng = np.random.default_rng([case.seed, 5])
    spread = {"weights": 0.0, "mixes": 0.3, "scales": 0.2, "input_scales": 0.2, "variances": 0.2}
    new = {}
    for name, array in model.parameters().items():
        deviates = rng.standard_normal(array.shape)
        kind = name.split(".")[2]
        moved = array + spread.get(kind, 0.1) * (
            np.abs(deviates) if kind == "variances" else deviates
        )
        new[name] = moved.astype(model.dtype)
    model.set_parameters(new)
    if case.frozen:
        model.freeze(case.frozen)
    return model


def dense(case: random_networks.Case, model: fastmlp.MLP) -> Any:
    """Return the samples as the network reads them, scaled, in float64."""
    x = case.x if isinstance(case.x, np.ndarray) else case.x.toarray()
    if x.dtype.kind == "f":
        x = x.astype(model.dtype)
    scale = model.dtype.type(case.model.get("input_scale", 1.0))
    return x.astype(model.dtype).astype(np.float64) * float(scale)


def data_of(case: random_networks.Case, model: fastmlp.MLP) -> Any:
    return model._data(case.x, case.y, case.fit.get("sample_weight"))


def noise_of(model: fastmlp.MLP, step: int, rows: int) -> Any:
    architecture = model.architecture
    if not architecture.input_noise:
        return None
    deviates = standard_noise(architecture.seed, step, rows, model.layer_sizes[0])
    return architecture.input_noise * deviates


def largest(arrays: Any) -> float:
    return max([1e-30, *(float(np.max(np.abs(a), initial=0.0)) for a in arrays)])


# ---------------------------------------------------------------- training


def random_factors(rng: np.random.Generator, model: fastmlp.MLP) -> dict[str, Factors]:
    """Return factors of a third of the arrays, or of none."""
    if rng.random() < 0.3:
        return {}
    return {
        name: Factors(*(float(rng.choice([0.0, 0.1, 1.0, 2.5])) for _ in range(2)), epsilon=1.5)
        for name in model.parameters()
        if rng.random() < 0.33 and not name.endswith((".means", ".variances"))
    }


def random_settings(rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """Return a rule and its settings.

    The epsilon is large: rules that divide by a root would blow up gradients of nothing but
    rounding.
    """
    rule = str(rng.choice(list(RULES)))
    settings = {"momentum": 0.8, "beta1": 0.9, "beta2": 0.95, "epsilon": 0.01}
    choices = {
        "clip_norm": float(rng.uniform(0.05, 2)),
        "clip_value": float(rng.uniform(0.001, 0.1)),
        "max_norm": float(rng.uniform(0.5, 2)),
        "average_decay": 0.9,
        "l1": 1e-3,
        "l2": 1e-2,
    }
    chosen = {name: value for name, value in choices.items() if rng.random() < 0.2}
    return rule, settings | chosen


@dataclass
class Training:
    """All that a random training is given, for the core and for the oracle."""

    seed: int
    epochs: int = 2
    most_steps: int = 4

    def __post_init__(self) -> None:
        self.case = drawn_case(self.seed, "float64")
        self.model = model_of(self.case)
        rng = np.random.default_rng([self.seed, 6])
        self.rule, self.settings = random_settings(rng)
        self.factors = random_factors(rng, self.model)
        self.data, self.x = data_of(self.case, self.model), dense(self.case, self.model)
        self.batch, self.drop_last = self.case.fit["batch_size"], self.case.fit["drop_last"]
        even = any(self.model.architecture.batch_normalization)
        parts = list(batches(len(self.x), self.batch, even, self.drop_last))
        self.parts = parts[: self.most_steps]
        # Of half of the batches that can be divided, as many as have rows or fewer.
        most = 1 if even or rng.random() < 0.5 else self.batch
        self.shards = int(rng.integers(1, most + 1))
        shape = (self.epochs, len(self.parts))
        self.orders = [rng.permutation(len(self.x)) for _ in range(self.epochs)]
        self.rates, self.decays = rng.uniform(0, 0.02, shape), rng.uniform(0, 1, shape)
        self.dropout = rng.uniform(0, 1.5, shape)

    def core(self, threads: int) -> dict[str, Any] | None:
        """Return the results of the core by name; None: it diverged."""
        found: dict[str, Any] = {}
        with random_networks.forced(random_networks.ways(self.seed, 1)[0].overrides):
            shards = (self.shards, 0, self.shards)
            run = self.model._core_run(self.batch, self.rule, threads, shards)
        for epoch in range(self.epochs):
            report = run.run_epoch(
                self.data.rows, self.data.targets, self.settings,
                sample_weight=self.data.sample_weight, order=self.orders[epoch],
                seed=self.model.architecture.seed, epoch=epoch, steps=len(self.parts),
                drop_last=self.drop_last, learning_rates=list(self.rates[epoch]),
                decays=list(self.decays[epoch]), dropout_factors=list(self.dropout[epoch]),
                rates=core_rates(self.factors), trainable=self.model._trainable_flags(),
                record_losses=True,
            )  # fmt: skip
            if report["status"] != "completed":
                return None
            found[f"losses {epoch}"] = np.array(report["step_losses"])
            found |= {f"{name} {epoch}": a for name, a in self.model.parameters().items()}
        if "average_decay" in self.settings:
            state = run.state()
            for name in self.model.parameters():
                short = name.removeprefix("layers.").removeprefix("inputs.")
                found[f"average of {name}"] = state[f"averages.{short}"]
        found["outputs"] = self.model._network.forward(self.data.rows, "none", threads)
        return found

    def oracle(self, disturbance: float = 0.0) -> dict[str, Any]:
        """Return the results of the oracle, from a start that is disturbed by a share of itself."""
        model, weights = model_of(self.case), self.data.sample_weight
        training = OracleTraining(model, self.rule, self.settings, self.factors)
        training.disturb(disturbance)
        found: dict[str, Any] = {}
        for epoch in range(self.epochs):
            losses = []
            for step, part in enumerate(self.parts):
                rows = self.orders[epoch][part]
                losses.append(
                    training.step(
                        self.x[rows],
                        [own[rows] for own in self.data.targets],
                        None if weights is None else weights[rows],
                        learning_rate=self.rates[epoch, step],
                        decay=self.decays[epoch, step],
                        dropout_factor=self.dropout[epoch, step],
                        noise=noise_of(model, training.steps, len(rows)),
                    )
                )
            found[f"losses {epoch}"] = np.array(losses)
            found |= {f"{name} {epoch}": a for name, a in training.parameters().items()}
        if "average_decay" in self.settings:
            found |= {f"average of {name}": a for name, a in training.averages.items()}
        found["outputs"] = training.net.forward(self.x)
        return found

    def __str__(self) -> str:
        drawn = f"{self.rule}, {self.settings}, {self.factors}, {self.shards} shards"
        return f"seed {self.seed}, {drawn}, {self.case}"


def core_rates(factors: dict[str, Factors]) -> list[tuple[str, int, float, float, float]]:
    return [
        (name.split(".")[2], int(name.split(".")[1]), own.rate, own.decay, own.epsilon)
        for name, own in factors.items()
    ]


def errors(actual: Any, expected: Any) -> Any:
    return np.where(actual == expected, 0, np.abs(actual - expected))  # infinities are equal


@np.errstate(all="ignore")
def check_training(seed: int, threads: int) -> None:
    """Compare to 1e-10 of an array's largest element.

    A training may amplify rounding: then a hundred times the effect of changing the start by 1e-14
    of itself is allowed.
    """
    training = Training(seed)
    if not training.parts:
        return
    actual, expected = training.core(threads), training.oracle()
    if actual is None:
        assert not all(np.isfinite(array).all() for array in expected.values()), training
        return
    disturbed = None
    assert actual.keys() == expected.keys()
    for name, exact in expected.items():
        assert actual[name].shape == exact.shape, f"{name}, {training}"
        bound: Any = 1e-10 * max(largest([exact[np.isfinite(exact)]]), 1e-3)
        error = errors(actual[name], exact)
        if not (error <= bound).all():
            disturbed = disturbed or training.oracle(1e-14)
            bound = max(bound, 100 * float(np.max(errors(disturbed[name], exact))))
        assert (error <= bound).all(), f"{name}: {np.max(error):.3g} of {bound:.3g}, {training}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_training(chunk: int) -> None:
    for i in range(CASES):
        check_training(SEED + chunk * CASES + i, 1 + i % 3)


# ---------------------------------------------------------------- gradients


def smooth_case(seed: int, dtype: str) -> random_networks.Case:
    """Return a case without kinks."""
    for number in range(100):
        case = drawn_case(seed + 104729 * number, dtype)
        losses = case.model["loss"]
        if not isinstance(losses, list) and isinstance(losses, SMOOTH_LOSSES):
            break
    rng = np.random.default_rng([seed, 7])
    model = dict(case.model)
    if len(model["layer_sizes"]) > 2:
        hidden = len(model["layer_sizes"]) - 2
        model["activation"] = [SMOOTH[rng.integers(len(SMOOTH))] for _ in range(hidden)]
    model["inputs"] = [without_kinks(group) for group in model.get("inputs", [])] or None
    return replace(case, model=model, frozen=[])


def without_kinks(group: Any) -> Any:
    if not isinstance(group, Numbers) or group.embedding is None:
        return group
    return replace(group, embedding=replace(group.embedding, relu=False))


def gradients(model: fastmlp.MLP, data: Any, training: bool, threads: int) -> tuple[float, Any]:
    """Return the loss and the gradients by the names of the parameters."""
    loss, of_kinds = model._gradients(data, training, False, threads)
    left = {kind: iter(arrays) for kind, arrays in of_kinds.items()}
    found = {name: next(left[name.split(".")[2]]) for name in trained_names(model)}
    assert all(next(arrays, None) is None for arrays in left.values())
    return loss, found


def exact_gradients(
    model: fastmlp.MLP, data: Any, x: Any, disturbance: float, seed: int = 0, **surroundings: Any
) -> Any:
    """Return loss and gradients of the oracle, of parameters changed by a share of themselves."""
    start = OracleTraining(model, "sgd", {})
    start.disturb(disturbance, seed)
    found = start.net.loss_and_gradients(x, data.targets, data.sample_weight, **surroundings)
    arrays = {name: gradient_of(found, name) for name in trained_names(model)}
    return {"loss": np.array(found.loss)} | arrays


@np.errstate(all="ignore")
def check_gradients(seed: int, dtype: str, threads: int) -> None:
    """Compare with the oracle.

    In float32 to 1e-5 of the largest element of all arrays, because sums cancel, or to a hundred
    times the effect of changing the start by 5e-7 of itself. Batch normalization is left out there:
    in small batches it divides rounding by deviations of any size.
    """
    case = drawn_case(seed, dtype) if dtype == "float64" else smooth_case(seed, dtype)
    normalizes = case.model["batch_normalization"] if dtype == "float64" else False
    options = {**case.model, "batch_normalization": normalizes}
    case = replace(case, model=options, frozen=[])
    model = model_of(case)
    data, x = data_of(case, model), dense(case, model)
    exact = dtype == "float64"
    share, factor, usual, least = (1e-14, 100, 1e-11, 1e-4) if exact else (5e-7, 100, 1e-5, 1.0)
    for training in (False, True):
        loss, actual = gradients(model, data, training, threads)
        surroundings: dict[str, Any] = {"training": training}
        if training:
            surroundings["masks"] = masks_of(model, len(x), 0)
            surroundings["noise"] = noise_of(model, 0, len(x))

        expected = exact_gradients(model, data, x, 0.0, **surroundings)
        whole = largest(expected.values())
        disturbed = None
        for name, found in {"loss": np.array(loss), **actual}.items():
            bound = usual * max(largest([expected[name]]), least * whole)
            error = errors(found, expected[name])
            assert found.shape == expected[name].shape
            if not (error <= bound).all():
                disturbed = disturbed or [
                    exact_gradients(model, data, x, share, number, **surroundings)
                    for number in range(DISTURBANCES)
                ]
                effects = [np.max(errors(each[name], expected[name])) for each in disturbed]
                bound += factor * float(max(effects))
            what = f"{name}, training {training}, seed {seed}, {case}"
            assert (error <= bound).all(), f"{np.max(error):.3g} of {bound:.3g}: {what}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_gradients(chunk: int, dtype: str) -> None:
    for i in range(CASES):
        check_gradients(SEED + chunk * CASES + i, dtype, 1 + i % 3)


def check_differences(seed: int) -> None:
    """Compare the slope along a random direction of each array with a central difference.

    Two sizes of the step show how much a difference is worth.
    """
    case = smooth_case(seed, "float64")
    model = model_of(case)
    data = data_of(case, model)
    rng = np.random.default_rng([seed, 8])
    _, exact = gradients(model, data, True, 1)
    start = model.parameters()
    norms = {name: float(np.sqrt((g * g).sum())) for name, g in exact.items()}
    for name, gradient in exact.items():
        direction = rng.standard_normal(gradient.shape)
        direction /= np.sqrt((direction**2).sum())
        numeric = []
        for step in (1e-5, 5e-6):
            sides = []
            for side in (step, -step):
                model.set_parameters({**start, name: start[name] + side * direction})
                sides.append(model._gradients(data, True, False, 1)[0])
            numeric.append((sides[0] - sides[1]) / (2 * step))
        slope = float((direction * gradient).sum())
        rounding = 1e-7 * max(abs(sides[0]), *norms.values())
        bound = 1e-5 * norms[name] + rounding + abs(numeric[1] - numeric[0])
        assert abs(numeric[1] - slope) <= bound, (seed, name, numeric, slope, bound, str(case))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_differences(chunk: int) -> None:
    for i in range(CASES):
        check_differences(SEED + chunk * CASES + i)


# ---------------------------------------------------------------- predictions


def check_predictions(seed: int, threads: int) -> None:
    """Outputs of the ensemble, of the hidden layers of each member, and the measured loss."""
    case = drawn_case(seed, "float64")
    model = model_of(case)
    data, x = data_of(case, model), dense(case, model)
    net = oracle_of(model)
    with np.errstate(all="ignore"):
        traces, _ = net.trace(x, False)
        outputs = net.forward(x)
        expected = reference_losses.total(net.groups, outputs, data.targets, data.sample_weight)[0]
    actual = model._network.forward(data.rows, "none", threads)
    assert (errors(actual, outputs) <= 1e-10 * largest([outputs, 1.0])).all(), (seed, str(case))
    measured = model._evaluate_data(data, threads)["loss"]
    assert measured == pytest.approx(expected, rel=1e-9), (seed, str(case))
    hidden = model.hidden_activations(case.x, threads=threads)
    assert len(hidden) == len(traces) - 1
    for layer, found in enumerate(hidden):
        exact = traces[layer + 1].unscaled
        found = np.moveaxis(found, 0, -2)  # samples come first, members in the oracle
        bound = 1e-10 * largest([exact, 1.0])
        assert found.shape == exact.shape
        assert (errors(found, exact) <= bound).all(), (seed, layer, str(case))


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_predictions(chunk: int) -> None:
    for i in range(CASES):
        check_predictions(SEED + chunk * CASES + i, 1 + i % 3)
