"""Where each setting of a training comes from: recipe, files, variables, arguments, defaults."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from fastmlp.cli.errors import ConfigError

if TYPE_CHECKING:
    from fastmlp.experiment.schema import Config

__all__ = ["Layer", "Setting", "checked_source", "layers_of", "settings_of", "user_layers"]

Values = Mapping[str, Any]


class Layer(NamedTuple):
    """Settings by section from one place; `place` may differ from setting to setting."""

    kind: str
    place: str | Mapping[str, str]
    values: Values

    def has(self, section: str, name: str) -> bool:
        """Whether it gives this setting."""
        return name in self.values.get(section, {})

    def place_of(self, section: str, name: str) -> str:
        """Where it gives it."""
        return self.place if isinstance(self.place, str) else self.place[f"{section}.{name}"]


class Setting(NamedTuple):
    """A resolved setting.

    `kind` is "default", "recipe", "user file", "file", "variable" or "argument", and `place` the
    name of that file or variable. `value` is None where there is none.
    """

    section: str
    name: str
    value: Any
    kind: str
    place: str


def checked_source(source: str | None) -> str | None:
    """`source`, if it is a known data set or may be a path, of a file that is yet to come too.

    Raises
    ------
    ConfigError
        It is a misspelt name, which would get the settings of a table.
    """
    from fastmlp.cli.sources import canonical_name

    is_name = source is not None and source != "-" and not any(c in source for c in "./\\~")
    if source is not None and is_name and not os.path.exists(source):
        canonical_name(source)
    return source


def user_layers() -> list[Layer]:
    """The user's own file, where there is one."""
    from fastmlp.experiment.settings import user_settings_path

    path = user_settings_path()
    return [_file_layer("user file", path)] if path.exists() else []


def layers_of(source: str | None, config_file: str | None) -> list[Layer]:
    """All that decides about a training, from the weakest to the strongest.

    Parameters
    ----------
    source : str or None
        The data, where an argument names it.
    config_file : str or None
        Is read in place of the user's file and ./fastmlp.toml.

    Raises
    ------
    ConfigError
        A file cannot be read or a setting in it is wrong.
    """
    from fastmlp.experiment.settings import LOCAL_NAME, recipe_for

    if config_file is not None:
        layers = [_file_layer("file", Path(config_file))]
    else:
        layers = user_layers()
        if os.path.exists(LOCAL_NAME):
            layers.append(_file_layer("file", Path(LOCAL_NAME)))
    layers.append(_variable_layer())
    if source is not None:
        layers.append(Layer("argument", "argument", {"data": {"source": source}}))
    named = [layer.values["data"]["source"] for layer in layers if layer.has("data", "source")]
    recipe = recipe_for(named[-1]) if named else {}
    return [Layer("recipe", "recipe", recipe), *layers]


def settings_of(layers: Sequence[Layer]) -> Iterator[Setting]:
    """All settings, resolved as a training resolves them.

    Raises
    ------
    ConfigError
        A setting is out of range.
    """
    resolved = _resolved(layers).model_dump(mode="json")
    for section, values in resolved.items():
        if not isinstance(values, dict):
            continue
        for name, value in values.items():
            # Only what survived the merge has a value, and then the last layer that names it won.
            layer = next((item for item in reversed(layers) if item.has(section, name)), None)
            if value is None or layer is None:
                yield Setting(section, name, value, "default", "default")
            else:
                yield Setting(section, name, value, layer.kind, layer.place_of(section, name))


def _resolved(layers: Sequence[Layer]) -> Config:
    """The settings of a training, or those of any training where no data is named."""
    from fastmlp.experiment.schema import Config
    from fastmlp.experiment.settings import merged, resolve

    values = [layer.values for layer in layers]
    try:
        if any(layer.has("data", "source") for layer in layers):
            return resolve(None, values)
        return Config.checked(merged(*values))
    except ValueError as error:
        key, colon, text = str(error).partition(":")
        variables = next((x.place for x in layers if x.kind == "variable"), {})
        named = variables.get(key, key) if isinstance(variables, Mapping) else key
        raise ConfigError(f"{named}{colon}{text}") from error


def _file_layer(kind: str, path: Path) -> Layer:
    from fastmlp.experiment.settings import read_settings

    try:
        return Layer(kind, str(path), read_settings(path))
    except (OSError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _variable_layer() -> Layer:
    """FASTMLP_* variables, as the options of a training read them."""
    from click.core import ParameterSource

    from fastmlp.cli.setting_options import given_settings, setting_options

    command = click.Command("train", params=[])
    setting_options()(command)
    context = command.make_context("fastmlp train", [])
    places = {
        parameter.name.replace("__", "."): str(parameter.envvar)
        for parameter in command.params
        if parameter.name
        and context.get_parameter_source(parameter.name) is ParameterSource.ENVIRONMENT
    }
    return Layer("variable", places, given_settings(dict(context.params)))
