"""Objects that are chosen by name: activations, losses, initializers.

Each is a frozen dataclass whose field ``name`` is the name in the core. The name alone stands for
an object with default parameters. Files hold the name, or a mapping of the name and all fields that
differ from their defaults.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from fastmlp._scalars import choice
from fastmlp.errors import did_you_mean

__all__ = ["as_config", "from_config", "kinds_of", "named"]


class Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=Named)


def kinds_of(base: type[N], namespace: Mapping[str, object]) -> dict[str, type[N]]:
    """The subclasses of `base` with a name that a module defines, by name, in order of definition.

    Parameters
    ----------
    base : type
    namespace : mapping
        ``globals()`` of the module.
    """
    kinds = [
        value for value in namespace.values() if isinstance(value, type) and issubclass(value, base)
    ]
    return {
        name: kind for kind in kinds if isinstance(name := vars(kind).get("name"), str) and name
    }


def named(argument: str, value: object, kind: type[N], known: Mapping[str, Callable[[], N]]) -> N:
    """Return `value` if it is of `kind`, else the object of that name.

    Raises
    ------
    TypeError, ValueError
        `value` is neither an object of this kind nor the name of one.
    """
    if isinstance(value, kind):
        return value
    if not isinstance(value, str):
        if isinstance(value, type) and issubclass(value, kind):
            came = f"the class {value.__name__}; {value.__name__}() is an object of it"
        else:
            own = getattr(value, "__name__", type(value).__name__)  # of a function or a class
            came = f"{type(value).__name__}{did_you_mean(str(own), known)}"
        raise TypeError(
            f"{argument} must be a name or a fastmlp {kind.__name__.lower()}, got {came}"
        )
    return known[choice(argument, value, known)]()


def as_config(value: Named) -> str | dict[str, Any]:
    """Convert an object to its form in files."""
    fields = {
        key: _plain(field)
        for key, field in dataclasses.asdict(value).items()  # type: ignore[call-overload]
    }
    defaults = {
        f.name: f.default
        for f in dataclasses.fields(value)  # type: ignore[arg-type]
    }
    changed = {k: v for k, v in fields.items() if k != "name" and v != defaults[k]}
    return {"name": value.name, **changed} if changed else value.name


def _plain(value: Any) -> Any:
    """Convert NumPy's types to Python's."""
    import numpy as np

    if isinstance(value, np.generic):
        return value.item()
    return (
        [_plain(item) for item in value] if isinstance(value, (list, tuple, np.ndarray)) else value
    )


def from_config(argument: str, config: object, known: Mapping[str, Callable[..., N]]) -> N:
    """Make an object from its form in files.

    Raises
    ------
    TypeError, ValueError
        `config` does not describe an object.
    """
    if isinstance(config, str):
        return known[choice(argument, config, known)]()
    if not isinstance(config, dict) or "name" not in config:
        raise TypeError(f"{argument} must be a name or a mapping with one, got {config!r}")
    fields = {
        key: tuple(value) if isinstance(value, list) else value for key, value in config.items()
    }
    return known[choice(argument, fields.pop("name"), known)](**fields)
