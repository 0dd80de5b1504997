"""scikit-learn estimators that train a `fastmlp.Model`: data frames in, labels as they came out."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Preprocessing
from fastmlp.data.frames import table_of
from fastmlp.errors import did_you_mean
from fastmlp.experiment.fitting import fit_network, target_columns
from fastmlp.experiment.keywords import FILE_SETTINGS, require_known, settings_by_keyword
from fastmlp.experiment.serving import answers_for, samples_of
from fastmlp.extras import require
from fastmlp.model import MLP

require("sklearn", "sklearn")
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin  # noqa: E402
from sklearn.utils.validation import check_is_fitted  # noqa: E402

__all__ = ["ModelClassifier", "ModelRegressor", "estimator_of"]

Array = NDArray[Any]
# The estimator determines the task, and `fit` takes targets apart and samples in memory.
_FIXED = ("target", "task", "index_column", *FILE_SETTINGS)
_PARAMETERS = tuple(sorted(set(settings_by_keyword()) - set(_FIXED)))


class _ModelEstimator(BaseEstimator):  # type: ignore[misc]
    """Parts of both estimators."""

    network_: MLP

    def __init__(self, **settings: Any) -> None:
        require_known(settings, _PARAMETERS, type(self).__name__)
        for name in _PARAMETERS:
            setattr(self, name, settings.get(name))

    def set_params(self, **params: Any) -> Any:
        """Set parameters by their names.

        Raises
        ------
        ValueError
            A parameter has no such name.
        """
        for name in params:
            if name not in _PARAMETERS:
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}"
                    f"{did_you_mean(name, _PARAMETERS)}; get_params() lists them"
                )
        return super().set_params(**params)

    def fit(self, X: Any, y: Any) -> Any:
        """Train a new model on a frame and its targets."""
        given = {name: getattr(self, name) for name in _PARAMETERS}
        settings = {name: value for name, value in given.items() if value is not None}
        return self._of(fit_network({**settings, "task": self._task_of(y)}, _frame(X), y).network)

    def _task_of(self, y: Any) -> str:
        """Return the task of targets."""
        raise NotImplementedError

    def _of(self, network: MLP) -> Any:
        self.network_ = network
        columns = self._preprocessing.columns
        if columns is not None:
            self.feature_names_in_ = np.array([column.name for column in columns], object)
        return self

    @property
    def _preprocessing(self) -> Preprocessing:
        check_is_fitted(self, "network_")
        preprocessing = self.network_.preprocessing
        assert preprocessing is not None  # `fit_network` sets it
        return preprocessing

    def predict(self, X: Any) -> Array:
        """Return the answers for the rows of a frame."""
        check_is_fitted(self, "network_")
        return answers_for(self.network_, _frame(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags


# scikit-learn reads the names of parameters, and their defaults, from the signature.
_ModelEstimator.__init__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        *(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
            for name in _PARAMETERS
        ),
    ]
)


class ModelClassifier(ClassifierMixin, _ModelEstimator):  # type: ignore[misc]
    """A classifier of scikit-learn that trains a `fastmlp.Model`.

    Several columns of targets are several labels.

    Parameters
    ----------
    **settings
        Settings of `fastmlp.Model`, each a parameter of the estimator; None is the default. The
        task and the target are known, and files are not read.

    Examples
    --------
    >>> import fastmlp
    >>> frame = {"size": [1.0, 2.0, 7.0, 8.0] * 25, "color": ["red", "blue"] * 50}
    >>> labels = ["small", "small", "large", "large"] * 25
    >>> classifier = fastmlp.ModelClassifier(epochs=20).fit(frame, labels)
    >>> classifier.predict([{"size": 7.5, "color": "red"}])
    array(['large'], dtype=object)
    """

    def _task_of(self, y: Any) -> str:
        return "multilabel" if len(target_columns(y)) > 1 else "classification"

    def _of(self, network: MLP) -> Any:
        super()._of(network)
        preprocessing = self._preprocessing
        self.classes_ = preprocessing.labels(np.array(preprocessing.class_names, object))
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probabilities of `classes_`, of shape (samples, classes)."""
        inputs = self._preprocessing.inputs(samples_of(self.network_, _frame(X)))
        return self.network_.predict_proba(inputs)


class ModelRegressor(RegressorMixin, _ModelEstimator):  # type: ignore[misc]
    """A regressor of scikit-learn that trains a `fastmlp.Model`.

    Parameters
    ----------
    **settings
        Settings of `fastmlp.Model`, each a parameter of the estimator; None is the default. The
        task and the target are known, and files are not read.

    Examples
    --------
    >>> import fastmlp
    >>> frame = {"size": [float(i % 50) for i in range(200)]}
    >>> price = [3.0 * size for size in frame["size"]]
    >>> regressor = fastmlp.ModelRegressor(epochs=40).fit(frame, price)
    >>> bool(abs(regressor.predict({"size": [30.0]})[0] - 90.0) < 5.0)
    True
    """

    def _task_of(self, y: Any) -> str:
        return "regression"


def _frame(X: Any) -> Any:
    """Return an array of numbers as a table with numbered columns, other samples unchanged."""
    if isinstance(X, np.ndarray) and X.dtype.names is None:
        return table_of({f"x{i}": X[:, i] for i in range(X.shape[1])})
    return X


def estimator_of(
    network: MLP | None, settings: Mapping[str, Any]
) -> ModelClassifier | ModelRegressor:
    """Return an estimator with the settings of a model, fitted if the model is.

    Raises
    ------
    ValueError
        The model is not trained, and its settings do not tell the task.
    """
    task = settings.get("task", "auto")
    if network is not None:
        assert network.preprocessing is not None  # a `Model` has one
        task = network.preprocessing.task
    if task == "auto":
        raise ValueError(
            "task must be 'classification', 'multilabel' or 'regression' for an estimator of a "
            f"model that is not trained, got {task!r}; give it to Model(task=...), or use "
            "fastmlp.ModelClassifier or fastmlp.ModelRegressor"
        )
    kind = ModelRegressor if task == "regression" else ModelClassifier
    made: ModelClassifier | ModelRegressor = kind(
        **{name: value for name, value in settings.items() if name in _PARAMETERS}
    )
    return made if network is None else made._of(network)
