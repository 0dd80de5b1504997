"""Random networks, data and ways of computing, drawn from a seed: what must not depend on the way.

A case is a network with its data, optimizer and everything that a training can be given. A way is a
number of threads and overridden decisions of the plan, so that every path is taken at every size.
`differences` computes a case in several ways and names the results that differ in any bit.

    PYTHONPATH=tests python -m support.random_networks 2000  # cases, from a fresh seed
    PYTHONPATH=tests python -m support.random_networks 1 --seed 123  # one case again
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import fastmlp
from fastmlp import _core, schedules
from support import random_inputs

__all__ = ["Case", "Way", "case", "differences", "forced", "new_seed", "run", "ways"]

THREADS = (1, 2, 3, 4, 7)
ACTIVATIONS = [
    "relu", "sigmoid", "tanh", "leaky_relu", "elu", "selu", "gelu", "gelu_tanh", "silu", "softplus",
    "mish", "hard_sigmoid", "step", "sign", "identity", fastmlp.LeakyReLU(0.2), fastmlp.ELU(0.5),
    fastmlp.Step(straight_through=True), fastmlp.Sign(straight_through=True),
]  # fmt: skip
OPTIMIZERS = [
    fastmlp.SGD, fastmlp.Adagrad, fastmlp.RMSprop, fastmlp.Adam, fastmlp.AdamW, fastmlp.Adamax,
    fastmlp.Nadam, fastmlp.Lion,
]  # fmt: skip


def new_seed() -> int:
    return secrets.randbelow(2**31)


@dataclass(frozen=True)
class Way:
    """A way to compute: the number of threads and the overridden decisions of the plan."""

    threads: int = 1
    overrides: Mapping[str, Any] = field(default_factory=dict)


@contextlib.contextmanager
def forced(overrides: Mapping[str, Any]) -> Iterator[None]:
    """Let `overrides` decide for plans that are made in this context."""
    _core.override_plans(**overrides)
    try:
        yield
    finally:
        _core.override_plans()


def ways(seed: int, count: int) -> list[Way]:
    rng = np.random.default_rng([seed, 1])

    def maybe(value: Any) -> Any:
        return value if rng.random() < 0.7 else None

    return [
        Way(
            int(rng.choice(THREADS[1:])),
            {
                "split_by_outputs": maybe(int(rng.integers(2**8))),
                "transposes_weights": maybe(int(rng.integers(2**8))),
                "own_input": maybe(bool(rng.integers(2))),
                "leaves_out_columns": maybe(bool(rng.integers(2))),
                "row_block": maybe(int(rng.integers(1, 9))),
                "depth_block": maybe(int(rng.integers(1, 9))),
                "panel_group": maybe(int(rng.integers(1, 5))),
            },
        )
        for _ in range(count)
    ]


@dataclass(frozen=True)
class Case:
    """A network with the data and settings of its training."""

    seed: int
    model: dict[str, Any]
    frozen: list[int]
    x: Any
    y: Any
    fit: dict[str, Any]
    fits_samples: bool = False  # the initial weights are fitted to the samples

    def __str__(self) -> str:
        options = {k: v for k, v in self.model.items() if k not in ("seed", "loss")}
        fit = {k: v for k, v in self.fit.items() if not isinstance(v, np.ndarray)}
        shape = f"{type(self.x).__name__} {self.x.shape} {self.x.dtype}"
        return f"{options} loss={self.model['loss']} frozen={self.frozen} x={shape} fit={fit}"


def _size(rng: np.random.Generator, most: int) -> int:
    """Return a size that is small, large, or near the edges of panels."""
    kind = rng.integers(3)
    if kind == 0:
        return int(rng.integers(1, min(most, 12) + 1))
    if kind == 1:
        return int(np.clip(rng.integers(1, most // 16 + 2) * 16 + rng.integers(-1, 2), 1, most))
    return int(rng.integers(1, most + 1))


def _log_cosh(outputs: Any, wanted: Any) -> Any:
    """Return loss and gradient; all sums are NumPy's, so that they suit any split of the work."""
    distance = outputs - wanted
    return np.log(np.cosh(distance)).sum() / len(wanted), np.tanh(distance) / len(wanted)


