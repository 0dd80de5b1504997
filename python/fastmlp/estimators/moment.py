"""What an estimator is after an epoch, besides its parameters."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.estimators.network import Parameters
from fastmlp.estimators.session import Session

__all__ = ["Moment"]

_COUNTERS = ("n_iter_", "t_", "loss_", "best_validation_score_", "best_loss_")
_CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


@dataclass(frozen=True)
class Moment:
    """All that the next epoch changes: one that was cut begins with it again, and is gone on with.

    Attributes
    ----------
    attributes : dict
        Of the estimator.
    plateau : tuple of float and int
    random : tuple or None
        State of the random numbers; None where they are the global ones.
    """

    attributes: dict[str, Any]
    plateau: tuple[float, int]
    best: Parameters | None
    random: Any
    epochs: int
    order: npt.NDArray[np.int64]
    rate: float
    schedule: Any

    @classmethod
    def of(cls, estimator: Any, session: Session, epochs: int) -> Moment:
        """The present one, in which so many epochs of the session are over."""
        values = vars(estimator)
        attributes = {name: values[name] for name in _COUNTERS if name in values}
        attributes |= {name: copy.copy(values[name]) for name in _CURVES if name in values}
        plateau = estimator._plateau
        random = None
        if estimator.random_state is not None:
            random = estimator._random_state.get_state()
        schedule = None
        if session.has_schedule:
            schedule = session.schedule.state()
        return cls(
            attributes,
            (plateau.best, plateau.count),
            values.get("_best_parameters"),
            random,
            epochs,
            session.order,
            session.rate.value,
            schedule,
        )

    def restore(self, estimator: Any, session: Session) -> None:
        """Make it the present one."""
        for name, value in self.attributes.items():
            setattr(estimator, name, copy.copy(value))
        estimator._plateau.best, estimator._plateau.count = self.plateau
        if self.best is not None:
            estimator._best_parameters = self.best
        if self.random is not None:
            estimator._random_state.set_state(self.random)
        session.epochs = self.epochs
        session.order = self.order
        session.rate.value = self.rate
        if session.has_schedule and self.schedule is not None:
            session.schedule.restore(self.schedule)
