"""Linear regions: known arrangements of lines, the bound, and the patterns of random networks."""

from __future__ import annotations

import math

import numpy as np
import pytest

import fastmlp
from fastmlp import MLP, plot

pytest.importorskip("matplotlib")

UNIT = ((0.0, 1.0), (0.0, 1.0))


def tangents(units):
    """Lines that touch a small circle, of which each crosses all others within the unit square."""
    angles = np.linspace(0, 0.8 * np.pi, units)
    weights = np.stack([np.cos(angles), np.sin(angles)])
    return weights, -0.1 - weights.T @ [0.5, 0.5]


def one_layer(weights, biases, **options):
    model = MLP([2, len(biases), 1], loss="mse", dtype="float64", **options)
    model.weights[0], model.biases[0] = weights, biases
    return model


def folded(units):
    """The network of the proof of theorem 4: the square is folded twice, then cut by lines."""
    model = MLP([2, 4, units, 1], loss="mse", dtype="float64")
    model.weights[0], model.biases[0] = np.kron(np.eye(2), [[2.0, 2.0]]), [0.0, -1.0, 0.0, -1.0]
    weights, model.biases[1] = tangents(units)
    model.weights[1] = np.kron(np.eye(2), [[1.0], [-2.0]]) @ weights
    return model


# ---------------------------------------------------------------- known numbers


@pytest.mark.parametrize("units", range(1, 10))
def test_one_layer_reaches_the_largest_number(units):
    """Lines in general position: 1 + n + n (n - 1) / 2."""
    model = one_layer(*tangents(units))
    expected = 1 + units + units * (units - 1) // 2
    assert plot.count_linear_regions(model, UNIT) == expected
    if units >= 2:
        assert plot.linear_regions_bound(model.layer_sizes) == expected


@pytest.mark.parametrize("units", [2, 3, 4, 7])
def test_folding_reaches_the_bound_of_two_layers(units):
    model = folded(units)
    expected = 4 * (1 + units + math.comb(units, 2))
    assert plot.count_linear_regions(model, UNIT) == expected
    assert plot.linear_regions_bound(model.layer_sizes) == expected


def test_the_bound_by_hand():
    bound = plot.linear_regions_bound
    assert bound([1, 3, 1]) == 4  # three points of a line
    assert bound([2, 5, 6, 3, 1]) == 2**2 * 3**2 * (1 + 3 + 3)
    assert bound([3, 7, 4, 10]) == 2**3 * (1 + 4 + 6 + 4)
    assert bound([2, 4, 4, 1]) > bound([2, 8, 1])


def test_lines_that_are_parallel_meet_or_lie_outside():
    parallel = one_layer(np.array([[1.0, 1, 1], [0, 0, 0]]), [-0.2, -0.4, -0.6])
    assert plot.count_linear_regions(parallel, UNIT) == 4
    star = one_layer(np.array([[1.0, 0, 1], [0, 1, 1]]), [-0.5, -0.5, -1.0])
    assert plot.count_linear_regions(star, UNIT) == 6
    # 0.1 + 0.2 is not 0.3: a region of rounding errors does not count.
    rounded = one_layer(np.array([[1.0, 0, 1], [0, 1, 1]]), [-0.1, -0.2, -0.3])
    assert plot.count_linear_regions(rounded, UNIT) == 6
    same = one_layer(np.array([[1.0, 3, -2], [1.0, 3, -2]]), [-1.0, -3.0, 2.0])
    assert plot.count_linear_regions(same, UNIT) == 2
    border = one_layer(np.array([[1.0, 1.0], [0.0, 0.0]]), [0.0, -1.0])
    assert plot.count_linear_regions(border, UNIT) == 1
    outside = one_layer(np.array([[1.0], [0.0]]), [-2.0])
    assert plot.count_linear_regions(outside, UNIT) == 1
    assert plot.count_linear_regions(outside, ((0, 3), (0, 1))) == 2


def test_a_line_through_corners_leaves_triangles():
    diagonal = one_layer(np.array([[1.0], [-1.0]]), [0.0])
    polygons = polygons_of(plot.linear_regions(diagonal, UNIT))
    assert [(len(polygon), area(polygon)) for polygon in polygons] == [(3, 0.5), (3, 0.5)]


def test_networks_without_bends_have_one_region():
    assert plot.count_linear_regions(MLP([2, 3])) == 1
    assert plot.count_linear_regions(MLP([2, 5, 5, 1], loss="mse", activation="identity")) == 1
    dead = one_layer(np.ones((2, 3)), [-9.0, -9.0, -9.0])
    assert plot.count_linear_regions(dead, UNIT) == 1


# ---------------------------------------------------------------- random networks


def random_network(random):
    sizes = [2, *(int(n) for n in random.integers(1, 9, random.integers(1, 4))), 2]
    activation = ["relu", fastmlp.LeakyReLU(slope=0.1)][random.integers(2)]
    scale = float(random.choice([1.0, 0.5]))
    dtype = str(random.choice(["float32", "float64"]))
    model = MLP(
        sizes, activation=activation, input_scale=scale, dtype=dtype, seed=int(random.integers(99))
    )
    model.biases = [random.normal(0, 0.5, n) for n in sizes[1:]]
    return model


def patterns_of(model, points):
    """Which units are positive, by the computation of the network itself."""
    return np.concatenate([h > 0 for h in model.hidden_activations(points)], axis=1)


