"""Settings of a run: recipes by data source, reading, merging, assignment, and TOML output."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from fastmlp._files import read_regular_file
from fastmlp.errors import FormatError
from fastmlp.experiment.architectures import ARCHITECTURES
from fastmlp.experiment.schema import Config, Section

__all__ = [
    "ARRAYS",
    "IMAGES",
    "LOCAL_NAME",
    "RECIPES",
    "TABLES",
    "TABLE_ARCHITECTURE",
    "assign",
    "given_toml",
    "merged",
    "read_settings",
    "recipe_for",
    "recipe_of",
    "resolve",
    "toml",
    "user_settings_path",
    "with_absolute_paths",
]

LOCAL_NAME = "fastmlp.toml"
_MAX_BYTES = 1 << 20
# In these sections the other settings depend on ``name``.
_CHOICES = ("optimizer", "schedule")

# Settings that ask for a plain network: the usual architecture for tables comes with its optimizer
# and its start, and has no batch normalization.
_OF_PLAIN_NETWORKS = (
    ("network", "batch_normalization"), ("optimizer", "name"), ("training", "initial_model"),
)  # fmt: skip

Values = dict[str, Any]

MNIST: Values = {
    "network": {"hidden": [512]},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 6, "batch_size": 64},
}
# For images of any brightness, contrast, size and number, which decides the epochs.
IMAGES: Values = {
    "data": {"scaling": "shared"},
    "network": {"hidden": [512], "dropout": 0.3},
    "optimizer": {"name": "adam", "learning_rate": 0.001},
    "schedule": {"name": "cosine", "per": "step"},
    "training": {"batch_size": 64},
}
# A plain network for tables, which settings that name an optimizer get too.
TABLES: Values = {
    "network": {"architecture": "mlp", "hidden": [64, 64]},
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 60, "batch_size": 32},
}

# The usual architectures for tables: of a network, and of an ensemble in one. Their settings
# replace TABLES.
TABLE_ARCHITECTURE, TABLE_ENSEMBLE = "realmlp", "tabm"
# The same settings for arrays, whose columns have neither names nor kinds.
ARRAYS: Values = dict(TABLES)

# For a few hundred samples that linear models predict about as well as any.
NEARLY_LINEAR: Values = {
    "network": {"architecture": "mlp", "hidden": [64], "activation": "tanh"},
    "optimizer": {"name": "adam", "learning_rate": 0.003, "l2": 0.01},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 60, "batch_size": 32},
}

# Recipes by data set. Directories of images and IDX files get IMAGES, arrays and directories of
# their files ARRAYS, and all other data TABLES.
RECIPES: dict[str, Values] = {
    "mnist": MNIST,
    "fashion-mnist": MNIST,
    "kmnist": MNIST,
    "cifar10": {
        "network": {"hidden": [1024, 512], "dropout": 0.2},
        "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9},
        "schedule": {"name": "cosine", "per": "epoch"},
        "training": {"epochs": 20, "batch_size": 128},
    },
    # Its many turns need more steps than the usual architecture for tables makes of few samples.
    "spirals": {
        "network": {"architecture": "mlp", "hidden": [64, 64, 64]},
        "optimizer": {"name": "adam", "learning_rate": 0.005},
        "schedule": {"name": "cosine", "per": "epoch"},
        "training": {"epochs": 300, "batch_size": 32},
    },
    "wine": NEARLY_LINEAR,
    "breast-cancer": NEARLY_LINEAR,
    "diabetes": NEARLY_LINEAR,
}


def recipe_of(source: object, layers: Sequence[Mapping[str, Any]]) -> Values:
    """Return the default settings: those of the source, with those of the architecture."""
    usual = recipe_for(source) if isinstance(source, str) else {}
    given = merged(*layers)
    named: Any = given.get("network", {}).get("architecture")
    if named is None and usual is TABLES and not _names_plain_network(given):
        members = given.get("network", {}).get("members")
        named = TABLE_ARCHITECTURE if members in (None, 1) else TABLE_ENSEMBLE
    recipe = usual
    if named in ARCHITECTURES:
        recipe = merged(ARCHITECTURES[named].recipe, {"network": {"architecture": named}})
    if given.get("data", {}).get("standardize") is False:  # which excludes a scaling
        recipe = merged(recipe)
        recipe.get("data", {}).pop("scaling", None)
    return recipe


def _names_plain_network(given: Mapping[str, Any]) -> bool:
    """Return whether a setting is given that the usual architecture for tables does not have."""
    return any(given.get(section, {}).get(name) for section, name in _OF_PLAIN_NETWORKS)


def recipe_for(source: str) -> Values:
    """Return the default settings for a data source."""
    name = source.strip().lower().replace("_", "-")
    if name in RECIPES:
        return RECIPES[name]
    path = os.path.expanduser(source)
    stem = path.removesuffix(".gz")
    if os.path.isdir(path):
        from fastmlp.data.reading import holds_tables
        from fastmlp.data.shards import holds_arrays

        return TABLES if holds_tables(path) else ARRAYS if holds_arrays(path) else IMAGES
    if stem.endswith((".npz", ".npy")):
        return ARRAYS
    return IMAGES if stem.endswith((".idx", "-ubyte")) else TABLES


def user_settings_path() -> Path:
    """Return the path of the user's default settings for all runs; the file need not exist."""
    from platformdirs import user_config_dir

    return Path(user_config_dir("fastmlp", appauthor=False)) / "config.toml"


