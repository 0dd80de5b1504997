"""`Session`: the part of an estimator's training that is kept between calls of `fit`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.estimators.network import NetworkSpec, Parameters
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Rates, Schedule
from fastmlp.training.continuation import Continuation, Planned, Progress
from fastmlp.training.resumption import require_same_rates
from fastmlp.training.run import Run

__all__ = ["Moment", "Session", "Solver", "SolverRate", "Unsaved", "new_session"]

Array = npt.NDArray[Any]
_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0
_COUNTERS = ("n_iter_", "t_", "loss_", "best_validation_score_", "best_loss_")
_CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


class SolverRate(Schedule):
    """The rate of the next epoch by one of scikit-learn's schedules.

    Parameters
    ----------
    initial : float
        Rate of the first epoch.
    schedule : {"constant", "invscaling", "adaptive"}
        ``invscaling`` divides `initial` by ``(samples seen + 1) ** power``; ``adaptive`` divides
        the rate by 5 at each standstill and ends the training at one with a rate below 1e-6.
    power : float
        Exponent of ``invscaling``.
    """

    def __init__(self, initial: float, schedule: str = "constant", power: float = 0.5) -> None:
        self._initial = float(initial)
        self._schedule = schedule
        self._power = power
        self.reset()

    def reset(self) -> None:
        """Return to the initial rate."""
        self.value = self._initial

    def state(self) -> dict[str, float]:
        """The rate."""
        return {"value": self.value}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with it."""
        self.value = state["value"]

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        """The same for all steps of an epoch."""
        return np.full(count, self.value)

    def epoch_ended(self, samples: int) -> None:
        """Set the rate of the next epoch.

        `samples` counts those of all epochs since the first fit.
        """
        if self._schedule == "invscaling":
            self.value = self._initial / (samples + 1) ** self._power

    def standstill(self) -> tuple[bool, str]:
        """Lower the rate or end the training; returns whether it ends, and a message."""
        if self._schedule != "adaptive":
            return True, "Stopping."
        if self.value <= _SMALLEST_ADAPTIVE_RATE:
            return True, "Learning rate too small. Stopping."
        self.value /= _ADAPTIVE_DIVISOR
        return False, f"Setting learning rate to {self.value:f}"


@dataclass(frozen=True)
class Solver(Optimizer):
    """An update rule with settings of the core, which were checked as scikit-learn does it.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
    rule : str
    core_settings : mapping of str to float
    brings_rate : bool
        The rule and the rate are those of the user's `Optimizer`.
    """

    rule: str = ""
    core_settings: Mapping[str, float] = field(default_factory=dict)
    brings_rate: bool = False

    def __post_init__(self) -> None:
        """Check nothing."""

    def settings(self) -> dict[str, float]:
        """A copy of them."""
        return dict(self.core_settings)

    def with_penalty(self, alpha: float) -> Solver:
        """scikit-learn divides `alpha` by the total weight of a batch; an optimizer does not."""
        now = self.core_settings
        if self.brings_rate and not now["l1"] == now["l2"] == 0:
            return self
        return replace(self, core_settings={**now, "l2": float(alpha), "l2_per_batch": 1.0})


class Unsaved(Continuation):
    """The continuation of an estimator, which is pickled and has no files."""

    def state_at(self, progress: Progress) -> dict[str, Array]:
        """An estimator is pickled instead."""
        raise ValueError(
            "training_state must be False in an estimator, whose pickles keep the state"
        )


