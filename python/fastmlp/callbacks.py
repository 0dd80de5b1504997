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
    "ParameterRecorder",
    "Training",
    "as_callbacks",
    "shown_call",
]


class Training(Protocol):
    """A training as callbacks see it.

    Attributes
    ----------
    model : MLP
        Model in training. Callbacks may predict, evaluate, save, and read and set parameters.
    epochs : int
        Number of planned epochs.
    steps_per_epoch : int
        Number of steps of one epoch.
    history : History
        Measures of the epochs of this `fit` so far.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> class Halving(fastmlp.Callback):
    ...     def on_epoch_end(self, training, record):
    ...         print(f"{training.epoch} of {training.epochs}, rate {training.learning_rate:g}")
    ...         training.learning_rate /= 2
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> history = model.fit(
    ...     x, y, epochs=2, optimizer=fastmlp.SGD(0.1), callbacks=[Halving()], verbose=0
    ... )
    1 of 2, rate 0.1
    2 of 2, rate 0.05
    """

    model: Any
    epochs: int
    steps_per_epoch: int
    history: History

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""

    @property
    def step(self) -> int:
        """Number of completed steps."""

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step.

        An assigned rate applies until another is assigned; None returns to the optimizer's rates.
        """

    @learning_rate.setter
    def learning_rate(self, rate: float | None) -> None: ...

    def show_parameters(self, parameters: Mapping[str, Any]) -> None:
        """Give the model other parameters when the training ends.

        A resumed training continues from the parameters of the last step.
        """

    def state_after(self, callback: Callback) -> Mapping[str, Any]:
        """Return `MLP.training_state` as it will be after the running hook of `callback`."""


class Callback:
    """Hooks that `fit` calls; subclasses define those that they need.

    A hook that returns True ends the training after the step or epoch for which it was called;
    `on_train_end` is still called.

    The record of an epoch is a dict with epoch (from 1), epochs, loss, seconds, learning_rate and,
    if they are measured, accuracy, val_loss and val_accuracy. The record of a step is a dict with
    step and epoch (both from 1), learning_rate, loss and, if it is measured, accuracy; the last two
    are means over the steps since the previous call in this epoch.

    Attributes
    ----------
    every_steps : int or None
        Number of steps between two calls of `on_step_end`, counted from the start of the training;
        None for no calls.
    writes : bool
        Whether the callback writes or prints. Where several processes train a model together, the
        first alone calls such a callback; all others are called by every process. Subclasses cannot
        use these two names and those of the methods otherwise.

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
    writes: bool = False

    @property
    def watches(self) -> Sequence[str]:
        """Names of the values that the callback needs in the record of an epoch.

        `MLP.fit` raises ValueError before the training if one of them will not be measured.
        """
        return ()

    def reset(self) -> None:
        """Reset the callback; called before each training that is not resumed."""

    def state(self) -> Mapping[str, Any]:
        """Return the state of this callback that a resumed training needs.

        It is called after each hook. The state is saved with the training: in pickles and copies of
        models, in `MLP.training_state` and in files.

        Returns
        -------
        mapping of str to object
            Values that are None, bool, int, float, str, NumPy arrays, or lists and mappings of
            these.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state; called before `on_train_begin` of a resumed training.

        A callback gets the state of the callback with the same class and the same position among
        those of its class; if there is none, `reset` is called instead. A hook that an exception
        interrupted is called again later.
        """

    def on_train_begin(self, training: Training) -> bool | None:
        """Called before the first epoch, also of a resumed training."""

    def on_train_end(self, training: Training) -> bool | None:
        """Called after the last epoch, also if a callback ended the training."""

    def on_epoch_begin(self, training: Training) -> bool | None:
        """Called before the first step of an epoch."""

    def on_epoch_end(self, training: Training, record: Record) -> bool | None:
        """Called after the last step of an epoch and its validation."""

    def on_step_end(self, training: Training, record: Record) -> bool | None:
        """Called after every `every_steps` steps."""


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    on_train_begin, on_train_end, on_epoch_begin : callable, optional
        Functions called with the training.
    on_epoch_end, on_step_end : callable, optional
        Functions called with the training and the record.
    every_steps : int, optional
        Number of steps between two calls of `on_step_end`, >= 1; required with `on_step_end`.

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
    """A callback that ends a training without improvement and restores the best parameters.

    Source: I. Goodfellow, Y. Bengio, A. Courville, "Deep learning", 2016, algorithm 7.1.

    Parameters
    ----------
    monitor : str
        Name of a value in the record of an epoch.
    patience : int
        Number of consecutive epochs without improvement after which the training ends; >= 1.
    minimum_change : float
        Change of the value, >= 0, that an improvement must exceed.
    mode : {"auto", "min", "max"}
        Direction of an improvement; "auto" is "max" for accuracies and "min" for losses.
    restore_best : bool
        Whether the model gets the parameters of the best epoch when the training ends, unless an
        exception ends it.

    Attributes
    ----------
    best_epoch : int or None
        Best epoch, counted from 1; None before the first epoch with a finite value.
    best_value : float or None
        Monitored value of the best epoch.
    stopped_epoch : int or None
        Epoch, counted from 1, after which this callback ended the training.

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
        """Reset the callback for a new training."""
        self._best.reset()
        self._best_parameters: dict[str, NDArray[Any]] | None = None
        self._epochs_since_best = 0
        self.best_epoch: int | None = None
        self.stopped_epoch: int | None = None

    @property
    def best_value(self) -> float | None:
        """Monitored value of the best epoch."""
        return self._best.value

    @property
    def watches(self) -> Sequence[str]:
        """Name of the monitored value."""
        return (self._best.monitor,)

    def state(self) -> dict[str, Any]:
        """Return the best epoch with its value and parameters, and the number of epochs since."""
        return {
            "best_value": self._best.value,
            "best_epoch": self.best_epoch,
            "best_parameters": self._best_parameters,
            "epochs_since_best": self._epochs_since_best,
            "stopped_epoch": self.stopped_epoch,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._best.value = state["best_value"]
        self.best_epoch = state["best_epoch"]
        self._best_parameters = state["best_parameters"]
        self._epochs_since_best = state["epochs_since_best"]
        self.stopped_epoch = state["stopped_epoch"]

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """Keep the parameters of a better epoch, or count the epoch."""
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
        """Give the model the parameters of the best epoch."""
        if self._best_parameters is not None:
            training.show_parameters(self._best_parameters)


class ModelCheckpoint(Callback):
    """A callback that saves the model after epochs and replaces existing files atomically.

    Parameters
    ----------
    path : str or os.PathLike
        File to write. Names of the record in braces are replaced as by ``str.format``, for example
        ``"model-{epoch:03d}-{val_loss:.4f}.safetensors"``. Missing directories are created.
    monitor : str
        Name of a value in the record of an epoch; used with `save_best_only`.
    save_best_only : bool
        Whether to save only after epochs with a better value than all before, instead of after
        every epoch.
    mode : {"auto", "min", "max"}
        Direction of an improvement; "auto" is "max" for accuracies and "min" for losses.
    training_state : bool
        Whether to save the state that ``fit(resume=True)`` continues from; must be False in
        estimators.

    Attributes
    ----------
    last_path : str or None
        Path of the file written last in this training.

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

    writes = True

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
        """Name of the monitored value if only the best models are saved."""
        return (self._best.monitor,) if self._save_best_only else ()

    def reset(self) -> None:
        """Reset the callback for a new training."""
        self._best.reset()
        self.last_path = None

    def state(self) -> dict[str, Any]:
        """Return the best value and the last path."""
        return {"best_value": self._best.value, "last_path": self.last_path}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._best.value = state["best_value"]
        self.last_path = state["last_path"]

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Save the model if the epoch is the best so far, or after every epoch."""
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


class ParameterRecorder(Callback):
    """A callback that keeps the parameters of epochs, to look at a training afterward.

    It keeps all parameters of every recorded epoch in memory, and in the state of the training: it
    is for small networks. `fastmlp.plot.decision_regions_over_time` and
    `fastmlp.plot.training_frames` draw what it kept.

    Parameters
    ----------
    every : int
        Number of epochs between two records, >= 1.

    Attributes
    ----------
    epochs : list of int
        Recorded epochs, counted from 1; 0 stands for the parameters before the training.
    parameters : list of dict
        What `MLP.parameters` returned then.

    Raises
    ------
    TypeError, ValueError
        `every` is not an integer >= 1.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> recorder = fastmlp.ParameterRecorder(every=2)
    >>> history = model.fit(x, y, epochs=4, callbacks=[recorder], verbose=0)
    >>> recorder.epochs
    [0, 2, 4]
    >>> recorder.parameters[0]["layers.0.weights"].shape
    (1, 4)
    """

    def __init__(self, every: int = 1) -> None:
        self._every = integer("every", every, 1)
        self.reset()

    def __repr__(self) -> str:
        return shown_call(self, every=self._every)

    def reset(self) -> None:
        """Forget the records before a new training."""
        self.epochs: list[int] = []
        self.parameters: list[dict[str, NDArray[Any]]] = []

    def state(self) -> dict[str, Any]:
        """Return the records."""
        return {"epochs": list(self.epochs), "parameters": list(self.parameters)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.epochs = [int(epoch) for epoch in state["epochs"]]
        self.parameters = [dict(parameters) for parameters in state["parameters"]]

    def on_train_begin(self, training: Training) -> None:
        """Record the parameters before the first epoch."""
        if not self.epochs:
            self._record(training)

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Record the parameters after every so many epochs."""
        if training.epoch % self._every == 0:
            self._record(training)

    def _record(self, training: Training) -> None:
        self.epochs.append(training.epoch)
        self.parameters.append(training.model.parameters())


