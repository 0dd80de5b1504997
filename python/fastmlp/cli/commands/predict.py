"""The command `fastmlp predict`: predict for samples from a file or a pipe."""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp._files import atomic_write
from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import CliError, ConfigError, ExitCode
from fastmlp.cli.files import require_free
from fastmlp.cli.options import (
    Choice,
    CommandBase,
    common_options,
    encoding_option,
    header_option,
    separator_option,
    state_of,
    threads_option,
    unknown,
)
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.runs import open_models, run_or_file
from fastmlp.cli.sources import data_errors
from fastmlp.extras import require

if TYPE_CHECKING:
    from fastmlp.data import Reading
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.model import MLP

__all__ = ["predict"]

EXAMPLES = """\
fastmlp predict runs/001-iris flowers.csv
cat flowers.csv | fastmlp predict runs/001-iris --probabilities > answers.csv
fastmlp predict model.safetensors images-idx3-ubyte.gz -o answers.parquet
fastmlp predict runs/002-houses houses.csv --keep id,street --format jsonl
fastmlp predict runs/003-flowers photo.png
fastmlp predict runs/004-big big.parquet --stream -o answers.csv"""
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet")
# Number of lines that are encoded and written together.
LINES = 10_000
STREAMED = ("csv", "tsv", "jsonl")

Columns = dict[str, Any]


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@click.argument("samples", default="-", type=click.Path(allow_dash=True))
@click.option(
    "-o", "--output", type=click.Path(), default="-", metavar="FILE",
    help="File to write, or - for standard output.  [default: -]",
)  # fmt: skip
@click.option(
    "--format", "kind", type=Choice(FORMATS), default=None,
    help="Format of the output.  [default: by the suffix of --output, else csv]",
)  # fmt: skip
@click.option("-p", "--probabilities", is_flag=True, help="Add a column p(class) for each class.")
@click.option(
    "--keep", default="", metavar="NAME,NAME", help="Columns of a table to copy to the output."
)
@click.option("--overwrite", is_flag=True, help="Allow --output to replace a file.")
@click.option(
    "--unknown-categories", type=Choice(("ignore", "error")), default=None,
    help="Answer for rows with names that the training did not have, or report them.  "
    "[default: as in the training]",
)  # fmt: skip
@click.option(
    "--stream", is_flag=True,
    help="Answer block by block, for data beyond memory (Parquet, Feather, .npy, .npz).",
)  # fmt: skip
@separator_option
@encoding_option
@header_option
@threads_option
@common_options()
@click.pass_context
def predict(
    ctx: click.Context, /, *, model: str, samples: str, output: str, kind: str | None,
    probabilities: bool, keep: str, overwrite: bool, unknown_categories: str | None,
    stream: bool, separator: str | None, encoding: str | None, header: bool | None,
    threads: int | None,
) -> int:  # fmt: skip
    """Predict for new samples.

    MODEL is the directory or number of a run, the directory of a cross-validation, whose models
    answer together, or a model file. SAMPLES is a table (CSV, TSV, JSON
    lines, Parquet, Feather), also in several files, which a folder or a pattern in quotes such as
    'part-*.csv' names, a file of arrays (NPZ, NPY, IDX), an image or a folder of images, or -
    for a table on standard input. Columns are found by name, in any order, and read as the model
    learned them; other columns are ignored. The output has one line for each sample, in the same
    order: the class as it was written, or values in the units of the training data. A row that
    cannot be served has no answer, and the column "problem", which --stream always writes, says
    why. Text is not escaped for spreadsheets, which interpret a cell that begins with = as a
    formula.
    """
    state = state_of(ctx)
    kind = _checked_output(kind, output, overwrite=overwrite, as_json=state.json)
    if stream and (state.json or kind not in STREAMED):
        raise ConfigError(f"--stream writes {', '.join(STREAMED[:-1])} or {STREAMED[-1]}")
    if samples == "-" and sys.stdin.isatty() and not stream:
        click.echo("reading samples from standard input", err=True)
    network, path = open_models(run_or_file(model))
    if probabilities:
        _require_probabilities(network, path)
    from fastmlp.data import Reading

    reading = Reading(separator=separator, encoding=encoding, header=header)
    task = _Task(network, samples, keep, unknown_categories, probabilities, threads)
    if stream:
        _write(_streamed(kind, task, reading), output)
        return int(ExitCode.OK)
    columns = _columns(task, reading)
    if state.json:
        rows = list(_rows(columns))
        content = {"model": str(path), "data": samples, "samples": len(rows), "rows": rows}
        print_json(state, document_head("predict") | content)
    else:
        _write(_encoded(kind, columns), output)
    return int(ExitCode.OK)


