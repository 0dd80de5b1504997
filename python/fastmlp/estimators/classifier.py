"""`MLPClassifier`: labels of any type, two or more classes, or several labels at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import ClassifierMixin, _fit_context
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import (
    _check_partial_fit_first_call,
    type_of_target,
    unique_labels,
)

from fastmlp.estimators.base import BaseMLP, Mode
from fastmlp.estimators.parameters import CONSTRAINTS, store_parameters
from fastmlp.losses import Link
from fastmlp.network import Network
from fastmlp.network.samples import Data

__all__ = ["MLPClassifier"]

Array = npt.NDArray[Any]


class MLPClassifier(ClassifierMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron for classes, a replacement of scikit-learn's.

    The loss is the cross-entropy of a softmax, of one logistic output for two classes, or of one
    logistic output for each of several labels.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; empty for none.
    activation : str or fastmlp activation, default="relu"
        Activation of the hidden layers: "identity", "logistic", "tanh", "relu", or another
        activation of this library by name or as an object with parameters.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        Training method: L-BFGS on all samples at once, or mini-batches with momentum or Adam.
    alpha : float, default=0.0001
        Coefficient of the penalty, >= 0. The loss of a batch adds ``alpha / 2`` times the sum of
        the squared weights, divided by the number of samples of the batch, or by their weight.
    batch_size : int or "auto", default="auto"
        Number of samples of a mini-batch; "auto" means 200, or all samples if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        Schedule of "sgd": "invscaling" divides the rate by ``t_ ** power_t``; "adaptive" divides
        it by 5 instead of stopping, until it is below 1e-6.
    learning_rate_init : float, default=0.001
        First learning rate of "sgd" and "adam".
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Maximum number of epochs, or of iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None, default=None
        Source of the initial parameters, the split and the orders, which equal scikit-learn's.
    tol : float, default=1e-4
        Smallest change of the loss, or of the validation score, that counts as an improvement;
        for "lbfgs" the largest element of the gradient at which the training has converged.
    verbose : bool or int, default=False
        Whether to print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` begins with the parameters of the previous one. The optimizer starts anew.
    momentum : float, default=0.9
        Momentum of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Whether "sgd" uses Nesterov's form of momentum.
    early_stopping : bool, default=False
        Whether to hold samples out, to monitor the score on them in place of the loss, and to end
        with the parameters of the best epoch.
    validation_fraction : float, default=0.1
        Fraction of the samples held out by `early_stopping`, unless `fit` gets ``X_val``.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of Adam's averages, in [0, 1).
    epsilon : float, default=1e-8
        Number added to Adam's divisor before its bias is corrected.
    n_iter_no_change : int or inf, default=10
        Number of consecutive epochs without improvement that do not end the training.
    max_fun : int, default=15000
        Maximum number of evaluations of the loss by "lbfgs".
    dropout : float, default=0.0
        Probability in [0, 1) that a hidden unit is left out of a step; must be 0 for "lbfgs".
    input_dropout : float, default=0.0
        Probability in [0, 1) that an input is left out of a step; must be 0 for "lbfgs".
    batch_normalization : bool, default=False
        Whether to normalize the hidden layers' sums by the mean and variance of the batch.
    compute_dtype : {"bfloat16", "float32", "float64"} or None, default=None
        Type of the factors of a training step's products. `X` of any type is converted to the type
        of the parameters: float32 with "float32" and with "bfloat16", which `fastmlp.MLP`
        describes and "lbfgs" does not take. By default that of `X` if it is float32, else float64.
    class_weight : dict, "balanced" or None, default=None
        Factors of the sample weights by class, multiplied with ``sample_weight``; "balanced" gives
        all classes the same total weight. For several labels, a list of one dict per label.
    optimizer : fastmlp optimizer or None, default=None
        Optimizer such as ``fastmlp.AdamW(schedule)``, which replaces `solver`, `learning_rate` and
        their parameters. `alpha` applies unless the optimizer has an ``l1`` or ``l2``.
    callbacks : list of callbacks or None, default=None
        `fastmlp.Callback` objects and functions ``f(model, record)``; one that returns True ends
        the training. Only `fit` calls them, with "lbfgs" after each iteration.
    n_threads : int or None, default=None
        Number of threads at most; by default it depends on the work of a step. Results do not.

    Attributes
    ----------
    classes_ : array of shape (classes,)
        Classes in ascending order; for several labels at once, the indices of the labels.
    coefs_ : list of array of shape (in, out)
        Weights of each layer.
    intercepts_ : list of array of shape (out,)
        Biases of each layer.
    normalization_ : dict of str to array
        Scales, means and variances; exists only with `batch_normalization`.
    n_iter_ : int
        Number of epochs, or iterations of "lbfgs", of the last fit.
    t_ : int
        Number of samples processed by all fits.
    loss_ : float
        Loss of the last epoch.
    loss_curve_ : list of float
        Loss of each epoch, penalty included. "lbfgs" sets no curves and no best values.
    best_loss_ : float or None
        Lowest loss; None with `early_stopping`.
    validation_scores_ : list of float or None
        Accuracy of each epoch with `early_stopping`.
    best_validation_score_ : float or None
        Largest value of ``validation_scores_``.
    validation_loss_curve_ : list of float or None
        Loss without penalty of each epoch on the samples held out.
    n_layers_, n_outputs_, n_features_in_ : int
        Numbers of layers of units (inputs included), of outputs and of inputs.
    feature_names_in_ : array of str
        Names of the inputs, if `X` had names.
    out_activation_ : str
        "softmax", or "logistic" for two classes and several labels.

    Notes
    -----
    Equal parameters and `random_state` give scikit-learn's coefficients, curves and predictions up
    to rounding, with these exceptions:

    - The loss of a sample is not limited to -log(epsilon) of the scalar type (36 for float64);
      scikit-learn limits it in the values that it reports and passes to L-BFGS.
    - A warm start with `early_stopping` keeps the best weights of the earlier fits, which
      scikit-learn overwrites.
    - A training that diverges ends at once, with the parameters of the previous epoch.
    - Results of float32 samples are float32, also those of "lbfgs", which computes in float64.

    Examples
    --------
    >>> from fastmlp import MLPClassifier
    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = MLPClassifier(random_state=0, max_iter=500).fit(X, y)
    >>> bool(classifier.score(X, y) > 0.95)
    True
    """

    _parameter_constraints = CONSTRAINTS | {
        "class_weight": [dict, list, StrOptions({"balanced"}), None]
    }
    _has_accuracy = True
    _numeric_targets = False
    loss = "log_loss"

    def __init__(
        self,
        hidden_layer_sizes: Any = (100,),
        activation: Any = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: Any = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: Any = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        dropout: float = 0.0,
        input_dropout: float = 0.0,
        batch_normalization: bool = False,
        compute_dtype: str | None = None,
        class_weight: Any = None,
        optimizer: Any = None,
        callbacks: Any = None,
        n_threads: int | None = None,
    ) -> None:
        store_parameters(self, locals())

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        *,
        resume: bool = False,
    ) -> MLPClassifier:
        """Train the network.

        Parameters
        ----------
        X : array or CSR matrix of shape (samples, features)
            Samples. float32 is trained in float32, everything else in float64.
        y : array of shape (samples,) or (samples, labels)
            Labels of any sortable type, or an indicator matrix of several labels.
        sample_weight : array of shape (samples,), optional
            Factor of each sample's loss; the loss of a batch is divided by their sum.
        X_val, y_val : arrays, optional
            Validation samples, used instead of samples held out from `X`.
        resume : bool, default=False
            Continue the last `fit` on these samples, up to `max_iter` epochs in total. The result
            is that of one longer `fit`, to the last bit, if `random_state` is not None and was not
            used in between.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument or parameter is out of range, or the training diverged; then the error is a
            `fastmlp.DivergedError` as well.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> MLPClassifier(max_iter=500, random_state=0).fit(X, y).score(X, y) > 0.95
        True
        """
        self._fit(X, y, sample_weight, (X_val, y_val), "resume" if resume else "fit")
        return self

    @available_if(BaseMLP._check_solver)  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(
        self, X: Any, y: Any, sample_weight: Any = None, classes: Any = None
    ) -> MLPClassifier:
        """Train for one epoch; the optimizer keeps its state between calls.

        Parameters
        ----------
        X, y, sample_weight
            Samples, labels and factors of the losses, as in `fit`.
        classes : array of shape (classes,)
            Labels of all calls; required in the first call.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid in `fit`, or `y` holds a class that is not among `classes`.

        Examples
        --------
        >>> from fastmlp import MLPClassifier
        >>> model = MLPClassifier(random_state=0)
        >>> model.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1, 2]).n_iter_
        1
        """
        if _check_partial_fit_first_call(self, classes):
            multilabel = type_of_target(y).startswith("multilabel")
            self._label_binarizer = LabelBinarizer().fit(y if multilabel else classes)
        self._fit(X, y, sample_weight, (None, None), "partial_fit")
        return self

    def predict(self, X: Any) -> Array:
        """Predict the most probable class of each sample.

        Parameters
        ----------
        X : array or CSR matrix of shape (samples, features)
            Samples.

        Returns
        -------
        array of shape (samples,), or indicator matrix of shape (samples, labels)

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from fastmlp import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> MLPClassifier(max_iter=500, random_state=0).fit(X, y).predict(X[:3])
        array([0, 0, 0])
        """
        model, rows = self._network_and_rows(X)
        if self.out_activation_ == "softmax":
            labels: Array = self.classes_[model._classes_of(rows, self._threads)]
            return labels
        outputs = model._outputs_of(rows, "sigmoid", self._threads)
        if self.n_outputs_ == 1:
            outputs = outputs.ravel()
        decoded: Array = self._label_binarizer.inverse_transform(outputs)
        return decoded

    def predict_proba(self, X: Any) -> Array:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array or CSR matrix of shape (samples, features)
            Samples.

        Returns
        -------
        array of shape (samples, classes)
            Columns in the order of ``classes_``.

        Examples
        --------
        >>> from fastmlp import MLPClassifier
        >>> model = MLPClassifier(random_state=0)
        >>> model = model.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
        >>> model.predict_proba([[0.0], [1.0], [2.0]]).shape
        (3, 2)
        """
        model, rows = self._network_and_rows(X)
        link: Link = "softmax" if self.out_activation_ == "softmax" else "sigmoid"
        probabilities = model._outputs_of(rows, link, self._threads)
        if self.n_outputs_ > 1:
            return probabilities
        return np.hstack([1 - probabilities, probabilities])

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the natural logarithm of the probability of each class.

        Parameters, returned value and errors are those of `predict_proba`.

        Examples
        --------
        >>> from fastmlp import MLPClassifier
        >>> model = MLPClassifier(random_state=0)
        >>> model = model.partial_fit([[0.0], [1.0]], [0, 1], classes=[0, 1])
        >>> bool((model.predict_log_proba([[2.0]]) < 0).all())
        True
        """
        probabilities = self.predict_proba(X)
        return np.log(probabilities, out=probabilities)

    # ------------------------------------------------------------ targets

    def _check_targets(self, y: Any, mode: Mode) -> Any:
        if y.dtype.kind == "f" and str(type_of_target(y)).startswith("continuous"):
            raise ValueError(
                "Unknown label type: continuous. y must hold classes, got quantities such as "
                f"{np.ravel(y)[0]:g}; fastmlp.MLPRegressor takes quantities"
            )
        if not hasattr(self, "classes_") or (mode == "fit" and not self._used.warm_start):
            self._label_binarizer = LabelBinarizer().fit(y)
            self.classes_ = self._label_binarizer.classes_
            return y
        classes = unique_labels(y)
        if self._used.warm_start and mode != "resume":
            if set(classes) != set(self.classes_):
                raise ValueError(
                    "warm_start can only be used where `y` has the same classes as in the previous "
                    f"call to fit. Previously got {self.classes_}, `y` has {classes}"
                )
        else:
            self._require_known(classes)
        return y

    def _require_known(self, classes: Array) -> None:
        if len(np.setdiff1d(classes, self.classes_, assume_unique=True)):
            raise ValueError(
                "`y` has classes not in `self.classes_`. "
                f"`self.classes_` has {self.classes_}. 'y' has {classes}."
            )

    def _encode(self, y: Any, dtype: npt.DTypeLike) -> Array:
        kind = self._label_binarizer.y_type_
        if kind.startswith("multilabel") or y.ndim == 2:
            return np.ascontiguousarray(self._label_binarizer.transform(y), dtype=dtype)
        # A single class is the negative one, at index 0.
        indices: Array = np.searchsorted(self.classes_, y)
        if kind == "multiclass":
            return indices.astype(np.int64, copy=False)
        return indices.reshape(-1, 1).astype(dtype)

    def _count_outputs(self, targets: Array) -> int:
        return len(self.classes_) if targets.ndim == 1 else int(targets.shape[1])

    def _stratifies(self) -> bool:
        return self.n_outputs_ == 1

    def _weigh(self, y: Any, sample_weight: Array | None, mode: Mode) -> Array | None:
        if self.class_weight is None:
            return sample_weight
        if mode == "partial_fit" and isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all samples at once, which partial_fit does not "
                "get; pass the dict of sklearn.utils.class_weight.compute_class_weight"
            )
        weights: Array = compute_sample_weight(self.class_weight, y)
        return weights if sample_weight is None else weights * sample_weight

    # ------------------------------------------------------------ network

    def _core_loss(self) -> str:
        if self.out_activation_ == "softmax":
            return "softmax_cross_entropy"
        return "binary_cross_entropy"

    def _output_activation(self) -> str:
        return "softmax" if self._label_binarizer.y_type_ == "multiclass" else "logistic"

    def _score_outputs(self, model: Network, data: Data) -> float:
        """Return the fraction of the samples, or of their weight, with all labels correct."""
        targets = data.targets[0]
        if self.out_activation_ == "softmax":
            right = model._classes_of(data.rows, self._threads) == targets
        else:
            outputs = model._outputs_of(data.rows, "none", self._threads)
            right = ((outputs > 0) == (targets > 0)).all(axis=1)
        return float(np.average(right, weights=data.sample_weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
