"""The map of inputs to normal quantiles in C, computed as `NormalMap.apply` computes it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastmlp.export.c_text import array_lines
from fastmlp.export.inference import Inference

__all__ = ["normal_map"]


def normal_map(inference: Inference, prefix: str) -> Iterator[str]:
    """Yield the quantiles and the function NAME_normal, if the model has them."""
    mask, known, values = (
        inference.quantities, inference.input_quantiles, inference.normal_quantiles,
    )  # fmt: skip
    if mask is None or known is None or values is None:
        return
    rows = np.where(mask, np.cumsum(mask) - 1, -1).astype(np.intc)
    for name, array in (
        ("quantile_rows", rows), ("input_quantiles", known), ("normal_quantiles", values),
    ):  # fmt: skip
        yield ""
        yield from array_lines(f"{prefix}_{name}", array)
    text = _NORMAL.replace("LAST", str(known.shape[1] - 1)).replace("NAME", prefix)
    yield from text.split("\n")


# No product is followed by a sum, which a compiler might contract.
_NORMAL = """
static inline double NAME_normal(int i, double value)
{
    const int row = NAME_quantile_rows[i];
    if (row < 0) return value;
    const double *known = NAME_input_quantiles[row];
    const double *normal = NAME_normal_quantiles[row];
    if (value < known[0]) value = known[0];
    if (value > known[LAST]) value = known[LAST];
    int low = 0;
    for (int high = LAST; high - low > 1;) {
        const int half = (low + high) / 2;
        if (known[half] <= value) {
            low = half;
        } else {
            high = half;
        }
    }
    const double rise = normal[low + 1] - normal[low];
    if (rise == 0.0) return normal[low];
    return normal[low] + (value - known[low]) / ((known[low + 1] - known[low]) / rise);
}"""
