"""Progress of a training: the state of a resumed training besides parameters and the core's run.

A `Progress` is immutable and is replaced in one assignment. An exception therefore leaves either
the old or the new one, and the resumed training repeats the work that lies between them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fastmlp.callbacks import Callback
from fastmlp.history import History, Record
from fastmlp.network import Network
from fastmlp.training.processes import WHOLE, Shards
from fastmlp.training.run import Run
from fastmlp.training.states import checked_state, packed, unpacked
from fastmlp.validation import integer

__all__ = ["Continuation", "Planned", "Progress"]

Array = npt.NDArray[Any]
_Record = TypeVar("_Record", bound="_Frozen")
_TEXT = "progress"
_ARRAYS = "watched."
_MOST_RECENT = 64
_ALWAYS = {"epochs", "moments", "rule", "shows_averages"}
_SHAPES = {"moments": (4,), "position": (15,)}


class _Frozen:
    """A frozen dataclass that is copied often and whose fields need no checks."""

    def changed(self: _Record, **changes: Any) -> _Record:
        """Return a copy with changes: `dataclasses.replace`, in a fifth of its time."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self), **changes)
        return copy


@dataclass(frozen=True)
class Planned(_Frozen):
    """The plan of a training: samples, batches and epochs, from which schedules take its length.

    `shuffle_buffer` is 0 if all samples are in memory or in their order, and `samples` are those of
    all processes; see `MLP.fit`.
    """

    samples: int
    batch_size: int
    epochs: int
    drop_last: bool = False
    shuffle: bool = True
    shards: int = 1
    shuffle_buffer: int = 0
    own_samples: bool = False

    @property
    def steps_per_epoch(self) -> int:
        """Number of mini-batches of an epoch."""
        if self.drop_last:
            return self.samples // self.batch_size
        return math.ceil(self.samples / self.batch_size)

    def __str__(self) -> str:
        return f"{self.epochs} epochs of {self.steps_per_epoch} steps"

    def changes_of(self, other: Planned) -> list[str]:
        """Return in words what another plan changes in the steps of an epoch."""
        if vars(other) | {"epochs": self.epochs} == vars(self):
            return []
        settings = asdict(self)
        return [
            f"{name} {value} in place of {settings[name]}"
            for name, value in asdict(other).items()
            if value != settings[name] and name != "epochs"
        ]