def polygons_of(ax):
    (collection,) = ax.collections
    return [path.vertices[:-1] for path in collection.get_paths()]


def area(polygon):
    x, y = polygon.T
    return 0.5 * float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


@pytest.mark.parametrize("seed", range(25))
def test_regions_of_random_networks_are_their_patterns(seed):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    model, limits = random_network(random), ((-2, 3), (-1.5, 2))
    polygons = polygons_of(plot.linear_regions(model, limits))
    assert plot.count_linear_regions(model, limits) == len(polygons)
    areas = np.array([area(polygon) for polygon in polygons])
    assert areas.min() > 0
    assert areas.sum() == pytest.approx(5 * 3.5, rel=1e-9)
    large = [p.mean(axis=0) for p, a in zip(polygons, areas, strict=True) if a > 1e-6]
    inside = patterns_of(model, np.array(large))
    assert len(np.unique(inside, axis=0)) == len(large)
    anywhere = random.uniform((-2, -1.5), (3, 2), (20_000, 2))
    found = {row.tobytes() for row in patterns_of(model, anywhere)}
    known = {row.tobytes() for row in inside}
    # Of 20,000 points some may lie in a region that is too small for rounded arithmetic.
    assert len(found - known) <= len(polygons) - len(large) + 1
    sizes = areas[areas > 1e-6] / (5 * 3.5) * 20_000
    missed = [row.tobytes() not in found for row in inside]
    assert not np.any(np.array(missed) & (sizes > 20))


@pytest.mark.parametrize("seed", range(5))
def test_the_network_is_linear_in_each_region(seed):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    model = MLP([2, 6, 5, 1], loss="mse", dtype="float64", seed=seed)
    model.biases = [random.normal(0, 0.5, n) for n in (6, 5, 1)]
    for polygon in polygons_of(plot.linear_regions(model)):
        shares = random.dirichlet(np.ones(len(polygon)), 4)
        mixed = model.forward(shares @ polygon)
        np.testing.assert_allclose(mixed, shares @ model.forward(polygon), rtol=1e-9, atol=1e-12)


def test_inputs_are_standardized_as_by_the_network():
    random = np.random.default_rng(3)
    x = random.normal(size=(200, 2)) * (30, 0.2) + (100, -5)
    y = (x[:, 0] > 100).astype(int)
    model = MLP([2, 6, 2], dtype="float64", seed=0)
    model.fit(x, y, epochs=3, verbose=0)
    assert model.standardization is not None
    limits = tuple(zip(x.min(axis=0), x.max(axis=0), strict=True))
    polygons = polygons_of(plot.linear_regions(model, limits))
    assert len(polygons) > 6
    inside = patterns_of(model, np.array([polygon.mean(axis=0) for polygon in polygons]))
    assert len(np.unique(inside, axis=0)) == len(polygons)
    anywhere = patterns_of(model, random.uniform(x.min(axis=0), x.max(axis=0), (5000, 2)))
    assert {row.tobytes() for row in anywhere} <= {row.tobytes() for row in inside}


# ---------------------------------------------------------------- drawing and errors


def test_pictures_tell_the_number():
    ax = plot.linear_regions(one_layer(*tangents(3)), UNIT)
    assert ax.get_title() == "7 linear regions of a 2-3-1 network"
    assert ax.get_xlim() + ax.get_ylim() == (0, 1, 0, 1)
    assert plot.linear_regions(MLP([2, 2])).get_title() == "1 linear region of a 2-2 network"


@pytest.mark.parametrize(
    ("model", "limits", "error", "message"),
    [
        ("net", UNIT, TypeError, "model must be a fastmlp.MLP, got str"),
        (MLP([3, 4, 2]), UNIT, ValueError, "model must have 2 inputs, got 3"),
        (MLP([2, 4, 2], activation="tanh"), UNIT, ValueError, "got tanh, which is no rectifier"),
        (
            MLP([2, 4, 2], batch_normalization=True),
            UNIT,
            ValueError,
            r"no batch normalization; pass model.folded\(\) instead",
        ),
        (
            MLP([2, 4, 2], layer_normalization=True),
            UNIT,
            ValueError,
            "neither layer_normalization nor residual blocks",
        ),
        (MLP([2, 4, 2], parametric=True), UNIT, ValueError, "no parametric activations"),
        (MLP([2, 4, 2]), ((0, 1), (1, 1)), ValueError, "limits must ascend, got 1 and 1"),
        (MLP([2, 4, 2]), ((0, 1),), ValueError, "limits must be two pairs such as"),
        (MLP([2, 4, 2]), (0, 1), TypeError, "limits"),
        (MLP([2, 4, 2]), ((0, "1"), (0, 1)), TypeError, "limits must be a real number.*write"),
    ],
)
def test_regions_refuse(model, limits, error, message):
    with pytest.raises(error, match=message):
        plot.count_linear_regions(model, limits)


def test_folded_networks_are_counted():
    model = MLP([2, 4, 2], batch_normalization=True)
    assert plot.count_linear_regions(model.folded()) >= 1


@pytest.mark.parametrize("sizes", [[2, 3], [3, 2, 1], [2, 4, 1, 2]])
def test_the_bound_needs_wide_hidden_layers(sizes):
    with pytest.raises(ValueError, match="hidden layers with at least as many units as inputs"):
        plot.linear_regions_bound(sizes)
