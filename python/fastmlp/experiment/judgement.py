"""What the result of a run is worth: findings about its training, and baselines beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import Samples
from fastmlp.diagnosis import LEVELS, Evidence, Finding, diagnose
from fastmlp.experiment import build
from fastmlp.experiment.evaluation import Evaluation, evaluate, evaluation_of
from fastmlp.experiment.runner import Experiment, Outcome
from fastmlp.history import Record
from fastmlp.inputs import InputGroup, Numbers
from fastmlp.model import MLP
from fastmlp.optimizers import Optimizer
from fastmlp.schedules import Cosine
from fastmlp.training.defaults import default_optimizer, started_at_targets

__all__ = ["Judgement", "findings_of", "judge"]

Array = npt.NDArray[Any]
# The training of a linear model, which reaches its best in fewer steps than a network.
_STEPS, _BATCH, _RATE = 500, 256, 0.02
_CONSTANTS = {
    "classification": "majority class",
    "multilabel": "frequent labels",
    "regression": "mean",
}
_WORSE_R2 = 0.02
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class Judgement:
    """Findings about a run, and the measures of baselines on the samples of its result.

    Attributes
    ----------
    findings : list of Finding
        Problems first.
    baselines : dict of str to dict
        By name, "majority class", "frequent labels" or "mean", and "linear model": the measures
        that the result has, too.
    """

    findings: list[Finding]
    baselines: dict[str, dict[str, float]]

    def as_json(self) -> dict[str, Any]:
        """Return the entries of result.json."""
        return {
            "findings": [finding.to_json() for finding in self.findings],
            "baselines": [
                {"name": name, "metrics": metrics} for name, metrics in self.baselines.items()
            ],
        }


def judge(experiment: Experiment, model: MLP, outcome: Outcome) -> Judgement:
    """Diagnose the training of a run and measure baselines.

    Parameters
    ----------
    experiment : Experiment
    model : MLP
        The selected model.
    outcome : Outcome
        The outcome with its evaluation.
    """
    evaluation = outcome.evaluation
    if evaluation is None or not outcome.records:
        return Judgement([], {})
    _, samples = experiment.evaluated
    findings = findings_of(experiment, model, outcome)
    constant = _constant(experiment, samples)
    baselines = {_CONSTANTS[evaluation.task]: _measures(constant)}
    linear = _linear(experiment, model, samples)
    if linear is not None:
        baselines["linear model"] = _measures(linear)
        if len(model.layer_sizes) > 2:
            findings += _against_linear(evaluation, linear, constant)
    findings.sort(key=lambda finding: LEVELS.index(finding.level))
    return Judgement(findings, baselines)


def findings_of(experiment: Experiment, model: MLP, outcome: Outcome) -> list[Finding]:
    """Return what a diagnosis finds about a training, without baselines.

    Parameters
    ----------
    experiment : Experiment
    model : MLP
        The selected model.
    outcome : Outcome
        The outcome with its records.
    """
    if not outcome.records:
        return []
    prepared, training = experiment.prepared, experiment.config.training
    balance = build.class_weights(experiment.config, prepared.preprocessing)
    parts = [
        None if part is None else model._data(part.x, part.y, part.weight, balance)
        for part in (prepared.train, prepared.validation, prepared.test)
    ]
    assert parts[0] is not None
    evidence = Evidence(
        model,
        courses_of(outcome.records),
        parts[0],
        training.batch_size or 1,
        rate=experiment.config.optimizer.learning_rate,
        validation=parts[1],
        test=parts[2],
        initial=outcome.initial_parameters,
        selects_best=experiment.selects_best,
        epoch=(outcome.best_epoch or None) if experiment.selects_best else None,
        threads=training.threads or 0,
        names=prepared.preprocessing.feature_names,
        optimizer=_tested(experiment),
        samples=prepared.sizes["training"],
    )
    return diagnose(evidence)


def _tested(experiment: Experiment) -> Optimizer | None:
    """Return the optimizer for a range test; None for architectures that bring their rates."""
    optimizer = build.optimizer(experiment.config)
    is_plain = experiment.config.network.architecture == "mlp"
    return optimizer if is_plain and isinstance(optimizer, Optimizer) else None


def courses_of(records: Sequence[Record]) -> Mapping[str, list[float]]:
    """Return what the records of all epochs have, by name."""
    names = [name for name, value in records[-1].items() if isinstance(value, float)]
    return {
        name: [float(record[name]) for record in records]
        for name in names
        if all(record.get(name) is not None for record in records)
    }


def _measures(evaluation: Evaluation) -> dict[str, float]:
    loss = {} if math.isnan(evaluation.loss) else {"loss": evaluation.loss}
    return loss | evaluation.metrics


# ---------------------------------------------------------------- baselines


def _constant(experiment: Experiment, samples: Samples) -> Evaluation:
    """Measure the prediction of what is most frequent, or of the mean."""
    train, pre = experiment.prepared.train, experiment.prepared.preprocessing
    y, count = np.asarray(train.y), len(samples)
    if pre.task == "classification":
        frequent = np.bincount(y, train.weight, minlength=pre.outputs).argmax()
        return evaluation_of(pre, samples, np.full(count, frequent, np.int64))
    mean = np.average(y.reshape(len(y), -1).astype(np.float64), axis=0, weights=train.weight)
    if pre.task == "multilabel":
        return evaluation_of(pre, samples, np.tile((mean > 0.5).astype(np.int64), (count, 1)))
    return evaluation_of(pre, samples, np.tile(mean, (count, 1)).astype(y.dtype))


def _linear(experiment: Experiment, model: MLP, samples: Samples) -> Evaluation | None:
    """Measure a network without hidden layers with the inputs and the loss of the model."""
    architecture, prepared = model.architecture, experiment.prepared
    train = prepared.train
    epochs = math.ceil(_STEPS / math.ceil(len(train) / _BATCH))
    linear = MLP(
        [architecture.layer_sizes[0], architecture.layer_sizes[-1]],
        loss=architecture.losses[0],
        output_activation=architecture.output_activation,
        inputs=[_plain(group) for group in architecture.inputs] or None,
        input_scale=architecture.input_scale,
        initializer="zeros",
        dtype=architecture.dtype.name,
        seed=architecture.seed,
    )
    linear.preprocessing = prepared.preprocessing
    # Targets may have any scale, as with the default optimizer.
    data = linear._data(train.x, train.y, train.weight)
    start = started_at_targets(linear.architecture, linear.parameters(), data)
    linear.set_parameters(start)
    usual = default_optimizer(linear.architecture, data)
    rows = slice(None)
    if len(train) > _STEPS * _BATCH:
        rows = slice(None, None, len(train) // (_STEPS * _BATCH))
    try:
        linear.fit(
            train.x[rows],
            train.y[rows],
            sample_weight=None if train.weight is None else train.weight[rows],
            class_weight=build.class_weights(experiment.config, prepared.preprocessing),
            epochs=epochs,
            batch_size=_BATCH,
            optimizer=replace(usual, learning_rate=Cosine(_RATE)),
            threads=experiment.config.training.threads,
            diagnose=False,
            verbose=0,
        )
    except RuntimeError:  # it diverged: targets of a scale that no such rate fits
        return None
    return evaluate(linear, samples, threads=experiment.config.training.threads)


def _plain(group: InputGroup) -> InputGroup:
    """Return inputs that are what the data are."""
    return replace(group, embedding=None, clip=0.0) if isinstance(group, Numbers) else group


def _against_linear(
    evaluation: Evaluation, linear: Evaluation, constant: Evaluation
) -> list[Finding]:
    """Return a finding if the network is no better than the linear model."""
    name = "r2" if evaluation.task == "regression" else "accuracy"
    name = "label_accuracy" if evaluation.task == "multilabel" else name
    own, other = evaluation.metrics[name], linear.metrics[name]
    if own > other or own == 1.0 or other <= constant.metrics[name]:
        return []
    worse = _WORSE_R2
    shown = f"R2 is {own:.3f} and that of a linear model {other:.3f}"
    if name != "r2":
        variance = own * (1 - own) + other * (1 - other)
        worse = _STANDARD_ERRORS * math.sqrt(max(variance, 0.0) / evaluation.samples)
        shown = f"the accuracy is {own:.1%} and that of a linear model {other:.1%}"
    level = "warning" if other - own > worse else "hint"
    return [
        Finding(
            "no-better-than-linear", level, shown,
            "other settings (fastmlp.Model searches none), or the linear model: MLP([n, k])",
            "fastmlp sweep, or the linear model: --hidden none",
        )
    ]  # fmt: skip
