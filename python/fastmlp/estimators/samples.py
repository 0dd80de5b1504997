"""Samples of scikit-learn as the core takes them, and those held out from training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.model_selection import train_test_split
from sklearn.utils import _safe_indexing

from fastmlp.network import Network
from fastmlp.network.samples import Data, Rows, require_sound_sparse
from fastmlp.network.samples import samples as checked_rows
from fastmlp.validation import core_array, thread_count

__all__ = [
    "HeldOut",
    "LossMeasure",
    "core_rows",
    "core_data",
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


def core_data(
    rows: Any, targets: Array, weights: Array | None, indices: Array | None = None
) -> Data:
    """Samples that scikit-learn has checked, which does not align them, or those at `indices`.

    Parameters
    ----------
    rows : array or CSR matrix of shape (samples, features)
    targets : int64 array of shape (samples,) or float array of shape (samples, outputs)
    weights : float array of shape (samples,) or None
    indices : int64 array of shape (chosen,), optional
    """
    if indices is not None:
        rows, targets = _safe_indexing(rows, indices), targets[indices]
        weights = None if weights is None else weights[indices]
    return Data(core_rows(rows), [core_array(targets, targets.dtype)], weights)


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

    def weighted_constants(self, data: Data) -> Array | None:
        if self.constants is None:
            return None
        constants, weights = self.constants(data.targets[0]), data.sample_weight
        return constants if weights is None else constants * weights

    def offset(self, data: Data) -> float:
        """What the mean loss of all samples has besides the core's."""
        constants = self.weighted_constants(data)
        return 0.0 if constants is None else float(constants.sum()) / data.total_weight


class HeldOut:
    """Samples held out from the training, to measure loss and score.

    Parameters
    ----------
    data : Data
    measure : LossMeasure
    score : callable
        Of a network and samples: larger is better.
    score_name : str
        Name of the score in records.
    threads : int or None
    """

    def __init__(
        self,
        data: Data,
        measure: LossMeasure,
        score: Callable[[Network, Data], float],
        score_name: str,
        threads: int | None,
    ) -> None:
        self.score_name = score_name
        self._data = data
        self._factor = measure.factor
        self._offset = measure.offset(data)
        self._score = score
        self._threads = thread_count(threads)

    def measure(self, model: Network, *, scores: bool) -> dict[str, float]:
        """Mean loss without penalty and, with `scores`, the score, else NaN."""
        measured = model._evaluate_data(self._data, self._threads)
        score = np.nan
        if scores and "accuracy" in measured and self._data.sample_weight is None:
            score = measured["accuracy"]
        elif scores:
            score = self._score(model, self._data)
        loss = self._factor * measured["loss"] + self._offset
        return {"val_loss": loss, self.score_name: score}


def split_indices(
    targets: Array, fraction: float, random_state: np.random.RandomState, stratify: bool
) -> tuple[Array, Array]:
    """Indices to train on and to hold out, from the random numbers that scikit-learn draws."""
    training, held_out = train_test_split(
        np.arange(len(targets)),
        random_state=random_state,
        test_size=fraction,
        stratify=targets if stratify else None,
    )
    if len(held_out) < 2:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' "
            "or the size of your dataset."
        )
    return training, held_out
