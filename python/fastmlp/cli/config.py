"""`fastmlp config`: files of settings, made, shown and checked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from fastmlp.cli.errors import ConfigError, ExitCode
from fastmlp.cli.options import CommandBase, GroupBase, State, common_options, state_of
from fastmlp.cli.sources import complete_source

if TYPE_CHECKING:
    from fastmlp.cli.setting_sources import Setting

__all__ = ["config"]

# Values longer than this do not push the origins of all others to the right.
ALIGNED_WIDTH = 44
EXAMPLES = """\
fastmlp config init mnist
fastmlp config show mnist
fastmlp config validate fastmlp.toml
fastmlp config schema > fastmlp.schema.json"""


@click.group(cls=GroupBase, examples=EXAMPLES)
def config() -> None:
    """Make, show and check files of settings.

    Settings come, the strongest first, from flags, FASTMLP_* variables, the file of --config or
    ./fastmlp.toml, the user's file, the recipe of the data, and defaults.
    """


def _print_json(state: State, command: str, content: dict[str, Any]) -> None:
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    head = {"schema": f"fastmlp.config.{command}", "schema_version": SCHEMA_VERSION}
    print_json(head | {"command": f"config {command}"} | content, state)


@config.command(
    cls=CommandBase, examples="fastmlp config init mnist\nfastmlp config init data.csv -o csv.toml"
)
@click.argument("dataset", required=False, metavar="[DATASET]", shell_complete=complete_source)
@click.option(
    "-o", "--output", type=click.Path(), default="fastmlp.toml", show_default=True,
    metavar="FILE", help="File to write.",
)  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Allow to replace an existing file.")
@common_options()
@click.pass_context
def init(ctx: click.Context, /, dataset: str | None, output: str, overwrite: bool) -> None:
    """Write a file with all settings and what they mean.

    With DATASET it holds what a training on that data would use; without, every line is a comment,
    so that each data set keeps its recipe. Either way nothing changes until the file is edited.
    """
    from fastmlp._files import atomic_write
    from fastmlp.cli.setting_files import template
    from fastmlp.cli.setting_sources import checked_source

    if os.path.lexists(output) and not overwrite:
        raise ConfigError(f"{output} exists; name another with -o, or replace it with --overwrite")
    text = template(checked_source(dataset))
    try:
        atomic_write(output, text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {output}: {error.strerror or error}") from error
    state = state_of(ctx)
    if state.json:
        _print_json(state, "init", {"path": output, "dataset": dataset})
    else:
        click.echo(output)


@config.command(
    cls=CommandBase,
    examples="fastmlp config show mnist\nfastmlp config show --config runs/001-mnist/config.toml",
)
@click.argument("dataset", required=False, metavar="[DATASET]", shell_complete=complete_source)
@click.option(
    "--config", "config_file", type=click.Path(), envvar="FASTMLP_CONFIG", metavar="FILE",
    help="Settings from a TOML file; ./fastmlp.toml and the user's file are not looked at then.",
)  # fmt: skip
@common_options()
@click.pass_context
def show(ctx: click.Context, /, dataset: str | None, config_file: str | None) -> None:
    """Show all settings of a training and where each comes from.

    What is printed is a settings file, in which a setting without a value is a comment.
    """
    from fastmlp.cli.setting_sources import checked_source, layers_of, settings_of

    rows = list(settings_of(layers_of(checked_source(dataset), config_file)))
    state = state_of(ctx)
    if not state.json:
        _print_settings(rows, state)
        return
    settings: dict[str, dict[str, Any]] = {}
    for row in rows:
        content = {"value": row.value, "from": row.kind, "place": row.place}
        settings.setdefault(row.section, {})[row.name] = content
    source = settings["data"]["source"]["value"]
    _print_json(state, "show", {"dataset": source, "settings": settings})


def _print_settings(rows: Sequence[Setting], state: State) -> None:
    import sys

    from fastmlp.cli.errors import use_color
    from fastmlp.cli.setting_files import toml_line

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
        note = "" if row.value is None else styled(f"  # {row.place}", fg="bright_black")
        click.echo(f"{line:<{width}}{note}".rstrip(), color=color)


@config.command(
    cls=CommandBase, examples="fastmlp config validate fastmlp.toml runs/001-mnist/config.toml"
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path())
@common_options()
@click.pass_context
def validate(ctx: click.Context, /, files: tuple[str, ...]) -> int:
    """Check files of settings; name every problem.

    A line for each, and code 2 if there is one.
    """
    from fastmlp.cli.setting_files import problems_of

    problems = {file: problems_of(file) for file in files}
    wrong = any(problems.values())
    code = ExitCode.USAGE if wrong else ExitCode.OK
    state = state_of(ctx)
    if state.json:
        rows = [{"file": file, "problems": found} for file, found in problems.items()]
        content = {"status": "error" if wrong else "ok", "exit_code": int(code), "files": rows}
        _print_json(state, "validate", content)
        return int(code)
    for file, found in problems.items():
        for line in found or [f"{file}: ok"]:
            click.echo(line)
    return int(code)


@config.command(cls=CommandBase, examples="fastmlp config schema > fastmlp.schema.json")
def schema() -> None:
    """Print the JSON Schema of settings files, for editors."""
    import json

    from fastmlp.cli.setting_files import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
