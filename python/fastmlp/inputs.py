"""How columns of samples become inputs of a network: embeddings of numbers, codes of categories.

Pass a list of these as ``MLP(inputs=[...])``; together they cover the columns of ``x`` in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.validation import flag, integer, keep, real, require_held

__all__ = [
    "INPUTS",
    "Category",
    "InputGroup",
    "Numbers",
    "OneHot",
    "Periodic",
    "PiecewiseLinear",
    "quantile_edges",
]


def __dir__() -> list[str]:
    return __all__


_MOST_LEVELS = 2**24  # float32 represents all codes up to here
_PLAIN: dict[str, Any] = {
    "columns": 1, "clip": 0.0, "basis": "value", "bases": 1, "outputs": 0, "relu": False,
    "keeps_value": False, "edges": [], "levels": 0, "deviation": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Periodic:
    """Cosines of a number, and a trained linear map of them.

    Function k is ``cos(2 pi f_k x + p_k)`` with trained frequencies f, initially normal, and phases
    p, initially uniform: the embedding "PBLD" of RealMLP (D. Holzmueller, L. Grinsztajn, I.
    Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular data", NeurIPS
    2024). Without ``phases`` they are pairs of cosine and sine: Y. Gorishniy, I. Rubachev,
    A. Babenko, "On embeddings for numerical features in tabular deep learning", NeurIPS 2022.

    Parameters
    ----------
    bases : int
        Functions of a column, >= 1; without phases an even number.
    outputs : int
        Results of the linear map, >= 0; 0 leaves the map out.
    deviation : float
        Standard deviation of the initial frequencies, > 0.
    phases : bool
        Whether to train phases.
    relu : bool
        Whether a rectifier follows the map.
    keeps_value : bool
        Whether the number itself is an input too.

    Examples
    --------
    >>> from fastmlp.inputs import Numbers, Periodic
    >>> Numbers(2, embedding=Periodic(bases=16, outputs=3)).width
    8
    """

    bases: int = 16
    outputs: int = 3
    deviation: float = 0.1
    phases: bool = True
    relu: bool = False
    keeps_value: bool = True

    def __post_init__(self) -> None:
        keep(
            self,
            bases=integer("bases", self.bases, 1),
            outputs=integer("outputs", self.outputs, 0),
            deviation=real("deviation", self.deviation, 0.0),
            phases=flag("phases", self.phases),
            relu=flag("relu", self.relu),
            keeps_value=flag("keeps_value", self.keeps_value),
        )
        if not self.phases and self.bases % 2:
            raise ValueError(f"bases must be even without phases, got {self.bases}")

    @property
    def functions(self) -> int:
        """Number of functions of a column."""
        return self.bases

    def require_fitting(self, columns: int) -> None:
        """Accept any number of columns."""

    def require_held(self, dtype: npt.DTypeLike) -> None:
        """Require that `dtype` can represent all settings."""
        require_held("deviation", self.deviation, dtype)

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the kinds and shapes of the parameters of the functions of one column."""
        if self.phases:
            return {"frequencies": (self.bases,), "phases": (self.bases,)}
        return {"frequencies": (self.bases // 2,)}

    def spec(self, columns: int) -> dict[str, Any]:
        """Return the part of a group that the core takes."""
        del columns
        return {
            "basis": "cosine" if self.phases else "periodic",
            "bases": self.bases,
            "outputs": self.outputs,
            "relu": self.relu,
            "keeps_value": self.keeps_value,
            "deviation": self.deviation,
        }


@dataclass(frozen=True)
class PiecewiseLinear:
    """Piecewise linear functions of a number between edges, and a trained linear map of them.

    Function k grows from 0 to 1 between edges k and k + 1; the first and the last one continue
    beyond the edges: Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features
    in tabular deep learning", NeurIPS 2022. `quantile_edges` finds edges.

    Parameters
    ----------
    edges : sequence of float, or one sequence per column
        Ascending edges of the bins; of all columns equally many.
    outputs : int
        Results of the linear map, >= 0; 0 leaves the map out.
    relu : bool
        Whether a rectifier follows the map.
    keeps_value : bool
        Whether the number itself is an input too.

    Examples
    --------
    >>> from fastmlp.inputs import Numbers, PiecewiseLinear
    >>> Numbers(1, embedding=PiecewiseLinear([0.0, 0.5, 1.0])).width
    2
    """

    edges: Any
    outputs: int = 0
    relu: bool = False
    keeps_value: bool = False

    def __post_init__(self) -> None:
        try:
            edges = np.atleast_2d(np.asarray(self.edges, np.float64))
        except (OverflowError, TypeError, ValueError) as error:
            raise ValueError(
                f"edges must be numbers, of all columns equally many: {error}"
            ) from None
        if edges.ndim != 2 or edges.shape[1] < 2 or not np.isfinite(edges).all():
            raise ValueError("edges must be two or more finite numbers for each column")
        if not (np.diff(edges, axis=1) > 0).all():
            raise ValueError("edges must ascend strictly")
        keep(
            self,
            edges=tuple(tuple(map(float, row)) for row in edges),
            outputs=integer("outputs", self.outputs, 0),
            relu=flag("relu", self.relu),
            keeps_value=flag("keeps_value", self.keeps_value),
        )

    @property
    def functions(self) -> int:
        """Number of functions of a column."""
        return len(self.edges[0]) - 1

    def require_fitting(self, columns: int) -> None:
        """Require edges for so many columns."""
        if len(self.edges) not in (1, columns):
            raise ValueError(
                f"edges must be those of all {columns} columns or of each, got {len(self.edges)}"
            )

    def require_held(self, dtype: npt.DTypeLike) -> None:
        """Require that `dtype` can represent the edges and the slopes between them."""
        with np.errstate(all="ignore"):
            edges = np.asarray(self.edges, dtype)
            widths = np.diff(edges, axis=1)
            held = np.isfinite(widths) & np.isfinite(1 / widths)
        if not held.all():
            row, at = (int(place[0]) for place in np.nonzero(~held))
            pair = " and ".join(f"{edge:.17g}" for edge in self.edges[row][at : at + 2])
            raise ValueError(
                f"edges must be apart, and not too far, in {np.dtype(dtype).name}, got {pair}; "
                'scale the column or use dtype="float64"'
            )

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return no shapes: the edges are fixed."""
        return {}

    def spec(self, columns: int) -> dict[str, Any]:
        """Return the part of a group that the core takes."""
        edges = self.edges * (columns if len(self.edges) == 1 else 1)
        return {
            "basis": "piecewise_linear",
            "bases": self.functions,
            "outputs": self.outputs,
            "relu": self.relu,
            "keeps_value": self.keeps_value,
            "edges": [edge for row in edges for edge in row],
        }


def quantile_edges(values: npt.ArrayLike, bins: int) -> tuple[float, ...]:
    """Return the distinct quantiles that divide values into at most `bins` bins.

    Parameters
    ----------
    values : array of shape (samples,)
        Finite numbers of one column.
    bins : int
        Number of bins, >= 1.

    Returns
    -------
    tuple of float
        Ascending edges; around a constant an interval of length 1.

    Examples
    --------
    >>> quantile_edges([0.0, 1.0, 2.0, 3.0, 4.0], 2)
    (0.0, 2.0, 4.0)
    """
    column = np.asarray(values, np.float64).ravel()
    edges = np.unique(np.quantile(column, np.linspace(0.0, 1.0, integer("bins", bins, 1) + 1)))
    if len(edges) == 1:
        edges = edges[0] + np.array([-0.5, 0.5])
    return tuple(map(float, edges))


@dataclass(frozen=True)
class InputGroup:
    """Base class: consecutive columns of samples that become inputs in the same way.

    Examples
    --------
    >>> from fastmlp.inputs import InputGroup, Numbers, OneHot
    >>> groups = [Numbers(2), OneHot(3)]
    >>> all(isinstance(group, InputGroup) for group in groups)
    True
    >>> sum(group.columns for group in groups), sum(group.width for group in groups)
    (3, 5)
    """

    columns: int

    @property
    def width(self) -> int:
        """Number of inputs that the columns become."""
        raise NotImplementedError

    def spec(self) -> dict[str, Any]:
        """Return the description that the core takes."""
        raise NotImplementedError

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the kinds and shapes of the parameters of one column."""
        return {}

    def require_held(self, dtype: npt.DTypeLike) -> None:
        """Require that `dtype`, in which the core computes, can represent all settings."""


@dataclass(frozen=True)
class Numbers(InputGroup):
    """Columns of numbers.

    Parameters
    ----------
    columns : int
        Number of columns, >= 1.
    embedding : Periodic or PiecewiseLinear, optional
        Embedding of each column, with parameters of its own; by default a number is an input as it
        is.
    clip : float
        Bound > 0 of magnitudes, which ``x / sqrt(1 + (x / clip)**2)`` approaches smoothly; 0 leaves
        numbers as they are.

    Examples
    --------
    >>> from fastmlp import MLP
    >>> from fastmlp.inputs import Numbers, Periodic
    >>> model = MLP([3, 8, 2], inputs=[Numbers(3, embedding=Periodic(), clip=3.0)])
    >>> model.weights[0].shape
    (12, 8)
    """

    columns: int = 1
    embedding: Periodic | PiecewiseLinear | None = None
    clip: float = 0.0

    def __post_init__(self) -> None:
        keep(self, columns=integer("columns", self.columns, 1), clip=real("clip", self.clip, 0.0))
        if self.embedding is not None:
            if not isinstance(self.embedding, (Periodic, PiecewiseLinear)):
                raise TypeError(
                    "embedding must be Periodic, PiecewiseLinear or None, got "
                    f"{type(self.embedding).__name__}"
                )
            self.embedding.require_fitting(self.columns)

    @property
    def width(self) -> int:
        """Number of inputs that the columns become."""
        embedding = self.embedding
        if embedding is None:
            return self.columns
        return self.columns * ((embedding.outputs or embedding.functions) + embedding.keeps_value)

    def spec(self) -> dict[str, Any]:
        """Return the description that the core takes."""
        own = {} if self.embedding is None else self.embedding.spec(self.columns)
        return _PLAIN | {"kind": "number", "columns": self.columns, "clip": self.clip} | own

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the kinds and shapes of the parameters of one column."""
        embedding = self.embedding
        if embedding is None:
            return {}
        shapes = embedding.parameter_shapes()
        if embedding.outputs:
            shapes["maps"] = (embedding.functions, embedding.outputs)
            shapes["map_biases"] = (embedding.outputs,)
        return shapes

    def require_held(self, dtype: npt.DTypeLike) -> None:
        """Require that `dtype`, in which the core computes, can represent all settings."""
        require_held("clip", self.clip, dtype)
        if self.embedding is not None:
            self.embedding.require_held(dtype)


@dataclass(frozen=True)
class OneHot(InputGroup):
    """A column of codes; each of its levels is an input that is 1 where the code is that level.

    Two levels are one input, -1 or 1. Other codes, such as -1, make all inputs 0.

    Parameters
    ----------
    levels : int
        Number of levels; their codes are 0 to ``levels - 1``.
    values : sequence of float, optional
        Other values than 0 and 1: for each level the value of its input for other levels and the
        value for itself. With two levels three values: of level 0, of level 1 and of other codes.

    Examples
    --------
    >>> from fastmlp.inputs import OneHot
    >>> OneHot(5).width, OneHot(2).width
    (5, 1)
    """

    levels: int
    values: tuple[float, ...] | None = None
    columns: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        keep(self, levels=integer("levels", self.levels, 1, _MOST_LEVELS))
        if self.values is None:
            return
        values = tuple(real("values", value, -np.inf) for value in self.values)
        needed = 3 if self.levels == 2 else 2 * self.levels
        if len(values) != needed:
            raise ValueError(f"values must be {needed} for {self.levels} levels, got {len(values)}")
        keep(self, values=values)

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return 1 if self.levels == 2 else self.levels

    def spec(self) -> dict[str, Any]:
        """Return the description that the core takes."""
        values = (-1.0, 1.0, 0.0) if self.levels == 2 else (0.0, 1.0) * self.levels
        edges = list(self.values or values)
        return _PLAIN | {"kind": "one_hot", "levels": self.levels, "edges": edges}

    def require_held(self, dtype: npt.DTypeLike) -> None:
        """Require that `dtype`, in which the core computes, can represent all settings."""
        for value in self.values or ():
            require_held("values", value, dtype, vanishes=True)


@dataclass(frozen=True)
class Category(InputGroup):
    """A column of codes that a trained table turns into vectors.

    Parameters
    ----------
    levels : int
        Number of levels; their codes are 0 to ``levels - 1``. Other codes, such as -1, share a row
        of the table, the last.
    size : int
        Length of the vectors, >= 1.

    Examples
    --------
    >>> from fastmlp import MLP
    >>> from fastmlp.inputs import Category
    >>> MLP([1, 8, 2], inputs=[Category(levels=20)]).weights[0].shape
    (8, 8)
    """

    levels: int
    size: int = 8
    columns: int = field(default=1, init=False)

    def __post_init__(self) -> None:
        keep(
            self,
            levels=integer("levels", self.levels, 1, _MOST_LEVELS),
            size=integer("size", self.size, 1),
        )

    @property
    def width(self) -> int:
        """Number of inputs that the column becomes."""
        return self.size

    def spec(self) -> dict[str, Any]:
        """Return the description that the core takes."""
        return _PLAIN | {"kind": "category", "levels": self.levels, "outputs": self.size}

    def parameter_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the kinds and shapes of the parameters of one column."""
        return {"tables": (self.levels + 1, self.size)}


INPUTS: Mapping[str, type[InputGroup]] = {
    "numbers": Numbers,
    "one_hot": OneHot,
    "category": Category,
}
_EMBEDDINGS: Mapping[str, type[Any]] = {"periodic": Periodic, "piecewise_linear": PiecewiseLinear}


def checked_inputs(inputs: object, features: int) -> tuple[InputGroup, ...]:
    """Return the groups of inputs of a network, or raise."""
    if inputs is None:
        return ()
    if not isinstance(inputs, Sequence) or not all(isinstance(g, InputGroup) for g in inputs):
        raise TypeError("inputs must be a list of Numbers, OneHot and Category of fastmlp.inputs")
    columns = sum(group.columns for group in inputs)
    if columns != features:
        raise ValueError(
            f"inputs must cover the {features} features that layer_sizes begins with, got {columns}"
        )
    return tuple(inputs)


def inputs_as_config(inputs: Sequence[InputGroup]) -> list[dict[str, Any]]:
    """Return the form in files, which `inputs_from_config` reads."""
    return [_as_config(INPUTS, group) for group in inputs]


def _as_config(kinds: Mapping[str, type[Any]], item: Any) -> dict[str, Any]:
    name = next(name for name, kind in kinds.items() if type(item) is kind)
    values = {key: getattr(item, key) for key in item.__dataclass_fields__}
    if values.get("embedding") is not None:
        values["embedding"] = _as_config(_EMBEDDINGS, values["embedding"])
    return {"kind": name} | {
        key: value for key, value in values.items() if item.__dataclass_fields__[key].init
    }


def inputs_from_config(config: object) -> list[InputGroup]:
    """Return the groups of a list in a file.

    Raises
    ------
    TypeError, ValueError
        The list does not describe inputs.
    """
    if not isinstance(config, list):
        raise TypeError("inputs must be a list")
    return [_from_config(INPUTS, item) for item in config]


def _from_config(kinds: Mapping[str, type[Any]], config: object) -> Any:
    if not isinstance(config, dict) or config.get("kind") not in kinds:
        raise ValueError(f"inputs must be of the kinds {', '.join(kinds)}")
    kind = kinds[config["kind"]]
    values = {key: value for key, value in config.items() if key != "kind"}
    known = {key for key, item in kind.__dataclass_fields__.items() if item.init}
    if not set(values) <= known:
        raise ValueError(f"inputs have an unknown setting: {sorted(set(values) - known)[0]!r}")
    if values.get("embedding") is not None:
        values["embedding"] = _from_config(_EMBEDDINGS, values["embedding"])
    return kind(**values)