def _losses(rng: np.random.Generator, outputs: int) -> tuple[Any, list[tuple[str, int]]]:
    """Return a loss and, for each of its groups, the kind of targets and the outputs."""
    factors = tuple(rng.uniform(0, 2, outputs).tolist()) if rng.random() < 0.2 else None
    single = [
        (fastmlp.SoftmaxCrossEntropy(), "classes"),
        (fastmlp.SoftmaxCrossEntropy(smoothing=0.1), "classes"),
        (fastmlp.SoftmaxCrossEntropy(smoothing=0.05), "shares"),
        (fastmlp.Hinge(), "classes"),
        (fastmlp.BinaryCrossEntropy(output_weights=factors), "shares"),
        (fastmlp.MSE(output_weights=factors), "values"),
        (fastmlp.HalfMSE(weight=0.5), "values"),
        (fastmlp.MAE(output_weights=factors), "values"),
        (fastmlp.Huber(delta=0.3), "values"),
        (fastmlp.Poisson(), "counts"),
        (fastmlp.Quantile(levels=0.3), "values"),
        (_log_cosh, "values"),
    ]
    if outputs >= 3 and rng.random() < 0.15:
        first, second = 1 + int(rng.integers(outputs - 2)), 1
        third = outputs - first - second
        groups = [
            fastmlp.SoftmaxCrossEntropy(outputs=first, smoothing=0.1),
            fastmlp.Quantile(outputs=second, weight=0.7, levels=0.2),
            fastmlp.BinaryCrossEntropy(outputs=third, weight=2.0),
        ]
        return groups, [("classes", first), ("values", second), ("shares", third)]
    loss, kind = single[rng.integers(len(single))]
    return loss, [(kind, outputs)]


def _targets(rng: np.random.Generator, kind: str, samples: int, outputs: int) -> Any:
    if kind == "classes":
        return rng.integers(0, outputs, samples)
    if kind == "shares":
        return rng.dirichlet(np.ones(outputs), samples)
    if kind == "counts":
        return rng.poisson(2.0, (samples, outputs)).astype(np.float64)
    return rng.uniform(-1, 1, (samples, outputs))


def _inputs(rng: np.random.Generator, samples: int, features: int) -> Any:
    kind = rng.integers(5)
    dense = rng.standard_normal((samples, features))
    if kind == 0:
        return dense
    if kind == 1:
        return (rng.random((samples, features)) < 0.1) * dense  # many columns of zeros
    if kind == 2:
        return rng.integers(0, 256, (samples, features)).astype(np.uint8)
    if kind == 3:
        dead = rng.random(features) < 0.4
        return np.where(dead, 0, rng.integers(0, 256, (samples, features))).astype(np.uint8)
    sparse: Any = __import__("scipy.sparse", fromlist=["csr_array"])
    return sparse.csr_array((rng.random((samples, features)) < 0.1) * dense)


def _optimizer(rng: np.random.Generator) -> Any:
    options: dict[str, Any] = {}
    if rng.random() < 0.2:
        options |= {"clip_norm": float(rng.uniform(0.05, 2))}
    if rng.random() < 0.1:
        options |= {"clip_value": float(rng.uniform(0.001, 0.1))}
    if rng.random() < 0.2:
        options |= {"max_norm": float(rng.uniform(0.2, 2))}
    if rng.random() < 0.2:
        options |= {"l1": 1e-4, "l2": 1e-3}
    if rng.random() < 0.1:
        options |= {"decay": 0.01}
    kind = OPTIMIZERS[rng.integers(len(OPTIMIZERS))]
    if kind is fastmlp.SGD:
        options |= {"momentum": float(rng.choice([0, 0.9]))}
        options |= {"nesterov": bool(options["momentum"] and rng.integers(2))}
    if kind is fastmlp.RMSprop:
        options |= {"momentum": float(rng.choice([0, 0.5])), "centred": bool(rng.integers(2))}
    if kind is fastmlp.Adam:
        options |= {"amsgrad": bool(rng.integers(2))}
    rate: Any = float(rng.choice([0.001, 0.01]))
    if rng.random() < 0.2:
        rate = schedules.Cosine(rate)
    return kind(rate, **options)


def _table_options(
    rng: np.random.Generator, features: int, hidden: int, inputs_scale: float, several: bool
) -> dict[str, Any]:
    """Return what networks for tables have besides: usually nothing."""
    options: dict[str, Any] = {}
    if rng.random() < 0.5:
        return options
    if rng.random() < 0.5:
        options["inputs"] = random_inputs.groups(rng, features, inputs_scale)
    if rng.random() < 0.4:
        options["input_scaling"] = True
    if rng.random() < 0.5 and hidden:
        options["parametric"] = [bool(rng.integers(2)) for _ in range(hidden)]
    if rng.random() < 0.5 and several:
        options["members"] = int(rng.integers(2, 6))
        options["sharing"] = str(rng.choice(["tabm", "tabm-mini", "packed"]))
        options["own_batches"] = bool(rng.integers(2))
    return options