@dataclass(frozen=True)
class Progress(_Frozen):
    """The progress of a training at one moment.

    Attributes
    ----------
    epoch : int
        Number of epochs that are completed and measured.
    history : History
        Measures of the completed epochs but the last ones.
    recent : tuple of dict
        Records of the last epochs, which the history does not contain yet: to copy a long history
        takes as long as some steps.
    planned : Planned or None
        Plan of the training; None if it is unknown.
    record : dict or None
        Record of the last epoch; None after all callbacks were called with it.
    told : frozenset of str
        Keys of the callbacks that were already called: with `record`, or, if `record` is None, at
        the beginning of the epoch.
    stops : bool
        Whether a callback in `told` has ended the training; the other callbacks are still called.
    seen : dict of str to tuple
        Step after which each callback was last called, and the sums at that step, by key.
    seconds : float
        Duration of the running epoch so far, in seconds.
    rate : float or None
        Learning rate of the first step of the running epoch.
    step_rate : float or None
        Learning rate of the last step.
    override : float or None
        Learning rate that a callback has set.
    source : float, str or None
        Learning rate of the optimizer, or the kind of its schedule.
    states : dict of str to mapping
        States of the callbacks by key, including callbacks that a later fit left out.
    schedule : tuple of str and mapping, or None
        Kind and state of the schedule.
    kept : dict of str to array or None
        Parameters to continue from; None if they are those of the model.
    others : dict of str to object
        Further state of the owner of the training.
    """

    epoch: int = 0
    history: History = field(default_factory=History)
    recent: tuple[Record, ...] = ()
    planned: Planned | None = None
    record: Record | None = None
    told: frozenset[str] = frozenset()
    stops: bool = False
    seen: Mapping[str, tuple[int, int, float, float, float]] = field(default_factory=dict)
    seconds: float = 0.0
    rate: float | None = None
    step_rate: float | None = None
    override: float | None = None
    source: float | str | None = None
    states: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schedule: tuple[str, Mapping[str, Any]] | None = None
    kept: Mapping[str, Array] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def whole_history(self) -> History:
        """Measures of all completed epochs."""
        return self.history.with_records(self.recent) if self.recent else self.history

    def with_measures(self, record: Record) -> dict[str, Any]:
        """Return the changes by which the history has one epoch more."""
        recent = (*self.recent, record)
        if len(recent) < _MOST_RECENT:
            return {"recent": recent}
        return {"history": self.history.with_records(recent), "recent": ()}

    def with_told(
        self, key: str, callback: Callback, *, stops: bool = False, **changes: Any
    ) -> Progress:
        """Return the progress after a call of `callback`; its hook returned `stops`."""
        states = {**self.states, key: checked_state(callback, callback.state())}
        changes = {"told": self.told | {key}, **changes}
        return self.changed(states=states, stops=self.stops or stops, **changes)

    def with_epoch(self, record: Record, **changes: Any) -> Progress:
        """Return the progress after one more epoch, before any callback is called with it."""
        return self.changed(
            epoch=self.epoch + 1, record=record, told=frozenset(), seen={}, seconds=0.0,
            rate=None, **changes,
        )  # fmt: skip

    def to_arrays(self) -> dict[str, Array]:
        """Return everything except the history, as arrays of numbers and one array of text."""
        tree = {
            "planned": None if self.planned is None else asdict(self.planned),
            "record": self.record,
            "told": sorted(self.told),
            "stops": self.stops,
            "seen": {key: list(sums) for key, sums in self.seen.items()},
            "seconds": self.seconds,
            "rate": self.rate,
            "step_rate": self.step_rate,
            "override": self.override,
            "source": self.source,
            "states": self.states,
            "schedule": None if self.schedule is None else list(self.schedule),
            "kept": self.kept,
            "others": self.others,
        }
        text, arrays = packed(checked_state(self, tree), _ARRAYS)
        return {"epochs": np.array(self.epoch), _TEXT: np.array(text), **arrays}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], history: History) -> Progress:
        """Make a progress from the arrays of `to_arrays`.

        Arrays of the first releases contain only the number of epochs.

        Raises
        ------
        ValueError
            The arrays are not those of `to_arrays`.
        """
        epoch = int(arrays["epochs"])
        if epoch < 0:
            raise ValueError(f"epochs must be >= 0, got {epoch}")
        if _TEXT not in arrays:
            return cls(epoch, history)
        tree = unpacked(str(arrays[_TEXT].item()), arrays)
        try:
            planned = tree["planned"]
            return cls(
                epoch,
                history,
                planned=None if planned is None else Planned(**planned),
                record=tree["record"],
                told=frozenset(tree["told"]),
                stops=tree["stops"],
                seen={key: tuple(sums) for key, sums in tree["seen"].items()},
                seconds=tree["seconds"],
                rate=tree["rate"],
                step_rate=tree["step_rate"],
                override=tree["override"],
                source=tree["source"],
                states=tree["states"],
                schedule=None if tree["schedule"] is None else tuple(tree["schedule"]),
                kept=tree["kept"],
                others=tree["others"],
            )
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"{_TEXT} is not the progress of a training: {error!r}") from None


