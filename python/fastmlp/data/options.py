"""Choices about data: targets, features, kinds of columns, parts, preprocessing."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.data.cells import NumberFormat, listed
from fastmlp.data.columns import UNKNOWN_CATEGORIES
from fastmlp.validation import choice, flag, integer, keep, real

__all__ = ["MISSING_VALUES", "SCALINGS", "TASKS", "TEST_FRACTION", "VALIDATION_FRACTION", "Options"]

TASKS = ("classification", "multilabel", "regression")
# Default fractions for a source without a test part.
TEST_FRACTION = 0.2
VALIDATION_FRACTION = 0.1
MISSING_VALUES = ("auto", "error", "mean", "median", "most_frequent")
SCALINGS = ("standard", "shared", "robust", "quantile")
CATEGORY_INPUTS = ("one_hot", "code")
_NAMES = ("target", "features", "exclude", "categorical", "numeric", "date", "id", "missing_token")
_GROUP_SIGNS = (",", ".", "'", " ", "")
_FORCED = ("categorical", "numeric", "date", "id")


@dataclass(frozen=True)
class Options:
    """Choices of targets, features, kinds of columns, parts and preprocessing for a source.

    The constructor checks all that can be checked without the data.

    Parameters
    ----------
    target : tuple of str
        Columns of a table to predict; by default the one that is named target, label, class or y.
    features : tuple of str
        Columns of a table to predict from; by default all others that can be used.
    exclude : tuple of str
        Columns of a table to leave out.
    categorical, numeric, id : tuple of str
        Columns that hold names, quantities, or identifiers, which are left out, whatever they look
        like.
    date : tuple of str
        Columns that hold dates: a name, or a name and a format of strptime as in
        ``sold=%d/%m/%Y``.
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
        Whether to scale inputs as `scaling` says; by default unless inputs are bytes and `scaling`
        is "standard".
    scaling : {"standard", "shared", "robust", "quantile"}
        "standard": each input has mean 0 and standard deviation 1 in the training part. "shared":
        each input has mean 0, and all are divided by one standard deviation, that of their values
        from these means, so that a pixel that hardly varies stays small. "robust":
        quantities have median 0 and quartiles at a distance of 1, whatever outliers do (range 2
        where most values are equal). "quantile": quantities are mapped from their quantiles to
        those of the standard normal distribution, between -5.2 and 5.2. With both, inputs for
        categories and missing values stay 0 and 1.
    standardize_target : bool
        Whether to scale the targets of a regression to mean 0 and standard deviation 1.
    category_inputs : {"one_hot", "code"}
        Whether a category becomes one input per name, or its code for a network that embeds it.
    clamp_target : bool
        Whether predictions of a regression are limited to the range of the targets in the training
        part.
    missing : {"auto", "error", "mean", "median", "most_frequent"}
        Treatment of missing values in a table. "auto": the median replaces numbers and dates, with
        an indicator as further input if the training part lacks some, and a missing category is a
        level of its own; "error" refuses them; otherwise this statistic of the training part
        replaces numbers, and the most frequent category replaces categories.
    missing_token : tuple of str
        Texts that stand for a missing value in every column, besides the usual ones.
    decimal : {".", ","}, optional
        Decimal sign of the numbers of a text file; by default each column tells.
    thousands : str, optional
        Sign between groups of digits.
    unknown_categories : {"ignore", "error"}
        Treatment of a category that the training part does not hold: "ignore" sets all inputs of
        its column to 0, "error" refuses it.
    sample_weight : str, optional
        Column of a table with the weights of the samples, >= 0.

    Raises
    ------
    TypeError, ValueError
        A value is of the wrong type or out of range.

    Examples
    --------
    >>> import fastmlp
    >>> options = fastmlp.data.Options(target=("price",), date=("sold=%d/%m/%Y",))
    >>> options.target, options.task
    (('price',), 'auto')
    """

    target: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    date: tuple[str, ...] = ()
    id: tuple[str, ...] = ()
    task: str = "auto"
    test_fraction: float | None = None
    validation_fraction: float | None = None
    stratify: bool = True
    split_seed: int = 0
    standardize: bool | None = None
    scaling: str = "standard"
    standardize_target: bool = True
    clamp_target: bool = False
    category_inputs: str = "one_hot"
    missing: str = "auto"
    missing_token: tuple[str, ...] = ()
    decimal: str | None = None
    thousands: str | None = None
    unknown_categories: str = "ignore"
    sample_weight: str | None = None

    def __post_init__(self) -> None:
        for field in _NAMES:
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
            missing=choice("missing", self.missing, MISSING_VALUES),
            unknown_categories=choice("unknown_categories", self.unknown_categories, known),
            split_seed=integer("split_seed", self.split_seed, 0),
            stratify=flag("stratify", self.stratify),
            scaling=choice("scaling", self.scaling, SCALINGS),
            standardize_target=flag("standardize_target", self.standardize_target),
            clamp_target=flag("clamp_target", self.clamp_target),
            category_inputs=choice("category_inputs", self.category_inputs, CATEGORY_INPUTS),
        )
        for field in ("test_fraction", "validation_fraction"):
            if getattr(self, field) is not None:
                keep(self, **{field: real(field, getattr(self, field), 0.0, 1.0, below=True)})
        if self.standardize is not None:
            keep(self, standardize=flag("standardize", self.standardize))
            if self.scaling != "standard" and not self.standardize:
                raise ValueError(
                    f"scaling must be left out where standardize is off, got {self.scaling!r}"
                )
        if self.decimal is not None:
            keep(self, decimal=choice("decimal", self.decimal, (".", ",")))
        if self.thousands is not None:
            keep(self, thousands=choice("thousands", self.thousands, _GROUP_SIGNS))
        if self.sample_weight is not None:
            if not isinstance(self.sample_weight, str):
                raise TypeError(
                    f"sample_weight must be a column name, got {type(self.sample_weight).__name__}"
                )
            keep(self, sample_weight=str(self.sample_weight))
        _require_one_role(self)
        _require_signs(self)

    @property
    def dates(self) -> dict[str, str | None]:
        """The columns of `date` with their formats; None: the cells decide."""
        split = (entry.partition("=") for entry in self.date)
        return {name: form or None for name, _, form in split}

    @property
    def number_format(self) -> NumberFormat | None:
        """The format of all numbers of the file, or None if each column tells its own."""
        if self.decimal is None and self.thousands is None:
            return None
        decimal = self.decimal or ("," if self.thousands == "." else ".")
        if self.thousands is None:
            return NumberFormat.grouped(decimal)
        return NumberFormat(decimal, self.thousands)

    @property
    def named(self) -> dict[str, str]:
        """The columns that options name, with the option that names each first."""
        found: dict[str, str] = {}
        for field in ("target", "features", "exclude", "categorical", "numeric", "id"):
            for name in getattr(self, field):
                found.setdefault(name, field)
        for name in self.dates:
            found.setdefault(name, "date")
        if self.sample_weight is not None:
            found.setdefault(self.sample_weight, "sample_weight")
        return found


def _require_one_role(options: Options) -> None:
    weight = options.sample_weight
    if weight is not None and weight in (*options.target, *options.features):
        raise ValueError(
            f"sample_weight must be a column of its own, got {weight!r}, which is in target or "
            "features too"
        )
    for name in options.features:
        if name in options.target:
            raise ValueError(f"features must not hold the target {name!r}")
    for name in (*options.exclude, *options.id):
        if name in (*options.target, *options.features):
            field = "exclude" if name in options.exclude else "id"
            raise ValueError(f"{field} must not hold {name!r}, which is in target or features")
    roles: dict[str, str] = {}
    for field in _FORCED:
        for name in options.dates if field == "date" else getattr(options, field):
            if name in roles:
                raise ValueError(f"{name!r} must be in one of {roles[name]} and {field}, not both")
            roles[name] = field


def _require_signs(options: Options) -> None:
    sign = options.thousands
    if sign is None:
        return
    if sign and sign == (options.decimal or ("," if sign == "." else ".")):
        raise ValueError(f"thousands and decimal must differ, got {sign!r} for both")
