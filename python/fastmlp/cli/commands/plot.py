"""The command `fastmlp plot`: draw pictures of a run as files, or its curves as text."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

import fastmlp
from fastmlp._cached_property import cached_property
from fastmlp.cli.completion import complete_run, completes
from fastmlp.cli.errors import CliError, ConfigError, ExitCode, use_color
from fastmlp.cli.files import PICTURE_FORMATS, require_free, write_picture
from fastmlp.cli.options import (
    Choice,
    CommandBase,
    State,
    common_options,
    quiet_option,
    state_of,
    unknown,
)
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.runs import load_own_data, open_run, run_errors
from fastmlp.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fastmlp.data import Samples
    from fastmlp.experiment.evaluation import Evaluation
    from fastmlp.experiment.rundir import RunDirectory
    from fastmlp.history import Record
    from fastmlp.model import MLP

__all__ = ["Curve", "drawn", "plot"]

EXAMPLES = """\
fastmlp plot runs/001-mnist
fastmlp plot runs/001-mnist loss confusion --format png
fastmlp plot runs/003-moons regions -o regions.svg
fastmlp plot runs/001-mnist --terminal"""
CURVES = ("loss", "accuracy", "learning-rate")


class NotInRunError(Exception):
    """The run lacks the values that a picture shows."""


@dataclass(frozen=True)
class Subject:
    """A run with its records, model and samples, which are read when first needed."""

    run: RunDirectory
    quiet: bool

    def records_with(self, quantity: str) -> list[Record]:
        """Return the records of the epochs in which this quantity was measured."""
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
        """Name of the part on which the ``val_`` values of the records were measured."""
        with run_errors():
            return self.run.measured_part()

    @cached_property
    def model(self) -> MLP:
        """The run's selected model."""
        from fastmlp.model import load_mlp

        if not (self.run.best_model.exists() or self.run.last_model.exists()):
            raise NotInRunError("the run has no model yet")
        with run_errors():
            path = self.run.selected_model()
        return load_mlp(path)

    @cached_property
    def samples(self) -> Samples:
        """The samples on which the model is evaluated."""
        with run_errors():
            return load_own_data(self.run, quiet=self.quiet).evaluated[1]

    @cached_property
    def measured(self) -> Evaluation:
        """The evaluation of the model on these samples."""
        from fastmlp.experiment.evaluation import evaluate

        return evaluate(self.model, self.samples)

    def require_task(self, task: str) -> Any:
        """Return the preprocessing of the model; raise NotInRunError for another task."""
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
    from fastmlp.plot.style import add_legend

    axes = fastmlp.plot.learning_curves(subject.records_with(quantity), quantity=quantity)
    for line in axes.get_lines():
        if line.get_label() == "validation":
            line.set_label(subject.measured_part)
    add_legend(axes)
    return axes


def _learning_rate(subject: Subject) -> Axes:
    return fastmlp.plot.learning_rate(subject.records_with("learning_rate"))


def _confusion(subject: Subject) -> Axes:
    pre = subject.require_task("classification")
    return fastmlp.plot.confusion_matrix(
        matrix=subject.measured.confusion, class_names=pre.class_names
    )  # fmt: skip


def _scores(subject: Subject) -> Axes:
    if subject.measured.per_class is None:
        raise NotInRunError("a regression has no classes")
    return fastmlp.plot.class_scores(subject.measured.per_class)


def _predictions(subject: Subject) -> Axes:
    pre = subject.require_task("regression")
    truth = pre.in_units(subject.samples.y.reshape(len(subject.samples), -1))
    predicted = subject.measured.predictions
    return fastmlp.plot.predictions(truth, predicted, target_names=pre.target_names)


def _residuals(subject: Subject) -> Axes:
    pre = subject.require_task("regression")
    if len(pre.target_names) > 1:
        raise NotInRunError(f"the model has {len(pre.target_names)} targets, not 1")
    truth = pre.in_units(subject.samples.y.reshape(len(subject.samples), -1))
    return fastmlp.plot.residuals(
        truth[:, 0], subject.measured.predictions[:, 0], target_name=pre.target_names[0]
    )


def _positive_scores(subject: Subject) -> Any:
    """Return the probabilities of the second of two classes, which both have to occur."""
    import numpy as np

    pre = subject.require_task("classification")
    if pre.outputs != 2:
        raise NotInRunError(f"the model has {pre.outputs} classes, not 2")
    if subject.measured.probabilities is None:
        raise NotInRunError("the model has no probabilities")
    if len(np.unique(subject.samples.y)) < 2:
        raise NotInRunError("all samples are of one class")
    return subject.measured.probabilities[:, 1]


