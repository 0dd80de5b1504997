"""Constants of activations that the formats have in common."""

from __future__ import annotations

import math

__all__ = ["GELU_TANH_CUBIC", "GELU_TANH_FACTOR", "SELU_ALPHA", "SELU_SCALE"]

# G. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
SELU_ALPHA = 1.6732632423543772848
SELU_SCALE = 1.0507009873554804934

# (1 + tanh u) / 2 is sigmoid(2 u), which does not cancel for z < 0; 2 u = factor (z + cubic z^3):
# D. Hendrycks, K. Gimpel, "Gaussian error linear units (GELUs)", arXiv:1606.08415, 2016.
GELU_TANH_FACTOR = 2 * math.sqrt(2 / math.pi)
GELU_TANH_CUBIC = 0.044715
