"""The report of a run as one HTML file: key figures, sections, settings, machine and files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from fastmlp._files import atomic_write, read_regular_file
from fastmlp.data import Samples
from fastmlp.experiment.evaluation import Evaluation
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.extras import require
from fastmlp.model import MLP
from fastmlp.report.columns import data_sections
from fastmlp.report.influence import influence_sections
from fastmlp.report.page import (
    Code,
    Column,
    Finding,
    Findings,
    Header,
    Section,
    Table,
    Tile,
    count,
    duration,
    number,
    percent,
    rendered,
)
from fastmlp.report.probabilities import probability_sections
from fastmlp.report.sections import (
    data_size_sections,
    result_sections,
    training_sections,
    worst_samples,
)
from fastmlp.report.subject import Subject

__all__ = ["write_report"]

# By status of a run: its name in the report, its level, and an explanation.
_ENDINGS = {
    "completed": ("completed", "good", ""),
    "stopped_early": ("stopped early", "good", ""),
    "time_limit": ("time limit reached", "notice", ""),
    "interrupted": ("interrupted", "notice", "It can be resumed."),
    "terminated": ("terminated", "notice", "It can be resumed."),
    "diverged": (
        "diverged", "bad",
        "The loss became NaN or infinite. This report is about the weights before that; a lower "
        "learning rate or clipping the gradients may help.",
    ),
    "check_failed": ("check failed", "bad", "The accuracy is lower than required."),
}  # fmt: skip
_NETWORKS = {"realmlp": "RealMLP", "tabm": "TabM", "resnet": "residual network"}
_UNFINISHED = ("unfinished", "notice", "The run has written no result yet.")
_MONITORS = {"loss": "training loss", "accuracy": "training accuracy"}
_CHUNK = 1 << 20


def write_report(
    run: RunDirectory,
    *,
    model: MLP,
    evaluation: Evaluation,
    samples: Samples,
    training: Samples | None = None,
    threads: int | None = None,
) -> Path:
    """Write `run.report_path`, and its figures as SVG files to `run.plots_path`.

    The report is one self-contained file: figures and style are inside, and there are no scripts
    and no links to other files. The same arguments give the same bytes.

    Parameters
    ----------
    run : RunDirectory
        Directory of the run with its config.toml. If another file is missing, its section is left
        out.
    model : MLP
        Selected model of the run. Without preprocessing, classes and features are numbered.
    evaluation : Evaluation
        Measures of `model` on `samples`.
    samples : Samples
        Samples with ``x`` as inputs of the network.
    training : Samples, optional
        Samples of the training, with which the data of `samples` is compared.
    threads : int, optional
        Worker threads for the predictions of the model.

    Returns
    -------
    pathlib.Path
        Path of the report.

    Raises
    ------
    MissingExtraError
        matplotlib or jinja2 is not installed.
    FormatError
        A file of the run is damaged.
    OSError
        A file cannot be read or written; no file is left incomplete.
    """
    for package in ("matplotlib", "jinja2"):
        require("plot", package)
    subject = Subject(run, model, evaluation, samples, training, threads)
    run.plots_path.mkdir(parents=True, exist_ok=True)
    # Read before any file is written, so that a damaged file leaves no incomplete report.
    header, tiles, appendix = _header(subject), _tiles(subject), list(_appendix(subject))
    first = list(_findings(subject))
    sections = [
        *_baselines(subject),
        *_notes(subject),
        *result_sections(subject),
        *probability_sections(subject),
        *influence_sections(subject),
        worst_samples(subject),
        *training_sections(subject),
        *data_size_sections(subject),
        *data_sections(subject),
    ]
    for picture in (picture for section in sections for picture in section.pictures):
        atomic_write(run.plots_path / f"{picture.name}.svg", _utf8(picture.svg))
    sections += [*appendix, _files(subject)]
    atomic_write(run.report_path, _utf8(rendered(sections, first, header=header, tiles=tiles)))
    return run.report_path


def _utf8(text: str) -> bytes:
    # File names that are not UTF-8 contain surrogates, which cannot be encoded.
    return text.encode(errors="replace")


# ---------------------------------------------------------------- header


def _header(subject: Subject) -> Header:
    """Return name, status and date of the run, and a sentence that summarizes it."""
    status, level, meaning = _ENDINGS.get(str(subject.result.get("status")), _UNFINISHED)
    found = subject.result.get("findings") or ()
    problems = sum(finding["level"] == "problem" for finding in found)
    if problems and level == "good":
        level = "notice"
        status += f", {problems} problem{'s' if problems > 1 else ''}"
    explanation = " ".join(part for part in (_message(subject.result), meaning) if part)
    return Header(
        subject.run.path.resolve().name, status, level,
        _date(subject.environment.get("started")), _summary(subject), explanation,
    )  # fmt: skip


def _message(result: dict[str, Any]) -> str:
    """Return the message about the end of the run as a sentence."""
    message, status = str(result.get("message") or ""), str(result.get("status"))
    return "" if message == status else _sentence(message)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].rstrip('.')}." if text else ""


def _cure(text: str) -> str:
    return f"What may help: {text}" if text else ""


def _date(started: object) -> str:
    try:
        moment = datetime.fromisoformat(str(started))
    except ValueError:
        return "" if started is None else str(started)
    if moment.tzinfo is None:
        return f"{moment:%Y-%m-%d %H:%M}"
    return f"{moment.astimezone(timezone.utc):%Y-%m-%d %H:%M} UTC"


def _summary(subject: Subject) -> str:
    evaluation, model = subject.evaluation, subject.model
    config = subject.run.config()
    sizes = "-".join(map(str, model.layer_sizes))
    names = dict.fromkeys(a.name.replace("_", " ") for a in model.architecture.activations)
    kind = _NETWORKS.get(config.network.architecture or "mlp", "network")
    network = f"{kind} {sizes}" + (f" ({', '.join(names)})" if names else "")
    source = str(config.data.source)
    source = "standard input" if source == "-" else os.path.basename(os.path.normpath(source))
    samples = f"{count(evaluation.samples)} {subject.part} samples"
    measures = evaluation.metrics
    if evaluation.task == "classification":
        got = f"classifies {percent(measures['accuracy'])} of {samples} correctly"
    elif evaluation.task == "multilabel":
        got = f"gets all labels of {percent(measures['subset_accuracy'])} of {samples} right"
    else:
        error = number(measures["rmse"])
        got = f"predicts {samples} with a root mean square error of {error}"
        got += f" (R\u00b2 {number(measures['r2'])})"
    epochs = len(subject.records)
    trained = f"trained on {source} with {config.optimizer.name} for {count(epochs)} epoch"
    return f"The {network}, {trained}{'' if epochs == 1 else 's'}, {got}."


# ---------------------------------------------------------------- key figures


def _tiles(subject: Subject) -> list[Tile]:
    """Return the key figures, the most important first."""
    return [*_quality(subject), *_effort(subject)]


def _quality(subject: Subject) -> Iterator[Tile]:
    evaluation = subject.evaluation
    measures, part = evaluation.metrics, subject.part.capitalize()
    samples = f"of {count(evaluation.samples)} samples"

    def judged(label: str, key: str, detail: str, metric: str, *, share: bool = True) -> Tile:
        write = percent if share else number
        beside = _beside(subject, key, metric, write)
        return Tile(label, write(measures[key]), detail, tuple(beside))

    if evaluation.task == "classification":
        assert evaluation.confusion is not None
        right = f"{count(np.trace(evaluation.confusion).item())} {samples} right"
        yield judged(f"{part} accuracy", "accuracy", right, "accuracy")
        yield judged("Macro F1", "macro_f1", "mean over the classes", "f1")
    elif evaluation.task == "multilabel":
        detail = f"all labels right, {samples}"
        yield judged(f"{part} subset accuracy", "subset_accuracy", detail, "accuracy")
        yield Tile("Label accuracy", percent(measures["label_accuracy"]), "single labels right")
        yield judged("Macro F1", "macro_f1", "mean over the labels", "f1")
    else:
        targets = len(subject.outputs)
        unit = "in units of the target" if targets == 1 else f"over all {targets} targets"
        yield judged(f"{part} RMSE", "rmse", f"{samples}, {unit}", "rmse", share=False)
        detail = "share of the variance explained"
        yield judged("R\u00b2", "r2", detail, "r2", share=False)
        yield judged("Mean absolute error", "mae", unit, "mae", share=False)
    losses = " + ".join(loss.name.replace("_", " ") for loss in subject.model.architecture.losses)
    yield Tile(f"{part} loss", number(evaluation.loss), losses)


def _beside(
    subject: Subject, key: str, metric: str, write: Callable[[float], str]
) -> Iterator[str]:
    """Yield the interval of a measure, and what simple predictions reach."""
    interval = subject.interval(metric)
    if interval is not None:
        low, high = map(write, interval)
        yield f"95 % interval: {low} to {high}"
    for baseline in subject.baselines:
        value = baseline["metrics"].get(key)
        if value is not None:
            yield f"{baseline['name']}: {write(float(value))}"


def _effort(subject: Subject) -> Iterator[Tile]:
    result, environment = subject.result, subject.environment
    best, epochs = result.get("best_epoch"), len(subject.records)
    if best:
        monitor = str(result.get("monitor") or "loss")
        name = _MONITORS.get(monitor) or monitor.replace("val_", f"{subject.monitored} ")
        yield Tile("Best epoch", count(best), f"of {count(epochs)}, by {name}")
    else:
        yield Tile("Epochs", count(epochs), "completed")
    seconds = result.get("training_seconds")
    if seconds is not None:
        wall = result.get("wall_seconds")
        detail = "" if wall is None else f"{duration(wall)} with all measuring and saving"
        yield Tile("Training time", duration(seconds), detail)
    speed = result.get("samples_per_second")
    if speed:
        isa = environment.get("isa")
        yield Tile("Samples per second", count(round(speed)), f"on {isa}" if isa else "")
    parameters = sum(array.size for array in subject.model.parameters().values())
    sizes = "-".join(map(str, subject.model.layer_sizes))
    yield Tile("Parameters", count(parameters), f"{sizes}, {subject.model.dtype}")


# By level of a finding: its level in the page, and its name.
_LEVELS = {
    "problem": ("bad", "Problem"),
    "warning": ("notice", "Warning"),
    "hint": ("hint", "Hint"),
}


def _findings(subject: Subject) -> Iterator[Section]:
    """Yield the section about what was found wrong with the run, if it was looked for."""
    found = subject.result.get("findings")
    if found is None:
        return
    if not found:
        yield Section("findings", "Findings", ("Nothing to report.",))
        return
    order = list(_LEVELS)
    ranked = sorted(
        found, key=lambda one: order.index(one["level"]) if one["level"] in order else 9
    )
    items = tuple(
        Finding(
            *_LEVELS.get(str(one.get("level")), ("hint", "Hint")),
            _sentence(str(one.get("message") or "")),
            _cure(str(one.get("cure") or "")),
            str(one.get("page") or ""),
        )
        for one in ranked
    )  # fmt: skip
    yield Section("findings", "Findings", blocks=(Findings(items),))


_MEASURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("Accuracy", percent), "subset_accuracy": ("Subset accuracy", percent),
    "label_accuracy": ("Label accuracy", percent), "macro_f1": ("Macro F1", percent),
    "auc": ("AUC", number), "log_loss": ("Log loss", number), "rmse": ("RMSE", number),
    "mae": ("Mean absolute error", number), "r2": ("R\u00b2", number),
}  # fmt: skip


def _baselines(subject: Subject) -> Iterator[Section]:
    """Yield the section with what simple predictions reach, if they were measured."""
    if not subject.baselines:
        return
    own = subject.evaluation.metrics
    keys = [key for key in _MEASURES if key in own]
    rows = [("this model", own), *((str(b["name"]), b["metrics"]) for b in subject.baselines)]
    texts = tuple(
        (name, *(_MEASURES[k][1](float(m[k])) if m.get(k) is not None else "" for k in keys))
        for name, m in rows
    )
    columns = (Column("Prediction"), *(Column(_MEASURES[k][0], numeric=True) for k in keys))
    text = (
        f"What the simplest predictions reach on the same {subject.part} samples: a network that "
        "is no better is not worth its trouble.",
    )
    table = Table("The model beside simple predictions", columns, texts)
    yield Section("baselines", "Beside simple predictions", text, blocks=(table,))


def _notes(subject: Subject) -> Iterator[Section]:
    """Yield the section about what was inferred from the data, if there is anything."""
    points = tuple(str(note) for note in subject.result.get("notes") or ())
    if subject.part == "training":
        points += (
            "The model was measured on its training samples; this says nothing about other "
            "samples.",
        )
    if points:
        yield Section("notes", "Notes", points=points)


# ---------------------------------------------------------------- appendix


def _appendix(subject: Subject) -> Iterator[Section]:
    """Yield the sections on settings, machine and data, from which the run can be repeated."""
    text = read_regular_file(subject.run.config_path).decode(errors="replace")
    about = ("All settings of the run; 'fastmlp train --config' takes them.",)
    yield Section("configuration", "Configuration", about, blocks=(Code("config.toml", text),))
    environment = subject.environment
    rows = tuple(
        (name.replace("_", " "), _written(value))
        for name, value in environment.items()
        if name != "data_sha256"
    )
    if rows:
        columns = (Column("Name"), Column("Value"))
        table = Table("Versions and machine", columns, rows)
        yield Section("environment", "Environment", blocks=(table,))
    digests = environment.get("data_sha256") or {}
    if digests:
        columns = (Column("Data"), Column("SHA-256"))
        table = Table("Digests of the data", columns, tuple(digests.items()), digests=True)
        yield Section("digests", "Digests", blocks=(table,))


def _written(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return "not set" if value is None else str(value)


def _files(subject: Subject) -> Section:
    """Return the section that lists all files of the run except the report."""
    run = subject.run
    found = sorted(
        path
        for path in run.path.rglob("*")
        if path.is_file() and not path.is_symlink() and path != run.report_path
        and not path.name.startswith(".")
    )  # fmt: skip
    rows = tuple(
        (path.relative_to(run.path).as_posix(), count(path.stat().st_size), _sha256(path))
        for path in found
    )
    columns = (Column("File"), Column("Bytes", numeric=True), Column("SHA-256"))
    table = Table("Files of the run", columns, rows, digests=True)
    return Section("files", "Files", blocks=(table,))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
