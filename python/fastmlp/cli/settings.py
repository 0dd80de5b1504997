"""Settings of a training: their command-line options, and the precedence of their sources.

`layers_of` defines the precedence for all commands, from the lowest to the highest:

1. the recipe of the data,
2. the user's file, then ./fastmlp.toml; or the file of --config in place of both,
3. FASTMLP_SET, assignments separated by blanks,
4. options: a flag, or else its variable, FASTMLP_EPOCHS for --epochs,
5. --set,
6. DATASET, which names the data.

Values remain text here; `fastmlp.experiment.schema` converts and checks them.
"""

from __future__ import annotations

import os
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click
from click.core import ParameterSource

from fastmlp.cli.completion import (
    Completion,
    complete_columns,
    complete_file,
    complete_metric,
    completes,
)
from fastmlp.cli.errors import ConfigError
from fastmlp.cli.options import CommandBase
from fastmlp.cli.sources import canonical_name
from fastmlp.cli.variables import variable_of

if TYPE_CHECKING:
    from fastmlp.experiment.schema import Config

__all__ = [
    "DataSettingsCommand",
    "Given",
    "Layer",
    "Origin",
    "Setting",
    "SettingsCommand",
    "given_keys",
    "layers_of",
    "require_name_or_path",
    "resolve_settings",
    "settings_of",
    "take_settings",
    "toml_line",
    "toml_value",
    "user_layers",
    "variable_assignments",
    "words_of",
    "with_options",
]

SECTIONS = ("data", "network", "optimizer", "schedule", "training")

# Settings that the short help of a command shows, and options of commands that it leaves out.
COMMON = {
    "--target", "--exclude", "--validation-fraction", "--architecture", "--hidden", "--optimizer",
    "--lr", "--epochs", "--batch-size", "--patience", "--seed", "--threads",
}  # fmt: skip
RARE = {
    "--debug", "--dry-run", "--no-color", "--offline", "--overwrite", "--report", "--set",
    "--verbose",
}  # fmt: skip
COLUMNS = {
    "data.target", "data.features", "data.exclude", "data.categorical", "data.numeric", "data.date",
    "data.id", "data.sample_weight", "data.index_column", "data.group",
}  # fmt: skip
FILES = {"data.test", "data.data_dir", "training.init"}
_EXAMPLES = 5
_ALL = "fastmlp.help_all"

Values = Mapping[str, Any]


# ---------------------------------------------------------------- options


class SettingOption(click.Option):
    """An option that stands for a setting."""


class SettingsCommand(CommandBase):
    """A command with an option for each setting that has a flag, and with --config and --set.

    Its help shows the most used options; --help-all shows all, grouped by section. They are created
    when first needed, because loading the schema of the settings is slow.
    """

    sections: tuple[str, ...] = SECTIONS
    _has_settings = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return all parameters, including the options of settings."""
        if not self._has_settings:
            self._has_settings = True
            self.params += [config_option(), _set_option(), *_setting_options(self.sections)]
            self.params.append(_help_all_option())
        return super().get_params(ctx)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a page that fits a screen, or with --help-all everything."""
        if ctx.meta.get(_ALL):
            super().format_help(ctx, formatter)
            return
        formatter.write_text(" ".join((self.help or "").partition("\n\n")[0].split()))
        with formatter.section("Examples"):
            for line in self.examples.strip().splitlines()[:_EXAMPLES]:
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")
        formatter.write_paragraph()
        self.format_usage(ctx, formatter)
        records = [
            (names, _in_short(text))
            for parameter in self.get_params(ctx)
            if _is_common(parameter) and (record := parameter.get_help_record(ctx)) is not None
            for names, text in [record]
        ]
        with formatter.section("Options"):
            formatter.write_dl(records)
        formatter.write_paragraph()
        count = sum(isinstance(parameter, click.Option) for parameter in self.get_params(ctx))
        formatter.write_text(f"All {count} options: {ctx.command_path} --help-all")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options first, then those of each section."""
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


def _help_all_option() -> click.Option:
    def show(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            ctx.meta[_ALL] = True
            click.echo(ctx.get_help(), color=ctx.color)
            ctx.exit()

    return click.Option(
        ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=show,
        allow_from_autoenv=False, help="Show all options and exit.",
    )  # fmt: skip


def _is_common(parameter: click.Parameter) -> bool:
    """Whether the short help shows an option: a common setting, or one of the command's own."""
    if isinstance(parameter, SettingOption):
        return parameter.opts[0] in COMMON
    if isinstance(parameter, click.Argument):
        return False
    return not RARE.intersection(parameter.opts)


