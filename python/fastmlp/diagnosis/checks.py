"""The checks of a diagnosis: functions of the evidence, each with the findings of one kind.

A new check is a function with a line in `CHECKS`, and a section in docs/findings.md. The numbers at
the top decide when a check speaks; tests/support/diagnosis_situations.py has the trainings by which
they were chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.diagnosis.columns import constant_columns, input_scale, leaking_columns
from fastmlp.diagnosis.evidence import Evidence
from fastmlp.diagnosis.finding import LEVELS, Finding
from fastmlp.diagnosis.units import BOUNDED, DYING, dead_units, saturated_units

__all__ = ["CHECKS", "diagnose", "is_worth_a_look"]

Findings = Iterator[Finding]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

# Share of the loss of a constant prediction that a training has to avoid to be more than chance.
_NO_SKILL = 0.01
_GOOD_SKILL = 0.8
_LITTLE_SKILL, _FEW_STEPS_SKILL = 0.5, 0.25
_STANDARD_ERRORS = 2.0
_NO_CURE = "see the other findings; if there are none, the inputs may not tell the targets"
# Shares of units of a layer.
_MANY_UNITS, _MOST_UNITS = 0.5, 0.75
_FEWEST_UNITS = 4
# Changes of a loss, relative to it.
_NO_CHANGE, _RISE, _STILL_FALLS, _FALLS_FAST = 0.01, 0.2, 0.05, 0.15
_OVERFIT = 0.1
_FEWEST_STEPS = 200
_FEWEST_EPOCHS_OF_A_COURSE = 4
# Movements of the weights, by their size.
_NO_MOVEMENT, _NO_MOVEMENT_AT_ONCE, _EXPLOSION = 3e-3, 1e-4, 30.0
# Gradients of the first layer by those of the last, and those by the weights.
_VANISHED, _EXPLODED = 1e-3, 1e3
# Classes: of held-out samples, of which a share is found.
_FEWEST_OF_CLASS, _HARDLY_FOUND = 5, 0.02
_GAP, _WIDE_GAP = 0.15, 0.4
_MANY_TIMES = 10.0
_UNLIKE, _LOST = 0.1, 0.8  # scale and R2 of an output, by those of the best one
_FEWEST_TESTED = 100


def is_worth_a_look(steps: int, *, continues: bool) -> bool:
    """Whether a training can be judged by its steps alone.

    Those of a training that continues another, of which nothing is known, tell something only if
    there are many.
    """
    return steps >= _FEWEST_STEPS or not continues


def diagnose(evidence: Evidence) -> list[Finding]:
    """Return the findings about a training, problems first.

    The network is not changed.

    Parameters
    ----------
    evidence : Evidence
        The training.
    """
    if not evidence.epochs:
        return []
    try:
        found = [finding for check in CHECKS for finding in check(evidence)]
    except (MemoryError, SystemError):  # NumPy raises the latter where its loops get no memory
        message = "no memory was left to look at the training, which is complete"
        return [Finding("no-memory", "hint", message, "more free memory", "more free memory")]
    return sorted(found, key=lambda finding: LEVELS.index(finding.level))


# ---------------------------------------------------------------- what the result is worth


def no_better_than_constant(evidence: Evidence) -> Findings:
    """The network does not beat the majority class, or the mean of the targets."""
    skill = evidence.skill
    is_final = evidence.steps >= _FEWEST_STEPS or evidence.test is not None
    level = "problem" if is_final else "warning"
    where = "held-out" if evidence.held_out is not None else "training"
    true, accuracy = evidence.classes, evidence.measured.get("accuracy")
    if true is not None and accuracy is not None:
        measured = evidence.train if evidence.held_out is None else evidence.held_out
        weights = measured.sample_weight
        majority = float(np.average(true == evidence.frequent_class, weights=weights))
        best = float(np.bincount(true, weights).max() / np.bincount(true, weights).sum())
        error = np.sqrt(best * (1 - best) / len(true))
        by_luck = accuracy <= best + _STANDARD_ERRORS * error
        if by_luck and (skill is None or skill <= _NO_SKILL):
            yield Finding(
                "no-better-than-constant", level,
                f"the accuracy of {accuracy:.1%} on {len(true):,} {where} samples is no clear gain "
                f"over always predicting the most frequent class ({majority:.1%})",
                _NO_CURE, _NO_CURE,
            )  # fmt: skip
    elif skill is not None and skill <= _NO_SKILL:
        constant = {"regression": "the mean", "multilabel": "the frequencies of the labels"}
        yield Finding(
            "no-better-than-constant", level,
            f"the loss on {where} samples is {_times(1 - skill)} that of always predicting "
            f"{constant.get(evidence.task, 'the most frequent class')}",
            _NO_CURE, _NO_CURE,
        )  # fmt: skip


def lost_outputs(evidence: Evidence) -> Findings:
    """The errors of large targets drown those of a small one."""
    data, network = evidence.sample, evidence.network
    targets = None if data is None else data.targets[0]
    if data is None or targets is None or targets.ndim != 2 or targets.shape[1] < 2:
        return
    if evidence.task != "regression" or len(network.architecture.losses) > 1:
        return
    link = "exp" if evidence.loss.link == "exp" else "none"
    outputs = network._outputs_of(data.rows, link, evidence.threads).astype(np.float64)
    spread = targets.astype(np.float64).var(axis=0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        told = 1 - np.square(outputs - targets).mean(axis=0) / spread
    best, sizes = int(np.argmax(np.where(spread > 0, told, -np.inf))), np.sqrt(spread)
    unlike = sizes < _UNLIKE * sizes[best]
    lost = np.flatnonzero((spread > 0) & unlike & (told < _LOST * told[best]))
    if len(lost):
        yield Finding(
            "lost-outputs", "warning",
            f"R2 of output {lost[0]} is {told[lost[0]]:.3g}, that of output {best} "
            f"{told[best]:.3g}; their targets have deviations of {sizes[lost[0]]:.3g} and "
            f"{sizes[best]:.3g}",
            "y / y.std(axis=0), so that all targets count alike", "--standardize-target",
        )  # fmt: skip


def missing_classes(evidence: Evidence) -> Findings:
    """Classes that the network never or hardly ever predicts."""
    has_no_skill = evidence.skill is not None and evidence.skill <= _NO_SKILL
    if evidence.decided is None or evidence.task != "classification" or has_no_skill:
        return
    true, predicted = evidence.decided
    classes = evidence.network.layer_sizes[-1]
    counts = np.bincount(true, minlength=classes)
    found = np.bincount(true[true == predicted], minlength=classes)
    often = counts >= _FEWEST_OF_CLASS
    missed = np.flatnonzero(often & (found <= _HARDLY_FOUND * counts))
    if 0 < len(missed) < often.sum():
        shown = ", ".join(str(c) for c in missed[:5]) + (" ..." if len(missed) > 5 else "")
        share = counts[missed].sum() / len(true)
        yield Finding(
            "missing-classes", "warning",
            f"of {counts[missed].sum():,} samples of class {shown} ({share:.1%} of all) "
            f"{found[missed].sum():,} are found",
            'class_weight="balanced"', "--set training.class_weight=balanced",
        )  # fmt: skip


def overfitting(evidence: Evidence) -> Findings:
    """The validation loss rises while the training loss falls, or the gap between both is wide."""
    losses, other = evidence.course("loss"), evidence.course("val_loss")
    if len(other) >= _FEWEST_EPOCHS_OF_A_COURSE and not evidence.selects_best:
        best = int(np.argmin(other))
        constants = evidence.constant_losses
        unit = abs(other[best]) if constants is None else abs(constants[1])
        rise = (other[-1] - other[best]) / max(unit, 1e-30)
        if best < len(other) - 1 and rise > _OVERFIT and losses[-1] < losses[best]:
            yield Finding(
                "overfitting", "warning",
                f"the validation loss rises from {other[best]:.4g} in epoch {best + 1} to "
                f"{other[-1]:.4g}, while the training loss falls",
                "callbacks=[fastmlp.EarlyStopping(restore_best=True)], dropout=0.2 or fewer epochs",
                f"--epochs {best + 1}, --dropout 0.2 or a validation part",
            )  # fmt: skip
            return
    right, measured = evidence.course("accuracy"), evidence.measured.get("accuracy")
    if evidence.held_out is None:
        return
    if not right or measured is None:
        yield from _wide_gap(evidence)
        return
    error = np.sqrt(measured * (1 - measured) / len(evidence.held_out))
    trained = right[(evidence.epoch or 0) - 1]
    gap = trained - measured
    if gap > max(_GAP, 3 * error):
        yield Finding(
            "overfitting", "warning",
            f"the accuracy is {trained:.1%} on training samples and {measured:.1%} on "
            f"{len(evidence.held_out):,} others",
            "dropout=0.2, a smaller network, or more samples",
            "--dropout 0.2, smaller --hidden, or more samples",
        )  # fmt: skip


def _wide_gap(evidence: Evidence) -> Findings:
    """A training loss far below the loss of others, both by that of a constant prediction."""
    skill, trained = evidence.skill, evidence.training_skill
    if skill is not None and trained is not None and trained - skill > _WIDE_GAP:
        yield Finding(
            "overfitting", "warning",
            f"the loss is {1 - trained:.1%} of that of a constant prediction on training samples "
            f"and {_times(1 - skill)} that on others",
            "dropout=0.2, a smaller network, or more samples",
            "--dropout 0.2, smaller --hidden, or more samples",
        )  # fmt: skip


def _times(share: float) -> str:
    return f"{share:.1%} of" if share < _MANY_TIMES else "many times"


def small_test(evidence: Evidence) -> Findings:
    """So few samples are tested that the digits of the result are chance."""
    data, right = evidence.held_out, evidence.measured.get("accuracy")
    if data is None:
        yield Finding(
            "small-test", "hint",
            "nothing was held out, so the measures are those of training samples",
            "validation_data=(x, y) of other samples", "--test-fraction 0.2",
        )  # fmt: skip
        return
    if len(data) >= _FEWEST_TESTED:
        return
    error = "" if right is None else (
        f": an accuracy of {right:.0%} is known to "
        f"{1.96 * np.sqrt(max(right * (1 - right), 0.25 / len(data)) / len(data)):.0%}"
    )  # fmt: skip
    yield Finding(
        "small-test", "hint",
        f"{len(data):,} held-out samples tell little{error}",
        "fastmlp.cross_validate, which tests every sample", "fastmlp cv",
    )  # fmt: skip


# ---------------------------------------------------------------- the course of the training


def rate_too_low(evidence: Evidence) -> Findings:
    """The weights have hardly moved."""
    moved, skill = evidence.movement, evidence.training_skill
    least = _NO_MOVEMENT if evidence.steps >= _FEWEST_STEPS else _NO_MOVEMENT_AT_ONCE
    if moved is None or moved >= least or (skill is not None and skill > _LITTLE_SKILL):
        return
    rate = "" if evidence.rate is None else f" at a learning rate of {evidence.rate:g}"
    yield Finding(
        "rate-too-low", "problem",
        f"the weights have moved by {moved:.2g} of their size in {evidence.steps:,} steps{rate}",
        *_cures_of_rate(evidence, "larger"),
    )  # fmt: skip


def _cures_of_rate(evidence: Evidence, direction: str) -> tuple[str, str]:
    """Return cures with the rate of a range test if it lies in the right direction."""
    found, rate = evidence.better_rate, evidence.rate
    is_right = found is not None and (rate is None or (found > rate) == (direction == "larger"))
    if is_right:
        return (
            f"a {direction} learning_rate; a range test suggests {found:.2g}",
            f"--lr {found:.2g}, which a range test suggests",
        )
    return (
        f"a {direction} learning_rate; MLP.lr_find may suggest one",
        f"a {direction} --lr; fastmlp lr-find may suggest one",
    )


def rate_too_high(evidence: Evidence) -> Findings:
    """The training loss rises, jumps, or ended far above that of a constant."""
    losses = evidence.course("loss")
    moved, skill = evidence.movement, evidence.training_skill
    skills = [value for value in (skill, evidence.skill) if value is not None]
    is_bad = not skills or min(skills) < _LITTLE_SKILL
    symptom = ""
    if len(losses) >= _FEWEST_EPOCHS_OF_A_COURSE:
        lowest = int(np.argmin(losses))
        fallen = max(losses) - losses[lowest]
        rise = losses[-1] - losses[lowest]
        rates = evidence.course("learning_rate") or [0.0] * len(losses)
        jumps = sum(
            b - a > _RISE * abs(a) and after <= before  # not where a schedule begins anew
            for a, b, before, after in zip(losses, losses[1:], rates, rates[1:], strict=False)
        )
        if is_bad and rise > _RISE * max(fallen, abs(losses[lowest])) and lowest < len(losses) - 1:
            symptom = (
                f"the training loss rises from {losses[lowest]:.4g} in epoch {lowest + 1} to "
                f"{losses[-1]:.4g}"
            )
        elif jumps >= max(2, len(losses) // 5) and is_bad:
            symptom = f"the training loss jumps up in {jumps} of {len(losses)} epochs"
    has_moved = moved is None or moved > _NO_MOVEMENT
    is_above = skill is not None and skill < -_RISE and evidence.steps >= _FEWEST_STEPS
    if not symptom and is_above and has_moved:
        symptom = f"the training loss, {losses[-1]:.4g}, is above that of a constant prediction"
    if not symptom and moved is not None and moved > _EXPLOSION and is_bad:
        symptom = f"the weights have grown {moved:.0f} times"
    if symptom:
        rate = "" if evidence.rate is None else f", at a learning rate of {evidence.rate:g}"
        yield Finding(
            "rate-too-high", "problem", symptom + rate,
            *_cures_of_rate(evidence, "smaller"),
        )  # fmt: skip


def loss_does_not_move(evidence: Evidence) -> Findings:
    """The training loss stays what it was."""
    losses, skill = evidence.course("loss"), evidence.training_skill
    if len(losses) < 2 or skill is None or skill > _NO_SKILL:
        return
    if abs(losses[-1] - losses[0]) <= _NO_CHANGE * abs(losses[0]):
        yield Finding(
            "loss-does-not-move", "problem",
            f"the training loss is {losses[0]:.5g} in the first epoch and {losses[-1]:.5g} in the "
            f"last, about that of a constant prediction",
            "another learning_rate (MLP.lr_find), standardized inputs, or targets that fit x",
            "another --lr (fastmlp lr-find), or targets that fit the inputs",
        )  # fmt: skip


def few_epochs(evidence: Evidence) -> Findings:
    """The loss still falls at the end."""
    skill = evidence.training_skill
    if skill is not None and skill > _GOOD_SKILL:
        return
    moved, constants = evidence.movement, evidence.constant_losses
    least = _NO_MOVEMENT if evidence.steps >= _FEWEST_STEPS else _NO_MOVEMENT_AT_ONCE
    if moved is not None and moved < least:
        return  # more epochs would not help
    if constants is not None and skill is None:
        return  # the targets are constant
    more = f"epochs={max(10, 4 * evidence.epochs)}"
    command = f"--epochs {max(10, 4 * evidence.epochs)}"
    if evidence.steps < _FEWEST_STEPS:
        if skill is not None and skill > _FEW_STEPS_SKILL:
            return
        yield Finding(
            "few-epochs", "warning",
            f"the training had {evidence.steps:,} steps, which is few", more, command,
        )  # fmt: skip
        return
    name = "val_loss" if evidence.course("val_loss") else "loss"
    course = evidence.course(name)
    if len(course) < 3:
        return
    back = max(1, len(course) // 5)
    before, now = course[-1 - back], course[-1]
    fell = before - now
    still = now <= min(course) and fell > _STILL_FALLS * max(abs(before), 1e-30)
    start = max(course) if constants is None else min(max(course), max(constants))
    if still and fell > _STILL_FALLS * (start - now):
        what = "validation loss" if name == "val_loss" else "loss"
        epochs = "the last epoch" if back == 1 else f"the last {back} epochs"
        yield Finding(
            "few-epochs", "warning" if fell > _FALLS_FAST * abs(before) else "hint",
            f"the {what} still falls: from {before:.4g} to {now:.4g} in {epochs}", more, command,
        )  # fmt: skip


# ---------------------------------------------------------------- the network


def idle_units(evidence: Evidence) -> Findings:
    """Units that are 0 for all samples, or at an end of their range for nearly all."""
    activations = evidence.network.architecture.activations
    is_good = evidence.training_skill is not None and evidence.training_skill > _GOOD_SKILL
    for layer, (activation, outputs) in enumerate(
        zip(activations, evidence.activations, strict=False)
    ):
        units = outputs.shape[1]
        if units < _FEWEST_UNITS:
            continue
        if activation.name in DYING:
            dead = int(dead_units(activation, outputs).sum())
            if dead >= (_MOST_UNITS if is_good else _MANY_UNITS) * units:
                yield Finding(
                    "dead-units", "warning" if dead < 0.9 * units else "problem",
                    f"{dead:,} of {units:,} units of hidden layer {layer + 1} are 0 for all "
                    f"{len(outputs):,} samples that were tried",
                    'a smaller learning_rate, standardized inputs, or activation="leaky_relu"',
                    "a smaller --lr or --activation leaky_relu",
                )  # fmt: skip
        if activation.name in BOUNDED:
            stuck = int(saturated_units(activation, outputs).sum())
            if stuck >= _MANY_UNITS * units:
                yield Finding(
                    "saturated-units", "warning",
                    f"{stuck:,} of {units:,} units of hidden layer {layer + 1} "
                    f"({activation.name}) are at an end of their range for nearly all samples",
                    "standardized inputs (leave input_scale out) or a smaller learning_rate",
                    "--standardize or a smaller --lr",
                )  # fmt: skip


def gradients(evidence: Evidence) -> Findings:
    """Gradients that vanish or explode on their way to the first layer."""
    skill = evidence.training_skill
    if skill is not None and skill > _LITTLE_SKILL:
        return
    sizes = evidence.gradients
    if len(sizes) < 3 or not np.isfinite(sizes).all() or sizes[-1] <= 0:
        return
    ratio = sizes[0] / sizes[-1]
    if ratio < _VANISHED:
        yield Finding(
            "vanishing-gradients", "problem" if skill is not None and skill < 0.1 else "warning",
            f"the gradient of the first layer is {ratio:.1g} of that of the last",
            'activation="relu", residual=True, layer_normalization=True or fewer layers',
            "--activation relu or fewer layers",
        )  # fmt: skip
    elif ratio > _EXPLODED:
        yield Finding(
            "exploding-gradients", "warning",
            f"the gradient of the first layer is {ratio:.1g} times that of the last",
            "clip_norm=1 of the optimizer, another initializer, or layer_normalization=True",
            "--clip-norm 1 or another --initializer",
        )  # fmt: skip


CHECKS: tuple[Callable[[Evidence], Findings], ...] = (
    input_scale,
    idle_units,
    rate_too_low,
    rate_too_high,
    gradients,
    loss_does_not_move,
    no_better_than_constant,
    lost_outputs,
    missing_classes,
    few_epochs,
    overfitting,
    leaking_columns,
    constant_columns,
    small_test,
)
