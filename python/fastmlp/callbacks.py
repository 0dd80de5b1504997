"""Callbacks: hooks that a training calls between its steps and epochs."""

from __future__ import annotations

import os
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from fastmlp._files import text_path
from fastmlp.history import BestValue, History, Record
from fastmlp.validation import flag, integer, real, shown

__all__ = [
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "Training",
    "as_callbacks",
    "shown_call",
]


class Training(Protocol):
    """A training as callbacks see it.

    Attributes
    ----------
    model : MLP
        Callbacks may predict, evaluate, save, and read and set parameters.
    epoch, epochs : int
        Epochs completed, and those planned.
    step, steps_per_epoch : int
        Steps completed, and those of one epoch.
    history : History
        What this `fit` measured so far.
    learning_rate : float
        Rate of the next step. Assigned, it holds until it is assigned again, or None is.
    """

    model: Any
    epochs: int
    steps_per_epoch: int
    history: History

    @property
    def epoch(self) -> int: ...

    @property
    def step(self) -> int: ...

    @property
    def learning_rate(self) -> float: ...

    @learning_rate.setter
    def learning_rate(self, rate: float | None) -> None: ...

    def show_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Give the model other parameters when the training ends.

        A resumed training continues from its own.
        """

    def state_after(self, callback: Callback) -> Mapping[str, Any]:
        """`MLP.training_state` as it will be after the hook of `callback` that calls this."""


class Callback:
    """Hooks that `fit` calls; subclasses define those that they need.

    A hook that returns True ends the training: after the step or epoch that it was called for, and
    with `on_train_end`.

    The record of an epoch is a dict with epoch (from 1), epochs, loss, seconds, learning_rate and,
    where they exist, accuracy, val_loss, val_accuracy. That of a step has step and epoch (both from
    1) and, as means over the steps since the last call in this epoch, loss and, where it exists,
    accuracy, together with learning_rate.

    Attributes
    ----------
    every_steps : int or None
        `on_step_end` is called after every so many steps, counted from the start of the training;
        never for None. This and the names of the methods are taken.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> class Losses(fastmlp.Callback):
    ...     def __init__(self):
    ...         self.losses = []
    ...     def on_epoch_end(self, training, record):
    ...         self.losses.append(record["loss"])
    ...         return record["epoch"] == 2  # ends the training
    >>> losses = Losses()
    >>> history = model.fit(x, y, epochs=10, callbacks=[losses], verbose=0)
    >>> losses.losses == history.loss, len(history.loss)
    (True, 2)
    """

    every_steps: int | None = None

    @property
    def watches(self) -> Sequence[str]:
        """Names of the values that the callback needs in the record of an epoch.

        `MLP.fit` refuses a training that will not measure them before it begins.
        """
        return ()

    def reset(self) -> None:
        """Forget earlier trainings; called before a training that resumes none."""

    def state(self) -> Mapping[str, Any]:
        """What a resumed training needs of this callback, as it is now.

        Called after each hook. The state is part of the training: it is kept in pickles and copies
        of models, in `MLP.training_state` and in files.

        Returns
        -------
        mapping of str to object
            Of None, bool, int, float, str, lists and mappings of these, and NumPy arrays.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from what `state` returned; called before `on_train_begin` when resuming.

        A callback gets the state of the one with the same class and the same position among those
        of its class; where there is none, `reset` is called. A hook that an exception broke off is
        called again after this.
        """

    def on_train_begin(self, training: Training) -> bool | None:
        """Before the first epoch, also of a resumed training."""

    def on_train_end(self, training: Training) -> bool | None:
        """After the last epoch, also where a callback ended the training."""

    def on_epoch_begin(self, training: Training) -> bool | None:
        """Before the first step of an epoch."""

    def on_epoch_end(self, training: Training, record: Record) -> bool | None:
        """After the last step of an epoch and its validation."""

    def on_step_end(self, training: Training, record: Record) -> bool | None:
        """After every `every_steps` steps."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_train_begin, on_train_end, on_epoch_begin : callable, optional
        Called with the training.
    on_epoch_end, on_step_end : callable, optional
        Called with the training and the record.
    every_steps : int, optional
        Steps between two calls of `on_step_end`, >= 1; goes with it.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> steps = []
    >>> callback = fastmlp.LambdaCallback(
    ...     on_step_end=lambda training, record: steps.append(record["step"]), every_steps=3
    ... )
    >>> history = model.fit(x, y, epochs=2, batch_size=8, callbacks=[callback], verbose=0)
    >>> steps
    [3, 6, 9]
    """

    def __init__(
        self,
        *,
        on_train_begin: Callable[[Training], object] | None = None,
        on_train_end: Callable[[Training], object] | None = None,
        on_epoch_begin: Callable[[Training], object] | None = None,
        on_epoch_end: Callable[[Training, Record], object] | None = None,
        on_step_end: Callable[[Training, Record], object] | None = None,
        every_steps: int | None = None,
    ) -> None:
        hooks = {
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_step_end": on_step_end,
        }
        for name, function in hooks.items():
            if function is not None:
                setattr(self, name, _checked_callable(name, function))
        if (on_step_end is None) != (every_steps is None):
            raise ValueError("on_step_end and every_steps must be given together, got one of them")
        if every_steps is not None:
            self.every_steps = integer("every_steps", every_steps, 1)

    def __repr__(self) -> str:
        return shown_call(self, **vars(self))


class EarlyStopping(Callback):
    """Ends a training that no longer improves, and restores the best parameters.

    Source: I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, algorithm 7.1.

    Parameters
    ----------
    monitor : str
        Name of a value in the record of an epoch.
    patience : int
        Number of consecutive epochs without improvement after which the training ends; >= 1.
    minimum_change : float
        An epoch counts as better if the value changes by more than this; >= 0.
    mode : {"auto", "min", "max"}
        What is better; "auto" takes larger values of accuracies and smaller ones of losses.
    restore_best : bool
        Give the model the parameters of the best epoch when the training ends, unless an exception
        ends it.

    Attributes
    ----------
    best_epoch : int or None
        Counted from 1; None before the first epoch with a finite value.
    best_value : float or None
        The monitored value of this epoch.
    stopped_epoch : int or None
        The epoch, counted from 1, after which this callback ended the training.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range; during the training, the record of an
        epoch lacks the monitored value.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> stopping = fastmlp.EarlyStopping("loss", patience=2, minimum_change=0.5)
    >>> history = model.fit(x, y, epochs=50, callbacks=[stopping], verbose=0)
    >>> stopping
    EarlyStopping('loss', patience=2, best_epoch=1, stopped_epoch=3)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        patience: int = 5,
        minimum_change: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self._best = BestValue(monitor, mode, minimum_change)
        self._patience = integer("patience", patience, 1)
        self._restore_best = flag("restore_best", restore_best)
        self.reset()

    def __repr__(self) -> str:
        reached = {"best_epoch": self.best_epoch, "stopped_epoch": self.stopped_epoch}
        known = {name: epoch for name, epoch in reached.items() if epoch is not None}
        return shown_call(self, self._best.monitor, patience=self._patience, **known)

    def reset(self) -> None:
        """Forget an earlier training."""
        self._best.reset()
        self._best_parameters: dict[str, NDArray[Any]] | None = None
        self._epochs_since_best = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None

    @property
    def best_value(self) -> float | None:
        """The monitored value of the best epoch."""
        return self._best.value

    @property
    def watches(self) -> Sequence[str]:
        """The monitored value."""
        return (self._best.monitor,)

    def state(self) -> dict[str, Any]:
        """The best epoch with its value and parameters, and the epochs since."""
        return {
            "best_value": self._best.value,
            "best_epoch": self.best_epoch,
            "best_parameters": self._best_parameters,
            "epochs_since_best": self._epochs_since_best,
            "stopped_epoch": self.stopped_epoch,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with them."""
        self._best.value = state["best_value"]
        self.best_epoch = state["best_epoch"]
        self._best_parameters = state["best_parameters"]
        self._epochs_since_best = state["epochs_since_best"]
        self.stopped_epoch = state["stopped_epoch"]

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """Keep the parameters, or count the epoch."""
        if self._best.update(record):
            self._epochs_since_best = 0
            self.best_epoch = record["epoch"]
            if self._restore_best:
                self._best_parameters = _read_only(training.model.parameters())
            return False
        self._epochs_since_best += 1
        if self._epochs_since_best < self._patience:
            return False
        self.stopped_epoch = record["epoch"]
        return True

    def on_train_end(self, training: Training) -> None:
        """Give the model its best parameters."""
        if self._best_parameters is not None:
            training.show_parameters(self._best_parameters)


class ModelCheckpoint(Callback):
    """Saves the model after epochs; each file replaces the one before atomically.

    Parameters
    ----------
    path : str or os.PathLike
        File to write. Names of the record in braces are replaced as by `str.format`, as in
        ``"model-{epoch:03d}-{val_loss:.4f}.safetensors"``. Directories are created as needed.
    monitor : str
        Name of a value in the record of an epoch; used with `save_best_only`.
    save_best_only : bool
        Save only after epochs with a better value than all before; otherwise after every epoch.
    mode : {"auto", "min", "max"}
        What is better; "auto" takes larger values of accuracies and smaller ones of losses.
    training_state : bool
        Save also what ``fit(resume=True)`` continues from. Not for estimators.

    Attributes
    ----------
    last_path : str or None
        File written last in this training.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range; during the training, the record of an
        epoch lacks the monitored value or one that `path` names.
    OSError
        During the training: the file cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "model-{epoch}.safetensors")
    ...     checkpoint = fastmlp.ModelCheckpoint(path, save_best_only=False)
    ...     history = model.fit(x, y, epochs=2, callbacks=[checkpoint], verbose=0)
    ...     sorted(os.listdir(folder))
    ['model-1.safetensors', 'model-2.safetensors']
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        monitor: str = "val_loss",
        save_best_only: bool = True,
        mode: str = "auto",
        training_state: bool = False,
    ) -> None:
        self._path = text_path("path", path)
        try:
            list(string.Formatter().parse(self._path))
        except ValueError as error:
            raise ValueError(f"path must be a format string, got {self._path!r}: {error}") from None
        self._best = BestValue(monitor, mode)
        self._save_best_only = flag("save_best_only", save_best_only)
        self._training_state = flag("training_state", training_state)
        self.last_path: str | None = None

    def __repr__(self) -> str:
        return shown_call(self, self._path)

    @property
    def watches(self) -> Sequence[str]:
        """The monitored value, where it decides."""
        return (self._best.monitor,) if self._save_best_only else ()

    def reset(self) -> None:
        """Forget an earlier training."""
        self._best.reset()
        self.last_path = None

    def state(self) -> dict[str, Any]:
        """The best value and the last path."""
        return {"best_value": self._best.value, "last_path": self.last_path}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue with them."""
        self._best.value = state["best_value"]
        self.last_path = state["last_path"]

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Save the model where it is due."""
        if self._save_best_only and not self._best.update(record):
            return
        path = self._path_of(record)
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        self.last_path = path
        if self._training_state:
            training.model.save(path, training_state=training.state_after(self))
        else:
            training.model.save(path)

    def _path_of(self, record: Record) -> str:
        try:
            return self._path.format(**record)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise ValueError(
                f"path must be a format of {', '.join(record)}, got {self._path!r}: {error}"
            ) from None


