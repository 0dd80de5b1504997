"""Files of fitted estimators: safetensors files as those of models, of a kind of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils.validation import check_is_fitted

from fastmlp._files import text_path
from fastmlp.errors import FormatError
from fastmlp.estimators.network import Parameters, Predictor
from fastmlp.estimators.policy import Plateau
from fastmlp.estimators.session import COUNTERS, CURVES
from fastmlp.estimators.stored_parameters import from_file, in_file
from fastmlp.model_file import read_model, write_model
from fastmlp.stored_model import state_in_file, state_of_file, text_array
from fastmlp.training.states import packed, unpacked
from fastmlp.validation import flag, integer, real

__all__ = ["read_estimator", "write_estimator"]

Array = npt.NDArray[Any]
E = TypeVar("E")

KIND = "fastmlp-estimator"
_KEYS = {"estimator", "parameters", "learned", "arrays"}
_ESTIMATORS = ("MLPClassifier", "MLPRegressor")
_WEIGHTS = ".weights"
_BEST = "best."  # begins the names of the tensors of the parameters with the best score
_STATE = "state."
# What reading raises if the content is not what `write_estimator` writes.
_OF_CONTENT = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
_WHOLE = ("n_iter_", "t_")
_LARGEST_SEED = 2**31 - 1


def write_estimator(path: str | PathLike[str], estimator: Any) -> None:
    """Write a fitted estimator to a file; see `BaseMLP.save`."""
    check_is_fitted(estimator)
    path = text_path("path", path)
    parameters = estimator._parameters()
    # The network checks what users have assigned to coefs_, and has the bits that predict.
    model = estimator._predictor.model(estimator._network_spec(), parameters)
    tensors = dict(model.parameters())
    best = getattr(estimator, "_best_parameters", None)
    if best is not None and not best.equals(parameters):
        tensors |= {_BEST + name: array for name, array in best.named().items()}
    learned, arrays = packed(_learned(estimator), "")
    stored, described = state_in_file(arrays)
    config = {
        "estimator": _name_of(type(estimator)),
        "parameters": json.dumps(_parameters_in_file(estimator), sort_keys=True),
        "learned": learned,
        "arrays": described,
    }
    write_model(path, tensors | stored, config, kind=KIND)


def read_estimator(path: str | PathLike[str], kind: type[E]) -> E:
    """Read a file of `write_estimator`; see `BaseMLP.load`."""
    path = text_path("path", path)
    tensors, config = read_model(path, kind=KIND)
    wanted, held = _name_of(kind), config.get("estimator")
    if held != wanted and held in _ESTIMATORS:
        raise FormatError(f"{path}: estimator: must be {wanted}, got {held}; call {held}.load")
    try:
        if held != wanted:
            raise ValueError(f"estimator must be one of {_ESTIMATORS}")
        return _estimator(kind, tensors, config)
    except _OF_CONTENT as error:
        raise FormatError(f"{path}: config: does not describe an {wanted}: {error}") from error


def _name_of(kind: type) -> str:
    """Return the name in files of an estimator's class or of one that a user derived from it."""
    return _ESTIMATORS[0] if issubclass(kind, ClassifierMixin) else _ESTIMATORS[1]


# ---------------------------------------------------------------- what is written


def _parameters_in_file(estimator: Any) -> dict[str, Any]:
    forms = {}
    for name, value in estimator.get_params(deep=False).items():
        try:
            forms[name] = in_file(value)
        except TypeError as error:
            raise ValueError(
                f"{name} must hold numbers, text and objects of fastmlp, but no code of your own, "
                f"in an estimator to save: {error}; call set_params({name}=None) first, or use "
                "pickle"
            ) from None
    return forms


