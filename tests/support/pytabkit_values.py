"""What other implementations of networks for tables compute, stored.

`tests/network/oracles/README.md` says what the names mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "network" / "oracles"
TABM_CASES = (
    "tabm",
    "tabm-embedded",
    "tabm-mini",
    "tabm-mini-embedded",
    "tabm-packed",
    "tabm-packed-embedded",
    "tabm-regression",
)

Values = dict[str, NDArray[Any]]
RealMLPTask = Literal["classes", "regression"]


def under(values: Values, prefix: str) -> Values:
    """The values whose names start with `prefix/`, by the rest of their names."""
    start = f"{prefix}/"
    return {name[len(start) :]: value for name, value in values.items() if name.startswith(start)}


def stored(name: str) -> Values:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


def realmlp_values(task: RealMLPTask) -> Values:
    return stored(f"realmlp_{task}")


def tabm_values(case: str) -> Values:
    """Inputs and the values of one of `TABM_CASES`."""
    values = stored("tabm")
    return {name: v for name, v in values.items() if "/" not in name} | under(values, case)
