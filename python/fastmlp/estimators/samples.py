"""Samples as the core takes them, and those held out from training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from fastmlp.model import MLP
from fastmlp.network.samples import Data, Rows, require_sound_sparse
from fastmlp.network.samples import samples as checked_rows
from fastmlp.validation import core_array, thread_count

__all__ = [
    "HeldOut",
    "LossMeasure",
    "Samples",
    "core_rows",
    "core_samples",
    "native",
    "split_indices",
]

Array = npt.NDArray[Any]


def core_rows(rows: Any) -> Rows:
    """Checked rows, an array or a CSR matrix, as the core takes them."""
    if not scipy.sparse.issparse(rows):
        return core_array(rows, rows.dtype)
    return checked_rows("X", rows, rows.shape[1], rows.dtype)


def native(array: Any) -> Any:
    """An array or sparse matrix in this machine's byte order, which alone tells types apart."""
    if scipy.sparse.issparse(array) and array.ndim == 2:
        require_sound_sparse("X", array)  # scikit-learn's checks would read beyond it
    if isinstance(array, np.ndarray) or scipy.sparse.issparse(array):
        kind = array.dtype
        return array if kind.isnative else array.astype(kind.newbyteorder("="))
    return array


@dataclass(frozen=True)
class Samples:
    """Rows, targets and weights of the same samples.

    Attributes
    ----------
    rows : array or CSR matrix of shape (samples, features)
    targets : int64 array of shape (samples,) or float array of shape (samples, outputs)
    weights : float array of shape (samples,) or None
    """

    rows: Any
    targets: Array
    weights: Array | None

    @property
    def count(self) -> int:
        return int(self.rows.shape[0])

    @property
    def total_weight(self) -> float:
        return float(self.count if self.weights is None else self.weights.sum(dtype=np.float64))

    def core_rows(self) -> Rows:
        return core_rows(self.rows)

    def at(self, indices: Array) -> Samples:
        weights = None if self.weights is None else self.weights[indices]
        return Samples(_safe_indexing(self.rows, indices), self.targets[indices], weights)

    def in_double_precision(self) -> Samples:
        """The same in float64; bytes and classes stay what they are."""
        rows, targets, weights = self.rows, self.targets, self.weights
        if rows.dtype == np.float32:
            rows = rows.astype(np.float64)
        if targets.dtype == np.float32:
            targets = targets.astype(np.float64)
        return Samples(rows, targets, None if weights is None else weights.astype(np.float64))


def core_samples(rows: Any, targets: Array, weights: Array | None) -> Samples:
    """Samples that scikit-learn has checked, which does not align them."""
    return Samples(rows, core_array(targets, targets.dtype), weights)


@dataclass(frozen=True)
class LossMeasure:
    """How scikit-learn's number for a loss follows from the core's sum over outputs.

    Attributes
    ----------
    factor : float
        1 / outputs where scikit-learn takes the mean over outputs.
    constants : callable or None
        Of targets of shape (samples, outputs): what each sample's loss has besides the core's,
        float64 of shape (samples,).
    """

    factor: float = 1.0
    constants: Callable[[Array], Array] | None = None

    def weighted_constants(self, samples: Samples) -> Array | None:
        if self.constants is None:
            return None
        constants = self.constants(samples.targets)
        return constants if samples.weights is None else constants * samples.weights

    def offset(self, samples: Samples) -> float:
        """What the mean loss of all samples has besides the core's."""
        constants = self.weighted_constants(samples)
        return 0.0 if constants is None else float(constants.sum()) / samples.total_weight


class HeldOut:
    """Samples that only measure.

    Parameters
    ----------
    samples : Samples
    measure : LossMeasure
    score : callable
        Of a network and samples: larger is better.
    threads : int or None
    """

    def __init__(
        self,
        samples: Samples,
        measure: LossMeasure,
        score: Callable[[MLP, Samples], float],
        threads: int | None,
    ) -> None:
        self._samples = samples
        self._data = Data(samples.core_rows(), [samples.targets], samples.weights)
        self._factor = measure.factor
        self._offset = measure.offset(samples)
        self._score = score
        self._threads = thread_count(threads)

    def measure(self, model: MLP, *, scores: bool) -> tuple[float, float]:
        """Mean loss without penalty and, with `scores`, the score, else NaN."""
        measured = model.evaluate_data(self._data, self._threads)
        loss = self._factor * measured["loss"] + self._offset
        if not scores:
            return loss, np.nan
        if "accuracy" in measured and self._samples.weights is None:
            return loss, measured["accuracy"]
        return loss, self._score(model, self._samples)


def split_indices(
    samples: Samples, fraction: float, random_state: np.random.RandomState, stratify: bool
) -> tuple[Array, Array]:
    """Indices to train on and to hold out, from the random numbers that scikit-learn draws."""
    training, held_out = train_test_split(
        np.arange(samples.count),
        random_state=random_state,
        test_size=fraction,
        stratify=samples.targets if stratify else None,
    )
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    return training, held_out