def _in_short(text: str) -> str:
    """Return the first sentence of a help text, or the first part of one."""
    first = re.split(r"; |\. |\.? \[", text)[0].rstrip(".")
    return re.sub(r"^([^,]{20,}), .*", r"\1", first)


class DataSettingsCommand(SettingsCommand):
    """A command with the options of the data alone."""

    sections = ("data",)


def config_option() -> click.Option:
    """Return the option --config."""
    return click.Option(
        ["--config", "config_file"], type=click.Path(), metavar="FILE", envvar="FASTMLP_CONFIG",
        help="Settings from a TOML file, in place of ./fastmlp.toml and the user's file.",
    )  # fmt: skip


def _set_option() -> click.Option:
    return click.Option(
        ["-s", "--set", "assignments"], multiple=True, metavar="SECTION.NAME=VALUE",
        allow_from_autoenv=False,  # flags override FASTMLP_SET
        help="Set any setting of 'fastmlp config show' to a value, written as TOML or text; may be "
        "repeated. Overrides all flags.",
    )  # fmt: skip


def _setting_options(sections: Sequence[str]) -> Iterator[SettingOption]:
    from fastmlp.experiment.schema import Config

    for section in sections:
        for name, field in type(getattr(Config(), section)).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and "flag" in extra:
                yield _setting_option(section, name, field, extra)


def _setting_option(section: str, name: str, field: Any, extra: Values) -> SettingOption:
    flag = str(extra["flag"])
    text = " ".join(str(field.description).split())
    keywords: dict[str, Any] = {
        "default": None,
        "envvar": variable_of(flag),
        "help": text + _shown_default(section, name, field.default),
    }
    declaration = flag
    if bool in (field.annotation, *typing.get_args(field.annotation)):
        keywords["is_flag"] = True
        declaration = f"{flag}/--no-{flag.strip('-')}"
    else:
        keywords["metavar"] = extra.get("metavar", "VALUE")
        keywords["shell_complete"] = _completion(f"{section}.{name}", field.annotation)
    return SettingOption([declaration, f"{section}__{name}"], **keywords)


def _shown_default(section: str, name: str, default: Any) -> str:
    from fastmlp.experiment.settings import IMAGES, RECIPES, TABLES, recipe_of

    recipes = (recipe_of("table.csv", []), TABLES, IMAGES, *RECIPES.values())
    first, *others = (recipe.get(section, {}).get(name, default) for recipe in recipes)
    if any(other != first for other in others):
        return "  [default: depends on the data]"
    default = first
    if default in (None, (), "auto") or isinstance(default, bool):
        return ""
    return f"  [default: {default}]"


def _completion(key: str, annotation: Any) -> Completion:
    """Return what completes the values of a setting."""
    if key == "training.monitor":
        return complete_metric
    if key in COLUMNS:
        return complete_columns
    if key in FILES:
        return complete_file
    kinds = (annotation, *typing.get_args(annotation))
    literals = [kind for kind in kinds if typing.get_origin(kind) is Literal]
    values = [value for kind in literals for value in typing.get_args(kind)]
    names: Completion = completes(values or partial(_names_of, key), several=not values)
    return names


def _names_of(key: str) -> Iterable[str]:
    from fastmlp.activations import ACTIVATIONS
    from fastmlp.initializers import INITIALIZERS
    from fastmlp.losses import LOSSES
    from fastmlp.optimizers import OPTIMIZERS

    return {
        "network.activation": ACTIVATIONS,
        "network.output_activation": ACTIVATIONS,
        "network.loss": LOSSES,
        "network.initializer": INITIALIZERS,
        "network.embedding": ("none", "periodic", "piecewise_linear"),
        "optimizer.name": (*OPTIMIZERS, "lbfgs"),
        "training.averaging": ("ema", "swa"),
    }.get(key, ())


# ---------------------------------------------------------------- arguments


