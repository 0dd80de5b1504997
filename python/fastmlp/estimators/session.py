"""`Session`: the state of an estimator's training between calls of `fit`."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
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
from fastmlp.validation import keep

__all__ = ["Moment", "Session", "Solver", "SolverRate", "Unsaved", "new_session"]

Array = npt.NDArray[Any]
_SMALLEST_ADAPTIVE_RATE = 1e-6
_ADAPTIVE_DIVISOR = 5.0
_MOST_DRAWN = 50  # orders that an interrupted training draws again
COUNTERS = ("n_iter_", "t_", "loss_", "best_validation_score_", "best_loss_")
CURVES = ("loss_curve_", "validation_scores_", "validation_loss_curve_")


class SolverRate(Schedule):
    """Learning rate of the next epoch by one of scikit-learn's schedules.

    Parameters
    ----------
    initial : float
        Rate of the first epoch.
    schedule : {"constant", "invscaling", "adaptive"}
        ``invscaling`` divides `initial` by ``(processed samples + 1) ** power``; ``adaptive``
        divides the rate by 5 on each plateau, and ends the training on a plateau if the rate is
        at most 1e-6.
    power : float
        Exponent of ``invscaling``.
    value : float, optional
        Present rate; by default `initial`.
    """

    def __init__(
        self,
        initial: float,
        schedule: str = "constant",
        power: float = 0.5,
        value: float | None = None,
    ) -> None:
        self._initial = float(initial)
        self._schedule = schedule
        self._power = power
        self.value = self._initial if value is None else value

    def settings(self) -> dict[str, Any]:
        """Return the arguments from which an equal schedule is made."""
        return {
            "initial": self._initial,
            "schedule": self._schedule,
            "power": self._power,
            "value": self.value,
        }

    def reset(self) -> None:
        """Return to the initial rate."""
        self.value = self._initial

    def state(self) -> dict[str, float]:
        """Return the present rate."""
        return {"value": self.value}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with the rate of a state."""
        self.value = state["value"]

    def rates(self, first: int, count: int, steps_per_epoch: int, epochs: int) -> Rates:
        """Return the present rate for each of `count` steps."""
        return np.full(count, self.value)

    def epoch_ended(self, samples: int) -> None:
        """Set the rate of the next epoch.

        `samples` is the number of samples processed in all epochs since the first fit.
        """
        if self._schedule == "invscaling":
            self.value = self._initial / (samples + 1) ** self._power

    def standstill(self) -> tuple[bool, str]:
        """Lower the rate or end the training; return whether it ends, and a message."""
        if self._schedule != "adaptive":
            return True, "Stopping."
        if self.value <= _SMALLEST_ADAPTIVE_RATE:
            return True, "Learning rate too small. Stopping."
        self.value /= _ADAPTIVE_DIVISOR
        return False, f"Setting learning rate to {self.value:f}"


@dataclass(frozen=True)
class Solver(Optimizer):
    """An update rule with settings of the core, which scikit-learn's constraints have checked.

    Parameters
    ----------
    learning_rate : float, Schedule or callable
        Learning rate, as in `Optimizer`.
    rule : str
        Name of the update rule in the core.
    core_settings : mapping of str to float
        Settings by their names in the core.
    brings_rate : bool
        Whether rule and rate are those of the user's `Optimizer`.
    """

    rule: str = ""
    core_settings: Mapping[str, float] = field(default_factory=dict)
    brings_rate: bool = False

    def __post_init__(self) -> None:
        """Skip the checks of `Optimizer`; the settings are checked already."""

    def settings(self) -> dict[str, float]:
        """Return a copy of the core's settings."""
        return dict(self.core_settings)

    def with_penalty(self, alpha: float) -> Solver:
        """Return a solver with the penalty `alpha`, divided by the total weight of a batch.

        The penalties of a user's optimizer, if it has any, replace `alpha` and are not divided.
        """
        now = self.core_settings
        if self.brings_rate and not now["l1"] == now["l2"] == 0:
            return self
        other = copy.copy(self)
        keep(other, core_settings={**now, "l2": float(alpha), "l2_per_batch": 1.0})
        return other


class Unsaved(Continuation):
    """The continuation of an estimator, which is saved in pickles only."""

    def state_at(self, progress: Progress) -> dict[str, Array]:
        """Raise ValueError: estimators have no state files."""
        raise ValueError(
            "training_state must be False in an estimator, whose pickles keep the state"
        )


