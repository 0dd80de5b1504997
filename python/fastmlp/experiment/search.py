"""The dimensions of a sweep: a range or choices for each searched setting."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastmlp.experiment.architectures import search_space
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import assign, merged, resolve

__all__ = ["Dimension", "Value", "changed", "distinct", "is_comparable", "usual_dimensions"]

Value = float | int | str

SECTIONS = ("network", "optimizer", "schedule", "training")
# The settings that cannot be searched, each with the reason.
_FIXED = {
    "training.checkpoint_every": "changes nothing that a trial measures",
    "training.initial_model": "is the same for all trials",
    "training.max_time": "is the same for all trials",
    "training.min_accuracy": "changes nothing that a trial measures",
    "training.monitor": "is the quantity by which all trials are compared",
    "training.tensorboard": "changes nothing that a trial measures",
    "training.time_limit": "is the same for all trials",
    "training.threads": "changes nothing that a trial measures",
}


@dataclass(frozen=True)
class Dimension:
    """A setting and its possible values.

    Attributes
    ----------
    key : str
        ``section.name``.
    low, high : int, float or None
        Bounds of a range, both included. A range between two integers holds integers only if the
        setting takes no fractions.
    log : bool
        Whether the logarithm of the value is drawn uniformly.
    choices : tuple of str
        Values in place of a range, each as text that `fastmlp.experiment.settings.assign` accepts.
    """

    key: str
    low: float | int | None = None
    high: float | int | None = None
    log: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Dimension:
        """Read a dimension from its text.

        ``optimizer.learning_rate=1e-4..0.3:log`` and ``training.batch_size=16..256:log`` are
        ranges, ``network.hidden=64|128|256,128`` is a choice.

        Raises
        ------
        ValueError
            The text has another form, the setting does not exist, or it does not take the values.
        """
        key, equals, spec = (part.strip() for part in text.partition("="))
        if not equals or not spec:
            raise ValueError(f"expected SECTION.NAME=LOW..HIGH or =ONE|OTHER, got {text!r}")
        _require_searchable(key)
        if "|" in spec:
            return cls._choice(key, spec)
        if ".." in spec:
            return cls._range(key, spec)
        raise ValueError(f"{key}: needs LOW..HIGH or two choices ONE|OTHER, got {spec!r}")

    @classmethod
    def _range(cls, key: str, spec: str) -> Dimension:
        bounds, colon, scale = spec.partition(":")
        if colon and scale != "log":
            raise ValueError(f"{key}: a range may end in :log, got {':' + scale!r}")
        try:
            low, high = map(_number, bounds.split(".."))
        except ValueError:
            raise ValueError(f"{key}: needs two numbers LOW..HIGH, got {bounds!r}") from None
        if not low < high:
            raise ValueError(f"{key}: the upper bound must be above {low:g}, got {high:g}")
        if scale and low <= 0:
            raise ValueError(f"{key}: a range by logarithm must start above 0, got {low:g}")
        for bound in (low, high):
            _require_takes(key, bound)
        if not (isinstance(low, int) and isinstance(high, int)) or _takes(key, low + 0.5):
            low, high = float(low), float(high)
        return cls(key, low, high, log=bool(scale))

    @classmethod
    def _choice(cls, key: str, spec: str) -> Dimension:
        choices = tuple(choice.strip() for choice in spec.split("|"))
        if "" in choices or len(set(choices)) < len(choices):
            raise ValueError(f"{key}: choices must differ and not be empty, got {spec!r}")
        for choice in choices:
            _require_takes(key, choice)
        return cls(key, choices=choices)

    @property
    def ends(self) -> tuple[Value, ...]:
        """The bounds of the range, or all choices."""
        if self.low is None or self.high is None:
            return self.choices
        return self.low, self.high

    def suggest(self, trial: Any) -> Value:
        """Draw a value from an Optuna trial."""
        value: Value
        if self.low is None:
            value = trial.suggest_categorical(self.key, self.choices)
        elif isinstance(self.low, int):
            value = trial.suggest_int(self.key, self.low, self.high, log=self.log)
        else:
            value = trial.suggest_float(self.key, self.low, self.high, log=self.log)
        return value

    def text(self) -> str:
        """Return the text from which `parse` reads the dimension."""
        if self.choices:
            return f"{self.key}={'|'.join(self.choices)}"
        return f"{self.key}={self.low!r}..{self.high!r}{':log' if self.log else ''}"


def distinct(texts: Sequence[str]) -> tuple[Dimension, ...]:
    """Read dimensions from their texts.

    Raises
    ------
    ValueError
        There are no texts, a text is invalid, or two texts name the same setting.
    """
    if not texts:
        raise ValueError("needs a setting to search, such as optimizer.learning_rate=1e-4..0.1:log")
    dimensions = tuple(map(Dimension.parse, texts))
    keys = [dimension.key for dimension in dimensions]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"{key}: is given {keys.count(key)} times")
    return dimensions


def usual_dimensions(config: Config, given: Collection[str] = ()) -> tuple[Dimension, ...]:
    """Return the search space of the architecture, without the settings that were given.

    Losses are left out if they cannot be compared.

    Parameters
    ----------
    config : Config
        Settings with those resolved that depend on the data.
    given : collection of str
        Settings as ``section.name``.

    Raises
    ------
    ValueError
        All settings of the space were given.
    """
    space = map(Dimension.parse, search_space(config))
    left = tuple(d for d in space if d.key not in given and is_comparable(d, config))
    if not left:
        raise ValueError(
            f"all settings of the search space of {config.network.architecture} are given; leave "
            "one out, or name others to search, such as network.seed=0..9"
        )
    return left


def is_comparable(dimension: Dimension, config: Config) -> bool:
    """Return whether the monitored quantity ranks trials with different values of the setting."""
    by_loss = config.training.monitor in ("loss", "val_loss")
    return not (by_loss and dimension.key == "network.loss")


def changed(config: Config, changes: Mapping[str, Value]) -> Config:
    """Return the settings with some of them changed.

    The rules are those of the command line: text is read as TOML if it is valid TOML, another
    optimizer or schedule discards the settings of the previous one, and the recipe of the data
    supplies the rest.

    Parameters
    ----------
    config : Config
    changes : mapping of str to float, int or str
        New values by ``section.name``.

    Raises
    ------
    ValueError
        A value does not fit its setting.
    """
    # The changes are merged before the recipe is applied, like those of a settings file.
    return resolve(config.data.source, [merged(config.given(), _layer(changes))])


def _layer(changes: Mapping[str, Value]) -> dict[str, Any]:
    layer: dict[str, Any] = {}
    for key, value in changes.items():
        if isinstance(value, str):
            assign(layer, f"{key}={value}")
        else:
            section, _, name = key.partition(".")
            layer.setdefault(section, {})[name] = value
    return layer


def _number(text: str) -> float | int:
    """Return the number, as an int if its value is integral (1e3 is 1000)."""
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return int(number) if number.is_integer() else number


def _require_searchable(key: str) -> None:
    section, dot, name = key.partition(".")
    if not (dot and name):
        raise ValueError(f"a setting must be written SECTION.NAME, got {key!r}")
    if section == "data":
        raise ValueError(f"{key}: the data is the same for all trials")
    if section not in SECTIONS:
        raise ValueError(f"{key}: the section must be {' or '.join(SECTIONS)}, got {section!r}")
    if key in _FIXED:
        raise ValueError(f"{key}: {_FIXED[key]}")


def _require_takes(key: str, value: Value) -> None:
    Config.checked(merged(Config().values(), _layer({key: value})))


def _takes(key: str, value: Value) -> bool:
    try:
        _require_takes(key, value)
    except ValueError:
        return False
    return True
