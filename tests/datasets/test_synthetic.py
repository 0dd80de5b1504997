"""Synthetic sets against their formulas, computed here point by point with Python's `math`."""

import hashlib
import math
import subprocess
import sys

import numpy as np
import pytest

from fastmlp import datasets
from fastmlp.datasets.synthetic import _cosine_and_sine

CLASSES = {"xor": 2, "circles": 2, "moons": 2, "spirals": 2, "gaussians": 3}
NAMES = (*CLASSES, "sine")
NOISE = {"xor": 0.05, "circles": 0.1, "moons": 0.1, "spirals": 0.1, "gaussians": 0.3, "sine": 0.1}


def noise_free(name, samples=600, seed=0):
    x, y = datasets.make(name, samples, noise=0, seed=seed)
    return x.tolist(), y.ravel().tolist()


def on_circle(x, y, radius, center=(0.0, 0.0)):
    return math.isclose(math.hypot(x - center[0], y - center[1]), radius, rel_tol=1e-14)


# ---------------------------------------------------------------- formulas


def test_xor():
    points, labels = noise_free("xor")
    for (x1, x2), label in zip(points, labels, strict=True):
        assert 0 < abs(x1) <= 1
        assert 0 < abs(x2) <= 1
        assert label == ((x1 > 0) ^ (x2 > 0))
    assert {(x1 > 0, x2 > 0) for x1, x2 in points} == {(a, b) for a in (0, 1) for b in (0, 1)}


def test_circles():
    points, labels = noise_free("circles")
    for (x1, x2), label in zip(points, labels, strict=True):
        assert on_circle(x1, x2, (1.0, 0.5)[label])
    # All the way round: each eighth has its share.
    eighths = [math.floor(4 * (math.atan2(x2, x1) / math.pi + 1)) % 8 for x1, x2 in points]
    assert min(eighths.count(k) for k in range(8)) > 40


def test_moons():
    points, labels = noise_free("moons")
    for (x1, x2), label in zip(points, labels, strict=True):
        if label == 0:
            assert on_circle(x1, x2, 1.0)
            assert x2 >= 0
        else:
            assert on_circle(x1, x2, 1.0, center=(1.0, 0.5))
            assert x2 <= 0.5
    assert min(x1 for x1, _ in points) < -0.95
    assert max(x1 for x1, _ in points) > 1.95


def test_spirals_follow_lang_and_witbrock():
    points, labels = noise_free("spirals")
    positions = []
    for (x1, x2), label in zip(points, labels, strict=True):
        # Their program, for the i that this radius belongs to: angle = i * pi / 16.
        radius = math.hypot(x1, x2)
        i = 104 - 104 * radius / 6.5
        sign = (1, -1)[label]
        assert math.isclose(x1, sign * radius * math.sin(i * math.pi / 16), abs_tol=1e-12)
        assert math.isclose(x2, sign * radius * math.cos(i * math.pi / 16), abs_tol=1e-12)
        positions.append(i)
    assert -1e-9 < min(positions) < 1
    assert 95 < max(positions) < 96


def test_gaussians():
    points, labels = noise_free("gaussians")
    centers = [(0.0, 1.0), (-math.sqrt(0.75), -0.5), (math.sqrt(0.75), -0.5)]
    for point, label in zip(points, labels, strict=True):
        assert point == pytest.approx(centers[label], abs=1e-15)


def test_sine():
    points, values = noise_free("sine")
    for (x,), y in zip(points, values, strict=True):
        assert 0 <= x < 1
        assert math.isclose(y, math.sin(2 * math.pi * x), abs_tol=5e-16)
    assert max(values) > 0.999
    assert min(values) < -0.999


def test_cosine_and_sine_are_exact_where_that_is_possible():
    turns = np.array([0.0, 0.25, 0.5, 0.75, 1.0, 2.25])
    cosine, sine = _cosine_and_sine(turns)
    assert cosine.tolist() == [1, 0, -1, 0, 1, 0]
    assert sine.tolist() == [0, 1, 0, -1, 0, 1]
    cosine, sine = _cosine_and_sine(np.array([1 / 8, 3 / 8, 1 / 12]))
    assert cosine == pytest.approx([math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(0.75)], rel=3e-16)
    assert sine == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0.5], rel=3e-16)


def test_cosine_and_sine_against_the_mathematical_library():
    turns = np.linspace(0, 1, 20_001)
    cosine, sine = _cosine_and_sine(turns)
    exact = np.array([(math.cos(2 * math.pi * t), math.sin(2 * math.pi * t)) for t in turns])
    # 2 pi t has an error of its own there, up to half a unit in the last place of 2 pi.
    assert np.abs(cosine - exact[:, 0]).max() < 1e-15
    assert np.abs(sine - exact[:, 1]).max() < 1e-15
    assert np.abs(cosine**2 + sine**2 - 1).max() < 5e-16


# ---------------------------------------------------------------- noise


@pytest.mark.parametrize("name", NAMES)
def test_noise_is_normal_and_has_the_deviation_asked_for(name):
    x, y = datasets.make(name, 20_000, noise=0.25, seed=3)
    x_free, y_free = datasets.make(name, 20_000, noise=0, seed=3)
    if name == "sine":
        np.testing.assert_array_equal(x, x_free)
        noise = (y - y_free) / 0.25
    else:
        np.testing.assert_array_equal(y, y_free)
        noise = (x - x_free) / 0.25
    # Moments 0, 1, 0, 3 of the normal distribution, within five standard errors.
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = 5 * math.sqrt(variance / noise.size)
        assert (noise**power).mean() == pytest.approx(moment, abs=error)
    if name != "sine":
        product = noise[:, 0] * noise[:, 1]  # coordinates are independent
        assert product.mean() == pytest.approx(0, abs=5 / math.sqrt(len(product)))


