"""The part of a training that outlives a call of `fit`: optimizer, learning rate, order."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.estimators.hooks import Watched
from fastmlp.estimators.network import NetworkSpec, Parameters
from fastmlp.estimators.stopping import LearningRate
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Planned
from fastmlp.training.resumption import require_same_rates
from fastmlp.training.run import Run

__all__ = ["Session", "new_session"]

Array = npt.NDArray[Any]


class Session(Watched):
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
    partial : tuple of int, int, float
        Epoch and step up to which losses are added up, and their sum, where that takes every step.
    is_ahead : bool
        The network is further than the parameters of the estimator.
    """

    def __init__(
        self,
        rule: str,
        settings: dict[str, float],
        rate: LearningRate,
        optimizer: Optimizer | None = None,
    ) -> None:
        super().__init__()
        self.rule = rule
        self.settings = settings
        self.rate = rate
        self.optimizer = optimizer
        self.epochs = 0
        self.order: npt.NDArray[np.int64] = np.arange(0)
        self.split: tuple[Array, Array] | None = None
        self.partial = (0, 0, 0.0)
        self.first_rate = 0.0  # of the running epoch
        self.is_ahead = False
        self._slots: dict[str, Array] | None = None
        self._parameters: Parameters | None = None  # of a network that is ahead and not here
        self._network: tuple[NetworkSpec, MLP] | None = None
        self._run: tuple[tuple[MLP, int, int | None], Run] | None = None

    def __getstate__(self) -> dict[str, Any]:
        state = {"_slots": self._slots_now(), "_network": None, "_run": None}
        return self.__dict__ | state | {"_parameters": self._parameters_now()}

    def _parameters_now(self) -> Parameters | None:
        if self._network is None or not self.is_ahead:
            return self._parameters
        return Parameters.read_from(self._network[1])

    def _slots_now(self) -> dict[str, Array] | None:
        if self._run is None:
            return self._slots
        run = self._run[1]
        return run.state(with_start=run.steps_in(self.epochs) > 0)

    def latest(self, parameters: Parameters) -> Parameters:
        """Parameters to go on from, where an estimator has these."""
        return (self._parameters_now() or parameters) if self.is_ahead else parameters

    def check_resumable(self, samples: int, batch_size: int, epochs: int) -> None:
        """Raise ValueError where a fit of so many samples could not go on exactly."""
        slots = self._slots_now()
        if slots is not None and slots["position"][4]:
            raise ValueError(
                "resume=True has nothing to go on from: the last fit diverged, and its optimizer "
                "is not where the weights are"
            )
        planned, old = Planned(samples, batch_size, epochs), self.progress.planned
        if old is None:
            return
        within = slots is not None and slots["position"][0] == self.epochs
        if within and (samples, batch_size) != (old.samples, old.batch_size):
            raise ValueError(
                f"resume=True within an epoch requires its {old.samples} samples in batches of "
                f"{old.batch_size}, got {samples} in batches of {batch_size}"
            )
        if self.optimizer is None:
            return
        require_same_rates(
            self.optimizer.learning_rate, old, planned,
            "Leave max_iter as it was in the first fit, or give the schedule a length of its own",
        )  # fmt: skip

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

    @property
    def schedule(self) -> Schedule:
        """It."""
        assert self.optimizer is not None
        assert isinstance(self.optimizer.learning_rate, Schedule)
        return self.optimizer.learning_rate

    def observe(self, record: dict[str, Any]) -> None:
        """Tell a schedule what an epoch measured."""
        if self.has_schedule:
            self.schedule.observe(record)

    def model(self, spec: NetworkSpec) -> MLP:
        """The network in training, a new one where there is none of this kind."""
        if self._network is None or self._network[0] != spec:
            self._network = (spec, spec.build())
        return self._network[1]

    def run(self, model: MLP, batch_size: int, threads: int | None) -> Run:
        """A run of the core whose optimizer goes on where the last one ended."""
        key = (model, batch_size, threads)
        if self._run is None or self._run[0] != key:
            slots = self._slots = self._slots_now()
            self._run = None  # its memory goes first; should the next not fit, there are the slots
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
