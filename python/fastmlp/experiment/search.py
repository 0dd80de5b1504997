"""What a sweep searches: a range or a choice for each of some settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastmlp.experiment.schema import Config

__all__ = ["Dimension", "with_values"]


@dataclass(frozen=True)
class Dimension:
    """One setting and what it may be.

    Attributes
    ----------
    key : str
        `section.name`.
    low, high : float or None
        Bounds of a range, both included.
    log : bool
        Whether the range is searched by the logarithm.
    whole : bool
        Whether values are integers.
    choices : tuple of str
        In place of a range: values as the command line would take them.
    """

    key: str
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Dimension:
        """`optimizer.learning_rate=1e-4..0.3:log`, `training.batch_size=16..256:log`, or choices
        as in `network.hidden=64|128|256,128`.

        Raises
        ------
        ValueError
            The text has another form, or the setting does not exist or take such values.
        """
        key, equals, spec = text.partition("=")
        key, spec = key.strip(), spec.strip()
        if not equals or not spec:
            raise ValueError(f"expected section.name=low..high or =one|other, got {text!r}")
        if key.startswith("data."):
            raise ValueError(f"{key}: the data stays the same in a sweep")
        dimension = cls._range(key, spec) if ".." in spec else cls._choice(key, spec)
        ends = dimension.choices or (dimension.low, dimension.high)
        for end in ends:
            Config.checked(with_values({}, {key: dimension.plain(end)}))
        return dimension

    @classmethod
    def _range(cls, key: str, spec: str) -> Dimension:
        bounds, colon, scale = spec.partition(":")
        if colon and scale != "log":
            raise ValueError(f"{key}: a range may end in :log, got :{scale}")
        first, _, last = bounds.partition("..")
        try:
            low, high = float(first), float(last)
        except ValueError:
            raise ValueError(f"{key}: bounds must be numbers, got {bounds!r}") from None
        if not low < high:
            raise ValueError(f"{key}: the upper bound must be above {low:g}, got {high:g}")
        if scale and low <= 0:
            raise ValueError(f"{key}: a range by logarithm must start above 0, got {low:g}")
        return cls(key, low, high, log=bool(scale), whole=_takes_integers(key))

    @classmethod
    def _choice(cls, key: str, spec: str) -> Dimension:
        choices = tuple(choice.strip() for choice in spec.split("|"))
        if len(set(choices)) < 2 or "" in choices:
            raise ValueError(f"{key}: needs two different choices or more, got {spec!r}")
        return cls(key, choices=choices)

    def plain(self, value: Any) -> Any:
        """A value as settings take it."""
        if self.choices:
            return {"true": True, "false": False}.get(str(value).lower(), value)
        return int(value) if self.whole else float(value)

    def suggest(self, trial: Any) -> Any:
        """Ask an Optuna trial for a value."""
        if self.choices:
            return self.plain(trial.suggest_categorical(self.key, self.choices))
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, log=self.log)

    def text(self) -> str:
        """The form that `parse` reads."""
        if self.choices:
            return f"{self.key}={'|'.join(self.choices)}"
        ends = (int(self.low or 0), int(self.high or 0)) if self.whole else (self.low, self.high)
        return f"{self.key}={ends[0]!r}..{ends[1]!r}{':log' if self.log else ''}"


def _takes_integers(key: str) -> bool:
    """Whether a setting refuses fractions: the schema is asked."""
    try:
        Config.checked(with_values({}, {key: 1.5}))
    except ValueError as error:
        return "integer" in str(error)
    return False


def with_values(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with some of them changed, these by `section.name`.

    Raises
    ------
    ValueError
        A key has another form.
    """
    result: dict[str, Any] = {
        key: dict(section) if isinstance(section, Mapping) else section
        for key, section in values.items()
    }
    for key, value in changes.items():
        section, dot, name = key.partition(".")
        if not dot or not name:
            raise ValueError(f"a setting must be written section.name, got {key!r}")
        result.setdefault(section, {})[name] = value
    return result
