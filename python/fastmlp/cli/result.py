"""What a training reports on standard output: the summary, the JSON object, the dry run's plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ExitCode
from fastmlp.cli.options import State

if TYPE_CHECKING:
    from fastmlp.cli.request import Request
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.experiment.runner import Experiment, Outcome
    from fastmlp.experiment.schema import Config

__all__ = ["SCHEMA_VERSION", "document_of", "print_json", "print_plan", "print_result"]

# Raised when a field changes its meaning or goes away; new fields do not raise it.
SCHEMA_VERSION = 2


def print_json(content: dict[str, Any], state: State) -> None:
    """Print the command's one JSON object."""
    from fastmlp.experiment.rundir import clean_json

    click.echo(json.dumps(clean_json(content), allow_nan=False))
    state.result_printed = True


def document_of(
    experiment: Experiment,
    model: Any,
    outcome: Outcome,
    run: RunDirectory,
    exit_codes: Mapping[str, ExitCode],
) -> dict[str, Any]:
    """Measure the result and describe the run: what result.json holds and `--json` prints."""
    from fastmlp.experiment.runner import evaluate_selected, parameter_count

    part, samples = experiment.evaluated
    finished = outcome.status in ("completed", "stopped_early", "time_limit")
    selected = "last"
    measures: dict[str, Any] = {}
    if finished:
        selected, outcome.evaluation = evaluate_selected(experiment, model, outcome)
        measures = outcome.evaluation.as_json()
        _check_accuracy(experiment, outcome, part)
    seconds = outcome.training_seconds
    trained = len(outcome.records) * len(experiment.prepared.train)
    saved = run.best_model if selected == "best" else run.last_model
    return {
        "schema": "fastmlp.train",
        "schema_version": SCHEMA_VERSION,
        "command": "train",
        "status": outcome.status,
        "exit_code": int(exit_codes[outcome.status]),
        "message": outcome.message or None,
        "dataset": experiment.prepared.name,
        "task": experiment.prepared.task,
        "notes": list(experiment.prepared.notes),
        "layer_sizes": list(model.layer_sizes),
        "parameters": parameter_count(model),
        "epochs": experiment.config.training.epochs,
        "epochs_completed": len(outcome.records),
        "monitor": experiment.config.training.monitor,
        "best_epoch": outcome.best_epoch or None,
        "best_value": outcome.best_value,
        "selected": selected,
        "evaluated_on": part,
        "measured_on": experiment.monitored_name if experiment.monitored else None,
        "samples": {"training": len(experiment.prepared.train), part: len(samples)},
        "test": measures,
        "training_seconds": seconds,
        "wall_seconds": outcome.wall_seconds,
        "samples_per_second": trained / seconds if seconds > 0 else None,
        "directory": str(run.path),
        "model": str(saved) if saved.exists() else None,
        "config": experiment.config.values(),
        "environment": run.environment(),
        "history": outcome.records,
    }


def _check_accuracy(experiment: Experiment, outcome: Outcome, part: str) -> None:
    wanted = experiment.config.training.min_accuracy
    if wanted is None:
        return
    assert outcome.evaluation is not None
    metrics = outcome.evaluation.metrics
    reached = metrics.get("accuracy", metrics.get("subset_accuracy"))
    if reached is None or reached < wanted:
        shown = "unknown for a regression" if reached is None else f"{reached:.2%}"
        outcome.status = "check_failed"
        outcome.message = f"{part} accuracy is {shown}, --min-accuracy asks for {wanted:.2%}"


def print_result(document: dict[str, Any], state: State) -> None:
    """Print the summary of a run, or its JSON object."""
    if state.json:
        print_json(document, state)
        return
    if not document["test"]:
        # What happened and where the model is comes in the one line on standard error.
        return
    rows = [
        (f"{document['evaluated_on']} {name.replace('_', ' ')}", shown)
        for name, shown in _measures(document["test"])
    ]
    if document["best_epoch"] is not None:
        epochs = document["epochs_completed"]
        last = document["selected"] == "last" and document["best_epoch"] < epochs
        note = "; without a validation part the last one counts" if last else ""
        rows.append(("best epoch", f"{document['best_epoch']} by {document['monitor']}{note}"))
    if document["message"] and document["status"] != "check_failed":
        rows.append(("ended", document["message"]))
    rows.append(("training time", f"{document['training_seconds']:.2f} s"))
    if document["samples_per_second"] is not None:
        rows.append(("speed", f"{document['samples_per_second']:,.0f} samples/s"))
    rows += [("model", document["model"]), ("run", document["directory"])]
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        click.echo(f"{name:<{width}}{value}")


def _measures(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The measures that say most about the task."""
    shares = ("accuracy", "subset_accuracy", "macro_f1")
    numbers = ("rmse", "mae", "r2")
    rows = [(name, f"{measured[name]:.2%}") for name in shares if name in measured]
    return rows + [(name, f"{measured[name]:.6g}") for name in numbers if name in measured]


def print_plan(config: Config, request: Request, state: State) -> None:
    """Print what a run would do; nothing is fetched, written or trained."""
    from fastmlp.experiment.settings import toml

    name = str(config.data.source).rstrip("/").rpartition("/")[2]
    out = request.out or f"runs/NNN-{name}"
    if state.json:
        plan = {
            "schema": "fastmlp.plan",
            "schema_version": SCHEMA_VERSION,
            "command": "train",
            "config": config.values(),
            "out": out,
        }
        print_json(plan, state)
        return
    click.echo(f"# run directory: {out}")
    click.echo(toml(config).rstrip())
