"""The command `fastmlp config`: create, show and check settings files; print their schema."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

import fastmlp
from fastmlp._files import atomic_write, read_regular_file
from fastmlp.cli.completion import complete_source
from fastmlp.cli.errors import ConfigError, ExitCode, use_color
from fastmlp.cli.options import CommandBase, GroupBase, State, common_options, state_of
from fastmlp.cli.printing import document_head, print_json
from fastmlp.cli.settings import (
    Setting,
    SettingsCommand,
    require_name_or_path,
    settings_of,
    take_settings,
    toml_line,
    toml_value,
    user_layers,
)

if TYPE_CHECKING:
    from fastmlp.experiment.schema import Config

__all__ = ["config", "json_schema", "problems_of", "template"]

# Lines longer than this are ignored when the column of origins is aligned.
ALIGNED_WIDTH = 44
SCHEMA_FILE = "fastmlp.schema.json"
COMMENT_WIDTH = 88
MAX_BYTES = 1 << 20
EXAMPLES = """\
fastmlp config init mnist
fastmlp config show mnist
fastmlp config validate fastmlp.toml
fastmlp config schema > fastmlp.schema.json"""

Values = Mapping[str, Any]


@click.group(cls=GroupBase, examples=EXAMPLES)
def config() -> None:
    """Create, show and check settings files.

    A training takes each setting from the first of these places that has it: --set, a flag, the
    variable of the flag (FASTMLP_EPOCHS for --epochs), FASTMLP_SET, the file of --config (or
    ./fastmlp.toml, then the user's file), the recipe of the data, and the default.
    """


@config.command(
    cls=CommandBase, examples="fastmlp config init mnist\nfastmlp config init data.csv -o csv.toml"
)
@click.argument("dataset", required=False, metavar="[DATASET]", shell_complete=complete_source)
@click.option(
    "-o", "--output", type=click.Path(), default="fastmlp.toml", show_default=True,
    metavar="FILE", help="File to write.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@common_options()
@click.pass_context
def init(ctx: click.Context, /, dataset: str | None, output: str, overwrite: bool) -> None:
    """Write a file with all settings and their descriptions.

    With DATASET, a source as for `fastmlp train`, the file holds the settings of a training on that
    data. Without DATASET every
    setting is a comment, so that each data set keeps its recipe. In both cases trainings are
    unchanged until the file is edited.
    """
    from fastmlp.datasets.registry import REGISTRY

    if os.path.lexists(output) and not overwrite:
        raise ConfigError(f"{output} exists; name another with -o, or replace it with --overwrite")
    if dataset is not None:
        require_name_or_path(dataset)
    text = template(dataset)
    try:
        atomic_write(output, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    state = state_of(ctx)
    if state.json:
        print_json(state, document_head("config init") | {"path": output, "dataset": dataset})
    else:
        click.echo(output)
    if dataset in REGISTRY:
        state.suggest("train", "--config", output)
    else:  # a table may need its target first
        state.suggest("config", "validate", output)


@config.command(
    cls=SettingsCommand,
    examples="fastmlp config show mnist\nfastmlp config show mnist --epochs 3\n"
    "fastmlp config show --config runs/001-mnist/config.toml",
)
@click.argument("dataset", required=False, metavar="[DATASET]", shell_complete=complete_source)
@common_options()
@click.pass_context
def show(ctx: click.Context, /, **options: Any) -> None:
    """Show all settings of a training and the origin of each.

    The arguments are those of 'fastmlp train'. The output is a valid settings file; settings
    without a value are comments.
    """
    rows = list(settings_of(take_settings(ctx, options)))
    state = state_of(ctx)
    if not state.json:
        _print_settings(rows, state)
        return
    settings: dict[str, dict[str, Any]] = {}
    for row in rows:
        content = {"value": row.value, "from": row.origin.kind, "place": row.origin.place}
        settings.setdefault(row.section, {})[row.name] = content
    source = settings["data"]["source"]["value"]
    print_json(state, document_head("config show") | {"dataset": source, "settings": settings})


def _print_settings(rows: Sequence[Setting], state: State) -> None:
    def styled(text: str, **style: Any) -> str:
        return click.style(text, **style) if color else text

    color = use_color(sys.stdout, no_color=state.no_color)
    lines = [f"# {s.name}" if s.value is None else toml_line(s.name, s.value) for s in rows]
    width = max(len(line) for line in lines if len(line) <= ALIGNED_WIDTH)
    section = ""
    for row, line in zip(rows, lines, strict=True):
        if row.section != section:
            gap = "\n" if section else ""
            click.echo(gap + styled(f"[{row.section}]", bold=True), color=color)
            section = row.section
        is_told = row.value is not None or row.origin.kind == "architecture"
        note = styled(f"  # {row.origin.place}", fg="bright_black") if is_told else ""
        click.echo(f"{line:<{width}}{note}".rstrip(), color=color)


@config.command(
    cls=CommandBase, examples="fastmlp config validate fastmlp.toml runs/001-mnist/config.toml"
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@common_options()
@click.pass_context
def validate(ctx: click.Context, /, files: tuple[str, ...]) -> int:
    """Check settings files and print every problem.

    Each problem is one line. The exit code is 2 if there is a problem.
    """
    problems = {file: problems_of(file) for file in files}
    wrong = any(problems.values())
    code = ExitCode.USAGE if wrong else ExitCode.OK
    state = state_of(ctx)
    if state.json:
        rows = [{"file": file, "problems": found} for file, found in problems.items()]
        content = {"status": "error" if wrong else "ok", "exit_code": int(code), "files": rows}
        print_json(state, document_head("config validate") | content)
        return int(code)
    for file, found in problems.items():
        for line in found or [f"{file}: ok"]:
            click.echo(line)
    return int(code)


@config.command(cls=CommandBase, examples="fastmlp config schema > fastmlp.schema.json")
def schema() -> None:
    """Print the JSON Schema of settings files, for editors."""
    click.echo(json.dumps(json_schema(), indent=2))


# ---------------------------------------------------------------- settings file of init


def template(source: str | None) -> str:
    """Return the text of a settings file that leaves trainings unchanged.

    Parameters
    ----------
    source : str or None
        Data whose settings are filled in; if None, all settings are comments.

    Raises
    ------
    ConfigError
        The user's settings file is invalid.
    """
    import tomlkit

    from fastmlp.experiment.schema import Config
    from fastmlp.experiment.settings import resolve

    try:
        filled = resolve(source, [layer.values for layer in user_layers()]) if source else None
    except ValueError as error:
        raise ConfigError(str(error)) from error
    values = (filled or Config()).model_dump(mode="json")
    document = tomlkit.document()
    document.add("schema_version", toml_value(values["schema_version"]))
    for section, kind in _sections(Config).items():
        table = tomlkit.table()
        for text in _wrapped(kind.__doc__):
            table.add(tomlkit.comment(text))
        for name, field in kind.model_fields.items():
            table.add(tomlkit.nl())
            for text in _wrapped(field.description):
                table.add(tomlkit.comment(text))
            value = values[section][name]
            if value is None:
                table.add(tomlkit.comment(f"{name} = ..."))
            elif filled is None:
                table.add(tomlkit.comment(toml_line(name, value)))
            else:
                table.add(name, toml_value(value))
        document.add(section, table)
    return _head(source) + tomlkit.dumps(document)


def _head(source: str | None) -> str:
    title = f"Settings of a training on {source}" if source else "Settings of trainings"
    lines = (
        f"#:schema ./{SCHEMA_FILE}",
        f"# {' '.join(title.split())}; flags and FASTMLP_* variables override them.",
        f"# Schema for completion and checks in editors: fastmlp config schema > {SCHEMA_FILE}",
    )
    return "".join(f"{line}\n" for line in lines)


def _sections(kind: Any) -> dict[str, Any]:
    """Return the pydantic models of the sections by name."""
    kinds = {name: field.annotation for name, field in kind.model_fields.items()}
    return {name: each for name, each in kinds.items() if hasattr(each, "model_fields")}


def _wrapped(text: str | None) -> list[str]:
    return textwrap.wrap(" ".join((text or "").split()), COMMENT_WIDTH)


# ---------------------------------------------------------------- validation


def problems_of(file: str) -> list[str]:
    """Return one line for each problem of a settings file; the lines begin with its name."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    from fastmlp.experiment.settings import read_settings

    try:
        return _contradictions(read_settings(file), file)
    except OSError as error:
        return [f"{file}: {error.strerror or error}"]
    except ValueError as error:
        first = str(error)
    try:
        values = tomlkit.parse(read_regular_file(file, MAX_BYTES).decode()).unwrap()
    except (OSError, ValueError, TOMLKitError, RecursionError):
        return [first]
    return _faults(values, file) or [first]


def _faults(values: Values, file: str) -> list[str]:
    """Return the problems of single settings, with the same messages as in a training."""
    from pydantic import ValidationError

    from fastmlp.experiment.schema import Config

    try:
        Config.model_validate(values)
    except ValidationError as error:
        places = dict.fromkeys(found["loc"][:2] for found in error.errors(include_url=False))
    else:
        return []
    lines = []
    for section, *rest in places:
        content = values[str(section)]
        alone = {key: content[key] for key in map(str, rest)} if rest else content
        try:
            Config.checked({str(section): alone}, file)
        except ValueError as error:
            lines.append(str(error))
    return lines


def _contradictions(values: Values, file: str) -> list[str]:
    """Return the contradictions between settings that are valid one by one."""
    from fastmlp.experiment import build
    from fastmlp.experiment.architectures import embedding_of
    from fastmlp.experiment.schema import Config, OptimizerSection, ScheduleSection
    from fastmlp.experiment.settings import resolve

    known = "source" in values.get("data", {})
    settings = resolve(None, [values]) if known else Config.checked(values)
    checks: dict[str, Callable[[], object]] = {"network": lambda: _build_network(settings)}
    # Without a data source, a recipe may supply the name that the file omits.
    if known or "name" in values.get("optimizer", {}):
        alone = settings.model_copy(update={"schedule": ScheduleSection()})
        checks["optimizer"] = lambda: build.optimizer(alone)
    if known or "name" in values.get("schedule", {}):
        plain = settings.model_copy(update={"optimizer": OptimizerSection()})
        checks["schedule"] = lambda: build.optimizer(plain)
    checks["network.embedding"] = lambda: embedding_of(settings)
    checks["training.averaging"] = lambda: build.averaging(settings)
    lines = []
    for place, check in checks.items():
        try:
            check()
        except (TypeError, ValueError) as error:
            lines.append(f"{file}: {place}: {error}")
    return lines


def _build_network(settings: Config) -> None:
    """Build a model with these settings and layers of one unit, so that it checks its arguments."""
    from fastmlp.experiment.build import OF_ARCHITECTURES
    from fastmlp.network.architecture import architecture_from_config

    given = settings.network.model_dump(exclude={"hidden", *OF_ARCHITECTURES}, exclude_none=True)
    arguments = architecture_from_config(given)
    hidden = settings.network.hidden
    if hidden is None:
        # The recipe will set the layers; here lists need one entry per layer.
        counts = [len(each) for each in arguments.values() if isinstance(each, (list, tuple))]
        hidden = (1,) * next(iter(counts), 1)
    fastmlp.MLP([1, *(1 for _ in hidden), 2], **arguments)


# ---------------------------------------------------------------- the schema for editors

_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
_BY_NAME = ("$defs", "properties")
_FOR_FLAGS = ("flag", "metavar")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of settings files."""
    from fastmlp.experiment.schema import Config

    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of fastmlp",
    }
    return head | {k: v for k, v in _for_toml(Config.model_json_schema()).items() if k not in head}


def _for_toml(node: Any) -> Any:
    """Return a schema without null, which TOML lacks, and with the standard names of bounds."""
    if isinstance(node, list):
        return [_for_toml(item) for item in node]
    if not isinstance(node, dict):
        return node
    result: dict[str, Any] = {}
    for key, value in node.items():
        if key in _BY_NAME:
            result[key] = {name: _for_toml(item) for name, item in value.items()}
        elif key == "anyOf":
            kinds = [_for_toml(kind) for kind in value if kind != {"type": "null"}]
            result |= {"anyOf": kinds} if len(kinds) > 1 else kinds[0]
        elif key == "default":
            # The defaults of a section are given at its settings.
            result |= {} if value is None or isinstance(value, dict) else {key: value}
        elif key not in _FOR_FLAGS:
            standard = str(_BOUNDS.get(key, key))
            result[standard] = _for_toml(value)
    return result
