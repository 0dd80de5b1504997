"""A table of epochs in a notebook, updated during the training."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastmlp.callbacks import Callback, Training, shown_call
from fastmlp.history import BestValue, Record

__all__ = ["LiveTable", "in_notebook"]

_TITLES = {
    "epoch": "epoch",
    "loss": "loss",
    "accuracy": "accuracy",
    "val_loss": "val_loss",
    "val_accuracy": "val_accuracy",
    "seconds": "seconds",
    "learning_rate": "rate",
}
_MONITORED = ("val_accuracy", "val_loss", "accuracy", "loss")
_UPDATE_SECONDS = 0.25
_LONGEST_TABLE = 30
_MOST_POINTS = 300
_WIDTH, _HEIGHT, _MARGIN = 360, 60, 4


def in_notebook() -> bool:
    """Return whether this runs in a Jupyter kernel, which can update a table in place."""
    kinds = type(_running_shell()).__mro__
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in kinds)


def _running_shell() -> Any:
    """Return the running IPython shell, or None; code in a shell has IPython imported."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


class LiveTable(Callback):
    """A callback that shows epochs in a notebook: a table with the best in bold, and the losses.

    `MLP.fit` with ``verbose=1`` adds it in a notebook. The table is updated at most four times a
    second, and when the training or its cell ends. It shows the last 30 epochs and the best one.

    Parameters
    ----------
    monitor : str, optional
        Name of the value in the record of an epoch that selects the best epoch; by default the
        first of val_accuracy, val_loss, accuracy and loss that the record contains.
    mode : {"auto", "min", "max"}
        Direction of an improvement; "auto" is "max" for accuracies and "min" for losses.

    Raises
    ------
    TypeError, ValueError
        An argument is of the wrong kind or out of range; during the training, the record of an
        epoch lacks the monitored value.
    RuntimeError
        At the start of a training: the code does not run in IPython.

    Examples
    --------
    >>> import fastmlp
    >>> fastmlp.LiveTable("val_loss")  # for the callbacks of `fit`, in a notebook
    LiveTable('val_loss')
    """

    writes = True

    def __init__(self, monitor: str | None = None, mode: str = "auto") -> None:
        # This raises the errors of both arguments.
        best = BestValue("loss" if monitor is None else monitor, mode)
        self._monitor = None if monitor is None else best.monitor
        self._mode = str(mode)
        self._events: Any = None
        self.reset()

    def __repr__(self) -> str:
        return shown_call(self, *([] if self._monitor is None else [self._monitor]))

    def reset(self) -> None:
        """Reset the table for a new training."""
        self._on_cell_end(None)
        self._best_value: BestValue | None = None
        self._best: Record | None = None
        self._latest: deque[Record] = deque(maxlen=_LONGEST_TABLE)
        self._losses: dict[str, list[float]] = {"loss": [], "val_loss": []}
        self._is_shown = False
        self._shown_at = -math.inf

    def state(self) -> dict[str, Any]:
        """Return the rows, the best row and the curve."""
        best = self._best_value
        return {
            "monitor": None if best is None else best.monitor,
            "best_value": None if best is None else best.value,
            "best": self._best,
            "latest": list(self._latest),
            "losses": {name: np.array(values) for name, values in self._losses.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self.reset()
        if state["monitor"] is not None:
            self._best_value = BestValue(state["monitor"], self._mode)
            self._best_value.value = state["best_value"]
        self._latest.extend(state["latest"])
        best = state["best"]
        same = [row for row in self._latest if best is not None and row["epoch"] == best["epoch"]]
        self._best = same[0] if same else best
        self._losses = {name: values.tolist() for name, values in state["losses"].items()}

    def on_train_begin(self, training: Training) -> None:
        """Display the empty table, which later calls update."""
        self._is_shown = False
        self._shown_at = -math.inf
        shell = _running_shell()
        if shell is None:
            raise RuntimeError(
                "LiveTable needs a running IPython, as in a notebook; elsewhere use "
                "fit(verbose=1), which prints a line per epoch"
            )
        self._epochs = training.epochs
        display = importlib.import_module("IPython.display").display
        self._display = display(self._pictures(), raw=True, display_id=True)
        # `on_train_end` is not called after an exception, but this event occurs.
        self._events = shell.events
        self._events.register("post_run_cell", self._on_cell_end)

    def on_epoch_end(self, training: Training, record: Record) -> None:
        """Add the row of the epoch, and update the table if the last update is old enough."""
        record = dict(record)
        if self._best_value is None:
            monitor = self._monitor or next(name for name in _MONITORED if name in record)
            self._best_value = BestValue(monitor, self._mode)
        if self._best_value.update(record):
            self._best = record
        self._latest.append(record)
        for name, values in self._losses.items():
            if name in record:
                values.append(record[name])
        self._is_shown = False
        if time.perf_counter() - self._shown_at >= _UPDATE_SECONDS:
            self._show()

    def on_train_end(self, training: Training) -> None:
        """Show the last rows."""
        self._on_cell_end(None)

    def _on_cell_end(self, _result: object) -> None:
        if self._events is None:
            return
        self._events.unregister("post_run_cell", self._on_cell_end)
        self._events = None
        if not self._is_shown:
            self._show()

    def _show(self) -> None:
        self._shown_at = time.perf_counter()
        self._is_shown = True
        self._display.update(self._pictures(), raw=True)

    def _pictures(self) -> dict[str, str]:
        """Return the table by MIME type."""
        epoch = self._latest[-1]["epoch"] if self._latest else 0
        caption = f"epoch {epoch} of {self._epochs}"
        rows = self._rows()
        if not rows:
            return {"text/plain": caption, "text/html": f"<p>{caption}</p>"}
        titles = [title for name, title in _TITLES.items() if name in rows[0]]
        cells = [[_text(name, row[name]) for name in _TITLES if name in row] for row in rows]
        best = [row is self._best for row in rows]
        best_epoch = self._best["epoch"] if self._best is not None else None
        curve = _curve(self._losses, rows[-1]["epoch"], best_epoch)
        return {
            "text/plain": _plain_table(caption, titles, cells, best),
            "text/html": _html_table(caption, titles, cells, best) + curve,
        }

    def _rows(self) -> list[Record]:
        rows = list(self._latest)
        if self._best is not None and all(row is not self._best for row in rows):
            rows = [self._best, *rows[1:]]
        return rows


def _text(name: str, value: float) -> str:
    if name == "epoch":
        return str(value)
    if name == "learning_rate":
        return f"{value:g}"
    if name == "seconds":
        return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def _plain_table(
    caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[bool]
) -> str:
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        for cells in (titles, *rows)
    ]
    marks = ["", *("  best" if is_best else "" for is_best in best)]
    return "\n".join([caption, *(line + mark for line, mark in zip(lines, marks, strict=True))])


def _html_table(
    caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[bool]
) -> str:
    head = "".join(f"<th>{title}</th>" for title in titles) + "<td></td>"
    body = ""
    for cells, is_best in zip(rows, best, strict=True):
        style = ' style="font-weight: bold"' if is_best else ""
        mark = "best" if is_best else ""
        body += f"<tr{style}>{''.join(f'<td>{cell}</td>' for cell in (*cells, mark))}</tr>"
    return (
        '<table style="text-align: right; font-variant-numeric: tabular-nums; '
        'border-collapse: separate; border-spacing: 1em 0.1em">'
        f"<caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _curve(losses: dict[str, list[float]], last_epoch: int, best_epoch: int | None) -> str:
    """Return the losses over the epochs as SVG in the color of the surrounding text."""
    finite = [value for values in losses.values() for value in values if math.isfinite(value)]
    if not finite:
        return ""
    lowest, highest = min(finite), max(finite)
    count = len(losses["loss"])
    first_epoch = last_epoch - count + 1

    def point(index: int, value: float) -> tuple[float, float]:
        across = index / (count - 1) if count > 1 else 0.5
        up = (value - lowest) / (highest - lowest) if highest > lowest else 0.5
        return (
            round(_MARGIN + across * (_WIDTH - 2 * _MARGIN), 1),
            round(_HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN), 1),
        )

    shapes = ""
    for name, dashes in (("loss", ""), ("val_loss", ' stroke-dasharray="5 3"')):
        values = losses[name]
        points = [point(i, values[i]) for i in _spread(len(values)) if math.isfinite(values[i])]
        if points:
            path = " ".join(f"{x:g},{y:g}" for x, y in points)
            shapes += f'<polyline points="{path}"{dashes}/>'
    if best_epoch is not None:
        index = best_epoch - first_epoch
        values = losses["val_loss"] or losses["loss"]
        if math.isfinite(values[index]):
            x, y = point(index, values[index])
            shapes += f'<circle cx="{x:g}" cy="{y:g}" r="3" fill="currentColor"/>'
    names = "loss (solid) and val_loss (dashed)" if losses["val_loss"] else "loss"
    words = f"{names}, epochs {first_epoch} to {last_epoch}, between {lowest:.4g} and {highest:.4g}"
    return (
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" fill="none" stroke="currentColor" '
        f'stroke-width="1.5"><title>{words}</title>{shapes}</svg><div>{words}</div>'
    )


def _spread(count: int) -> list[int]:
    """Return at most `_MOST_POINTS` indices below `count`, including the first and the last."""
    if count <= _MOST_POINTS:
        return list(range(count))
    return [round(i * (count - 1) / (_MOST_POINTS - 1)) for i in range(_MOST_POINTS)]
