"""A data set in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["Dataset", "Inputs", "Targets", "digest_of_arrays"]

Inputs: TypeAlias = NDArray[np.uint8] | NDArray[np.float64]
Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A data set in memory. The arrays are the caller's to change.

    Attributes
    ----------
    name : str
        Name of the set.
    x_train, x_test : ndarray, shape (samples, features)
        uint8 for sets of image files: pixels row by row, 0 to 255, as published; a pixel's
        channels follow each other. float64 for all others, as published. `x_test` is None where
        the set has no test part of its own.
    y_train, y_test : ndarray
        Classification: int64, shape (samples,), the class, 0 to ``len(class_names) - 1``.
        Regression: float64, shape (samples, 1). `y_test` is None where `x_test` is.
    class_names : tuple of str
        What the classes are called; empty for regression.
    sha256 : dict of str to str
        Digest of each decompressed file, by file name. Sets without files have one entry,
        "arrays": the digest of the bytes of `x_train` followed by those of `y_train`.
    feature_names : tuple of str or None
        What the features are called.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) of samples that are images.
    task : {"classification", "regression"}
        What the targets are for.
    """

    name: str
    x_train: Inputs
    y_train: Targets
    x_test: Inputs | None
    y_test: Targets | None
    class_names: tuple[str, ...]
    sha256: dict[str, str]
    feature_names: tuple[str, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    task: str = "classification"

    def __repr__(self) -> str:
        parts = [repr(self.name), f"train={self.x_train.shape}"]
        if self.x_test is not None:
            parts.append(f"test={self.x_test.shape}")
        parts.append(
            "task='regression'" if self.task == "regression" else f"classes={len(self.class_names)}"
        )
        return f"Dataset({', '.join(parts)})"


def digest_of_arrays(*arrays: NDArray[Any]) -> dict[str, str]:
    """Return the `sha256` field of a set without files."""
    import hashlib

    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return {"arrays": digest.hexdigest()}
