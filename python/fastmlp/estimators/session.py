"""The part of a training that outlives a call of `fit`: optimizer, learning rate, order."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.estimators.network import NetworkSpec
from fastmlp.estimators.stopping import LearningRate
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.run import Run
from fastmlp.schedules import Schedule

__all__ = ["Session", "new_session"]

Array = npt.NDArray[Any]


class Session:
    """An optimizer between two epochs.

    Pickles without the objects of the core, which are made anew when they are asked for.

    Attributes
    ----------
    rate : LearningRate
        Used unless there is an `optimizer`, which brings its own.
    optimizer : Optimizer or None
        The user's, copied, so that the state of its schedule is this training's.
    epochs : int
        Completed since the optimizer started.
    order : int64 array of shape (samples,)
        Order of the samples in the last epoch.
    split : pair of int64 arrays or None
        Samples trained on and samples held out.
    """

    def __init__(
        self,
        rule: str,
        settings: dict[str, float],
        rate: LearningRate,
        optimizer: Optimizer | None = None,
    ) -> None:
        self.rule = rule
        self.settings = settings
        self.rate = rate
        self.optimizer = optimizer
        self.epochs = 0
        self.order: npt.NDArray[np.int64] = np.arange(0)
        self.split: tuple[Array, Array] | None = None
        self._slots: dict[str, Array] | None = None
        self._network: tuple[NetworkSpec, MLP] | None = None
        self._run: tuple[tuple[MLP, int, int | None], Run] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_slots": self._slots_now(), "_network": None, "_run": None}

    def _slots_now(self) -> dict[str, Array] | None:
        return self._slots if self._run is None else self._run[1].state()

    def check_order(self, samples: int) -> None:
        """Raise ValueError unless the last epoch had so many samples."""
        if len(self.order) != samples:
            raise ValueError(
                "resume=True requires the samples of the fit that it goes on with: "
                f"{len(self.order)} to train on, got {samples}"
            )

    def set_penalty(self, alpha: float) -> None:
        """scikit-learn divides `alpha` by the total weight of a batch; an optimizer does not."""
        if self.optimizer is None or self.optimizer.l1 == self.optimizer.l2 == 0:
            self.settings |= {"l2": float(alpha), "l2_per_batch": 1.0}

    def rates(self, step: int, steps: int, steps_per_epoch: int, epochs: int) -> list[float]:
        """Rates of some steps of the next epoch, from `step` counted from 0; or the one of all."""
        if self.optimizer is None:
            return [self.rate.value]
        first = self.epochs * steps_per_epoch + step
        rates: list[float] = self.optimizer.rates(first, steps, steps_per_epoch, epochs).tolist()
        return rates

    @property
    def has_schedule(self) -> bool:
        """Whether there is a schedule that may want to observe epochs."""
        return self.optimizer is not None and isinstance(self.optimizer.learning_rate, Schedule)

    def observe(self, record: dict[str, Any]) -> None:
        """Tell a schedule what an epoch measured."""
        if self.has_schedule:
            self.optimizer.learning_rate.observe(record)  # type: ignore[union-attr]

    def model(self, spec: NetworkSpec) -> MLP:
        """The network in training, a new one where there is none of this kind."""
        if self._network is None or self._network[0] != spec:
            self._network = (spec, spec.build())
        return self._network[1]

    def run(self, model: MLP, batch_size: int, threads: int | None) -> Run:
        """A run of the core whose optimizer goes on where the last one ended."""
        key = (model, batch_size, threads)
        if self._run is None or self._run[0] != key:
            slots = self._slots_now()
            run = Run(model, batch_size=batch_size, rule=self.rule, threads=threads)
            if slots is not None:
                run.restore(slots)
            self._run = (key, run)
        return self._run[1]


def new_session(estimator: Any) -> Session:
    """A session for the solver, or the optimizer, that an estimator's parameters ask for."""
    if estimator.optimizer is not None:
        optimizer = copy.deepcopy(estimator.optimizer)
        if isinstance(optimizer.learning_rate, Schedule):
            optimizer.learning_rate.reset()
        return Session(optimizer.rule, optimizer.settings(), LearningRate(0.0), optimizer)
    first = estimator.used.learning_rate_init
    if estimator.solver == "adam":
        settings = {
            "beta1": estimator.used.beta_1,
            "beta2": estimator.used.beta_2,
            "epsilon": estimator.used.epsilon,
            "epsilon_hat": 1.0,
        }
        return Session("adam", settings, LearningRate(first))
    rule = "nesterov" if estimator.used.nesterovs_momentum else "momentum"
    if estimator.used.momentum == 0:
        rule = "sgd"
    rate = LearningRate(first, estimator.used.learning_rate, estimator.used.power_t)
    return Session(rule, {"momentum": estimator.used.momentum}, rate)
