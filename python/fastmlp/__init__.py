"""Multi-layer perceptrons trained on CPUs: fast, and the same bits on any number of threads.

Names are loaded when they are first used, so that ``import fastmlp`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastmlp import datasets
    from fastmlp.environment import info
    from fastmlp.errors import DataUnavailableError, DivergedError, FormatError
    from fastmlp.history import History
    from fastmlp.loading import load
    from fastmlp.model import MLP
    from fastmlp.optimizers import SGD, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, RMSprop
    from fastmlp.plan import Plan

__version__ = "0.1.0"

__all__ = [
    "MLP",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "DataUnavailableError",
    "DivergedError",
    "FormatError",
    "History",
    "Lion",
    "Nadam",
    "Plan",
    "RMSprop",
    "datasets",
    "info",
    "load",
]

_HOMES = {
    "MLP": "fastmlp.model",
    "History": "fastmlp.history",
    "Plan": "fastmlp.plan",
    "load": "fastmlp.loading",
    "SGD": "fastmlp.optimizers",
    "Adagrad": "fastmlp.optimizers",
    "Adam": "fastmlp.optimizers",
    "AdamW": "fastmlp.optimizers",
    "Adamax": "fastmlp.optimizers",
    "Lion": "fastmlp.optimizers",
    "Nadam": "fastmlp.optimizers",
    "RMSprop": "fastmlp.optimizers",
    "info": "fastmlp.environment",
    "DataUnavailableError": "fastmlp.errors",
    "DivergedError": "fastmlp.errors",
    "FormatError": "fastmlp.errors",
}


def __getattr__(name: str) -> Any:
    if name == "datasets":
        return importlib.import_module("fastmlp.datasets")
    if name not in _HOMES:
        raise AttributeError(f"module 'fastmlp' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