@dataclass(frozen=True)
class _Task:
    """What is asked: a model, samples, and options of the answers."""

    network: MLP | BaggedModel
    source: str
    keep: str
    unknown_categories: str | None
    probabilities: bool
    threads: int | None

    @property
    def kept(self) -> list[str]:
        """Names of --keep; the name of a column may contain a comma."""
        if not self.keep:
            return []
        return [self.keep, *(name.strip() for name in self.keep.split(","))]


def _checked_output(kind: str | None, output: str, *, overwrite: bool, as_json: bool) -> str:
    """Check the options of the output and return its format."""
    if as_json and (kind is not None or output != "-"):
        raise ConfigError("--json prints one object; leave --format and --output out")
    if output == "-":
        if kind == "parquet" and sys.stdout.isatty():
            raise ConfigError("--format parquet writes bytes; name a file with --output")
        return kind or "csv"
    path = Path(output)
    suffix = path.suffix.lstrip(".").lower()
    if kind is None and suffix not in FORMATS:
        raise ConfigError(f"--output {output}: {unknown('format', suffix, FORMATS)}")
    if kind is not None and suffix in FORMATS and suffix != kind:
        raise ConfigError(f"--output {output}: has the suffix of {suffix}, --format is {kind}")
    require_free(path, overwrite=overwrite)
    if not path.parent.is_dir():
        raise ConfigError(f"--output {output}: directory {path.parent} does not exist")
    return kind or suffix


def _require_probabilities(network: Any, path: Path) -> None:
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.evaluation import has_probabilities

    first = network.networks[0] if isinstance(network, BaggedModel) else network
    if not has_probabilities(first):
        names = ", ".join(loss.name for loss in first.architecture.losses)
        raise ConfigError(f"--probabilities: {path} has none, because its loss is {names}")


# ---------------------------------------------------------------- input


def _columns(task: _Task, options: Reading) -> Columns:
    """Return the columns of the output: those of --keep, answers, probabilities, problems."""
    from fastmlp.experiment.serving import read_for

    with data_errors(task.source):
        samples, names = read_for(task.network, task.source, options, task.kept)
    columns, problems = _answered(task, samples, names)
    _warn_of_unknown_categories(task, samples)
    _warn_of_problems(problems, len(samples))
    return columns


def _answered(task: _Task, samples: Any, names: Any = None) -> tuple[Columns, int]:
    """Return the columns of the output for some samples, and how many have no answer."""
    from fastmlp.experiment.bagging import predictions_of

    kept = _kept(samples, task.keep)
    if names is not None:
        kept = {"file": names}
    with data_errors(task.source):
        answers = predictions_of(
            task.network, samples, probabilities=task.probabilities,
            unknown_categories=task.unknown_categories, threads=task.threads,
        )  # fmt: skip
    columns, problems = answers.columns | (answers.probabilities or {}), 0
    if answers.problems is not None:
        columns["problem"] = answers.problems
        problems = sum(problem is not None for problem in answers.problems)
    for name in kept:
        if name in columns:
            raise ConfigError(f"--keep: the output already has a column {name!r}")
    return kept | columns, problems


def _streamed(kind: str, task: _Task, options: Reading) -> Iterator[bytes]:
    """Yield the output block by block of the samples."""
    import numpy as np

    from fastmlp.data.sample_files import open_samples
    from fastmlp.experiment.serving import reading_for

    with data_errors(task.source):
        reading = reading_for(task.network, options, task.kept)
        files = open_samples(task.source, reading, has_targets=False)
    problems, has_warned = 0, False
    for block in range(files.blocks):
        with data_errors(task.source):
            samples = files.part(block).x
        columns, found = _answered(task, samples)
        problems += found
        has_warned = has_warned or _warn_of_unknown_categories(task, samples)
        columns.setdefault("problem", np.full(len(samples), None, object))
        yield from _encoded(kind, columns, has_header=block == 0)
    _warn_of_problems(problems, len(files))


