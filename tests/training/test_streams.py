"""Trainings on sources: the bits of arrays, exact continuation, and sources that go wrong.

Random cases: FASTMLP_STREAM_TRIALS and FASTMLP_STREAM_SEED make a longer run, or the same again.
"""

from __future__ import annotations

import os
import re
import textwrap
import threading
import time
import traceback
from collections import deque
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SourceError, streams
from support.child_process import run_child

TRIALS = int(os.environ.get("FASTMLP_STREAM_TRIALS", "25"))
SEED = int(os.environ.get("FASTMLP_STREAM_SEED", time.time_ns() % 2**32))


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def table(random, rows, features=4, classes=3):
    x = random.standard_normal((rows, features)).astype(np.float32)
    return x, random.integers(0, classes, rows)


def cut(random, arrays, mean=None):
    """The rows of arrays in chunks of random sizes, some of them empty."""
    rows = len(arrays[0])
    count = int(random.integers(1, max(2, rows // (mean or 1 + rows // 7))))
    ends = np.sort(random.integers(0, rows + 1, count)).tolist()
    return [
        tuple(a[first:last] for a in arrays)
        for first, last in zip([0, *ends], [*ends, rows], strict=True)
    ]


def assert_same_bits(one, other):
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert array.tobytes() == other[name].tobytes(), name


class Stop(Exception):
    pass


class StopAt(fastmlp.Callback):
    """Ends the training after a step, with an exception or by its result."""

    every_steps = 1

    def __init__(self, step, raises):
        self.at, self.raises = step, raises

    def on_step_end(self, training, record):
        if record["step"] != self.at:
            return False
        if self.raises:
            raise Stop
        return True


def model_of(random):
    layers = [4, int(random.integers(2, 9)), 3]
    return {
        "layer_sizes": layers,
        "dropout": float(random.choice([0, 0.3])),
        "batch_normalization": bool(random.integers(2)),
        "seed": int(random.integers(1000)),
        "members": int(random.choice([1, 1, 2])),
        "input_scale": 1.0,
    }


def kinds(random, chunks):
    """The chunks as one of the kinds of sources, and whether its length is known."""
    kind = random.choice(["list", "function", "loader", "sequence", "iterable"])
    if kind == "list":
        return chunks, True
    if kind == "function":
        return (lambda: iter(chunks)), False
    if kind == "sequence":
        return Sequence(chunks), True
    if kind == "loader":
        return Loader(chunks), True
    return Loader(chunks, tells=False), False


class Sequence:
    """A sequence that tells the number of its samples, as Keras' do not."""

    def __init__(self, chunks):
        self.chunks, self.samples = chunks, sum(len(chunk[0]) for chunk in chunks)

    def __len__(self):
        return len(self.chunks)

    def __getitem__(self, number):
        return self.chunks[number]


class Loader:
    """The part of PyTorch's DataLoader that is used."""

    def __init__(self, chunks, tells=True):
        self.chunks = chunks
        if tells:
            self.batch_size = 1
            self.sampler = range(sum(len(chunk[0]) for chunk in chunks))

    def __iter__(self):
        return iter(self.chunks)


# ---------------------------------------------------------------- the bits of arrays


@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_source_in_order_trains_as_its_arrays_do(trial):
    random = np.random.default_rng([SEED, trial])
    print("seed", SEED, "trial", trial)
    arguments = model_of(random)
    x, y = table(random, int(random.integers(8, 150)))
    if random.integers(3) == 0:
        x = (np.abs(x) * 80).astype(np.uint8)
    parts = (x, y)
    if random.integers(2):
        parts = (x, y, random.integers(0, 3, len(x)) + (np.arange(len(x)) < 3))
    settings = {
        "epochs": int(random.integers(1, 4)),
        "batch_size": int(random.integers(2, 40)),
        "drop_last": bool(random.integers(2)),
        "optimizer": random.choice(["sgd", "adam", "lion"]),
        "averaging": fastmlp.EMA(0.9) if random.integers(2) else None,
        "shuffle": False,
        "shards": random.choice([None, None, 2]),
        "verbose": 0,
    }
    chunks = cut(random, parts)
    source, has_length = kinds(random, chunks)
    if not has_length and arguments["batch_normalization"]:
        source = chunks
    if not has_length and len(x) < settings["batch_size"]:
        settings["drop_last"] = False
    arrays, streamed = MLP(**arguments), MLP(**arguments)
    weights = parts[2] if len(parts) == 3 else None
    try:
        expected = arrays.fit(x, y, sample_weight=weights, validation_data=(x, y), **settings)
    except (ValueError, fastmlp.DivergedError) as error:
        # A batch of one sample with batch normalization, or a rate that is too large.
        with pytest.raises(type(error), match=re.escape(str(error))):
            streamed.fit(source, **settings)
        assert_same_bits(arrays.parameters(), streamed.parameters())
        return
    history = streamed.fit(source, validation_data=(x, y), **settings)
    assert_same_bits(arrays.parameters(), streamed.parameters())
    assert_same_bits(
        {k: v for k, v in arrays.training_state().items() if k != "progress"},
        {k: v for k, v in streamed.training_state().items() if k != "progress"},
    )
    for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
        assert np.array_equal(history[name], expected[name], equal_nan=True)


def test_a_source_out_of_order_sees_each_sample_once_in_an_epoch():
    """One step of SGD on a linear loss moves weights by the sum of the inputs, which tells all."""
    random = np.random.default_rng(SEED)
    print("seed", SEED)
    for _ in range(20):
        rows, buffer = int(random.integers(1, 300)), int(random.integers(1, 80))
        x = np.arange(rows, dtype=np.float64).reshape(-1, 1)
        seen = []
        source = cut(random, (x, x))
        model = MLP([1, 1], loss="mse", dtype="float64", input_scale=1.0)
        losses = Losses(seen)
        model.weights = [[[0.0]]]
        model.fit(
            source, epochs=2, batch_size=1, shuffle_buffer=buffer, optimizer=fastmlp.SGD(0.0),
            callbacks=[losses], verbose=0,
        )  # fmt: skip
        orders = [np.sqrt(seen[:rows]).round().tolist(), np.sqrt(seen[rows:]).round().tolist()]
        assert sorted(orders[0]) == sorted(orders[1]) == list(range(rows))
        if rows > 20 and (buffer > 20 or len(source) > 10):
            assert orders[0] != orders[1]


class Losses(fastmlp.Callback):
    every_steps = 1

    def __init__(self, seen):
        self.seen = seen

    def on_step_end(self, training, record):
        self.seen.append(record["loss"])


def order_of(source, rows, **settings):
    seen = []
    model = MLP([1, 1], loss="mse", dtype="float64", input_scale=1.0, seed=settings.pop("seed", 0))
    model.weights = [[[0.0]]]
    model.fit(
        source, epochs=1, batch_size=1, optimizer=fastmlp.SGD(0.0), callbacks=[Losses(seen)],
        verbose=0, **settings,
    )  # fmt: skip
    return np.sqrt(seen).round().astype(int)


def test_samples_are_mixed_well():
    """With random chunks and a buffer of a fifth, places before and after are nearly unrelated."""
    rows = 2000
    x = np.arange(rows, dtype=np.float64).reshape(-1, 1)
    chunks = [(x[i : i + 50], x[i : i + 50]) for i in range(0, rows, 50)]
    order = order_of(chunks, rows, shuffle_buffer=400)
    assert abs(np.corrcoef(order, np.arange(rows))[0, 1]) < 0.2
    # Neighbors come from other chunks.
    assert np.mean(np.abs(np.diff(order)) < 50) < 0.15
    # In a source without random access a sample moves by at most two buffers and its own.
    order = order_of(lambda: iter(chunks), rows, shuffle_buffer=400)
    moved = np.arange(rows) - order
    assert moved.max() <= 2 * 400
    assert moved.std() > 100


def test_the_order_depends_on_seed_and_epoch_alone():
    random = np.random.default_rng(SEED)
    print("seed", SEED)
    x = np.arange(500.0).reshape(-1, 1)
    one, other = cut(random, (x, x)), cut(random, (x, x))
    # However a source in order is cut, and however long it takes.
    expected = order_of(lambda: iter(one), 500, shuffle_buffer=60)

    def slowly():
        for chunk in other:
            time.sleep(random.uniform(0, 0.002))
            yield chunk

    assert np.array_equal(order_of(slowly, 500, shuffle_buffer=60), expected)
    assert not np.array_equal(order_of(slowly, 500, shuffle_buffer=60, seed=1), expected)
    assert not np.array_equal(order_of(slowly, 500, shuffle_buffer=61), expected)


# ---------------------------------------------------------------- continuation


@pytest.mark.parametrize("trial", range(TRIALS))
def test_a_training_that_is_cut_goes_on_to_the_last_bit(trial, tmp_path):
    random = np.random.default_rng([SEED, trial, 1])
    print("seed", SEED, "trial", trial)
    arguments = model_of(random)
    chunks = cut(random, table(random, int(random.integers(60, 150))))
    source, has_length = kinds(random, chunks)
    if not has_length and arguments["batch_normalization"]:
        source = chunks
    batch, epochs = int(random.integers(3, 30)), 3
    settings = {
        "batch_size": batch,
        "shuffle": bool(random.integers(2)),
        "shuffle_buffer": int(random.integers(1, 200)),
        "total_epochs": epochs,
        "optimizer": fastmlp.Adam(0.01),
        "verbose": 0,
    }
    whole = MLP(**arguments)
    expected = whole.fit(source, epochs=epochs, **settings)
    model = MLP(**arguments)
    for number in range(60):
        done = len(model.history.loss)
        if done == epochs:
            break
        now = model._continuation
        step = done * (now.progress.planned.steps_per_epoch if number else 0) + now.steps
        stop = StopAt(step + int(random.integers(1, 8)), raises=bool(random.integers(2)))
        with suppress(Stop):
            model.fit(source, epochs=epochs - done, resume=number > 0, callbacks=[stop], **settings)
        if random.integers(2):
            model.save(tmp_path / "m.safetensors", training_state=True)
            model = MLP.load(tmp_path / "m.safetensors")
    assert len(model.history.loss) == epochs
    assert model.history.loss == whole.history.loss == expected.loss
    assert_same_bits(model.parameters(), whole.parameters())


def test_what_would_change_the_rest_of_an_epoch_is_refused():
    x, y = table(np.random.default_rng(0), 100)
    model = MLP([4, 3])
    settings = {"epochs": 1, "batch_size": 10, "verbose": 0}
    model.fit([(x, y)], shuffle_buffer=50, callbacks=[StopAt(3, raises=False)], **settings)
    with pytest.raises(ValueError, match="shuffle_buffer 51 in place of 50"):
        model.fit([(x, y)], shuffle_buffer=51, resume=True, **settings)
    with pytest.raises(ValueError, match="shuffle_buffer 0 in place of 50"):
        model.fit(x, y, resume=True, **settings)
    with pytest.raises(ValueError, match="samples 90 in place of 100"):
        model.fit([(x[:90], y[:90])], shuffle_buffer=50, resume=True, **settings)
    model.fit([(x, y)], shuffle_buffer=50, resume=True, **settings)
    assert len(model.history.loss) == 1


def test_arrays_continue_what_a_source_began_in_order():
    x, y = table(np.random.default_rng(0), 100)
    settings = {"batch_size": 7, "shuffle": False, "verbose": 0, "optimizer": "adam"}
    whole, model = MLP([4, 3]), MLP([4, 3])
    whole.fit(x, y, epochs=2, **settings)
    model.fit([(x, y)], epochs=2, callbacks=[StopAt(17, raises=False)], **settings)
    model.fit(x, y, epochs=1, resume=True, **settings)
    assert_same_bits(model.parameters(), whole.parameters())


def test_a_source_that_failed_may_go_on():
    x, y = table(np.random.default_rng(0), 100)
    fails = [True]

    def source():
        for i in range(10):
            if i == 6 and fails[0]:
                raise OSError("the disk is gone")
            yield x[i * 10 : i * 10 + 10], y[i * 10 : i * 10 + 10]

    settings = {"epochs": 1, "batch_size": 8, "optimizer": "adam", "shuffle": False, "verbose": 0}
    whole, model = MLP([4, 3]), MLP([4, 3])
    with pytest.raises(SourceError, match="source, chunk 6: OSError: the disk is gone") as caught:
        model.fit(source, **settings)
    assert isinstance(caught.value.__cause__, OSError)
    assert "in source" in "".join(traceback.format_exception(caught.value.__cause__))
    fails[0] = False
    model.fit(source, resume=True, **settings)
    whole.fit(x, y, **settings)
    assert_same_bits(model.parameters(), whole.parameters())


# ---------------------------------------------------------------- the length of an epoch


def test_schedules_need_a_length_and_say_so():
    x, y = table(np.random.default_rng(0), 100)

    def source():
        yield x, y

    schedule = fastmlp.Adam(fastmlp.schedules.FlatCosine(0.01))
    settings = {"epochs": 2, "batch_size": 8, "shuffle": False, "verbose": 0}
    with pytest.raises(ValueError, match="FlatCosine depends on the steps.*steps_per_epoch"):
        MLP([4, 3]).fit(source, optimizer=schedule, **settings)
    with pytest.raises(ValueError, match="batch normalization .*steps_per_epoch"):
        MLP([4, 5, 3], batch_normalization=True).fit(source, **settings)
    with pytest.raises(ValueError, match="epochs must be given"):
        MLP([4, 3]).fit(source, verbose=0)
    arrays, known, told = MLP([4, 3]), MLP([4, 3]), MLP([4, 3])
    arrays.fit(x, y, optimizer=schedule, **settings)
    known.fit([(x, y)], optimizer=schedule, **settings)
    told.fit(source, optimizer=schedule, steps_per_epoch=13, **settings)
    assert_same_bits(arrays.parameters(), known.parameters())
    assert_same_bits(arrays.parameters(), told.parameters())


def test_steps_per_epoch_ends_an_epoch():
    x, y = table(np.random.default_rng(0), 100)

    def endless():
        while True:
            yield x, y

    settings = {"batch_size": 8, "shuffle": False, "verbose": 0, "optimizer": "adam"}
    arrays, model = MLP([4, 3]), MLP([4, 3])
    arrays.fit(x[:80], y[:80], epochs=2, **settings)
    model.fit(endless, epochs=2, steps_per_epoch=10, **settings)
    assert_same_bits(arrays.parameters(), model.parameters())
    model = MLP([4, 3])
    model.fit([(x, y)], epochs=2, steps_per_epoch=10, **settings)
    assert_same_bits(arrays.parameters(), model.parameters())
    with pytest.raises(ValueError, match="at most 13, the steps of the 100 samples of list"):
        MLP([4, 3]).fit([(x, y)], epochs=2, steps_per_epoch=14, **settings)
    with pytest.raises(ValueError, match="14 steps of steps_per_epoch; it ended after 100 in ep"):
        MLP([4, 3]).fit(lambda: iter([(x, y)]), epochs=2, steps_per_epoch=14, **settings)
    with pytest.raises(ValueError, match="steps_per_epoch must be >= 1|steps_per_epoch must be"):
        MLP([4, 3]).fit([(x, y)], steps_per_epoch=0, **settings)


def test_an_iterator_gives_one_epoch():
    x, y = table(np.random.default_rng(0), 100)
    settings = {"batch_size": 8, "shuffle": False, "verbose": 0}
    for epochs in (None, 2):
        with pytest.raises(ValueError, match="epochs must be 1 with an iterator.*function"):
            MLP([4, 3]).fit(iter([(x, y)]), epochs=epochs, **settings)
    arrays, model = MLP([4, 3]), MLP([4, 3])
    arrays.fit(x, y, epochs=1, **settings)
    model.fit(iter([(x[:70], y[:70]), (x[70:], y[70:])]), epochs=1, **settings)
    assert_same_bits(arrays.parameters(), model.parameters())
    with pytest.raises(ValueError, match="validation_data must be a source .*an iterator"):
        model.fit(x, y, epochs=1, validation_data=iter([(x, y)]), **settings)


def test_lengths_that_lie_are_found():
    x, y = table(np.random.default_rng(0), 100)

    class Lies(streams.Source):
        name, chunks, samples = "lies", 2, 100

        def __init__(self, rows):
            self.rows = rows

        def chunk(self, number):
            return x[: self.rows], y[: self.rows]

    settings = {"epochs": 2, "batch_size": 8, "verbose": 0}
    with pytest.raises(ValueError, match="lies must have 100 samples.*ended after 80 in epoch 1"):
        MLP([4, 3]).fit(Lies(40), **settings)
    with pytest.raises(ValueError, match="lies must have 100 samples.*has more in epoch 1"):
        MLP([4, 3]).fit(Lies(60), **settings)
    sizes = [100, 90]

    def shrinks():
        rows = sizes.pop(0) if threading.current_thread() is not threading.main_thread() else 100
        yield x[:rows], y[:rows]

    model = MLP([4, 3])
    with pytest.raises(ValueError, match="shrinks must have 100 samples.*after 90 in epoch 2"):
        model.fit(shrinks, **settings)
    assert len(model.history.loss) == 1


# ---------------------------------------------------------------- sources that go wrong


def broken(change, at=2):
    """Five chunks of 10 rows, of which one is changed."""
    x, y = table(np.random.default_rng(0), 3000)

    def source():
        for i in range(5):
            rows = slice(i * 600, i * 600 + 600)
            batch = [x[rows].copy(), y[rows].copy()]
            yield change(batch) if i == at else tuple(batch)

    return source


def with_value(part, row, value):
    def change(batch):
        batch[part][row] = value
        return tuple(batch)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_value(0, (17, 1), np.nan), r"source, chunk 2: x must be finite.* nan at \[17, 1\]"),
        (with_value(1, 33, 7), r"source, chunk 2: y must hold labels .*got 7.*; in row 33 of the"),
        (with_value(1, 0, -1), r"source, chunk 2: y must hold labels .*got -1.*; in row 0 of the"),
        (lambda b: (b[0][:, :3], b[1]), r"source, chunk 2: x must have 4 features.*\(600, 3\)"),
        (lambda b: (b[0], b[1][:9]), r"source, chunk 2: y must have one entry per sample: 600"),
        (lambda b: (b[0], b[1], -b[1]), r"source, chunk 2: sample_weight must be >= 0"),
        (lambda b: (b[0], b[1], b[1]), r"source, chunk 2 comes with sample_weight, and the first"),
        (lambda b: b[0], r"source, chunk 2 must be \(x, y\) or .*got a ndarray"),
        (lambda b: (b[0],), r"source, chunk 2 must be \(x, y\) or .*got a tuple of 1"),
        (lambda b: (3, 4), r"source, chunk 2: x must be an array of samples, got int"),
        (lambda b: None, r"source, chunk 2 must be \(x, y\)"),
        (lambda b: (b[0], np.eye(3)[b[1]]), r"source, chunk 2 has y of float32 with shape"),
        (lambda b: 1 / 0, r"source, chunk 2: ZeroDivisionError: division by zero"),
    ],
)
@pytest.mark.parametrize("at", [2, 4])
def test_a_chunk_that_cannot_be_used_is_named(change, message, at):
    message = message.replace("chunk 2", f"chunk {at}")
    model = MLP([4, 3], seed=1)
    for shuffle in (False, True):
        with pytest.raises((TypeError, ValueError, SourceError), match=message):
            model.fit(broken(change, at), epochs=1, shuffle=shuffle, verbose=0)
    with pytest.raises((TypeError, ValueError, SourceError), match=message):
        model.evaluate(broken(change, at))
    x, y = table(np.random.default_rng(0), 20)
    with pytest.raises((TypeError, ValueError, SourceError), match=f"validation_data: {message}"):
        model.fit(x, y, epochs=1, validation_data=broken(change, at), verbose=0)


