"""Learning-rate range test: losses while the rate grows."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fastmlp.errors import DivergedError
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.optimizers import Optimizer
from fastmlp.training.run import Run
from fastmlp.validation import integer, real, require_held

__all__ = ["LearningRates", "find_learning_rates"]

_SMOOTHING = 0.9
_WORSE = 4.0


@dataclass(frozen=True, repr=False)
class LearningRates:
    """Result of a learning-rate range test: losses while the rate grows.

    Attributes
    ----------
    rates, losses : float64 arrays of shape (steps,)
        Learning rate of each step, and loss before the step, smoothed by a moving average of decay
        0.9 with bias correction. The arrays end where the loss is four times the smallest one.
    suggestion : float
        Learning rate at which the loss falls most steeply with the logarithm of the rate. The
        search skips the first tenth of the descent, where the noise of mini-batches dominates, and
        ends at the lowest loss.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> found = model.lr_find(x, y, steps=50, batch_size=8)
    >>> len(found.rates) == len(found.losses), 1e-6 <= found.suggestion <= 10
    (True, True)
    """

    rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]

    def __repr__(self) -> str:
        rates = f"{self.rates[0]:g} to {self.rates[-1]:g}"
        return f"LearningRates({rates}, steps={len(self.rates)}, suggestion={self.suggestion:.3g})"

    @property
    def suggestion(self) -> float:
        """Learning rate at which the loss falls most steeply."""
        lowest = int(np.argmin(self.losses))
        if len(self.rates) < 3 or lowest == 0:
            return float(self.rates[0])
        level = np.median(self.losses[: lowest // 2 + 1])
        begun = level - 0.1 * (level - self.losses[lowest])
        first = int(np.flatnonzero(self.losses[:lowest] >= begun)[-1])
        steepness = np.gradient(self.losses, np.log(self.rates))
        return float(self.rates[first + int(np.argmin(steepness[first : lowest + 1]))])


def find_learning_rates(
    model: Network,
    data: Data,
    optimizer: Optimizer,
    *,
    lowest: float = 1e-6,
    highest: float = 10.0,
    steps: int = 100,
    batch_size: int = 128,
    threads: int | None = None,
) -> LearningRates:
    """Train a copy of the model while the learning rate grows by a constant factor per step.

    Source: L. Smith, "Cyclical learning rates for training neural networks", 2017.

    Parameters
    ----------
    model : Network
        Model to copy; it is not changed.
    data : Data
        Samples, targets and weights.
    optimizer : Optimizer
        Optimizer whose learning rate is replaced.
    lowest, highest : float
        Learning rates of the first and the last step, 0 < lowest < highest.
    steps : int
        Number of steps, >= 2.
    batch_size : int
        Samples per step; at most all samples are used.
    threads : int, optional
        Number of threads; the default depends on the work of a step.

    Raises
    ------
    ValueError
        An argument is out of range, or the dtype of the model cannot represent a rate.
    DivergedError
        The loss is not finite at the lowest rate.
    """
    low = real("lowest", lowest, 0.0)
    high = real("highest", highest, 0.0)
    for name, rate in (("lowest", low), ("highest", high)):
        require_held(name, rate, model.dtype)
    if not 0 < low < high:
        raise ValueError(f"lowest must be > 0 and below highest, got {low:g} and {high:g}")
    steps = integer("steps", steps, 2)
    batch_size = min(integer("batch_size", batch_size, 1), len(data))
    settings = dataclasses.replace(optimizer, learning_rate=low).settings()
    rates = np.geomspace(low, high, steps)
    # The test trains a copy, so that no exception can leave the model with changed parameters.
    copy = Network(model.architecture)
    copy.set_parameters(model.parameters())
    run = Run(copy, batch_size, optimizer.rule, threads)
    losses: list[float] = []
    per_epoch = math.ceil(len(data) / batch_size)
    for epoch in range(math.ceil(steps / per_epoch)):
        left = rates[epoch * per_epoch : (epoch + 1) * per_epoch]
        report = run.epoch(
            data,
            settings | {"learning_rate": low},
            epoch=epoch,
            steps=len(left),
            learning_rates=left.tolist(),
            trainable=model._trainable_flags(),
            record_losses=True,
        )
        losses.extend(report.step_losses)
        if report.status == "diverged":
            break
    if not losses:
        raise DivergedError(f"the loss is not finite at the rate {low:g}, the lowest", 1, 1)
    return _smoothed(rates, np.array(losses))


def _smoothed(rates: npt.NDArray[np.float64], losses: npt.NDArray[np.float64]) -> LearningRates:
    average = 0.0
    smoothed: list[float] = []
    for step, loss in enumerate(losses):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smoothed.append(average / (1 - _SMOOTHING ** (step + 1)))
        if smoothed[-1] > _WORSE * min(smoothed):
            break
    return LearningRates(rates[: len(smoothed)].copy(), np.array(smoothed))
