"""`fastmlp plot`: pictures of a run as files, or its curves as text in the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import CliError, ConfigError, ExitCode, use_color
from fastmlp.cli.evaluate import load_own_data, run_faults
from fastmlp.cli.options import CommandBase, State, common_options, state_of, unknown
from fastmlp.cli.run_names import complete_run, resolve_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastmlp.data import Samples
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.history import Record
    from fastmlp.model import MLP

__all__ = ["plot", "write_picture"]

EXAMPLES = """\
fastmlp plot runs/001-mnist
fastmlp plot runs/001-mnist loss confusion --format png
fastmlp plot runs/003-moons regions -o regions.svg
fastmlp plot runs/001-mnist --terminal"""
FORMATS = ("svg", "png", "pdf")
CURVES = ("loss", "accuracy", "learning-rate")


class NotInRunError(Exception):
    """A run has nothing that a picture could show."""


@dataclass(frozen=True)
class Subject:
    """A run with what pictures need of it, read when one needs it."""

    run: RunDirectory
    quiet: bool

    def records_with(self, quantity: str) -> list[Record]:
        """What the epochs measured, where they measured this."""
        records = [record for record in self._records if record.get(quantity) is not None]
        if not records:
            measured = "the run measured none" if self._records else "no epoch is finished"
            raise NotInRunError(measured)
        return records

    @cached_property
    def _records(self) -> list[Record]:
        return self.run.records()

    @cached_property
    def measured_part(self) -> str:
        """The part that ``val_`` values of the records were measured on."""
        with run_faults():
            return self.run.measured_part()

    @cached_property
    def model(self) -> MLP:
        """The run's selected model."""
        from fastmlp.model import load

        if not (self.run.best_model.exists() or self.run.last_model.exists()):
            raise NotInRunError("the run has no model yet")
        with run_faults():
            path = self.run.selected_model()
        return load(path)

    @cached_property
    def samples(self) -> Samples:
        """What the model is judged by."""
        with run_faults():
            return load_own_data(self.run, quiet=self.quiet).evaluated[1]

    @cached_property
    def measured(self) -> Evaluation:
        """The model on these samples."""
        from fastmlp.experiment.evaluation import evaluate

        return evaluate(self.model, self.samples)

    def require_task(self, task: str) -> Any:
        """The model's preprocessing, if it is for this task."""
        pre = self.model.preprocessing
        if pre is None or pre.task != task:
            raise NotInRunError(f"the task is {pre and pre.task}, not {task}")
        return pre


# ---------------------------------------------------------------- pictures


def _loss(subject: Subject) -> Axes:
    return _learning_curves(subject, "loss")


def _accuracy(subject: Subject) -> Axes:
    return _learning_curves(subject, "accuracy")


def _learning_curves(subject: Subject, quantity: str) -> Axes:
    from fastmlp import plot as pictures
    from fastmlp.plot.style import add_legend

    axes = pictures.learning_curves(subject.records_with(quantity), quantity=quantity)
    for line in axes.get_lines():
        if line.get_label() == "validation":
            line.set_label(subject.measured_part)
    add_legend(axes)
    return axes