def _warn_of_problems(count: int, rows: int) -> None:
    if count:
        have = "has" if count == 1 else "have"
        click.echo(
            f"fastmlp: warning: {count:,} of {rows:,} rows {have} no answer; the column "
            "'problem' says why",
            err=True,
        )


def _warn_of_unknown_categories(task: _Task, samples: Any) -> bool:
    """Print a line if rows were answered although they have categories that are not known."""
    from fastmlp.data import Table
    from fastmlp.data.table_inputs import unknown_categories_in

    pre = task.network.preprocessing
    if pre is None or pre.columns is None or not isinstance(samples, Table):
        return False
    if (task.unknown_categories or pre.unknown_categories) != "ignore":
        return False
    text = unknown_categories_in(samples, pre.columns)
    if text is not None:
        click.echo(f"fastmlp: warning: {text}; --unknown-categories error reports them", err=True)
    return text is not None


def _kept(samples: Any, keep: str) -> Columns:
    from fastmlp.data import Table

    if not keep:
        return {}
    if not isinstance(samples, Table):
        raise ConfigError("--keep: needs a table with named columns, got an array")
    whole = keep in samples.columns
    names = [keep] if whole else [name.strip() for name in keep.split(",")]
    for name in names:
        if name not in samples.columns:
            raise ConfigError(f"--keep: {unknown('column', name, samples.names)}")
    return {name: _copied(samples.columns[name]) for name in names}


def _copied(cells: Any) -> Any:
    """Return cells as they came, with whole numbers as int, dates as text and None for missing."""
    import numpy as np

    held = np.empty(len(cells), object)
    held[:] = [_plain(value) for value in cells.to_list()]
    return held


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return int(value) if value.is_integer() else value
    return value if value is None or isinstance(value, (str, int)) else str(value)


# ---------------------------------------------------------------- output


def _encoded(kind: str, columns: Columns, *, has_header: bool = True) -> Iterator[bytes]:
    """Yield the output in pieces; without a header it continues one."""
    if kind == "parquet":
        yield _parquet(columns)
        return
    from fastmlp.experiment.answer_rows import delimited_lines

    encoders: dict[str, Callable[[Columns], Iterable[str]]] = {
        "csv": lambda given: delimited_lines(given, ","),
        "tsv": lambda given: delimited_lines(given, "\t"),
        "json": _json,
        "jsonl": _json_lines,
    }
    lines: list[str] = []
    skipped = 0 if has_header or kind == "jsonl" else 1
    for line in islice(encoders[kind](columns), skipped, None):
        lines.append(line)
        if len(lines) == LINES:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


def _rows(columns: Columns) -> Iterator[dict[str, Any]]:
    """Yield one mapping per sample, with None in place of NaN and infinities."""
    from fastmlp.experiment.serving import plain_values

    def finite(value: Any) -> Any:
        return None if isinstance(value, float) and not math.isfinite(value) else value

    for row in zip(*map(plain_values, columns.values()), strict=True):
        yield dict(zip(columns, map(finite, row), strict=True))


def _json_lines(columns: Columns) -> Iterator[str]:
    for row in _rows(columns):
        yield json.dumps(row, allow_nan=False) + "\n"


def _json(columns: Columns) -> Iterator[str]:
    start = "["
    for line in _json_lines(columns):
        yield f"{start}{line.rstrip()}"
        start = ",\n "
    yield "]\n"


def _parquet(columns: Columns) -> bytes:
    import numpy as np

    polars = require("data", "polars")
    series = []
    for name, values in columns.items():
        held = values.tolist() if values.dtype == object else values
        # Rows without an answer leave the type of the others as it is.
        is_single = values.dtype == object and any(isinstance(v, np.float32) for v in held)
        series.append(polars.Series(name, held, polars.Float32 if is_single else None))
    buffer = io.BytesIO()
    polars.DataFrame(series).write_parquet(buffer)
    return buffer.getvalue()


def _write(pieces: Iterable[bytes], output: str) -> None:
    if output == "-":
        stream = sys.stdout.buffer
        for piece in pieces:
            stream.write(piece)
        stream.flush()
        return
    try:
        atomic_write(output, pieces)
    except OSError as error:
        raise CliError(f"--output {output}: {error.strerror or error}") from error
