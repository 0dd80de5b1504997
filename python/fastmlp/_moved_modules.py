"""Names of modules that have moved, under which older pickles and programs import them.

A finder behind all others answers for them, so that they cost nothing until they are asked for.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["MOVED", "find_moved_modules"]

MOVED = {
    "fastmlp.architecture": "fastmlp.network.architecture",
    "fastmlp.continuation": "fastmlp.training.continuation",
    "fastmlp.lbfgs": "fastmlp.training.lbfgs",
    "fastmlp.lr_finder": "fastmlp.training.lr_finder",
    "fastmlp.monitoring": "fastmlp.history",
    "fastmlp.objective": "fastmlp.training.objective",
    "fastmlp.parameters": "fastmlp.network.parameters",
    "fastmlp.plan": "fastmlp.network.plan",
    "fastmlp.run": "fastmlp.training.run",
    "fastmlp.samples": "fastmlp.network.samples",
    "fastmlp.storage": "fastmlp.stored_model",
}


class _Finder:
    """Finds modules under their old names and loads those of the new names."""

    @staticmethod
    def find_spec(
        name: str, _path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, _Finder) if name in MOVED else None  # type: ignore[arg-type]

    @staticmethod
    def create_module(_spec: ModuleSpec) -> None:
        """Let the import system make an empty module, which `exec_module` replaces."""

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(MOVED[module.__name__])


def find_moved_modules() -> None:
    """Let imports of the old names find the moved modules."""
    sys.meta_path.append(_Finder)
