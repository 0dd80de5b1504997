"""Training of a run's network by other libraries, with their own random numbers.

Settings that a library lacks are left out and reported. Scores differ by chance; the comparison
shows the accuracy and the training time of each library on the same data.
"""

from __future__ import annotations

import inspect
import math
import time
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data import Samples
from fastmlp.experiment import build
from fastmlp.experiment.evaluation import evaluation_of
from fastmlp.experiment.libraries import TorchTraining, require_library, sklearn_arguments
from fastmlp.experiment.runner import Experiment
from fastmlp.extras import require
from fastmlp.network.architecture import Architecture
from fastmlp.network.samples import class_weighted
from fastmlp.optimizers import Optimizer

__all__ = ["PEERS", "PeerResult", "require_library"]

Array = npt.NDArray[Any]
_MEASURES = ("accuracy", "subset_accuracy", "macro_f1", "rmse", "r2")


@dataclass(frozen=True)
class PeerResult:
    """The result of another library.

    Attributes
    ----------
    library : str
        Name and version.
    epochs : int
        Number of trained epochs.
    seconds : float
        Time of the training alone.
    metrics : dict of str to float
        Measures of `Evaluation` on the samples on which the result of the run is measured.
        Classification: accuracy, macro_f1. Multilabel: subset_accuracy, macro_f1. Regression:
        rmse, r2.
    left_out : list of str
        Settings of the run that the library lacks.
    """

    library: str
    epochs: int
    seconds: float
    metrics: dict[str, float]
    left_out: list[str]


