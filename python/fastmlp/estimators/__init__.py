"""scikit-learn's multi-layer perceptrons, trained by the core of this library.

`MLPClassifier` and `MLPRegressor` replace those of ``sklearn.neural_network``: they have the same
parameters, defaults, attributes and random numbers, and so the same results up to rounding.
"""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        "MLPClassifier and MLPRegressor need scikit-learn: pip install 'fastmlp[sklearn]'"
    ) from error

from fastmlp.estimators.classifier import MLPClassifier
from fastmlp.estimators.converters import register_skl2onnx
from fastmlp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "register_skl2onnx"]


def __dir__() -> list[str]:
    return __all__
