"""All samples at once: L-BFGS of SciPy on the loss and gradient of the core."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult, minimize
from sklearn.utils.optimize import _check_optimize_result

from fastmlp.estimators.hooks import Observers
from fastmlp.estimators.samples import LossMeasure, Samples
from fastmlp.model import MLP
from fastmlp.training.objective import Objective

__all__ = ["minimize_loss"]

_STOPPED_BY_CALLBACK = 99  # status of SciPy

Floats = npt.NDArray[np.float64]


class _MeasuredLoss:
    """The objective with its value in scikit-learn's measure."""

    def __init__(
        self, objective: Objective, samples: Samples, measure: LossMeasure, l2: float, weights: int
    ) -> None:
        self._objective = objective
        self._factor = measure.factor
        self._offset = measure.offset(samples)
        self._l2 = l2
        self._weights = weights

    def __call__(self, flat: Floats) -> tuple[float, Floats]:
        loss, gradient = self._objective(flat)
        if self._factor != 1.0:
            # scikit-learn's value is the mean over outputs, and its gradient that of their sum.
            coefs = flat[: self._weights]
            penalty = 0.5 * self._l2 * float(coefs @ coefs)
            loss = (loss - penalty) * self._factor + penalty
        return loss + self._offset, gradient


def minimize_loss(
    estimator: Any,
    model: MLP,
    samples: Samples,
    measure: LossMeasure,
    observers: Observers | None,
) -> None:
    """Lower the loss from the network's present parameters, and leave it at the best.

    Sets ``n_iter_`` and ``loss_`` of the estimator. The algorithm is that of C. Zhu, R. Byrd,
    P. Lu, J. Nocedal, "Algorithm 778: L-BFGS-B", 1997.
    """
    used = estimator.used
    l2 = used.alpha / samples.total_weight
    objective = Objective(
        model,
        samples.core_rows(),
        samples.targets,
        sample_weight=samples.weights,
        threads=used.n_threads,
        l2=l2,
    )

    weights = sum(coef.size for coef in model.weights)

    def tell(intermediate_result: OptimizeResult) -> None:
        estimator.n_iter_ += 1
        objective.assign(intermediate_result.x)
        if observers is not None and _ends(estimator, observers, intermediate_result.fun):
            raise StopIteration

    result = minimize(
        _MeasuredLoss(objective, samples, measure, l2, weights),
        objective.flat(),
        method="L-BFGS-B",
        jac=True,
        callback=None if observers is None else tell,
        options={
            "maxfun": used.max_fun,
            "maxiter": used.max_iter,
            "gtol": used.tol,
        },
    )
    if result.status == _STOPPED_BY_CALLBACK:
        estimator.n_iter_ = result.nit
    else:
        estimator.n_iter_ = _check_optimize_result("lbfgs", result, used.max_iter)
    estimator.loss_ = float(result.fun)
    objective.assign(result.x)


def _ends(estimator: Any, observers: Observers, loss: float) -> bool:
    """Report an iteration as an epoch of one step; True when somebody ends the training."""
    ends = observers.epoch_begin()
    record = {"epoch": estimator.n_iter_, "epochs": estimator.used.max_iter, "loss": float(loss)}
    return observers.epoch_end(record | {"learning_rate": np.nan}) or ends