def _learned(estimator: Any) -> dict[str, Any]:
    """Return the fitted attributes besides the parameters of the network."""
    held = vars(estimator)
    plateau = held.get("_plateau")
    curves = {name: held[name] for name in CURVES if name in held}
    names = held.get("feature_names_in_")
    return {
        "layer_sizes": list(estimator._layer_sizes()),
        "labels": _labels(estimator) if is_classifier(estimator) else None,
        "feature_names": None if names is None else _text_in_file(list(map(str, names))),
        "counters": {name: _plain(held[name]) for name in COUNTERS if name in held},
        "curves": {
            name: None if curve is None else np.array(curve, np.float64)
            for name, curve in curves.items()
        },
        "plateau": None if plateau is None else [float(plateau.best), int(plateau.count)],
        "has_best": "_best_parameters" in held,
        "seed": int(held["_seed"]),
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _labels(estimator: Any) -> dict[str, Any]:
    binarizer = estimator._label_binarizer
    classes = estimator.classes_
    is_text = classes.dtype.kind in "OU"
    if classes.dtype.kind == "U":
        text_array(classes.tolist())  # what `load` will refuse is refused here
    if is_text and not all(isinstance(label, str) for label in classes):
        raise ValueError("classes_ must be numbers or text in an estimator to save")
    return {
        "classes": _text_in_file(classes.tolist()) if is_text else classes,
        "dtype": classes.dtype.kind if is_text else None,
        "are_several": binarizer.y_type_.startswith("multilabel"),
        "are_sparse": bool(binarizer.sparse_input_),
    }


def _text_in_file(texts: list[str]) -> npt.NDArray[np.uint8]:
    """Return texts as bytes, because the header of a file, which holds text, has a limit."""
    return np.frombuffer(json.dumps(texts).encode(), np.uint8)


# ---------------------------------------------------------------- what is read


def _estimator(kind: type[E], tensors: dict[str, Array], config: dict[str, Any]) -> E:
    if config.keys() != _KEYS:
        raise ValueError(f"config must have {sorted(_KEYS)}, got {sorted(config)}")
    arrays = state_of_file(_taken(tensors, _STATE), config["arrays"])
    learned = unpacked(config["learned"], arrays)
    forms = json.loads(config["parameters"])
    estimator: Any = kind(**{name: from_file(form) for name, form in forms.items()})
    estimator._validate_params()
    estimator._threads  # noqa: B018  # a check
    best = _taken(tensors, _BEST)
    sizes = _layer_sizes(tensors)
    if sizes != learned["layer_sizes"]:
        raise ValueError(f"layer_sizes must be {sizes}, got {learned['layer_sizes']}")
    estimator.n_features_in_, estimator.n_outputs_ = sizes[0], sizes[-1]
    estimator.n_layers_ = len(sizes)
    _restore_names(estimator, learned["feature_names"])
    if is_classifier(estimator):
        _restore_labels(estimator, learned["labels"])
    elif estimator._loss().takes_classes:
        raise ValueError("the loss of a regressor must be for real values")
    estimator.out_activation_ = estimator._output_activation()
    estimator._seed = integer("seed", learned["seed"], 0, _LARGEST_SEED)
    chosen = _checked(estimator, best, sizes) if best else None
    parameters = _checked(estimator, tensors, sizes)
    estimator._set_parameters(parameters)
    if estimator._used.batch_normalization:
        estimator.normalization_ = parameters.normalization
    has_best = flag("has_best", learned["has_best"])
    if has_best:
        estimator._best_parameters = chosen or estimator._parameters().copy()
    elif best:
        raise ValueError("there are parameters of a best score without a score")
    _restore_measures(estimator, learned)
    estimator._session, estimator._pending = None, False
    return estimator  # type: ignore[no-any-return]


def _taken(tensors: dict[str, Array], prefix: str) -> dict[str, Array]:
    names = [name for name in tensors if name.startswith(prefix)]
    return {name.removeprefix(prefix): tensors.pop(name) for name in names}


def _layer_sizes(tensors: Mapping[str, Array]) -> list[int]:
    """Return the sizes of the layers, after checking that the tensors have them.

    No memory is allocated for layers that the file does not hold.
    """
    layers = range(sum(name.endswith(_WEIGHTS) for name in tensors))
    shapes = [tensors[f"layers.{layer}{_WEIGHTS}"].shape for layer in layers]
    if not shapes or any(len(shape) != 2 for shape in shapes):
        raise ValueError("weights must be matrices")
    sizes = [integer("layer size", size, 1) for size in (shapes[0][0], *(s[1] for s in shapes))]
    for layer in layers:
        inputs, outputs = sizes[layer : layer + 2]
        for kind, wanted in (("weights", (inputs, outputs)), ("biases", (outputs,))):
            found = tensors[f"layers.{layer}.{kind}"]
            if found.shape != wanted:
                raise ValueError(
                    f"layers.{layer}.{kind} must have shape {wanted}, got {found.shape}"
                )
    return sizes


def _checked(estimator: Any, tensors: Mapping[str, Array], sizes: list[int]) -> Parameters:
    """Return the parameters after a network of the estimator has accepted them."""
    if _layer_sizes(tensors) != sizes:
        raise ValueError("the parameters of the best score must have the layers of the others")
    if len({array.dtype for array in tensors.values()}) != 1:
        raise ValueError("all parameters must be float32, or all float64")
    parameters = Parameters.of(tensors)
    estimator.coefs_ = parameters.coefs
    estimator._predictor = Predictor()
    model = estimator._network_spec().build()
    model.set_parameters(tensors)
    return Parameters.read_from(model)


def _restore_names(estimator: Any, stored: Array | None) -> None:
    if stored is None:
        return
    names = _text_of_file(stored)
    if len(names) != estimator.n_features_in_:
        raise ValueError(f"feature_names_in_ must have {estimator.n_features_in_} names")
    estimator.feature_names_in_ = _object_array(names)


def _restore_labels(estimator: Any, stored: Mapping[str, Any]) -> None:
    classes = stored["classes"]
    if stored["dtype"] is not None:
        texts = _text_of_file(classes)
        classes = {"O": _object_array, "U": text_array}[stored["dtype"]](texts)
    if classes.ndim != 1 or classes.size == 0:
        raise ValueError("classes_ must be a list of labels")
    several, sparse = flag("are_several", stored["are_several"]), flag("s", stored["are_sparse"])
    example: Any = classes
    if several:
        example = np.zeros((1, estimator.n_outputs_), np.int64)
        example = scipy.sparse.csr_matrix(example) if sparse else example
    binarizer = LabelBinarizer().fit(example)
    outputs = len(classes) if several or binarizer.y_type_ == "multiclass" else 1
    if not np.array_equal(binarizer.classes_, classes) or outputs != estimator.n_outputs_:
        raise ValueError(
            f"classes_ must be the labels of {estimator.n_outputs_} outputs in ascending order"
        )
    binarizer.classes_ = classes
    estimator._label_binarizer, estimator.classes_ = binarizer, classes


def _object_array(texts: list[str]) -> Array:
    return np.array(texts, object)


def _text_of_file(stored: Array) -> list[str]:
    texts = json.loads(stored.astype(np.uint8, casting="safe").tobytes())
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise ValueError("names must be a list of text")
    return texts


def _restore_measures(estimator: Any, learned: Mapping[str, Any]) -> None:
    """Set counters, losses and curves."""
    for name, value in learned["counters"].items():
        if name not in COUNTERS:
            raise ValueError(f"{name} is no attribute of an estimator")
        setattr(estimator, name, _checked_counter(name, value))
    for name, curve in learned["curves"].items():
        if name not in CURVES:
            raise ValueError(f"{name} is no attribute of an estimator")
        if curve is not None and (curve.ndim != 1 or curve.dtype != np.float64):
            raise ValueError(f"{name} must be a list of float64")
        setattr(estimator, name, None if curve is None else curve.tolist())
    if learned["plateau"] is not None:
        best, count = learned["plateau"]
        estimator._plateau = Plateau(_number("best", best), integer("count", count, 0))


def _checked_counter(name: str, value: Any) -> Any:
    if name in _WHOLE:
        return integer(name, value, 0)
    return None if value is None else _number(name, value)


def _number(name: str, value: Any) -> float:
    return value if type(value) is float and not np.isfinite(value) else real(name, value, -np.inf)
