"""What a training shows while it runs, on standard error.

On a terminal: a bar with the running epoch, and a line for each finished one.  Elsewhere: the
lines alone.  No refresh thread: the bar is redrawn from the training's own progress calls, so the
display never competes with the workers for a core.
"""

from __future__ import annotations

import os
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

__all__ = ["Display", "make_console"]

REDRAW_SECONDS = 0.1


def make_console(*, no_color: bool) -> Any:
    """Return a rich console on standard error that honours --no-color, NO_COLOR, FORCE_COLOR."""
    from rich.console import Console

    from fastmlp.cli.errors import use_color

    color = use_color(sys.stderr, no_color=no_color)
    return Console(
        stderr=True,
        highlight=False,
        soft_wrap=True,
        no_color=not color,
        color_system="auto" if color else None,
        force_terminal=True if color else None,
    )


def format_duration(seconds: float) -> str:
    """Return `0:07`, `12:34` or `1:02:03`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{second:02d}" if hours else f"{minutes}:{second:02d}"


class Display:
    """Progress of one training; a context manager, and silent when `quiet`.

    Parameters
    ----------
    epochs, samples : int
        Length of the run and of one epoch.
    quiet, no_color : bool
        The command's switches.
    """

    def __init__(self, epochs: int, samples: int, *, quiet: bool, no_color: bool) -> None:
        self.epochs = epochs
        self.samples = samples
        self.quiet = quiet
        self.best: float | None = None
        self.best_epoch = 0
        self.completed = 0
        self._live: Live | None = None
        self._started = self._epoch_started = time.perf_counter()
        self._drawn = 0.0
        if quiet:
            return
        self._console = make_console(no_color=no_color)
        # FORCE_COLOR makes rich believe in a terminal; an animation needs a real one.
        self._animated = sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"

    def __enter__(self) -> Display:
        if not self.quiet and self._animated:
            from rich.live import Live

            self._live = Live(
                console=self._console, auto_refresh=False, transient=True,
                redirect_stdout=False, redirect_stderr=False,
            )  # fmt: skip
            self._live.start()
        self._started = self._epoch_started = time.perf_counter()
        self.progress(0, self.samples, float("nan"), None)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def say(self, text: str) -> None:
        """Print one line above the bar."""
        if not self.quiet:
            self._console.print(text, markup=False)

    def progress(self, done: int, total: int, loss: float, accuracy: float | None) -> None:
        """Redraw the bar; the signature is that of `fit(progress=...)`."""
        now = time.perf_counter()
        if self._live is None or now - self._drawn < REDRAW_SECONDS:
            return
        self._drawn = now
        self._live.update(self._bar(done, total, loss, accuracy, now), refresh=True)

    def epoch_end(self, record: dict[str, Any]) -> None:
        """Note the finished epoch and print its line."""
        self.completed = int(record["epoch"])
        score = record.get("val_accuracy", record.get("accuracy"))
        better = False
        if score is not None and (self.best is None or score > self.best):
            better = True
            self.best, self.best_epoch = float(score), self.completed
        now = time.perf_counter()
        self._epoch_started = now
        if self.quiet:
            return
        self._console.print(self._line(record, better=better))
        # A fresh bar at once, or the finished one would stand still during the next epoch's start.
        self._drawn = 0.0
        if self.completed < self.epochs:
            self.progress(0, self.samples, float("nan"), None)

    def _line(self, record: dict[str, Any], *, better: bool) -> Text:
        from rich.text import Text

        width = len(str(self.epochs))
        seconds = float(record["seconds"])
        text = Text(f"epoch {self.completed:>{width}}/{self.epochs}", style="bold", no_wrap=True)
        plain = "not bold"
        text.append(f"  loss {record['loss']:.4f}", plain)
        if "accuracy" in record:
            text.append(f"  accuracy {record['accuracy']:7.2%}", plain)
        if "val_accuracy" in record:
            text.append("  test ", plain)
            text.append(f"{record['val_accuracy']:7.2%}", "bold green" if better else plain)
        text.append(f"  {seconds:.2f} s", plain)
        if seconds > 0:
            text.append(f"  {self.samples / seconds:,.0f} samples/s", plain)
        if better:
            text.append("  best", "bold green")
        return text

    def _bar(self, done: int, total: int, loss: float, accuracy: float | None, now: float) -> Text:
        from rich.text import Text

        share = done / total if total else 1.0
        in_epoch = max(now - self._epoch_started, 1e-9)
        number = min(self.completed + 1, self.epochs)
        head = f"epoch {number:>{len(str(self.epochs))}}/{self.epochs} "
        parts = [f" {share:4.0%}"]
        overall = (self.completed + share) / self.epochs
        if overall > 0:
            remaining = (now - self._started) * (1.0 - overall) / overall
            parts.append(f"ETA {format_duration(remaining)}")
        if done:
            parts += [f"loss {loss:.4f}"]
            if accuracy is not None:
                parts.append(f"accuracy {accuracy:.2%}")
            parts.append(f"{done / in_epoch:,.0f} samples/s")
        if self.best is not None:
            parts.append(f"best {self.best:.2%}")
        # The line must not wrap: drop the least needed facts first, then shrink the bar.
        room = self._console.width - 1 - len(head)
        tail = "  ".join(parts)
        while len(parts) > 1 and len(tail) + 10 > room:
            parts.pop()
            tail = "  ".join(parts)
        cells = max(0, min(30, room - len(tail)))
        full = int(cells * share)
        text = Text(head, style="bold", no_wrap=True, overflow="crop")
        text.append("━" * full, "not bold cyan")
        text.append("━" * (cells - full), "not bold bright_black")
        text.append(tail, "not bold")
        return text
