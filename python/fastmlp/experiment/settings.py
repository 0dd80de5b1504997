"""From files, flags and recipes to the settings of one run, and back to a file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from fastmlp._files import read_regular_file
from fastmlp.errors import FormatError
from fastmlp.experiment.schema import Config, Section

__all__ = [
    "IMAGES",
    "LOCAL_NAME",
    "RECIPES",
    "TABLES",
    "assign",
    "merged",
    "read_settings",
    "recipe_for",
    "resolve",
    "toml",
    "user_settings_path",
    "with_absolute_paths",
]

LOCAL_NAME = "fastmlp.toml"
_MAX_BYTES = 1 << 20
# Settings that belong to one choice and mean nothing to another.
_CHOICES = ("optimizer", "schedule")

Values = dict[str, Any]

IMAGES: Values = {
    "network": {"hidden": [512]},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 6, "batch_size": 64},
}
TABLES: Values = {
    "network": {"hidden": [64, 64]},
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 60, "batch_size": 32},
}

# By data set. Others get TABLES, directories and IDX files IMAGES.
RECIPES: dict[str, Values] = {
    "mnist": IMAGES,
    "fashion-mnist": IMAGES,
    "kmnist": IMAGES,
    "cifar10": {
        "network": {"hidden": [1024, 512], "dropout": 0.2},
        "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9},
        "schedule": {"name": "cosine", "per": "epoch"},
        "training": {"epochs": 20, "batch_size": 128},
    },
}


def recipe_for(source: str) -> Values:
    """The settings that suit a data source where nothing else is said."""
    name = source.strip().lower().replace("_", "-")
    if name in RECIPES:
        return RECIPES[name]
    path = os.path.expanduser(source)
    stem = path.removesuffix(".gz")
    if os.path.isdir(path) or stem.endswith((".idx", "-ubyte")):
        return IMAGES
    return TABLES


def user_settings_path() -> Path:
    """Where a user's own defaults for all runs may stand; the file need not exist."""
    from platformdirs import user_config_dir

    return Path(user_config_dir("fastmlp", appauthor=False)) / "config.toml"


def read_settings(path: str | os.PathLike[str]) -> Values:
    """Settings of a TOML file, checked.

    Raises
    ------
    FormatError
        It is no TOML, or a setting is unknown or out of range; names file, line or setting.
    OSError
        It cannot be read.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    name = os.fspath(path)
    content = read_regular_file(path, _MAX_BYTES)
    try:
        values: Values = tomlkit.parse(content.decode()).unwrap()
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: must be UTF-8 text: {error}") from None
    except (TOMLKitError, RecursionError) as error:
        raise FormatError(f"{name}: is not valid TOML: {error}") from None
    try:
        Config.checked(values, name)
    except ValueError as error:
        raise FormatError(str(error)) from None
    return values


def merged(*layers: Mapping[str, Any]) -> Values:
    """Settings of several layers; later ones win, setting by setting.

    Where a layer names another optimizer or schedule, the settings of the one before go with it.
    """
    result: Values = {}
    for layer in layers:
        for section, content in layer.items():
            if not isinstance(content, Mapping):
                result[section] = content
                continue
            present = result.setdefault(section, {})
            name = content.get("name")
            if section in _CHOICES and name is not None and name != present.get("name", name):
                present.clear()
            present.update(deepcopy(dict(content)))
    return result


def assign(values: Values, assignment: str) -> None:
    """Set one value by `section.name=value`, the value as TOML or plain text.

    Raises
    ------
    ValueError
        The assignment has another form.
    """
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    key, equals, text = assignment.partition("=")
    section, dot, name = key.strip().partition(".")
    if not (equals and dot and section and name) or "\n" in text:
        raise ValueError(f"expected section.name=value, got {assignment!r}")
    try:
        value = tomlkit.parse(f"value = {text}").unwrap()["value"]
    except TOMLKitError:
        value = text.strip()
    values.setdefault(section, {})[name] = value


def resolve(
    source: str | None, layers: Sequence[Mapping[str, Any]], *, defaults: bool = True
) -> Config:
    """The settings of a run.

    Parameters
    ----------
    source : str or None
        The data; None takes it from the layers.
    layers : sequence of mappings
        Settings by section, from the weakest to the strongest.
    defaults : bool
        Begin with the recipe of the data.

    Raises
    ------
    ValueError
        A setting is unknown or out of range, or no data is named.
    """
    if source is None:
        source = merged(*layers).get("data", {}).get("source")
    if source is None:
        raise ValueError("DATASET must be a data set, file or directory, got none")
    recipe = recipe_for(source) if defaults else {}
    return Config.checked(merged(recipe, *layers, {"data": {"source": source}}))


def with_absolute_paths(config: Config) -> Config:
    """The same settings with files by paths that hold in any working directory."""
    from fastmlp.data import is_file_source

    def absolute(section: Section, names: Sequence[str]) -> dict[str, str]:
        values = {name: getattr(section, name) for name in names}
        return {
            name: os.path.abspath(os.path.expanduser(value))
            for name, value in values.items()
            if value not in (None, "-") and (name != "source" or is_file_source(value))
        }

    data = absolute(config.data, ("source", "test", "data_dir"))
    training = absolute(config.training, ("initial_model",))
    return config.model_copy(
        update={
            "data": config.data.model_copy(update=data),
            "training": config.training.model_copy(update=training),
        }
    )


def toml(config: Config) -> str:
    """The settings as a file that gives them again.

    Values that are None have no form in TOML and are left out: they are the defaults.
    """
    import tomlkit

    return tomlkit.dumps(config.values())
