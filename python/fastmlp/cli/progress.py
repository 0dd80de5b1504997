"""Live display of a training, on standard error.

A terminal shows a line for each finished epoch and, below, bars that are redrawn in place; a file
or pipe receives only the lines. There is no refresh thread: frames are drawn in the training's
progress calls, so that the display never competes with the workers for a core.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from types import TracebackType
from typing import Any, NamedTuple

from fastmlp.cli.screen import Fact, Piece, Screen, fitting, joined, sparkline

__all__ = ["Display"]

REDRAW_SECONDS = 0.1
TERMINAL_LINE_SECONDS = 0.05
PLAIN_LINE_SECONDS = 0.5
UNTHINNED_PLAIN_LINES = 100
SPARKLINE_EPOCHS = 30
WIDEST_BAR = 30
NARROWEST_BAR = 8


class _Finished(NamedTuple):
    record: dict[str, Any]
    best: bool


class _Running(NamedTuple):
    """The progress of the current epoch."""

    epoch: int
    done: int
    total: int
    loss: float
    accuracy: float | None
    seconds: float

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 1.0


class _Thinning:
    """A filter that passes the first lines, and later ones only after a minimum interval."""

    def __init__(self, free: int, seconds: float) -> None:
        self._free = free
        self._seconds = seconds
        self._passed_at = -math.inf

    def passes(self, now: float) -> bool:
        if self._free > 0:
            self._free -= 1
        elif now - self._passed_at < self._seconds:
            return False
        self._passed_at = now
        return True


class Display:
    """The live display of one training; a context manager.

    An error of standard error never ends the training: the display then prints nothing more.

    Parameters
    ----------
    epochs : int
        Number of the last planned epoch.
    samples : int
        Number of training samples, each of which is used once per epoch.
    quiet : bool
        Whether to print nothing.
    no_color : bool
        Whether to print without colors.
    evaluated_on : str
        Name of the part on which ``val_`` values are measured.
    monitor : str, optional
        Quantity that determines the best epoch; by default the first of val_accuracy, val_loss,
        accuracy and loss that the records have.
    first_epoch : int
        Number of epochs completed before a resumption.
    """

    def __init__(
        self,
        epochs: int,
        samples: int,
        *,
        quiet: bool,
        no_color: bool,
        evaluated_on: str = "test",
        monitor: str | None = None,
        first_epoch: int = 0,
    ) -> None:
        self._epochs = epochs
        self._samples = samples
        self._evaluated_on = evaluated_on
        self._monitor = monitor
        self._first_epoch = self._completed = first_epoch
        self._ended = self._printed = 0
        self._held: list[_Finished] = []
        self._losses: deque[tuple[int, float]] = deque(maxlen=SPARKLINE_EPOCHS)
        self._best: dict[str, Any] | None = None
        self._running = _Running(first_epoch + 1, 0, samples, math.nan, None, 0.0)
        self._started = self._epoch_started = time.perf_counter()
        self._drawn = -math.inf
        self._screen: Screen | None = None
        if not quiet and sys.stderr is not None:
            self._screen = Screen(sys.stderr, no_color=no_color)
        self._animated = False
        self._thinning = (
            _Thinning(0, TERMINAL_LINE_SECONDS)
            if self._screen is not None and self._screen.is_terminal
            else _Thinning(UNTHINNED_PLAIN_LINES, PLAIN_LINE_SECONDS)
        )

    def __enter__(self) -> Display:
        self._started = self._epoch_started = time.perf_counter()
        self._animated = self._screen is not None and self._screen.is_terminal
        self._show([], self._started)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lines = self._released()
        skipped = self._ended - self._printed
        if skipped:
            lines.append(f"({skipped:,} of {self._ended:,} epochs are not shown)")
        self._animated = False
        self._show(lines, time.perf_counter())

    def say(self, text: str) -> None:
        """Print a line above the bars."""
        self._show([text], time.perf_counter())

    def progress(self, done: int, total: int, loss: float, accuracy: float | None) -> None:
        """Redraw the bars; `MLP.fit` calls this as its argument ``progress``."""
        if not self._animated:
            return
        now = time.perf_counter()
        if now - self._drawn < REDRAW_SECONDS:
            return
        seconds = now - self._epoch_started
        self._running = _Running(self._completed + 1, done, total, loss, accuracy, seconds)
        self._show(self._released() if self._held and self._thinning.passes(now) else [], now)

    def epoch_end(self, record: dict[str, Any], *, best: bool) -> None:
        """Record a finished epoch and print its line, unless a line was printed just before.

        If epochs end too quickly, lines are held back; of these, the last and that of the best
        epoch are printed together with the next line.

        Parameters
        ----------
        record : dict
            Record of the epoch: epoch, loss, seconds and, if measured, accuracy, val_loss and
            val_accuracy.
        best : bool
            Whether the epoch is the best one so far.
        """
        if self._screen is None:
            return
        now = time.perf_counter()
        self._ended += 1
        self._completed = int(record["epoch"])
        self._losses.append((self._completed, float(record["loss"])))
        if best:
            self._best = record
            self._held.clear()
        elif self._held and not self._held[-1].best:
            self._held.pop()
        self._held.append(_Finished(record, best))
        if self._thinning.passes(now):
            # The full bar stays until the next epoch reports progress; very short epochs never do.
            loss, accuracy, seconds = record["loss"], record.get("accuracy"), record["seconds"]
            samples = self._samples
            self._running = _Running(self._completed, samples, samples, loss, accuracy, seconds)
            self._show(self._released(), now)
        self._epoch_started = now

    def _monitored(self, record: dict[str, Any]) -> str:
        names = (self._monitor, "val_accuracy", "val_loss", "accuracy", "loss")
        return next(name for name in names if name in record and name is not None)

    def _released(self) -> list[str]:
        """Return and clear the lines that were held back."""
        lines = [self._epoch_line(finished) for finished in self._held]
        self._printed += len(lines)
        self._held = []
        return lines

    def _show(self, lines: list[str], now: float) -> None:
        if self._screen is None:
            return
        self._drawn = now
        try:
            if self._animated:
                self._screen.draw(lines, self._block(now, self._screen))
            else:
                self._screen.print(lines)
        except OSError:
            self._screen = None
            self._animated = False

    def _epoch_line(self, finished: _Finished) -> str:
        assert self._screen is not None
        record, best = finished
        monitored = self._monitored(record)
        facts = [Fact(self._epoch_number(record["epoch"]), 0, "title")]
        shown = {"loss": 1, "accuracy": 2, "val_accuracy": 1, "val_loss": 1}
        for name, need in (shown | {monitored: shown.get(monitored, 0)}).items():
            if name not in record:
                continue
            if name == "val_loss" and name != monitored and "val_accuracy" in record:
                continue
            label = self._evaluated_on if name == "val_accuracy" else self._label(name)
            value = _value(name, record[name])
            text = f"{label} {value:>7}" if name.endswith("accuracy") else f"{label} {value}"
            style = "best" if best and name == monitored else ""
            facts.append(Fact(text, 0 if name == monitored else need, style))
        seconds = float(record["seconds"])
        facts.append(Fact(_duration(seconds), 3))
        if seconds > 0:
            facts.append(Fact(f"{self._samples / seconds:,.0f} samples/s", 4))
        # Blanks keep the width equal, so that a narrow terminal drops the same facts in all lines.
        facts.append(Fact("best", 0, "best") if best else Fact("    ", 0))
        room = self._screen.size()[0] - 1 if self._screen.is_terminal else None
        return self._screen.styled(joined(fitting(facts, room)), room).rstrip()

    def _epoch_number(self, epoch: int) -> str:
        return f"epoch {epoch:>{len(str(self._epochs))}}/{self._epochs}"

    def _label(self, name: str) -> str:
        part = f"{self._evaluated_on} " if name.startswith("val_") else ""
        return part + name.removeprefix("val_").replace("_", " ")

    def _block(self, now: float, screen: Screen) -> list[str]:
        """Return the lines that are redrawn in place."""
        columns, height = screen.size()
        titles = (self._epoch_number(self._running.epoch), "this epoch", "loss")
        title_width = max(map(len, titles)) + 1
        room = columns - 1 - title_width - 2  # two blanks separate the picture from the facts
        share = (self._running.epoch - 1 + self._running.share) / self._epochs
        facts = (self._training_facts(share, now), self._epoch_facts(), self._best_facts())
        tails = [joined(fitting(row, room - NARROWEST_BAR)) for row in facts]
        free = [max(0, room - sum(len(text) for text, _ in tail)) for tail in tails]
        cells = min(WIDEST_BAR, *free[:2])
        pictures = [_bar(share, cells, screen), _bar(self._running.share, cells, screen)]
        if self._losses:
            pictures.append(self._sparkline(free[2], screen))
        rows = [
            [(title.ljust(title_width), "title"), *picture, ("  ", ""), *tail]
            for title, picture, tail in zip(titles, pictures, tails, strict=False)
        ]
        block = [screen.styled(row, columns - 1) for row in rows]
        return block[: max(1, height - 1)]

    def _training_facts(self, share: float, now: float) -> list[Fact]:
        elapsed = now - self._started
        facts = [Fact(_percent(share), 0), Fact(f"elapsed {_clock(elapsed)}", 2)]
        worked = share * self._epochs - self._first_epoch
        if worked > 0:
            left = elapsed * (1.0 - share) * self._epochs / worked
            facts.append(Fact(f"ETA {_clock(left)}", 1))
        return facts

    def _epoch_facts(self) -> list[Fact]:
        running = self._running
        facts = [Fact(_percent(running.share), 0)]
        if running.done:
            facts.append(Fact(f"loss {_value('loss', running.loss)}", 1))
            if running.accuracy is not None:
                facts.append(Fact(f"accuracy {_value('accuracy', running.accuracy)}", 2))
            if running.seconds > 0:
                facts.append(Fact(f"{running.done / running.seconds:,.0f} samples/s", 3))
        return facts

    def _best_facts(self) -> list[Fact]:
        if self._best is None:
            return []
        name = self._monitored(self._best)
        return [
            Fact(f"best {_value(name, self._best[name])}", 0, "best"),
            Fact(f"epoch {self._best['epoch']}", 1),
            Fact(self._label(name), 2),
        ]

    def _sparkline(self, cells: int, screen: Screen) -> list[Piece]:
        shown = list(self._losses)[-cells:] if cells else []
        levels = sparkline([loss for _, loss in shown], screen.glyphs.levels)
        best_epoch = self._best["epoch"] if self._best is not None else None
        at = next((i for i, (epoch, _) in enumerate(shown) if epoch == best_epoch), len(shown))
        return [(levels[:at], "bar"), (levels[at : at + 1], "best"), (levels[at + 1 :], "bar")]


def _bar(share: float, cells: int, screen: Screen) -> list[Piece]:
    done = int(cells * share + 1e-9)
    return [(screen.glyphs.done * done, "bar"), (screen.glyphs.left * (cells - done), "rest")]


def _percent(share: float) -> str:
    # Rounded down, so that 100 % appears only at the end.
    return f"{int(100 * share + 1e-9):3d}%"


def _value(name: str, value: float) -> str:
    """Return an accuracy in percent, or a loss in about six characters to keep columns aligned."""
    if name.endswith("accuracy"):
        return f"{value:.2%}"
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-3:
        return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e+")
    decimals = 4 - int(math.log10(size)) if size >= 1 else 4
    return f"{value:.{decimals}f}"


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{1000 * seconds:.1f} ms"


def _clock(seconds: float) -> str:
    """Return a time as `0:07`, `12:34` or `1:02:03`."""
    minutes, second = divmod(max(0, round(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