class Origin(NamedTuple):
    """The source of the value of a setting.

    `kind` is "default", "recipe", "user file", "file", "variable" or "argument"; `place` is the
    name of the file, variable or flag. A setting without a value, which the architecture sets once
    the data is known, has the kind "architecture"; `place` tells the values.
    """

    kind: str
    place: str


class Layer(NamedTuple):
    """Settings by section, with the origin of each by ``section.name``."""

    values: Values
    origins: Mapping[str, Origin]

    @classmethod
    def of(cls, values: Values, kind: str, place: str) -> Layer:
        """Return a layer whose settings all have the same origin."""
        keys = (
            f"{section}.{name}"
            for section, content in values.items()
            if isinstance(content, Mapping)
            for name in content
        )
        return cls(values, dict.fromkeys(keys, Origin(kind, place)))


class Given(NamedTuple):
    """The settings given by a command line and by the variables of its options."""

    dataset: str | None = None
    config_file: str | None = None
    assignments: tuple[str, ...] = ()
    options: Layer = Layer({}, {})

    def __bool__(self) -> bool:
        return any((self.dataset, self.config_file, self.assignments, self.options.values))


def variable_assignments() -> list[str]:
    """Return the assignments SECTION.NAME=VALUE of the variable FASTMLP_SET."""
    return os.environ.get("FASTMLP_SET", "").split()


def take_settings(ctx: click.Context, options: dict[str, Any]) -> Given:
    """Remove the options of settings from `options` and return them."""
    values: dict[str, dict[str, Any]] = {}
    origins: dict[str, Origin] = {}
    for parameter in ctx.command.get_params(ctx):
        if not isinstance(parameter, SettingOption) or parameter.name is None:
            continue
        value = options.pop(parameter.name)
        if value is None:
            continue
        section, _, name = parameter.name.partition("__")
        values.setdefault(section, {})[name] = value
        by_variable = ctx.get_parameter_source(parameter.name) is ParameterSource.ENVIRONMENT
        origins[f"{section}.{name}"] = (
            Origin("variable", str(parameter.envvar))
            if by_variable
            else Origin("argument", parameter.opts[0])
        )
    return Given(
        options.pop("dataset"),
        options.pop("config_file"),
        options.pop("assignments"),
        Layer(values, origins),
    )


def words_of(given: Given) -> list[str]:
    """Return the words of a command line that gives the same, without the learning rate."""
    words = [] if given.dataset is None else [given.dataset]
    if given.config_file is not None:
        words += ["--config", given.config_file]
    for key, origin in given.options.origins.items():
        section, _, name = key.partition(".")
        value = given.options.values[section][name]
        if origin.kind != "argument" or key == "optimizer.learning_rate":
            continue
        if isinstance(value, bool):
            words.append(origin.place if value else f"--no-{origin.place.lstrip('-')}")
        else:
            words += [origin.place, str(value)]
    for assignment in given.assignments:
        words += ["--set", assignment]
    return words


# ---------------------------------------------------------------- precedence


def layers_of(given: Given) -> list[Layer]:
    """Return the layers of the settings of a training, from the lowest precedence to the highest.

    Raises
    ------
    ConfigError
        A file cannot be read, a setting in it is wrong, or an assignment is malformed.
    """
    from fastmlp.experiment.settings import LOCAL_NAME, recipe_of

    if given.config_file is not None:
        layers = [_file_layer("file", Path(given.config_file))]
    else:
        layers = user_layers()
        if os.path.exists(LOCAL_NAME):
            layers.append(_file_layer("file", Path(LOCAL_NAME)))
    layers.append(_assigned(variable_assignments(), "variable", "FASTMLP_SET"))
    layers.append(given.options)
    layers.append(_assigned(given.assignments, "argument", "--set"))
    if given.dataset is not None:
        layers.append(Layer.of({"data": {"source": given.dataset}}, "argument", "DATASET"))
    source = _source_of(layers)
    recipe = recipe_of(source, [layer.values for layer in layers])
    return [Layer.of(recipe, "recipe", "recipe"), *layers]


def given_keys(given: Given) -> set[str]:
    """Return the settings that a file, variable or argument names, as ``section.name``."""
    return {key for layer in layers_of(given)[1:] for key in layer.origins}