def _row_options(rng: np.random.Generator, sizes: list[int]) -> dict[str, Any]:
    """Return layer normalization and residual blocks; layers of `sizes` may get other widths."""
    hidden = len(sizes) - 2
    ends = [i >= 2 and bool(rng.random() < 0.6) for i in range(hidden)]
    for i, is_end in enumerate(ends):
        if is_end:
            sizes[i + 1] = sizes[i - 1]
    normalized = [bool(rng.random() < 0.5) and sizes[i + 1] > 1 for i in range(hidden)]
    return {"layer_normalization": normalized, "residual": ends}


def case(seed: int) -> Case:
    """Return the case of a seed."""
    rng = np.random.default_rng([seed, 0])
    depth = int(rng.integers(1, 6))
    outputs = _size(rng, 1100 if rng.random() < 0.25 else 260)
    sizes = [_size(rng, 300) for _ in range(depth)] + [outputs]
    batch = _size(rng, 260)
    samples = int(rng.integers(1, 3 * batch + 2))
    loss, kinds = _losses(rng, outputs)
    normalized = [bool(rng.random() < 0.25) for _ in range(depth - 1)]
    if any(normalized):
        samples = max(samples, 2)
        batch = max(batch, 3)  # no batch of one row
    model: dict[str, Any] = {
        "layer_sizes": sizes,
        "activation": [ACTIVATIONS[rng.integers(len(ACTIVATIONS))] for _ in range(depth - 1)]
        or "relu",
        "loss": loss,
        "dtype": str(rng.choice(["float32", "float64"])),
        "seed": int(rng.integers(1000)),
        "batch_normalization": normalized or False,
        "dropout": [float(rng.choice([0, 0, 0.3])) for _ in range(depth - 1)] or 0.0,
        "input_dropout": float(rng.choice([0, 0, 0, 0.2])),
        "input_noise": float(rng.choice([0, 0, 0, 0.1])),
    }
    if isinstance(loss, (fastmlp.MSE, fastmlp.MAE)) and rng.random() < 0.3:
        model["output_activation"] = str(rng.choice(["softmax", "tanh", "sigmoid"]))
    x = _inputs(rng, samples, sizes[0])
    magnitude = 100.0 if x.dtype == np.uint8 else 1.0
    table = _table_options(rng, sizes[0], depth - 1, magnitude, loss is not _log_cosh)
    model |= table
    if "inputs" in table:
        sparse = not isinstance(x, np.ndarray)
        dense = random_inputs.with_codes(rng, x.toarray() if sparse else x, table["inputs"])
        x = type(x)(dense) if sparse else dense
    elif x.dtype == np.uint8:
        model["input_scale"] = 1 / 255
    if depth > 1 and not any(normalized) and "members" not in table and rng.random() < 0.5:
        model |= _row_options(rng, sizes)
    if table.keys() - {"parametric"}:
        model["input_dropout"] = model["input_noise"] = 0.0
    if model["dtype"] == "float32" and "members" not in table and rng.random() < 0.4:
        model["compute_dtype"] = "bfloat16"
    targets = [_targets(rng, kind, samples, width) for kind, width in kinds]
    fit: dict[str, Any] = {
        "epochs": 2,
        "batch_size": batch,
        "optimizer": _optimizer(rng),
        "shuffle": bool(rng.random() < 0.8),
        "drop_last": bool(rng.random() < 0.2),
    }
    if rng.random() < 0.2 and loss is not _log_cosh:
        fit["sample_weight"] = rng.uniform(0.1, 2, samples)
    averaging = rng.random()
    if averaging < 0.1:
        fit["averaging"] = fastmlp.EMA(0.9)
    elif averaging < 0.2:
        fit["averaging"] = fastmlp.SWA()
    if rng.random() < 0.2:
        every = int(rng.integers(1, 4))
        fit["callbacks"] = [fastmlp.LambdaCallback(on_step_end=lambda *_: None, every_steps=every)]
    frozen = [layer for layer in range(depth) if rng.random() < 0.15]
    if len(frozen) == depth:
        frozen = []
    row_options = any(model.get("layer_normalization", ())) or any(model.get("residual", ()))
    fits_samples = (
        "members" not in table and not any(normalized) and rng.random() < 0.15 and not row_options
    )
    y = targets[0] if len(targets) == 1 else targets
    return Case(seed, model, frozen, x, y, fit, fits_samples)


def _digest(*arrays: Any) -> str:
    joined = hashlib.sha256()
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()[:16]


def results(drawn: Case, way: Way) -> dict[str, str]:
    """Return digests of all results of a case, by name."""
    with forced(way.overrides), np.errstate(all="ignore"):
        return dict(_results(drawn, way.threads))


