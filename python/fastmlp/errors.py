"""Exceptions and warnings of fastmlp that the built-in ones do not express."""

from collections.abc import Iterable

__all__ = [
    "ConvergenceWarning",
    "DataUnavailableError",
    "DivergedError",
    "FormatError",
    "did_you_mean",
]


class FormatError(ValueError):
    """A file is damaged, truncated, hostile, or of a version this release cannot read.

    The message names the file and the field.
    """


class DataUnavailableError(RuntimeError):
    """A data set was found in none of its sources; the message says what was tried and why."""


class ConvergenceWarning(UserWarning):
    """An optimizer ended before it converged; the message says at what, and what may help."""


class DivergedError(RuntimeError):
    """Training met a loss that is NaN or infinite.

    The model keeps the weights it had at the end of the last completed epoch.

    Attributes
    ----------
    epoch : int
        Epoch in which it happened, counted from 1.
    step : int
        Mini-batch of that epoch, counted from 1.
    """

    def __init__(self, message: str, epoch: int, step: int) -> None:
        super().__init__(message)
        self.epoch = epoch
        self.step = step


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or nothing.

    Examples
    --------
    >>> did_you_mean("Trian", ["train", "test"])
    "; did you mean 'train'?"
    >>> did_you_mean("xyz", ["train", "test"])
    ''
    """
    import difflib  # only where there is an error: it is slow to load

    lowered = {text.lower(): text for text in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=1)
    return f"; did you mean {lowered[near[0]]!r}?" if near else ""
