"""L-BFGS by SciPy on the core's loss and gradient of all samples."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.errors import ConvergenceWarning
from fastmlp.history import History
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.training.objective import Objective
from fastmlp.validation import integer, keep, real

__all__ = ["LBFGS", "fit_lbfgs", "minimize"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the whole data set, without mini-batches, dropout and noise.

    D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
    Batch normalization keeps its running moments. Needs SciPy.

    ``history.ending`` tells what ended it: ``"converged"``; or, with a `ConvergenceWarning`,
    ``"iterations"`` or ``"evaluations"`` if a limit was reached, or ``"line search"`` if no step
    along the last direction lowered the loss.

    Parameters
    ----------
    l2 : float
        The objective adds ``l2 / 2`` times the sum of the squared weights.
    memory : int
        Number of pairs of steps and gradients that are kept.
    tolerance : float
        The training ends when no element of the gradient is larger.
    evaluations : int
        Most evaluations of the loss.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 1], loss="mse", dtype="float64", seed=0)
    >>> history = model.fit(x, x**2, epochs=200, optimizer=fastmlp.LBFGS(), verbose=0)
    >>> history.ending, history.loss[-1] < 1e-3
    ('converged', True)
    """

    l2: float = 0.0
    memory: int = 10
    tolerance: float = 1e-5
    evaluations: int = 15000

    def __post_init__(self) -> None:
        keep(
            self,
            l2=real("l2", self.l2, 0.0),
            memory=integer("memory", self.memory, 1),
            tolerance=real("tolerance", self.tolerance, 0.0),
            evaluations=integer("evaluations", self.evaluations, 1),
        )


_CURES = {
    "iterations": "it reached its limit of iterations, {iterations}; raise epochs, or scale the "
    "inputs",
    "evaluations": "it reached its limit of evaluations, {evaluations}; raise it",
    "line search": "no step lowered the loss any more; raise tolerance of LBFGS, scale the inputs, "
    "or train in float64",
}


def _scipy_minimize() -> Callable[..., Any]:
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("LBFGS needs SciPy: pip install 'fastmlp[sklearn]'") from None
    function: Callable[..., Any] = minimize
    return function


def minimize(
    objective: Objective,
    function: Callable[[Floats], tuple[float, Floats]],
    *,
    callback: Callable[[Any], object] | None,
    **options: Any,
) -> Any:
    """Lower a function of a model's parameters by SciPy, and leave the model at the best.

    C. Zhu, R. Byrd, P. Lu, J. Nocedal, "Algorithm 778: L-BFGS-B", 1997.

    Parameters
    ----------
    objective : Objective
        Of the model.
    function : callable
        Value and gradient: the objective or what measures it in another way.
    callback : callable, optional
        Called with SciPy's result after each iteration.
    options
        SciPy's.

    Returns
    -------
    scipy.optimize.OptimizeResult
    """
    result = _scipy_minimize()(
        function,
        objective.flat(),
        method="L-BFGS-B",
        jac=True,
        callback=callback,
        options=options,
    )
    objective.assign(result.x)
    return result


def _ending(result: Any, iterations: int) -> str:
    """What ended SciPy's minimization: status 1 is a limit, 2 the line search."""
    if result.status == 0:
        return "converged"
    if result.status == 1:
        return "iterations" if result.nit >= iterations else "evaluations"
    return "line search"


def fit_lbfgs(
    model: Network,
    data: Data,
    optimizer: LBFGS,
    iterations: int,
    threads: int | None,
    begin: Callable[[History], object],
) -> History:
    """Minimize for at most `iterations`; the history has one entry for each.

    ``begin`` is called with it before the parameters change for the first time.

    ``accuracy`` stays empty, and ``loss`` includes the penalty.

    Warns
    -----
    ConvergenceWarning
        A limit was reached, or the line search failed, before the gradient met the tolerance.

    Raises
    ------
    ImportError
        SciPy is not installed.
    """
    objective = Objective(model, data, threads, l2=optimizer.l2)
    history = History()
    start = time.perf_counter()

    def record(intermediate_result: object) -> None:
        nonlocal start
        now = time.perf_counter()
        loss = float(intermediate_result.fun)  # type: ignore[attr-defined]
        history.append({"loss": loss, "seconds": now - start})
        start = now

    _scipy_minimize()  # is there, or an error before the last training is given up
    begin(history)
    result = minimize(
        objective,
        objective,
        callback=record,
        maxiter=iterations,
        maxcor=min(optimizer.memory, iterations),  # more pairs than that never exist
        gtol=optimizer.tolerance,
        maxfun=optimizer.evaluations,
        ftol=64 * 2.220446049250313e-16,
    )
    history.ending = _ending(result, iterations)
    if history.ending != "converged":
        cure = _CURES[history.ending].format(
            iterations=iterations, evaluations=optimizer.evaluations
        )
        warnings.warn(f"LBFGS ended before it converged: {cure}", ConvergenceWarning, stacklevel=4)
    return history
