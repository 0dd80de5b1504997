"""Measures of probability distributions: entropies and the divergence of two of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastmlp.validation import finite_array, real

__all__ = ["cross_entropy", "entropy", "kl_divergence", "require_distribution"]

Floats = NDArray[np.float64]


def entropy(p: ArrayLike, *, base: float = math.e) -> np.float64 | Floats:
    """Compute the entropy of a distribution, ``-sum(p log p)`` along the last axis.

    Parameters
    ----------
    p : array of shape (..., outcomes)
        Probabilities: >= 0 and with a sum of 1. ``0 log 0`` counts as 0.
    base : float
        Base > 1 of the logarithm: e for nats, 2 for bits.

    Returns
    -------
    float64 array of shape (...), a number for one distribution

    Raises
    ------
    TypeError, ValueError
        The last axis holds no distribution, or the base is wrong.

    Notes
    -----
    C. E. Shannon, "A mathematical theory of communication", 1948.

    Examples
    --------
    >>> float(entropy([0.5, 0.25, 0.25], base=2))
    1.5
    """
    probabilities = require_distribution("p", p)
    return _expectation(probabilities, -_log(probabilities), base)


def cross_entropy(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> np.float64 | Floats:
    """Compute the cross-entropy of two distributions, ``-sum(p log q)`` along the last axis.

    It is the mean code length of outcomes of `p` with a code made for `q`.

    Parameters
    ----------
    p, q : array of shape (..., outcomes)
        Probabilities as in `entropy`; the shapes are broadcast against each other.
    base : float
        As in `entropy`.

    Returns
    -------
    float64 array of shape (...), a number for one distribution
        Infinite where an outcome that `q` excludes is possible in `p`.

    Raises
    ------
    TypeError, ValueError
        As in `entropy`, or the shapes cannot be broadcast.

    Examples
    --------
    >>> float(cross_entropy([1.0, 0.0], [0.25, 0.75], base=2))
    2.0
    """
    truth, model = _distribution_pair(p, q)
    return _expectation(truth, -_log(model), base)


def kl_divergence(p: ArrayLike, q: ArrayLike, *, base: float = math.e) -> np.float64 | Floats:
    """Compute the Kullback-Leibler divergence, ``sum(p log(p / q))`` along the last axis.

    Parameters, returned value and errors are those of `cross_entropy`.

    Notes
    -----
    S. Kullback, R. A. Leibler, "On information and sufficiency", 1951.

    Examples
    --------
    >>> float(kl_divergence([1.0, 0.0], [0.25, 0.75], base=2))
    2.0
    """
    truth, model = _distribution_pair(p, q)
    with np.errstate(invalid="ignore"):  # 0 and 0: the difference of two infinities is not used
        lost = _log(truth) - _log(model)
    return _expectation(truth, lost, base)


def _log(probabilities: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(probabilities)


def _expectation(probabilities: Floats, values: Floats, base: float) -> np.float64 | Floats:
    base = real("base", base, 1.0)
    if base == 1.0:
        raise ValueError(f"base must be > 1, got {base}")
    terms = np.zeros(np.broadcast_shapes(probabilities.shape, values.shape))
    np.multiply(probabilities, values, out=terms, where=probabilities > 0)
    return np.asarray(terms.sum(axis=-1) / math.log(base))[()]


def require_distribution(name: str, value: object) -> Floats:
    """Return probabilities as float64; raise unless they are >= 0 and have a sum of 1."""
    array: Floats = finite_array(name, value, np.float64)
    if array.ndim == 0 or array.shape[-1] == 0:
        raise ValueError(f"{name} must have outcomes along its last axis, got shape {array.shape}")
    if array.min(initial=0.0) < 0:
        raise ValueError(f"{name} must be >= 0, got {array.min()}")
    # As numpy.random.Generator.choice: half the digits of the dtype that was passed.
    given = np.asarray(value).dtype
    tolerance = math.sqrt(np.finfo(given if given.kind == "f" else np.float64).eps)
    sums = array.sum(axis=-1)
    wrong = np.abs(sums - 1) > tolerance
    if wrong.any():
        raise ValueError(f"{name} must sum to 1 along its last axis, got {sums[wrong].flat[0]}")
    return array


def _distribution_pair(p: object, q: object) -> tuple[Floats, Floats]:
    truth, model = require_distribution("p", p), require_distribution("q", q)
    if truth.shape[-1] != model.shape[-1]:
        raise ValueError(
            f"q must have as many outcomes as p: {truth.shape[-1]} needed, got {model.shape[-1]}"
        )
    return truth, model
