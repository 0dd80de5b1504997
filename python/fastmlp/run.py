"""A run of the core with Python's types and no loop: what `MLP.fit` and estimators step with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fastmlp.losses import core_function
from fastmlp.samples import Rows
from fastmlp.validation import core_array, require_held, thread_count

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["Report", "Run"]

Array = npt.NDArray[Any]
# Arrays of a state that are of the model's type.
_NUMBERS = ("slots.", "averages.")
# samples done, sum of their weights, sum of their weighted losses, correct predictions
Progress = Callable[[int, float, float, int], object]


@dataclass(frozen=True)
class Report:
    """What steps measured; sums over the samples, each as it was before the step that it caused.

    ``penalty_sum`` adds, where it was asked for, the weight of each batch times l2 / 2 times the
    sum of the squared weights.
    """

    status: str  # "completed", "interrupted" or "diverged"
    steps: int
    samples: int
    weight_sum: float
    loss_sum: float
    penalty_sum: float
    correct: int
    step_losses: Sequence[float] = ()


class Run:
    """A training run of a model: its memory, its plan and the state of its optimizer.

    Parameters
    ----------
    model : MLP
    batch_size : int
        Of all steps but an epoch's last, which may be smaller.
    rule : str
        Update rule of the core: `Optimizer.rule`.
    threads : int, optional
        By default chosen by the work of a step.
    """

    def __init__(self, model: MLP, batch_size: int, rule: str, threads: int | None = None) -> None:
        self._model = model
        self.batch_size = batch_size
        self.rule = rule
        self._run = model.core_run(batch_size, rule, thread_count(threads))
        self._loss_function = core_function(model.architecture.losses)
        self._seed = model.architecture.seed
        self._held: dict[str, float] = {}  # settings that have been checked
        self.has_averages = False
        self.shows_averages = False  # the model has them, and the run its parameters

    def epoch(
        self,
        rows: Rows,
        targets: Array | list[Array],
        settings: Mapping[str, float],
        *,
        order: npt.NDArray[np.int64] | None = None,
        shuffle: bool = True,
        epoch: int = 0,
        first_step: int = 0,
        steps: int = -1,
        learning_rates: Sequence[float] = (),
        sample_weight: Array | None = None,
        trainable: Sequence[bool] = (),
        penalty: bool = False,
        keeps_losses: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Steps of one pass over the samples.

        Parameters
        ----------
        rows, targets, sample_weight
            As `fastmlp.samples` and the losses make them.
        settings : mapping of str to float
            By the core's names; those that are missing are 0.
        order : int64 array of shape (samples,), optional
            Of the samples; else shuffled by (seed, epoch), or as they are without `shuffle`.
        first_step, steps : int
            Part of the epoch; -1 goes to its end.
        learning_rates : sequence of float
            Of each step; empty: that of the settings.
        trainable : sequence of bool
            By layer; empty: all.
        penalty, keeps_losses : bool
            Whether to measure `Report.penalty_sum` and `Report.step_losses`.
        progress : callable, optional
            Called at most every 25 ms.
        """
        self._require_settings_held(settings, learning_rates)
        self.has_averages |= settings.get("average_decay", 0.0) > 0
        return Report(
            **self._run.run_epoch(
                rows,
                targets if isinstance(targets, list) else [targets],
                settings,
                sample_weight=sample_weight,
                order=order,
                shuffle=shuffle,
                seed=self._seed,
                epoch=epoch,
                first_step=first_step,
                steps=steps,
                learning_rates=learning_rates,
                trainable=trainable,
                counts_penalty=penalty,
                keeps_losses=keeps_losses,
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

    @property
    def plan(self) -> dict[str, Any]:
        """How steps are computed."""
        return self._run.plan

    def state(self) -> dict[str, Array]:
        """Copy of what a run goes on with exactly where this one is, besides the parameters."""
        return {
            **self._run.state(),
            "rule": np.array(self.rule),
            "shows_averages": np.array(self.shows_averages),
        }

    def restore(self, state: Mapping[str, Array]) -> None:
        """Go on from what `state` of a run with the same network and rule gave.

        Raises
        ------
        ValueError
            `state` is of another rule or network.
        """
        require_rule(state, self.rule)
        dtype = self._model.dtype
        self._run.restore(
            {
                name: core_array(value, dtype if name.startswith(_NUMBERS) else value.dtype)
                for name, value in state.items()
            }
        )
        self.has_averages = "averages.0.weights" in state
        self.shows_averages = bool(state["shows_averages"])

    def average(self, decay: float) -> None:
        """Move the averages of the parameters; the first time they are a copy of these."""
        self._run.average(decay)
        self.has_averages = True

    def show_averages(self) -> None:
        """Give the model the averages; the run keeps the parameters meanwhile."""
        if not self.shows_averages:
            self._run.swap_averages()
            self.shows_averages = True

    def hide_averages(self) -> None:
        """Give the model its parameters back."""
        if self.shows_averages:
            self._run.swap_averages()
            self.shows_averages = False


def require_rule(state: Mapping[str, Array], rule: str) -> None:
    """Whether a state is that of this rule, or an error."""
    if str(state["rule"]) != rule:
        raise ValueError(
            f"resume needs the optimizer that was used before, {state['rule']}, got {rule}"
        )
