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
_FEWEST = 20
# A fall counts if it is this share of the loss, and this multiple of the noise of the average.
_LEAST_SHARE = 0.05
_LEAST_NOISE = 5.0


@dataclass(frozen=True, repr=False)
class LearningRates:
    """Result of a learning-rate range test: losses while the rate grows.

    Attributes
    ----------
    rates, losses : float64 arrays of shape (steps,)
        Learning rate of each step, and loss before the step, smoothed by a moving average of decay
        0.9 with bias correction.
    diverged : bool
        Whether the test ended early: the loss was four times the smallest one, or not finite.
    suggestion : float or None
        Learning rate at which the loss falls most steeply with the logarithm of the rate. The
        search skips the first tenth of the descent, where the noise of mini-batches dominates, and
        ends at the lowest loss. None if there is a `problem`.
    problem : str or None
        Why the curve suggests no rate, and what helps: it has less than 20 steps; the loss does not
        fall by 5 % and by five standard deviations of its average, as with a model that is trained
        already, or if it grows from the first rate on; or it still falls at the highest rate.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.random.default_rng(0).standard_normal((400, 4))
    >>> y = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> model = fastmlp.MLP([4, 16, 2], seed=0)
    >>> found = model.lr_find(x, y, batch_size=16)
    >>> len(found.rates) == len(found.losses), 1e-6 <= found.suggestion <= 10
    (True, True)
    >>> model.lr_find(x, y, steps=10).problem
    'steps must be 20 or more to tell a fall from noise, got 10'
    """

    rates: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    diverged: bool = False

    def __repr__(self) -> str:
        rates = f"{self.rates[0]:g} to {self.rates[-1]:g}"
        suggestion = self.suggestion
        if suggestion is None:
            found = f"suggestion=None, problem={self.problem!r}"
        else:
            found = f"suggestion={suggestion:.3g}"
        return f"LearningRates({rates}, steps={len(self.rates)}, {found})"

    @property
    def suggestion(self) -> float | None:
        """Learning rate at which the loss falls most steeply; None if there is a `problem`."""
        return None if self.problem is not None else float(self.rates[self._steepest()])

    @property
    def problem(self) -> str | None:
        """Why the curve suggests no rate, and what helps; None if it suggests one."""
        steps, losses, end = len(self.rates), self.losses, f"{self.rates[-1]:.3g}"
        if steps < _FEWEST and self.diverged:
            return (
                f"the loss grows from {losses[0]:.3g} to {losses[-1]:.3g} in {steps} steps, from "
                f"the rate {self.rates[0]:.3g} on; a smaller lowest, standardized samples or an "
                "untrained model may help"
            )
        if steps < _FEWEST:
            return f"steps must be {_FEWEST} or more to tell a fall from noise, got {steps}"
        level, lowest, noise = self._level(), float(losses[self._lowest()]), self._noise()
        if level - lowest < max(_LEAST_SHARE * abs(level), _LEAST_NOISE * noise):
            return (
                f"the loss does not fall by 5 % and five times its noise, {noise:.2g}: from "
                f"{level:.3g} to {lowest:.3g} at best, at rates from {self.rates[0]:.3g} to {end}; "
                "an untrained model, a larger batch_size or more steps may help"
            )
        tenth = max(steps // 10, 2)
        falls = losses[:-tenth] - losses[tenth:]
        if self._lowest() >= steps - tenth and falls[-1] > falls.max() / 2:
            return (
                f"the loss still falls at the highest rate, {end}; a larger highest shows where it "
                "falls most steeply"
            )
        if self.diverged and self._steepest() >= steps - tenth:
            return (
                f"the loss falls most steeply where it diverges, before the rate {end}; more steps "
                "tell one from the other"
            )
        return None

    def _lowest(self) -> int:
        """Index of the lowest loss, without the first averages, which are of few losses."""
        return _FEWEST // 2 + int(np.argmin(self.losses[_FEWEST // 2 :]))

    def _level(self) -> float:
        """Loss before the fall, which does not count where a rise precedes it."""
        before = np.median(self.losses[: self._lowest() // 2 + 1])
        return float(min(before, np.median(self.losses[: _FEWEST // 2])))

    def _noise(self) -> float:
        """Standard deviation of the lowest average, by the differences of the losses before it."""
        lowest = self._lowest()
        kept = _SMOOTHING ** np.arange(1, lowest + 2)
        sums = self.losses[: lowest + 1] * (1 - kept)
        losses = (sums[1:] - _SMOOTHING * sums[:-1]) / (1 - _SMOOTHING)
        of_one = float(np.median(np.abs(np.diff(losses)))) / 0.954  # of normal losses
        squares = (1 - _SMOOTHING) / (1 + _SMOOTHING) * (1 - kept[-1] ** 2)  # of the shares
        return of_one * math.sqrt(squares) / (1 - float(kept[-1]))

    def _steepest(self) -> int:
        """Index of the steepest descent after the first tenth of the fall."""
        lowest, level = self._lowest(), self._level()
        begun = level - 0.1 * (level - self.losses[lowest])
        first = int(np.flatnonzero(self.losses[:lowest] >= begun)[-1])
        steepness = np.gradient(self.losses, np.log(self.rates))
        return first + int(np.argmin(steepness[first : lowest + 1]))


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
    status = ""
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
        status = report.status
        if status == "diverged":
            break
    if not losses:
        raise DivergedError(
            f"the loss is not finite at the rate {low:g}, the lowest; standardize the samples",
            1,
            1,
        )
    return _smoothed(rates, np.array(losses), status == "diverged")


def _smoothed(
    rates: npt.NDArray[np.float64], losses: npt.NDArray[np.float64], diverged: bool
) -> LearningRates:
    average = 0.0
    smoothed: list[float] = []
    for step, loss in enumerate(losses):
        average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
        smoothed.append(average / (1 - _SMOOTHING ** (step + 1)))
        if smoothed[-1] > _WORSE * min(smoothed):
            diverged = True
            break
    return LearningRates(rates[: len(smoothed)].copy(), np.array(smoothed), diverged)
