"""Descent on surfaces: the published update rules in NumPy, gradients, and what is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, SGD, ParameterRecorder, plot, schedules
from fastmlp.plot import LossPlane

pytest.importorskip("matplotlib")

START = (-1.5, 0.8)
CURVATURES = np.array([1.0, 8.0])


def valley(a, b):
    return (CURVATURES[0] * a**2 + CURVATURES[1] * b**2) / 2


def slopes(point):
    return CURVATURES * point


def rosenbrock(a, b):
    return (1 - a) ** 2 + 100 * (b - a**2) ** 2


# ---------------------------------------------------------------- paths


def plain(rate=0.1):
    x = np.array(START)
    while True:
        yield x
        x = x - rate * slopes(x)


def momentum(rate=0.05, mu=0.9, nesterov=False):
    x, v = np.array(START), np.zeros(2)
    while True:
        yield x
        g = slopes(x)
        v = mu * v - rate * g
        x = x + (mu * v - rate * g if nesterov else v)


def adagrad(rate=0.3, epsilon=1e-8):
    x, cache = np.array(START), np.zeros(2)
    while True:
        yield x
        g = slopes(x)
        cache = cache + g**2
        x = x - rate * g / (np.sqrt(cache) + epsilon)


def rmsprop(rate=0.05, decay=0.9, epsilon=1e-8):
    x, cache = np.array(START), np.zeros(2)
    while True:
        yield x
        g = slopes(x)
        cache = decay * cache + (1 - decay) * g**2
        x = x - rate * g / (np.sqrt(cache) + epsilon)


def adam(rate=0.1, one=0.9, two=0.999, epsilon=1e-8):
    x, m, v, t = np.array(START), np.zeros(2), np.zeros(2), 0
    while True:
        yield x
        t, g = t + 1, slopes(x)
        m, v = one * m + (1 - one) * g, two * v + (1 - two) * g**2
        x = x - rate * (m / (1 - one**t)) / (np.sqrt(v / (1 - two**t)) + epsilon)


RULES = {
    "plain": (SGD(0.1), plain),
    "momentum": (SGD(0.05, momentum=0.9), momentum),
    "Nesterov": (SGD(0.05, momentum=0.9, nesterov=True), lambda: momentum(nesterov=True)),
    "Adagrad": (fastmlp.Adagrad(0.3, epsilon=1e-8), adagrad),
    "RMSprop": (fastmlp.RMSprop(0.05, rho=0.9, epsilon=1e-8), rmsprop),
    "Adam": (fastmlp.Adam(0.1, epsilon=1e-8), adam),
}


@pytest.mark.parametrize("name", RULES)
def test_paths_are_those_of_the_published_rules(name):
    optimizer, rule = RULES[name]
    path = plot.descend(valley, START, optimizer, steps=60)
    assert path.shape == (61, 2)
    expected = [point for _, point in zip(range(61), rule(), strict=False)]
    np.testing.assert_allclose(path, expected, rtol=1e-6, atol=1e-7)


def test_schedules_penalties_and_clipping_are_those_of_trainings():
    halving = plot.descend(valley, START, SGD(schedules.StepDecay(0.1, 0.5, every=1)), 2)
    first = np.array(START) * (1 - 0.1 * CURVATURES)
    np.testing.assert_allclose(halving[1], first, atol=1e-9)
    np.testing.assert_allclose(halving[2], first * (1 - 0.05 * CURVATURES), atol=1e-9)
    pulled = plot.descend(lambda a, b: 0 * a * b, START, SGD(0.1, l2=2.0), 1)
    np.testing.assert_allclose(pulled[1], np.array(START) * 0.8, atol=1e-9)
    # The derivative by biases, which are no part of the function, takes no part in the norm.
    clipped = plot.descend(valley, START, SGD(1.0, clip_norm=0.5), 1)
    assert np.hypot(*(clipped[1] - START)) == pytest.approx(0.5, rel=1e-9)
    slope = slopes(np.array(START))
    np.testing.assert_allclose(clipped[1], START - 0.5 * slope / np.hypot(*slope), atol=1e-9)


def test_paths_are_the_same_every_time_and_independent_of_the_optimizer_object():
    optimizer = fastmlp.Adam(0.1)
    first = plot.descend(rosenbrock, (-1.2, 1.0), optimizer, 50)
    np.testing.assert_array_equal(first, plot.descend(rosenbrock, (-1.2, 1.0), optimizer, 50))
    assert rosenbrock(*first[-1]) < rosenbrock(-1.2, 1.0) / 5


def test_a_path_that_diverges_ends_where_numbers_end():
    path = plot.descend(valley, START, SGD(1.0), 5000)
    assert 50 < len(path) < 2000
    assert np.isfinite(path).all()
    assert np.isfinite(valley(*path.T)).all()
    assert valley(*path[-1]) > 1e100
    cliff = plot.descend(lambda a, b: np.where(a > 0, np.inf, -a), START, SGD(0.5), 20)
    np.testing.assert_allclose(cliff[:, 0], [-1.5, -1.0, -0.5, 0.0], atol=1e-9)


def test_no_finding_of_a_short_descent_is_told(recwarn):
    """Of a training of these losses it would be: they jump up in many epochs."""
    steep = SGD(0.03, momentum=0.9)
    plot.descend(lambda a, b: (a**2 + 20 * b**2) / 2, (-1.8, 0.8), steep, 40)
    assert not recwarn.list


def test_an_error_of_the_function_is_told():
    def broken(a, b):
        raise RuntimeError("no such point")

    with pytest.raises(RuntimeError, match="no such point"):
        plot.descend(broken, START, SGD(0.1))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"start": (1, 2, 3)}, ValueError, r"start must have shape \(2,\), got \(3,\)"),
        ({"start": (1, np.nan)}, ValueError, "start must be finite"),
        ({"optimizer": "adam"}, TypeError, "optimizer must be an optimizer .* got 'adam' .str."),
        ({"optimizer": fastmlp.LBFGS()}, TypeError, "optimizer must be an optimizer of steps"),
        ({"start": "ab"}, TypeError, "start must be a pair of numbers such as .* got 'ab' .str."),
        ({"start": None}, TypeError, "start must be a pair of numbers such as .* got None"),
        ({"start": {1.0, 2.0}}, TypeError, "start must be a pair of numbers such as .* .set."),
        ({"start": ("a", 1.0)}, TypeError, "start must be an array of real numbers"),
        (
            {"loss": None},
            TypeError,
            "loss must be a function of two arrays .* got NoneType; lambda",
        ),
        ({"steps": 0}, ValueError, "steps must be >= 1, got 0"),
        ({"loss": lambda a, b: a / 0 * np.inf}, ValueError, "loss must be finite at the start"),
        ({"loss": lambda a, b: 1.0}, ValueError, "must return an array of the shape .1,.* NumPy"),
        (
            {"loss": lambda a, b: a + 1j * b},
            TypeError,
            "array of real numbers, got dtype complex128",
        ),
        (
            {"loss": lambda a, b: a > b},
            TypeError,
            "must return an array of real numbers, got .* bool",
        ),
        ({"loss": lambda a, b: None}, TypeError, "array of real numbers, got None .NoneType."),
        ({"loss": lambda a, b: [[1], [2, 3]]}, TypeError, "must return an array of real numbers"),
        ({"loss": lambda a, b: math.exp(a) + b}, (TypeError, ValueError), "loss must .* of NumPy"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_descents_refuse(change, error, message):
    arguments = {"loss": valley, "start": START, "optimizer": SGD(0.1), **change}
    with pytest.raises(error, match=message):
        plot.descend(**arguments)


def test_a_path_over_a_plane_ends_where_parameters_end():
    far = {"layers.0.weights": [[1e10]]}
    plane = LossPlane(MLP([1, 1], loss="half_mse"), [[1.0]], [[0.0]], far, BIAS)
    assert plane(1e305, 0.0) == np.inf
    assert plane.gradient(1e305, 0.0) == pytest.approx((np.nan, np.nan), nan_ok=True)
    path = plot.descend(plane, (1.0, 2.0), SGD(0.1), 100)
    assert 2 < len(path) < 50
    assert np.isfinite(plane(*path.T)).all()


# ---------------------------------------------------------------- planes of networks


def samples(features, outputs, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(20, features)), random.normal(size=(20, outputs))


def test_a_plane_of_two_parameters_is_the_loss_of_the_model_with_them():
    x, y = samples(3, 2)
    model = MLP([3, 4, 2], activation="tanh", loss="mse", seed=1)
    plane = LossPlane(model, x, y, ("layers.0.weights", (2, 1)), ("layers.1.biases", -1))
    assert plane.labels == ("layers.0.weights[2, 1]", "layers.1.biases[-1]")
    changed = MLP([3, 4, 2], activation="tanh", loss="mse", dtype="float64")
    changed.set_parameters(model.parameters())
    changed.weights[0] = np.where(np.arange(12).reshape(3, 4) == 9, 0.7, changed.weights[0])
    changed.biases[1] = [changed.biases[1][0], -0.3]
    assert plane(0.7, -0.3) == changed.evaluate(x, y)["loss"]
    at = (model.weights[0][2, 1], model.biases[1][-1])
    np.testing.assert_allclose(plane.coordinates([model.parameters()]), [at], atol=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_gradients_of_planes_against_differences(seed):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    x, _ = samples(3, 1, seed)
    model = MLP([3, 4, 3], activation="tanh", dtype="float64", seed=seed)
    directions = [
        {name: random.normal(size=a.shape) for name, a in model.parameters().items()}
        for _ in range(2)
    ]
    del directions[1]["layers.0.biases"]
    plane = LossPlane(model, x, np.arange(20) % 3, *directions)
    assert plane.labels == ("direction 1", "direction 2")
    a, b, h = *random.normal(0, 0.5, 2), 1e-5
    found = plane.gradient(a, b)
    expected = (
        (plane(a + h, b) - plane(a - h, b)) / (2 * h),
        (plane(a, b + h) - plane(a, b - h)) / (2 * h),
    )
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert plane(0, 0) == pytest.approx(model.evaluate(x, np.arange(20) % 3)["loss"], rel=1e-12)


def test_descent_of_two_parameters_is_the_training_of_a_network_that_has_no_others():
    x, y = samples(1, 1)
    model = MLP([1, 1], loss="mse", dtype="float64", input_scale=1, seed=3)
    start = (model.weights[0][0, 0], model.biases[0][0])
    plane = LossPlane(model, x, y, ("layers.0.weights", (0, 0)), ("layers.0.biases", 0))
    path = plot.descend(plane, start, SGD(0.1, momentum=0.5), 30)
    recorder = ParameterRecorder()
    model.fit(
        x, y, epochs=30, batch_size=20, optimizer=SGD(0.1, momentum=0.5), callbacks=[recorder],
        verbose=0, shuffle=False,
    )  # fmt: skip
    np.testing.assert_allclose(path, plane.coordinates(recorder.parameters), rtol=1e-9, atol=1e-12)


def test_the_plane_of_a_path_is_the_nearest_one():
    x, y = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
    model, recorder = MLP([2, 6, 2], dtype="float64", seed=0), ParameterRecorder()
    model.fit(x, y, epochs=30, batch_size=8, optimizer=SGD(0.1), callbacks=[recorder], verbose=0)
    path = recorder.parameters
    plane = LossPlane.of_path(model, x, y, path)
    points = plane.coordinates(path)
    np.testing.assert_allclose(points[-1], 0, atol=1e-12)
    assert plane(0, 0) == pytest.approx(model.evaluate(x, y)["loss"], rel=1e-12)
    flat = np.array([np.concatenate([a.ravel() for a in p.values()]) for p in path])
    lengths = np.linalg.norm(flat - flat[-1], axis=1)
    in_plane = np.linalg.norm(points, axis=1)
    assert np.all(in_plane <= lengths + 1e-9)
    values = np.linalg.svd(flat - flat[-1], compute_uv=False)
    assert (in_plane**2).sum() == pytest.approx((values[:2] ** 2).sum(), rel=1e-9)


def random_plane(random):
    """A network, and the loss over two of its numbers, over two directions, or over one of each."""
    sizes = [int(size) for size in random.integers(1, 4, random.integers(2, 4))]
    model = MLP(
        sizes, activation="tanh", loss="mse", dtype="float64", seed=int(random.integers(99))
    )
    x, y = random.normal(size=(7, sizes[0])), random.normal(size=(7, sizes[-1]))
    shapes = {name: array.shape for name, array in model.parameters().items()}
    names, choices = list(shapes), []
    for _ in range(2):
        if random.random() < 0.5:
            name = names.pop(int(random.integers(len(names))))
            choices.append((name, tuple(int(random.integers(-n, n)) for n in shapes[name])))
        else:
            mixed = random.permutation(list(shapes))
            choices.append({name: random.normal(size=shapes[name]) for name in mixed})
    return model, LossPlane(model, x, y, *choices)


SHAPES = [
    ((), ()),
    ((4,), (4,)),
    ((3, 2), (3, 2)),
    ((), (3,)),
    ((2, 1), (3,)),
    ((0,), ()),
    ((1,), ()),
]


@pytest.mark.parametrize("seed", range(40))
def test_arrays_of_points_are_what_a_loop_over_numbers_gives(seed):
    """As `descend` and `loss_surface` define a loss: element by element, whatever the shapes."""
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    _, plane = random_plane(random)
    first, second = SHAPES[seed % len(SHAPES)]
    a, b = random.normal(size=first), random.normal(size=second)
    if seed % 2:
        a, b = a.tolist(), b.tolist()
    both = np.broadcast(a, b)
    losses, slopes = plane(a, b), plane.gradient(a, b)
    assert np.shape(losses) == np.shape(slopes[0]) == np.shape(slopes[1]) == both.shape
    assert isinstance(losses, np.ndarray) == bool(both.shape)
    for place, (one, other) in enumerate(both):
        assert np.ravel(losses)[place] == plane(float(one), float(other))
        expected = plane.gradient(float(one), float(other))
        assert tuple(np.ravel(part)[place] for part in slopes) == expected


@pytest.mark.parametrize("seed", range(20))
def test_coordinates_are_found_by_the_names_of_parameters(seed):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    model, plane = random_plane(random)
    points, path = random.normal(size=(3, 2)), []
    for point in points:
        plane(*point)  # the model of the plane then has the parameters of the point
        parameters = plane._model.parameters()
        path.append({name: parameters[name] for name in random.permutation(list(parameters))})
    np.testing.assert_allclose(plane.coordinates(path), points, atol=1e-9)
    in_order = [{name: one[name] for name in model.parameters()} for one in path]
    np.testing.assert_array_equal(plane.coordinates(path), plane.coordinates(in_order))


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ([], ValueError, "path must have at least 1 point, got 0"),
        (3, TypeError, "path must be a sequence of parameters such as .*, got int"),
        (MLP([1, 1]).parameters(), TypeError, "path must be a sequence .*parameters.*, got dict"),
        ([3], TypeError, r"path\[0\] must be a mapping of names to arrays .*, got int"),
        (
            [MLP([1, 1]).parameters(), {"foo": [1.0, 2.0]}],
            ValueError,
            r"path\[1\] must have the parameters layers.0.weights, layers.0.biases, got foo",
        ),
        (
            [{"layers.0.weights": [1.0], "layers.0.biases": [0.0]}],
            ValueError,
            r"path\[0\]\['layers.0.weights'\] must have shape \(1, 1\), got \(1,\)",
        ),
    ],
)
def test_coordinates_refuse(path, error, message):
    plane = LossPlane(MLP([1, 1], loss="mse"), [[1.0]], [[0.0]], WEIGHT, BIAS)
    with pytest.raises(error, match=message):
        plane.coordinates(path)


@pytest.mark.parametrize(
    ("numbers", "error", "message"),
    [
        (("a", 1), TypeError, "a must be a real number, got 'a' .str."),
        ((0, None), TypeError, "b must be a real number, got None"),
        ((True, 0), TypeError, "a must be a real number, got True"),
        ((np.nan, 0), ValueError, "a must be finite, got nan"),
        ((0, [1.0, np.inf]), ValueError, r"b must be finite in float64, got inf at \[1\]"),
        (([1, 2], [1, 2, 3]), ValueError, r"a and b must have shapes that broadcast, got \(2,\)"),
    ],
)
@pytest.mark.parametrize("method", ["__call__", "gradient"])
def test_points_of_planes_refuse(method, numbers, error, message):
    plane = LossPlane(MLP([1, 1], loss="mse"), [[1.0]], [[0.0]], WEIGHT, BIAS)
    with pytest.raises(error, match=message):
        getattr(plane, method)(*numbers)


def test_the_model_stays_as_it_was():
    x, y = samples(2, 1)
    model = MLP([2, 3, 1], loss="mse", seed=0)
    before = model.parameters()
    plane = LossPlane(model, x, y, ("layers.0.biases", 0), ("layers.0.biases", 1))
    plane(3.0, 4.0)
    plane.gradient(3.0, 4.0)
    for name, array in model.parameters().items():
        np.testing.assert_array_equal(array, before[name])


WEIGHT, BIAS = ("layers.0.weights", (0, 0)), ("layers.0.biases", 0)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "model must be a fastmlp.MLP, got int"),
        ({"first": ("layers.7.weights", 0)}, ValueError, "first must be of layers.0.weights, lay"),
        ({"first": ("layers.0.weights", 0)}, ValueError, "first must have the index of one number"),
        (
            {"first": ("layers.0.weights", None)},
            ValueError,
            r"got None; write \('layers.0.weights'",
        ),
        (
            {"first": ("layers.0.weights", ...)},
            ValueError,
            "first must have the index of one number",
        ),
        (
            {"first": ("layers.0.weights", (0, True))},
            ValueError,
            "first must have the index of one",
        ),
        ({"first": ("layers.0.weights", (0, slice(1)))}, ValueError, "first must have the index"),
        ({"first": ([1], 0)}, ValueError, r"first must be of layers.0.weights.* got \[1\]"),
        ({"second": ("layers.0.biases", 5)}, ValueError, "second must have the index .* got 5"),
        ({"second": "biases"}, TypeError, "second must be a name and an index, or a mapping"),
        ({"second": {"b": [1]}}, ValueError, "second must be of layers.0.weights.* got 'b'"),
        (
            {"second": {"layers.0.biases": [1.0]}},
            ValueError,
            r"second\['layers.0.biases'\] must have shape \(2,\), got \(1,\)",
        ),
        ({"second": WEIGHT}, ValueError, "first and second must be different directions"),
        ({"second": {"layers.0.biases": [0, 0]}}, ValueError, "must be different directions"),
        ({"x": [[1, 2, 3]]}, ValueError, "x must have 2 features"),
        ({"y": [0, 5]}, ValueError, "y must hold labels from 0 to 1"),
    ],
)
def test_planes_refuse(change, error, message):
    arguments = {
        "model": MLP([2, 2]), "x": [[0, 1], [1, 1]], "y": [0, 1], "first": WEIGHT, "second": BIAS,
        **change,
    }  # fmt: skip
    with pytest.raises(error, match=message):
        LossPlane(**arguments)


def test_paths_that_span_no_plane():
    model = MLP([2, 2], initializer="zeros")
    points = [
        {"layers.0.weights": np.full((2, 2), float(i)), "layers.0.biases": [0, 0]} for i in range(4)
    ]
    with pytest.raises(ValueError, match="path must not be on a line"):
        LossPlane.of_path(model, [[0, 1]], [0], points)
    with pytest.raises(ValueError, match="path must have at least 3 points, got 2"):
        LossPlane.of_path(model, [[0, 1]], [0], points[:2])
    with pytest.raises(TypeError, match="path must be a sequence of parameters .* got int"):
        LossPlane.of_path(model, [[0, 1]], [0], 3)


# ---------------------------------------------------------------- drawing


def test_surfaces_show_the_function_and_the_paths():
    paths = {"a": plot.descend(valley, START, SGD(0.1), 9), "$b": np.array([[0, 0], [1.0, 1.0]])}
    ax = plot.loss_surface(valley, ((-2, 2), (-1, 1)), paths=paths, labels=["w", "b_1"])
    lines = [line for line in ax.lines if len(line.get_xdata()) > 1]
    np.testing.assert_array_equal(lines[0].get_xydata(), paths["a"])
    np.testing.assert_array_equal(lines[1].get_xydata(), paths["$b"])
    assert len({line.get_marker() for line in lines}) == 2
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", r"\$b"]
    rings = [line for line in ax.lines if line.get_marker() == "o" and len(line.get_xdata()) == 1]
    stars = [line for line in ax.lines if line.get_marker() == "*"]
    assert rings[0].get_xydata().tolist() == [list(START)]
    assert stars[0].get_xydata().tolist() == [paths["a"][-1].tolist()]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("w", "b_1")
    assert ax.get_xlim() + ax.get_ylim() == (-2, 2, -1, 1)
    outlines = next(c for c in ax.collections if not c.filled)
    for level, path in zip(outlines.levels, outlines.get_paths(), strict=True):
        if len(path.vertices):
            np.testing.assert_allclose(valley(*path.vertices.T), level, rtol=0.05, atol=0.02)
    roots = np.sqrt(outlines.levels - valley(0, 1 / 59))
    np.testing.assert_allclose(np.diff(roots), np.diff(roots).mean(), rtol=0.1)


def test_surfaces_of_networks_have_their_names():
    x, y = samples(1, 1)
    model = MLP([1, 1], loss="mse", dtype="float64")
    plane = LossPlane(model, x, y, WEIGHT, BIAS)
    ax = plot.loss_surface(plane, resolution=9)
    assert ax.get_xlabel() == "layers.0.weights[0, 0]"
    assert ax.get_title() == "Loss over two parameters"
    assert ax.get_legend() is None


def test_names_and_starts_may_be_arrays():
    ax = plot.loss_surface(valley, labels=np.array(["v", "w"]), resolution=3)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("v", "w")
    path = plot.descend(valley, np.array(START, np.float32), SGD(0.1), 3)
    np.testing.assert_allclose(path, plot.descend(valley, list(START), SGD(0.1), 3), rtol=1e-6)


def test_flat_surfaces_and_holes_are_drawn():
    plot.svg(plot.loss_surface(lambda a, b: 0 * a, resolution=5))
    hole = plot.loss_surface(lambda a, b: np.where(a < 0, np.nan, a + b), resolution=20)
    areas = next(c for c in hole.collections if c.filled)
    assert min(path.vertices[:, 0].min() for path in areas.get_paths() if len(path.vertices)) >= 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"loss": 3}, TypeError, "loss must be a function of two arrays of numbers, got int"),
        (
            {"loss": lambda a, b: math.exp(a) + b},
            TypeError,
            "loss must be a function of two arrays .* single numbers: .*; use functions of NumPy",
        ),
        (
            {"loss": lambda a, b: a if a > 0 else b},
            TypeError,
            "loss must be a function of two arrays .* got one of single numbers",
        ),
        ({"loss": lambda a, b: np.nan * a}, ValueError, "loss must be finite somewhere"),
        ({"loss": lambda a, b: a.sum()}, ValueError, "loss must return an array of the shape"),
        ({"limits": ((1, 0), (0, 1))}, ValueError, "limits must ascend"),
        ({"limits": 3}, TypeError, r"limits must be two pairs such as .*, got 3 \(int\)"),
        ({"limits": ((1, 2, 3), (0, 1))}, ValueError, r"limits must be two pairs .*got \(\(1, 2"),
        ({"limits": ((-1e308, 1e308), (0, 1))}, ValueError, "limits must have a finite distance"),
        ({"paths": np.zeros((3, 2))}, TypeError, "paths must be a mapping of names .* got ndarray"),
        (
            {"paths": {"p": "ab"}},
            TypeError,
            r"paths\['p'\] must be an array .* descend returns one",
        ),
        ({"paths": {"p": [[1, 2, 3]]}}, ValueError, r"paths\['p'\] must have shape \(points, 2\)"),
        ({"paths": {"p": [[1, np.inf]]}}, ValueError, r"paths\['p'\] must be finite"),
        ({"labels": ["a"]}, ValueError, "labels must have 2 names, got 1"),
        ({"labels": "ab"}, TypeError, "labels must be a sequence of two names .* got 'ab'"),
        ({"labels": 3}, TypeError, "labels must be a sequence of two names .* got 3"),
        ({"resolution": 1}, ValueError, "resolution must be >= 2"),
        ({"resolution": 10**7}, ValueError, "resolution must be <= 10000, got 10000000"),
    ],
)
def test_surfaces_refuse(change, error, message):
    with pytest.raises(error, match=message):
        plot.loss_surface(**{"loss": valley, **change})
