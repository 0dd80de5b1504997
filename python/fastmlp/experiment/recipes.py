"""Settings where the user names none, by data set: the one place where they are written down."""

from __future__ import annotations

import os
from typing import Any

__all__ = ["IMAGES", "RECIPES", "TABLES", "recipe_for"]

Recipe = dict[str, dict[str, Any]]

IMAGES: Recipe = {
    "network": {"hidden": [512]},
    "optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 6, "batch_size": 64},
}
TABLES: Recipe = {
    "network": {"hidden": [64, 64]},
    "optimizer": {"name": "adam", "learning_rate": 0.003},
    "schedule": {"name": "cosine", "per": "epoch"},
    "training": {"epochs": 60, "batch_size": 32},
}

# By data set. Others get TABLES, directories and IDX files IMAGES.
RECIPES: dict[str, Recipe] = {
    "mnist": IMAGES,
    "fashion-mnist": IMAGES,
    "kmnist": IMAGES,
    "cifar10": {
        "network": {"hidden": [1024, 512], "dropout": 0.2},
        "optimizer": {"name": "sgd", "learning_rate": 0.02, "momentum": 0.9},
        "schedule": {"name": "cosine", "per": "epoch"},
        "training": {"epochs": 20, "batch_size": 128},
    },
}


def recipe_for(source: str) -> Recipe:
    """The settings that suit a data source where nothing else is said."""
    name = source.strip().lower().replace("_", "-")
    if name in RECIPES:
        return RECIPES[name]
    path = os.path.expanduser(source)
    stem = path.removesuffix(".gz")
    if os.path.isdir(path) or stem.endswith((".idx", "-ubyte")):
        return IMAGES
    return TABLES
