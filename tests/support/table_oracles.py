"""Models with the weights of other implementations of networks for tables.

`tests/network/oracles/README.md` says what the stored names mean. Weights of RealMLP are divided by
the root of their inputs in every product there; here they are stored so divided. A rate becomes a
factor 1 / root of what it is there, epsilon a factor root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

import fastmlp
from fastmlp.inputs import Category, Numbers, OneHot, Periodic, PiecewiseLinear
from support.model_oracles import Factors
from support.pytabkit_values import RealMLPTask, Values, realmlp_values, tabm_values, under

Array = NDArray[Any]
DType = Literal["float32", "float64"]
COLUMNS, BASES, EMBEDDED, HIDDEN = 5, 16, 3, 16


def double(values: Values) -> Values:
    return {name: value.astype(np.float64) for name, value in values.items()}


# ---------------------------------------------------------------- RealMLP


def input_places() -> Array:
    """Return the place there of each input here, where a column's value follows its embedding."""
    width = EMBEDDED + 1
    own = np.arange(COLUMNS)[:, None] * EMBEDDED + np.arange(EMBEDDED)
    values = COLUMNS * EMBEDDED + np.arange(COLUMNS)[:, None]
    numbers = np.hstack([own, values]).ravel()
    assert len(numbers) == COLUMNS * width
    return np.concatenate([numbers, np.arange(len(numbers), 33)])


def _clipped(z: Array) -> Array:
    return np.asarray(z / np.sqrt(1 + (z / 3) ** 2))


@dataclass
class RealMLP:
    """The network of a stored training, in one precision."""

    task: RealMLPTask
    dtype: DType

    def __post_init__(self) -> None:
        self.values = realmlp_values(self.task)
        self.center, self.factor = self.values["f64/center"], self.values["f64/factor"]
        self.outputs = 3 if self.task == "classes" else 1
        self.x = self._samples()
        y = self.values["y"]
        if self.task == "classes":
            self.y: Array = y.astype(np.int64)
        else:
            numbers = y.astype(np.float64)
            self.y = ((numbers - numbers.mean()) / numbers.std())[:, None]

    def _samples(self) -> Array:
        """Return scaled numbers and codes: -1 is missing, and the two of a pair are turned."""
        numbers = (self.values["x_numeric"].astype(np.float64) - self.center[:5]) * self.factor[:5]
        return np.hstack([numbers, self.values["x_categories"] - 1.0]).astype(self.dtype)

    def _one_hot(self) -> list[OneHot]:
        def value(column: int, one_hot: float) -> float:
            return float(_clipped((one_hot - self.center[column]) * self.factor[column]))

        pairs = [value(column, on) for column in range(6, 10) for on in (0.0, 1.0)]
        return [OneHot(2, tuple(value(5, v) for v in (1.0, -1.0, 0.0))), OneHot(4, tuple(pairs))]

    def model(self, layers: int = 4, *, inputs_only: bool = False, scaled: bool = True) -> Any:
        """Return the network cut after a layer, whose pre-activations are the outputs.

        With `inputs_only` the outputs are the inputs of the first layer.
        """
        periodic = Periodic(bases=BASES, outputs=EMBEDDED)
        inputs = [
            Numbers(COLUMNS, embedding=periodic, clip=3.0),
            *self._one_hot(),
            Category(12, 8),
        ]
        whole = layers == 4 and not inputs_only
        loss: Any = fastmlp.MSE()
        if whole and self.task == "classes":
            loss = fastmlp.SoftmaxCrossEntropy(smoothing=0.1)
        hidden = [] if inputs_only else [HIDDEN] * (layers - 1)
        last = 33 if inputs_only else self.outputs if layers == 4 else HIDDEN
        return fastmlp.MLP(
            [8, *hidden, last],
            activation="selu" if self.task == "classes" else "mish",
            loss=loss,
            inputs=inputs,
            input_scaling=scaled,
            parametric=True,
            dtype=self.dtype,
        )

    def names(self) -> dict[str, str]:
        """Return the names there of the parameters here."""
        own = {
            "inputs.0.frequencies": "numeric/frequencies",
            "inputs.0.phases": "numeric/phases",
            "inputs.0.maps": "numeric/weights",
            "inputs.0.map_biases": "numeric/biases",
            "inputs.3.tables": "category2/embedding",
            "layers.0.input_scales": "scale",
        }
        for layer in range(4):
            own[f"layers.{layer}.weights"] = f"layer{layer}/weights"
            own[f"layers.{layer}.biases"] = f"layer{layer}/biases"
            if layer < 3:
                own[f"layers.{layer}.mixes"] = f"layer{layer}/mix"
        return own

    def root(self, name: str) -> float:
        if not name.endswith("weights"):
            return 1.0
        return float(np.sqrt(33 if ".0." in name else HIDDEN))

    def here(self, name: str, array: Array, *, gradient: bool = False) -> Array:
        """Return an array from there, or the gradient by it, in the form of a parameter here."""
        array = array.astype(np.float64)
        if name == "inputs.3.tables":
            return np.roll(array, -1, axis=0)[None]
        if name.endswith("weights"):
            array = array.reshape(-1, self.outputs if ".3." in name else HIDDEN)
            array = array * self.root(name) if gradient else array / self.root(name)
        if name.endswith("biases") and name.startswith("layers"):
            array = np.atleast_1d(array)
        if name in ("layers.0.weights", "layers.0.input_scales"):
            return array[input_places()]
        return array

    def parameters(self, source: str) -> dict[str, Array]:
        stored = under(self.values, source)
        return {ours: self.here(ours, stored[theirs]) for ours, theirs in self.names().items()}

    def gradients(self, precision: str) -> dict[str, Array]:
        stored = under(self.values, f"{precision}/gradient")
        return {
            ours: self.here(ours, stored[theirs], gradient=True)
            for ours, theirs in self.names().items()
        }

    def factors(self) -> dict[str, Factors]:
        """Return factors of the arrays; both factors there enter the decay squared."""
        found = {}
        for ours, theirs in self.names().items():
            rate = float(self.values[f"factor/rate/{theirs}"])
            decay = float(self.values[f"factor/decay/{theirs}"])
            root = self.root(ours)
            found[ours] = Factors(rate / root, rate * decay**2 * root, root)
        return found


