"""Arrays of any type and layout: the results are those of the plain array, bit for bit."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

import fastmlp
from fastmlp import validation

SEED = int(os.environ.get("FASTMLP_TEST_SEED") or random.SystemRandom().getrandbits(32))
# A few iterations of L-BFGS are enough here.
pytestmark = pytest.mark.filterwarnings("ignore::fastmlp.ConvergenceWarning")
DTYPES = ("float32", "float64")


# ---------------------------------------------------------------- layouts


def unaligned(array):
    buffer = bytearray(array.nbytes + 1)
    buffer[1:] = array.tobytes()
    return np.frombuffer(buffer, array.dtype, offset=1).reshape(array.shape)


def packed(array):
    record = np.zeros(array.shape, np.dtype([("pad", "u1"), ("value", array.dtype)], align=False))
    record["value"] = array
    return record["value"]


def swapped(array):
    return array.astype(array.dtype.newbyteorder("S"))


def swapped_and_unaligned(array):
    return unaligned(swapped(array))


def fortran(array):
    return np.asfortranarray(array)


def reversed_rows(array):
    return np.ascontiguousarray(array[::-1])[::-1]


def reversed_all(array):
    flipped = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[flipped])[flipped]


def strided(array):
    wide = np.full(tuple(2 * n for n in array.shape), 77, array.dtype)
    view = wide[(slice(None, None, 2),) * array.ndim]
    view[...] = array
    return view


def read_only(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


class Subclass(np.ndarray):
    def __array_finalize__(self, other):
        self.note = "kept"


def subclass(array):
    return array.copy().view(Subclass)


def masked(array):
    return np.ma.masked_array(array.copy(), np.zeros(array.shape, bool))


def mapped(array, tmp_path=None):
    import tempfile

    with tempfile.TemporaryFile() as file:
        memory = np.memmap(file, array.dtype, "w+", shape=array.shape)
        memory[...] = array
        return memory


def listed(array):
    return array.tolist()


class Interface:
    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


def interface(array):
    return Interface(unaligned(array))


LAYOUTS = [
    unaligned, packed, swapped, swapped_and_unaligned, fortran, reversed_rows, reversed_all,
    strided, read_only, subclass, masked, mapped, listed, interface,
]  # fmt: skip
TYPES = ["f2", "f4", "f8", "g", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "?"]


def random_rows(numbers, shape, kind, largest=2):
    values = numbers.integers(0, largest, shape)
    if np.dtype(kind).kind == "f":
        values = values + numbers.standard_normal(shape).astype(np.float16)
    return values.astype(kind)


# ---------------------------------------------------------------- where arrays come in


def bits(*arrays):
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def parameters(model):
    return bits(*model.parameters().values())


class Case:
    """Random arrays of one kind each, and a model that takes them."""

    def __init__(self, numbers):
        self.dtype = str(numbers.choice(DTYPES))
        self.rows = int(numbers.integers(2, 40))
        self.features = int(numbers.integers(1, 9))
        self.arrays = {
            "x": random_rows(numbers, (self.rows, self.features), numbers.choice(TYPES)),
            "values": random_rows(numbers, (self.rows, 3), numbers.choice(TYPES)),
            "labels": numbers.integers(0, 2, self.rows).astype(numbers.choice(TYPES)),
            "weights": (1 + numbers.integers(0, 3, self.rows)).astype(numbers.choice(TYPES[:-1])),
            "matrix": random_rows(numbers, (self.features, 3), numbers.choice(TYPES)),
            "vector": random_rows(numbers, (3,), numbers.choice(TYPES)),
        }

    def model(self, loss="mse"):
        return fastmlp.MLP([self.features, 3], loss=loss, dtype=self.dtype)

    def other(self, layout, name):
        array = self.arrays[name]
        if layout is interface and name in ("matrix", "vector"):
            return unaligned(array)
        return layout(array)


def fit(case, get):
    model = case.model()
    model.fit(get("x"), get("values"), sample_weight=get("weights"), epochs=2, verbose=0)
    return parameters(model)


def fit_labels(case, get):
    model = case.model("softmax_cross_entropy")
    data = (get("x"), get("labels"))
    model.fit(*data, validation_data=data, class_weight="balanced", epochs=2, verbose=0)
    return parameters(model) + bits(model.history.val_loss)


def fit_lbfgs(case, get):
    pytest.importorskip("scipy")
    model = case.model()
    optimizer = fastmlp.LBFGS()
    model.fit(get("x"), get("values"), epochs=2, optimizer=optimizer, verbose=0)
    return parameters(model)


def look(case, get):
    model = case.model("softmax_cross_entropy")
    x, y = get("x"), get("labels")
    loss, weights, biases = model.loss_and_gradients(x, y, sample_weight=get("weights"))
    return bits(
        model.forward(x),
        model.predict(x),
        model.predict_proba(x),
        *model.hidden_activations(x),
        model.input_gradients(x, y),
        *weights,
        *biases,
        [loss, model.evaluate(x, y)["loss"], *model.gradient_norms(x, y)],
        model.lr_find(x, y, steps=3).losses,
    )


def set_parameters(case, get):
    model = case.model()
    model.weights = [get("matrix")]
    model.biases = [get("vector")]
    first = parameters(model)
    other = case.model()
    other.weights[0] = get("matrix")
    other.biases[0] = get("vector")
    third = case.model()
    third.set_parameters({"layers.0.weights": get("matrix"), "layers.0.biases": get("vector")})
    assert first == parameters(other) == parameters(third)
    return first


def resume(case, get):
    model = case.model()
    x, y = np.ones((4, case.features)), np.ones((4, 3))
    options = {"optimizer": fastmlp.Adam(), "epochs": 1, "verbose": 0}
    model.fit(x, y, **options)
    state = model.training_state()
    strange = {k: get(v) if v.dtype.kind == "f" and v.ndim else v for k, v in state.items()}
    model.restore_training_state(strange)
    model.fit(x, y, resume=True, **options)
    return parameters(model)


def user_gradient(case, get):
    def loss(outputs, targets):
        difference = outputs - targets
        return float((difference**2).mean()), get(2 * difference / difference.size)

    model = case.model(fastmlp.UserLoss(function=loss))
    model.fit(case.arrays["x"], case.arrays["values"], epochs=2, verbose=0)
    return parameters(model)


def preprocessing(case, get):
    from fastmlp.data.arrays import as_inputs, plain_inputs

    return bits(plain_inputs(get("x"))) + bits(as_inputs(get("x"), "x"))


ENTRIES = [
    fit, fit_labels, fit_lbfgs, look, set_parameters, resume, user_gradient, preprocessing,
]  # fmt: skip


def same_as_plain(entry, layout, case, note):
    def given(what):
        if isinstance(what, str):
            return case.other(layout, what)
        return what if layout in (listed, interface) else layout(what)

    def plain(what):
        array = case.arrays[what] if isinstance(what, str) else what
        if layout is listed:
            array = np.array(array.tolist())
        return array

    assert entry(case, given) == entry(case, plain), note


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.__name__)
def test_entries(entry, layout):
    if entry is preprocessing and layout in (listed, interface):
        pytest.skip("tables and arrays only")
    for i in range(12):
        note = (SEED, i, entry.__name__, layout.__name__)
        numbers = np.random.default_rng([SEED, i])
        same_as_plain(entry, layout, Case(numbers), note)


# ---------------------------------------------------------------- what the core gets


@pytest.fixture
def watched(monkeypatch):
    """All arrays that reach the core through a network."""
    seen = []

    class Watched:
        def __init__(self, inner):
            self.inner = inner

        def __getattr__(self, name):
            method = getattr(self.inner, name)
            if not callable(method):
                return method

            def call(*arguments, **keywords):
                note(arguments)
                note(keywords)
                return method(*arguments, **keywords)

            return call

    def note(value):
        if isinstance(value, np.ndarray):
            seen.append(value)
        elif isinstance(value, (list, tuple, dict)):
            for item in value.values() if isinstance(value, dict) else value:
                note(item)

    def watch(owner, attribute):
        setattr(owner, attribute, Watched(getattr(owner, attribute)))

    watch.seen = seen
    return watch


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
def test_what_reaches_the_core(layout, watched):
    for i in range(6):
        case = Case(np.random.default_rng([SEED, 7, i]))
        model = case.model()
        watched(model, "_network")
        model.weights = [case.other(layout, "matrix")]
        model._assign("biases", 0, layout(np.zeros(3)) if layout is not interface else np.zeros(3))
        model.forward(case.other(layout, "x"))
        model.evaluate(
            case.other(layout, "x"),
            case.other(layout, "values"),
            sample_weight=case.other(layout, "weights"),
        )
    assert len(watched.seen) >= 6 * 5
    for array in watched.seen:
        flags = array.flags
        assert flags.aligned, (SEED, layout)
        assert flags.c_contiguous, (SEED, layout)
        assert array.dtype.isnative, (SEED, layout)
        assert type(array) is np.ndarray, (SEED, layout)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.filterwarnings("ignore")
def test_estimators(layout, name):
    pytest.importorskip("sklearn")
    for i in range(6):
        case = Case(np.random.default_rng([SEED, 9, i]))
        if layout in (listed, interface) or np.unique(case.arrays["labels"]).size < 2:
            continue
        if case.arrays["x"].dtype in (np.float16, np.longdouble, bool):
            case.arrays["x"] = case.arrays["x"].astype(np.float32)
        target = "labels" if name == "MLPClassifier" else "values"

        def run(get, case=case, target=target):
            model = getattr(fastmlp, name)(hidden_layer_sizes=(3,), max_iter=2, random_state=0)
            model.fit(get("x"), get(target), sample_weight=get("weights"))
            return bits(*model.coefs_, model.predict(get("x")))

        expected = run(lambda what, case=case: case.arrays[what])
        got = run(lambda what, case=case: case.other(layout, what))
        assert got == expected, (SEED, i, layout.__name__)


def test_estimators_give_the_core_aligned_arrays(monkeypatch):
    pytest.importorskip("sklearn")
    from fastmlp.training.run import Run

    seen = []
    original = Run.epoch

    def epoch(self, data, settings, **keywords):
        seen.extend([data.rows, *data.targets, data.sample_weight, keywords["order"]])
        return original(self, data, settings, **keywords)

    monkeypatch.setattr(Run, "epoch", epoch)
    x = unaligned(np.random.default_rng(0).standard_normal((20, 3)))
    y = unaligned(np.random.default_rng(1).standard_normal((20, 2)))
    weights = unaligned(np.ones(20))
    model = fastmlp.MLPRegressor(hidden_layer_sizes=(3,), max_iter=1)
    with pytest.warns(UserWarning, match="Maximum iterations"):
        model.fit(x, y, sample_weight=weights)
    assert len(seen) >= 4
    assert all(array.flags.aligned and array.flags.c_contiguous for array in seen)


def test_masks_are_refused_where_they_hide_something():
    x = np.ma.masked_array(np.ones((4, 3)), np.eye(4, 3, dtype=bool))
    with pytest.raises(ValueError, match="x must not have masked elements"):
        fastmlp.MLP([3, 2]).forward(x)


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8", "i8"])
def test_core_array_copies_only_where_it_must(dtype):
    array = np.arange(12).reshape(3, 4).astype(dtype)
    assert np.shares_memory(validation.core_array(array, dtype), array)
    assert validation.core_array(np.array(2, dtype), dtype).shape == ()
