"""Sets that come with scikit-learn, as arrays of the types that `Dataset` promises."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastmlp.datasets.dataset import Dataset, Targets, digest_of_arrays
from fastmlp.datasets.specs import BundledSpec
from fastmlp.extras import require

__all__ = ["load_bundled"]


def load_bundled(spec: BundledSpec) -> Dataset:
    """Return a set of scikit-learn in its own order, without a test part.

    Inputs are float64 throughout. The pixels of digits are so too, 0 to 16: as bytes they would
    be taken for a range of 0 to 255. Those of diabetes are centred and scaled, which is how the
    function returns them unless told otherwise.

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
    return Dataset(
        name=spec.name,
        x_train=x,
        y_train=y,
        x_test=None,
        y_test=None,
        class_names=class_names,
        sha256=digest_of_arrays(x, y),
        feature_names=tuple(str(name) for name in bunch.feature_names),
        image_shape=spec.image_shape,
        task=spec.task,
    )