def read_settings(path: str | os.PathLike[str]) -> Values:
    """Read and check the settings of a TOML file.

    Raises
    ------
    FormatError
        The file is not valid TOML, or a setting is unknown or out of range. The message names the
        file and the line or setting.
    OSError
        The file cannot be read.
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
    if values.get("schema_version") == 1:  # when the usual network for tables was a plain one
        values["schema_version"] = 2
        values.setdefault("network", {}).setdefault("architecture", "mlp")
    return values


def merged(*layers: Mapping[str, Any]) -> Values:
    """Merge layers of settings; later layers take precedence, setting by setting.

    If a layer names another optimizer or schedule, the settings of the previous one are discarded;
    if it names lbfgs, also the schedule and what concerns batches, which that does not have.
    """
    result: Values = {}
    for layer in layers:
        if str(layer.get("optimizer", {}).get("name")).lower() == "lbfgs":
            result.pop("schedule", None)
            for setting in ("batch_size", "drop_last", "patience"):
                result.get("training", {}).pop(setting, None)
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
    """Set one value in `values` from the text ``section.name=value``.

    The value is read as TOML if it is valid TOML, otherwise as plain text.

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
    """Return the settings of a run.

    Parameters
    ----------
    source : str or None
        The data source; if None, the layers name it.
    layers : sequence of mappings
        Settings by section; later layers take precedence.
    defaults : bool
        Whether to start from the recipe of the data source.

    Raises
    ------
    ValueError
        A setting is unknown or out of range, or no data is named.
    """
    if source is None:
        source = merged(*layers).get("data", {}).get("source")
    if source is None:
        raise ValueError("DATASET must be a data set, file or directory, got none")
    recipe = recipe_of(source, layers) if defaults else {}
    return Config.checked(merged(recipe, *layers, {"data": {"source": source}}))


def with_absolute_paths(config: Config) -> Config:
    """Return the settings with the paths of files made absolute."""
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
    """Return the settings as TOML, from which `read_settings` restores them.

    Settings that are None are omitted: TOML has no null, and None is their default.
    """
    return _toml(config.values())


def given_toml(config: Config) -> str:
    """Return the settings that were given as TOML; the architecture may replace the defaults."""
    return _toml(config.given())


def _toml(values: Values) -> str:
    import tomlkit

    return tomlkit.dumps(values)
