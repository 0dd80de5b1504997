"""The class `Dataset`, and the sets of scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastmlp._bytes import sha256
from fastmlp.datasets.registry import BundledSpec, DatasetSpec, SyntheticSpec
from fastmlp.extras import require

__all__ = ["Dataset", "Inputs", "Targets", "dataset_of_arrays", "dataset_of_files", "load_bundled"]

Inputs: TypeAlias = NDArray[np.uint8] | NDArray[np.float64]
Targets: TypeAlias = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A named data set in memory. The caller may change the arrays.

    Attributes
    ----------
    name : str
        Name of the set.
    x_train, x_test : ndarray, shape (samples, features)
        uint8 for sets of image files: pixels row by row, 0 to 255, as published; the channels of a
        pixel follow each other. float64 for all others, as published. `x_test` is None if the set
        has no test part.
    y_train, y_test : ndarray
        Targets. Classes are int64 of shape (samples,), from 0 to ``len(class_names) - 1``; targets
        of a regression are float64 of shape (samples, 1). `y_test` is None if `x_test` is None.
    class_names : tuple of str
        Names of the classes; empty for regression.
    sha256 : dict of str to str
        Digest of each decompressed file, by file name. Sets without files have one entry,
        "arrays": the digest of the bytes of `x_train` followed by those of `y_train`.
    feature_names : tuple of str or None
        Names of the features.
    image_shape : tuple of int or None
        (height, width) or (height, width, channels) if samples are images.
    task : {"classification", "regression"}
        Kind of the targets.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.datasets.load("sine")
    Dataset('sine', train=(1000, 1), task='regression')
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


def dataset_of_files(
    spec: DatasetSpec, arrays: Mapping[str, NDArray[Any]], digests: Mapping[str, str]
) -> Dataset:
    """Return a set of image files from arrays by field of `Dataset` and digests by file."""
    return Dataset(
        name=spec.name,
        x_train=arrays["x_train"],
        y_train=arrays["y_train"],
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
        class_names=spec.class_names,
        sha256=dict(digests),
        image_shape=spec.image_shape,
    )


def dataset_of_arrays(
    spec: BundledSpec | SyntheticSpec,
    x: NDArray[np.float64],
    y: Targets,
    class_names: tuple[str, ...],
    feature_names: tuple[str, ...],
) -> Dataset:
    """Return a set without files and without a test part."""
    little_endian = (np.ascontiguousarray(a, a.dtype.newbyteorder("<")).tobytes() for a in (x, y))
    return Dataset(
        name=spec.name,
        x_train=x,
        y_train=y,
        x_test=None,
        y_test=None,
        class_names=class_names,
        sha256={"arrays": sha256(b"".join(little_endian))},
        feature_names=feature_names,
        image_shape=spec.image_shape,
        task=spec.task,
    )


def load_bundled(spec: BundledSpec) -> Dataset:
    """Return a set of scikit-learn in its own order, without a test part.

    All inputs are float64. The pixels of digits, 0 to 16, are float64 too, because bytes stand for
    a range of 0 to 255. The inputs of diabetes are centered and scaled, as scikit-learn returns
    them by default.

    Raises
    ------
    MissingExtraError
        scikit-learn is not installed.
    """
    bunch: Any = getattr(require("sklearn", "sklearn.datasets"), spec.loader)()
    x = np.array(bunch.data, dtype=np.float64, order="C")
    y: Targets
    if spec.task == "regression":
        y = np.array(bunch.target, dtype=np.float64).reshape(-1, 1)
        class_names: tuple[str, ...] = ()
    else:
        y = np.array(bunch.target, dtype=np.int64)
        class_names = tuple(str(name) for name in bunch.target_names)
    feature_names = tuple(str(name) for name in bunch.feature_names)
    return dataset_of_arrays(spec, x, y, class_names, feature_names)