class Session(Unsaved):
    """The state of an estimator's training between two epochs.

    Copies contain no objects of the core; they are recreated on demand.

    Attributes
    ----------
    solver : Solver
        Update rule, settings and learning rate.
    order : int64 array of shape (samples,)
        Order of the samples in the last epoch.
    split : pair of int64 arrays or None
        Indices of the training samples and of the samples held out.
    partial : tuple of int, int, float
        Epoch and step up to which losses of weighted samples are summed, and the sum.
    random : dict, int or None
        A state of the random generator, or its seed; None for NumPy's global generator.
    drawn : int
        Number of orders drawn since.
    is_ahead : bool
        Whether the network, not the estimator, has the parameters of the last step.
    """

    def __init__(self, solver: Solver) -> None:
        super().__init__()
        self.solver = solver
        self.order: npt.NDArray[np.int64] = np.arange(0)
        self.split: tuple[Array, Array] | None = None
        self.partial = (0, 0, 0.0)
        self.random: Any = None
        self.drawn = 0
        self.is_ahead = False
        self._parameters: Parameters | None = None  # unpickled ones of a network that was ahead
        self._network: tuple[NetworkSpec, MLP] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {
            "saved": self.run_state(),
            "run": None,
            "_parameters": self._parameters_now(),
            "_network": None,
        }

    def hold(self, parameters: Parameters) -> None:
        """Continue from these parameters of a network that was ahead of its estimator."""
        self._parameters = parameters

    def _parameters_now(self) -> Parameters | None:
        if self._network is None or not self.is_ahead:
            return self._parameters
        return Parameters.read_from(self._network[1])

    def latest(self, parameters: Parameters) -> Parameters:
        """Return the parameters to continue from; `parameters` are those of the estimator."""
        if self.is_ahead:
            return self._parameters_now() or parameters
        kept = self.progress.kept
        return parameters if kept is None else Parameters.of(kept)

    def require_resumable(self, planned: Planned) -> None:
        """Raise ValueError if a training with this plan could not be resumed exactly."""
        if len(self.order) != planned.samples:
            raise ValueError(
                "resume=True requires the samples of the fit that it continues: "
                f"{len(self.order)} to train on, got {planned.samples}"
            )
        if self.has_diverged:
            raise ValueError(
                "resume=True has no fit to continue: the last fit diverged, and its optimizer's "
                "state does not match the weights; call fit without resume"
            )
        old = self.progress.planned
        if old is None:
            return
        if self.steps and planned.changed(epochs=old.epochs) != old:
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
        """Return the network in training; a new one if its specification has changed."""
        if self._network is None or self._network[0] != spec:
            self._network = (spec, spec.build())
        return self._network[1]

    def run_of(self, model: MLP, batch_size: int, threads: int | None) -> Run:
        """Return a run of the core that continues the last one."""
        self.run = self.run_for(model, batch_size, self.solver.rule, threads)
        self.saved = None
        return self.run

    def count_orders(self, estimator: Any, *, is_as_seeded: bool = False) -> None:
        """Note the state of the random generator, from which orders are counted.

        To draw these orders again takes longer than to restore a later state, but only an
        interrupted training has to; to read a state takes as long as an epoch of few samples.
        """
        seed = estimator.random_state
        self.drawn = 0
        if seed is None:
            self.random = None
        elif is_as_seeded and isinstance(seed, Integral):
            self.random = int(seed)
        else:
            self.random = estimator._random_state.get_state(legacy=False)

    def restore_random(self, estimator: Any, random: Any, drawn: int) -> None:
        """Bring the random generator to a state and draw orders again."""
        self.random, self.drawn = random, drawn
        if random is None:
            return
        generator = estimator._random_state
        if isinstance(random, int):
            generator.seed(random)
        else:
            generator.set_state(random)
        for _ in range(drawn):
            generator.shuffle(np.arange(len(self.order)))

    def begin_anew(self, run: Run, moment: Moment) -> None:
        """Begin an epoch; discard the steps of an interrupted epoch."""
        if run.steps_in(self.progress.epoch):
            state = run.state()
            run.restore({**state, "position": np.array([-1, *state["position"][1:]])})
        self.settle(
            self.progress.changed(
                record=None, told=frozenset(), stops=False, seen={}, seconds=0.0,
                rate=None, others={"moment": moment},
            )
        )  # fmt: skip


def new_session(estimator: Any) -> Session:
    """Make a session with the solver or the optimizer of an estimator's parameters."""
    used = estimator._used
    if estimator.optimizer is not None:
        optimizer = copy.deepcopy(estimator.optimizer)  # its schedule has a state
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
    """State that an epoch changes besides `Progress`; an interrupted epoch restarts from it.

    Attributes
    ----------
    attributes : dict
        Fitted attributes of the estimator by name.
    plateau : tuple of float and int
        Best cost and count of `Plateau`.
    best : Parameters or None
        Parameters with the best validation score.
    random : dict, int or None
        An earlier state of the random generator, or its seed; None for NumPy's global generator.
    order : int64 array of shape (samples,)
        Order of the samples in the last epoch.
    drawn : int
        Number of orders drawn since the earlier state.
    lengths : dict of str to int or None
        Lengths of the fitted attributes that are curves, which only grow; None for one that is.
    """

    attributes: dict[str, Any]
    plateau: tuple[float, int]
    best: Parameters | None
    random: Any
    order: npt.NDArray[np.int64]
    drawn: int = 0
    lengths: dict[str, int | None] = field(default_factory=dict)

    @classmethod
    def of(cls, estimator: Any, session: Session) -> Moment:
        """Copy the present state of an estimator and its session."""
        values = vars(estimator)
        attributes = {name: values[name] for name in COUNTERS if name in values}
        lengths = {
            name: None if values[name] is None else len(values[name])
            for name in CURVES
            if name in values
        }
        plateau = estimator._plateau
        if session.drawn > _MOST_DRAWN or isinstance(estimator.random_state, np.random.RandomState):
            session.count_orders(estimator)  # others may draw from a generator of the user
        best = values.get("_best_parameters")
        return cls(
            attributes, (plateau.best, plateau.count), best, session.random, session.order,
            session.drawn, lengths,
        )  # fmt: skip

    def restore(self, estimator: Any, session: Session) -> None:
        """Restore this state of an estimator and its session."""
        for name, value in self.attributes.items():
            setattr(estimator, name, copy.copy(value))
        for name, length in self.lengths.items():
            curve = getattr(estimator, name)
            setattr(estimator, name, None if length is None else curve[:length])
        estimator._plateau.best, estimator._plateau.count = self.plateau
        if self.best is not None:
            estimator._best_parameters = self.best
        session.order = self.order
        session.restore_random(estimator, self.random, self.drawn)
