"""What a report is about: a run, its model, and the samples that the model was measured on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.report import findings

if TYPE_CHECKING:
    from fastmlp.data import Samples
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.model import MLP

__all__ = ["Subject"]


@dataclass(frozen=True)
class Subject:
    """A run with its model, measured on `samples`."""

    run: RunDirectory
    model: MLP
    evaluation: Evaluation
    samples: Samples
    threads: int | None = None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """What the epochs measured."""
        return self.run.records()

    @cached_property
    def result(self) -> dict[str, Any]:
        """How the run ended."""
        return self.run.result()

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Machine, versions, digests of the data."""
        return self.run.environment()

    @property
    def part(self) -> str:
        """What `samples` are: "test", "validation" or "training"; "evaluated" if not known."""
        return str(self.result.get("evaluated_on", "evaluated"))

    @property
    def monitored(self) -> str:
        """The part that was measured after each epoch, which records call ``val``."""
        # Without a validation part it is that of the test, and no epoch is chosen by it.
        chosen = self.result.get("selected") == "best"
        return "test" if self.part == "test" and not chosen else "validation"

    @property
    def is_image(self) -> bool:
        """Whether a sample can be shown as a picture."""
        return self.image_shape is not None

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """Height and width, and 3 for colours."""
        pre = self.model.preprocessing
        shape = None if pre is None else pre.image_shape
        drawable = shape is not None and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3))
        return shape if drawable else None

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the classes, labels or targets."""
        pre = self.model.preprocessing
        names = None if pre is None else pre.class_names or pre.target_names
        return tuple(names or (str(i) for i in range(self.model.layer_sizes[-1])))

    @cached_property
    def losses(self) -> findings.Floats:
        """How wrong each sample is, to rank them by."""
        return findings.sample_losses(
            self.model, self.evaluation, self.samples, threads=self.threads
        )

    @cached_property
    def true_values(self) -> findings.Floats:
        """Targets of a regression in their units, (samples, targets)."""
        targets = np.asarray(self.samples.y, np.float64).reshape(self.predicted_values.shape)
        pre = self.model.preprocessing
        return targets if pre is None else np.asarray(pre.decode(targets), np.float64)

    @cached_property
    def predicted_values(self) -> findings.Floats:
        """Predictions of a regression in units of the targets, (samples, targets)."""
        values = np.asarray(self.evaluation.predictions, np.float64)
        return values.reshape(len(values), -1)

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Samples as pictures, 0 black and 255 white, (rows, height, width) or (..., 3)."""
        assert self.image_shape is not None
        x = self.samples.x[rows]
        if x.dtype != np.uint8:
            x = self._shades(x)
        return x.reshape(len(rows), *self.image_shape)

    def _shades(self, x: NDArray[Any]) -> NDArray[np.uint8]:
        values = findings.original_inputs(x, self.model.preprocessing)
        low, high = self._range
        shades = np.clip((values - low) / (high - low) * 255, 0, 255)
        return np.rint(shades).astype(np.uint8)

    @cached_property
    def _range(self) -> tuple[float, float]:
        """Lowest and highest value of all samples: the same shade means the same value."""
        x, pre = self.samples.x, self.model.preprocessing
        low = float(findings.original_inputs(x.min(axis=0), pre).min())
        high = float(findings.original_inputs(x.max(axis=0), pre).max())
        return low, high if high > low else low + 1
