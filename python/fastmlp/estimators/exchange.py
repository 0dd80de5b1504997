"""`Exchange`: files of a fitted estimator, for this library and for others."""

from __future__ import annotations

from os import PathLike
from typing import Any, TypeVar

from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from fastmlp.estimators.files import read_estimator, write_estimator
from fastmlp.export.labels import Labels, export_labeled

__all__ = ["Exchange", "labels_of", "network_of"]

E = TypeVar("E", bound="Exchange")


class Exchange:
    """Base class of the estimators with the methods that read and write files."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted estimator to a safetensors file, atomically and with a digest.

        The file holds the constructor's parameters, the network's parameters, classes and names of
        features, counters and curves. It holds no state of an optimizer: after `load`,
        `partial_fit` and `fit` with ``warm_start=True`` begin with the weights of the file and an
        optimizer that starts anew, and ``fit(resume=True)`` is refused. Pickles keep that state.

        Parameters
        ----------
        path : str or os.PathLike
            File to create or replace, whole or not at all.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        ValueError
            A parameter holds code of the user's: callbacks, or a function as a learning rate. Or a
            weight is NaN or infinite. Nothing is written.
        OSError
            The file could not be written; an older one is unharmed.

        Examples
        --------
        >>> from fastmlp import MLPClassifier
        >>> model = MLPClassifier(random_state=0)
        >>> model = model.partial_fit([[0.0], [1.0]], ["no", "yes"], classes=["no", "yes"])
        >>> model.save("model.safetensors")
        >>> MLPClassifier.load("model.safetensors").classes_.tolist()
        ['no', 'yes']
        """
        write_estimator(path, self)

    @classmethod
    def load(cls: type[E], path: str | PathLike[str]) -> E:
        """Read a fitted estimator that `save` wrote; nothing in the file is executed.

        Predictions are those of the saved estimator, to the last bit.

        Parameters
        ----------
        path : str or os.PathLike
            File to read.

        Returns
        -------
        estimator
            An estimator of the class on which the method is called.

        Raises
        ------
        FormatError
            The file is damaged, hostile, of a version this release cannot read, or holds an
            estimator of the other kind.
        OSError
            The file cannot be opened.

        Examples
        --------
        >>> from fastmlp import MLPRegressor
        >>> MLPRegressor(random_state=0).partial_fit([[0.0], [1.0]], [0, 1]).save("m.safetensors")
        >>> MLPRegressor.load("m.safetensors").n_features_in_
        1
        """
        return read_estimator(path, cls)

    def export(self, path: str | PathLike[str], *, name: str | None = None) -> None:
        """Write the fitted estimator for other programs, in the format of the suffix.

        - ``.onnx``: the input ``x`` of shape (N, features) has the dtype of ``coefs_``. A
          classifier has the outputs ``label``, text or int64 as in ``classes_`` (flags as 0 and 1),
          and ``probabilities`` of shape (N, classes); for several labels at once ``label`` is the
          int64 indicator matrix. A regressor has the output ``y`` of shape (N, outputs).
        - ``.h``: the C header of `fastmlp.export.to_c`; ``NAME_classify`` returns an index of
          ``NAME_class_names``.
        - ``.npz``: the arrays of `fastmlp.export.to_npz`, and ``classes`` and ``feature_names`` if
          the estimator has them.

        Parameters
        ----------
        path : str or os.PathLike
            File to create or to replace atomically.
        name : str, optional
            Prefix of all names in a C header; by default derived from the file name.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            The estimator is not fitted.
        MissingExtraError
            The package onnx is not installed, which ``.onnx`` needs.
        ValueError
            The suffix is another one, a weight is NaN or infinite, or the format cannot hold the
            estimator.
        OSError
            The file could not be written; an existing file is unchanged.

        Examples
        --------
        >>> import numpy
        >>> from fastmlp import MLPClassifier
        >>> model = MLPClassifier(random_state=0)
        >>> model = model.partial_fit([[0.0], [1.0]], ["no", "yes"], classes=["no", "yes"])
        >>> model.export("model.npz")
        >>> with numpy.load("model.npz") as arrays:
        ...     print(arrays["classes"], arrays["layers.0.weights"].shape)
        ['no' 'yes'] (1, 100)
        """
        export_labeled(network_of(self), labels_of(self), path, name=name)


def network_of(estimator: Any) -> Any:
    """Return the network with which a fitted estimator predicts."""
    check_is_fitted(estimator)
    return estimator._predictor.model(estimator._network_spec(), estimator._parameters())


def labels_of(estimator: Any) -> Labels:
    """Return the meaning of a fitted estimator's predictions."""
    names = getattr(estimator, "feature_names_in_", None)
    feature_names = None if names is None else tuple(map(str, names))
    if not is_classifier(estimator):
        return Labels(None, False, feature_names)
    several = estimator._label_binarizer.y_type_.startswith("multilabel")
    return Labels(estimator.classes_, several, feature_names)
