"""Optional packages, and the error that says how to install a missing one."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["MissingExtraError", "require"]


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the message says how to install it."""


def require(extra: str, package: str) -> ModuleType:
    """Import a package of one of the extras of fastmlp.

    Parameters
    ----------
    extra : str
        Name of the extra in pyproject.toml, such as "data".
    package : str
        Module to import.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        # An installed package that lacks one of its own dependencies is broken, not missing.
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        raise MissingExtraError(
            f"{package} is needed; run \"pip install 'fastmlp[{extra}]'\"", name=error.name
        ) from None
