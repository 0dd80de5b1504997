"""Files of settings: a commented one to begin with, what is wrong with one, the editors' schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from fastmlp.cli.errors import ConfigError
from fastmlp.cli.setting_sources import user_layers

if TYPE_CHECKING:
    from fastmlp.experiment.schema import Config

__all__ = ["SCHEMA_FILE", "json_schema", "problems_of", "template", "toml_line"]

SCHEMA_FILE = "fastmlp.schema.json"
COMMENT_WIDTH = 88
MAX_BYTES = 1 << 20

Values = Mapping[str, Any]


# ---------------------------------------------------------------- a file to begin with


def template(source: str | None) -> str:
    """The text of a settings file that changes nothing.

    Parameters
    ----------
    source : str or None
        The data whose settings are filled in; None leaves all of them to each training.

    Raises
    ------
    ConfigError
        The user's own file is wrong.
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
    document.add("schema_version", _inline(values["schema_version"]))
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
                table.add(name, _inline(value))
        document.add(section, table)
    return _head(source) + tomlkit.dumps(document)


def toml_line(name: str, value: Any) -> str:
    """A setting as one line of TOML, whatever its value."""
    return f"{name} = {_inline(value).as_string()}"


def _inline(value: Any) -> Any:
    import tomlkit

    if isinstance(value, dict):
        table = tomlkit.inline_table()
        table.update({key: _inline(item) for key, item in value.items()})
        return table
    if isinstance(value, list):
        array = tomlkit.array()
        array.extend(_inline(item) for item in value)
        return array
    return tomlkit.item(value)


def _head(source: str | None) -> str:
    title = f"Settings of a training on {source}" if source else "Settings of trainings"
    lines = (
        f"#:schema ./{SCHEMA_FILE}",
        f"# {' '.join(title.split())}; flags and FASTMLP_* variables are stronger.",
        f"# For editors that complete and check: fastmlp config schema > {SCHEMA_FILE}",
    )
    return "".join(f"{line}\n" for line in lines)


def _sections(kind: Any) -> dict[str, Any]:
    """Models of the sections by name."""
    kinds = {name: field.annotation for name, field in kind.model_fields.items()}
    return {name: each for name, each in kinds.items() if hasattr(each, "model_fields")}


def _wrapped(text: str | None) -> list[str]:
    import textwrap

    return textwrap.wrap(" ".join((text or "").split()), COMMENT_WIDTH)


# ---------------------------------------------------------------- what is wrong with a file


def problems_of(file: str) -> list[str]:
    """One line for each thing that is wrong in a settings file, beginning with its name."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    from fastmlp._files import read_regular_file
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
    """What is wrong with single settings, in the words that a training would use."""
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
    """What is wrong between settings that are right one by one."""
    from fastmlp.experiment import build
    from fastmlp.experiment.schema import Config, OptimizerSection, ScheduleSection
    from fastmlp.experiment.settings import resolve

    known = "source" in values.get("data", {})
    settings = resolve(None, [values]) if known else Config.checked(values)
    checks: dict[str, Callable[[], object]] = {"network": lambda: _build_network(settings)}
    # Without the data a file is part of a whole: what it leaves out, a recipe may decide.
    if known or "name" in values.get("optimizer", {}):
        alone = settings.model_copy(update={"schedule": ScheduleSection()})
        checks["optimizer"] = lambda: build.optimizer(alone)
    if known or "name" in values.get("schedule", {}):
        plain = settings.model_copy(update={"optimizer": OptimizerSection()})
        checks["schedule"] = lambda: build.optimizer(plain)
    checks["training.averaging"] = lambda: build.averaging(settings)
    lines = []
    for place, check in checks.items():
        try:
            check()
        except (TypeError, ValueError) as error:
            lines.append(f"{file}: {place}: {error}")
    return lines


def _build_network(settings: Config) -> None:
    """Let the model judge its arguments, with layers of one unit for those of the data."""
    import fastmlp
    from fastmlp.network.architecture import architecture_from_config

    given = settings.network.model_dump(exclude={"hidden"}, exclude_none=True)
    arguments = architecture_from_config(given)
    hidden = settings.network.hidden
    if hidden is None:
        # The recipe has layers then, and lists must fit each other.
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
    """JSON Schema (draft 2020-12) of settings files."""
    from fastmlp.experiment.schema import Config

    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of fastmlp",
    }
    return head | {k: v for k, v in _for_toml(Config.model_json_schema()).items() if k not in head}


def _for_toml(node: Any) -> Any:
    """A schema without null, which TOML lacks, and with bounds by their standard names."""
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
            # A section's own defaults stand at its settings.
            result |= {} if value is None or isinstance(value, dict) else {key: value}
        elif key not in _FOR_FLAGS:
            standard = str(_BOUNDS.get(key, key))
            result[standard] = _for_toml(value)
    return result
