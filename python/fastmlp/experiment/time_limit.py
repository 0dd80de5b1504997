"""The number of epochs that fit into a time limit, by the time that a few of them take."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from fastmlp.data import Samples
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment, fit
from fastmlp.training.lbfgs import LBFGS

__all__ = ["within_time_limit"]

# The trial trains for two epochs, of which the second is measured, on at most so many samples.
_TRIAL_SAMPLES = 20_000
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
    """
    training = experiment.config.training
    limit = training.time_limit
    if limit is None:
        return experiment, ""
    start = time.perf_counter()
    seconds = _seconds_per_epoch(experiment)
    left = _USED * (limit - (time.perf_counter() - start))
    usual = training.epochs or 1
    epochs = max(1, min(usual, int(left / seconds)))
    changed = training.model_copy(update={"epochs": epochs, "time_limit": None})
    config = experiment.config.model_copy(update={"training": changed})
    note = f"time limit: {epochs} of {usual} epochs, as one takes about {seconds:.3g} s"
    if epochs < min(usual, _FEWEST_EPOCHS):
        note += "; so few rarely learn: allow more time, or choose a smaller network"
    return replace(experiment, config=config), note


def _seconds_per_epoch(experiment: Experiment) -> float:
    prepared = experiment.prepared
    share = min(1.0, _TRIAL_SAMPLES / len(prepared.train))
    parts: dict[str, Any] = {
        name: None if part is None else _first(part, share)
        for name, part in (
            ("train", prepared.train),
            ("validation", prepared.validation),
            ("test", prepared.test),
        )
    }
    trial = replace(experiment, prepared=replace(prepared, **parts))
    model = trial.new_model()
    optimizer = build.optimizer(trial.config)
    assert not isinstance(optimizer, LBFGS)  # refuses a time limit
    fit(model, trial, optimizer, [], epochs=1)
    start = time.perf_counter()
    fit(model, trial, optimizer, [], epochs=1)
    return (time.perf_counter() - start) / share


def _first(part: Samples, share: float) -> Samples:
    count = max(1, int(share * len(part)))
    weight = None if part.weight is None else part.weight[:count]
    return Samples(part.x[:count], part.y[:count], weight)
