"""`out=` of predictions: the same bits, written where the caller wants them."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, MSE, BinaryCrossEntropy, SoftmaxCrossEntropy, streams
from support.child_process import run_child

KINDS = {
    "classes": {"layer_sizes": [6, 9, 4]},
    "labels": {"layer_sizes": [6, 9, 3], "loss": "binary_cross_entropy"},
    "yes": {"layer_sizes": [6, 9, 1], "loss": "binary_cross_entropy"},
    "values": {"layer_sizes": [6, 9, 2], "loss": "mse", "dtype": "float64"},
    "counts": {"layer_sizes": [6, 9, 1], "loss": "poisson"},
    "members": {"layer_sizes": [6, 9, 4], "members": 3},
    "several": {
        "layer_sizes": [6, 9, 6],
        "loss": [
            SoftmaxCrossEntropy(outputs=3), MSE(outputs=2),
            BinaryCrossEntropy(outputs=1),
        ],
    },
}  # fmt: skip
METHODS = ("predict", "predict_proba", "forward")


def model_of(kind: str) -> MLP:
    arguments = dict(KINDS[kind])
    return MLP(arguments.pop("layer_sizes"), seed=3, input_scale=1.0, **arguments)


def samples(count: int = 40_000, dtype: str = "f4") -> np.ndarray:
    x = np.random.default_rng(1).standard_normal((count, 6)) * 3
    return x.astype(dtype) if dtype != "u1" else (x.clip(-8, 8) * 10 + 100).astype("u1")


def like(predicted):
    """Arrays to be written to, which hold what no prediction is."""
    if isinstance(predicted, list):
        return [like(one) for one in predicted]
    return np.full_like(predicted, 77)


def require_equal(one, other) -> None:
    if isinstance(one, list):
        for mine, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, theirs)
        return
    np.testing.assert_array_equal(one, other)


def can(kind: str, method: str) -> bool:
    return method != "predict_proba" or kind in ("classes", "labels", "yes", "members")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_has_the_bits_of_what_is_returned(kind, method):
    if not can(kind, method):
        pytest.skip("makes no probabilities")
    x = samples(200_000)  # several blocks
    call = getattr(model_of(kind), method)
    expected = call(x)
    out = like(expected)
    assert call(x, out=out) is out
    require_equal(out, expected)
    for threads in (1, 2):
        again = like(expected)
        call(x[:1000], threads=threads, out=[a[:1000] for a in again] if isinstance(
            again, list) else again[:1000])  # fmt: skip
        require_equal(
            [a[:1000] for a in again] if isinstance(again, list) else again[:1000],
            [a[:1000] for a in expected] if isinstance(expected, list) else expected[:1000],
        )


@pytest.mark.parametrize("form", ["f8", "f2", "u1", "i4", "list", "sparse", "rows apart"])
def test_samples_of_every_form(form):
    model = model_of("classes")
    x = samples(60_000, form if len(form) == 2 else "f4")
    if form == "list":
        x = x[:100].tolist()
    elif form == "sparse":
        sparse = pytest.importorskip("scipy.sparse")
        x = sparse.csr_matrix(np.where(x > 2, x, 0))
    elif form == "rows apart":
        x = x[::3]
    expected = model.predict_proba(x)
    out = np.empty_like(expected)
    model.predict_proba(x, out=out)
    require_equal(out, expected)


def test_a_network_that_standardizes():
    x = samples() * 1000 + 5000
    model = MLP([6, 5, 3])
    model.fit(x, np.arange(len(x)) % 3, epochs=1, verbose=0, diagnose=False)
    assert model.standardization is not None
    expected = model.forward(x)
    require_equal(model.forward(x, out=np.empty_like(expected)), expected)


@pytest.mark.parametrize("kind", ["classes", "values", "several"])
def test_chunks_of_a_source_go_out_one_by_one(kind):
    model, x = model_of(kind), samples(10_000)
    expected = model.predict(x)
    for source in (
        streams.Arrays(x, np.zeros(len(x)), chunk_size=999),
        (x[i : i + 700] for i in range(0, len(x), 700)),
        lambda: (x[i : i + 4000] for i in range(0, len(x), 4000)),
    ):
        out = like(expected)
        assert model.predict(source, out=out) is out
        require_equal(out, expected)


def test_a_memory_map(tmp_path):
    model, x = model_of("classes"), samples()
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(tmp_path / "y.npy", "w+", np.int64, (len(x),))
    assert model.predict(mapped, out=out) is out
    out.flush()
    require_equal(np.load(tmp_path / "y.npy"), model.predict(x))


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([0] * 100, TypeError, r"out must be one array|out\[0\] must be a NumPy array, got int"),
        ("y.npy", TypeError, "out must be a NumPy array, got str"),
        (np.zeros(()), TypeError, "out must be a NumPy array"),
        (np.zeros((99, 4), "f4"), ValueError, "out must have one row for each of the 100 samples"),
        (np.zeros((101, 4), "f4"), ValueError, "got 101 rows"),
        (np.zeros((100, 3), "f4"), ValueError, r"dtype float32 and shape \(samples, 4\), got fl"),
        (np.zeros((100, 4)), ValueError, r"out must have dtype float32 .*, got float64"),
        (np.zeros(100, "f4"), ValueError, r"got float32 and \(100,\)"),
        (np.zeros((4, 100), "f4").T, ValueError, "out must be C-contiguous, got strides"),
        (np.zeros((200, 4), "f4")[::2], ValueError, "out must be C-contiguous"),
        (np.broadcast_to(np.zeros(4, "f4"), (100, 4)), ValueError, "out must be writable"),
        ([np.zeros((100, 4), "f4")], TypeError, "out must be one array for this model, got a list"),
    ],
)
def test_what_cannot_take_the_outputs(out, error, message):
    model, x = model_of("classes"), samples(100)
    with pytest.raises(error, match=message):
        model.forward(x, out=out)
    if isinstance(out, np.ndarray):
        assert not out.any()
    with pytest.raises(error, match="out"):
        model.forward(streams.Arrays(x, x), out=out)


def test_classes_are_int64():
    with pytest.raises(ValueError, match=r"dtype int64 and shape \(samples,\), got int32"):
        model_of("classes").predict(samples(9), out=np.zeros(9, np.int32))


def test_losses_need_an_array_each():
    model = model_of("several")
    with pytest.raises(TypeError, match="out must be a list of 3 arrays for this model, got one"):
        model.predict(samples(9), out=np.zeros(9, np.int64))
    with pytest.raises(ValueError, match=r"out\[1\] must have dtype float32 and shape"):
        model.predict(samples(9), out=[np.zeros(9, np.int64) for _ in range(3)])


def test_memory_of_the_samples_is_not_written_to(tmp_path):
    square = MLP([4, 4], loss="mse", input_scale=1.0)
    x = np.ones((100, 4), np.float32)
    for given in (x, [x[50:], x[:50]]):
        source = given if given is x else iter(given)
        with pytest.raises(ValueError, match="out must not share memory with x"):
            square.forward(source, out=x)
    assert (x == 1).all()
    large = np.ones((200, 4), np.float32)
    assert square.forward(large[:100], out=large[100:]).shape == (100, 4)
    square.forward(x.astype(np.int64), out=x)  # of which a copy is read
    # The same bytes, mapped twice.
    np.save(tmp_path / "x.npy", large)
    out, rows = (np.load(tmp_path / "x.npy", mmap_mode=mode) for mode in ("r+", "r"))
    with pytest.raises(ValueError, match="out must not share memory with x"):
        square.forward(rows, out=out)
    with pytest.raises(ValueError, match="out must not share memory with x"):
        square.forward(rows[50:150], out=out[100:])
    assert square.forward(rows[:100], out=out[100:]) is not None
    with pytest.raises(ValueError, match=r'must be writable.*mmap_mode="r\+"'):
        square.forward(x, out=rows[:100])


def test_a_source_of_another_length():
    model, x = model_of("classes"), samples(1000)
    chunks = [x[i : i + 100] for i in range(0, 1000, 100)]
    with pytest.raises(ValueError, match="of all samples, of which there are more, got 950 rows"):
        model.predict(iter(chunks), out=np.zeros(950, np.int64))
    with pytest.raises(ValueError, match="one row for each of the 1,000 samples, got 1,050 rows"):
        model.predict(iter(chunks), out=np.zeros(1050, np.int64))


def test_numbers_that_are_not_finite_are_named():
    x = samples(1000)
    x[700, 2] = np.nan
    with pytest.raises(ValueError, match=r"x must be finite.*\[700, 2\]"):
        model_of("classes").predict(x, out=np.zeros(1000, np.int64))


# ---------------------------------------------------------------- memory


@pytest.mark.parametrize("source", ["x", "fastmlp.streams.Arrays(x, x)"])
def test_memory_does_not_grow_with_the_samples(tmp_path, source):
    """60 MB of outputs, of which some blocks are in memory."""
    ended = run_child(f"""
