"""Samples ranked by a score, of which some are positive: areas under curves for any weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranking"]

Array = NDArray[Any]
Floats = NDArray[np.float64]


class Ranking:
    """The order of positive and negative samples by their scores.

    The order is found once; a measure for some weights then takes time that grows with the number
    of samples only.

    Parameters
    ----------
    is_positive : bool array of shape (samples,)
    scores : float64 array of shape (samples,)
        Finite scores that are higher for samples that are more likely positive.
    """

    def __init__(self, is_positive: Array, scores: Floats) -> None:
        positive, negative = np.flatnonzero(is_positive), np.flatnonzero(~is_positive)
        # From the highest score to the lowest.
        self._positive = positive[np.argsort(-scores[positive], kind="stable")]
        self._negative = negative[np.argsort(-scores[negative], kind="stable")]
        own, others = -scores[self._positive], -scores[self._negative]
        self._above = np.searchsorted(others, own, side="left")
        self._not_below = np.searchsorted(others, own, side="right")
        self._hits = np.searchsorted(own, own, side="right")

    def area(self, weights: Floats) -> float:
        """Return the share of pairs in which the positive sample has the higher score.

        Equal scores count one half. It is NaN unless both kinds have a weight.
        """
        positive, others = weights[self._positive], _sums(weights[self._negative])
        pairs = positive.sum() * others[-1]
        if not pairs > 0:
            return float("nan")
        # Both sums are counted from the highest score, so that none is a difference.
        ahead = 0.5 * (others[self._above] + others[self._not_below])
        return float(1.0 - (positive * ahead).sum() / pairs)

    def average_precision(self, weights: Floats) -> float:
        """Return the mean over the positive samples of the precision at the score of each.

        It is NaN unless positive samples have a weight.
        """
        positive, others = weights[self._positive], _sums(weights[self._negative])
        found = _sums(positive)
        if not found[-1] > 0:
            return float("nan")
        hits = found[self._hits]
        chosen = hits + others[self._not_below]
        precisions = np.divide(hits, chosen, out=np.zeros_like(hits), where=chosen > 0)
        return float((positive * precisions).sum() / found[-1])


def _sums(values: Floats) -> Floats:
    """Return the sums of the first 0, 1, ... values."""
    sums = np.zeros(len(values) + 1)
    np.cumsum(values, out=sums[1:])
    return sums
