"""Synthetic sets: four with two classes, one with three, and a curve for regression.

The seed determines all values. Sines and cosines are computed here from sums and products, which
NumPy rounds in the same way on every machine; those of a mathematical library differ in the last
bit between processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp.datasets.dataset import Dataset, Targets, dataset_of_arrays
from fastmlp.datasets.registry import REGISTRY, Spec, SyntheticSpec, get_spec
from fastmlp.validation import integer, real

__all__ = ["load_synthetic", "make"]

Floats: TypeAlias = NDArray[np.float64]
Labels: TypeAlias = NDArray[np.int64]

_MOST_SAMPLES = 1_000_000_000
_MOST_NOISE = 1e6
# Taylor's series in the square of the angle: its next term is below 1e-17 up to pi / 4.
_COSINE = [(-1) ** k / math.factorial(2 * k) for k in range(9)]
_SINE = [(-1) ** k / math.factorial(2 * k + 1) for k in range(9)]


def make(
    name: str | Spec, samples: int = 1000, *, noise: float | None = None, seed: int = 0
) -> tuple[Floats, Targets]:
    """Compute a synthetic set.

    ============= ======= ====================================================================
    name          noise   noise-free points
    ============= ======= ====================================================================
    ``xor``       0.05    the square [-1, 1] x [-1, 1]; the class is whether the signs of
                          the coordinates differ, the problem that no single neuron solves [1]_
    ``circles``   0.1     circles around the origin of radius 1 and 0.5
    ``moons``     0.1     interleaved half circles, (cos t, sin t) and (1 - cos t, 0.5 - sin t)
                          for t in [0, pi) [2]_
    ``spirals``   0.1     (r sin a, r cos a) and its mirror image in the origin, a = pi i / 16,
                          r = 6.5 (104 - i) / 104, i in [0, 96): three turns, neighboring
                          arms 1 apart [3]_; i is drawn, not counted
    ``gaussians`` 0.3     three centers, 120 degrees apart on the unit circle; with noise,
                          normal distributions of one variance, which linear functions
                          separate best [4]_
    ``sine``      0.1     regression, y = sin(2 pi x) for x in [0, 1) [5]_
    ============= ======= ====================================================================

    Parameters
    ----------
    name : str
        Name of the set.
    samples : int
        Number of samples. The sizes of the classes differ by one at most.
    noise : float, optional
        Standard deviation of the normal noise that is added to every coordinate, for ``sine`` to
        y alone. The table shows the defaults.
    seed : int
        Seed of NumPy's PCG64. The same seed gives the same bits.

    Returns
    -------
    x : ndarray of float64, shape (samples, 2), or (samples, 1) for ``sine``
        Points in random order.
    y : ndarray of int64, shape (samples,), or of float64, shape (samples, 1) for ``sine``
        Classes, in the order of the table, or values.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong type or out of range, or no synthetic set has this name.

    References
    ----------
    .. [1] M. Minsky, S. Papert, "Perceptrons", MIT Press, 1969.
    .. [2] F. Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 12, 2011:
       ``make_moons``.
    .. [3] K. J. Lang, M. J. Witbrock, "Learning to Tell Two Spirals Apart", Proceedings of the
       1988 Connectionist Models Summer School.
    .. [4] C. M. Bishop, "Pattern Recognition and Machine Learning", Springer, 2006, section 4.2.
    .. [5] Reference [4], section 1.1.

    Examples
    --------
    >>> import fastmlp
    >>> x, y = fastmlp.datasets.make("gaussians", samples=6, seed=1)
    >>> x.shape, sorted(y.tolist())
    ((6, 2), [0, 0, 1, 1, 2, 2])
    """
    spec = get_spec(name)
    if not isinstance(spec, SyntheticSpec):
        known = [other.name for other in REGISTRY.values() if isinstance(other, SyntheticSpec)]
        raise ValueError(f"name must be one of {', '.join(known)}, got {spec.name!r}")
    count = integer("samples", samples, spec.classes or 1, _MOST_SAMPLES)
    deviation = spec.noise if noise is None else real("noise", noise, 0.0, _MOST_NOISE)
    rng = np.random.Generator(np.random.PCG64(integer("seed", seed, 0)))
    if spec.classes is None:
        return _sine(rng, count, deviation)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % spec.classes)
    points = _POINTS[spec.name](rng, labels)
    return points + deviation * rng.standard_normal(points.shape), labels


def load_synthetic(spec: SyntheticSpec) -> Dataset:
    """Return a synthetic set of the default size, noise and seed."""
    x, y = make(spec, spec.samples)
    return dataset_of_arrays(spec, x, y, spec.class_names, spec.feature_names)


def _xor(rng: np.random.Generator, labels: Labels) -> Floats:
    first = np.where(rng.random(labels.shape) < 0.5, -1.0, 1.0)
    second = np.where(labels == 0, first, -first)
    distances = 1.0 - rng.random((len(labels), 2))  # never 0, which has no sign
    return np.column_stack((first, second)) * distances


def _circles(rng: np.random.Generator, labels: Labels) -> Floats:
    radius = np.where(labels == 0, 1.0, 0.5)
    cosine, sine = _cosine_and_sine(rng.random(labels.shape))
    return np.column_stack((radius * cosine, radius * sine))


def _moons(rng: np.random.Generator, labels: Labels) -> Floats:
    cosine, sine = _cosine_and_sine(0.5 * rng.random(labels.shape))
    upper = labels == 0
    return np.column_stack(
        (np.where(upper, cosine, 1.0 - cosine), np.where(upper, sine, 0.5 - sine))
    )


def _spirals(rng: np.random.Generator, labels: Labels) -> Floats:
    position = 96.0 * rng.random(labels.shape)
    cosine, sine = _cosine_and_sine(position / 32.0)
    radius = np.where(labels == 0, 6.5, -6.5) * ((104.0 - position) / 104.0)
    return np.column_stack((radius * sine, radius * cosine))


def _gaussians(_rng: np.random.Generator, labels: Labels) -> Floats:
    return np.column_stack(_cosine_and_sine((3.0 + 4.0 * labels.astype(np.float64)) / 12.0))


def _sine(rng: np.random.Generator, count: int, noise: float) -> tuple[Floats, Floats]:
    x = rng.random((count, 1))
    return x, _cosine_and_sine(x)[1] + noise * rng.standard_normal((count, 1))


_POINTS: dict[str, Callable[[np.random.Generator, Labels], Floats]] = {
    "xor": _xor,
    "circles": _circles,
    "moons": _moons,
    "spirals": _spirals,
    "gaussians": _gaussians,
}


def _cosine_and_sine(turns: Floats) -> tuple[Floats, Floats]:
    """Return the cosine and sine of angles in turns."""
    quarters = np.rint(4.0 * turns)
    angle = 2.0 * math.pi * (turns - 0.25 * quarters)  # in [-pi / 4, pi / 4]
    square = angle * angle
    cosine = np.polynomial.polynomial.polyval(square, _COSINE)
    sine = angle * np.polynomial.polynomial.polyval(square, _SINE)
    quadrant = quarters.astype(np.int64) % 4
    return (
        np.choose(quadrant, (cosine, -sine, -cosine, sine)),
        np.choose(quadrant, (sine, cosine, -sine, -cosine)),
    )
