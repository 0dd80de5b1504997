"""Description of the build and of the machine."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from fastmlp import _core
from fastmlp._system import cpu_name
from fastmlp._version import __version__

__all__ = ["info"]


def info() -> dict[str, Any]:
    """Describe the build and the machine.

    Returns
    -------
    dict
        ``version``, ``isa`` (instruction set in use), ``isas_available`` (best first), ``threads``
        (that the process may use), ``compiler``, ``openmp`` (date of its version; 0 for threads of
        the C++ library), ``numpy``, ``python`` (versions), ``cpu`` (name).

    Examples
    --------
    >>> info()["isa"] in info()["isas_available"]
    True
    """
    return {
        "version": __version__,
        "isa": _core.active_isa(),
        "isas_available": list(_core.isas()),
        "threads": _core.available_threads(),
        "compiler": _core.compiler,
        "openmp": _core.openmp,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu": cpu_name(),
    }
