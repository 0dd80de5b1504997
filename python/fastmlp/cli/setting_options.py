"""Options of commands from the settings of a run: each setting with a flag becomes an option.

Values stay text here; the settings themselves say what is wrong with them.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import click
from pydantic import BaseModel

from fastmlp.cli.errors import ConfigError
from fastmlp.cli.options import CommandBase
from fastmlp.experiment.schema import Config

__all__ = [
    "SettingsCommand",
    "flags",
    "given_settings",
    "setting_options",
    "settings_file_options",
    "speaking_of_flags",
]

F = TypeVar("F", bound=Callable[..., Any])
SECTIONS = ("data", "network", "optimizer", "schedule", "training")


def _sections() -> dict[str, type[BaseModel]]:
    return {name: type(getattr(Config(), name)) for name in SECTIONS}


def flags() -> dict[str, str]:
    """Flag of each setting that has one, by `section.name`."""
    return {
        f"{section}.{name}": extra["flag"]
        for section, kind in _sections().items()
        for name, field in kind.model_fields.items()
        if isinstance(extra := field.json_schema_extra, dict) and isinstance(extra["flag"], str)
    }


def setting_options(sections: Iterable[str] = SECTIONS) -> Callable[[F], F]:
    """Add an option for each setting of the sections that has a flag."""
    wanted = tuple(sections)

    def decorate(function: F) -> F:
        for section in reversed(wanted):
            for name, field in reversed(_sections()[section].model_fields.items()):
                extra = field.json_schema_extra
                if isinstance(extra, dict) and "flag" in extra:
                    function = _option(section, name, field, extra)(function)
        return function

    return decorate


def settings_file_options(function: F) -> F:
    """Add --config and --set."""
    function = click.option(
        "-s", "--set", "assignments", multiple=True, metavar="SECTION.NAME=VALUE",
        envvar="FASTMLP_SET",
        help="Any setting of 'fastmlp config show', the value as TOML or text; may be repeated.",
    )(function)  # fmt: skip
    return click.option(
        "--config", "config_file", type=click.Path(), default=None, metavar="FILE",
        envvar="FASTMLP_CONFIG",
        help="Settings from a TOML file; ./fastmlp.toml and the user's file are not looked at "
        "then.",
    )(function)  # fmt: skip


def _option(section: str, name: str, field: Any, extra: Mapping[str, Any]) -> Callable[[F], F]:
    flag = str(extra["flag"])
    switch = bool in (field.annotation, *typing.get_args(field.annotation))
    keywords: dict[str, Any] = {
        "default": None,
        "envvar": f"FASTMLP_{flag.strip('-').replace('-', '_').upper()}",
        "help": _help(field),
        "cls": SettingOption,
    }
    if switch:
        keywords["is_flag"] = True
        declaration = f"{flag}/--no-{flag.strip('-')}"
    else:
        declaration = flag
        keywords["metavar"] = extra.get("metavar", "VALUE")
        keywords["shell_complete"] = _completion(field.annotation)
        if section == "optimizer" or name in ("epochs", "batch_size", "hidden"):
            keywords["help"] += "  [default: by the data]" if field.default is None else ""
    return click.option(declaration, f"{section}__{name}", **keywords)


def _completion(annotation: Any) -> Callable[..., list[str]]:
    """Offer the values of a setting that has few."""
    kinds = (annotation, *typing.get_args(annotation))
    literals = [kind for kind in kinds if typing.get_origin(kind) is Literal]
    values = [value for kind in literals for value in typing.get_args(kind)]

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def _help(field: Any) -> str:
    default = field.default
    text = " ".join(str(field.description).split())
    shown = default not in (None, (), "auto") and not isinstance(default, bool)
    return f"{text}  [default: {default}]" if shown else text


class SettingOption(click.Option):
    """An option that stands for a setting."""


class SettingsCommand(CommandBase):
    """A command whose help shows the options of settings by section."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the command's own options first, then those of each section."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None or isinstance(parameter, click.Argument):
                continue
            title = "Options"
            if isinstance(parameter, SettingOption) and parameter.name:
                title = parameter.name.partition("__")[0].capitalize()
            groups.setdefault(title, []).append(record)
        for title in ("Options", *(name.capitalize() for name in SECTIONS)):
            if title in groups:
                with formatter.section(title):
                    formatter.write_dl(groups[title])


def given_settings(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the settings out of a command's options: those that were given, by section."""
    given: dict[str, dict[str, Any]] = {}
    for key in [key for key in options if "__" in key]:
        section, _, name = key.partition("__")
        value = options.pop(key)
        if value is not None:
            given.setdefault(section, {})[name] = value
    return given


def speaking_of_flags(error: ValueError, given: Mapping[str, Mapping[str, Any]]) -> ConfigError:
    """The same error in the terms of the command line, where a flag was the cause."""
    text = str(error)
    key = text.partition(":")[0]
    section, _, name = key.partition(".")
    if name in given.get(section, {}) and key in flags():
        text = f"{flags()[key]}{text.removeprefix(key)}"
    return ConfigError(text)
