"""One training of an estimator for tables: its samples, the columns added to them, its result."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data import Samples
from fastmlp.data.table import Table
from fastmlp.experiment.fitting import fit_network
from fastmlp.experiment.importance import score_of
from fastmlp.model import MLP

__all__ = ["AddedNames", "TrainedNetwork", "TrainingJob", "free_name"]

Array = NDArray[Any]


@dataclass(frozen=True)
class AddedNames:
    """Names of the columns that are added to the samples; the samples have others."""

    targets: tuple[str, ...]
    weight: str

    def added_to(self, table: Table, y: Array, weights: Array | None) -> Table:
        """Return a table of samples with their targets and weights."""
        values = np.reshape(y, (len(y), -1))
        columns = {**table.columns}
        for j, name in enumerate(self.targets):
            columns[name] = values[:, min(j, values.shape[1] - 1)]
        if weights is not None:
            columns[self.weight] = weights
        return replace(table, columns=columns, names=tuple(columns))


def free_name(wanted: str, taken: Collection[str]) -> str:
    """Return a name that is not taken: the wanted one, if need be with a number."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted} ({number})", number + 1
    return name


@dataclass(frozen=True)
class TrainedNetwork:
    """What a training leaves: the network, its samples that chose the epoch, its score on them."""

    network: MLP
    held: Samples | None
    score: float | None


@dataclass(frozen=True)
class TrainingJob:
    """One training: its samples with their targets, those that choose the epoch, its seed."""

    data: Table
    held: Table | None
    targets: tuple[str, ...]
    weight: str | None
    seed: int

    def run(
        self,
        settings: Mapping[str, Any],
        verbose: int,
        directory: Path | None = None,
        metric: str | None = None,
    ) -> TrainedNetwork:
        """Return the trained network with its preprocessing."""
        own = {**settings, "seed": self.seed, "target": list(self.targets)}
        if self.held is None:
            own |= {"validation_fraction": 0.0, "test_fraction": 0.0}
        fitted = fit_network(
            own, self.data, validation=self.held, verbose=verbose, directory=directory
        )
        network, held = fitted.network, fitted.validation
        score = None
        if held is not None:
            score = score_of(network, held, metric=metric, threads=settings.get("threads"))
        return TrainedNetwork(network, held, score)
