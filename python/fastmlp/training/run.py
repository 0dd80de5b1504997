"""`Run`: a training run of the core. One call trains an epoch or a part of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from fastmlp.losses import core_function
from fastmlp.network import Network
from fastmlp.network.samples import Data
from fastmlp.validation import core_array, require_held, thread_count

__all__ = ["Report", "Run", "StepSums"]

Array = npt.NDArray[Any]
# Arrays of a state that are of the model's type.
_NUMBERS = ("slots.", "averages.", "start.")
# samples done, sum of their weights, of their weighted losses, and of the weights of right ones
Progress = Callable[[int, float, float, float], object]


@dataclass(frozen=True)
class Report:
    """What steps measured: sums over samples, each measured before the step that it caused.

    Sums are over the epoch so far, not over the call: they do not depend on how an epoch is cut
    into calls. ``steps`` counts those of the call.

    ``penalty_sum`` adds, where it was asked for, the weight of each batch times l2 / 2 times the
    sum of the squared weights.
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
    """Sums over steps: samples, their weights, weighted losses, penalties, weights of right."""

    samples: int = 0
    weight: float = 0.0
    loss: float = 0.0
    penalty: float = 0.0
    correct: float = 0.0

    @classmethod
    def of(cls, values: npt.NDArray[np.float64]) -> StepSums:
        """From numbers of the core."""
        samples, weight, loss, penalty, correct = map(float, values)
        return cls(int(samples), weight, loss, penalty, correct)


