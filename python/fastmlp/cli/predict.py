"""`fastmlp predict`: answers for new samples, from a file or a pipe to a file or a pipe."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import CommandBase, Whole, common_options, state_of, unknown

if TYPE_CHECKING:
    from fastmlp.experiment.serving import Predictions

__all__ = ["predict"]

EXAMPLES = """\
fastmlp predict runs/001-iris flowers.csv
cat flowers.csv | fastmlp predict runs/001-iris --probabilities > answers.csv
fastmlp predict model.safetensors images-idx3-ubyte.gz -o answers.parquet
fastmlp predict runs/002-houses houses.csv --keep id,street --format json"""
FORMATS = ("csv", "tsv", "json", "jsonl", "parquet")


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model")
@click.argument("samples", default="-")
@click.option(
    "-o", "--output", type=click.Path(), default="-", metavar="FILE",
    help="Where to; - for standard output.  [default: -]",
)  # fmt: skip
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default=None,
    help="Of the output.  [default: by the suffix of --output, else csv]",
)  # fmt: skip
@click.option("-p", "--probabilities", is_flag=True, help="Add a column for each class.")
@click.option(
    "--keep", default="", metavar="NAME,NAME", help="Columns of a table to copy to the output."
)
@click.option("--overwrite", is_flag=True, help="Allow --output to replace a file.")
@click.option("--separator", default=None, metavar="C", help="Between the columns of a CSV file.")
@click.option("--threads", type=Whole(1, 1024), default=None, metavar="N", help="Worker threads.")
@common_options()
@click.pass_context
def predict(
    ctx: click.Context, /, *, model: str, samples: str, output: str, kind: str | None,
    probabilities: bool, keep: str, overwrite: bool, separator: str | None, threads: int | None,
) -> int:  # fmt: skip
    """Predict for new samples.

    MODEL is a run's directory or a model file. SAMPLES is a file (CSV, TSV, Parquet, NPZ, NPY, IDX)
    or - for CSV on standard input; columns are found by name, further ones do no harm. Classes come
    out by their names, values in the units of the training data.
    """
    from fastmlp.cli.models import open_model
    from fastmlp.cli.training import data_errors
    from fastmlp.data.read import read_samples
    from fastmlp.experiment.serving import predict_samples

    state = state_of(ctx)
    kind = _format(kind, output, as_json=state.json)
    if output != "-" and Path(output).exists() and not overwrite:
        raise ConfigError(f"--output {output}: exists already; add --overwrite")
    if output == "-" and kind == "parquet" and click.get_text_stream("stdout").isatty():
        raise ConfigError("--format parquet writes bytes; name a file with --output")
    network, path = open_model(model)
    with data_errors():
        raw = read_samples(samples, separator=separator)
        answers = predict_samples(network, raw, threads=threads)
    columns = _kept(raw, keep) | (
        _with_probabilities(answers, path) if probabilities else answers.columns
    )
    if state.json:
        from fastmlp.cli.result import SCHEMA_VERSION, print_json

        head = {"schema": "fastmlp.predict", "schema_version": SCHEMA_VERSION}
        rows = list(answers.rows(columns))
        print_json(head | {"command": "predict", "model": str(path), "rows": rows}, state)
    else:
        _write(_encoded(kind, answers, columns), output)
    return int(ExitCode.OK)


def _with_probabilities(answers: Predictions, path: Path) -> dict[str, Any]:
    if answers.probabilities is None:
        raise ConfigError(f"--probabilities: {path} makes no probabilities")
    return answers.with_probabilities()


def _format(kind: str | None, output: str, *, as_json: bool) -> str:
    if as_json and (kind is not None or output != "-"):
        raise ConfigError("--json prints one object; leave --format and --output out")
    if kind is None and output != "-":
        suffix = Path(output).suffix.lstrip(".").lower()
        if suffix not in FORMATS:
            raise ConfigError(f"--output {output}: {unknown('format', suffix, list(FORMATS))}")
        return suffix
    return kind or "csv"


def _kept(samples: Any, keep: str) -> dict[str, Any]:
    from fastmlp.data.table import Table

    names = [name.strip() for name in keep.split(",") if name.strip()]
    if names and not isinstance(samples, Table):
        raise ConfigError("--keep: the samples are no table, their columns have no names")
    for name in names:
        if name not in samples.columns:
            raise ConfigError(f"--keep: {unknown('column', name, list(samples.columns))}")
    return {name: samples.columns[name] for name in names}


def _encoded(kind: str, answers: Predictions, columns: dict[str, Any]) -> bytes:
    if kind == "parquet":
        from fastmlp.extras import require

        buffer = io.BytesIO()
        require("data", "polars").DataFrame(
            {name: values.tolist() for name, values in columns.items()}
        ).write_parquet(buffer)
        return buffer.getvalue()
    text = io.StringIO()
    rows = answers.rows(columns)
    if kind == "json":
        json.dump(list(rows), text, allow_nan=False)
        text.write("\n")
    elif kind == "jsonl":
        text.writelines(json.dumps(row, allow_nan=False) + "\n" for row in rows)
    else:
        writer = csv.DictWriter(
            text, list(columns), delimiter="\t" if kind == "tsv" else ",", lineterminator="\n"
        )
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue().encode()


def _write(content: bytes, output: str) -> None:
    if output == "-":
        stream = click.get_binary_stream("stdout")
        stream.write(content)
        stream.flush()
        return
    from fastmlp._files import atomic_write

    atomic_write(output, content)