class Continuation:
    """The state that a training continues from: a run of the core or its saved state, and progress.

    Another thread may call `put_aside` at any time, so each method reads `run` only once.

    Attributes
    ----------
    run : Run or None
        Run of the core. If it is not None, `saved` is not used.
    saved : dict of str to array or None
        State of a run, as `Run.state` returns it.
    progress : Progress
        Progress of the training.
    refusal : str or None
        Reason why a trained model has no state to continue from.
    """

    def __init__(self, progress: Progress | None = None, refusal: str | None = None) -> None:
        self.run: Run | None = None
        self.saved: dict[str, Array] | None = None
        self.progress = Progress() if progress is None else progress
        self.refusal = refusal

    def settle(self, progress: Progress) -> None:
        """Replace the progress."""
        self.progress = progress

    @property
    def steps(self) -> int:
        """Number of steps completed in the running epoch."""
        run = self.run
        if run is not None:
            return run.steps_in(self.progress.epoch)
        position = (self.saved or {}).get("position")
        if position is None or int(position[0]) != self.progress.epoch:
            return 0
        return int(position[1])

    @property
    def rule(self) -> str | None:
        """Name of the update rule of the run."""
        run = self.run
        if run is not None:
            return run.rule
        saved = self.saved
        return None if saved is None else str(saved["rule"].item())

    @property
    def has_diverged(self) -> bool:
        """Whether the optimizer's state does not belong to the model's parameters."""
        run = self.run
        state = run.position if run is not None else (self.saved or {}).get("position")
        return state is not None and bool(state[4])

    def run_state(self) -> dict[str, Array] | None:
        """Return a copy of the state of the run."""
        run = self.run
        if run is None:
            return self.saved
        progress = self.progress
        steps, planned = run.steps_in(progress.epoch), progress.planned
        between = planned is None or not 0 < steps < planned.steps_per_epoch
        return run.state(with_start=not between)

    def state_at(self, progress: Progress) -> dict[str, Array]:
        """Return what `to_arrays` returns, with another progress."""
        return {**(self.run_state() or {}), **progress.to_arrays()}

    def put_aside(self) -> dict[str, Array] | None:
        """Save the state of the run, then free its memory; one of the two always exists."""
        state = self.run_state()
        self.saved = state
        self.run = None
        return state

    def run_for(
        self,
        model: Network,
        batch_size: int,
        rule: str,
        threads: int | None = None,
        shards: Shards = WHOLE,
    ) -> Run:
        """Return a run that continues this training: the last one if it suits, or a new one.

        The caller makes it the run of the continuation.
        """
        run = self.run
        if run is not None and run.suits(model, batch_size, rule, threads, shards):
            return run
        # Free the memory of the last run, but not its state, before the new run allocates.
        state = self.put_aside()
        run = Run(model, batch_size, rule, threads, shards)
        if state is not None:
            run.restore(state)
        return run

    def to_arrays(self) -> dict[str, Array]:
        """Return the state of the run and the progress as arrays; empty if there is no state."""
        state = self.run_state()
        return {} if state is None else {**state, **self.progress.to_arrays()}

    @classmethod
    def from_arrays(cls, state: Mapping[str, npt.ArrayLike], history: History) -> Continuation:
        """Make a continuation from the arrays of `to_arrays`.

        Raises
        ------
        TypeError, ValueError
            `state` is not a mapping of the arrays of `to_arrays`.
        """
        if not isinstance(state, Mapping):
            raise TypeError(f"state must be a mapping, got {type(state).__name__}")
        if not set(state) >= _ALWAYS:
            names = ", ".join(map(str, state)) or "nothing"
            raise ValueError(f"state must be what training_state() returns, got {names}")
        if not all(isinstance(name, str) for name in state):
            raise TypeError(f"state must have strings as keys, got {list(state)}")
        arrays = {name: np.asarray(value) for name, value in state.items()}
        arrays["epochs"] = np.array(integer("epochs", int(arrays["epochs"]), 0))
        for name, shape in _SHAPES.items():
            if name in arrays and np.shape(arrays[name]) != shape:
                raise ValueError(f"{name} must have shape {shape}, got {np.shape(arrays[name])}")
        continuation = cls(Progress.from_arrays(arrays, history))
        own = ("epochs", _TEXT)
        continuation.saved = {
            name: array
            for name, array in arrays.items()
            if name not in own and not name.startswith(_ARRAYS)
        }
        return continuation