def test_bytes_must_stay_bytes():
    x, y = table(np.random.default_rng(0), 20)
    chunks = [(np.zeros((3000, 4), np.uint8), np.zeros(3000, int)), (x, y)]
    with pytest.raises(ValueError, match="chunk 1 has x of float32, and the first chunk of uint8"):
        MLP([4, 3], input_scale=1.0).fit(chunks, epochs=1, shuffle=False, verbose=0)


def test_of_few_samples_all_decide_what_is_left_to_decide():
    """Standardization, optimizer and biases of the last layer are those of the arrays."""
    random = np.random.default_rng(SEED)
    print("seed", SEED)
    x = 1000 + 20 * random.standard_normal((300, 4))
    y = 5000 * x[:, :1] - 7
    arrays, model = MLP([4, 6, 1], loss="mse"), MLP([4, 6, 1], loss="mse")
    settings = {"epochs": 3, "batch_size": 16, "shuffle": False, "verbose": 0}
    arrays.fit(x, y, **settings)
    model.fit(cut(random, (x, y)), **settings)
    assert model.standardization == arrays.standardization is not None
    assert_same_bits(arrays.parameters(), model.parameters())


@pytest.mark.parametrize("kinds", [("f2", "f4"), ("f8", "f2"), ("f4", "u1"), ("i4", "f8")])
def test_chunks_may_differ_in_their_types_of_numbers(kinds):
    x, y = table(np.random.default_rng(0), 60)
    parts = [np.rint(x[:30] * 4).clip(0).astype(kinds[0]), (x[30:] * 4).clip(0).astype(kinds[1])]
    whole = np.concatenate([part.astype(np.float64) for part in parts])
    settings = {"epochs": 2, "batch_size": 7, "shuffle": False, "optimizer": "adam", "verbose": 0}
    arrays, model = MLP([4, 3], input_scale=1.0), MLP([4, 3], input_scale=1.0)
    arrays.fit(whole, y, **settings)
    model.fit([(parts[0], y[:30]), (parts[1], y[30:])], **settings)
    assert_same_bits(arrays.parameters(), model.parameters())