class LearningRateScheduler(Callback):
    """Sets the learning rate of each epoch by a function.

    A `Schedule` as the learning rate of the optimizer sets the rate of each step. This callback
    sees the present rate, whatever has set it.

    Parameters
    ----------
    function : callable
        Called before each epoch with the number of the epoch, counted from 0, and the present rate.
        Returns the rate of the epoch, >= 0.

    Raises
    ------
    TypeError, ValueError
        `function` is not callable or, during the training, did not return a rate.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> halved = fastmlp.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    >>> rates = []
    >>> noted = fastmlp.LambdaCallback(
    ...     on_epoch_end=lambda training, record: rates.append(record["learning_rate"])
    ... )
    >>> history = model.fit(
    ...     x, y, epochs=3, optimizer=fastmlp.SGD(0.8), callbacks=[halved, noted], verbose=0
    ... )
    >>> rates
    [0.8, 0.4, 0.2]
    """

    def __init__(self, function: Callable[[int, float], float]) -> None:
        self._function = _checked_callable("function", function)

    def __repr__(self) -> str:
        return shown_call(self, self._function)

    def on_epoch_begin(self, training: Training) -> None:
        """Set the rate."""
        rate = self._function(training.epoch, training.learning_rate)
        training.learning_rate = real("learning_rate", rate, 0.0)