def _roc(subject: Subject) -> Axes:
    from fastmlp import metrics

    scores, samples = _positive_scores(subject), subject.samples
    rates = metrics.roc_curve(samples.y, scores, samples.weight)
    area = metrics.auc(samples.y, scores, sample_weight=samples.weight)
    return fastmlp.plot.roc_curve(*rates[:2], area=area)


def _precision_recall(subject: Subject) -> Axes:
    from fastmlp import metrics

    scores, samples = _positive_scores(subject), subject.samples
    curve = metrics.precision_recall_curve(samples.y, scores, samples.weight)
    return fastmlp.plot.precision_recall_curve(*curve[:2])


def _calibration(subject: Subject) -> Axes:
    from fastmlp import metrics

    scores, samples = _positive_scores(subject), subject.samples
    bins = metrics.calibration_curve(samples.y, scores, sample_weight=samples.weight)
    return fastmlp.plot.calibration_curve(*bins)


def _weights(subject: Subject) -> Axes:
    pre = subject.model.preprocessing
    if pre is None or pre.image_shape is None:
        raise NotInRunError("the inputs are no images")
    return fastmlp.plot.weight_templates(subject.model, image_shape=pre.image_shape)


def _gradients(subject: Subject) -> Axes:
    return fastmlp.plot.gradient_norms(subject.model, subject.samples.x, subject.samples.y)


def _regions(subject: Subject) -> Axes:
    pre = subject.require_task("classification")
    if pre.features != 2:
        raise NotInRunError(f"the model has {pre.features} inputs, not 2")
    x, y = subject.samples.x, subject.samples.y
    return fastmlp.plot.decision_regions(subject.model, x, y, preprocessing=pre)


def _importance(subject: Subject) -> Axes:
    from fastmlp.experiment.importance import importance_of

    pre = subject.model.preprocessing
    if pre is None or pre.columns is None:
        raise NotInRunError("the samples are no tables")
    found = importance_of(subject.model, subject.samples)
    return fastmlp.plot.importance(
        found.names, found.means, found.deviations, label=f"loss of {found.metric}"
    )


KINDS: dict[str, Callable[[Subject], Axes]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "learning-rate": _learning_rate,
    "confusion": _confusion,
    "scores": _scores,
    "roc": _roc,
    "precision-recall": _precision_recall,
    "calibration": _calibration,
    "predictions": _predictions,
    "residuals": _residuals,
    "importance": _importance,
    "weights": _weights,
    "gradients": _gradients,
    "regions": _regions,
}


