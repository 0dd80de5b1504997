"""Scaling of inputs that belongs to a network: what the first training sees decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data.moments import column_moments
from fastmlp.network.samples import Rows, StandardizedRows

__all__ = ["BYTE_SCALE", "LOOKED_AT", "InputScaling", "Standardization", "fitting_scale"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
BYTE_SCALE = 1 / 255
LOOKED_AT = 2_000  # samples
# Names in a training state.
_OF_INPUTS = "inputs."
_FACTOR, _OF_STANDARDIZATION = f"{_OF_INPUTS}scale", f"{_OF_INPUTS}standardization."
# Root mean square of a column above which steps of usual size are too large for its weights.
_LARGE = 4.0
# Largest number of all columns below which they are too small.
_SMALL = 0.5
# Mean of a column, in its deviations, above which it is nearly a second bias.
_FAR = 20.0
_MOST_COPIED = 2**26  # bytes of standardized samples
# Arrays of at least as many bytes per row, some of them bright, are images.
_FEWEST_PIXELS, _BRIGHT = 16, 128


@dataclass(frozen=True, eq=False)
class Standardization:
    """Mean and deviation of each input, by which a network standardizes its samples.

    Attributes
    ----------
    mean, deviation : float64 arrays of shape (features,)
        Of the samples of the first training. Means are 0 if these were sparse, and deviations then
        are root mean squares, so that zeros stay zeros. The deviation of a constant input is 1.
    """

    mean: Floats
    deviation: Floats

    def __post_init__(self) -> None:
        mean, deviation = (np.asarray(a, np.float64) for a in (self.mean, self.deviation))
        if mean.ndim != 1 or mean.shape != deviation.shape:
            raise ValueError(
                "mean and deviation must have shape (features,), got "
                f"{mean.shape} and {deviation.shape}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(deviation).all() and deviation.all()):
            raise ValueError("mean and deviation must be finite, and deviation not 0")
        object.__setattr__(self, "mean", mean)
        object.__setattr__(self, "deviation", deviation)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Standardization) and (
            np.array_equal(self.mean, other.mean)
            and np.array_equal(self.deviation, other.deviation)
        )

    def __repr__(self) -> str:
        low, high = self.deviation.min(), self.deviation.max()
        return f"Standardization(features={len(self.mean)}, deviations {low:.3g} to {high:.3g})"

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.ArrayLike], features: int) -> Standardization:
        """Make the standardization of a network with so many features from its stored arrays.

        Raises
        ------
        ValueError
            The arrays are not ``mean`` and ``deviation``, or of another number of features.
        """
        if set(arrays) != {"mean", "deviation"}:
            raise ValueError(
                f"a standardization must have mean and deviation, got {', '.join(sorted(arrays))}"
            )
        made = cls(**{name: np.asarray(array) for name, array in arrays.items()})
        if len(made.mean) != features:
            raise ValueError(
                f"a standardization must be of {features} features, got {len(made.mean)}"
            )
        return made

    def of_rows(self, name: str, rows: Rows, dtype: npt.DTypeLike, *, one_pass: bool) -> Rows:
        """Return samples standardized in float64 and rounded once to `dtype`.

        Arrays that are read once, and large ones, are standardized while the core reads them.

        Raises
        ------
        ValueError
            A number is too large for `dtype` after it.
        """
        if isinstance(rows, tuple):
            elements, columns, starts = rows
            # Copied and bounded: another thread may change the original.
            columns = np.clip(np.array(columns), 0, len(self.mean) - 1)
            if not self.mean.any():
                return (
                    self._finite(name, elements / self.deviation[columns], dtype),
                    columns,
                    starts,
                )
            rows = _dense((elements, columns, np.array(starts)), len(self.mean))
        assert isinstance(rows, np.ndarray)
        lazy = StandardizedRows(rows, self.mean, self.deviation, np.dtype(dtype))
        if one_pass or rows.size * lazy.dtype.itemsize > _MOST_COPIED:
            return lazy
        return self._finite(name, lazy[:], dtype)

    @staticmethod
    def _finite(name: str, scaled: Array, dtype: npt.DTypeLike) -> Array:
        with np.errstate(over="ignore"):
            rounded: Array = np.ascontiguousarray(scaled, dtype)
        if not np.isfinite(rounded).all():
            raise ValueError(
                f"{name} must hold numbers that the network can represent after it has "
                "standardized them, got one that is too far from those of its first training"
            )
        return rounded


def _dense(rows: tuple[Array, Array, Array], features: int) -> Array:
    elements, columns, starts = rows
    dense = np.zeros((len(starts) - 1, features), elements.dtype)
    dense[np.repeat(np.arange(len(dense)), np.diff(starts)), columns] = elements
    return dense


@dataclass(frozen=True)
class InputScaling:
    """How a network scales its inputs, as a training state tells it.

    Attributes
    ----------
    factor : float
        ``input_scale`` of the network.
    standardization : Standardization or None
        What precedes the factor.
    """

    factor: float
    standardization: Standardization | None

    def to_arrays(self) -> dict[str, Array]:
        """Return the arrays for a training state."""
        arrays = {} if self.standardization is None else vars(self.standardization)
        named = {_OF_STANDARDIZATION + name: array for name, array in arrays.items()}
        return {_FACTOR: np.array(self.factor), **named}

    @classmethod
    def from_state(
        cls, state: Mapping[str, npt.ArrayLike], features: int
    ) -> tuple[InputScaling | None, dict[str, npt.ArrayLike]]:
        """Return the scaling in a training state, and the rest of the state.

        States of older releases have no scaling.

        Raises
        ------
        ValueError
            It is none for a network with so many features.
        """
        rest, own = dict(state), {}
        for name in state:
            if isinstance(name, str) and name.startswith(_OF_INPUTS):
                own[name.removeprefix(_OF_INPUTS)] = rest.pop(name)
        if not own:
            return None, rest
        factor = np.asarray(own.pop("scale", np.nan))
        if factor.shape != () or factor.dtype.kind not in "fiu" or not np.isfinite(factor):
            raise ValueError(f"{_FACTOR} of a training state must be a number, got {factor}")
        if not own:
            return cls(float(factor), None), rest
        moments = {name.removeprefix("standardization."): array for name, array in own.items()}
        return cls(float(factor), Standardization.from_arrays(moments, features)), rest


def fitting_scale(rows: Rows, features: int) -> Standardization | float | None:
    """Return the standardization or the factor that samples need; None if they need none.

    They need one if the root mean square of a column is above 4, if no number is as large as 0.5,
    or if the mean of a column is at least 1 and 20 of its deviations. Images of bytes need the
    factor 1/255. A look at 2,000 samples at equal distances decides; all are used for means and
    deviations.

    Parameters
    ----------
    rows : array of shape (samples, features), or the parts of a sparse matrix
        Finite numbers.
    features : int
    """
    if isinstance(rows, tuple):
        return _of_sparse(*rows, features)
    assert isinstance(rows, np.ndarray)
    some = rows[np.linspace(0, len(rows) - 1, min(len(rows), LOOKED_AT)).astype(np.int64)]
    mean, deviation = column_moments(some)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        return None  # the training will say that the numbers are too large
    low, high = some.min(axis=0), some.max(axis=0)
    varies = low < high
    sizes = np.hypot(mean, np.where(varies, deviation, 0.0))
    largest = max(abs(float(low.min())), abs(float(high.max())))
    far = varies & (np.abs(mean) >= np.maximum(1.0, _FAR * deviation))
    if sizes.max() <= _LARGE and largest >= _SMALL and not far.any():
        return None
    if rows.dtype == np.uint8 and rows.shape[1] >= _FEWEST_PIXELS and largest >= _BRIGHT:
        return BYTE_SCALE
    mean, deviation = column_moments(rows)
    if not (np.isfinite(mean).all() and np.isfinite(deviation).all()):
        return None
    return Standardization(mean, deviation)


def _of_sparse(
    elements: Array, columns: Array, starts: Array, features: int
) -> Standardization | None:
    if not len(elements):
        return None
    count = len(starts) - 1
    values = elements.astype(np.float64)
    with np.errstate(over="ignore"):
        sizes = np.sqrt(np.bincount(columns, values**2, minlength=features) / count)
    if not np.isfinite(sizes).all() or (sizes.max() <= _LARGE and np.abs(values).max() >= _SMALL):
        return None
    return Standardization(np.zeros(features), np.where(sizes > 0, sizes, 1.0))