class _PlainFunction(Callback):
    """A function of the model and the record, called after each epoch."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        return self._function(training.model, dict(record)) is True


def as_callbacks(callbacks: Sequence[Callback | Callable[..., object]]) -> list[Callback]:
    """What `MLP.fit` was given, with functions ``f(model, record)`` made into callbacks.

    Raises
    ------
    TypeError
        It is not a list or tuple of callables and callbacks.
    """
    if not isinstance(callbacks, (list, tuple)) or not all(map(_is_usable, callbacks)):
        raise TypeError(
            f"callbacks must be a list or tuple of callables or fastmlp.Callback, got {callbacks!r}"
        )
    hooks = [c if isinstance(c, Callback) else _PlainFunction(c) for c in callbacks]
    for hook in hooks:
        _require_protocol(hook)
    return hooks


def _require_protocol(callback: Callback) -> None:
    """Raise where a subclass has put something else in place of a method or of `every_steps`."""
    kind = type(callback).__name__
    for name, value in vars(Callback).items():
        if callable(value) and not name.startswith("_") and not callable(getattr(callback, name)):
            raise TypeError(
                f"{kind}.{name} must be a method, as `fastmlp.Callback` has it, got "
                f"{getattr(callback, name)!r}: give the attribute another name"
            )
    if callback.every_steps is not None:
        callback.every_steps = integer(f"{kind}.every_steps", callback.every_steps, 1)


def shown_call(owner: object, *arguments: object, **named: object) -> str:
    """A call of the class of `owner` as text, for short reprs."""
    texts = [shown(value) for value in arguments]
    texts += [f"{name}={shown(value)}" for name, value in named.items()]
    return f"{type(owner).__name__}({', '.join(texts)})"


def _is_usable(callback: object) -> bool:
    # A class is callable too, but for a class of callbacks the parentheses were forgotten.
    forgotten = isinstance(callback, type) and issubclass(callback, Callback)
    return isinstance(callback, Callback) or (callable(callback) and not forgotten)


def _read_only(parameters: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays that states can share, because nobody can write to them."""
    for array in parameters.values():
        array.flags.writeable = False
    return parameters


def _checked_callable(name: str, function: Any) -> Any:
    if not callable(function):
        raise TypeError(f"{name} must be callable, got {type(function).__name__}")
    return function