class LearningRateScheduler(Callback):
    """A callback that sets the learning rate of each epoch by a function.

    The present rate that the function gets is that of the optimizer, or the last rate that a
    callback has set. A `Schedule` in the optimizer sets the rate of each step instead.

    Parameters
    ----------
    function : callable
        Function called before each epoch with the number of the epoch, counted from 0, and the
        present rate. It returns the rate of the epoch, >= 0.

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
        """Set the learning rate of the epoch."""
        rate = self._function(training.epoch, training.learning_rate)
        training.learning_rate = real("learning_rate", rate, 0.0)


class _PlainFunction(Callback):
    """A function of the model and the record, called after each epoch."""

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        return self._function(training.model, dict(record)) is True


def as_callbacks(callbacks: Sequence[Callback | Callable[..., object]]) -> list[Callback]:
    """Return the callbacks of an argument of `MLP.fit`, with functions made into callbacks.

    Functions are called as ``f(model, record)`` after each epoch.

    Raises
    ------
    TypeError
        The argument is not a list or tuple of callables and callbacks.
    """
    if not isinstance(callbacks, (list, tuple)) or not all(map(_is_usable, callbacks)):
        raise TypeError(
            "callbacks must be a list or tuple of callables or fastmlp.Callback, got "
            f"{callbacks!r}{_callbacks_cure(callbacks)}"
        )
    hooks = [c if isinstance(c, Callback) else _PlainFunction(c) for c in callbacks]
    for hook in hooks:
        _require_protocol(hook)
    return hooks


def _callbacks_cure(callbacks: object) -> str:
    """The end of a message: the list or the objects that may be meant."""
    if isinstance(callbacks, Callback) or _is_usable(callbacks):
        return "; write [...] around it"
    items = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    kinds = [item.__name__ for item in items if isinstance(item, type)]
    return f"; {kinds[0]}() is an object of the class" if kinds else ""


def _require_protocol(callback: Callback) -> None:
    """Raise an error if a subclass replaced a method or `every_steps` by something else."""
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
    """Return the text of a call of the class of `owner`, for short reprs."""
    texts = [shown(value) for value in arguments]
    texts += [f"{name}={shown(value)}" for name, value in named.items()]
    return f"{type(owner).__name__}({', '.join(texts)})"


def _is_usable(callback: object) -> bool:
    # A class is callable, but a class of callbacks without parentheses is a mistake.
    forgotten = isinstance(callback, type) and issubclass(callback, Callback)
    return isinstance(callback, Callback) or (callable(callback) and not forgotten)


def _read_only(parameters: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Make the arrays read-only, so that states can share them."""
    for array in parameters.values():
        array.flags.writeable = False
    return parameters


def _checked_callable(name: str, function: Any) -> Any:
    if not callable(function):
        raise TypeError(f"{name} must be callable, got {type(function).__name__}")
    return function
