"""Multi-layer perceptrons trained on CPUs: fast, with the same bits on any number of threads.

Names are loaded on first use, so that ``import fastmlp`` is quick.
"""

from __future__ import annotations

import _thread
import importlib
import os

from fastmlp._moved_modules import find_moved_modules as _find_moved_modules
from fastmlp._version import __version__ as __version__

# As in `typing`, which is slow to load: a signal is answered only after this module.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fastmlp import (
        data,
        datasets,
        export,
        expressions,
        inputs,
        metrics,
        plot,
        schedules,
        streams,
    )
    from fastmlp.activations import ELU, LeakyReLU, Sign, Step
    from fastmlp.averaging import EMA, SWA
    from fastmlp.callbacks import (
        Callback,
        EarlyStopping,
        LambdaCallback,
        LearningRateScheduler,
        ModelCheckpoint,
        ParameterRecorder,
    )
    from fastmlp.environment import info
    from fastmlp.errors import (
        DataUnavailableError,
        DivergedError,
        FormatError,
        RankError,
        SourceError,
    )
    from fastmlp.estimators import MLPClassifier, MLPRegressor
    from fastmlp.experiment.bagging import BaggedModel
    from fastmlp.experiment.cross_validation import CrossValidation, cross_validate
    from fastmlp.experiment.importance import permutation_importance
    from fastmlp.experiment.model_estimators import ModelClassifier, ModelRegressor
    from fastmlp.experiment.pipeline import Model
    from fastmlp.experiment.tabular_estimators import TabularClassifier, TabularRegressor
    from fastmlp.history import History
    from fastmlp.initializers import Constant, Normal, Orthogonal, Uniform
    from fastmlp.loading import load
    from fastmlp.loggers import CSVLogger, JSONLogger, TensorBoard
    from fastmlp.losses import (
        MAE,
        MSE,
        BinaryCrossEntropy,
        HalfMSE,
        Hinge,
        Huber,
        Poisson,
        Quantile,
        SoftmaxCrossEntropy,
        UserLoss,
    )
    from fastmlp.model import MLP
    from fastmlp.network.plan import Plan
    from fastmlp.notebook import LiveTable
    from fastmlp.optimizers import SGD, Adagrad, Adam, Adamax, AdamW, Group, Lion, Nadam, RMSprop
    from fastmlp.training.lbfgs import LBFGS
    from fastmlp.training.lr_finder import LearningRates
    from fastmlp.training.shares import rows_of_rank

__all__ = [
    "__version__",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "BaggedModel",
    "BinaryCrossEntropy",
    "CSVLogger",
    "Callback",
    "Constant",
    "ConvergenceWarning",
    "CrossValidation",
    "DataUnavailableError",
    "DivergedError",
    "ELU",
    "EMA",
    "EarlyStopping",
    "FormatError",
    "Group",
    "HalfMSE",
    "Hinge",
    "History",
    "Huber",
    "JSONLogger",
    "LBFGS",
    "LambdaCallback",
    "LeakyReLU",
    "LearningRateScheduler",
    "LearningRates",
    "Lion",
    "LiveTable",
    "MAE",
    "MLP",
    "MLPClassifier",
    "MLPRegressor",
    "Model",
    "MSE",
    "ModelCheckpoint",
    "ModelClassifier",
    "ModelRegressor",
    "Nadam",
    "Normal",
    "Orthogonal",
    "ParameterRecorder",
    "Plan",
    "Poisson",
    "Quantile",
    "RMSprop",
    "RankError",
    "SGD",
    "SWA",
    "Sign",
    "SoftmaxCrossEntropy",
    "SourceError",
    "Step",
    "TabularClassifier",
    "TabularRegressor",
    "TensorBoard",
    "TrainingWarning",
    "Uniform",
    "UserLoss",
    "cross_validate",
    "data",
    "datasets",
    "export",
    "expressions",
    "info",
    "inputs",
    "load",
    "metrics",
    "permutation_importance",
    "plot",
    "rows_of_rank",
    "schedules",
    "streams",
]

_MODULES = (
    "activations",
    "callbacks",
    "data",
    "datasets",
    "export",
    "expressions",
    "initializers",
    "inputs",
    "losses",
    "metrics",
    "optimizers",
    "plot",
    "schedules",
    "streams",
)
_HOMES = {
    "activations": (
        "ELU",
        "LeakyReLU",
        "Sign",
        "Step",
    ),
    "averaging": (
        "EMA",
        "SWA",
    ),
    "callbacks": (
        "Callback",
        "EarlyStopping",
        "LambdaCallback",
        "LearningRateScheduler",
        "ModelCheckpoint",
        "ParameterRecorder",
    ),
    "environment": ("info",),
    "errors": (
        "ConvergenceWarning",
        "DataUnavailableError",
        "DivergedError",
        "FormatError",
        "RankError",
        "SourceError",
        "TrainingWarning",
    ),
    "estimators": (
        "MLPClassifier",
        "MLPRegressor",
    ),
    "history": ("History",),
    "initializers": (
        "Constant",
        "Normal",
        "Orthogonal",
        "Uniform",
    ),
    "training.lbfgs": ("LBFGS",),
    "loggers": (
        "CSVLogger",
        "JSONLogger",
        "TensorBoard",
    ),
    "losses": (
        "BinaryCrossEntropy",
        "HalfMSE",
        "Hinge",
        "Huber",
        "MAE",
        "MSE",
        "Poisson",
        "Quantile",
        "SoftmaxCrossEntropy",
        "UserLoss",
    ),
    "training.lr_finder": ("LearningRates",),
    "training.shares": ("rows_of_rank",),
    "experiment.bagging": ("BaggedModel",),
    "experiment.cross_validation": (
        "CrossValidation",
        "cross_validate",
    ),
    "experiment.model_estimators": (
        "ModelClassifier",
        "ModelRegressor",
    ),
    "experiment.importance": ("permutation_importance",),
    "experiment.pipeline": ("Model",),
    "experiment.tabular_estimators": (
        "TabularClassifier",
        "TabularRegressor",
    ),
    "loading": ("load",),
    "model": ("MLP",),
    "optimizers": (
        "Adagrad",
        "Adam",
        "AdamW",
        "Adamax",
        "Group",
        "Lion",
        "Nadam",
        "RMSprop",
        "SGD",
    ),
    "notebook": ("LiveTable",),
    "network.plan": ("Plan",),
}
# A fork waits until other threads have loaded their names: the child would otherwise wait forever
# for the lock of a module that no thread of its process imports.
_loading = _thread.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_loading.acquire,
        after_in_parent=_loading.release,
        after_in_child=_loading.release,
    )
_HOME_OF = {name: f"fastmlp.{home}" for home, names in _HOMES.items() for name in names}


_find_moved_modules()


def __getattr__(name: str) -> Any:
    if name not in _MODULES and name not in _HOME_OF:
        raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
    with _loading:
        if name in _MODULES:
            return importlib.import_module(f"fastmlp.{name}")
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
