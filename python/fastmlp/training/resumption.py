"""Beginning and resuming a training: its plan, and errors where resuming cannot be exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Continuation, Planned
from fastmlp.training.run import Run, require_rule
from fastmlp.training.states import kind_of

__all__ = ["prepared", "rate_source", "require_same_rates"]

_MOST_COMPARED = 1 << 20


def prepared(
    model: Network,
    last: Continuation,
    planned: Planned,
    optimizer: Optimizer,
    threads: int | None,
    resume: bool,
    total_epochs: int | None,
) -> Continuation:
    """A training that can begin. Only when it begins, the last one is given up.

    Raises
    ------
    ValueError
        It cannot be resumed exactly; nothing is changed.
    MemoryError
        The run does not fit; the last training can be resumed as before.
    """
    if resume:
        planned = _resumed_plan(last, planned, optimizer, total_epochs)
    elif total_epochs is not None:
        planned = replace(planned, epochs=total_epochs)
    # The memory of the last run goes before that of the next is taken.
    state = last.put_aside()
    run = Run(model, planned.batch_size, optimizer.rule, threads)
    run.smallest_batch(planned.samples, planned.drop_last)
    if resume and state is not None:
        run.restore(state)
    new = last if resume else Continuation()
    now = new.progress
    source = rate_source(optimizer)
    override = now.override if now.source == source else None
    new.settle(replace(now, planned=planned, source=source, override=override))
    new.run = run
    new.saved = None
    return new


def _resumed_plan(
    last: Continuation, planned: Planned, optimizer: Optimizer, total_epochs: int | None
) -> Planned:
    """The plan of a training that resumes another."""
    refusal = last.refusal
    if last.has_diverged:
        refusal = "the last training diverged, and its optimizer is not where the weights are"
    if refusal is not None:
        raise ValueError(
            f"resume: there is nothing to go on from: {refusal}. Train without resume, which "
            "begins with these weights, or give restore_training_state() a state of this model"
        )
    if last.rule is not None:
        require_rule({"rule": np.array(last.rule)}, optimizer.rule)
    done, old = last.progress.epoch, last.progress.planned
    epochs = done + planned.epochs
    if total_epochs is not None and total_epochs < epochs:
        raise ValueError(
            f"total_epochs must be >= {epochs}, of which {done} are done, got {total_epochs}"
        )
    if old is None:
        return replace(planned, epochs=epochs if total_epochs is None else total_epochs)
    changed = [
        f"{name} {planned.epoch_settings[name]} in place of {value}"
        for name, value in old.epoch_settings.items()
        if planned.epoch_settings[name] != value
    ]
    if last.steps and changed:
        raise ValueError(
            f"resume: the last training was cut in epoch {done + 1} after step {last.steps} of "
            f"{old.steps_per_epoch}; going on within the epoch needs the same settings, got "
            f"{', '.join(changed)}"
        )
    if total_epochs is not None:
        return replace(planned, epochs=total_epochs)
    new = replace(planned, epochs=max(epochs, old.epochs))
    if last.progress.source == rate_source(optimizer):
        cure = "Give the first fit total_epochs, the epochs of all fits together"
        if changed:
            cure = f"Train with the settings of before, got {', '.join(changed)}"
        cure += (
            ", or the schedule a length of its own; "
            f"total_epochs={new.epochs} in this fit plans it anew from here"
        )
        require_same_rates(optimizer.learning_rate, old, new, cure)
    return new


def rate_source(optimizer: Optimizer) -> float | str:
    """The learning rate of an optimizer, or the kind of what gives it."""
    rate = optimizer.learning_rate
    return kind_of(rate) if callable(rate) or isinstance(rate, Schedule) else float(rate)


def require_same_rates(schedule: object, old: Planned, new: Planned, cure: str) -> None:
    """Raise ValueError, with the cure, where a schedule would have had other rates.

    Schedules by their own length, and those by what was measured, go on as they are.
    """
    if not isinstance(schedule, Schedule) or old == new:
        return
    steps, others = old.steps_per_epoch, new.steps_per_epoch
    if steps == others:
        total = old.epochs * steps
        count = min(total, _MOST_COMPARED)
        pieces = [(0, count)] + ([(total - count, count)] if total > count else [])
        pairs = [(first, first, n) for first, n in pieces]
    else:  # what both have is the beginning of each epoch and its middle
        pairs = [
            (e * steps + part * (steps // 2), e * others + part * (others // 2), 1)
            for e in range(min(old.epochs, 10_000))
            for part in (0, 1)
        ]
    for before, after, count in pairs:
        planned = schedule.rates(before, count, steps, old.epochs)
        if not np.array_equal(planned, schedule.rates(after, count, others, new.epochs)):
            raise ValueError(
                f"resume: the rates of {type(schedule).__name__} were planned for {old}, and this "
                f"fit makes it {new}, under which the steps that were planned would have had other "
                f"rates. {cure}"
            )