class _Training:
    """The data, network and settings of a run in the form that all libraries accept.

    Raises
    ------
    ValueError
        No other library has the architecture, the optimizer, or the loss with these parameters.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.config = experiment.config
        self.task = experiment.prepared.task
        network = self.config.network
        if network.architecture not in (None, "mlp"):
            raise ValueError(
                f"architecture {network.architecture} is in none of the other libraries; plain "
                "networks (--architecture mlp) are compared"
            )
        if network.members is not None:
            raise ValueError("members are in none of the other libraries; one network is compared")
        self.architecture: Architecture = experiment.new_model().architecture
        rule = build.optimizer(self.config)
        if not isinstance(rule, Optimizer):
            raise ValueError("optimizer lbfgs takes no mini-batches and is not compared")
        self.rule: Any = rule
        loss = self.architecture.losses[0]
        if loss != type(loss)():
            raise ValueError(f"loss {loss.name} is compared without parameters, got {loss}")
        self.epochs = self.config.training.epochs or 1
        experiment.require_in_memory("another library")
        train = experiment.prepared.train
        self.x = self._inputs(train)
        self.y = train.y if self.task == "classification" else train.y.reshape(len(train), -1)
        self.batch_size = min(self.config.training.batch_size or 1, len(train))
        self.weights = self._weights(train)

    def _inputs(self, samples: Samples) -> Array:
        dtype = self.architecture.dtype
        scale = dtype.type(self.experiment.prepared.input_scale)
        inputs: Array = samples.x.astype(dtype, copy=False) * scale
        return inputs

    def _weights(self, train: Samples) -> Array | None:
        """Return the weights of the samples times the weights of their classes."""
        by_class = build.class_weights(self.config, self.experiment.prepared.preprocessing)
        outputs = self.architecture.layer_sizes[-1]
        return class_weighted(train.weight, by_class, train.y, outputs, np.float64)

    def left_out(self, supported: Collection[str]) -> list[str]:
        """Return the names of the settings that the run uses and a library does not support."""
        config, architecture, rule = self.config, self.architecture, self.rule
        training = config.training
        used = {
            "schedule": config.schedule.name != "constant" or config.schedule.warmup > 0,
            "initializer": config.network.initializer is not None,
            "dropout": any(architecture.dropout),
            "input_dropout": architecture.input_dropout > 0,
            "input_noise": architecture.input_noise > 0,
            "batch_normalization": any(architecture.batch_normalization),
            "inputs": bool(architecture.inputs),
            "input_scaling": architecture.input_scaling,
            "parametric": any(architecture.parametric),
            "members": architecture.members > 1,
            "layer_normalization": any(architecture.layer_normalization),
            "residual": any(architecture.residual),
            "compute_dtype": bool(architecture.compute_dtype),
            **{name: getattr(rule, name) > 0 for name in ("l1", "l2", "decay")},
            **{name: bool(getattr(rule, name)) for name in ("clip_norm", "clip_value", "max_norm")},
            "weights of samples": self.weights is not None,
            "averaging": training.averaging is not None,
            "initial_model": training.initial_model is not None,
            "freeze": bool(training.freeze),
            "patience": training.patience is not None,
            "max_time": training.max_time is not None,
            "choice of the best epoch": self.experiment.selects_best,
        }
        return [name for name, is_used in used.items() if is_used and name not in supported]

    def result(
        self, library: str, seconds: float, predict: Callable[[Array], Array], left_out: list[str]
    ) -> PeerResult:
        """Measure the predictions of the trained model and return its result."""
        _, samples = self.experiment.evaluated
        predicted = np.asarray(predict(self._inputs(samples)))
        if self.task == "multilabel":
            predicted = predicted.astype(np.int64)
        pre = self.experiment.prepared.preprocessing
        measured = evaluation_of(pre, samples, predicted).metrics
        metrics = {name: measured[name] for name in _MEASURES if name in measured}
        return PeerResult(library, self.epochs, seconds, metrics, left_out)


# ---------------------------------------------------------------- the libraries


def train_sklearn(experiment: Experiment) -> PeerResult:
    """Train scikit-learn's MLPClassifier or MLPRegressor.

    Raises
    ------
    ValueError
        scikit-learn lacks the activation, the optimizer or the loss.
    MissingExtraError
        scikit-learn is not installed.
    """
    networks = require("sklearn", "sklearn.neural_network")
    training = _Training(experiment)
    kind = networks.MLPRegressor if training.task == "regression" else networks.MLPClassifier
    settings, epochs = training.config.training, training.epochs
    rate = training.config.optimizer.learning_rate or 0.0
    model = kind(
        **sklearn_arguments(training.architecture, training.rule, rate, training.batch_size),
        shuffle=settings.shuffle,
        max_iter=epochs,
        n_iter_no_change=epochs + 1,
        tol=0.0,
        random_state=training.architecture.seed % 2**32,
    )
    supported, weights = {"l2"}, {}
    if "sample_weight" in inspect.signature(model.fit).parameters:
        supported.add("weights of samples")
        weights = {"sample_weight": training.weights}
    y = training.y.ravel() if training.y.shape[1:] == (1,) else training.y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run fixes the number of epochs, converged or not
        start = time.perf_counter()
        model.fit(training.x, y, **weights)
        seconds = time.perf_counter() - start
    version = require_library("sklearn").__version__
    left_out = training.left_out(supported)
    return training.result(f"scikit-learn {version}", seconds, model.predict, left_out)


def train_torch(experiment: Experiment) -> PeerResult:
    """Train PyTorch modules in a loop over mini-batches.

    Raises
    ------
    ValueError
        PyTorch lacks the activation, the optimizer or the loss.
    MissingExtraError
        PyTorch is not installed.
    """
    torch = require_library("torch")
    training = _Training(experiment)
    torch.manual_seed(training.architecture.seed)
    peer = TorchTraining(
        training.architecture, training.rule, training.x, training.y, weights=training.weights
    )
    config, count, batch = training.config, len(training.x), training.batch_size
    steps = math.ceil(count / batch)
    start = time.perf_counter()
    for epoch in range(training.epochs):
        rates = training.rule.rates(epoch * steps, steps, steps, training.epochs)
        order = torch.randperm(count) if config.training.shuffle else torch.arange(count)
        peer.epoch(order, batch, rates.tolist())
    seconds = time.perf_counter() - start

    def predict(inputs: Array) -> Array:
        outputs = peer.outputs(inputs)
        if training.task == "classification":
            return np.asarray(outputs.argmax(axis=1))
        return outputs > 0 if training.task == "multilabel" else outputs

    supported = {
        "dropout", "input_dropout", "batch_normalization", "clip_norm", "clip_value",
        "weights of samples", "decay" if config.optimizer.name.lower() == "adamw" else "l2",
    }  # fmt: skip
    if config.schedule.name != "plateau":
        supported.add("schedule")
    left_out = training.left_out(supported)
    return training.result(f"PyTorch {torch.__version__}", seconds, predict, left_out)


PEERS: Mapping[str, Callable[[Experiment], PeerResult]] = {
    "sklearn": train_sklearn,
    "torch": train_torch,
}
