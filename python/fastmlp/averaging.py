"""Averages of the parameters over the steps or epochs of a training."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.validation import integer, keep, real

__all__ = ["EMA", "SWA", "Averaging"]


@dataclass(frozen=True)
class Averaging:
    """Averages that validation, callbacks and the trained model use in place of the parameters."""

    @property
    def step_decay(self) -> float:
        """Decay rate of an average that every step updates; 0 for none."""
        return 0.0

    def epoch_decay(self, epoch: int) -> float | None:
        """Return the decay rate of the update after an epoch (from 0); None for no update."""
        return None


@dataclass(frozen=True)
class EMA(Averaging):
    """Exponential moving average: after each step ``a = decay * a + (1 - decay) * w``.

    Source: B. Polyak, A. Juditsky, "Acceleration of stochastic approximation by averaging", 1992.
    Averages start at the initial parameters and include running moments of batch normalization.

    Parameters
    ----------
    decay : float
        Decay rate per step, in (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> averages = fastmlp.EMA(decay=0.9)
    >>> history = model.fit(x, y, epochs=2, averaging=averages, verbose=0)
    >>> averages
    EMA(decay=0.9)
    """

    decay: float = 0.999

    def __post_init__(self) -> None:
        decay = real("decay", self.decay, 0.0, 1.0, below=True)
        if decay == 0:
            raise ValueError("decay must be > 0, got 0")
        keep(self, decay=decay)

    @property
    def step_decay(self) -> float:
        """Decay rate of the average, `decay`."""
        return self.decay


@dataclass(frozen=True)
class SWA(Averaging):
    """Stochastic weight averaging: the mean of the parameters at the ends of epochs.

    Source: P. Izmailov et al., "Averaging weights leads to wider optima and better generalization",
    2018. Running moments of batch normalization are averaged too instead of measured again.

    Parameters
    ----------
    start : int
        First averaged epoch, counted from 1.
    every : int
        Number of epochs from one averaged epoch to the next, >= 1.

    Examples
    --------
    >>> import fastmlp
    >>> averages = fastmlp.SWA(start=3)  # for `fit(averaging=...)`
    >>> [averages.epoch_decay(epoch) for epoch in range(4)]
    [None, None, 0.0, 0.5]
    """

    start: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        keep(self, start=integer("start", self.start, 1), every=integer("every", self.every, 1))

    def epoch_decay(self, epoch: int) -> float | None:
        """Return 1 - 1 / n after the n-th averaged epoch; None after other epochs."""
        since = epoch + 1 - self.start
        if since < 0 or since % self.every:
            return None
        return 1 - 1 / (since // self.every + 1)
