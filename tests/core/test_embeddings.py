"""Embeddings of numbers: values, gradients, order of sums, padding, and equal bits on every ISA."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastmlp import _core
from support import embeddings
from support.embeddings import BASES, GRADIENTS, Embedding, random_case
from support.strategies import dtypes, seeds
from support.tolerance import assert_same_bits, gamma, unit_roundoff

kernels = _core.kernels
bases_of = pytest.mark.parametrize("basis", BASES)
# Rows beside the ends of vectors, of groups of 16 and of blocks of 256.
ROWS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 255, 256, 257, 272, 511, 513, 1000)
shapes = st.tuples(
    st.sampled_from(ROWS), st.sampled_from((1, 2, 3, 4, 5, 8, 13, 48)), st.sampled_from(range(10))
)
flags = st.tuples(st.booleans(), st.booleans())

pytestmark = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="needs 80-bit long double as the reference"
)


def drawn(basis, shape, flag, dtype, seed):
    rng = np.random.default_rng(seed)
    relu, keeps_value = flag
    case = random_case(basis, rng, *shape, dtype, relu=relu, keeps_value=keeps_value)
    if case.relu and case.maps is not None:
        # No output closer to the kink than its error: bounds say nothing there.
        near = np.abs(embeddings.before_the_rectifier(case.wide())) < 1e-4
        gradient_scale = np.where(near, 0, 1)
    else:
        gradient_scale = 1
    out = embeddings.forward(case.wide())
    gradient = rng.standard_normal(out.shape)
    gradient[: len(out) - keeps_value] *= gradient_scale
    return case, out, gradient.astype(dtype)


def embed(case, **options):
    return kernels.embed(case.basis, case.x, **case.settings(), **options)


def embed_backward(case, gradient, **options):
    found = kernels.embed_backward(case.basis, case.x, gradient, **case.settings(), **options)
    return dict(zip(GRADIENTS, found, strict=True))


def assert_below(error, bound, what):
    good = error <= bound  # false for NaN
    if not np.all(good):
        at = tuple(np.argwhere(~good)[0])
        raise AssertionError(
            f"{what} at {at} is off by {error[at]:.3g}, allowed {bound[at]:.3g}; "
            f"{np.count_nonzero(~good)} of {good.size} are off"
        )


# ---------------------------------------------------------------- against the oracle


@bases_of
@given(shape=shapes, flag=flags, dtype=dtypes, seed=seeds)
def test_values(basis, shape, flag, dtype, seed):
    case, expected, _ = drawn(basis, shape, flag, dtype, seed)
    wide = case.wide()
    bound = embeddings.basis_errors(wide, dtype)
    if case.maps is not None:
        size = np.abs(wide.maps).T @ np.abs(embeddings.basis_functions(wide))
        rounding = gamma(len(wide.maps) + 1, dtype) * (size + np.abs(wide.map_bias)[:, None])
        bound = 1.01 * np.abs(wide.maps).T @ bound + rounding
    if case.keeps_value:
        bound = np.concatenate([bound, np.zeros_like(bound[:1])])
    assert_below(np.abs(embed(case) - expected), bound, f"{case.basis} {shape} seed {seed}")


def roundings(case, dtype):
    """Relative error of a term of a gradient, beside that of its basis function.

    Sums over outputs or bases, over rows in lanes, blocks and the tree, and a few products.
    """
    rows = len(case.x)
    maps = 1 if case.maps is None else sum(case.maps.shape)
    return gamma(maps + min(rows, 256) // 16 + rows // 256 + 16, dtype)


@bases_of
@given(shape=shapes, flag=flags, dtype=dtypes, seed=seeds)
def test_gradients(basis, shape, flag, dtype, seed):
    case, _, gradient = drawn(basis, shape, flag, dtype, seed)
    wide, wide_gradient = case.wide(), gradient.astype(np.longdouble)
    expected = embeddings.backward(wide, wide_gradient)
    actual = embed_backward(case, gradient)
    errors, relative = embeddings.basis_errors(wide, dtype), roundings(case, dtype)
    own = np.abs(wide_gradient[:-1] if case.keeps_value else wide_gradient)
    if case.maps is not None:
        if case.relu:
            own = np.where(embeddings.before_the_rectifier(wide) > 0, own, 0)
        functions = np.abs(embeddings.basis_functions(wide))
        what = f"{basis} {shape} seed {seed}"
        bound = (errors + relative * functions) @ own.T
        assert_below(np.abs(actual["maps"] - expected["maps"]), bound, f"maps of {what}")
        bound = relative * own.sum(axis=1)
        assert_below(np.abs(actual["map_bias"] - expected["map_bias"]), bound, f"bias of {what}")
        own = np.abs(wide.maps) @ own
    by_x, by_angle = embeddings.basis_slopes(wide)
    if by_angle is None:
        terms = (1 + relative) * np.abs(by_x) * own * (relative + 4 * unit_roundoff(dtype))
    else:
        # Slopes are basis functions of the same angle, and as far off.
        by_angle = own * (errors + relative * np.abs(by_angle))
        if basis == "periodic":
            by_angle = by_angle[: len(by_angle) // 2] + by_angle[len(by_angle) // 2 :]
        terms = embeddings.TWO_PI * np.abs(wide.frequencies)[:, None] * by_angle
        bound = 1.01 * embeddings.TWO_PI * (by_angle * np.abs(wide.x)).sum(axis=1)
        assert_below(np.abs(actual["frequencies"] - expected["frequencies"]), bound, "frequencies")
    if basis == "cosine":
        bound = 1.01 * by_angle.sum(axis=1)
        assert_below(np.abs(actual["phases"] - expected["phases"]), bound, "phases")
    bound = 1.01 * terms.sum(axis=0) + 4 * unit_roundoff(dtype) * np.abs(expected["x"])
    assert_below(np.abs(actual["x"] - expected["x"]), bound, "x")


@bases_of
@pytest.mark.parametrize("outputs", [0, 3])
@pytest.mark.parametrize("relu", [False, True])
def test_gradients_are_central_differences(basis, outputs, relu, isa):
    """Of a weighted sum of all outputs, by every number; float64, away from edges and kinks."""
    seed = 5
    case, out, gradient = drawn(basis, (37, 4, outputs), (relu, True), "float64", seed)
    if relu and outputs:
        far = np.abs(embeddings.before_the_rectifier(case.wide())).min(axis=0) > 1e-3
    else:
        far = np.full(len(case.x), True)
    if case.edges is not None:
        far &= np.abs(case.x - case.edges[:, None]).min(axis=0) > 1e-3
    case = replace(case, x=case.x[far].copy())
    gradient = gradient[:, far].copy()
    assert len(case.x) > 20
    actual = embed_backward(case, gradient, isa=isa)
    step = 1e-6
    for name in GRADIENTS:
        array = getattr(case, name)
        if array is None:
            continue
        for at in np.ndindex(array.shape):
            totals = []
            for h in (step, -step):
                moved = array.copy()
                moved[at] += h
                totals.append(float((embed(replace(case, **{name: moved})) * gradient).sum()))
            difference = (totals[0] - totals[1]) / (2 * step)
            # Truncation, and values of size 100 that are off by a few u, over 2 steps.
            assert abs(actual[name][at] - difference) < 2e-7, f"{name}{at} seed {seed}"
    assert out.shape[0] == (outputs or len(embeddings.basis_functions(case))) + 1


# ---------------------------------------------------------------- memory, order, equal bits


@bases_of
@given(shape=shapes, flag=flags, dtype=dtypes, seed=seeds)
def test_same_bits_on_every_isa(basis, shape, flag, dtype, seed):
    case, _, gradient = drawn(basis, shape, flag, dtype, seed)
    expected, gradients = embed(case), embed_backward(case, gradient)
    for isa in _core.isas():
        assert_same_bits(embed(case, isa=isa), expected, isa)
        for name, one in embed_backward(case, gradient, isa=isa).items():
            assert_same_bits(one, gradients[name], f"{name} {isa} seed {seed}")


@bases_of
@pytest.mark.parametrize("gap", [1, 16, 40])
@pytest.mark.parametrize("rows", [1, 5, 16, 17, 255, 257])
def test_nothing_but_the_rows_is_read_or_written(basis, rows, gap, isa, dtype):
    """Gaps between outputs hold NaN before and after, and NaN in those of the gradient is unseen.

    The bindings put NaN around every array, and raise an error when some of it is gone.
    """
    case, _, gradient = drawn(basis, (rows, 3, 5), (True, True), dtype, rows)
    out = embed(case, gap=gap, isa=isa)
    assert np.all(np.isnan(out[:, rows:]))
    assert_same_bits(out[:, :rows], embed(case))
    wide = np.full((len(gradient), rows + gap), np.nan, dtype)
    wide[:, :rows] = gradient
    expected = embed_backward(case, gradient)
    for name, one in embed_backward(case, wide, isa=isa).items():
        assert_same_bits(one, expected[name], name)
        assert np.all(np.isfinite(one))


@bases_of
@pytest.mark.parametrize("outputs", [0, 5])
def test_a_row_does_not_depend_on_its_place(basis, outputs, isa, dtype):
    case, _, gradient = drawn(basis, (600, 5, outputs), (True, True), dtype, 1)
    out, dx = embed(case), embed_backward(case, gradient)["x"]
    for first, last in ((0, 1), (0, 17), (3, 300), (255, 257), (590, 600)):
        part = replace(case, x=case.x[first:last].copy())
        assert_same_bits(embed(part, isa=isa), out[:, first:last])
        partial = embed_backward(part, gradient[:, first:last].copy(), isa=isa)
        assert_same_bits(partial["x"], dx[first:last])


def in_lanes(terms):
    """Sum of each row: lane r % 16, ascending in blocks of 256; blocks; then halves of lanes."""
    count, rows = terms.shape
    padded = np.zeros((count, -(-rows // 256) * 256), terms.dtype)
    padded[:, :rows] = terms
    groups = padded.reshape(count, -1, 16, 16)
    lanes = None
    for block in range(groups.shape[1]):
        total = np.zeros((count, 16), terms.dtype)
        for group in range(16):
            total = total + groups[:, block, group]
        lanes = total if lanes is None else lanes + total
    for half in (8, 4, 2, 1):
        lanes = lanes[:, :half] + lanes[:, half : 2 * half]
    return lanes[:, 0]


@pytest.mark.parametrize("rows", ROWS)
def test_order_of_sums(rows, isa, dtype):
    """Of sums without products, in NumPy's arithmetic of the dtype."""
    rng = np.random.default_rng(rows)
    case = random_case("cosine", rng, rows, 3, 5, dtype)
    gradient = rng.standard_normal((5, rows)).astype(dtype)
    actual = embed_backward(case, gradient, isa=isa)["map_bias"]
    assert_same_bits(actual, in_lanes(gradient), f"seed {rows}")
    # Basis functions of frequency 0 and phase 0 are 1: sums of products are sums.
    ones = replace(case, frequencies=0 * case.frequencies, phases=0 * case.phases)
    maps = embed_backward(ones, gradient, isa=isa)["maps"]
    assert_same_bits(maps, np.tile(actual, (3, 1)))
    # Angles of a quarter: slopes of -1.
    quarter = replace(ones, phases=np.full(3, np.pi / 2, dtype), maps=None, map_bias=None)
    slopes = embed_backward(quarter, gradient[:3].copy(), isa=isa)["phases"]
    assert_same_bits(slopes, -in_lanes(gradient[:3]))


