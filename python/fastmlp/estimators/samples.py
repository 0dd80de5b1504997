"""Conversion of scikit-learn's samples for the core, and samples held out from training."""

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
from fastmlp.validation import core_array, require_readable, thread_count

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
    """Convert checked rows, an array or a CSR matrix, to rows of the core."""
    if not scipy.sparse.issparse(rows):
        return core_array(rows, rows.dtype)
    return checked_rows("X", rows, rows.shape[1], rows.dtype)


def native(name: str, array: Any) -> Any:
    """Convert an array or sparse matrix to native byte order, so that equal types compare equal.

    Raises
    ------
    TypeError, ValueError
        NumPy cannot read a tensor, or samples have more than two dimensions; scikit-learn's
        messages name no conversion. `name` is that of the argument.
    """
    require_readable(name, array)
    shape = getattr(array, "shape", ())
    if name == "X" and len(shape) > 2:
        raise ValueError(
            f"Found array with dim {len(shape)}, X must have shape (samples, features), got "
            f"{tuple(shape)}; np.reshape(X, (len(X), -1)) makes a row of each sample"
        )
    if scipy.sparse.issparse(array) and array.ndim == 2:
        require_sound_sparse("X", array)  # scikit-learn's checks would read beyond it
    if isinstance(array, np.ndarray) or scipy.sparse.issparse(array):
        kind = array.dtype
        return array if kind.isnative else array.astype(kind.newbyteorder("="))
    return array


def core_data(
    rows: Any, targets: Array, weights: Array | None, indices: Array | None = None
) -> Data:
    """Make the core's data from samples that scikit-learn has checked, or from those at `indices`.

    Arrays are copied if their alignment does not suit the core, which scikit-learn does not check.

    Parameters
    ----------
    rows : array or CSR matrix of shape (samples, features)
        Samples.
    targets : int64 array of shape (samples,) or float array of shape (samples, outputs)
        Targets of the loss.
    weights : float array of shape (samples,) or None
        Weights of the samples.
    indices : int64 array of shape (chosen,), optional
        Indices of the samples to take; all by default.
    """
    if indices is not None:
        rows, targets = _safe_indexing(rows, indices), targets[indices]
        weights = None if weights is None else weights[indices]
    return Data(core_rows(rows), [core_array(targets, targets.dtype)], weights)


@dataclass(frozen=True)
class LossMeasure:
    """Conversion of the core's loss, a sum over outputs, to scikit-learn's loss.

    Attributes
    ----------
    factor : float
        Factor of the core's loss: 1 / outputs if scikit-learn takes the mean over outputs.
    constants : callable or None
        Function of targets of shape (samples, outputs) that returns the difference of each
        sample's loss from the core's, a float64 array of shape (samples,).
    """

    factor: float = 1.0
    constants: Callable[[Array], Array] | None = None

    def weighted_constants(self, data: Data) -> Array | None:
        if self.constants is None:
            return None
        constants, weights = self.constants(data.targets[0]), data.sample_weight
        return constants if weights is None else constants * weights

    def offset(self, data: Data) -> float:
        """Return the difference of the mean loss of all samples from the core's."""
        constants = self.weighted_constants(data)
        return 0.0 if constants is None else float(constants.sum()) / data.total_weight


class HeldOut:
    """Samples held out from the training, which measure loss and score.

    Parameters
    ----------
    data : Data
        Samples, targets and weights.
    measure : LossMeasure
        Conversion of the core's loss to scikit-learn's.
    score : callable
        Function of a network and samples that returns the score; larger is better.
    score_name : str
        Name of the score in records.
    threads : int or None
        Number of threads; the default depends on the work.
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
        """Return the mean loss without penalty, and the score, which is NaN without `scores`."""
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
    """Split the samples by scikit-learn's random numbers; return training and held-out indices."""
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
