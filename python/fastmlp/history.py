"""Records of epochs, the history of a training, and the best epoch by a monitored value."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastmlp.errors import did_you_mean
from fastmlp.extras import MissingExtraError
from fastmlp.metrics import is_greater_better
from fastmlp.validation import choice, real

__all__ = ["BestValue", "History", "Record", "epoch_line"]

Record = dict[str, Any]
_MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
# What a record has without further metrics.
_USUAL = {*_MEASURES, "epoch", "epochs", "seconds", "learning_rate"}
_MODES = ("auto", "min", "max")
_LARGER_IS_BETTER = ("accuracy", "f1", "precision", "recall")


@dataclass(repr=False)
class History:
    """Measures of a training, one entry per epoch.

    ``history["loss"]`` is a list, as ``history.loss`` is. ``loss`` and ``accuracy`` are means over
    the training samples; each sample is measured before the step that uses it. A list is empty if
    its quantity is not measured: accuracy for regression, ``val_*`` without validation data.
    ``metrics`` contains what the argument of `MLP.fit` of this name and callbacks asked for, by its
    name in the record, such as ``val_auc``. Where a quantity was measured in other epochs only, it
    is NaN. ``epoch_seconds`` excludes validation and callbacks. ``ending`` is the reason why
    `LBFGS` ended; it is empty for other optimizers. Saved models contain neither ``epoch_seconds``
    nor ``ending``, so that equal trainings write equal files; after `fastmlp.load`
    ``epoch_seconds`` contains only the epochs trained since.

    Examples
    --------
    >>> import numpy as np
    >>> import fastmlp
    >>> x = np.linspace(-1, 1, 40).reshape(-1, 1)
    >>> y = (x[:, 0] > 0).astype(int)
    >>> model = fastmlp.MLP([1, 4, 2], seed=0)
    >>> history = model.fit(x, y, epochs=3, validation_data=(x, y), metrics=["auc"], verbose=0)
    >>> list(history)
    ['loss', 'accuracy', 'val_loss', 'val_accuracy', 'val_auc']
    >>> len(history["val_auc"]), history["loss"] == history.loss
    (3, True)
    >>> fastmlp.History(loss=[0.5, 0.25], accuracy=[0.75, 0.875])
    History(epochs=2, loss=0.25, accuracy=0.875)
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    val_accuracy: list[float] = field(default_factory=list)
    epoch_seconds: list[float] = field(default_factory=list)
    ending: str = ""
    metrics: dict[str, list[float]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return the number of epochs and the measures of the last one."""
        shown = [f"epochs={len(self.loss)}"]
        shown += [f"{name}={values[-1]:.4g}" for name, values in self._measured().items()]
        shown += [f"ending={self.ending!r}"] if self.ending else []
        return f"History({', '.join(shown)})"

    def __getitem__(self, name: str) -> list[float]:
        """Return the values of a measure.

        Raises
        ------
        KeyError
            It was not measured.
        """
        measured = self._measured()
        if name in measured:
            return measured[name]
        hint = did_you_mean(str(name), measured)
        known = ", ".join(measured) or "nothing"
        raise KeyError(f"{name!r} was not measured; the history has {known}{hint}")

    def __contains__(self, name: object) -> bool:
        """Whether a measure of this name has values."""
        return name in self._measured()

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names of what was measured."""
        return iter(self._measured())

    def keys(self) -> KeysView[str]:
        """Return the names of what was measured."""
        return self._measured().keys()

    def to_frame(self) -> Any:
        """Return a data frame with a row for each epoch and a column for each measure.

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            Of pandas if it is installed, with the index ``epoch``, from 1; else of polars, with
            ``epoch`` as the first column.

        Raises
        ------
        MissingExtraError
            Neither pandas nor polars is installed.

        Examples
        --------
        >>> import fastmlp
        >>> frame = fastmlp.History(loss=[0.5, 0.25]).to_frame()
        >>> frame["loss"].to_list()
        [0.5, 0.25]
        """
        epochs = list(range(1, len(self.loss) + 1))
        # A history that was put together by hand may have shorter lists.
        columns = {
            name: [*values, *[math.nan] * (len(epochs) - len(values))]
            for name, values in self._measured().items()
        }
        try:
            pandas = importlib.import_module("pandas")
        except ModuleNotFoundError:
            pass
        else:
            return pandas.DataFrame(columns, index=pandas.Index(epochs, name="epoch"))
        try:
            polars = importlib.import_module("polars")
        except ModuleNotFoundError:
            raise MissingExtraError(
                'to_frame needs pandas or polars; run "pip install pandas" or '
                "\"pip install 'fastmlp[data]'\"",
                name="pandas",
            ) from None
        return polars.DataFrame({"epoch": epochs, **columns})

    def append(self, record: Record) -> None:
        """Append the measures of an epoch."""
        before, lists = len(self.loss), vars(self)
        for name in _MEASURES:
            if name in record or lists[name]:
                _append_at(lists[name], before, record.get(name, math.nan))
        if self.metrics or not record.keys() <= _USUAL:
            further = [name for name in _names_of_measures(record) if name not in _MEASURES]
            for name in dict.fromkeys([*self.metrics, *further]):
                values = self.metrics.setdefault(name, [])
                _append_at(values, before, record.get(name, math.nan))
        self.epoch_seconds.append(record["seconds"])

    def with_records(self, records: Iterable[Record]) -> History:
        """Return a copy of this history with further epochs."""
        longer = History(
            self.loss.copy(),
            self.accuracy.copy(),
            self.val_loss.copy(),
            self.val_accuracy.copy(),
            self.epoch_seconds.copy(),
            self.ending,
            {name: values.copy() for name, values in self.metrics.items()},
        )
        for record in records:
            longer.append(record)
        return longer

    def _measured(self) -> dict[str, list[float]]:
        """Return the lists that have values, by name."""
        lists = {name: getattr(self, name) for name in _MEASURES} | self.metrics
        return {name: values for name, values in lists.items() if values}


def _append_at(values: list[float], place: int, value: float) -> None:
    """Append a value, and before it NaN in all places that have none."""
    if len(values) < place:
        values += [math.nan] * (place - len(values))
    values.append(value)


def _names_of_measures(record: Record) -> list[str]:
    further = [name for name in record if name.startswith("val_") and name not in _MEASURES]
    return [*(name for name in _MEASURES if name in record), *further]


def epoch_line(record: Record) -> str:
    """Return the line of text that `MLP.fit` prints for a record."""
    parts = [f"epoch {record['epoch']}/{record['epochs']}", f"{record['seconds']:.2f} s"]
    parts += [f"{name} {record[name]:.4f}" for name in _names_of_measures(record)]
    return "  ".join(parts)


class BestValue:
    """The best value so far of one quantity in the records of a training.

    Parameters
    ----------
    monitor : str
        Name of the quantity in the record of an epoch.
    mode : {"auto", "min", "max"}
        Direction of an improvement. "auto" is that of the metric of this name, with or without the
        prefix ``val_``; "max" for accuracy, precision, recall and f1 with any prefix; and "min" for
        other quantities.
    minimum_change : float
        Change of the value, >= 0, that an improvement must exceed.
    relative : bool
        Whether `minimum_change` is a fraction of the magnitude of the best value.
    takes_ties : bool
        Whether a value equal to the best one is the best, too.
    """

    def __init__(
        self,
        monitor: str,
        mode: str,
        minimum_change: float = 0.0,
        *,
        relative: bool = False,
        takes_ties: bool = False,
    ) -> None:
        if not isinstance(monitor, str):
            raise TypeError(f"monitor must be a string, got {type(monitor).__name__}")
        mode = choice("mode", mode, _MODES)
        larger = mode == "max"
        if mode == "auto":
            known = is_greater_better(monitor.removeprefix("val_"))
            larger = monitor.rpartition("_")[2] in _LARGER_IS_BETTER if known is None else known
        self.monitor = str(monitor)
        self.value: float | None = None
        self._sign = 1.0 if larger else -1.0
        self._minimum_change = real("minimum_change", minimum_change, 0.0)
        self._relative = relative
        self._takes_ties = takes_ties

    def reset(self) -> None:
        """Discard the best value."""
        self.value = None

    def update(self, record: Mapping[str, Any]) -> bool:
        """Process the record of an epoch; return whether its value is the best so far.

        NaN and infinity are never the best.

        Raises
        ------
        ValueError
            The record lacks the quantity.
        """
        if self.monitor not in record:
            needs = "; val_ needs validation_data" if self.monitor.startswith("val_") else ""
            names = ", ".join(record)
            known = any(name.startswith("val_") for name in record)
            needs = did_you_mean(self.monitor, record) if known else needs
            raise ValueError(f"monitor must be one of {names}, got {self.monitor!r}{needs}")
        value = float(record[self.monitor])
        if not math.isfinite(value):
            return False
        if self.value is not None and not (self._takes_ties and value == self.value):
            margin = self._minimum_change * (abs(self.value) if self._relative else 1.0)
            if self._sign * (value - self.value) <= margin:
                return False
        self.value = value
        return True
