"""Derivatives by central differences."""

from __future__ import annotations

import numpy as np


def central_differences(value, parameters, step=1e-5):
    """Return derivatives of value() by all elements of the arrays, changing them in place."""
    gradients = []
    for p in parameters:
        gradient = np.empty_like(p)
        for i in np.ndindex(p.shape):
            kept = p[i]
            p[i] = kept + step
            above = value()
            p[i] = kept - step
            below = value()
            p[i] = kept
            gradient[i] = (above - below) / (2 * step)
        gradients.append(gradient)
    return gradients
