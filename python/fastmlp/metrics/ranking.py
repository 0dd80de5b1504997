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
        # The scores of positive samples, from the highest to the lowest, are steps. A positive
        # sample is on its step; a negative one is on a step or above it, or below the last one.
        steps = np.unique(-scores[is_positive])
        self._steps = len(steps)
        places = np.searchsorted(steps, -scores)
        on_step = np.append(steps, np.nan)[places] == -scores
        self._groups = np.where(is_positive, places, places + (2 - on_step) * (self._steps + 1))

    def area(self, weights: Floats) -> float:
        """Return the share of pairs in which the positive sample has the higher score.

        Equal scores count one half. It is NaN unless both kinds have a weight.
        """
        positive, equal, above, total = self._by_step(weights)
        pairs = positive.sum() * total
        if not pairs > 0:
            return float("nan")
        return float(1.0 - (positive * (above + 0.5 * equal)).sum() / pairs)

    def average_precision(self, weights: Floats) -> float:
        """Return the mean over the positive samples of the precision at the score of each.

        It is NaN unless positive samples have a weight.
        """
        positive, equal, above, _ = self._by_step(weights)
        hits = np.cumsum(positive)
        if not len(hits) or not hits[-1] > 0:
            return float("nan")
        chosen = hits + above + equal
        precisions = np.divide(hits, chosen, out=np.zeros_like(hits), where=chosen > 0)
        return float((positive * precisions).sum() / hits[-1])

    def _by_step(self, weights: Floats) -> tuple[Floats, Floats, Floats, float]:
        """Return the weights of positive samples, of equal and of higher negative ones, by step.

        The last number is the weight of all negative samples.
        """
        columns = self._steps + 1
        sums = np.bincount(self._groups, weights, minlength=3 * columns)
        positive, equal, between = np.asarray(sums, np.float64).reshape(3, columns)
        above = np.cumsum(between)
        above[1:] += np.cumsum(equal)[:-1]
        return positive[:-1], equal[:-1], above[:-1], float(above[-1])
