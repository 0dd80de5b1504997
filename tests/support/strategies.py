"""Shapes and arrays that the tests share, for pytest tables and for hypothesis."""

from __future__ import annotations

import platform

import numpy as np
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray

from support import reference, reference_activations, reference_losses

# The activations of the small oracle, and all of the core.
ACTIVATIONS = ("identity", "relu", "sigmoid", "tanh")
LOSSES = ("softmax_cross_entropy", "mse")
ALL_ACTIVATIONS = tuple(reference_activations.DEFAULT_PARAMETERS)
ALL_LOSSES = tuple(reference_losses.LOSSES)
DTYPES = ("float32", "float64")
ISAS_OF_X86 = ("generic", "avx2", "avx512", "avx512_bf16")
ISAS_OF_ARM = ("generic", "neon", "sve256", "sve512")
ISAS = ISAS_OF_ARM if platform.machine().lower() in ("aarch64", "arm64") else ISAS_OF_X86

# Register tiles are 3 to 14 rows high and panels 16 or 32 columns wide, depending on ISA and dtype,
# so these lie on, just below and just above every edge a tile can have.
EDGES = (1, 2, 3, 5, 6, 7, 8, 9, 12, 13, 14, 15, 16, 17, 24, 28, 29, 31, 32, 33, 48, 49, 63, 64, 65)
# The reduced dimension is cut at powers of two and their sums; primes lie on no cut.
DEPTHS = (1, 2, 3, 4, 7, 16, 17, 97, 127, 128, 129, 255, 256, 257, 384, 385, 512, 513, 769, 1025)

edge = st.sampled_from(EDGES)
depth = st.sampled_from(DEPTHS)
dtypes = st.sampled_from(DTYPES)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def gemm_shapes(draw: st.DrawFn) -> tuple[int, int, int]:
    """Return (rows, depth, columns) of a product, each on or beside a tile's edge."""
    return draw(edge), draw(depth), draw(edge)


@st.composite
def layer_sizes(draw: st.DrawFn) -> list[int]:
    """Return the sizes of a small network with one to four layers of weights."""
    return draw(st.lists(st.integers(1, 20), min_size=2, max_size=5))


def small_integers(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike
) -> NDArray[np.floating]:
    """Return integers in -4..4: partial sums of up to 2^20 products are exact in float32."""
    return rng.integers(-4, 5, shape).astype(dtype)


def normals(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: DTypeLike
) -> NDArray[np.floating]:
    return rng.standard_normal(shape).astype(dtype)


def classification(
    samples: int, features: int, classes: int, dtype: DTypeLike = "float64", seed: int = 0
) -> tuple[NDArray[np.floating], NDArray[np.int64]]:
    """Return samples of normal distributions around one random center per class."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((classes, features))
    y = rng.integers(0, classes, samples)
    x = centers[y] + 0.5 * rng.standard_normal((samples, features))
    return x.astype(dtype), y


def regression(
    samples: int, features: int, outputs: int, dtype: DTypeLike = "float64", seed: int = 0
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return samples with bounded targets, which every output activation can approximate."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, features))
    y = 0.5 + 0.4 * np.sin(x @ rng.standard_normal((features, outputs)))
    return x.astype(dtype), y.astype(dtype)


def problem(
    loss: str,
    samples: int,
    features: int,
    outputs: int,
    dtype: DTypeLike = "float64",
    seed: int = 0,
) -> tuple[NDArray[np.floating], NDArray]:
    """Return data for a loss: labels for cross-entropy, targets for mse."""
    make = classification if loss == "softmax_cross_entropy" else regression
    return make(samples, features, outputs, dtype, seed)


def oracle_network(
    activation: str, output_activation: str, loss: str, seed: int = 0
) -> reference.Network:
    """Return a 5-7-6-3 network of the oracle with normal weights and biases."""
    rng = np.random.default_rng(seed)
    sizes = (5, 7, 6, 3)
    return reference.Network(
        weights=[rng.standard_normal(s) for s in zip(sizes, sizes[1:], strict=False)],
        biases=[rng.standard_normal(n) for n in sizes[1:]],
        activation=activation,
        output_activation=output_activation,
        loss=loss,
    )
