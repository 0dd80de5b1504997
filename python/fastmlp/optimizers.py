"""Optimizers: settings checked here, arithmetic in the core."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fastmlp.validation import real

__all__ = ["SGD", "checked_optimizer"]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum, Nesterov's form of it, and L2 regularisation.

    With the gradient ``g`` of the mean loss of a mini-batch, plus ``l2 * w`` for weights (not for
    biases):

    - ``v = momentum * v - learning_rate * g``
    - ``w = w + v``, or ``w = w + momentum * v - learning_rate * g`` with ``nesterov``

    PyTorch keeps ``v`` free of the learning rate, so the two differ once the rate changes during
    training. Source: I. Sutskever, J. Martens, G. Dahl, G. Hinton, "On the importance of
    initialization and momentum in deep learning", 2013.

    Parameters
    ----------
    learning_rate : float or callable
        Step size >= 0. A callable gets the epoch, counted from 0, and returns the rate for it.
    momentum : float
        In [0, 1).
    nesterov : bool
        Requires momentum > 0.
    l2 : float
        The objective adds ``l2 / 2`` times the sum of the squared weights.

    Raises
    ------
    TypeError, ValueError
        A setting is of the wrong kind or out of range.
    """

    learning_rate: float | Callable[[int], float] = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    l2: float = 0.0

    def __post_init__(self) -> None:
        if not callable(self.learning_rate):
            real("learning_rate", self.learning_rate, 0.0)
        real("momentum", self.momentum, 0.0, 1.0, below=True)
        real("l2", self.l2, 0.0)
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"nesterov must be a bool, got {type(self.nesterov).__name__}")
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov requires momentum > 0, got momentum 0")

    @property
    def rule(self) -> str:
        """Name of the update rule in the core."""
        if self.momentum == 0:
            return "sgd"
        return "nesterov" if self.nesterov else "momentum"

    def learning_rate_at(self, epoch: int) -> float:
        """Learning rate of an epoch counted from 0."""
        rate = self.learning_rate(epoch) if callable(self.learning_rate) else self.learning_rate
        return real("learning_rate", rate, 0.0)


def checked_optimizer(optimizer: SGD | None) -> SGD:
    """The optimizer, or the default one for None."""
    if optimizer is None:
        return SGD(learning_rate=0.1, momentum=0.9)
    if not isinstance(optimizer, SGD):
        raise TypeError(f"optimizer must be fastmlp.SGD, got {type(optimizer).__name__}")
    return optimizer