class Run:
    """A training run of a model: its memory, its plan and the state of its optimizer.

    Parameters
    ----------
    model : Network
    batch_size : int
        Samples of a step; the last step of an epoch may have fewer.
    rule : str
        Update rule of the core: `Optimizer.rule`.
    threads : int, optional
        By default chosen by the work of a step.
    """

    def __init__(
        self, model: Network, batch_size: int, rule: str, threads: int | None = None
    ) -> None:
        self._model = model
        self.batch_size = batch_size
        self.rule = rule
        self._run = model._core_run(batch_size, rule, thread_count(threads))
        self._loss_function = core_function(model.architecture.losses)
        self._seed = model.architecture.seed
        self._held: dict[str, float] = {}  # settings that have been checked

    def epoch(
        self,
        data: Data,
        settings: Mapping[str, float],
        *,
        order: npt.NDArray[np.int64] | None = None,
        shuffle: bool = True,
        epoch: int = 0,
        first_step: int = 0,
        steps: int = -1,
        drop_last: bool = False,
        learning_rates: Sequence[float] = (),
        trainable: Sequence[bool] = (),
        with_penalty: bool = False,
        record_losses: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Steps of one pass over the samples.

        Parameters
        ----------
        rows, targets, sample_weight
            As `fastmlp.network.samples` and the losses make them.
        settings : mapping of str to float
            By the core's names; those that are missing are 0.
        order : int64 array of shape (samples,), optional
            Of the samples; else shuffled by (seed, epoch), or as they are without `shuffle`.
        first_step, steps : int
            Part of the epoch; -1 goes to its end.
        drop_last : bool
            What does not fill a batch is left out.
        learning_rates : sequence of float
            Of each step; empty: that of the settings.
        trainable : sequence of bool
            By layer; empty: all.
        with_penalty, record_losses : bool
            Whether to measure `Report.penalty_sum` and `Report.step_losses`.
        progress : callable, optional
            Called at most every 25 ms.
        """
        self._require_settings_held(settings, learning_rates)
        return Report(
            **self._run.run_epoch(
                data.rows,
                data.targets,
                settings,
                sample_weight=data.sample_weight,
                order=order,
                shuffle=shuffle,
                seed=self._seed,
                epoch=epoch,
                first_step=first_step,
                steps=steps,
                drop_last=drop_last,
                learning_rates=learning_rates,
                trainable=trainable,
                with_penalty=with_penalty,
                record_losses=record_losses,
                loss_function=self._loss_function,
                progress=progress,
            )
        )

    def _require_settings_held(
        self, settings: Mapping[str, float], learning_rates: Sequence[float]
    ) -> None:
        """Require that the model's type holds them; rates that fall may end at 0."""
        for name, value in settings.items():
            if self._held.get(name) != value:
                require_held(name, value, self._model.dtype, vanishes=name == "learning_rate")
                self._held[name] = value
        if len(learning_rates):
            for rate in (min(learning_rates), max(learning_rates)):
                require_held("learning_rate", rate, self._model.dtype, vanishes=True)

    def smallest_batch(self, samples: int, drop_last: bool = False) -> int:
        """Samples of the smallest batch of an epoch.

        Raises
        ------
        ValueError
            A batch of one sample would have to be normalized.
        """
        return self._run.smallest_batch(samples, drop_last, self._model._trainable_flags())

    @property
    def plan(self) -> dict[str, Any]:
        """How steps are computed."""
        return self._run.plan

    @property
    def position(self) -> npt.NDArray[np.float64]:
        """Where the run is, as the core keeps it beside the parameters: see `StepSums`."""
        return self._run.position

    def steps_in(self, epoch: int) -> int:
        """Steps completed in an epoch, counted from 0, which is the last or the next one."""
        position = self._run.position
        return int(position[1]) if int(position[0]) == epoch else 0

    def sums_in(self, epoch: int) -> StepSums:
        """Over these steps."""
        position = self._run.position
        return StepSums.of(position[5:10]) if int(position[0]) == epoch else StepSums()

    def last_step(self) -> StepSums:
        """Of the last completed step alone."""
        return StepSums.of(self._run.position[10:15])

    @property
    def has_averages(self) -> bool:
        """Whether parameters were averaged."""
        return self._run.has_averages

    @property
    def has_diverged(self) -> bool:
        """Whether the optimizer's state no longer belongs to the model's parameters."""
        return bool(self._run.position[4])

    def state(self, *, with_start: bool = False) -> dict[str, Array]:
        """Copy of what another run needs besides the parameters to continue exactly from here.

        Within an epoch it needs also `with_start`: the parameters that a diverging epoch restores.
        """
        state = self._run.state(with_start)
        shows_averages = np.array(bool(state["position"][3]))
        return {**state, "rule": np.array(self.rule), "shows_averages": shows_averages}

    def restore(self, state: Mapping[str, Array]) -> None:
        """Continue from the `state` of a run with the same network and rule.

        Raises
        ------
        ValueError
            `state` is of another rule or network.
        """
        require_rule(state, self.rule)
        dtype = self._model.dtype
        arrays = {
            name: core_array(value, _type_of(name, value, dtype)) for name, value in state.items()
        }
        if "position" not in arrays:  # of a release that kept it elsewhere
            arrays["position"] = np.zeros(15)
            arrays["position"][[0, 3]] = -1, bool(state["shows_averages"])
        self._run.restore(arrays)

    def average(self, decay: float) -> None:
        """Move the averages of the parameters, once after a step; they begin as copies."""
        self._run.average(decay)

    def show_averages(self) -> None:
        """Give the model the averages; the run keeps the parameters meanwhile."""
        self._run.show_averages()

    def hide_averages(self) -> None:
        """Give the model its parameters back."""
        self._run.hide_averages()


def _type_of(name: str, value: Array, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Of an array of a state as the core takes it."""
    if name.startswith(_NUMBERS):
        return dtype
    return np.dtype(np.float64) if name in ("moments", "position") else value.dtype


def require_rule(state: Mapping[str, Array], rule: str) -> None:
    """Raise ValueError unless a state is that of this rule.

    The text of the array is asked for as an item: ``str`` of an array that was interrupted once is
    "..." forever after.
    """
    used = np.asarray(state["rule"]).item()
    if used != rule:
        raise ValueError(f"resume needs the optimizer that was used before, {used}, got {rule}")
