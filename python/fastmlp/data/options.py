"""The choices about data that a person makes, checked as far as they can be without the data."""

from __future__ import annotations

from dataclasses import dataclass

from fastmlp.data.columns import UNKNOWN_CATEGORIES
from fastmlp.data.names import listed
from fastmlp.data.targets import TASKS
from fastmlp.validation import choice, flag, integer, keep, real

__all__ = ["Options"]

IMPUTATIONS = ("error", "mean", "median", "most_frequent")


@dataclass(frozen=True)
class Options:
    """What to make of a source.

    Parameters
    ----------
    target : tuple of str
        Columns of a table to predict; by default the one named target, label, class or y.
    features : tuple of str
        Columns of a table to predict from; by default all others.
    task : {"auto", "classification", "multilabel", "regression"}
        "auto": as the source or its values suggest.
    test_fraction : float in [0, 1), optional
        Part of the samples set aside for the test; by default 0.2, and 0 where the source has a
        test part of its own.
    validation_fraction : float in [0, 1), optional
        Part of the other samples set aside for choosing among networks; by default 0.1, and 0
        where the source has a test part of its own.
    stratify : bool
        Give each part the classes in the same shares.
    split_seed : int
        Of the draw of the parts, and of nothing else.
    standardize : bool, optional
        Bring each input to mean 0 and standard deviation 1 in the training part; by default all
        inputs but bytes.
    standardize_target : bool
        Likewise the targets of a regression.
    impute : {"error", "mean", "median", "most_frequent"}
        What a missing value in a table is replaced with, learnt from the training part. Of
        categories it is always the most frequent one.
    unknown_categories : {"error", "ignore"}
        What becomes of a category that the training part does not hold: it is refused, or all
        inputs of its column are 0.
    sample_weight : str, optional
        Column of a table with the weights of the samples, >= 0.

    Raises
    ------
    TypeError, ValueError
        A value is of another kind or out of range.
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
                "target or features name as well"
            )
        for name in self.features:
            if name in self.target:
                raise ValueError(f"features must not hold the target {name!r}")
