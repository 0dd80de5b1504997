"""Gradients in shards: the same bits for any number of threads, and the gradient of the batch."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp import _core
from fastmlp.errors import DivergedError
from support import random_networks
from support.digest import sha
from support.reference import Network
from support.tolerance import RunningErrorBound, assert_same_bits, assert_within

# Printed with every failure; FASTMLP_SEED repeats a run.
SEED = int(os.environ.get("FASTMLP_SEED") or random_networks.new_seed())


def sharded_case(seed: int) -> tuple[random_networks.Case, int]:
    """Return a random case that can be divided, and a number of shards."""
    for number in range(100):
        case = random_networks.case(seed + 7919 * number)
        batch = min(case.fit["batch_size"], len(case.y[0] if isinstance(case.y, list) else case.y))
        normalizes = np.any(case.model["batch_normalization"])
        if batch > 1 and not normalizes and not callable(case.model["loss"]):
            rng = np.random.default_rng([seed, 8])
            return case, int(rng.integers(2, min(batch, 40) + 1))
    raise AssertionError("no case that can be divided")


def trained(case: random_networks.Case, way: random_networks.Way, **options: Any) -> str:
    """Return a digest of the history, the parameters and the training state."""
    arguments = dict(case.model)
    model = fastmlp.MLP(arguments.pop("layer_sizes"), **arguments)
    if case.frozen:
        model.freeze(case.frozen)
    with random_networks.forced(way.overrides), np.errstate(all="ignore"):
        try:
            history = model.fit(
                case.x, case.y, threads=way.threads, verbose=0, **(case.fit | options)
            )
        except DivergedError as error:
            return f"diverged in epoch {error.epoch} at step {error.step}"
    state = model.training_state()
    kept = [state[name] for name in sorted(state) if name.startswith(("slots", "averages"))]
    measured = [np.array(history.loss), np.array(history.accuracy)]
    return sha(*measured, *model.parameters().values(), *kept)


@pytest.mark.parametrize("number", range(24))
def test_bits_do_not_depend_on_threads_and_plans(number: int) -> None:
    case, shards = sharded_case(SEED + number)
    expected = trained(case, random_networks.Way(), shards=shards)
    for way in random_networks.ways(SEED + number, 2):
        assert trained(case, way, shards=shards) == expected, (way, shards, case)


@pytest.mark.parametrize("number", range(8))
def test_one_shard_is_the_batch(number: int) -> None:
    case, _ = sharded_case(SEED + number)
    way = random_networks.Way(2)
    assert trained(case, way, shards=1) == trained(case, way), case


# ---------------------------------------------------------------- the gradient of the batch


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shards", [1, 2, 3, 5, 12, 20])
def test_training_follows_the_oracle_within_derived_bounds(shards: int, dtype: str) -> None:
    """A sum in any order has the error bound of the sum; the last batch has 7 rows."""
    rng = np.random.default_rng(SEED)
    x = rng.standard_normal((67, 9)).astype(dtype)
    y = rng.integers(0, 4, 67)
    model = fastmlp.MLP([9, 11, 4], activation="tanh", dtype=dtype, seed=SEED % 1000)
    arrays = {name: a.astype(np.float64) for name, a in model.parameters().items()}
    weights = [arrays[f"layers.{i}.weights"] for i in range(2)]
    oracle = Network(weights, [arrays[f"layers.{i}.biases"] for i in range(2)], "tanh")
    bound = RunningErrorBound(oracle, dtype)
    rule = fastmlp.SGD(learning_rate=0.1, momentum=0.5)
    options: dict[str, Any] = {"batch_size": 20, "shuffle": False, "optimizer": rule, "verbose": 0}
    model.fit(x, y, epochs=1, shards=shards, threads=2, **options)
    oracle.reset_velocities()
    for start in range(0, len(x), 20):
        rows = slice(start, start + 20)
        bound.step(oracle, x[rows].astype(np.float64), y[rows], 0.1, 0.5, 0.0)
        oracle.step(x[rows], y[rows], 0.1, 0.5)
    actual = model.parameters()
    for layer in range(2):
        for kind in ("weights", "biases"):
            exact, error = getattr(oracle, kind)[layer], getattr(bound, kind)[layer]
            assert_within(actual[f"layers.{layer}.{kind}"], exact, error, f"{kind}, seed {SEED}")


EXACT: dict[str, dict[str, Any]] = {
    "plain": {},
    "dropout": {"dropout": 0.5, "input_dropout": 0.5},
    "members": {"members": 4, "sharing": "packed", "dropout": 0.5},
    "relu": {"activation": "relu"},
    "residual": {"residual": [False, False, True], "dropout": 0.5, "sizes": [6, 4, 4, 4, 2]},
}


@pytest.mark.parametrize("options", EXACT.values(), ids=EXACT.keys())
def test_integers_are_added_exactly(options: dict[str, Any]) -> None:
    """One step on small integers has no rounding: so all rows count once, with their own masks."""
    rng = np.random.default_rng(SEED)
    options = {"activation": "identity", "loss": "half_mse", "seed": SEED % 1000, **options}
    sizes = options.pop("sizes", [6, 4, 2])
    x = rng.integers(-3, 4, (32, sizes[0])).astype("float64")
    y = rng.integers(-3, 4, (32, sizes[-1])).astype("float64")
    results = []
    for shards in (1, 2, 3, 7, 16, 31, 32):
        model = fastmlp.MLP(sizes, dtype="float64", **options)
        start = np.random.default_rng(SEED)
        model.set_parameters(
            {n: start.integers(-2, 3, a.shape).astype(float) for n, a in model.parameters().items()}
        )
        rule = fastmlp.SGD(learning_rate=0.25)
        model.fit(x, y, epochs=1, batch_size=32, optimizer=rule, shards=shards, verbose=0)
        results.append(model.parameters())
    for result in results[1:]:
        for name, array in result.items():
            assert_same_bits(array + 0.0, results[0][name] + 0.0, f"{name}, seed {SEED}")


# ---------------------------------------------------------------- the tree


def tree(begin: int, end: int) -> set[tuple[int, int]]:
    """Return the nodes; the left child has the largest power of two below the leaves."""
    if end - begin == 1:
        return {(begin, end)}
    left = begin + (1 << ((end - begin - 1).bit_length() - 1))
    return {(begin, end)} | tree(begin, left) | tree(left, end)


@pytest.mark.parametrize("shards", [*range(1, 20), 31, 32, 33, 100])
def test_sums_are_the_largest_nodes_of_the_tree(shards: int) -> None:
    nodes = tree(0, shards)
    for begin in range(shards):
        for end in range(begin + 1, shards + 1):
            sums = _core.shard_sums(shards, begin, end)
            assert [begin, *(last for _, last in sums)] == [first for first, _ in sums] + [end]
            assert set(sums) <= nodes
            inside = {(a, b) for a, b in nodes if begin <= a and b <= end}
            assert all(any(a <= c and d <= b for a, b in sums) for c, d in inside)
    assert _core.shard_sums(shards, 0, 0) == []


class Recorder:
    """What the core tells of a step, and the end of the run."""

    def __init__(self, answer: Callable[[Any, Any], None] | None = None) -> None:
        self.answer = answer
        self.gradients = self.results = np.empty(0)

    def __call__(self, gradients: Any, results: Any, status: int) -> int:
        self.gradients, self.results = gradients.copy(), results.copy()
        assert status == 0
        if self.answer is None:
            return 2
        self.answer(gradients, results)
        return 0


def test_gradients_are_added_along_the_tree() -> None:
    """Sums of shards, computed alone, in NumPy: equal bits in every node, and after the update."""
    rng = np.random.default_rng(SEED)
    x, y = rng.standard_normal((40, 7)).astype("float32"), rng.integers(0, 3, 40)
    shards = int(rng.integers(2, 14))
    settings = {"learning_rate": 0.1}

    def run(begin: int, end: int, exchange: Recorder | None) -> dict[str, Any]:
        model = fastmlp.MLP([7, 9, 3], seed=2)
        data = model._data(x, y, None)
        core = model._core_run(40, "sgd", 1 + begin % 2, (shards, begin, end))
        core.run_epoch(data.rows, data.targets, settings, exchange=exchange)
        return model.parameters()

    leaves = []
    for shard in range(shards):
        recorder = Recorder()
        run(shard, shard + 1, recorder)
        leaves.append((recorder.gradients[0], recorder.results[0]))

    def added(begin: int, end: int) -> Any:
        if end - begin == 1:
            return leaves[begin]
        left = begin + (1 << ((end - begin - 1).bit_length() - 1))
        one, other = added(begin, left), added(left, end)
        return one[0] + other[0], one[1] + other[1]

    for begin, end in {(0, shards - 1), (1, shards), (shards // 2, shards)}:
        recorder = Recorder()
        run(begin, end, recorder)
        sums = _core.shard_sums(shards, begin, end)
        assert len(sums) == len(recorder.gradients)
        for node, gradient, result in zip(sums, recorder.gradients, recorder.results, strict=True):
            assert_same_bits(gradient, added(*node)[0], f"{node} of {shards}, seed {SEED}")
            assert_same_bits(result, added(*node)[1], f"{node} of {shards}, seed {SEED}")

    def answer(gradients: Any, results: Any) -> None:
        gradients[0], results[0] = added(0, shards)

    together, alone = run(0, 1, Recorder(answer)), run(0, shards, None)
    for name, array in alone.items():
        assert_same_bits(together[name], array, f"{name}, {shards} shards, seed {SEED}")


# ---------------------------------------------------------------- what surrounds a step


def fit(model: fastmlp.MLP, epochs: int, **options: Any) -> Any:
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((90, 6)), rng.integers(0, 3, 90)
    options = {"batch_size": 32, "shards": 5, "verbose": 0, **options}
    return model.fit(x, y, epochs=epochs, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": fastmlp.Adam(clip_norm=0.1)},
        {"optimizer": fastmlp.SGD(0.1, max_norm=0.7), "averaging": fastmlp.EMA(0.9)},
        {"optimizer": fastmlp.AdamW(clip_value=0.01, decay=0.1), "averaging": fastmlp.SWA()},
    ],
)
def test_resumed_training_has_the_bits_of_a_longer_one(options: dict[str, Any]) -> None:
    whole, parted = (fastmlp.MLP([6, 8, 3], dropout=0.3, seed=4) for _ in range(2))
    fit(whole, 4, **options)
    fit(parted, 2, total_epochs=4, **options)
    fit(parted, 2, resume=True, **options)
    assert parted.history.loss == whole.history.loss
    for name, array in whole.parameters().items():
        assert_same_bits(parted.parameters()[name], array, name)


def test_the_norm_that_is_bounded_is_that_of_the_whole_gradient() -> None:
    rate, bound = 0.5, 1e-3
    model = fastmlp.MLP([6, 8, 3], seed=4)
    before = model.parameters()
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((32, 6)), rng.integers(0, 3, 32)
    rule = fastmlp.SGD(rate, clip_norm=bound)
    model.fit(x, y, epochs=1, batch_size=32, shards=8, optimizer=rule, verbose=0)
    moved = [(before[name] - a).ravel() for name, a in model.parameters().items()]
    assert np.linalg.norm(np.concatenate(moved)) == pytest.approx(rate * bound, rel=1e-3)


def test_callbacks_see_steps_and_end_the_training() -> None:
    steps = []

    class Steps(fastmlp.Callback):
        every_steps = 2

        def on_step_end(self, training: Any, record: Any) -> bool:
            steps.append(record["step"])
            return bool(record["step"] == 4)

    model = fastmlp.MLP([6, 8, 3], seed=4)
    fit(model, 9, callbacks=[Steps()])
    assert steps == [2, 4]


def test_shards_are_a_setting_of_an_epoch() -> None:
    class Second(fastmlp.Callback):
        every_steps = 2

        def on_step_end(self, training: Any, record: Any) -> bool:
            return True

    model = fastmlp.MLP([6, 8, 3], seed=4)
    fit(model, 1, callbacks=[Second()])
    with pytest.raises(ValueError, match="same settings, got shards 4 in place of 5"):
        fit(model, 1, shards=4, resume=True)
    fit(model, 1, resume=True)


def test_a_diverging_training_keeps_the_weights_of_its_start() -> None:
    model = fastmlp.MLP([6, 8, 3], seed=4)
    before = model.parameters()
    with pytest.raises(DivergedError), np.errstate(all="ignore"):
        fit(model, 3, optimizer=fastmlp.SGD(1e30))
    for name, array in before.items():
        assert_same_bits(model.parameters()[name], array, name)


def own_loss(outputs: Any, targets: Any) -> Any:
    return float(outputs.mean()), np.ones_like(outputs) / outputs.size


@pytest.mark.parametrize(
    ("options", "shards", "message"),
    [
        ({}, 0, "shards must be >= 1"),
        ({}, 33, "shards must be at most the 32 samples of a batch, got 33"),
        ({}, 2.5, "shards must be an integer"),
        ({"batch_normalization": True}, 2, "shards must be 1 with batch normalization"),
        ({"loss": own_loss}, 2, "shards must be 1 with a loss function of your own"),
    ],
)
def test_refusals(options: dict[str, Any], shards: Any, message: str) -> None:
    model = fastmlp.MLP([6, 8, 3], **options)
    with pytest.raises((TypeError, ValueError), match=message):
        fit(model, 1, shards=shards)
    assert not model.was_trained


def test_lbfgs_takes_no_shards() -> None:
    with pytest.raises(ValueError, match="leave out shards"):
        fit(fastmlp.MLP([6, 8, 3]), 1, optimizer="lbfgs")


def test_a_communicator_is_one_of_mpi() -> None:
    with pytest.raises(TypeError, match="communicator must be one of mpi4py"):
        fit(fastmlp.MLP([6, 8, 3]), 1, communicator=3)


# ---------------------------------------------------------------- samples of the shards


def order_of_own_samples(seed: int, epoch: int, samples: int, batch: int, shards: int) -> Any:
    """Return the order of the samples as docs/mpi.md defines it, a row at a time."""
    batches = [min(batch, samples - start) for start in range(0, samples, batch)]
    sizes = [[rows // shards + (s < rows % shards) for s in range(shards)] for rows in batches]
    of_shards = []
    start = 0
    for s in range(shards):
        count = sum(size[s] for size in sizes)
        drawn = np.random.SeedSequence([seed, s]).generate_state(1, np.uint64)
        of_shards.append(list(start + _core.permutation(count, int(drawn[0]), epoch)))
        start += count
    return [of_shards[s].pop(0) for size in sizes for s in range(shards) for _ in range(size[s])]


@pytest.mark.parametrize("number", range(12))
def test_shards_with_samples_of_their_own_take_them_in_a_drawn_order(number: int) -> None:
    random = np.random.default_rng([SEED, number])
    samples, seed = int(random.integers(20, 90)), int(random.integers(1 << 30))
    batch, weighs = int(random.integers(5, 40)), bool(random.integers(2))
    shards = int(random.integers(1, min(batch, samples, 9) + 1))
    x = random.standard_normal((samples, 4)).astype("float32")
    if random.integers(3) == 0:
        x = pytest.importorskip("scipy.sparse").csr_matrix(x * (x > 0.5))
    y = random.integers(0, 3, samples)
    # Integers, whose sums are exact in any order.
    weight = random.integers(1, 4, samples).astype("float32") if weighs else None
    order = order_of_own_samples(seed, 0, samples, batch, shards)
    assert sorted(order) == list(range(samples))
    digests = []
    for rows, options in (
        (np.arange(samples), {"own_samples": True}),
        (np.array(order), {"shuffle": False}),
    ):
        model = fastmlp.MLP([4, 7, 3], dropout=0.2, seed=seed, input_scale=1)
        with random_networks.forced({"turns": [int(random.integers(1, 4))]}):
            history = model.fit(
                x[rows], y[rows], sample_weight=weight if weight is None else weight[rows],
                epochs=1, batch_size=batch, shards=shards, verbose=0, **options,
            )  # fmt: skip
        digests.append(sha(np.array(history.loss), *model.parameters().values()))
    assert digests[0] == digests[1], (SEED, number)


def test_training_on_own_samples_is_resumed_within_an_epoch() -> None:
    rng = np.random.default_rng(SEED)
    x, y = rng.standard_normal((70, 4)) * 100, rng.standard_normal((70, 1)) * 1000
    options: dict[str, Any] = {"batch_size": 16, "shards": 3, "own_samples": True, "verbose": 0}

    class End(fastmlp.Callback):
        every_steps = 7

        def on_step_end(self, training: Any, record: Any) -> bool:
            return True

    whole, parts = (fastmlp.MLP([4, 7, 1], loss="mse", seed=3) for _ in range(2))
    whole.fit(x, y, epochs=4, **options)
    parts.fit(x, y, epochs=4, callbacks=[End()], **options)
    parts.fit(x, y, epochs=3, resume=True, **options)
    for name, array in whole.parameters().items():
        assert_same_bits(parts.parameters()[name], array, f"{name}, seed {SEED}")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"class_weight": "balanced"}, "class_weight must be a mapping with own_samples"),
        ({"optimizer": "lbfgs"}, "leave out shards and own_samples"),
        ({"shards": 80}, "shards must be at most the 16 samples of a batch, got 80"),
    ],
)
def test_what_samples_of_shards_cannot_have_is_refused(
    options: dict[str, Any], message: str
) -> None:
    arguments = {"batch_size": 16, "shards": 3, "own_samples": True, "verbose": 0} | options
    model = fastmlp.MLP([4, 7, 3])
    with pytest.raises(ValueError, match=message):
        model.fit(np.zeros((50, 4)), np.zeros(50, int), **arguments)


def test_the_first_samples_of_a_part_may_have_no_weight():
    rng = np.random.default_rng(0)
    x, y, weights = rng.standard_normal((100, 3)), rng.integers(0, 2, 100), np.ones(100)
    weights[:60] = 0
    model = fastmlp.MLP([3, 4, 2])
    fit = {"own_samples": True, "shards": 2, "batch_size": 20, "epochs": 1, "verbose": 0}
    model.fit(x, y, sample_weight=weights, **fit)
    with pytest.raises(ValueError, match="not all 0"):
        model.fit(x, y, sample_weight=0 * weights, **fit)