def anonymous():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("RssAnon")) * 1024
x = np.lib.format.open_memmap({str(tmp_path / "x.npy")!r}, "w+", np.float32, (1_500_000, 8))
out = np.lib.format.open_memmap({str(tmp_path / "y.npy")!r}, "w+", np.float32, (1_500_000, 10))
model = fastmlp.MLP([8, 16, 10], input_scale=1.0)
model.predict_proba(x[:100_000], out=out[:100_000])
peak, ended = 0, threading.Event()
def watch():
    global peak
    while not ended.wait(0.001):
        peak = max(peak, anonymous())
watcher = threading.Thread(target=watch, daemon=True)
before = anonymous()
watcher.start()
model.predict_proba({source}, out=out)
ended.set()
watcher.join()
assert out.any(axis=1).all()
print(peak - before)
""")
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 24 << 20


def test_outputs_of_several_losses_need_memory_of_their_own():
    model = fastmlp.MLP([4, 5], loss=[fastmlp.MSE(outputs=2), fastmlp.MSE(outputs=3)])
    x, held = np.zeros((7, 4), np.float32), np.zeros(100, np.float32)
    apart = [held[:14].reshape(7, 2), held[14:35].reshape(7, 3)]
    model.predict(x, out=apart)
    shared = [apart[0], held[13:34].reshape(7, 3)]
    with pytest.raises(ValueError, match=r"out\[1\] must not share memory with out\[0\]"):
        model.predict(x, out=shared)