def user_layers() -> list[Layer]:
    """Return the layer of the user's file, or an empty list if the file does not exist."""
    from fastmlp.experiment.settings import user_settings_path

    path = user_settings_path()
    return [_file_layer("user file", path)] if path.exists() else []


def _file_layer(kind: str, path: Path) -> Layer:
    from fastmlp.experiment.settings import read_settings

    try:
        return Layer.of(read_settings(path), kind, str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _assigned(assignments: Iterable[str], kind: str, place: str) -> Layer:
    from fastmlp.experiment.settings import assign

    values: dict[str, Any] = {}
    try:
        for assignment in assignments:
            assign(values, assignment)
    except ValueError as error:
        raise ConfigError(f"{place}: {error}") from error
    return Layer.of(values, kind, place)


def _source_of(layers: Sequence[Layer]) -> Any:
    sources = (layer.values.get("data", {}).get("source") for layer in reversed(layers))
    return next((source for source in sources if source is not None), None)


# ---------------------------------------------------------------- the result


class Setting(NamedTuple):
    """A resolved setting; `value` is None if the setting has no value."""

    section: str
    name: str
    value: Any
    origin: Origin


def resolve_settings(given: Given) -> Config:
    """Return the settings of a training.

    Raises
    ------
    ConfigError
        A setting is wrong, or no data is named. The message names the flag or variable.
    """
    return _resolved(layers_of(given), needs_source=True)


def with_options(config: Config, given: Given) -> Config:
    """Return resolved settings with the options of a command applied.

    Raises
    ------
    ConfigError
        An option is wrong.
    """
    layers = [Layer.of(config.values(), "file", "config.toml"), given.options]
    return _resolved(layers, needs_source=True)


def settings_of(given: Given) -> Iterator[Setting]:
    """Yield all settings and their origins, resolved in the same way as for a training.

    Raises
    ------
    ConfigError
        DATASET is the misspelled name of a data set, or a setting is out of range.
    """
    if given.dataset is not None:
        require_name_or_path(given.dataset)
    from fastmlp.experiment.architectures import by_data

    layers = layers_of(given)
    config = _resolved(layers, needs_source=False)
    resolved = config.model_dump(mode="json")
    default = Origin("default", "default")
    unset = {key: Origin("architecture", text) for key, text in by_data(config).items()}
    for section, values in resolved.items():
        if not isinstance(values, dict):
            continue
        for name, value in values.items():
            # A setting with a value has the origin of the last layer that names it.
            key = f"{section}.{name}"
            origin = _origin_of(key, layers) if value is not None else unset.get(key)
            yield Setting(section, name, value, origin or default)


def require_name_or_path(source: str) -> None:
    """Raise ConfigError for a misspelled name of a data set; a path need not exist yet."""
    is_name = source != "-" and not any(c in source for c in "./\\~*?[")
    if is_name and not os.path.exists(source):
        canonical_name(source)


def _resolved(layers: Sequence[Layer], *, needs_source: bool) -> Config:
    from fastmlp.experiment.schema import Config
    from fastmlp.experiment.settings import merged, resolve

    values = [layer.values for layer in layers]
    try:
        if needs_source or _source_of(layers) is not None:
            return resolve(None, values, defaults=False)
        return Config.checked(merged(*values))
    except ValueError as error:
        key, colon, text = str(error).partition(":")
        origin = _origin_of(key, layers)
        if origin is None or origin.kind not in ("variable", "argument"):
            raise ConfigError(str(error)) from error
        if origin.place in ("FASTMLP_SET", "--set"):
            raise ConfigError(f"{origin.place}: {error}") from error
        raise ConfigError(f"{origin.place}{colon}{text}") from error


def _origin_of(key: str, layers: Sequence[Layer]) -> Origin | None:
    """Return the origin of a setting in the highest layer that has it."""
    return next((layer.origins[key] for layer in reversed(layers) if key in layer.origins), None)


# ---------------------------------------------------------------- as text


def toml_line(name: str, value: Any) -> str:
    """Return a setting as one line of TOML; tables and lists are written inline."""
    return f"{name} = {toml_value(value).as_string()}"


def toml_value(value: Any) -> Any:
    """Return a value as an item of a TOML document."""
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update({key: toml_value(item) for key, item in value.items()})
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(toml_value(item) for item in value)
        return array
    return tomlkit.item(value)
