"""Learning curve by data size: what a run reaches with less data, and what more may bring."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.callbacks import Callback, Training
from fastmlp.data import Samples
from fastmlp.experiment import build
from fastmlp.experiment.evaluation import evaluate
from fastmlp.experiment.runner import Experiment, StopRule, fit, fit_at_once
from fastmlp.history import Record
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.training.lbfgs import LBFGS
from fastmlp.validation import integer

__all__ = ["SHARES", "learning_curve"]

SHARES = (0.1, 0.2, 0.5, 1.0)


class _KeepBest(Callback):
    """Keeps the parameters of the best epoch, and ends a training as that of the run ends."""

    def __init__(self, experiment: Experiment) -> None:
        self._rule = StopRule(experiment.config)
        self._name = experiment.config.training.monitor or "loss"
        self.parameters: dict[str, npt.NDArray[Any]] | None = None

    @property
    def watches(self) -> tuple[str, ...]:
        """Name of the monitored quantity, which is measured because of it."""
        return (self._name,)

    def on_epoch_end(self, training: Training, record: Record) -> bool:
        """Keep the parameters if the epoch is the best; return True to end the training."""
        if self._rule.update(record):
            self.parameters = training.model.parameters()
        return self._rule.is_out_of_patience()


def learning_curve(
    experiment: Experiment,
    shares: Sequence[float] = SHARES,
    *,
    seed: int = 0,
    threads: int | None = None,
    listener: Callable[[dict[str, Any]], object] = lambda point: None,
) -> dict[str, Any]:
    """Train on growing parts of the training samples, with the settings of a run, and measure each.

    A part holds the smaller ones. The preprocessing stays that of the whole training part.

    Parameters
    ----------
    experiment : Experiment
        Settings and data of a run.
    shares : sequence of float
        Shares of the training samples, in (0, 1] and increasing.
    seed : int
        Seed of the order in which samples are added, >= 0.
    threads : int, optional
        Worker threads; by default those of the settings.
    listener : callable
        Function that is called with each point when it is measured.

    Returns
    -------
    dict
        The content of ``learning_curve.json``: ``part``, the part that measures, ``task``, and
        ``points`` with ``samples``, ``loss``, the measures of the task, and ``seconds`` of each.

    Raises
    ------
    ValueError
        A share is not in (0, 1], or they do not increase.
    DivergedError
        A training diverged.

    Examples
    --------
    >>> import fastmlp
    >>> from fastmlp.experiment.learning_curve import learning_curve
    >>> from fastmlp.experiment.runner import load_experiment
    >>> from fastmlp.experiment.schema import Config
    >>> config = Config.checked({"data": {"source": "moons"}, "training": {"epochs": 3}})
    >>> curve = learning_curve(load_experiment(config), (0.1, 1.0))
    >>> [point["samples"] for point in curve["points"]]
    [72, 720]
    """
    seed = integer("seed", seed, 0)
    if not shares or any(not 0 < share <= 1 for share in shares):
        raise ValueError(f"shares must be in (0, 1], at least one, got {list(shares)}")
    if any(b <= a for a, b in zip(shares, shares[1:], strict=False)):
        raise ValueError(f"shares must increase, got {list(shares)}")
    experiment.require_in_memory("a learning curve")
    train = experiment.prepared.train
    order = np.random.default_rng(seed).permutation(len(train))
    part, samples = experiment.evaluated
    points = []
    for share in shares:
        count = max(1, round(share * len(train)))
        prepared = replace(experiment.prepared, train=_rows(train, np.sort(order[:count])))
        started = time.perf_counter()
        model = _trained(Experiment(experiment.config, prepared), threads)
        seconds = time.perf_counter() - started
        measured = evaluate(model, samples, threads=threads)
        point = {"samples": count, "loss": measured.loss, **measured.metrics, "seconds": seconds}
        listener(point)
        points.append(point)
    return {"part": part, "task": experiment.prepared.task, "points": points}


def _rows(samples: Samples, rows: npt.NDArray[np.int64]) -> Samples:
    weight = None if samples.weight is None else samples.weight[rows]
    return Samples(samples.x[rows], samples.y[rows], weight)


def _trained(experiment: Experiment, threads: int | None) -> MLP:
    model = experiment.new_model()
    optimizer = build.optimizer(experiment.config)
    if isinstance(optimizer, LBFGS):
        fit_at_once(model, experiment, optimizer)
        return model
    _fit_the_best(model, experiment, optimizer, threads)
    return model


def _fit_the_best(
    model: MLP, experiment: Experiment, optimizer: Optimizer, threads: int | None
) -> None:
    keep = _KeepBest(experiment)
    batch = min(experiment.config.training.batch_size or 1, len(experiment.prepared.train))
    options: dict[str, Any] = {"batch_size": batch}
    if threads is not None:
        options["threads"] = threads
    fit(model, experiment, optimizer, [keep], **options)
    if experiment.selects_best and keep.parameters is not None:
        model.set_parameters(keep.parameters)
