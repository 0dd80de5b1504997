"""What a training reads: samples in memory, those of one process, or a source of them."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.network.chunks import Chunks
from fastmlp.network.samples import Data
from fastmlp.training.continuation import Progress
from fastmlp.training.defaults import default_epochs
from fastmlp.training.resumption import rest_of
from fastmlp.training.shares import Share
from fastmlp.training.stream import UNKNOWN, Stream

__all__ = ["FitSamples"]


@dataclass(frozen=True)
class FitSamples:
    """Samples of a training and of its validation.

    Attributes
    ----------
    data : Data
        All samples, or the first ones, which decide what samples decide.
    validation : Data or Chunks, optional
    number : int
        Of the samples of an epoch, or `UNKNOWN`.
    stream : Stream, optional
        Where the samples come from, if from a source.
    buffer : int
        Number of samples among which those of a source are shuffled.
    share : Share, optional
        Those of this process, if each has its own.
    """

    data: Data
    validation: Data | Chunks | None
    number: int
    stream: Stream | None = None
    buffer: int = 0
    share: Share | None = None

    @property
    def step_samples(self) -> Data | Stream:
        """Where the steps take their samples."""
        if self.stream is not None:
            return self.stream
        return self.data if self.share is None else self.share.data

    def batch_size(self, asked: int, resumed: Progress | None) -> int:
        """Return the samples of a batch: as many as were asked for, or all if these are fewer.

        Parameters
        ----------
        asked : int
            As in `MLP.fit`.
        resumed : Progress, optional
            Of the training that is resumed. If its source had no number of samples when it began,
            its batches are as large as was asked for.
        """
        planned = None if resumed is None else resumed.planned
        if self.stream is not None and planned is not None and planned.batch_size == asked:
            return asked
        return min(asked, self.number)

    def epochs(self, batch_size: int, total_epochs: int | None, resumed: Progress | None) -> int:
        """Return the number of epochs of a training that is given none.

        Parameters
        ----------
        batch_size, total_epochs
            As in `MLP.fit`.
        resumed : Progress, optional
            Of the training that is resumed, whose epochs are completed if some are left.

        Raises
        ------
        ValueError
            The number of samples is not known, or no epoch is left.
        """
        if resumed is not None:
            planned, done = resumed.planned, resumed.epoch
            if total_epochs is not None:
                return rest_of(total_epochs, done)
            if planned is not None and planned.epochs > done:
                return planned.epochs - done
        if self.number == UNKNOWN:
            raise ValueError(
                "epochs must be given for a source that does not say its number of samples"
            )
        usual = default_epochs(self.number, batch_size)
        return usual if total_epochs is None else min(usual, total_epochs)
