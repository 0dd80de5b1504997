"""`MLPRegressor`: one or several real outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import xlogy
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if

from fastmlp.estimators.base import BaseMLP, Mode
from fastmlp.estimators.parameters import CONSTRAINTS, store_parameters
from fastmlp.estimators.samples import LossMeasure
from fastmlp.losses import LOSSES, Loss
from fastmlp.network import Network
from fastmlp.network.samples import Data, Rows

__all__ = ["MLPRegressor"]

Array = npt.NDArray[Any]
_CORE_NAMES = {"squared_error": "half_mse"}
_OUTPUT_ACTIVATIONS = {"none": "identity", "exp": "exp", "sigmoid": "logistic"}
_NAMED_LOSSES = {"squared_error", "poisson", "huber", "mae", "quantile"}


class MLPRegressor(RegressorMixin, BaseMLP):  # type: ignore[misc]
    """Multi-layer perceptron for real values, in the place of scikit-learn's.

    Minimizes half the squared error, or another loss, summed over the outputs.

    Parameters
    ----------
    loss : str or fastmlp loss, default="squared_error"
        "squared_error" is half the squared error; "poisson" half the deviance of counts whose
        logarithm the network computes; "huber", "mae" and "quantile" (the median) are those of
        this library, where objects such as ``fastmlp.Quantile(0.9)`` have other parameters.
    hidden_layer_sizes : int or sequence of int, default=(100,)
        Units of each hidden layer; empty for none.
    activation : str or fastmlp activation, default="relu"
        Of the hidden layers: "identity", "logistic", "tanh", "relu", or another one of this
        library by name or as an object with parameters.
    solver : {"lbfgs", "sgd", "adam"}, default="adam"
        L-BFGS on all samples at once, or mini-batches with momentum or Adam.
    alpha : float, default=0.0001
        The penalty ``alpha / 2`` times the sum of the squared weights, divided by the number
        of samples of a batch, or by their weight, is added to its loss.
    batch_size : int or "auto", default="auto"
        Samples of a mini-batch; "auto" takes 200, or all if there are fewer.
    learning_rate : {"constant", "invscaling", "adaptive"}, default="constant"
        For "sgd": "invscaling" divides the rate by ``t_ ** power_t``; "adaptive" divides it by
        5 instead of stopping, until it is below 1e-6.
    learning_rate_init : float, default=0.001
        First learning rate of "sgd" and "adam".
    power_t : float, default=0.5
        Exponent of "invscaling".
    max_iter : int, default=200
        Most epochs, or iterations of "lbfgs".
    shuffle : bool, default=True
        Whether each epoch has an order of its own.
    random_state : int, RandomState or None, default=None
        Initial parameters, split and orders come from it, the same as in scikit-learn.
    tol : float, default=1e-4
        Least improvement of the loss, or of the validation score, that counts as one; for
        "lbfgs" the largest element of the gradient at which it is done.
    verbose : bool or int, default=False
        Print the loss of each epoch.
    warm_start : bool, default=False
        Whether `fit` begins with the parameters of the previous one. The optimizer starts anew.
    momentum : float, default=0.9
        Of "sgd", in [0, 1].
    nesterovs_momentum : bool, default=True
        Nesterov's form of it.
    early_stopping : bool, default=False
        Hold samples out, watch the score on them in place of the loss, and end with the
        parameters of the best epoch.
    validation_fraction : float, default=0.1
        Part of the samples held out by `early_stopping`, unless `fit` gets ``X_val``.
    beta_1, beta_2 : float, default=0.9, 0.999
        Decay rates of Adam's averages, in [0, 1).
    epsilon : float, default=1e-8
        Added to Adam's divisor before its bias is corrected.
    n_iter_no_change : int or inf, default=10
        Epochs in a row without improvement that are let pass.
    max_fun : int, default=15000
        Most evaluations of the loss by "lbfgs".
    dropout : float, default=0.0
        Probability in [0, 1) that a hidden unit is left out of a step. Not for "lbfgs".
    input_dropout : float, default=0.0
        The same for inputs.
    batch_normalization : bool, default=False
        Normalize the hidden layers' sums by the mean and variance of the batch.
    optimizer : fastmlp optimizer or None, default=None
        Such as ``fastmlp.AdamW(schedule)``. Takes the place of `solver`, `learning_rate` and
        what belongs to them. `alpha` stays, unless the optimizer has an ``l1`` or ``l2``.
    callbacks : list of callbacks or None, default=None
        `fastmlp.Callback` objects and functions ``f(model, record)``; those that return True
        end the training. Called by `fit` alone, with "lbfgs" after each iteration.
    n_threads : int or None, default=None
        By default chosen by the work of a step. The results do not depend on it.

    Attributes
    ----------
    coefs_ : list of array of shape (in, out)
        Weights of each layer.
    intercepts_ : list of array of shape (out,)
        Biases of each layer.
    normalization_ : dict of str to array
        Scales, means and variances, with `batch_normalization` alone.
    n_iter_ : int
        Epochs, or iterations of "lbfgs", of the last fit.
    t_ : int
        Samples seen by all fits.
    loss_ : float
        Loss of the last epoch.
    loss_curve_ : list of float
        Loss of each epoch, penalty included. Not of "lbfgs", as all curves and bests.
    best_loss_ : float or None
        Lowest loss; None with `early_stopping`.
    validation_scores_ : list of float or None
        R^2 of each epoch with `early_stopping`.
    best_validation_score_ : float or None
        The largest of them.
    validation_loss_curve_ : list of float or None
        Loss without penalty of each epoch on the samples held out.
    n_layers_, n_outputs_, n_features_in_ : int
        Layers of units, inputs included; outputs; inputs.
    feature_names_in_ : array of str
        Names of the inputs, where `X` had some.
    out_activation_ : str
        "exp" for "poisson", else "identity".

    Notes
    -----
    Equal parameters and `random_state` give scikit-learn's coefficients, curves and predictions up
    to rounding. Where they may differ:

    - A warm start with `early_stopping` keeps the best weights of the earlier fits, which
      scikit-learn overwrites.
    - A training that diverges ends at once, with the parameters of the epoch before.
    - float32 stays float32 throughout, also in the results of "lbfgs", which computes in float64.

    Examples
    --------
    >>> from fastmlp import MLPRegressor
    >>> from sklearn.datasets import make_regression
    >>> X, y = make_regression(200, 5, random_state=0)
    >>> y = y / y.std()
    >>> regressor = MLPRegressor(random_state=0, max_iter=1000).fit(X, y)
    >>> bool(regressor.score(X, y) > 0.99)
    True
    """

    _parameter_constraints = CONSTRAINTS | {"loss": [StrOptions(_NAMED_LOSSES), Loss]}
    _has_accuracy = False
    _numeric_targets = True

    def __init__(
        self,
        loss: Any = "squared_error",
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
    ) -> MLPRegressor:
        """Train the network.

        Parameters
        ----------
        X : array or CSR matrix of shape (samples, features)
            Samples. float32 is trained in float32, everything else in float64.
        y : array of shape (samples,) or (samples, outputs)
            Targets, real numbers.
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
        >>> import numpy as np
        >>> from fastmlp import MLPRegressor
        >>> X = np.linspace(-1, 1, 200).reshape(-1, 1)
        >>> y = X.ravel() ** 2
        >>> MLPRegressor(solver="lbfgs", random_state=0).fit(X, y).score(X, y) > 0.99
        True
        """
        self._fit(X, y, sample_weight, (X_val, y_val), "resume" if resume else "fit")
        return self

    @available_if(BaseMLP._check_solver)  # type: ignore[untyped-decorator]
    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> MLPRegressor:
        """Train for one epoch; the optimizer keeps its state between calls.

        Parameters
        ----------
        X, y, sample_weight
            As in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            As in `fit`.

        Examples
        --------
        >>> from fastmlp import MLPRegressor
        >>> MLPRegressor(random_state=0).partial_fit([[0.0], [1.0]], [0.0, 1.0]).n_iter_
        1
        """
        self._fit(X, y, sample_weight, (None, None), "partial_fit")
        return self

    def predict(self, X: Any) -> Array:
        """Predict values.

        Parameters
        ----------
        X : array or CSR matrix of shape (samples, features)
            Samples.

        Returns
        -------
        array of shape (samples,), or (samples, outputs) for several outputs

        Examples
        --------
        >>> from fastmlp import MLPRegressor
        >>> model = MLPRegressor(random_state=0).partial_fit([[0.0], [1.0]], [0.0, 1.0])
        >>> model.predict([[0.0], [1.0], [2.0]]).shape
        (3,)
        """
        predicted = self._outputs(*self._network_and_rows(X))
        return predicted.ravel() if self.n_outputs_ == 1 else predicted

    def _outputs(self, model: Network, rows: Rows) -> Array:
        return model._outputs_of(rows, self._loss().link, self._threads)

    # ------------------------------------------------------------ targets and network

    def _check_targets(self, y: Any, mode: Mode) -> Any:
        if self._loss().takes_classes:
            raise ValueError(f"loss must be one of real values, got {self.loss!r}")
        return y

    def _encode(self, y: Any, dtype: npt.DTypeLike) -> Array:
        values = y.reshape(len(y), -1)
        return self._loss().targets("y", values, len(y), values.shape[1], dtype)

    def _stratifies(self) -> bool:
        return False

    def _loss(self) -> Loss:
        if isinstance(self.loss, Loss):
            return self.loss
        name: str = self.loss
        return LOSSES[_CORE_NAMES.get(name, name)]()

    def _core_loss(self) -> Loss:
        return self._loss()

    def _output_activation(self) -> str:
        return _OUTPUT_ACTIVATIONS[self._loss().link]

    def _loss_measure(self) -> LossMeasure:
        if self.loss == "poisson":
            return LossMeasure(constants=_poisson_constants)
        return LossMeasure(1 / self.n_outputs_ if self.loss == "squared_error" else 1.0)

    def _score_outputs(self, model: Network, data: Data) -> float:
        """R^2, as of `score`."""
        predicted = self._outputs(model, data.rows)
        if not np.isfinite(predicted).all():
            return float("nan")
        return r_squared(data.targets[0], predicted, data.sample_weight)


def r_squared(targets: Array, predicted: Array, weights: Array | None) -> float:
    """Mean over the outputs of 1 - squared errors / squares about the mean, as scikit-learn's.

    Targets that are all the same have the score 1 if they are met exactly, else 0.
    """
    factors = 1.0 if weights is None else weights[:, np.newaxis].astype(np.float64)
    values = targets.astype(np.float64)
    center = np.average(values, axis=0, weights=weights)
    errors = (factors * (values - predicted) ** 2).sum(axis=0)
    squares = (factors * (values - center) ** 2).sum(axis=0)
    varies = squares > 0
    scores = np.where(errors > 0, 0.0, 1.0)
    scores[varies] = 1.0 - errors[varies] / squares[varies]
    return float(scores.mean())


def _poisson_constants(targets: Array) -> Array:
    """What the deviance has besides ``exp(o) - t o``: ``t log t - t``, summed over outputs."""
    values = targets.astype(np.float64)
    constants: Array = (xlogy(values, values) - values).sum(axis=1)
    return constants
