"""Choices about data (`Options`), and the roles of the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastmlp.data.cells import listed
from fastmlp.data.columns import UNKNOWN_CATEGORIES
from fastmlp.data.table import Table
from fastmlp.data.targets import TASKS, find_targets
from fastmlp.errors import did_you_mean
from fastmlp.validation import choice, flag, integer, keep, real

__all__ = [
    "TEST_FRACTION",
    "VALIDATION_FRACTION",
    "Options",
    "Roles",
    "refuse_column_options",
    "table_roles",
]

# Default fractions for a source without a test part.
TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1
IMPUTATIONS = ("error", "mean", "median", "most_frequent")


@dataclass(frozen=True)
class Options:
    """Choices of targets, features, parts and preprocessing for a source.

    The constructor checks all that can be checked without the data.

    Parameters
    ----------
    target : tuple of str
        Columns of a table to predict; by default the one that is named target, label, class or y.
    features : tuple of str
        Columns of a table to predict from; by default all others.
    task : {"auto", "classification", "multilabel", "regression"}
        Kind of the targets; "auto": the one that the source declares or its values suggest.
    test_fraction : float in [0, 1), optional
        Share of the samples that is set aside for the test; by default 0.2, or 0 if the source has
        a test part.
    validation_fraction : float in [0, 1), optional
        Share of the other samples that is set aside for validation; by default 0.1, or 0 if the
        source has a test part.
    stratify : bool
        Whether all parts hold the classes in the same shares.
    split_seed : int
        Seed of the split into parts.
    standardize : bool, optional
        Whether to scale each input to mean 0 and standard deviation 1 in the training part; by
        default unless inputs are bytes.
    standardize_target : bool
        Whether to scale the targets of a regression to mean 0 and standard deviation 1.
    impute : {"error", "mean", "median", "most_frequent"}
        Replacement for a missing value in a table, learned from the training part; "error": none.
        The replacement of a category is always the most frequent one.
    unknown_categories : {"error", "ignore"}
        Treatment of a category that the training part does not hold: "error" refuses it,
        "ignore" sets all inputs of its column to 0.
    sample_weight : str, optional
        Column of a table with the weights of the samples, >= 0.

    Raises
    ------
    TypeError, ValueError
        A value is of the wrong type or out of range.

    Examples
    --------
    >>> import fastmlp
    >>> options = fastmlp.data.Options(target=("price",), impute="median")
    >>> options.target, options.task
    (('price',), 'auto')
    """

    target: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    task: str = "auto"
    test_fraction: float | None = None
    validation_fraction: float | None = None
    stratify: bool = True
    split_seed: int = 0
    standardize: bool | None = None
    standardize_target: bool = True
    impute: str = "error"
    unknown_categories: str = "error"
    sample_weight: str | None = None

    def __post_init__(self) -> None:
        for field in ("target", "features"):
            names = getattr(self, field)
            if isinstance(names, str) or not all(isinstance(name, str) for name in names):
                raise TypeError(f"{field} must be a tuple of column names, got {names!r}")
            if len(set(names)) != len(names):
                raise ValueError(f"{field} must name each column once, got {listed(names)}")
            keep(self, **{field: tuple(map(str, names))})
        known = UNKNOWN_CATEGORIES
        keep(
            self,
            task=choice("task", self.task, ("auto", *TASKS)),
            impute=choice("impute", self.impute, IMPUTATIONS),
            unknown_categories=choice("unknown_categories", self.unknown_categories, known),
            split_seed=integer("split_seed", self.split_seed, 0),
            stratify=flag("stratify", self.stratify),
            standardize_target=flag("standardize_target", self.standardize_target),
        )
        for field in ("test_fraction", "validation_fraction"):
            if getattr(self, field) is not None:
                keep(self, **{field: real(field, getattr(self, field), 0.0, 1.0, below=True)})
        if self.standardize is not None:
            keep(self, standardize=flag("standardize", self.standardize))
        if self.sample_weight is not None:
            if not isinstance(self.sample_weight, str):
                raise TypeError(
                    f"sample_weight must be a column name, got {type(self.sample_weight).__name__}"
                )
            keep(self, sample_weight=str(self.sample_weight))
        if self.sample_weight in (*self.target, *self.features):
            raise ValueError(
                f"sample_weight must be a column of its own, got {self.sample_weight!r}, which "
                "is in target or features too"
            )
        for name in self.features:
            if name in self.target:
                raise ValueError(f"features must not hold the target {name!r}")


# ---------------------------------------------------------------- roles of columns


@dataclass(frozen=True)
class Roles:
    """Columns of a table by their role. Features are in the order of the file."""

    targets: tuple[str, ...]
    features: tuple[str, ...]
    weight: str | None


def table_roles(table: Table, options: Options) -> Roles:
    """Assign the columns of a table their roles, by the options or else by default.

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
    """Raise ValueError for options that apply to tables only."""
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
