"""Samples of any type that the core reads: they give what samples converted beforehand give."""

import copy
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import fastmlp
from fastmlp import _core, validation
from fastmlp.network import standardization
from support.cli_process import environment

TYPES = ("uint8", "float16", "float32", "float64")
ALL_HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)


@pytest.fixture(autouse=True)
def no_copies(monkeypatch):
    """Let training read samples as they are, as it does with large ones."""
    monkeypatch.setattr(validation, "_MOST_COPIED", 0)


def random_samples(rng, count, features, dtype):
    if dtype == "uint8":
        x = rng.integers(0, 256, (count, features), dtype=np.uint8)
    else:
        x = rng.standard_normal((count, features)).astype(dtype)
    x[:, rng.random(features) < rng.choice([0.0, 0.3, 0.9])] = 0
    return np.ascontiguousarray(x)


def random_model(rng, features, dtype):
    sizes = [features, *rng.integers(1, 40, rng.integers(0, 3)).tolist(), int(rng.integers(2, 20))]
    options = {}
    if rng.random() < 0.3:
        options["members"] = 3
    return fastmlp.MLP(sizes, dtype=dtype, seed=int(rng.integers(100)), input_scale=0.5, **options)


@pytest.mark.parametrize("seed", range(60))
def test_any_type_gives_the_bits_of_samples_converted_beforehand(seed):
    rng = np.random.default_rng(seed)
    features, count = int(rng.integers(1, 70)), int(rng.integers(1, 300))
    given, dtype = rng.choice(TYPES), str(rng.choice(["float32", "float64"]))
    x = random_samples(rng, count, features, given)
    exact = x.astype(dtype)
    model = random_model(rng, features, dtype)
    y = rng.integers(0, model.layer_sizes[-1], count)
    threads = int(rng.integers(1, 4))
    other = copy.deepcopy(model)
    size = int(rng.integers(1, 64))
    for trained, samples in ((model, x), (other, exact)):
        trained.fit(samples, y, epochs=2, batch_size=size, optimizer=fastmlp.Adam(),
                    threads=threads, verbose=0)  # fmt: skip
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name], f"{given} {dtype} {name}")
    np.testing.assert_array_equal(model.forward(x), model.forward(exact))
    np.testing.assert_array_equal(model.predict(x), model.predict(exact))
    assert model.evaluate(x, y) == model.evaluate(exact, y)
    for own, others in zip(
        model.hidden_activations(x), model.hidden_activations(exact), strict=True
    ):
        np.testing.assert_array_equal(own, others)


@pytest.mark.parametrize("seed", range(60))
def test_samples_standardized_while_they_are_read_have_the_same_bits(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    features, count = int(rng.integers(1, 70)), int(rng.integers(20, 300))
    x = random_samples(rng, count, features, rng.choice(TYPES[1:])) * 100 + 50
    dtype = str(rng.choice(["float32", "float64"]))
    model = fastmlp.MLP([features, 9, 3], dtype=dtype, members=int(rng.choice([1, 3])))
    other, y = copy.deepcopy(model), rng.integers(0, 3, count)
    options = {"epochs": 2, "optimizer": fastmlp.Adam(), "threads": int(rng.integers(1, 4)),
               "batch_size": int(rng.integers(1, 64)), "verbose": 0}  # fmt: skip
    model.fit(x, y, **options)
    monkeypatch.setattr(standardization, "_MOST_COPIED", 0)
    other.fit(x, y, **options)
    assert model.standardization == other.standardization is not None
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name], f"{dtype} {name}")
    lazy = model._rows(x, one_pass=True)
    assert not isinstance(lazy, np.ndarray)
    exact = lazy[:]
    assert exact.dtype == dtype
    np.testing.assert_array_equal(model.forward(x), model._outputs_of(exact, "none", 1))
    assert model.findings == other.findings
    x[int(rng.integers(count)), int(rng.integers(features))] = np.nan
    for trained in (model, other):
        with pytest.raises(ValueError, match="x must be finite"):
            trained.forward(x)