def test_gradient_of_x_is_optional(isa, dtype):
    case, _, gradient = drawn("periodic", (33, 4, 3), (False, True), dtype, 0)
    expected = embed_backward(case, gradient)
    actual = embed_backward(case, gradient, wants_x=False, isa=isa)
    assert np.all(np.isnan(actual.pop("x")))
    for name, one in actual.items():
        assert_same_bits(one, expected[name], name)


def test_many_bases_and_outputs(isa, dtype):
    case, _, gradient = drawn("piecewise_linear", (19, 1000, 1000), (True, True), dtype, 2)
    assert_same_bits(embed(case, isa=isa), embed(case))
    for name, one in embed_backward(case, gradient, isa=isa).items():
        assert_same_bits(one, embed_backward(case, gradient)[name], name)


# ---------------------------------------------------------------- special values


@bases_of
@pytest.mark.parametrize("place", [0, 7, 15, 16])
def test_nan_shows_in_its_row_alone(basis, place, isa, dtype):
    case, out, _ = drawn(basis, (17, 4, 3), (True, False), dtype, 3)
    x = case.x.copy()
    x[place] = np.nan
    actual = embed(replace(case, x=x), isa=isa)
    expected = np.zeros(out.shape, bool)
    expected[:, place] = True
    np.testing.assert_array_equal(np.isnan(actual), expected)