def test_a_source_without_samples_is_refused_before_anything_changes():
    x, y = table(np.random.default_rng(0), 20)
    for source in ([], lambda: iter(()), lambda: iter([(x[:0], y[:0])] * 3), iter(())):
        model = MLP([4, 3])
        before = model.parameters()
        with pytest.raises(ValueError, match="has no samples"):
            model.fit(source, epochs=1, verbose=0)
        assert_same_bits(model.parameters(), before)
        assert not model.was_trained
    with pytest.raises(ValueError, match="has no samples"):
        MLP([4, 3]).evaluate([])


def test_arguments_that_do_not_fit_a_source():
    x, y = table(np.random.default_rng(0), 20)
    model = MLP([4, 3])
    with pytest.raises(ValueError, match="sample_weight must come from the source"):
        model.fit([(x, y)], sample_weight=np.ones(20), verbose=0)
    with pytest.raises(ValueError, match="class_weight must be a mapping with a source.*balanced"):
        model.fit([(x, y)], class_weight="balanced", verbose=0)
    with pytest.raises(ValueError, match="LBFGS needs all samples at once"):
        model.fit([(x, y)], optimizer="lbfgs", verbose=0)
    with pytest.raises(ValueError, match="steps_per_epoch and shuffle_buffer are for sources"):
        model.fit(x, y, steps_per_epoch=3, verbose=0)
    with pytest.raises(ValueError, match="shuffle_buffer must be >= 1, got 0|shuffle_buffer must"):
        model.fit([(x, y)], shuffle_buffer=0, verbose=0)
    with pytest.raises(ValueError, match="metrics need all validation samples at once"):
        model.fit(x, y, validation_data=Sequence([(x, y)]), metrics=["f1"], verbose=0)
    for wrong in (x, x.tolist()):
        with pytest.raises(TypeError, match=r"y must be .* got None; MLP.fit\(\) needs y, as in"):
            model.fit(wrong, verbose=0)
    for wrong in ("x.npy", {"x": x}, 3, (x, y)):
        with pytest.raises((TypeError, ValueError), match="^x must "):
            model.fit(wrong, verbose=0)
    own = MLP([4, 8, 3], members=2, own_batches=True)
    with pytest.raises(ValueError, match="own_batches needs all samples at once"):
        own.fit([(x, y)], epochs=1, verbose=0)


