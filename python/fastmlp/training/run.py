"""`Run`: a training run of the core. One call trains an epoch or a part of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmlp.losses import core_function
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.optimizers import ArrayRate
from fastmlp.training.processes import WHOLE, Shards
from fastmlp.validation import core_array, require_held, thread_count

__all__ = ["Report", "Run", "StepSums"]

Array = npt.NDArray[Any]
# Prefixes of the arrays of a state that have the model's dtype.
_NUMBERS = ("slots.", "averages.", "start.")
# Arguments: samples completed, sums of their weights, of their weighted losses, of the weights of
# correct predictions.
Progress = Callable[[int, float, float, float], object]


class Report(NamedTuple):
    """Measures of steps: sums over samples, each computed before the step that it caused.

    The sums cover the epoch so far, not only the call, so that they do not depend on how an epoch
    is divided into calls. ``steps`` counts the steps of the call.

    ``penalty_sum``, if requested, adds for each batch its weight times l2 / 2 times the sum of the
    squared weights.
    """

    status: str  # "completed", "interrupted" or "diverged"
    steps: int
    samples: int
    weight_sum: float
    loss_sum: float
    penalty_sum: float
    correct: float
    step_losses: Sequence[float] = ()


class StepSums(NamedTuple):
    """Sums over steps: samples, their weights, weighted losses, penalties, correct weights."""

    samples: int = 0
    weight: float = 0.0
    loss: float = 0.0
    penalty: float = 0.0
    correct: float = 0.0

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> StepSums:
        """Make the sums from the five numbers that the core returns."""
        samples, weight, loss, penalty, correct = map(float, values)
        return cls(int(samples), weight, loss, penalty, correct)


class Run:
    """A training run of a model: its memory, its plan and the state of its optimizer.

    Parameters
    ----------
    model : Network
    batch_size : int
        Samples per step; the last step of an epoch may have fewer.
    rule : str
        Name of the update rule in the core, `Optimizer.rule`.
    threads : int, optional
        Number of threads; the default depends on the work of a step.
    shards : Shards, optional
        Shards of a batch, and the processes that share them; the default is one of one process.
    """

    def __init__(
        self,
        model: Network,
        batch_size: int,
        rule: str,
        threads: int | None = None,
        shards: Shards = WHOLE,
    ) -> None:
        self._model = model
        self.batch_size = batch_size
        self.rule = rule
        self.threads = threads
        self._shards = shards
        self._arguments = _core_arguments(model, batch_size, rule, threads, self._shards)
        self._run = model._core_run(*self._arguments[1:])
        self._loss_function = core_function(model.architecture.losses)
        self._seed = model.architecture.seed
        self._held: dict[str, float] = {}  # settings that have been checked

    def suits(
        self,
        model: Network,
        batch_size: int,
        rule: str,
        threads: int | None = None,
        shards: Shards = WHOLE,
    ) -> bool:
        """Whether a new run by these arguments with the state of this one would train alike.

        A run that shares its batches with other processes suits one training only.
        """
        arguments = _core_arguments(model, batch_size, rule, threads, shards)
        return shards.size == 1 and arguments == self._arguments

    def epoch(
        self,
        data: Data,
        settings: Mapping[str, float],
        *,
        order: npt.NDArray[np.int64] | None = None,
        batch_weights: npt.NDArray[np.float64] | None = None,
        all_samples: int = 0,
        shuffle: bool = True,
        epoch: int = 0,
        first_step: int = 0,
        steps: int = -1,
        drop_last: bool = False,
        learning_rates: Sequence[float] = (),
        decays: Sequence[float] = (),
        dropout_factors: Sequence[float] = (),
        rates: Sequence[ArrayRate] = (),
        trainable: Sequence[bool] = (),
        with_penalty: bool = False,
        record_losses: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Run the steps of an epoch or of a part of it.

        Parameters
        ----------
        data : Data
            Samples, targets and weights.
        settings : mapping of str to float
            Settings of the optimizer by their names in the core; missing ones are 0.
        order : int64 array of shape (samples,), optional
            Order of the samples. The default is an order drawn by (seed, epoch), or the given order
            without `shuffle`.
        batch_weights : float64 array of shape (steps of an epoch,), optional
            Total weight of each batch. The default is the sum over its samples.
        all_samples : int
            Number of samples of all processes, if `data` are those of the shards of this one, and
            `order` is theirs. 0 if it has all.
        shuffle : bool
            Draw an order if `order` is None.
        epoch : int
            Number of the epoch, from 0.
        first_step, steps : int
            First step and number of steps; -1 runs to the end of the epoch.
        drop_last : bool
            Leave out the samples that do not fill the last batch.
        learning_rates : sequence of float
            Learning rate of each step; if empty, that of the settings.
        decays, dropout_factors : sequence of float
            Decay and factor of the rates of dropout of each step; if empty, the decay of the
            settings and 1.
        rates : sequence of tuple
            Arrays with factors of their own, as `Optimizer.array_rates` returns them.
        trainable : sequence of bool
            Whether each layer is trained; if empty, all layers are.
        with_penalty, record_losses : bool
            Whether to measure `Report.penalty_sum` and `Report.step_losses`.
        progress : callable, optional
            Function called at most every 25 ms.

        Raises
        ------
        ValueError
            The model's dtype cannot represent a setting.
        RuntimeError
            Another process that shares the shards ended the training.
        """
        self._require_settings_held(settings, learning_rates)
        report = Report(
            **self._run.run_epoch(
                data.rows,
                data.targets,
                settings,
                sample_weight=data.sample_weight,
                order=order,
                batch_weights=batch_weights,
                all_samples=all_samples,
                shuffle=shuffle,
                seed=self._seed,
                epoch=epoch,
                first_step=first_step,
                steps=steps,
                drop_last=drop_last,
                learning_rates=learning_rates,
                decays=decays,
                dropout_factors=dropout_factors,
                rates=list(rates),
                trainable=trainable,
                with_penalty=with_penalty,
                record_losses=record_losses,
                loss_function=self._loss_function,
                exchange=self._shards.exchange,
                progress=progress,
            )
        )
        if report.status == "interrupted":  # without an exception of this process
            self._shards.require_joint()
        return report

    def _require_settings_held(
        self, settings: Mapping[str, float], learning_rates: Sequence[float]
    ) -> None:
        """Require that the dtype can represent the settings; decaying rates may end at 0."""
        if settings != self._held:
            for name, value in settings.items():
                require_held(name, value, self._model.dtype, vanishes=name == "learning_rate")
            self._held = dict(settings)
        if len(learning_rates):
            for rate in (min(learning_rates), max(learning_rates)):
                require_held("learning_rate", rate, self._model.dtype, vanishes=True)

    def smallest_batch(self, samples: int, drop_last: bool = False) -> int:
        """Return the number of samples of the smallest batch of an epoch.

        Raises
        ------
        ValueError
            Batch normalization would get a batch of one sample.
        """
        return self._run.smallest_batch(samples, drop_last, self._model._trainable_flags())

    @property
    def plan(self) -> dict[str, Any]:
        """Decisions of the core about a step, the fields of `fastmlp.Plan`."""
        return self._run.plan

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """Epoch, steps, flags and sums of the core: 15 numbers, the last ten two `StepSums`."""
        return self._run.position

    def steps_in(self, epoch: int) -> int:
        """Return the number of completed steps of an epoch, the current or the next one."""
        position = self._run.position
        return int(position[1]) if int(position[0]) == epoch else 0

    def sums_in(self, epoch: int) -> StepSums:
        """Return the sums over the completed steps of an epoch."""
        position = self._run.position
        return StepSums.of(position[5:10]) if int(position[0]) == epoch else StepSums()

    def last_step(self) -> StepSums:
        """Return the sums over the last completed step."""
        return StepSums.of(self._run.position[10:15])

    @property
    def has_averages(self) -> bool:
        """Whether averages of the parameters exist."""
        return self._run.has_averages

    @property
    def has_diverged(self) -> bool:
        """Whether the optimizer's state no longer belongs to the model's parameters."""
        return bool(self._run.position[4])

    def state(self, *, with_start: bool = False) -> dict[str, Array]:
        """Copy the state that another run needs, besides the parameters, to continue exactly.

        Within an epoch it also needs the parameters that a diverging epoch restores: `with_start`.
        """
        state = self._run.state(with_start)
        shows_averages = np.array(bool(state["position"][3]))
        return {**state, "rule": np.array(self.rule), "shows_averages": shows_averages}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from the state of a run with the same network and rule.

        Raises
        ------
        ValueError
            The state belongs to another rule or network.
        """
        # Not str(array): after an interrupt in it, NumPy returns "..." for that array from then on.
        require_rule(np.asarray(state["rule"]).item(), self.rule)
        dtype = self._model.dtype
        arrays = {
            name: core_array(value, _type_of(name, value, dtype)) for name, value in state.items()
        }
        if "position" not in arrays:  # states of the first releases
            arrays["position"] = np.zeros(15)
            arrays["position"][[0, 3]] = -1, bool(state["shows_averages"])
        self._run.restore(arrays)

    def average(self, decay: float) -> None:
        """Update the averages of the parameters; the first call copies the parameters."""
        self._run.average(decay)

    def show_averages(self) -> None:
        """Put the averages into the model; the run keeps the parameters."""
        self._run.show_averages()

    def hide_averages(self) -> None:
        """Put the parameters back into the model."""
        self._run.hide_averages()


def _core_arguments(
    model: Network, batch_size: int, rule: str, threads: int | None, shards: Shards
) -> tuple[Any, int, str, int, tuple[int, int, int]]:
    """Return the network of the core, and the other arguments of a run on it."""
    own = (shards.count, shards.begin, shards.end)
    return model._network, batch_size, rule, thread_count(threads), own


def _type_of(name: str, value: Array, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which the core takes an array of a state."""
    if name.startswith(_NUMBERS):
        return dtype
    return np.dtype(np.float64) if name in ("moments", "position") else value.dtype


def require_rule(used: str, rule: str) -> None:
    """Raise ValueError unless a training by the rule `used` is continued by the same."""
    if used != rule:
        raise ValueError(f"resume needs the optimizer that was used before, {used}, got {rule}")