# ---------------------------------------------------------------- TabM


@dataclass
class TabM:
    """A case of the stored trainings of TabM's package, in one precision.

    Embeddings there add a linear term, which is a combination of the piecewise-linear functions:
    here it is part of their map.
    """

    case: str
    dtype: DType

    def __post_init__(self) -> None:
        self.values = tabm_values(self.case)
        self.start = double(under(self.values, "start"))
        self.embedded = "f64/encoded" in self.values
        self.is_regression = self.case == "tabm-regression"
        self.sharing = self.case.removesuffix("-embedded").removesuffix("-regression")
        self.sharing = self.sharing.replace("tabm-packed", "packed")
        numbers, codes = self.values["x_numeric"], self.values["x_categories"]
        self.x = np.hstack([numbers, codes]).astype(self.dtype)
        regression = self.values["y_regression"].reshape(-1, 1).astype(np.float64)
        self.y = regression if self.is_regression else self.values["y"].astype(np.int64)

    def edges(self, column: int) -> Array:
        return self.values[f"f64/bins{column}"].astype(np.float64)

    def model(self) -> fastmlp.MLP:
        inputs: list[Any] = [Numbers(3)]
        if self.embedded:
            embeddings = [PiecewiseLinear(self.edges(i).tolist(), outputs=4) for i in range(3)]
            inputs = [Numbers(1, embedding=own) for own in embeddings]
        return fastmlp.MLP(
            [4, 8, 8, 1 if self.is_regression else 3],
            loss="mse" if self.is_regression else "softmax_cross_entropy",
            inputs=[*inputs, OneHot(3)],
            members=4,
            sharing=self.sharing,
            dtype=self.dtype,
        )

    def parameters(self, values: Values) -> dict[str, Array]:
        """Return arrays of the package's names, parameters or gradients, by the names here.

        Those of embeddings are left out.
        """
        found = {}
        for layer in range(2):
            name, own = f"backbone.blocks.{layer}.0.", f"layers.{layer}."
            weight = values[name + "weight"]
            found[own + "weights"] = weight if weight.ndim == 3 else weight.T
            found[own + "biases"] = values[name + "bias"]
            if name + "r" in values:
                found[own + "input_scales"] = values[name + "r"]
                found[own + "scales"] = values[name + "s"]
        if "backbone.affine.weight" in values:
            found["layers.0.input_scales"] = values["backbone.affine.weight"]
        found["layers.2.weights"] = values["output.weight"]
        found["layers.2.biases"] = values["output.bias"]
        return {name: np.asarray(array, np.float64) for name, array in found.items()}

    def _bins(self, column: int, array: Array) -> Array:
        """Return the rows of a column's bins; the last one comes last there."""
        bins = len(self.edges(column)) - 1
        return np.asarray(array[column][[*range(bins - 1), -1]])

    def embeddings(self) -> dict[str, Array]:
        """Return the maps at the start."""
        found = {}
        for i in range(3 if self.embedded else 0):
            edges, name = self.edges(i), f"inputs.{i}."
            slopes = self.start["num_module.linear0.weight"][i]
            maps = self._bins(i, self.start["num_module.linear.weight"])
            found[name + "maps"] = (maps + np.diff(edges)[:, None] * slopes)[None]
            biases = self.start["num_module.linear0.bias"][i]
            found[name + "map_biases"] = (biases + edges[0] * slopes)[None]
        return found

    def gradients(self) -> dict[str, Array]:
        """Return those by all parameters; that by a map does not depend on the linear term."""
        stored = double(under(self.values, "f64/gradient"))
        found = self.parameters(stored)
        for i in range(3 if self.embedded else 0):
            maps = self._bins(i, stored["num_module.linear.weight"])
            found[f"inputs.{i}.maps"] = maps[None]
            found[f"inputs.{i}.map_biases"] = stored["num_module.linear0.bias"][i][None]
        return found
