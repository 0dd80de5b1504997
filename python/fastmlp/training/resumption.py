"""Preparation of a new or resumed training: its plan, and errors if resuming cannot be exact."""

from __future__ import annotations

import numpy as np

from fastmlp.network import Network
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Schedule
from fastmlp.training.continuation import Continuation, Planned
from fastmlp.training.processes import WHOLE, Shards
from fastmlp.training.run import require_rule
from fastmlp.training.states import kind_of

__all__ = ["prepared", "rate_source", "require_same_rates", "rest_of"]

_MOST_COMPARED = 1 << 20


def prepared(
    model: Network,
    last: Continuation,
    planned: Planned,
    optimizer: Optimizer,
    threads: int | None,
    resume: bool,
    total_epochs: int | None,
    shards: Shards = WHOLE,
) -> Continuation:
    """Prepare a training and return its continuation.

    The caller keeps `last`, from which training can still be resumed, until the new one begins.

    Raises
    ------
    ValueError
        The last training cannot be resumed exactly; nothing is changed.
    MemoryError
        The run does not fit into memory; the last training can still be resumed.
    """
    if resume:
        planned = _resumed_plan(last, planned, optimizer, total_epochs)
    elif total_epochs is not None:
        planned = planned.changed(epochs=total_epochs)
    new = last if resume else Continuation()
    if not resume:
        last.put_aside()  # frees the memory of its run
    run = new.run_for(model, planned.batch_size, optimizer.rule, threads, shards)
    run.smallest_batch(planned.samples, planned.drop_last)
    now = new.progress
    source = rate_source(optimizer)
    override = now.override if now.source == source else None
    new.settle(now.changed(planned=planned, source=source, override=override))
    new.run = run
    new.saved = None
    return new


def _resumed_plan(
    last: Continuation, planned: Planned, optimizer: Optimizer, total_epochs: int | None
) -> Planned:
    """Return the plan of a training that resumes `last`."""
    refusal = last.refusal
    if last.has_diverged:
        refusal = "the last training diverged, and its optimizer's state does not match the weights"
    if refusal is not None:
        raise ValueError(
            f"resume: there is no training to continue: {refusal}. Train without resume, which "
            "starts from the present weights, or call restore_training_state() with a state of "
            "this model"
        )
    if last.rule is not None:
        require_rule(last.rule, optimizer.rule)
    done, old = last.progress.epoch, last.progress.planned
    epochs = done + planned.epochs
    if total_epochs is not None and total_epochs < epochs:
        raise ValueError(
            f"total_epochs must be >= {epochs}, of which {done} are done and "
            f"epochs={planned.epochs} follow, got {total_epochs}; without epochs those that are "
            "left are trained"
        )
    if old is None:
        return planned.changed(epochs=epochs if total_epochs is None else total_epochs)
    changed = old.changes_of(planned)
    if last.steps and changed:
        raise ValueError(
            f"resume: the last training was cut in epoch {done + 1} after step {last.steps} of "
            f"{old.steps_per_epoch}; continuing within the epoch requires the same settings, got "
            f"{', '.join(changed)}"
        )
    if total_epochs is not None:
        return planned.changed(epochs=total_epochs)
    new = planned.changed(epochs=max(epochs, old.epochs))
    rate = optimizer.learning_rate
    if isinstance(rate, Schedule) and last.progress.source == rate_source(optimizer):
        cure = "Pass total_epochs, the epochs of all fits together, to the first fit"
        if changed:
            cure = f"Use the settings of the last fit, got {', '.join(changed)}"
        cure += (
            ", or give the schedule a length of its own; "
            f"total_epochs={new.epochs} in this fit replans the schedule from this epoch"
        )
        require_same_rates(rate, old, new, cure)
    return new


def rest_of(total_epochs: int, done: int) -> int:
    """Return the epochs that a training of so many has left.

    Raises
    ------
    ValueError
        None is left.
    """
    if total_epochs <= done:
        raise ValueError(
            f"total_epochs must be more than the {done} epochs that are done, got {total_epochs}"
        )
    return total_epochs - done


def rate_source(optimizer: Optimizer) -> float | str:
    """Return the learning rate of an optimizer, or the kind of its schedule or function."""
    rate = optimizer.learning_rate
    return kind_of(rate) if callable(rate) or isinstance(rate, Schedule) else float(rate)


def require_same_rates(schedule: object, old: Planned, new: Planned, cure: str) -> None:
    """Raise ValueError with `cure` if a schedule has other rates under the new plan.

    Schedules with a length of their own and schedules of measured values do not depend on the plan.
    """
    if not isinstance(schedule, Schedule) or old == new:
        return
    steps, others = old.steps_per_epoch, new.steps_per_epoch
    if steps == others:
        total = old.epochs * steps
        count = min(total, _MOST_COMPARED)
        pieces = [(0, count)] + ([(total - count, count)] if total > count else [])
        pairs = [(first, first, n) for first, n in pieces]
    else:  # the two plans share the beginning and the middle of each epoch
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
                f"fit plans {new}, under which completed steps would have had other rates. {cure}"
            )