class Session(Unsaved):
    """The training of an estimator between two epochs.

    Pickles contain no objects of the core; these are made again when they are needed.

    Attributes
    ----------
    solver : Solver
    order : int64 array of shape (samples,)
        Order of the samples in the last epoch.
    split : pair of int64 arrays or None
        Samples trained on and samples held out.
    partial : tuple of int, int, float
        With weighted samples: epoch and step up to which losses are summed, and the sum.
    is_ahead : bool
        The network, not the estimator, has the parameters of the last step.
    """

    def __init__(self, solver: Solver) -> None:
        super().__init__()
        self.solver = solver
        self.order: npt.NDArray[np.int64] = np.arange(0)
        self.split: tuple[Array, Array] | None = None
        self.partial = (0, 0, 0.0)
        self.is_ahead = False
        self._parameters: Parameters | None = None  # of a network that is ahead and not here
        self._network: tuple[NetworkSpec, MLP] | None = None
        self._run_key: tuple[MLP, int, int | None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "saved": self.run_state(),
            "run": None,
            "_run_key": None,
            "_parameters": self._parameters_now(),
            "_network": None,
        }

    def _parameters_now(self) -> Parameters | None:
        if self._network is None or not self.is_ahead:
            return self._parameters
        return Parameters.read_from(self._network[1])

    def latest(self, parameters: Parameters) -> Parameters:
        """Parameters to continue from; `parameters` are those of the estimator."""
        if self.is_ahead:
            return self._parameters_now() or parameters
        kept = self.progress.kept
        return parameters if kept is None else Parameters.of(kept)

    def require_resumable(self, planned: Planned) -> None:
        """Raise ValueError if a training with this plan could not be resumed exactly."""
        if len(self.order) != planned.samples:
            raise ValueError(
                "resume=True requires the samples of the fit that it goes on with: "
                f"{len(self.order)} to train on, got {planned.samples}"
            )
        if self.has_diverged:
            raise ValueError(
                "resume=True has nothing to go on from: the last fit diverged, and its optimizer "
                "is not where the weights are"
            )
        old = self.progress.planned
        if old is None:
            return
        if self.steps and replace(planned, epochs=old.epochs) != old:
            raise ValueError(
                f"resume=True within an epoch requires its {old.samples} samples in batches of "
                f"{old.batch_size}, got {planned.samples} in batches of {planned.batch_size}"
            )
        if self.solver.brings_rate:
            require_same_rates(
                self.solver.learning_rate, old, planned,
                "Leave max_iter as it was in the first fit, or give the schedule a length of its "
                "own",
            )  # fmt: skip

    def model_of(self, spec: NetworkSpec) -> MLP:
        """The network in training; a new one if there is none with this specification."""
        if self._network is None or self._network[0] != spec:
            self._network = (spec, spec.build())
        return self._network[1]

    def run_of(self, model: MLP, batch_size: int, threads: int | None) -> Run:
        """A run of the core that continues the last one."""
        key = (model, batch_size, threads)
        if self.run is None or self._run_key != key:
            # The memory of the last run is freed first. Its state stays.
            state = self.put_aside()
            run = Run(model, batch_size=batch_size, rule=self.solver.rule, threads=threads)
            if state is not None:
                run.restore(state)
            self._run_key = key
            self.run = run
            self.saved = None
        return self.run

    def begin_anew(self, run: Run, moment: Moment) -> None:
        """Begin an epoch; the steps of one that was cut are forgotten."""
        if run.steps_in(self.progress.epoch):
            state = run.state()
            run.restore({**state, "position": np.array([-1, *state["position"][1:]])})
        self.settle(
            replace(
                self.progress, record=None, told=frozenset(), stops=False, seen={}, seconds=0.0,
                rate=None, others={"moment": moment},
            )
        )  # fmt: skip


def new_session(estimator: Any) -> Session:
    """A session for the solver, or the optimizer, that an estimator's parameters ask for."""
    used = estimator._used
    if estimator.optimizer is not None:
        optimizer = copy.deepcopy(estimator.optimizer)  # the state of its schedule is this one's
        rate, settings = optimizer.learning_rate, optimizer.settings()
        return Session(Solver(rate, rule=optimizer.rule, core_settings=settings, brings_rate=True))
    if estimator.solver == "adam":
        settings = {
            "beta1": used.beta_1,
            "beta2": used.beta_2,
            "epsilon": used.epsilon,
            "epsilon_hat": 1.0,
        }
        rate = SolverRate(used.learning_rate_init)
        return Session(Solver(rate, rule="adam", core_settings=settings))
    rule = "nesterov" if used.nesterovs_momentum else "momentum"
    if used.momentum == 0:
        rule = "sgd"
    rate = SolverRate(used.learning_rate_init, used.learning_rate, used.power_t)
    return Session(Solver(rate, rule=rule, core_settings={"momentum": used.momentum}))


@dataclass(frozen=True)
class Moment:
    """What an epoch changes besides `Progress`; an epoch that was cut starts from it again.

    Attributes
    ----------
    attributes : dict
        Of the estimator.
    plateau : tuple of float and int
    best : Parameters or None
        Those with the best validation score.
    random : tuple or None
        State of the random numbers; None where they are the global ones.
    order : int64 array of shape (samples,)
        That of the last epoch.
    """

    attributes: dict[str, Any]
    plateau: tuple[float, int]
    best: Parameters | None
    random: Any
    order: npt.NDArray[np.int64]

    @classmethod
    def of(cls, estimator: Any, session: Session) -> Moment:
        """The present moment."""
        values = vars(estimator)
        attributes = {name: values[name] for name in _COUNTERS if name in values}
        attributes |= {name: copy.copy(values[name]) for name in _CURVES if name in values}
        plateau = estimator._plateau
        random = None
        if estimator.random_state is not None:
            random = estimator._random_state.get_state()
        best = values.get("_best_parameters")
        return cls(attributes, (plateau.best, plateau.count), best, random, session.order)

    def restore(self, estimator: Any, session: Session) -> None:
        """Return to this moment."""
        for name, value in self.attributes.items():
            setattr(estimator, name, copy.copy(value))
        estimator._plateau.best, estimator._plateau.count = self.plateau
        if self.best is not None:
            estimator._best_parameters = self.best
        if self.random is not None:
            estimator._random_state.set_state(self.random)
        session.order = self.order