# ---------------------------------------------------------------- the command


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("run", shell_complete=complete_run)
@click.argument("kinds", nargs=-1, metavar="[KIND]...", shell_complete=completes(KINDS))
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="PATH",
    help="Directory, or a file if there is one KIND.  [default: RUN/plots]",
)  # fmt: skip
@click.option(
    "--format", "suffix", type=Choice(PICTURE_FORMATS), default=None,
    help="Format of the files.  [default: by the suffix of --output, else svg]",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow --output to replace files.")
@click.option("--terminal", is_flag=True, help="Draw curves as text, write no file.")
@quiet_option("paths")
@common_options()
@click.pass_context
def plot(
    ctx: click.Context, /, *, run: str, kinds: tuple[str, ...], output: str | None,
    suffix: str | None, overwrite: bool, terminal: bool, quiet: bool,
) -> int:  # fmt: skip
    """Draw pictures of a run.

    RUN is the directory or number of a run. KIND is loss, accuracy, learning-rate, confusion,
    scores, roc, precision-recall, calibration (of two classes), predictions, residuals, importance
    (of the columns of a table), weights, gradients or regions (of a model with two inputs). Without
    KIND, all pictures for which the run has the data are drawn. --terminal can draw the first
    three.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(unknown("picture", kind, KINDS))
    kinds = tuple(dict.fromkeys(kinds))
    state = state_of(ctx)
    subject = Subject(open_run(run), quiet)
    if terminal:
        if state.json or output is not None or suffix is not None:
            raise ConfigError("--terminal writes text; leave --json, --output and --format out")
        _print_curves(subject, kinds, state)
        return int(ExitCode.OK)
    written = _write(subject, kinds, _target(subject, kinds, output, suffix), overwrite=overwrite)
    if state.json:
        pictures = [{"kind": kind, "file": str(path)} for kind, path in written.items()]
        content = {"run": str(subject.run.path), "pictures": pictures}
        print_json(state, document_head("plot") | content)
    else:
        for path in written.values():
            click.echo(str(path))
    state.suggest("report", subject.run.path, "--open")
    return int(ExitCode.OK)


# ---------------------------------------------------------------- files


@dataclass(frozen=True)
class Target:
    """The destination of pictures: a file, or a directory and the suffix of its files."""

    path: Path
    suffix: str | None
    is_own: bool

    def file_of(self, kind: str) -> Path:
        """Return the file of one picture."""
        return self.path if self.suffix is None else self.path / f"{kind}.{self.suffix}"


def _target(
    subject: Subject, kinds: Sequence[str], output: str | None, suffix: str | None
) -> Target:
    if output is None:
        return Target(subject.run.plots_path, suffix or "svg", is_own=True)
    path = Path(output)
    meant = path.suffix.lstrip(".").lower()
    if meant not in PICTURE_FORMATS or path.is_dir():
        return Target(path, suffix or "svg", is_own=False)
    if len(kinds) != 1:
        raise ConfigError(f"--output {output}: a file needs exactly one KIND, got {len(kinds)}")
    if suffix not in (None, meant):
        raise ConfigError(f"--output {output}: has the suffix of {meant}, --format is {suffix}")
    return Target(path, None, is_own=False)


def _write(
    subject: Subject, kinds: Sequence[str], target: Target, *, overwrite: bool
) -> dict[str, Path]:
    """Draw and write pictures; return their files by kind."""
    require("plot", "matplotlib")
    for kind in kinds or KINDS:
        if not target.is_own:
            require_free(target.file_of(kind), overwrite=overwrite)
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


# ---------------------------------------------------------------- the terminal


def _print_curves(subject: Subject, kinds: Sequence[str], state: State) -> None:
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


# ---------------------------------------------------------------- curves as text

WIDEST, HEIGHT, MOST_TICKS = 100, 16, 7

Points = Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """A quantity by epoch, with one or two named lines."""

    title: str
    lines: Mapping[str, Points]


class Look(NamedTuple):
    """The marker and color of a line and its sign in the legend; markers differ without color."""

    marker: str
    shown: str
    color: str


LOOKS = (Look("braille", "\u2836", "blue"), Look("\u2022", "\u2022", "orange"))
ASCII_LOOKS = (Look("*", "*", "blue"), Look("o", "o", "orange"))
FRAME = "\u2500\u2502\u250c\u2510\u2514\u2518\u251c\u2524\u252c\u2534\u253c"
ASCII_FRAME = str.maketrans(FRAME, "-|+++++++++")


def drawn(curves: Sequence[Curve], *, color: bool) -> str:
    """Return pictures of curves as text, one below the other, as wide as the terminal.

    If the encoding of standard output lacks the drawing characters, ASCII is used.

    Raises
    ------
    MissingExtraError
        plotext is not installed.
    """
    plotext = require("plot", "plotext")
    plain = not _can_be_printed(FRAME + "".join(look.shown for look in LOOKS))
    texts = []
    for curve in curves:
        text = _figure(plotext, curve, ASCII_LOOKS if plain else LOOKS).string(colorless=not color)
        texts.append("\n".join(line.rstrip() for line in text.splitlines()))
    text = "\n\n".join(texts)
    return text.translate(ASCII_FRAME) if plain else text


def _can_be_printed(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeError:
        return False
    return True


def _figure(plotext: Any, curve: Curve, looks: Sequence[Look]) -> Any:
    """Return the picture of one curve."""
    figure = plotext.figure
    figure.clear()
    figure.theme("colorless")
    figure.plot_size(min(shutil.get_terminal_size().columns, WIDEST), HEIGHT)
    for points, look in zip(curve.lines.values(), looks, strict=False):
        epochs, values = zip(*points, strict=True)
        marker = plotext.marker(look.marker, plotext.pixel(foreground=look.color))
        figure.draw(figure.signal(epochs, values, marker=marker).lines())
    key = "   ".join(
        f"{look.shown} {name}" for name, look in zip(curve.lines, looks, strict=False)
    )  # fmt: skip
    figure.title(f"{curve.title}: {key}" if len(curve.lines) > 1 else curve.title)
    figure.label("epoch", "x")
    figure.ruler("x").ticks(
        _ticks([epoch for points in curve.lines.values() for epoch, _ in points])
    )
    return figure.build()


def _ticks(epochs: Sequence[int]) -> list[int]:
    """Return evenly spaced epochs, including the first and the last."""
    known = sorted(set(epochs))
    gaps = min(len(known), MOST_TICKS) - 1
    if gaps == 0:
        return known
    last = len(known) - 1
    return [known[round(i * last / gaps)] for i in range(gaps + 1)]
