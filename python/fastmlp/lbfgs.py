"""L-BFGS by SciPy on the core's loss and gradient of all samples."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastmlp.history import History
from fastmlp.objective import Objective
from fastmlp.validation import integer, real

if TYPE_CHECKING:
    from fastmlp.model import MLP
    from fastmlp.training import Data

__all__ = ["LBFGS", "fit_lbfgs"]


@dataclass(frozen=True)
class LBFGS:
    """Limited-memory BFGS on the whole data set; no mini-batches, no dropout, no noise.

    D. Liu, J. Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.
    Batch normalisation keeps its running moments. Needs SciPy.

    Parameters
    ----------
    l2 : float
        The objective adds ``l2 / 2`` times the sum of the squared weights.
    memory : int
        Pairs of steps and gradients that are kept.
    tolerance : float
        Ends once no element of the gradient is larger.
    evaluations : int
        At most so many of the loss.
    """

    l2: float = 0.0
    memory: int = 10
    tolerance: float = 1e-5
    evaluations: int = 15000

    def __post_init__(self) -> None:
        real("l2", self.l2, 0.0)
        integer("memory", self.memory, 1)
        real("tolerance", self.tolerance, 0.0)
        integer("evaluations", self.evaluations, 1)


def fit_lbfgs(
    model: MLP,
    data: Data,
    optimizer: LBFGS,
    iterations: int,
    threads: int | None,
    begin: Callable[[History], object],
) -> History:
    """Minimise for at most `iterations`; the history has one entry for each.

    ``begin`` is called with it before the parameters change for the first time.

    ``accuracy`` stays empty, and ``loss`` includes the penalty.

    Raises
    ------
    ImportError
        SciPy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ImportError:
        raise ImportError("LBFGS needs SciPy: pip install 'fastmlp[sklearn]'") from None
    objective = Objective(
        model, data.rows, data.targets, data.sample_weight, threads, l2=optimizer.l2
    )
    history = History()
    start = time.perf_counter()

    def record(intermediate_result: object) -> None:
        nonlocal start
        now = time.perf_counter()
        loss = float(intermediate_result.fun)  # type: ignore[attr-defined]
        history.append({"loss": loss, "seconds": now - start})
        start = now

    begin(history)
    result = minimize(
        objective,
        objective.flat(),
        method="L-BFGS-B",
        jac=True,
        callback=record,
        options={
            "maxiter": iterations,
            "maxcor": optimizer.memory,
            "gtol": optimizer.tolerance,
            "maxfun": optimizer.evaluations,
            "ftol": 64 * 2.220446049250313e-16,
        },
    )
    objective.assign(result.x)
    return history