@pytest.mark.parametrize("name", NAMES)
def test_default_noise(name):
    for given, default in zip(
        datasets.make(name, 50, noise=NOISE[name], seed=1),
        datasets.make(name, 50, seed=1),
        strict=True,
    ):
        np.testing.assert_array_equal(given, default)
    rows = [line.split() for line in datasets.make.__doc__.splitlines()]
    (row,) = (row for row in rows if row[:1] == [f"``{name}``"])
    assert row[1] == str(NOISE[name])


# ---------------------------------------------------------------- shapes, classes, seeds


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [3, 4, 100, 1001])
def test_shapes_and_balance(name, samples):
    x, y = datasets.make(name, samples)
    assert x.dtype == np.float64
    if name == "sine":
        assert (x.shape, y.shape, y.dtype) == ((samples, 1), (samples, 1), np.float64)
        return
    assert (x.shape, y.shape, y.dtype) == ((samples, 2), (samples,), np.int64)
    counts = np.bincount(y, minlength=CLASSES[name])
    assert len(counts) == CLASSES[name]
    assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("name", list(CLASSES))
def test_order_is_random(name):
    _, y = datasets.make(name, 1000)
    changes = np.count_nonzero(np.diff(y))
    expected = 999 * (1 - 1 / CLASSES[name])
    assert changes == pytest.approx(expected, abs=5 * math.sqrt(999 / 4))


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_every_bit(name):
    first, again, other = (datasets.make(name, 300, seed=seed) for seed in (7, 7, 8))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()
    state = np.random.get_state()[1].tobytes()  # noqa: NPY002 - it must be left alone
    datasets.make(name)
    assert np.random.get_state()[1].tobytes() == state  # noqa: NPY002


# Of the noise-free points, which come from PCG64's integers, sums and products alone: the same on
# every machine. A change here changes what people have trained on.
DIGESTS = {
    "xor": "c8e42c486ff64cc4",
    "circles": "15ffe137b63be3f6",
    "moons": "024c78c2aeb7a59f",
    "spirals": "4c2aba4d96e51d6e",
    "gaussians": "bc801fe9385a24a4",
    "sine": "78dae778846d1622",
}


@pytest.mark.parametrize("name", NAMES)
def test_bits_are_those_of_all_machines(name):
    x, y = datasets.make(name, 1000, noise=0)
    assert hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()[:16] == DIGESTS[name]


def test_same_bits_in_another_process():
    code = "from fastmlp import datasets; print(datasets.load('spirals').sha256['arrays'])"
    output = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout
    assert output.strip() == datasets.load("spirals").sha256["arrays"]


@pytest.mark.parametrize("name", NAMES)
def test_load_gives_the_defaults(name):
    data, spec = datasets.load(name), datasets.get_spec(name)
    x, y = datasets.make(name, 1000, noise=NOISE[name], seed=0)
    np.testing.assert_array_equal(data.x_train, x)
    np.testing.assert_array_equal(data.y_train, y)
    assert data.x_test is data.y_test is None
    assert len(data.feature_names) == x.shape[1] == spec.features
    assert (spec.samples, spec.test_samples, spec.image_shape) == (1000, None, None)
    assert data.sha256 == {"arrays": hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()}
    if name == "sine":
        assert (data.task, data.class_names, spec.classes) == ("regression", (), None)
    else:
        assert data.task == "classification"
        assert len(data.class_names) == spec.classes == CLASSES[name]


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("mnist",), {}, ValueError, "name must be one of xor, circles, .*, got 'mnist'"),
        (("spiral",), {}, ValueError, "did you mean 'spirals'"),
        ((3,), {}, TypeError, "name must be a str"),
        (("xor", 1), {}, ValueError, "samples must be >= 2, got 1"),
        (("gaussians", 2), {}, ValueError, "samples must be >= 3, got 2"),
        (("sine", 0), {}, ValueError, "samples must be >= 1, got 0"),
        (("xor", 2**63), {}, ValueError, "samples must be <= 1000000000"),
        (("xor", 10.0), {}, TypeError, "samples must be an integer, got 10.0"),
        (("xor", True), {}, TypeError, "samples must be an integer"),
        (("xor",), {"noise": -0.1}, ValueError, "noise must be finite and >= 0"),
        (("xor",), {"noise": math.nan}, ValueError, "noise must be finite"),
        (("xor",), {"noise": math.inf}, ValueError, "noise must be finite"),
        (("xor",), {"noise": 1e300}, ValueError, "noise must be <= 1e"),
        (("xor",), {"noise": "1"}, TypeError, "noise must be a real number"),
        (("xor",), {"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        (("xor",), {"seed": 0.5}, TypeError, "seed must be an integer"),
        (("xor",), {"seed": None}, TypeError, "seed must be an integer"),
    ],
)
def test_wrong_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        datasets.make(*arguments, **options)


def test_names_are_forgiven_as_in_load():
    np.testing.assert_array_equal(datasets.make(" Moons ")[0], datasets.make("moons")[0])
    assert datasets.make("sine", np.int32(1))[0].shape == (1, 1)
