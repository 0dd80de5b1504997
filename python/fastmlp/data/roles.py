"""What each column of a table is for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastmlp.data.names import listed
from fastmlp.data.options import Options
from fastmlp.data.table import Table
from fastmlp.data.targets import find_targets
from fastmlp.errors import did_you_mean

__all__ = ["Roles", "refuse_column_options", "table_roles"]


@dataclass(frozen=True)
class Roles:
    """Names of columns; the features are in the order of the file."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    weight: str | None


def table_roles(table: Table, options: Options) -> Roles:
    """The columns that the options ask for, and what follows for the others.

    Raises
    ------
    ValueError
        An option names a column that does not exist or cannot be used, or no feature is left.
    """
    _require_usable(table, "target", options.target)
    _require_usable(table, "features", options.features)
    weight = options.sample_weight
    if weight is not None:
        _require_usable(table, "sample_weight", (weight,))
    targets = find_targets(table, options.target, weight)
    for name in options.features:
        if name in targets:
            raise ValueError(f"features must not hold the target {name!r}")
    if not options.features:
        _refuse_unsupported(table)
    chosen = set(options.features or table.columns) - {*targets, weight}
    if not chosen:
        raise ValueError(
            f"features must leave a column to predict {listed(targets)} from: {table.origin} has "
            f"the columns {listed(table.columns)}"
        )
    return Roles(targets, tuple(name for name in table.columns if name in chosen), weight)


def refuse_column_options(options: Options, name: str) -> None:
    """Raise ValueError for options that only a table can meet."""
    for option in ("target", "features", "sample_weight"):
        if getattr(options, option):
            raise ValueError(f"{option} names columns of a table, but {name} holds arrays")
    for option in ("impute", "unknown_categories"):
        if getattr(options, option) != "error":
            raise ValueError(f"{option} is for tables, but {name} holds arrays")


def _require_usable(table: Table, option: str, names: Sequence[str]) -> None:
    for name in names:
        if name in table.unsupported:
            raise ValueError(
                f"{option} must name columns of numbers or of text: {name!r} of {table.origin} "
                f"holds {table.unsupported[name]}"
            )
        if name not in table.columns:
            raise ValueError(
                f"{option} must name columns of {table.origin}, got {name!r}"
                f"{did_you_mean(name, table.columns)} (they are {listed(table.columns)})"
            )


def _refuse_unsupported(table: Table) -> None:
    for name, kind in table.unsupported.items():
        raise ValueError(
            f"{table.origin}: column {name!r} holds {kind}, which cannot be used; leave it out: "
            "name the columns to use with features (--features)"
        )