def test_weights_of_classes_and_samples_count():
    random = np.random.default_rng(0)
    x, y = table(random, 100)
    weights = random.integers(0, 2, 100) * random.random(100)
    weights[40:60] = 0  # a chunk that does not count
    weights[0] = 1
    settings = {"epochs": 2, "batch_size": 9, "shuffle": False, "verbose": 0, "optimizer": "adam"}
    settings["class_weight"] = {1: 3.0}
    chunks = [tuple(a[i : i + 20] for a in (x, y, weights)) for i in range(0, 100, 20)]
    arrays, model = MLP([4, 3]), MLP([4, 3])
    arrays.fit(x, y, sample_weight=weights, **settings)
    history = model.fit(chunks, validation_data=lambda: iter(chunks), **settings)
    assert_same_bits(arrays.parameters(), model.parameters())
    measured = model.evaluate(x, y, sample_weight=weights)
    assert history.val_loss[-1] == pytest.approx(measured["loss"], rel=1e-12)
    assert model.evaluate(chunks)["accuracy"] == pytest.approx(measured["accuracy"], rel=1e-12)


def test_several_losses_and_tensors():
    """Tensors are what has detach, cpu and numpy; the core of PyTorch is not needed."""

    class Tensor:
        def __init__(self, array):
            self.array = array

        def detach(self):
            return self

        def cpu(self):
            return self

        def numpy(self):
            return self.array

    random = np.random.default_rng(0)
    x, y = table(random, 60)
    values = random.standard_normal((60, 1)).astype(np.float32)
    losses = [
        fastmlp.SoftmaxCrossEntropy(outputs=3),
        fastmlp.MSE(outputs=1),
    ]
    settings = {"epochs": 2, "batch_size": 9, "shuffle": False, "verbose": 0, "optimizer": "adam"}
    chunks = [
        (Tensor(x[i : i + 25]), [Tensor(y[i : i + 25]), Tensor(values[i : i + 25])])
        for i in range(0, 60, 25)
    ]
    arrays, model = MLP([4, 5, 4], loss=losses), MLP([4, 5, 4], loss=losses)
    arrays.fit(x, [y, values], **settings)
    model.fit(lambda: iter(chunks), **settings)
    assert_same_bits(arrays.parameters(), model.parameters())