def _results(drawn: Case, threads: int) -> Iterator[tuple[str, str]]:
    options = dict(drawn.model)
    model = fastmlp.MLP(options.pop("layer_sizes"), **options)
    if drawn.frozen:
        model.freeze(drawn.frozen)
    x, y = drawn.x, drawn.y
    if drawn.fits_samples:
        model._network.initialize_from_samples(model._rows(x), 3)
        yield "weights fitted to samples", _digest(*model.parameters().values())
    weights = drawn.fit.get("sample_weight")
    data = model._data(x, y, weights)
    for training in (False, True):
        loss, gradients = model._gradients(data, training, False, threads)
        arrays = [array for kind in sorted(gradients) for array in gradients[kind]]
        yield f"gradients, training={training}", _digest(loss, *arrays)
    if not model.architecture.inputs:
        yield "input gradients", _digest(model.input_gradients(x, y, threads=threads))
    try:
        history = model.fit(x, y, threads=threads, verbose=0, **drawn.fit)
        yield "records", _digest(history.loss, history.accuracy)
    except fastmlp.DivergedError as error:
        yield "records", f"diverged in epoch {error.epoch} at step {error.step}"
    yield "parameters", _digest(*model.parameters().values())
    state = model.training_state()
    yield (
        "state",
        _digest(*(state[k] for k in sorted(state) if k.startswith(("slots", "averages")))),
    )
    yield "outputs", _digest(model.forward(x, threads=threads))
    yield "predictions", _digest(*np.atleast_1d(model.predict(x, threads=threads)[0]))
    yield "hidden activations", _digest(*model.hidden_activations(x, threads=threads))
    measured = model.evaluate(x, y, sample_weight=weights, threads=threads)
    yield "evaluation", _digest(*measured.values())


def estimator_results(seed: int, way: Way) -> dict[str, str]:
    """Return digests of the results of a random estimator."""
    rng = np.random.default_rng([seed, 2])
    samples, features = int(rng.integers(30, 200)), _size(rng, 100)
    outputs = _size(rng, 120)
    hidden = tuple(_size(rng, 200) for _ in range(int(rng.integers(1, 4))))
    common: dict[str, Any] = {
        "hidden_layer_sizes": hidden,
        "activation": str(rng.choice(["relu", "tanh", "logistic", "identity"])),
        "solver": str(rng.choice(["adam", "sgd", "lbfgs"])),
        "batch_size": int(min(samples, _size(rng, 128))),
        "max_iter": 3,
        "random_state": 0,
        "early_stopping": bool(rng.integers(2)),
        "n_threads": way.threads,
    }
    x = rng.standard_normal((samples, features))
    if rng.integers(2):
        x = x.astype(np.float32)
    import warnings

    with forced(way.overrides), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        if rng.integers(2):
            labels = np.arange(samples) % min(outputs, samples // 6)
            estimator: Any = fastmlp.MLPClassifier(**common)
            y = rng.permutation(labels)
        else:
            estimator = fastmlp.MLPRegressor(**common)
            y = rng.standard_normal((samples, outputs))
        try:
            estimator.fit(x, y)
        except fastmlp.DivergedError as error:  # as some do, at the same step in every way
            return {"diverged": f"epoch {error.epoch}, step {error.step}"}
        classifies = hasattr(estimator, "classes_")
        told = estimator.predict_proba(x) if classifies else estimator.predict(x)
    return {
        "coefs": _digest(*estimator.coefs_, *estimator.intercepts_),
        "loss": _digest(estimator.loss_),
        "predictions": _digest(told),
    }


def differences(seed: int, ways_per_case: int = 2) -> list[str]:
    """Return a line for each random way whose results differ from those of one thread."""
    chosen = ways(seed, ways_per_case)
    drawn = case(seed)
    compute = [lambda way: results(drawn, way)]
    if seed % 8 == 0:
        compute.append(lambda way: estimator_results(seed, way))
    found = []
    for function in compute:
        expected = function(Way())
        for way in chosen:
            actual = function(way)
            wrong = [name for name in expected if actual.get(name) != expected[name]]
            if wrong or actual.keys() != expected.keys():
                found.append(f"seed {seed}, {way}: {', '.join(wrong) or 'other results'}; {drawn}")
    return found


def run(count: int, seed: int, report: Any = None) -> list[str]:
    """Return the differences among `count` cases."""
    found: list[str] = []
    for i in range(count):
        found += differences(seed + i)
        if report is not None:
            report(i + 1, found)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args()
    seed = new_seed() if chosen.seed is None else chosen.seed
    print(f"seed {seed}", flush=True)
    start = time.monotonic()

    def report(done: int, found: list[str]) -> None:
        if done % 100 == 0:
            elapsed = time.monotonic() - start
            print(f"{done} cases, {len(found)} different, {elapsed:.0f} s", flush=True)

    found = run(chosen.count, seed, report)
    print(*found, sep="\n")
    print(f"{chosen.count} random configurations from seed {seed}, {len(found)} different")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
