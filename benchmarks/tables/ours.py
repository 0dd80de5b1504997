"""fastmlp's own methods. Add one to `METHODS`, and `run.py --method` takes it.

A method is a function of a split and a seed that returns a `Prediction` for the test rows.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opponents import THREADS, Method, Prediction, parts

from datasets import Split

if TYPE_CHECKING:
    from sklearn.compose import ColumnTransformer


def estimator(split: Split, seed: int) -> Prediction:
    """`MLPClassifier` or `MLPRegressor` at their defaults behind scaling and one-hot coding.

    They have no way to take validation rows, so they train on these too.
    """
    import numpy as np
    import pandas as pd
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    import fastmlp

    data = parts(split, impute=True)
    classes = split.table.task != "regression"
    model: Any
    if classes:
        model = fastmlp.MLPClassifier(random_state=seed)
    else:
        model = TransformedTargetRegressor(
            fastmlp.MLPRegressor(random_state=seed), transformer=StandardScaler()
        )
    pipeline = make_pipeline(_prepared(data.categories), model)
    x = pd.concat([data.x_train, data.x_validation])
    start = time.perf_counter()
    pipeline.fit(x, np.concatenate([data.y_train, data.y_validation]))
    seconds = time.perf_counter() - start
    values = pipeline.predict_proba(data.x_test) if classes else pipeline.predict(data.x_test)
    return Prediction(np.asarray(values, dtype=np.float64), seconds)


def _prepared(categories: list[str]) -> ColumnTransformer:
    from sklearn.compose import make_column_transformer
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer((one_hot, categories), remainder=StandardScaler())


def command(split: Split, seed: int, *flags: str) -> Prediction:
    """`fastmlp train` on a file of the training and validation rows, which it splits itself."""
    import numpy as np
    import pandas as pd

    target = split.table.target
    with tempfile.TemporaryDirectory() as folder:
        train, test, out = (Path(folder) / name for name in ("train.csv", "test.csv", "out.csv"))
        pd.concat([split.train, split.validation]).to_csv(train, index=False)
        split.test.drop(columns=target).to_csv(test, index=False)
        task = "regression" if split.table.task == "regression" else "classification"
        run = Path(folder) / "run"
        start = time.perf_counter()
        _fastmlp(
            *("train", str(train), "--target", target, "--task", task, "--out", str(run)),
            *("--test-fraction", "0", "--validation-fraction", "0.2", "--seed", str(seed)),
            *("--split-seed", str(seed), "--threads", str(THREADS), "--no-report", "--quiet"),
            *flags,
        )
        seconds = time.perf_counter() - start
        more = () if task == "regression" else ("--probabilities",)
        _fastmlp("predict", str(run), str(test), "--output", str(out), *more)
        with out.open() as file:
            lines = list(csv.DictReader(file))
    if task == "regression":
        (column,) = (name for name in lines[0] if name != "problem")
        return Prediction(np.array([float(line[column]) for line in lines]), seconds)
    labels = np.unique(split.table.frame[target])
    values = [[float(line[f"p({label})"]) for label in labels] for line in lines]
    return Prediction(np.array(values), seconds)


def _fastmlp(*arguments: str) -> None:
    call = [sys.executable, "-m", "fastmlp", *arguments]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(call)}:\n{done.stderr}")


def model(split: Split, seed: int, architecture: str, **settings: Any) -> Prediction:
    """`fastmlp.Model` with an architecture for tables; the validation rows choose the epoch."""
    import numpy as np

    import fastmlp

    target = split.table.target
    task = "regression" if split.table.task == "regression" else "classification"
    made = fastmlp.Model(
        architecture=architecture,
        seed=seed,
        target=target,
        task=task,
        threads=THREADS,
        **settings,
    )
    start = time.perf_counter()
    made.fit(split.train, validation=split.validation, verbose=0)
    seconds = time.perf_counter() - start
    x = split.test.drop(columns=target)
    if task == "regression":
        return Prediction(np.asarray(made.predict(x), dtype=np.float64).ravel(), seconds)
    labels = [str(label) for label in np.unique(split.table.frame[target])]
    known = [str(name) for name in made.classes]
    values = np.zeros((len(x), len(labels)))
    values[:, [labels.index(name) for name in known]] = made.predict_proba(x)
    return Prediction(values, seconds)


def of_architecture(architecture: str, **settings: Any) -> Method:
    """Return `model` for an architecture and settings as a method."""
    return lambda split, seed: model(split, seed, architecture, **settings)


def bagged(split: Split, seed: int) -> Prediction:
    """`TabularClassifier` or `TabularRegressor` with five folds of training and validation rows."""
    import numpy as np
    import pandas as pd

    import fastmlp

    target = split.table.target
    regression = split.table.task == "regression"
    kind = fastmlp.TabularRegressor if regression else fastmlp.TabularClassifier
    rows = pd.concat([split.train, split.validation])
    made = kind(n_cv=5, n_jobs=THREADS, random_state=seed)
    start = time.perf_counter()
    made.fit(rows.drop(columns=target), rows[target])
    seconds = time.perf_counter() - start
    x = split.test.drop(columns=target)
    values = made.predict(x) if regression else made.predict_proba(x)
    return Prediction(np.asarray(values, dtype=np.float64), seconds)


METHODS: dict[str, Method] = {
    "fastmlp-estimator": estimator,
    "fastmlp-command": command,
    "fastmlp-realmlp": of_architecture("realmlp"),
    "fastmlp-realmlp-s": of_architecture("realmlp-s"),
    "fastmlp-tabm": of_architecture("tabm"),
    "fastmlp-tabm-small": of_architecture("tabm", hidden=[128, 128, 128], members=8),
    "fastmlp-realmlp-folds": bagged,
}