def test_the_first_2000_samples_decide_how_inputs_are_scaled():
    random = np.random.default_rng(0)
    x = np.concatenate([1000 + 10 * random.standard_normal((2000, 4)), np.zeros((500, 4))])
    y = np.zeros(2500, int)
    for sizes in ([2500], [100] * 25, [1999, 501]):
        ends = np.cumsum(sizes)
        chunks = [(x[e - s : e], y[e - s : e]) for s, e in zip(sizes, ends, strict=True)]
        model = MLP([4, 3])
        model.fit(chunks, epochs=1, verbose=0)
        assert np.allclose(model.standardization.mean, x[:2000].mean(axis=0), rtol=1e-12)


def test_predictions_for_sources_are_those_for_arrays():
    random = np.random.default_rng(SEED)
    print("seed", SEED)
    x, y = table(random, 70)
    chunks = cut(random, (x, y))
    losses = [fastmlp.SoftmaxCrossEntropy(outputs=2), fastmlp.MSE(outputs=1)]
    for model in (MLP([4, 3]), MLP([4, 2], loss="mse"), MLP([4, 5, 3], loss=losses)):
        for source in (
            streams.Arrays(x, y, chunk_size=9),
            (lambda: iter(chunks)),
            iter(chunks),
            (chunk[0] for chunk in chunks),
            Loader(chunks),
        ):
            found, expected = model.predict(source), model.predict(x)
            if isinstance(expected, list):
                assert all(map(np.array_equal, found, expected))
            else:
                assert np.array_equal(found, expected)
    model = MLP([4, 3])
    assert np.array_equal(model.predict_proba(iter(chunks)), model.predict_proba(x))
    with pytest.raises(ValueError, match=r"<genexpr>, chunk 1: x must have 4 features"):
        model.predict(part for part in (x, x[:, :2]))
    with pytest.raises(ValueError, match="has no samples"):
        model.predict(iter(()))
    with pytest.raises(SourceError, match="chunk 1: ZeroDivisionError"):
        model.predict(x[: 1 // divisor] for divisor in (1, 0))


class Endless:
    """A sequence with a length and an item for every number: NumPy would read it without end."""

    def __init__(self, chunks):
        self.chunks = chunks

    def __len__(self):
        return len(self.chunks)

    def __getitem__(self, number):
        return self.chunks[number % len(self.chunks)]


def test_predictions_take_the_sequences_and_lists_that_fit_takes():
    x, y = table(np.random.default_rng(0), 70)
    chunks = [(x[i : i + 20], y[i : i + 20]) for i in range(0, 70, 20)]
    alone = [chunk[0] for chunk in chunks]
    model = MLP([4, 3])
    model.fit(Endless(chunks), epochs=1, verbose=0)
    expected = model.evaluate(x, y)
    for source in (Endless(chunks), chunks, deque(chunks), lambda: Endless(chunks)):
        model.fit(source, epochs=1, resume=True, verbose=0)
        expected = model.evaluate(x, y)
        assert model.evaluate(source) == pytest.approx(expected, rel=1e-5)
    for source in (
        Endless(chunks), Endless(alone), chunks, alone, deque(chunks), lambda: Endless(alone)
    ):  # fmt: skip
        for method in (model.predict, model.predict_proba, model.forward):
            wanted = method(x)
            assert np.array_equal(method(source), wanted)
            assert np.array_equal(method(source, out=np.empty_like(wanted)), wanted)


def test_sequences_of_rows_are_arrays():
    x = table(np.random.default_rng(0), 30)[0]
    model = MLP([4, 3])
    expected = model.predict(x)
    for rows in (Endless(x), Endless(x.tolist()), deque(x), x.tolist(), [Endless(r) for r in x]):
        assert np.array_equal(model.predict(rows), expected)


def test_no_argument_is_read_without_end():
    script = """
        import resource
        import numpy as np
        from fastmlp import MLP

        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))

        class Endless:
            def __len__(self):
                return 3

            def __getitem__(self, number):
                return np.ones((5, 4)), np.zeros(5, int)

        x, y, model = np.ones((15, 4)), np.zeros(15, int), MLP([4, 3])
        for use in (
            lambda: model.fit(x, Endless()),
            lambda: model.fit(x, y, sample_weight=Endless()),
            lambda: model.predict([Endless(), Endless()]),
            lambda: model.hidden_activations(Endless()),
            lambda: model.loss_and_gradients(Endless(), y),
            lambda: model.lr_find(Endless(), y),
        ):
            try:
                use()
            except (TypeError, ValueError) as error:
                assert "must be" in str(error), error
            else:
                raise AssertionError
    """
    ended = run_child(textwrap.dedent(script))
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("kind", ["arrays", "sequence", "list", "iterator", "function"])
def test_targets_beside_a_source_are_refused(kind):
    x, y = table(np.random.default_rng(0), 20)
    source = {
        "arrays": streams.Arrays(x, y),
        "sequence": Endless([(x, y)]),
        "list": [(x, y)],
        "iterator": iter([(x, y)]),
        "function": lambda: [(x, y)],
    }[kind]
    model = MLP([4, 3])
    for method in ("fit", "evaluate"):
        message = rf"y must be left out with a source .*MLP.{method}\(x\) takes the targets from"
        with pytest.raises(TypeError, match=message):
            getattr(model, method)(source, y)
    if kind != "list":
        with pytest.raises(TypeError, match="needs y, .* with arrays in place of a source"):
            model.lr_find(source)


def test_names_of_classes_are_numbered_alike_in_all_chunks():
    x = np.zeros((4, 4), np.float32)
    chunks = [(x, np.array(list("aabc"))), (x, np.array(list("bbcc")))]
    message = (
        r"list, chunk 0: y .*'a'; with names = sorted\(all classes\), np.searchsorted\(names, y\) "
    )
    with pytest.raises(TypeError, match=message):
        MLP([4, 3]).fit(chunks, epochs=1)
    names = sorted("abc")
    mended = [(x, np.searchsorted(names, y)) for x, y in chunks]
    numbered = np.unique(np.concatenate([y for _, y in chunks]), return_inverse=True)[1]
    assert np.array_equal(np.concatenate([y for _, y in mended]), numbered)
    MLP([4, 3]).fit(mended, epochs=1, verbose=0)


def test_sparse_chunks_become_dense():
    sparse = pytest.importorskip("scipy.sparse")
    x, y = table(np.random.default_rng(0), 60)
    settings = {"epochs": 2, "batch_size": 9, "shuffle": False, "verbose": 0, "optimizer": "adam"}
    arrays, model = MLP([4, 3]), MLP([4, 3])
    arrays.fit(x, y, **settings)
    model.fit([(sparse.csr_matrix(x[:40]), y[:40]), (x[40:], y[40:])], **settings)
    assert_same_bits(arrays.parameters(), model.parameters())


# ---------------------------------------------------------------- threads


def test_generators_are_closed_where_they_ran_and_threads_end():
    x, y = table(np.random.default_rng(0), 40)
    closed = []

    def endless():
        try:
            while True:
                yield x, y
        finally:
            closed.append(threading.current_thread().name)

    settings = {"epochs": 1, "batch_size": 8, "verbose": 0}
    MLP([4, 3]).fit(endless, steps_per_epoch=3, **settings)
    MLP([4, 3]).fit(endless, steps_per_epoch=99, callbacks=[StopAt(2, False)], **settings)
    with pytest.raises(Stop):
        MLP([4, 3]).fit(endless, steps_per_epoch=99, callbacks=[StopAt(2, True)], **settings)
    with pytest.raises(fastmlp.DivergedError):
        MLP([4, 3], loss="mse").fit(
            ((x * 1e30, np.ones((40, 3))) for _ in range(9)),
            optimizer=fastmlp.SGD(1e30),
            **settings,
        )
    assert closed.count("fastmlp-read-ahead") == 3
    assert len(closed) == 6  # and the first looks


def test_at_most_two_chunks_exist_ahead():
    x, y = table(np.random.default_rng(0), 4000)
    begun, trained = [], []

    def source():
        for i in range(40):
            begun.append(i)
            yield x[i * 100 : i * 100 + 100], y[i * 100 : i * 100 + 100]

    class Watch(fastmlp.Callback):
        every_steps = 1

        def on_step_end(self, training, record):
            if record["step"] > 20:
                time.sleep(0.01)  # the thread could read more
            trained.append(len(begun))

    MLP([4, 3]).fit(source, epochs=1, batch_size=100, shuffle=False, callbacks=[Watch()], verbose=0)
    looks = 20  # the chunks of the first look
    assert all(count - looks <= step + 3 for step, count in enumerate(trained))


def test_an_interrupt_while_the_source_waits_ends_both():
    ended = run_child("""
x, y = problem(3000, [4, 3])
def source():
    yield x, y
    if threading.current_thread() is not threading.main_thread():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
    yield x, y
try:
    fastmlp.MLP([4, 3]).fit(source, epochs=1, shuffle=False, verbose=0)
except KeyboardInterrupt:
    print("interrupted", threading.active_count())
""")
    assert ended.stdout == "interrupted 1\n", ended.stderr


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_a_source_may_write_each_chunk_into_the_same_memory(shuffle, dtype):
    """The thread that reads ahead makes the next chunk while the one before is read."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (3000, 8)).astype(dtype)
    y = (x[:, 0] > 4).astype(np.int64)

    def trained(source):
        model = fastmlp.MLP([8, 16, 2], seed=0, input_scale=1)
        model.fit(source, epochs=3, batch_size=64, shuffle=shuffle, verbose=0)
        return model.parameters()

    def reused():
        rows, labels = np.empty((100, 8), dtype), np.empty(100, np.int64)
        for first in range(0, 3000, 100):
            rows[:], labels[:] = x[first : first + 100], y[first : first + 100]
            yield rows, labels

    def own():
        for first in range(0, 3000, 100):
            yield x[first : first + 100], y[first : first + 100]

    expected, found = trained(own), trained(reused)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("trial", range(TRIALS))
def test_how_chunks_hold_their_samples_changes_nothing(trial):
    """Memory that is used again, lists, views: also for what the first samples decide."""
    random = np.random.default_rng([SEED, trial])
    count, several = int(random.integers(30, 5000)), bool(random.integers(2))
    x = (random.normal(7, 3, (count, 4)) * np.arange(count)[:, None]).astype(np.float32)
    y = [(x[:, 0] > 4).astype(np.int64), x[:, :1] + 1] if several else x[:, :2] * 3
    cuts = np.unique([0, count, *random.integers(0, count, int(random.integers(1, 40)))])
    parts = [slice(*pair) for pair in pairwise(cuts.tolist())]
    memory = np.empty_like(x), *(np.empty_like(part) for part in (y if several else [y]))

    def own():
        for part in parts:
            yield x[part], [target[part] for target in y] if several else y[part]

    def reused():
        for rows, targets in own():
            held = [place[: len(rows)] for place in memory]
            for place, values in zip(
                held, [rows, *(targets if several else [targets])], strict=True
            ):
                place[:] = values
            yield held[0], held[1:] if several else held[1]

    def lists():
        for rows, targets in own():
            yield rows.tolist(), [t.tolist() for t in targets] if several else targets.tolist()

    def trained(source):
        losses = [fastmlp.SoftmaxCrossEntropy(outputs=2), fastmlp.MSE(outputs=1)]
        model = MLP([4, 8, 2 + several], seed=trial, loss=losses if several else "mse")
        model.fit(source, epochs=1, batch_size=50, shuffle=False, verbose=0, diagnose=False)
        return model

    expected = trained([(x, y)])
    sources = {"own": own, "reused": reused, "an iterator": iter(reused()), "lists": lists,
               "lists once": lists(), "a list": list(own())}  # fmt: skip
    for name, source in sources.items():
        found, told = trained(source), f"seed {SEED}, trial {trial}: {name}, {cuts}"
        assert repr(found.standardization) == repr(expected.standardization), told
        for key, value in found.parameters().items():
            np.testing.assert_array_equal(value, expected.parameters()[key], err_msg=told)
