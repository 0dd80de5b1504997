"""Random networks for tables, drawn from a seed: inputs, factors, mixes and members of all kinds.

python tests/support/tabular_networks.py 123          # what the seed 123 draws
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastmlp
from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear

__all__ = [
    "Drawn", "codes", "drawn", "groups_of_inputs", "hostile_rows", "input_rows", "saturated",
    "shaken",
]  # fmt: skip

LOSSES: dict[str, tuple[Any, int, str]] = {
    "softmax_cross_entropy": ("softmax_cross_entropy", 4, "classes"),
    "softmax_output": ("softmax_cross_entropy", 3, "classes"),
    "hinge": ("hinge", 3, "classes"),
    "binary": ("binary_cross_entropy", 1, "labels"),
    "multilabel": ("binary_cross_entropy", 3, "labels"),
    "mse": ("mse", 2, "values"),
    "poisson": ("poisson", 2, "counts"),
    "quantile": (fastmlp.Quantile(levels=0.9), 1, "values"),
    "several": (
        [
            fastmlp.SoftmaxCrossEntropy(outputs=3),
            fastmlp.MSE(outputs=1),
            fastmlp.BinaryCrossEntropy(outputs=2),
            fastmlp.Poisson(outputs=1),
        ],
        7,
        "several",
    ),
}
_CONTINUOUS = (
    "relu", "tanh", "sigmoid", "gelu", "silu", "mish", "selu", "elu", "leaky_relu", "softplus",
    "hard_sigmoid", "gelu_tanh", "identity",
)  # fmt: skip
EXACT = ("relu", "leaky_relu", "identity", "hard_sigmoid")


@dataclass(frozen=True)
class Drawn:
    """A network whose parameters all differ from their initial values, with samples of it."""

    seed: int
    model: fastmlp.MLP
    x: Any
    y: Any

    def __str__(self) -> str:
        options = self.model.architecture.arguments()
        shown = (
            "inputs", "input_scaling", "parametric", "members", "sharing", "own_batches", "loss",
            "dtype",
        )  # fmt: skip
        rest = {key: options[key] for key in (*shown, "batch_normalization", "output_activation")}
        return f"seed {self.seed}: {self.model.layer_sizes} {rest}"


def groups_of_inputs(rng: np.random.Generator, *, exact: bool = False) -> list[Any]:
    """Return random groups; with `exact` those alone whose inputs need no function of a library."""
    return [_group(rng, exact) for _ in range(int(rng.integers(1, 6)))]


def _group(rng: np.random.Generator, exact: bool) -> Any:
    kind = int(rng.integers(6))
    clip = float(rng.choice([0.0, 0.0, 0.7, 3.0]))
    columns = int(rng.integers(1, 4))
    if kind == 0:
        return Numbers(columns, clip=clip)
    if kind == 1 and not exact:
        outputs = int(rng.integers(0, 4))
        phases = bool(rng.integers(2))
        embedding = Periodic(
            bases=2 * int(rng.integers(1, 5)), outputs=outputs, deviation=0.5, phases=phases,
            relu=bool(rng.integers(2)), keeps_value=bool(rng.integers(2)),
        )  # fmt: skip
        return Numbers(columns, embedding=embedding, clip=clip)
    if kind in (1, 2):
        edges = np.sort(rng.standard_normal((int(rng.choice([1, columns])), rng.integers(2, 7))))
        edges += np.arange(edges.shape[1]) * 0.05
        bins = PiecewiseLinear(
            edges, outputs=int(rng.integers(0, 4)), relu=bool(rng.integers(2)),
            keeps_value=bool(rng.integers(2)),
        )  # fmt: skip
        return Numbers(columns, embedding=bins, clip=clip)
    levels = int(rng.integers(1, 9))
    if kind == 3:
        return Category(levels, size=int(rng.integers(1, 6)))
    if kind == 4:
        needed = 3 if levels == 2 else 2 * levels
        return OneHot(levels, values=tuple(rng.standard_normal(needed)))
    return OneHot(levels)


def codes(rng: np.random.Generator, levels: int, count: int) -> Any:
    """Return codes as they may stand in a column of floats, unknown and absurd ones among them."""
    known = rng.integers(0, levels, count).astype(np.float64)
    strange = np.array([-1, levels, levels + 0.5, -0.25, -0.0, 0.75, 2.0**31, -1e9, 3e18, 1e30])
    return np.where(rng.random(count) < 0.7, known, rng.choice(strange, count))


def input_rows(rng: np.random.Generator, groups: Any, features: int, count: int) -> Any:
    """Return samples, float64, with codes where a group of inputs takes them."""
    x = rng.standard_normal((count, features)) * rng.choice([0.3, 1.0, 5.0], (count, features))
    column = 0
    for group in groups:
        if not isinstance(group, Numbers):
            x[:, column] = codes(rng, group.levels, count)
        column += group.columns
    return x


def hostile_rows(model: fastmlp.MLP, dtype: Any) -> Any:
    """Return samples of one large magnitude after the other, also where codes are expected."""
    sizes = [0.0, -0.0, 1e-30, 1e-3, 2.0**24, 1e5, 3e9, 1e17, 1e30]
    signed = np.array([sign * size for size in sizes for sign in (1, -1)])
    return np.repeat(signed[:, np.newaxis], model.layer_sizes[0], axis=1).astype(dtype)


def shaken(model: fastmlp.MLP, rng: np.random.Generator) -> None:
    """Give all parameters values that no initialization gives."""
    changed = {}
    for name, array in model.parameters().items():
        noise = rng.standard_normal(array.shape)
        if name.endswith("variances"):
            changed[name] = np.abs(array) * np.exp(0.3 * noise)
        elif name.endswith("mixes"):
            chosen = rng.choice([0.0, 1.0, np.nan, np.nan, np.nan], array.shape)
            changed[name] = np.where(np.isnan(chosen), 0.6 + 0.4 * noise, chosen)
        else:
            changed[name] = array + 0.2 * noise
    model.set_parameters(changed)


def saturated(loss_name: str, dtype: str) -> tuple[fastmlp.MLP, Any]:
    """Return members that are all certain, or whose rates are 0 or huge, and samples."""
    loss, outputs, _ = LOSSES[loss_name]
    model = fastmlp.MLP([1, outputs], members=3, loss=loss, dtype=dtype)
    weights = np.linspace(-30.0, 30.0, outputs) if outputs > 1 else np.array([30.0])
    if outputs > 5:  # far apart within the first group, too
        weights[[1, 5]] = weights[[5, 1]]
    model.weights = [np.broadcast_to(weights, (3, 1, outputs))]
    limit = 2.5 if dtype == "float32" else 20.0
    return model, np.linspace(-limit, limit, 25).reshape(-1, 1).astype(dtype)


def drawn(seed: int, *, exact: bool = False, **fixed: Any) -> Drawn:
    """Return the network of a seed.

    Parameters
    ----------
    seed : int
        Seed of all choices.
    exact : bool
        Whether to draw only what C computes to the last bit.
    fixed : dict
        Arguments of the network that are not drawn; ``loss_name`` is a key of `LOSSES`.
    """
    rng = np.random.default_rng([seed, 14])
    names = ["hinge", "mse", "quantile"] if exact else list(LOSSES)
    loss_name = fixed.pop("loss_name", None) or str(rng.choice(names))
    loss, outputs, kind = LOSSES[loss_name]
    groups = groups_of_inputs(rng, exact=exact) if rng.random() < 0.8 else []
    groups = list(fixed.get("inputs", groups) or [])
    features = sum(group.columns for group in groups) or int(rng.integers(1, 8))
    hidden = [int(rng.integers(1, 12)) for _ in range(int(rng.integers(0, 4)))]
    activations = EXACT if exact else _CONTINUOUS
    has_codes = any(isinstance(group, (OneHot, Category)) for group in groups)
    scale = float(rng.choice([1.0, 1.0, 0.5]))
    options: dict[str, Any] = {
        "activation": [str(rng.choice(activations)) for _ in hidden] or "relu",
        "loss": loss,
        "dtype": str(rng.choice(["float32", "float64"])),
        "seed": int(rng.integers(1000)),
        "inputs": groups or None,
        "input_scale": 1.0 if has_codes else scale,
        "input_scaling": bool(rng.integers(2)),
        "parametric": [bool(rng.integers(2)) for _ in hidden],
        "batch_normalization": [bool(rng.random() < 0.3) for _ in hidden],
        "members": int(rng.choice([1, 2, 3, 5])),
        "sharing": str(rng.choice(["tabm", "tabm-mini", "packed"])),
        "own_batches": bool(rng.integers(2)),
    }
    if loss_name in ("softmax_output", "multilabel"):
        options["output_activation"] = "softmax" if loss_name == "softmax_output" else "sigmoid"
    elif loss_name == "mse":
        options["output_activation"] = str(rng.choice(["identity", "tanh", "softmax"]))
        if exact:
            options["output_activation"] = "identity"
    model = fastmlp.MLP([features, *hidden, outputs], **(options | fixed))
    shaken(model, rng)
    count = int(rng.choice([1, 3, 40]))
    x = input_rows(rng, groups, features, count) / model.architecture.input_scale
    return Drawn(seed, model, x.astype(model.dtype), _targets(rng, kind, outputs, count))


def _targets(rng: np.random.Generator, kind: str, outputs: int, count: int) -> Any:
    if kind == "classes":
        return rng.integers(0, outputs, count)
    if kind == "several":
        numbers = rng.integers(0, 2, (count, 4)).astype(float)
        return [rng.integers(0, 3, count), numbers[:, :1], numbers[:, 1:3], numbers[:, 3:]]
    if kind == "values":
        return rng.standard_normal((count, outputs))
    return rng.integers(0, 2, (count, outputs)).astype(float)


if __name__ == "__main__":
    print(drawn(int(sys.argv[1])))
