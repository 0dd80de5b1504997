"""Exceptions and warnings for which Python has none."""

from collections.abc import Iterable

__all__ = [
    "ConvergenceWarning",
    "DataUnavailableError",
    "DivergedError",
    "FormatError",
    "TrainingWarning",
    "did_you_mean",
]


class FormatError(ValueError):
    """A file is damaged, truncated, hostile, or of a version this release cannot read.

    The message names the file and the field.
    """


class DataUnavailableError(RuntimeError):
    """No source provides a data set; the message lists the sources and their errors."""


class ConvergenceWarning(UserWarning):
    """An optimizer stopped before it converged; the message says why and suggests a cure."""


class TrainingWarning(UserWarning):
    """A training has learned nothing or much less than it could; the message names the cure.

    It begins with the code of the finding, by which `warnings.filterwarnings` can select it.
    """


class DivergedError(RuntimeError):
    """The loss of a training became NaN or infinite.

    The model has the weights of the last completed epoch.

    Attributes
    ----------
    epoch : int
        Epoch of the loss, counted from 1.
    step : int
        Step of that epoch, counted from 1.
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
