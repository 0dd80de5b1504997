"""The number of epochs that fit into a time limit, by the time that a few of them take."""

from __future__ import annotations

import time
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastmlp.data import Samples
from fastmlp.errors import DivergedError
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment, fit
from fastmlp.training.lbfgs import LBFGS

__all__ = ["within_time_limit"]

# A trial trains on one batch, then on more samples and for more epochs, until it takes this share
# of the limit.
_TRIAL = 0.04
_GROWTH = 4
# Shares of the limit: what the epochs may take, as their times differ.
_USED = 0.9
_FEWEST_EPOCHS = 10


def within_time_limit(experiment: Experiment) -> tuple[Experiment, str]:
    """Choose the number of epochs by ``training.time_limit``.

    The schedule then has the length that is trained, unlike with ``training.max_time``, which ends
    a training before its time. The number depends on the machine; the settings record it instead of
    the limit, so that they repeat the training.

    Returns
    -------
    experiment : Experiment
        The same experiment with the number of epochs, at most as many as before and at least one.
    note : str
        What was chosen; empty without a limit.

    Warns
    -----
    UserWarning
        There is time for few epochs only.
    """
    training = experiment.config.training
    limit = training.time_limit
    if limit is None:
        return experiment, ""
    start = time.perf_counter()
    seconds = _seconds_per_epoch(experiment, limit)
    left = _USED * (limit - (time.perf_counter() - start))
    usual = training.epochs or 1
    epochs = max(1, min(usual, int(left / seconds)))
    changed = training.model_copy(update={"epochs": epochs, "time_limit": None})
    config = experiment.config.model_copy(update={"training": changed})
    note = f"time limit: {epochs} of {usual} epochs, as one takes about {seconds:.3g} s"
    if epochs < min(usual, _FEWEST_EPOCHS):
        warnings.warn(
            f"a time limit of {limit:.3g} s leaves {epochs} of {usual} epochs, which rarely learn: "
            "allow more time, or choose a smaller network",
            UserWarning,
            stacklevel=2,
        )
    return replace(experiment, config=config), note


def _seconds_per_epoch(experiment: Experiment, limit: float) -> float:
    """Measure a training that takes a small share of the limit, or that of one batch."""
    optimizer = build.optimizer(experiment.config)
    assert not isinstance(optimizer, LBFGS)  # refuses a time limit
    total = len(experiment.prepared.train)
    rows, epochs = min(experiment.config.training.batch_size or 1, total), 1
    model = experiment.new_model()
    trial = _of_samples(experiment, rows / total)
    with suppress(DivergedError):  # which is for the training itself to tell
        fit(model, trial, optimizer, [], epochs=1)  # allocates
    while True:
        start = time.perf_counter()
        with suppress(DivergedError):
            fit(model, trial, optimizer, [], epochs=epochs)
        seconds = time.perf_counter() - start
        if seconds >= _TRIAL * limit or epochs >= (experiment.config.training.epochs or 1):
            return seconds / epochs * total / rows
        if rows < total:
            rows = min(_GROWTH * rows, total)
            trial = _of_samples(experiment, rows / total)
        else:
            epochs *= _GROWTH


def _of_samples(experiment: Experiment, share: float) -> Experiment:
    """Return the experiment on the first samples of each part."""
    prepared = experiment.prepared
    parts: dict[str, Any] = {
        name: None if part is None else _first(part, share)
        for name, part in (
            ("train", prepared.train),
            ("validation", prepared.validation),
            ("test", prepared.test),
        )
    }
    return replace(experiment, prepared=replace(prepared, **parts))


def _first(part: Samples, share: float) -> Samples:
    count = max(1, round(share * len(part)))
    weight = None if part.weight is None else part.weight[:count]
    return Samples(part.x[:count], part.y[:count], weight)