def piecewise(x, edges, dtype, **options):
    x, edges = (np.array(v, dtype) for v in (x, edges))
    return Embedding("piecewise_linear", x, edges=edges), options


def test_ends_of_the_bins(isa, dtype):
    """The first bin is not clipped below, the last not above, a single one not at all."""
    case, options = piecewise([-3, 0, 1, 1.5, 2, 4, 6], [0, 1, 2, 4], dtype, isa=isa)
    expected = [
        [-3, 0, 1, 1, 1, 1, 1],
        [0, 0, 0, 0.5, 1, 1, 1],
        [0, 0, 0, 0, 0, 1, 2],
    ]
    np.testing.assert_array_equal(embed(case, **options), expected)
    by_x = [1, 1, 1, 1, 1, 0.5, 0.5]  # at an edge that of the lower bin
    found = embed_backward(case, np.ones((3, 7), dtype), **options)
    np.testing.assert_array_equal(found["x"], by_x)
    case, options = piecewise([-3, 0, 1, 6], [0, 2], dtype, isa=isa)
    np.testing.assert_array_equal(embed(case, **options), [[-1.5, 0, 0.5, 3]])
    infinite, options = piecewise([-np.inf, np.inf], [0, 1, 2, 4], dtype, isa=isa)
    expected = [[-np.inf, 1], [0, 1], [0, np.inf]]
    np.testing.assert_array_equal(embed(infinite, **options), expected)


