"""The settings of `fastmlp.Model`: those of a run, given by keyword."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from fastmlp.errors import did_you_mean
from fastmlp.experiment import build
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import merged, recipe_of

__all__ = [
    "FILE_SETTINGS",
    "Settings",
    "columns_to_keep_as_text",
    "require_known",
    "settings_by_keyword",
    "settings_by_section",
]

Settings = dict[str, dict[str, Any]]
_SECTIONS = ("data", "network", "optimizer", "schedule", "training")
# Names of sources of each kind: tables, arrays, images.
_ANY_DATA = ("data.csv", "data.npz", "data.idx", "mnist")
_NAME_LISTS = (
    "target", "features", "exclude", "categorical", "numeric", "date", "id", "missing_token",
)  # fmt: skip
# Settings that say how a source is found and read, and mean nothing for samples in memory.
FILE_SETTINGS = ("data_dir", "encoding", "header", "separator")
# Settings of a run that mean nothing for a model, with what stands in their place.
_ELSEWHERE = {
    "callbacks": "it is an argument of fit",
    "checkpoint_every": "give fit(callbacks=[fastmlp.ModelCheckpoint(...)]) for files of epochs",
    "min_accuracy": "compare with the accuracy of Model.evaluate(...)",
    "source": "the data is the first argument of fit",
    "stream": "data beyond memory are for fastmlp train --stream, and for MLP.fit(source)",
    "tensorboard": "give fit(callbacks=[fastmlp.TensorBoard(...)])",
    "test": "samples for the test are an argument of fit: fit(data, test=...)",
    "verbose": "it is an argument of fit",
}


def settings_by_keyword() -> dict[str, tuple[str, str]]:
    """Return section and name of each setting, by its flag and, if it is unique, by its name."""
    by_flag: dict[str, tuple[str, str]] = {}
    by_name: dict[str, list[tuple[str, str]]] = {}
    for section in _SECTIONS:
        for name, field in type(getattr(Config(), section)).model_fields.items():
            extra = field.json_schema_extra
            by_name.setdefault(name, []).append((section, name))
            if isinstance(extra, dict) and "flag" in extra:
                by_flag[str(extra["flag"]).strip("-").replace("-", "_")] = (section, name)
    unique = {name: places[0] for name, places in by_name.items() if len(places) == 1}
    known = {**unique, **by_flag}
    return {keyword: place for keyword, place in known.items() if keyword not in _ELSEWHERE}


def require_known(keywords: Collection[str], known: Collection[str], owner: str) -> None:
    """Raise TypeError if a keyword is no setting; the message says what stands in its place."""
    for keyword in keywords:
        if keyword in known:
            continue
        if keyword in _ELSEWHERE:
            raise TypeError(f"{owner} has no setting {keyword!r}: {_ELSEWHERE[keyword]}")
        raise TypeError(
            f"{owner} has no setting {keyword!r}{did_you_mean(keyword, known)}; "
            "Model.settings_available() lists them"
        )


def settings_by_section(
    settings: Mapping[str, Any], columns: Collection[str] | None = None
) -> Settings:
    """Return settings that were given by keyword as sections, checked.

    Parameters
    ----------
    settings : mapping
        Settings by keyword.
    columns : collection of str, optional
        Columns of the data, which tell whether "a,b" is one name or two; by default it is one.

    Raises
    ------
    TypeError
        A setting has no such name, or is given by two names.
    ValueError
        A setting has a wrong value.
    """
    known = settings_by_keyword()
    require_known(settings, known, "Model")
    values: Settings = {}
    keyword_of: dict[tuple[str, str], str] = {}
    for keyword, value in settings.items():
        section, name = place = known[keyword]
        if place in keyword_of:
            raise TypeError(f"{keyword_of[place]} and {keyword} are one setting; give one of them")
        keyword_of[place] = keyword
        if section == "data" and name in _NAME_LISTS:
            value = _names(name, value, columns)
        values.setdefault(section, {})[name] = value
    _require_valid(values)
    return values


def _require_valid(values: Settings) -> None:
    """Raise unless the settings are right for some data, whose recipe fills the rest in."""
    Config.checked(values)
    errors = []
    for source in _ANY_DATA:
        try:
            build.require_valid(Config.checked(merged(recipe_of(source, [values]), values)))
            return
        except (TypeError, ValueError) as error:
            errors.append(error)
    raise errors[0]


# ---------------------------------------------------------------- names of columns


def _names(setting: str, value: Any, columns: Collection[str] | None) -> Any:
    """Return names as a list: of one text, of several in a text, or of a mapping for dates."""
    if setting == "date" and isinstance(value, Mapping):
        return [_date_entry(name, form) for name, form in value.items()]
    if not isinstance(value, str):
        return value
    if "," not in value:
        return [value]
    if setting == "missing_token":
        parts = _parts(value)
        raise ValueError(
            f"missing_token must be a list if it holds a comma: {parts!r} for {len(parts)} texts, "
            f"or {[value]!r} for one, got {value!r}"
        )
    return [value] if columns is None or _is_one(value, columns) else _parts(value)


def _date_entry(name: object, form: object) -> str:
    if not isinstance(name, str) or not (form is None or isinstance(form, str)):
        raise TypeError(
            "date must map names of columns to formats such as '%d/%m/%Y', or to None, "
            f"got {name!r}: {form!r}"
        )
    return f"{name}={form}" if form else name


def _is_one(text: str, columns: Collection[str]) -> bool:
    """Return whether a text with commas is one name, or one date whose format has commas."""
    if text in columns:
        return True
    whole, parts = _column_of(text), map(_column_of, _parts(text))
    return whole in columns and not all(part in columns for part in parts)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _column_of(entry: str) -> str:
    """Return the column of an entry such as ``sold=%d/%m/%Y``."""
    return entry.partition("=")[0]


def columns_to_keep_as_text(settings: Mapping[str, Any]) -> frozenset[str]:
    """Return the names in texts with commas, which may be columns whose cells are no numbers."""
    texts = (settings.get(name) for name in ("target", "categorical", "date", "id"))
    return frozenset(
        _column_of(part) for text in texts if isinstance(text, str) for part in _parts(text)
    )