@pytest.mark.parametrize("isa", _core.isas())
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_half_is_read_exactly(isa, dtype):
    code = f"""
        import numpy as np, fastmlp
        halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
        halves = halves[np.isfinite(halves)].reshape(-1, 1)
        model = fastmlp.MLP([1, 1], loss="mse", dtype="{dtype}", input_scale=1)
        model.set_parameters({{"layers.0.weights": [[1]], "layers.0.biases": [0]}})
        assert (model.forward(halves) == halves.astype("{dtype}")).all()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)],
                          env=environment(FASTMLP_ISA=isa), check=False)  # fmt: skip
    assert done.returncode == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_finite_is_that_of_numpy(dtype):
    rng = np.random.default_rng(5)
    function = getattr(_core, f"all_finite{dtype[-2:]}")
    assert [bool(function(ALL_HALVES[i : i + 1])) for i in range(0, 2**16, 7)] == np.isfinite(
        ALL_HALVES[::7]
    ).tolist()
    limit = float(np.finfo(np.float32).max)
    for value in (limit, np.nextafter(limit, np.inf), 3.40282356e38, 3.4028236e38, -1e39, 1e-320):
        with np.errstate(over="ignore"):
            expected = bool(np.isfinite(np.float64(value).astype(dtype)))
        assert function(np.full(17, value)) == expected, value
    for _ in range(200):
        x = rng.standard_normal(int(rng.integers(1, 3000))).astype(rng.choice(TYPES[1:]))
        assert function(x)
        x[rng.integers(len(x))] = rng.choice([np.nan, np.inf, -np.inf])
        assert not function(x)
    large = np.zeros(3_000_000, np.float32)
    assert function(large)
    large[rng.integers(len(large))] = np.nan
    assert not function(large)


@pytest.mark.parametrize("seed", range(40))
def test_what_is_not_finite_is_found_where_it_is(seed):
    rng = np.random.default_rng(seed)
    features, count = int(rng.integers(1, 70)), int(rng.integers(1, 400))
    dtype = str(rng.choice(["float32", "float64"]))
    x = random_samples(rng, count, features, rng.choice(TYPES[1:]))
    model = random_model(rng, features, dtype)
    y = np.zeros(count, int)
    row, column = int(rng.integers(count)), int(rng.integers(features))
    x[row, column] = rng.choice([np.nan, np.inf, -np.inf])
    before = model.parameters()
    for call in (
        model.forward, model.predict, model.predict_proba, model.hidden_activations,
        lambda x: model.evaluate(x, y), lambda x: model.fit(x, y, epochs=1, verbose=0),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=rf"x must be finite.*\[{row}, {column}\]"):
            call(x)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])


def test_predictions_of_any_sizes_one_after_the_other_and_at_once():
    """Calls share buffers that earlier ones have left."""
    rng = np.random.default_rng(11)
    model = fastmlp.MLP([33, 50, 7], seed=1, input_scale=1)
    x = rng.standard_normal((700, 33)).astype(np.float32)
    expected = model.forward(x, threads=1)
    wrong = []

    def work(seed):
        chance = np.random.default_rng(seed)
        for _ in range(200):
            first = int(chance.integers(700))
            last = int(chance.integers(first + 1, 701))
            got = model.forward(x[first:last], threads=int(chance.integers(1, 3)))
            if not np.array_equal(got, expected[first:last]):
                wrong.append((seed, first, last))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


_MAPPED = """
import resource, sys
import numpy as np, fastmlp
x = np.load(sys.argv[1], mmap_mode="r")
y = np.arange(len(x)) % 3
model = fastmlp.MLP([x.shape[1], 16, 3], seed=0)

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1])

model.fit(x[:256], y[:256], epochs=1, verbose=0, diagnose=False)
model = fastmlp.MLP([x.shape[1], 16, 3], seed=0)
before = anonymous()
model.fit(x, y, epochs=1, batch_size=512, verbose=0)
model.evaluate(x, y)
model.predict(x)
print(anonymous() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("largest", [2, 200])  # the network standardizes the latter
def test_a_memory_map_is_read_where_it_is(tmp_path, dtype, largest):
    count, features = 400_000, 50  # 20 to 160 MB
    path = tmp_path / "x.npy"
    x = np.lib.format.open_memmap(path, "w+", dtype, (count, features))
    rng = np.random.default_rng(0)
    for start in range(0, count, 10_000):
        x[start : start + 10_000] = rng.integers(0, largest, (10_000, features))
    x.flush()
    done = subprocess.run([sys.executable, "-c", _MAPPED, path], env=environment(),
                          capture_output=True, text=True, check=True)  # fmt: skip
    # Labels, their copy and the order of the samples are 8 bytes each.
    assert int(done.stdout) < 30_000, f"{int(done.stdout):,} kB"