def test_bias_alone_and_rectifier(isa, dtype):
    """With maps of 0 the outputs are the bias, once, and the rectifier sees it."""
    x = np.arange(18, dtype=dtype)
    maps, bias = np.zeros((1, 3), dtype), np.array([0.5, -0.5, 0], dtype)
    case = Embedding("value", x, maps=maps, map_bias=bias, relu=True, keeps_value=True)
    expected = [np.full(18, b) for b in (0.5, 0, 0)]
    np.testing.assert_array_equal(embed(case, isa=isa), [*expected, x])
    found = embed_backward(case, np.ones((4, 18), dtype), isa=isa)
    np.testing.assert_array_equal(found["map_bias"], [18, 0, 0])
    np.testing.assert_array_equal(found["maps"], [[x.sum(), 0, 0]])
    np.testing.assert_array_equal(found["x"], np.ones(18))


# ---------------------------------------------------------------- other implementations

# cos(2 pi 0.7 x + 0.3), (cos, sin)(2 pi 1.3 x) at x = 0.25 and -1.5, of PyTorch.
STORED_X = np.array([0.25, -1.5])
STORED_COSINE = [0.170403257953, 0.999899759277]
STORED_PERIODIC = [[-0.453990499740, 0.951056516295], [0.891006524188, 0.309016994375]]


def test_values_of_pytorch():
    """Stored, for where it is not installed."""
    case = Embedding("cosine", STORED_X, frequencies=np.array([0.7]), phases=np.array([0.3]))
    np.testing.assert_allclose(embed(case), [STORED_COSINE], rtol=1e-10)
    case = Embedding("periodic", STORED_X, frequencies=np.array([1.3]))
    np.testing.assert_allclose(embed(case), STORED_PERIODIC, rtol=1e-10)


@pytest.mark.parametrize("relu", [False, True])
def test_pytabkit(relu):
    nn = pytest.importorskip("pytabkit.models.nn_models.nn")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    case, _, gradient = drawn("cosine", (40, 16, 3), (relu, True), "float64", 0)
    bias = rng.standard_normal(3)
    case = replace(case, map_bias=bias)

    def tensor(array):
        return torch.tensor(array, requires_grad=True)

    x = tensor(case.x[:, None])
    f, p = tensor(case.frequencies[None, None]), tensor(case.phases[None, None])
    m, b = tensor(case.maps[None]), tensor(case.map_bias[None, None])
    layer = nn.PLREmbeddingsLayerCosBias(None, f, p, m, b, "relu" if relu else "linear", True)
    expected = layer.forward_cont(x)
    np.testing.assert_allclose(embed(case).T, expected.detach().numpy(), rtol=1e-11, atol=1e-13)
    expected.backward(torch.tensor(gradient.T.copy()))
    found = embed_backward(case, gradient)
    for name, one in zip(GRADIENTS, (f, p, m, b, x), strict=True):
        theirs = one.grad.numpy().reshape(found[name].shape)
        np.testing.assert_allclose(found[name], theirs, rtol=1e-9, atol=1e-11, err_msg=name)


def test_rtdl_num_embeddings():
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    torch = pytest.importorskip("torch")
    for bins in (1, 2, 7):
        case, _, _ = drawn("piecewise_linear", (50, bins, 0), (False, False), "float32", bins)
        encoding = rtdl.PiecewiseLinearEncoding([torch.tensor(case.edges)])
        theirs = encoding(torch.tensor(case.x[:, None]))
        # It rounds edge / width, here below 40, and the sum with x / width.
        np.testing.assert_allclose(embed(case).T, theirs.numpy(), rtol=1e-5, atol=1e-5)
    case, _, _ = drawn("periodic", (50, 4, 3), (True, False), "float64", 0)
    layer = rtdl.PeriodicEmbeddings(1, 3, n_frequencies=4, frequency_init_scale=1.0, lite=False)
    layer = layer.double()
    parameters = dict(layer.named_parameters())
    arrays = {
        "periodic.weight": case.frequencies[None],
        "linear.weight": case.maps[None],
        "linear.bias": case.map_bias[None],
    }
    assert set(parameters) == set(arrays)
    with torch.no_grad():
        for name, array in arrays.items():
            parameters[name].copy_(torch.tensor(array))
    theirs = layer(torch.tensor(case.x[:, None])).detach().numpy()[:, 0]
    np.testing.assert_allclose(embed(case).T, theirs, rtol=1e-11, atol=1e-12)
