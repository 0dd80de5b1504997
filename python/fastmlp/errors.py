"""Exceptions and warnings for which Python has none."""

__all__ = ["ConvergenceWarning", "DataUnavailableError", "DivergedError", "FormatError"]


class FormatError(ValueError):
    """A file is damaged, truncated, hostile, or of a version this release cannot read.

    The message names the file and the field.
    """


class DataUnavailableError(RuntimeError):
    """No source provides a data set; the message lists the sources and their errors."""


class ConvergenceWarning(UserWarning):
    """An optimizer stopped before it converged; the message says why and suggests a cure."""


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