def _learning_rate(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    return pictures.learning_rate(subject.records_with("learning_rate"))


def _confusion(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    pre = subject.require_task("classification")
    return pictures.confusion_matrix(
        matrix=subject.measured.confusion, class_names=pre.class_names
    )  # fmt: skip


def _scores(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    if subject.measured.per_class is None:
        raise NotInRunError("a regression has no classes")
    return pictures.class_scores(subject.measured.per_class)


def _predictions(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    pre = subject.require_task("regression")
    truth = pre.decode(subject.samples.y.reshape(len(subject.samples), -1))
    predicted = subject.measured.predictions
    return pictures.predictions(truth, predicted, target_names=pre.target_names)


def _weights(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    pre = subject.model.preprocessing
    if pre is None or pre.image_shape is None:
        raise NotInRunError("the inputs are no images")
    return pictures.weight_templates(subject.model, image_shape=pre.image_shape)


def _gradients(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    return pictures.gradient_norms(subject.model, subject.samples.x, subject.samples.y)


def _regions(subject: Subject) -> Axes:
    from fastmlp import plot as pictures

    pre = subject.require_task("classification")
    if pre.features != 2:
        raise NotInRunError(f"the model has {pre.features} inputs, not 2")
    x, y = subject.samples.x, subject.samples.y
    return pictures.decision_regions(subject.model, x, y, preprocessing=pre)


KINDS: dict[str, Callable[[Subject], Axes]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "learning-rate": _learning_rate,
    "confusion": _confusion,
    "scores": _scores,
    "predictions": _predictions,
    "weights": _weights,
    "gradients": _gradients,
    "regions": _regions,
}


# ---------------------------------------------------------------- the command


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("run", shell_complete=complete_run)
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="PATH",
    help="Directory, or a file where there is one KIND.  [default: RUN/plots]",
)  # fmt: skip
@click.option(
    "--format", "suffix", type=click.Choice(FORMATS), default=None,
    help="Of the files.  [default: by the suffix of --output, else svg]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow --output to replace files.")
@click.option("--terminal", is_flag=True, help="Draw curves as text, write no file.")
@click.option("-q", "--quiet", is_flag=True, help="Print the paths only.")
@common_options()
@click.pass_context
def plot(
    ctx: click.Context, /, *, run: str, kinds: tuple[str, ...], output: str | None,
    suffix: str | None, overwrite: bool, terminal: bool, quiet: bool,
) -> int:  # fmt: skip
    """Draw pictures of a run.

    RUN is a run's directory or number. KIND is loss, accuracy, learning-rate, confusion, scores,
    predictions, weights, gradients or regions (of two inputs); without one, all that the run has.
    In the terminal there are the first three.
    """
    from fastmlp.experiment.rundir import RunDirectory

    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(unknown("picture", kind, list(KINDS)))
    kinds = tuple(dict.fromkeys(kinds))
    state = state_of(ctx)
    with run_faults():
        subject = Subject(RunDirectory.open(resolve_run(run)), quiet)
    if terminal:
        if state.json or output is not None or suffix is not None:
            raise ConfigError("--terminal writes text; leave --json, --output and --format out")
        _print_curves(subject, kinds, state)
        return int(ExitCode.OK)
    written = _write(subject, kinds, _target(subject, kinds, output, suffix), overwrite=overwrite)
    if state.json:
        from fastmlp.cli.result import SCHEMA_VERSION, print_json

        head = {"schema": "fastmlp.plot", "schema_version": SCHEMA_VERSION, "command": "plot"}
        pictures = [{"kind": kind, "file": str(path)} for kind, path in written.items()]
        print_json(head | {"run": str(subject.run.path), "pictures": pictures}, state)
    else:
        for path in written.values():
            click.echo(str(path))
    return int(ExitCode.OK)


# ---------------------------------------------------------------- files


@dataclass(frozen=True)
class Target:
    """Where pictures go: a file, or a directory and the suffix of the files in it."""

    path: Path
    suffix: str | None
    is_own: bool

    def file_of(self, kind: str) -> Path:
        """The file of one picture."""
        return self.path if self.suffix is None else self.path / f"{kind}.{self.suffix}"


def _target(
    subject: Subject, kinds: Sequence[str], output: str | None, suffix: str | None
) -> Target:
    if output is None:
        return Target(subject.run.plots_path, suffix or "svg", is_own=True)
    path = Path(output)
    meant = path.suffix.lstrip(".").lower()
    if meant not in FORMATS or path.is_dir():
        return Target(path, suffix or "svg", is_own=False)
    if len(kinds) != 1:
        raise ConfigError(f"--output {output}: a file needs exactly one KIND, got {len(kinds)}")
    if suffix not in (None, meant):
        raise ConfigError(f"--output {output}: ends as {meant} does, not {suffix}")
    return Target(path, None, is_own=False)


def _write(
    subject: Subject, kinds: Sequence[str], target: Target, *, overwrite: bool
) -> dict[str, Path]:
    """Draw and write pictures; their files by kind."""
    from fastmlp.extras import require

    require("plot", "matplotlib")
    for kind in kinds or KINDS:
        path = target.file_of(kind)
        if not (overwrite or target.is_own) and os.path.lexists(path):
            raise ConfigError(f"--output {path}: exists already; add --overwrite")
    written: dict[str, Path] = {}
    reasons = []
    for kind in kinds or KINDS:
        try:
            picture = KINDS[kind](subject)
        except NotInRunError as error:
            if kinds:
                raise ConfigError(f"{kind}: {error}") from error
            reasons.append(f"{kind}: {error}")
            continue
        written[kind] = target.file_of(kind)
        _save(picture, written[kind])
    if not written:
        raise ConfigError(f"{subject.run.path}: has nothing to draw ({reasons[0]})")
    return written


def _save(picture: Axes, path: Path) -> None:
    if path.parent.exists() and not path.parent.is_dir():
        raise CliError(f"{path.parent}: is a file, expected a directory")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(picture, path)
    except OSError as error:
        raise CliError(f"cannot write {path}: {error.strerror or error}") from error


def write_picture(ax: Axes, path: Path) -> None:
    """Write matplotlib Axes to a file, whole or not at all; the suffix says the format.

    Raises
    ------
    ConfigError
        There is no such format.
    OSError
        The file cannot be written.
    """
    import io

    from fastmlp import plot as pictures
    from fastmlp._files import atomic_write

    kind = path.suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise ConfigError(f"{path}: {unknown('format', kind, list(FORMATS))}")
    if kind == "svg":
        atomic_write(path, pictures.svg(ax).encode())
        return
    stream = io.BytesIO()
    # Without the date the same picture gives the same bytes.
    metadata = {"CreationDate": None} if kind == "pdf" else None
    figure: Any = ax.figure
    figure.savefig(stream, format=kind, dpi=150, metadata=metadata)
    atomic_write(path, stream.getvalue())


# ---------------------------------------------------------------- the terminal


def _print_curves(subject: Subject, kinds: Sequence[str], state: State) -> None:
    from fastmlp.cli.text_curves import Curve, drawn

    for kind in kinds:
        if kind not in CURVES:
            raise ConfigError(f"{kind}: is no curve; --terminal draws {', '.join(CURVES)}")
    curves = []
    for kind in kinds or CURVES:
        quantity = kind.replace("-", "_")
        try:
            lines = {"training": _points(subject, quantity)}
        except NotInRunError as error:
            if kinds:
                raise ConfigError(f"{kind}: {error}") from error
            continue
        with contextlib.suppress(NotInRunError):
            lines[subject.measured_part] = _points(subject, f"val_{quantity}")
        title = "accuracy (%)" if kind == "accuracy" else kind.replace("-", " ")
        curves.append(Curve(title, lines))
    if not curves:
        raise ConfigError(f"{subject.run.path}: has nothing to draw (no epoch is finished)")
    color = use_color(sys.stdout, no_color=state.no_color)
    click.echo(drawn(curves, color=color), color=color)


def _points(subject: Subject, quantity: str) -> list[tuple[int, float]]:
    factor = 100.0 if quantity.endswith("accuracy") else 1.0
    return [(r["epoch"], factor * r[quantity]) for r in subject.records_with(quantity)]
