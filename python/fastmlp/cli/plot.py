"""`fastmlp plot`: pictures of a run as files, or its curves as text in the terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import CommandBase, common_options, state_of, unknown

if TYPE_CHECKING:
    from fastmlp.experiment.rundir import RunDirectory

__all__ = ["plot", "write_picture"]

EXAMPLES = """\
fastmlp plot runs/001-mnist
fastmlp plot runs/001-mnist loss confusion --format png
fastmlp plot runs/003-moons regions -o regions.svg
fastmlp plot runs/001-mnist --terminal"""
FORMATS = ("svg", "png", "pdf")


@dataclass
class Subject:
    """A run with what pictures need of it, read when one needs it."""

    run: RunDirectory
    quiet: bool
    _loaded: tuple[Any, Any, Any] | None = None

    @property
    def records(self) -> list[dict[str, Any]]:
        """What the epochs measured."""
        records = self.run.records()
        if not records:
            raise ConfigError(f"{self.run.path}: no epoch is finished")
        return records

    @property
    def model(self) -> Any:
        """The run's selected model."""
        from fastmlp.storage import load

        return load(self.run.selected_model())

    def measured(self) -> tuple[Any, Any, Any]:
        """Model, the samples that it is judged by, and the evaluation on them."""
        if self._loaded is None:
            from fastmlp.cli.training import load_experiment
            from fastmlp.experiment.evaluation import evaluate

            model = self.model
            _, samples = load_experiment(self.run.config(), quiet=self.quiet).evaluated
            self._loaded = (model, samples, evaluate(model, samples))
        return self._loaded


def _loss(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    return pictures.learning_curves(subject.records, quantity="loss")


def _accuracy(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    if "accuracy" not in subject.records[0]:
        raise ConfigError("accuracy: the run measured none")
    return pictures.learning_curves(subject.records, quantity="accuracy")


def _learning_rate(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    return pictures.learning_rate(subject.records)


def _confusion(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    model, _, measured = subject.measured()
    if measured.confusion is None:
        raise ConfigError(f"confusion: the task is {measured.task}, not classification")
    names = model.preprocessing.class_names
    return pictures.confusion_matrix(matrix=measured.confusion, class_names=names)


def _predictions(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    model, samples, measured = subject.measured()
    if measured.task != "regression":
        raise ConfigError(f"predictions: the task is {measured.task}, not regression")
    pre = model.preprocessing
    truth = pre.decode(samples.y.reshape(len(samples), -1))
    return pictures.predictions(truth, measured.predictions, target_names=pre.target_names)


def _weights(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    model = subject.model
    shape = model.preprocessing.image_shape if model.preprocessing else None
    if shape is None:
        raise ConfigError("weights: the inputs are no images")
    return pictures.weight_templates(model, image_shape=shape)


def _gradients(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    model, samples, _ = subject.measured()
    return pictures.gradient_norms(model, samples.x, samples.y)


def _regions(subject: Subject) -> Any:
    from fastmlp import plot as pictures

    model, samples, _ = subject.measured()
    if model.layer_sizes[0] != 2:
        raise ConfigError(f"regions: needs 2 inputs, the model has {model.layer_sizes[0]}")
    names = model.preprocessing.class_names
    return pictures.decision_regions(model, samples.x, samples.y, class_names=names)


KINDS: dict[str, Callable[[Subject], Any]] = {
    "loss": _loss,
    "accuracy": _accuracy,
    "learning-rate": _learning_rate,
    "confusion": _confusion,
    "predictions": _predictions,
    "weights": _weights,
    "gradients": _gradients,
    "regions": _regions,
}


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("run")
@click.argument("kinds", nargs=-1, metavar="[KIND]...")
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="PATH",
    help="Directory, or a file where there is one KIND.  [default: RUN/plots]",
)  # fmt: skip
@click.option(
    "--format", "suffix", type=click.Choice(FORMATS), default=None,
    help="Of the files.  [default: svg]",
)  # fmt: skip
@click.option("--terminal", is_flag=True, help="Draw loss and accuracy as text, write no file.")
@click.option("-q", "--quiet", is_flag=True, help="Print the paths only.")
@common_options()
@click.pass_context
def plot(
    ctx: click.Context, /, *, run: str, kinds: tuple[str, ...], output: str | None,
    suffix: str | None, terminal: bool, quiet: bool,
) -> int:  # fmt: skip
    """Draw pictures of a run.

    KIND is loss, accuracy, learning-rate, confusion, predictions, weights, gradients or regions (of
    two inputs); without one, all that the run has.
    """
    from fastmlp.cli.result import SCHEMA_VERSION, print_json
    from fastmlp.experiment.rundir import RunDirectory

    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(unknown("picture", kind, list(KINDS)))
    subject = Subject(RunDirectory.open(run), quiet)
    if terminal:
        _draw_in_terminal(subject)
        return int(ExitCode.OK)
    written = _write(subject, kinds, output, suffix)
    state = state_of(ctx)
    if state.json:
        head = {"schema": "fastmlp.plot", "schema_version": SCHEMA_VERSION, "command": "plot"}
        print_json(head | {"pictures": [str(path) for path in written]}, state)
    else:
        for path in written:
            click.echo(str(path))
    return int(ExitCode.OK)


def _write(
    subject: Subject, kinds: tuple[str, ...], output: str | None, suffix: str | None
) -> list[Path]:
    target = Path(output) if output is not None else subject.run.plots_path
    as_file = target.suffix.lstrip(".") in FORMATS
    if as_file and len(kinds) != 1:
        raise ConfigError(f"--output {output}: a file needs exactly one KIND, got {len(kinds)}")
    if not as_file:
        target.mkdir(parents=True, exist_ok=True)
    written = []
    for kind in kinds or KINDS:
        try:
            picture = KINDS[kind](subject)
        except ConfigError:
            if kinds:
                raise
            continue  # a picture that this run does not have
        path = target if as_file else target / f"{kind}.{suffix or 'svg'}"
        write_picture(picture, path)
        written.append(path)
    return written


def write_picture(ax: Any, path: Path) -> None:
    """Write matplotlib Axes to a file, whole or not at all; the suffix says the format.

    Raises
    ------
    ConfigError
        There is no such format.
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
    ax.figure.savefig(stream, format=kind, dpi=150)
    atomic_write(path, stream.getvalue())


def _draw_in_terminal(subject: Subject) -> None:
    """Curves of block characters, as wide as the terminal."""
    import shutil

    from fastmlp.extras import require

    plotext = require("plot", "plotext")
    records = subject.records
    width = min(shutil.get_terminal_size().columns, 100)
    for quantity in ("loss", "accuracy"):
        names = [name for name in (quantity, f"val_{quantity}") if name in records[0]]
        if not names:
            continue
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot_size(width, 16)
        plotext.title(quantity)
        plotext.xlabel("epoch")
        for name, marker in zip(names, ("braille", "dot"), strict=False):
            epochs = [record["epoch"] for record in records]
            values = [record[name] for record in records]
            plotext.plot(epochs, values, label=name, marker=marker)
        click.echo(plotext.build())
