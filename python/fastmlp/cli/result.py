"""What a training reports on standard output: the summary, the JSON object, the dry run's plan."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CliError, ExitCode
from fastmlp.cli.options import State
from fastmlp.cli.progress import Display
from fastmlp.cli.rundir import RunFiles, clean_json
from fastmlp.cli.sources import Samples, Source

if TYPE_CHECKING:
    from fastmlp.cli.training import Settings

__all__ = ["SCHEMA_VERSION", "Outcome", "print_json", "print_plan", "print_result", "result_json"]

# Raised when a field changes its meaning or goes away; new fields do not raise it.
SCHEMA_VERSION = 1


@dataclass
class Outcome:
    """How a training ended."""

    status: str = "completed"
    code: ExitCode = ExitCode.OK
    message: str = ""
    wall_seconds: float = 0.0
    model_path: str | None = None
    records: list[dict[str, Any]] = field(default_factory=list)

    def end(self, status: str, code: ExitCode, message: str) -> None:
        """Note an end other than the planned one."""
        self.status, self.code, self.message = status, code, message

    def last(self, key: str) -> float | None:
        """Return a quantity of the last finished epoch."""
        return self.records[-1].get(key) if self.records else None

    def error(self, message: str) -> CliError:
        """Return the exception that ends the command with this outcome's exit code."""
        error = CliError(message)
        error.exit_code = self.code
        return error

    @property
    def training_seconds(self) -> float:
        """Seconds that the finished epochs took."""
        return sum(float(record["seconds"]) for record in self.records)


def print_json(content: dict[str, Any], state: State) -> None:
    """Print the command's one JSON object."""
    click.echo(json.dumps(clean_json(content), allow_nan=False))
    state.result_printed = True


def result_json(
    settings: Settings,
    samples: Samples,
    model: Any,
    outcome: Outcome,
    files: RunFiles,
    environment: dict[str, Any],
    display: Display,
) -> dict[str, Any]:
    """Return the object that `fastmlp train --json` prints."""
    seconds = outcome.training_seconds
    trained = len(outcome.records) * len(samples.x_train)
    # Weights of a run that was cut off inside an epoch are not those that were measured last.
    final = outcome.status in ("completed", "check_failed", "diverged")
    return {
        "schema": "fastmlp.train",
        "schema_version": SCHEMA_VERSION,
        "command": "train",
        "status": outcome.status,
        "exit_code": int(outcome.code),
        "message": outcome.message or None,
        "dataset": settings.dataset,
        "layer_sizes": list(model.layer_sizes),
        "epochs": settings.epochs,
        "epochs_completed": len(outcome.records),
        "test_accuracy": outcome.last("val_accuracy") if final else None,
        "test_loss": outcome.last("val_loss") if final else None,
        "train_accuracy": outcome.last("accuracy"),
        "train_loss": outcome.last("loss"),
        "best_test_accuracy": display.best,
        "best_epoch": display.best_epoch or None,
        "training_seconds": seconds,
        "wall_seconds": outcome.wall_seconds,
        "samples_per_second": trained / seconds if seconds > 0 else None,
        "model": outcome.model_path,
        "directory": str(files.directory) if files.directory else None,
        "config": settings.config(),
        "environment": environment,
        "history": outcome.records,
    }


def print_result(document: dict[str, Any], outcome: Outcome, state: State) -> None:
    """Print the summary of a run, or its JSON object."""
    if state.json:
        print_json(document, state)
        return
    if outcome.status not in ("completed", "check_failed"):
        # What happened and where the model is comes in the one line on standard error.
        return
    rows = []
    if document["test_accuracy"] is not None:
        best = ""
        if document["best_epoch"] != document["epochs_completed"]:
            best = f" (best {document['best_test_accuracy']:.2%} in epoch {document['best_epoch']})"
        rows.append(("test accuracy", f"{document['test_accuracy']:.2%}{best}"))
    rows.append(("training time", f"{document['training_seconds']:.2f} s"))
    if document["samples_per_second"] is not None:
        rows.append(("speed", f"{document['samples_per_second']:,.0f} samples/s"))
    if outcome.model_path:
        rows.append(("model", outcome.model_path))
    for name, value in rows:
        click.echo(f"{name:<15}{value}")


def print_plan(settings: Settings, source: Source, state: State) -> None:
    """Print what a run would do; nothing is fetched, written or trained."""
    from fastmlp import datasets

    if source.directory is not None:
        where = str(source.directory)
    elif settings.data_dir:
        where = settings.data_dir
    else:
        cached = datasets.path(source.name)
        where = str(cached) if cached else "not in the cache yet, would be looked for and fetched"
    out = settings.out or f"runs/NNN-{source.name}"
    if state.json:
        plan = {
            "schema": "fastmlp.plan",
            "schema_version": SCHEMA_VERSION,
            "command": "train",
            "config": settings.config(),
            "data": where,
            "out": out,
        }
        print_json(plan, state)
        return
    rows = settings.config() | {"data": where, "out": out}
    rows.pop("data_dir")  # `where` says it already
    for name, value in rows.items():
        if value is None and name == "min_accuracy":
            continue
        shown = ",".join(map(str, value)) or "none" if isinstance(value, tuple) else value
        click.echo(f"{name.replace('_', ' '):<15}{'default' if shown is None else shown}")
