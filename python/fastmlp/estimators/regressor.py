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
    """Multi-layer perceptron for real values, a replacement of scikit-learn's.

    The loss is half the squared error, or another loss, summed over the outputs.

    Parameters
    ----------
    loss : str or fastmlp loss, default="squared_error"
        "squared_error" is half the squared error; "poisson" is half the deviance of counts, and the
        network computes the logarithms of their rates; "huber", "mae" and "quantile" (the median)
        are losses of this library. An object such as ``fastmlp.Quantile(0.9)`` sets parameters.
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
        R^2 of each epoch with `early_stopping`.
    best_validation_score_ : float or None
        Largest value of ``validation_scores_``.
    validation_loss_curve_ : list of float or None
        Loss without penalty of each epoch on the samples held out.
    n_layers_, n_outputs_, n_features_in_ : int
        Numbers of layers of units (inputs included), of outputs and of inputs.
    feature_names_in_ : array of str
        Names of the inputs, if `X` had names.
    out_activation_ : str
        "exp" for "poisson", else "identity".

    Notes
    -----
    Equal parameters and `random_state` give scikit-learn's coefficients, curves and predictions up
    to rounding, with these exceptions:

    - A warm start with `early_stopping` keeps the best weights of the earlier fits, which
      scikit-learn overwrites.
    - A training that diverges ends at once, with the parameters of the previous epoch.
    - Results of float32 samples are float32, also those of "lbfgs", which computes in float64.

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
        compute_dtype: str | None = None,
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
            Samples, targets and factors of the losses, as in `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            An argument is invalid in `fit`, or the training diverged.

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
            raise ValueError(f"loss must be for real values, not for classes, got {self.loss!r}")
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
        """Return R^2 as `score` does; NaN if a prediction is not finite."""
        predicted = self._outputs(model, data.rows)
        if not np.isfinite(predicted).all():
            return float("nan")
        return r_squared(data.targets[0], predicted, data.sample_weight)


def r_squared(targets: Array, predicted: Array, weights: Array | None) -> float:
    """Return scikit-learn's R^2: 1 - squared errors / squared deviations, averaged over outputs.

    The score of constant targets is 1 if all predictions are exact, else 0.
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
    """Return the constant part of the Poisson deviance: ``t log t - t`` summed over the outputs."""
    values = targets.astype(np.float64)
    constants: Array = (xlogy(values, values) - values).sum(axis=1)
    return constants
