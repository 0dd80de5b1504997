"""Script: calls of the core's functions with invalid arguments.

``python hostile_calls.py SEED SECONDS``. Failures are a signal, a hang, or an exception that does
not help a caller (SystemError, a cast that names no argument); every other result is correct.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from fastmlp import _core

FEATURES, OUTPUTS, SAMPLES = 6, 3, 9
ANSWERS = (TypeError, ValueError, MemoryError, IndexError, RuntimeError, OverflowError, KeyError)
NUMBERS = [0, 1, -1, 2, 3, 5, 2**31 - 1, 2**31, 2**32, 2**40, 2**62, 2**63 - 1, -(2**63), 2**64]
REALS = [0.0, 1.0, -1.0, 0.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")]
ODD = [None, "", "sgd", "é" * 3, b"x", [], {}, (), object(), True, 1.5, [1, "a"], ((1,),), 1j]


class Arguments:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def any_of(self, things: Any) -> Any:
        return things[self.rng.integers(len(things))]

    def count(self) -> Any:
        return self.any_of(NUMBERS if self.rng.random() < 0.5 else [1, 2, 3, 4])

    def array(self) -> Any:
        shape = tuple(self.rng.integers(0, 12, self.rng.integers(0, 4)))
        if self.rng.random() < 0.6:
            shape = self.any_of([(SAMPLES, FEATURES), (SAMPLES,), (SAMPLES, OUTPUTS), (OUTPUTS,)])
        if self.rng.random() < 0.1:
            shape = (FEATURES, OUTPUTS)
        kinds = ["f4", "f8", "i8", "i4", "u1", ">f4", ">i8", "f2", "c8", "?", "U3", "O", "M8[s]"]
        weights = np.array([8, 4, 4, 3, 3] + [0.4] * 8)
        kind = self.rng.choice(kinds, p=weights / weights.sum())
        if kind in ("U3", "O", "M8[s]"):
            return np.zeros(shape, kind)
        values = self.rng.integers(-2 if self.rng.random() < 0.3 else 0, 4, shape)
        array = np.asarray(values).astype(kind)
        return self.layout(array)

    def layout(self, array: np.ndarray) -> np.ndarray:
        chance = self.rng.random()
        if chance < 0.06:
            return np.asfortranarray(array)
        if chance < 0.12 and array.size:
            raw = np.empty(array.nbytes + 1, np.uint8)
            odd = raw[1:].view(np.uint8)[: array.nbytes].view(array.dtype).reshape(array.shape)
            odd[...] = array
            return odd
        if chance < 0.16 and array.ndim:
            return np.repeat(array, 2, axis=0)[::2]
        if chance < 0.2:
            return np.broadcast_to(array, array.shape)
        if chance < 0.22:
            shape = (2**40, FEATURES)
            return np.lib.stride_tricks.as_strided(np.zeros(1, array.dtype), shape, (0, 0))
        return array

    def sparse(self) -> Any:
        elements = self.rng.random(12).astype("f4")
        columns = self.rng.integers(0, FEATURES, 12).astype("i4")
        starts = np.array([0, 3, 5, 9, 9, 9, 10, 10, 12, 12], "i8")
        if self.rng.random() < 0.5:
            wrong = self.any_of([-1, 99, 6, 2**31 - 1])
            self.any_of([columns, starts])[self.rng.integers(9)] = wrong
        parts = [elements, columns, starts]
        if self.rng.random() < 0.3:
            parts[self.rng.integers(3)] = self.array()
        return tuple(parts[: self.any_of([3, 3, 3, 2])])

    def rows(self) -> Any:
        if self.rng.random() < 0.1:
            return self.any_of(ODD)
        if self.rng.random() < 0.3:
            return self.sparse()
        if self.rng.random() < 0.3:
            return self.codes()
        if self.rng.random() < 0.5:
            return self.rng.random((SAMPLES, FEATURES)).astype(self.any_of(["f4", "f8"]))
        return self.array()

    def targets(self) -> Any:
        if self.rng.random() < 0.1:
            return self.any_of(ODD)
        if self.rng.random() < 0.6:
            return [self.rng.integers(0, OUTPUTS, SAMPLES)]
        return [self.array() for _ in range(self.rng.integers(0, 3))]

    def name(self) -> Any:
        known = ["sgd", "momentum", "adam", "weights", "biases", "softmax", "none", "relu", "tanh"]
        known += ["mixes", "scales", "input_scales", "frequencies", "phases", "maps", "tables"]
        known += ["softmax_cross_entropy", "hinge", "mse", "quantile", "exp", "log", "he_normal"]
        return self.any_of(known if self.rng.random() < 0.9 else ODD)

    def settings(self) -> Any:
        names = ["learning_rate", "momentum", "l1", "l2", "clip_norm", "clip_value", "max_norm"]
        names += ["average_decay", "beta1", "beta2", "epsilon", "decay", "rho"]
        if self.rng.random() < 0.05:
            return self.any_of(ODD)
        chosen = self.rng.choice(names[:-1], 3, replace=False)
        return {name: self.any_of(REALS + ["a"] * (self.rng.random() < 0.1)) for name in chosen}

    def members(self) -> Any:
        if self.rng.random() < 0.7:
            return 1
        return self.any_of([2, 3, 5]) if self.rng.random() < 0.8 else self.count()

    def group(self, kind: str, columns: int) -> Any:
        """Return a group of inputs that is right, or wrong in one place."""
        basis, bases, edges = "value", 1, []
        if kind == "number":
            basis = self.any_of(["value", "cosine", "periodic", "piecewise_linear"])
            bases = 1 if basis == "value" else self.any_of([2, 4, 16])
        if basis == "piecewise_linear":
            edges = [float(i) for _ in range(columns) for i in range(bases + 1)]
        levels = 0 if kind == "number" else self.any_of([1, 2, 3, 40])
        if kind == "one_hot":
            edges = [0.0] * (3 if levels == 2 else 2 * levels)
        group = {
            "kind": kind,
            "columns": columns,
            "clip": self.any_of([0.0, 3.0]),
            "basis": basis,
            "bases": bases,
            "outputs": 2 if kind == "category" else self.any_of([0, 3]),
            "relu": bool(self.rng.random() < 0.5),
            "keeps_value": bool(self.rng.random() < 0.5),
            "edges": edges,
            "levels": levels,
            "deviation": self.any_of([0.0, 1.0]),
        }
        if self.rng.random() < 0.2:
            name = self.any_of(list(group))
            values = {
                "edges": [[], [0.0] * 3, [float("nan")] * len(edges), [1.0] * len(edges)],
                "kind": ["number", "one_hot", "category", "x"],
                "basis": ["value", "cosine", "periodic", "piecewise_linear", "x"],
                "clip": REALS,
                "deviation": REALS,
                "relu": [None, 2],
                "keeps_value": [None, 2],
            }
            group[name] = self.any_of([*values.get(name, NUMBERS), self.any_of(ODD)])
        return group

    def groups(self) -> Any:
        """Return groups that cover the columns, or nearly."""
        left = FEATURES if self.rng.random() < 0.9 else FEATURES + self.any_of([-1, 1])
        groups = []
        while left > 0:
            kind = self.any_of(["number", "one_hot", "category"])
            columns = int(self.rng.integers(1, left + 1)) if kind == "number" else 1
            groups.append(self.group(kind, columns))
            left -= columns
        return groups

    def rates(self) -> Any:
        kinds = ["weights", "biases", "mixes", "tables", "maps", "input_scales", "means", "x"]
        rate = (self.any_of(kinds), self.any_of([0, 1, -1, 2**62]), *self.factors())
        return self.any_of([[], [], [rate], [rate, rate], [rate[:3]], self.any_of(ODD)])

    def factors(self) -> Any:
        return tuple(self.any_of(REALS) for _ in range(3))

    def codes(self) -> Any:
        """Return samples whose columns of codes hold what is no code."""
        x = self.rng.integers(-2, 5, (SAMPLES, FEATURES)).astype(self.any_of(["f4", "f8"]))
        wrong = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.5, -0.5, 2.0**24, 1e-40, 39.999]
        for _ in range(self.rng.integers(0, 9)):
            x[self.rng.integers(SAMPLES), self.rng.integers(FEATURES)] = self.any_of(wrong)
        return x

    def spec(self) -> Any:
        chance = self.rng.random() < 0.5
        layers = [
            {
                "activation": self.any_of(["relu", "tanh", "sigmoid", "x"] if chance else ["relu"]),
                "parameter": self.any_of(REALS) if chance else 0.0,
                "batch_norm": bool(self.rng.random() < 0.3) and i == 0,
                "dropout": self.any_of(REALS) if chance and i == 0 else 0.0,
                "mixes": bool(self.rng.random() < 0.2) and i == 0,
                "input_scales": bool(self.rng.random() < 0.2),
                "output_scales": bool(self.rng.random() < 0.2) and i == 0,
                "own_weights": bool(self.rng.random() < 0.2),
                "own_vectors": bool(self.rng.random() < 0.2),
                "layer_norm": bool(self.rng.random() < 0.1),
                "residual": bool(self.rng.random() < 0.05),
            }
            for i in range(2)
        ]
        loss = self.any_of(["softmax_cross_entropy", "mse", "hinge", "user_defined"])
        losses = {
            "loss": loss,
            "outputs": OUTPUTS if self.rng.random() < 0.9 else self.count(),
            "weight": 1.0,
            "smoothing": 0.0,
            "parameters": [0.0],
            "output_weights": [1.0],
        }
        sizes = [FEATURES, self.any_of([1, 7, 40]), OUTPUTS]
        if self.rng.random() < 0.1:
            sizes[self.rng.integers(3)] = self.count()
        spec = {
            "layer_sizes": sizes,
            "layers": layers,
            "losses": [losses],
            "inputs": self.groups() if self.rng.random() < 0.4 else [],
            "members": self.members(),
            "own_batches": bool(self.rng.random() < 0.5),
            "bfloat16": bool(self.rng.random() < 0.2),
            "softmax_output": bool(self.rng.random() < 0.2),
            "input_scale": self.any_of(REALS) if chance else 1.0,
            "input_dropout": self.any_of(REALS) if chance else 0.0,
            "input_noise": self.any_of(REALS) if chance else 0.0,
            "batch_norm_momentum": 0.9,
            "normalization_epsilon": 1e-5,
        }
        if self.rng.random() < 0.1:
            spec[self.any_of(list(spec))] = self.any_of(ODD)
        return spec


def own_loss(arguments: Arguments) -> Any:
    def function(outputs: Any, targets: Any) -> Any:
        chance = arguments.rng.random()
        if chance < 0.5:
            return 1.0, outputs
        return arguments.any_of([(1.0, arguments.array()), 1.0, None, ("a", outputs), (1, 2, 3)])

    return function


def calls(a: Arguments) -> list[Any]:
    """Return calls of all methods of one object of each class."""
    single = bool(a.rng.random() < 0.7)
    network = (_core.Network32 if single else _core.Network64)(a.spec())
    run_type = _core.Run32 if single else _core.Run64
    gradient_type = _core.Gradient32 if single else _core.Gradient64
    small = a.any_of([1, 2, 4, 9, 20])
    run = run_type(network, a.count() if a.rng.random() < 0.2 else small, "momentum", 2)
    gradient = gradient_type(network, a.count() if a.rng.random() < 0.2 else 20, 2)

    def restore() -> None:
        state = dict(run.state())
        state[a.any_of(list(state))] = a.any_of([a.array(), None, "x"])
        before = run.state()
        try:
            run.restore(state)
        except ANSWERS:
            after = run.state()
            assert all(before[key].tobytes() == after[key].tobytes() for key in before)
            raise

    def set_one() -> None:
        arrays = network.arrays()
        kind, index, shape = arrays[a.rng.integers(len(arrays))]
        chance = a.rng.random()
        values = np.ones(shape if chance < 0.7 else shape[::-1], "f4" if single else "f8")
        network.set(kind, index if chance < 0.9 else a.count(), values)
        network.set_all([(kind, index, values), (kind, index, a.array())])

    threads = lambda: a.any_of([1, 2, 3, 0]) if a.rng.random() < 0.8 else a.count()  # noqa: E731
    return [
        lambda: network.initialize(a.name(), a.any_of(REALS), a.count()),
        lambda: network.initialize_from_samples(a.rows(), a.count()),
        network.arrays,
        lambda: [network.get(kind, index) for kind, index, _ in network.arrays()],
        set_one,
        lambda: network.get(a.name(), a.count()),
        lambda: network.set(a.name(), a.any_of([0, 1, -1, 2**62]), a.array()),
        lambda: network.forward(a.rows(), a.name(), threads()),
        lambda: network.hidden_outputs(a.rows(), threads()),
        lambda: network.predict_classes(a.rows(), threads()),
        lambda: network.evaluate(a.rows(), a.targets(), a.any_of([None, a.array()]), threads()),
        lambda: run.plan,
        run.state,
        restore,
        lambda: run.average(a.any_of(REALS)),
        run.show_averages,
        run.hide_averages,
        *[
            lambda: run.run_epoch(
                a.rows(),
                a.targets(),
                a.settings(),
                sample_weight=a.any_of([None, None, a.array()]),
                order=a.any_of([None, None, a.array(), np.arange(SAMPLES)]),
                shuffle=bool(a.rng.random() < 0.5),
                seed=a.any_of([0, a.count()]),
                epoch=a.any_of([0, a.count()]),
                first_step=a.any_of([0, 1, a.count()]),
                steps=a.any_of([-1, 1, a.count()]),
                learning_rates=a.any_of([[], [0.1], [1e300] * 30, a.any_of(ODD)]),
                decays=a.any_of([[], [], [0.1], [1e300] * 30, a.any_of(ODD)]),
                dropout_factors=a.any_of([[], [], [0.5], [1.0, -1.0], [a.any_of(REALS)] * 9]),
                rates=a.rates(),
                trainable=a.any_of([[], [True, False], [False, False], [True] * 3]),
                with_penalty=bool(a.rng.random() < 0.3),
                record_losses=bool(a.rng.random() < 0.3),
                loss_function=a.any_of([None, own_loss(a), "x"]),
                progress=a.any_of([None, lambda *s: None, "x"]),
            ),
            lambda: gradient.compute(
                a.rows(),
                a.targets(),
                sample_weight=a.any_of([None, a.array()]),
                training=bool(a.rng.random() < 0.5),
                seed=a.any_of([0, a.count()]),
                with_input=bool(a.rng.random() < 0.5),
                loss_function=a.any_of([None, own_loss(a)]),
            ),
        ]
        * 4,
        lambda: _core.permutation(a.any_of([-1, 0, 5, 2**62, 2**40, "x"]), a.count(), a.count()),
        lambda: _core.peak_flops(threads(), a.any_of([1e-3, -1.0, float("nan"), 61.0]), a.name()),
        lambda: _core.inverse_normal_cdf(a.any_of(REALS)),
        lambda: trials(a),
    ]


def trials(a: Arguments) -> None:
    """Let the core choose among plans by any times."""
    chosen = _core.PlanTrials(a.any_of([1, 3, 0, -1, 65]))
    for _ in range(5):
        plan, steps = chosen.next(a.any_of([1, 7, 2**40, 0, -1]))
        chosen.record(a.any_of([plan, plan, 3]), steps, a.any_of(REALS))


def kernel_calls(a: Arguments) -> list[Any]:
    k = _core.kernels

    def some() -> Any:
        return a.array() if a.rng.random() < 0.9 else a.any_of(ODD)

    def kwargs(**more: Any) -> dict[str, Any]:
        return {"isa": a.any_of(["", None, "generic", "x"]), **more}

    def threads() -> Any:
        return a.any_of([1, 2, 3]) if a.rng.random() < 0.8 else a.count()

    products = ("gemm_nn", "gemm_tn", "gemm_nt", "gemm_nt_by_rows")
    return [
        *[
            lambda: getattr(k, a.any_of(products))(
                some(), some(), threads(), **kwargs(block_panels=a.any_of([0, 1, a.count()]))
            )
        ]
        * 3,
        lambda: k.elementwise(a.name(), some(), **kwargs()),
        lambda: k.activation(a.name(), some(), some(), **kwargs(parameter=a.any_of(REALS))),
        lambda: k.activation_backward(a.name(), some(), some(), **kwargs()),
        lambda: k.loss(a.name(), some(), some(), a.any_of(REALS), **kwargs()),
        lambda: k.disturb(
            some(), rate=a.any_of(REALS), deviation=a.any_of(REALS), seed=a.count(), **kwargs()
        ),
        lambda: k.sgd(some(), some(), some(), 0.1, 0.9, True, 0.0, **kwargs()),
        lambda: k.geometry(some(), **kwargs()),
    ]


def main() -> None:
    import resource

    seed, seconds = int(sys.argv[1]), float(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, -1))  # arrays of any size raise MemoryError
    arguments = Arguments(np.random.default_rng(seed))
    np.seterr(all="ignore")
    answered = refused = 0
    unnamed = None  # a refusal that names no argument
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            todo = calls(arguments) + kernel_calls(arguments)
        except ANSWERS:
            refused += 1
            continue
        for _ in range(60):
            try:
                arguments.any_of(todo)()
                answered += 1
            except ANSWERS as error:
                refused += 1
                unnamed = str(error) if "Unable to cast" in str(error) else unnamed
    print(answered, refused)
    sys.exit(unnamed)


if __name__ == "__main__":
    main()
