"""The command `fastmlp look`: show what a source holds before a network is trained on it."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import click

from fastmlp._system import quoted
from fastmlp.cli.completion import complete_source
from fastmlp.cli.errors import ExitCode
from fastmlp.cli.options import State, common_options, offline_option, quiet_option, state_of
from fastmlp.cli.printing import document_head, print_json, print_pairs, print_section, print_table
from fastmlp.cli.settings import DataSettingsCommand, resolve_settings, take_settings
from fastmlp.cli.sources import data_errors, require_source

if TYPE_CHECKING:
    from fastmlp.data import RawData
    from fastmlp.data.profile import ColumnProfile, Profile
    from fastmlp.experiment.schema import Config

__all__ = ["look"]

EXAMPLES = """\
fastmlp look houses.csv
fastmlp look houses.csv --target price --date "sold=%d/%m/%Y"
fastmlp look sales.parquet --json"""
HEADER = ("column", "kind", "values", "missing", "distinct", "use")


@click.command(cls=DataSettingsCommand, examples=EXAMPLES)
@click.argument("dataset", metavar="DATASET", required=False, shell_complete=complete_source)
@offline_option
@quiet_option()
@common_options()
@click.pass_context
def look(ctx: click.Context, /, *, quiet: bool, **options: Any) -> int:
    """Show what a table holds, what looks suspicious, and the command that trains on it.

    DATASET is a source as for `fastmlp train`. Nothing is trained or written. Options say how the
    file is read; those that are right are part of the command that is shown.
    """
    given = take_settings(ctx, options)
    config = resolve_settings(given)
    require_source(str(config.data.source))
    from fastmlp.data import Table, read
    from fastmlp.data.profile import profile_table
    from fastmlp.data.targets import refuse_column_options
    from fastmlp.experiment import build

    with data_errors(str(config.data.source)):
        raw = read(
            str(config.data.source), data_dir=config.data.data_dir,
            reading=build.reading(config.data, "'fastmlp look'"),
        )  # fmt: skip
        if isinstance(raw.train.x, Table):
            profile = profile_table(raw.train.x, build.data_options(config.data))
        else:
            profile = None
            refuse_column_options(build.data_options(config.data), raw.name)
    # Errors of the output are none of the data.
    if profile is not None:
        _print_profile(profile, config, state_of(ctx))
    else:
        _print_arrays(raw, config, state_of(ctx))
    return int(ExitCode.OK)


# ---------------------------------------------------------------- tables


def _print_profile(profile: Profile, config: Config, state: State) -> None:
    command = None if profile.obstacles else _command(config, profile)
    if state.json:
        ready = command if not profile.choices else None
        content = dataclasses.asdict(profile) | {"train": ready}
        print_json(state, document_head("look") | content)
        return
    click.echo(f"{profile.origin}: {profile.rows:,} rows, {len(profile.columns)} columns")
    for note in profile.notes:
        click.echo(note)
    click.echo()
    rows = [_row(column) for column in profile.columns]
    print_table(HEADER, rows, ("missing", "distinct"), state, least=("distinct",))
    if profile.suspicions:
        marks = ["!" if text in profile.obstacles else "-" for text in profile.suspicions]
        print_section("look at", list(zip(marks, profile.suspicions, strict=True)))
    if command is None:
        print_section("train", [("not before what is marked with ! is settled", "")])
    else:
        title = "train, with one option from each pair of braces" if profile.choices else "train"
        print_section(title, [(command, "")])


def _row(column: ColumnProfile) -> list[str]:
    use = column.use if not column.detail else f"{column.use}: {column.detail}"
    if column.use == "unclear":
        use = "unclear, see below"
    missing = f"{column.missing:,}" if column.missing else ""
    return [column.name, column.kind, column.values, missing, f"{column.distinct:,}", use]


def _command(config: Config, profile: Profile) -> str:
    """Return the command that trains on the source, with all options that it needs.

    Options of which one is to be chosen are in braces.
    """
    from fastmlp.experiment.settings import resolve

    data = config.data
    usual = resolve(data.source, []).data
    source = str(data.source)
    parts = ["fastmlp", "train", quoted(source)]
    target = data.target or profile.targets
    parts += ["--target", quoted(",".join(target) or str(profile.guess))]
    flags = {
        name: str((field.json_schema_extra or {})["flag"])
        for name, field in type(data).model_fields.items()
        if isinstance(field.json_schema_extra, dict) and "flag" in field.json_schema_extra
    }
    for name, value in data.model_dump().items():
        if name in ("source", "target") or value == getattr(usual, name):
            continue
        if isinstance(value, bool):
            parts.append(flags[name] if value else re.sub("^--", "--no-", flags[name]))
        else:
            text = ",".join(value) if isinstance(value, (list, tuple)) else str(value)
            parts += [flags[name], quoted(text)]
    parts += ["{" + " | ".join(choice) + "}" for choice in profile.choices]
    return " ".join(parts)


# ---------------------------------------------------------------- arrays


def _print_arrays(raw: RawData, config: Config, state: State) -> None:
    import numpy as np

    x, y = np.asarray(raw.train.x), raw.train.y
    command = f"fastmlp train {quoted(str(config.data.source))}"
    facts: dict[str, Any] = {
        "samples": len(x),
        "features": x.shape[1],
        "dtype": str(x.dtype),
        "lowest": float(x.min()),
        "highest": float(x.max()),
        "image_shape": raw.image_shape,
        "task": raw.task,
        "class_names": raw.class_names,
        "targets": None if y is None else f"{y.dtype} {y.shape}",
        "test_samples": None if raw.test is None else len(raw.test.x),
    }
    if state.json:
        head = document_head("look") | {"origin": raw.name}
        print_json(state, head | facts | {"train": command})
        return
    shown = {key.replace("_", " "): value for key, value in facts.items() if value is not None}
    print_pairs([("source", raw.name), *((key, _text(value)) for key, value in shown.items())])
    print_section("train", [(command, "")])


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return f"{value:,}" if isinstance(value, int) else str(value)
