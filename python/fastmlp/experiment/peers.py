"""The same training by other libraries: their estimators and modules, their own random numbers.

What a library cannot do is left out and said. Scores differ by chance; the point is what accuracy a
second of each library buys on this data.
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

import fastmlp.metrics as metrics
from fastmlp.activations import Activation
from fastmlp.data.prepare import Samples
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment
from fastmlp.extras import MissingExtraError, require
from fastmlp.network.architecture import Architecture
from fastmlp.network.samples import class_weighted
from fastmlp.optimizers import Optimizer

__all__ = ["PEERS", "PeerResult", "require_library"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PeerResult:
    """What another library reached.

    Attributes
    ----------
    library : str
        With its version.
    epochs : int
    seconds : float
        Of the training alone.
    metrics : dict of str to float
        Classification: accuracy, macro_f1. Multilabel: subset_accuracy, macro_f1. Regression:
        rmse, r2 in the units of the targets. Of the samples that the run is judged by.
    left_out : list of str
        Settings of the run that had no effect.
    """

    library: str
    epochs: int
    seconds: float
    metrics: dict[str, float]
    left_out: list[str]


def require_library(name: str) -> Any:
    """Import one of `PEERS`.

    Raises
    ------
    MissingExtraError
        It is not installed.
    """
    if name == "sklearn":
        return require("sklearn", "sklearn")
    try:
        import torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError('torch is needed; run "pip install torch"', name="torch") from None
    return torch


class _Training:
    """A run in the terms that all libraries share.

    Raises
    ------
    ValueError
        No other library has the optimizer, or the loss as it is.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.config = experiment.config
        self.task = experiment.prepared.task
        self.architecture: Architecture = experiment.new_model().architecture
        rule = build.optimizer(self.config)
        if not isinstance(rule, Optimizer):
            raise ValueError("optimizer lbfgs takes no mini-batches and is not compared")
        self.rule: Any = rule
        loss = self.architecture.losses[0]
        if loss != type(loss)():
            raise ValueError(f"loss {loss.name} is compared without parameters, got {loss}")
        self.loss = loss.name
        self.epochs = self.config.training.epochs or 1
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
        """Weights of the samples times those of their classes."""
        by_class = build.class_weights(self.config, self.experiment.prepared.preprocessing)
        outputs = self.architecture.layer_sizes[-1]
        return class_weighted(train.weight, by_class, train.y, outputs, np.float64)

    def left_out(self, supported: Collection[str]) -> list[str]:
        """Settings that do something in the run, but for those that a library has."""
        config, architecture, rule = self.config, self.architecture, self.rule
        training = config.training
        used = {
            "schedule": config.schedule.name != "constant" or config.schedule.warmup > 0,
            "initializer": config.network.initializer is not None,
            "dropout": any(architecture.dropout),
            "input_dropout": architecture.input_dropout > 0,
            "input_noise": architecture.input_noise > 0,
            "batch_normalization": any(architecture.batch_normalization),
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
        """Measure what was trained."""
        _, samples = self.experiment.evaluated
        measured = self._measures(samples, np.asarray(predict(self._inputs(samples))))
        return PeerResult(library, self.epochs, seconds, measured, left_out)

    def _measures(self, samples: Samples, predicted: Array) -> dict[str, float]:
        pre = self.experiment.prepared.preprocessing
        if self.task == "classification":
            f1 = metrics.f1(samples.y, predicted, classes=pre.outputs)
            return {"accuracy": metrics.accuracy(samples.y, predicted), "macro_f1": float(f1)}
        truth, predicted = (a.reshape(len(samples), -1) for a in (samples.y, predicted))
        if self.task == "multilabel":
            pairs = zip(truth.T.astype(int), predicted.T.astype(int), strict=True)
            labels = [float(metrics.f1(*pair, average="binary", classes=2)) for pair in pairs]
            right = (truth == predicted).all(axis=1)
            return {"subset_accuracy": float(right.mean()), "macro_f1": float(np.mean(labels))}
        truth, predicted = (pre.decode(a).astype(np.float64) for a in (truth, predicted))
        squared, spread = ((truth - predicted) ** 2).mean(axis=0), truth.var(axis=0)
        # A target that does not vary has no variance to explain.
        explained = 1.0 - np.divide(squared, spread, out=np.ones_like(squared), where=spread > 0)
        return {"rmse": math.sqrt(squared.mean()), "r2": float(explained.mean())}


# ---------------------------------------------------------------- scikit-learn


def train_sklearn(experiment: Experiment) -> PeerResult:
    """scikit-learn's MLPClassifier or MLPRegressor.

    Raises
    ------
    ValueError
        It has no such activation, optimizer or loss.
    MissingExtraError
        scikit-learn is not installed.
    """
    networks = require("sklearn", "sklearn.neural_network")
    training = _Training(experiment)
    kind = networks.MLPRegressor if training.task == "regression" else networks.MLPClassifier
    model = kind(**_sklearn_settings(training))
    supported, weights = {"l2"}, {}
    if "sample_weight" in inspect.signature(model.fit).parameters:
        supported.add("weights of samples")
        weights = {"sample_weight": training.weights}
    y = training.y.ravel() if training.y.shape[1:] == (1,) else training.y
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is what was asked for
        start = time.perf_counter()
        model.fit(training.x, y, **weights)
        seconds = time.perf_counter() - start
    version = require_library("sklearn").__version__
    left_out = training.left_out(supported)
    return training.result(f"scikit-learn {version}", seconds, model.predict, left_out)


def _sklearn_settings(training: _Training) -> dict[str, Any]:
    architecture, config, rule = training.architecture, training.config, training.rule
    names = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "identity": "identity"}
    activations = {activation.name for activation in architecture.activations} or {"identity"}
    if len(activations) > 1 or not activations <= set(names):
        raise ValueError(f"scikit-learn has no activation {' beside '.join(sorted(activations))}")
    if rule.rule not in ("sgd", "momentum", "nesterov", "adam"):
        raise ValueError(f"scikit-learn has no optimizer {config.optimizer.name} in this form")
    # Its losses: cross entropies, and half of the squared error.
    scales = {"softmax_cross_entropy": 1, "binary_cross_entropy": 1, "half_mse": 1, "mse": 2}
    if training.loss not in scales:
        raise ValueError(f"scikit-learn is not compared with loss {training.loss}")
    _require_plain_outputs(architecture)
    scale = scales[training.loss]
    settings: dict[str, Any] = {
        "hidden_layer_sizes": architecture.layer_sizes[1:-1],
        "activation": names[activations.pop()],
        "alpha": rule.l2 / scale * training.batch_size,  # it divides by the size of the batch
        "batch_size": training.batch_size,
        "shuffle": config.training.shuffle,
        "max_iter": training.epochs,
        "n_iter_no_change": training.epochs + 1,
        "tol": 0.0,
        "random_state": architecture.seed % 2**32,
    }
    rate = config.optimizer.learning_rate
    if rule.rule == "adam":
        moments = {"beta_1": rule.beta1, "beta_2": rule.beta2, "epsilon": rule.epsilon}
        return settings | {"solver": "adam", "learning_rate_init": rate} | moments
    settings |= {"solver": "sgd", "learning_rate_init": (rate or 0.0) * scale}
    return settings | {"momentum": rule.momentum, "nesterovs_momentum": rule.nesterov}


def _require_plain_outputs(architecture: Architecture) -> None:
    output = architecture.output_activation
    name = output if isinstance(output, str) else output.name
    if architecture.link == "none" and name != "identity":
        raise ValueError(f"output_activation {name} is not compared")


# ---------------------------------------------------------------- PyTorch


def train_torch(experiment: Experiment) -> PeerResult:
    """PyTorch's modules in the usual loop over mini-batches.

    Raises
    ------
    ValueError
        It has no such activation, optimizer or loss.
    MissingExtraError
        PyTorch is not installed.
    """
    torch = require_library("torch")
    training = _Training(experiment)
    torch.manual_seed(training.architecture.seed)
    network = _torch_network(torch, training.architecture)
    seconds = _torch_fit(torch, training, network)

    def predict(inputs: Array) -> Array:
        network.eval()
        with torch.no_grad():
            outputs: Array = network(torch.from_numpy(inputs)).numpy()
        if training.task == "classification":
            return np.asarray(outputs.argmax(axis=1))
        return outputs > 0 if training.task == "multilabel" else outputs

    config = training.config
    supported = {
        "dropout", "input_dropout", "batch_normalization", "clip_norm", "clip_value",
        "weights of samples", "decay" if config.optimizer.name.lower() == "adamw" else "l2",
    }  # fmt: skip
    if config.schedule.name != "plateau":
        supported.add("schedule")
    version, left_out = torch.__version__, training.left_out(supported)
    return training.result(f"PyTorch {version}", seconds, predict, left_out)


def _torch_fit(torch: Any, training: _Training, network: Any) -> float:
    """Train a network of PyTorch; seconds that it took."""
    config, rule = training.config, training.rule
    optimizer = _torch_optimizer(torch, config.optimizer.name, rule, network)
    loss_of = _torch_loss(torch, training.loss)
    x, y = torch.from_numpy(training.x), torch.from_numpy(training.y)
    y = y if training.task == "classification" else y.to(x.dtype)
    weights = None if training.weights is None else torch.from_numpy(training.weights).to(x.dtype)
    batch, steps = training.batch_size, math.ceil(len(x) / training.batch_size)
    start = time.perf_counter()
    for epoch in range(training.epochs):
        rates = rule.rates(epoch * steps, steps, steps, training.epochs)
        order = torch.randperm(len(x)) if config.training.shuffle else torch.arange(len(x))
        for rows, rate in zip(order.split(batch), rates.tolist(), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses = loss_of(network(x[rows]), y[rows])
            factors = torch.ones_like(losses) if weights is None else weights[rows]
            optimizer.zero_grad()
            ((losses * factors).sum() / factors.sum()).backward()
            _torch_clip(torch, rule, network)
            optimizer.step()
    return time.perf_counter() - start


def _torch_network(torch: Any, architecture: Architecture) -> Any:
    nn = torch.nn
    _require_plain_outputs(architecture)
    layers: list[Any] = []
    if architecture.input_dropout:
        layers.append(nn.Dropout(architecture.input_dropout))
    sizes = architecture.layer_sizes
    for i, activation in enumerate(architecture.activations):
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if architecture.batch_normalization[i]:
            layers.append(nn.BatchNorm1d(sizes[i + 1]))
        layers.append(_torch_activation(nn, activation))
        if architecture.dropout[i]:
            layers.append(nn.Dropout(architecture.dropout[i]))
    layers.append(nn.Linear(sizes[-2], sizes[-1]))
    return nn.Sequential(*layers).to(getattr(torch, architecture.dtype.name))


def _torch_activation(nn: Any, activation: Activation) -> Any:
    kinds: Mapping[str, Callable[[Any], Any]] = {
        "relu": lambda a: nn.ReLU(),
        "tanh": lambda a: nn.Tanh(),
        "sigmoid": lambda a: nn.Sigmoid(),
        "identity": lambda a: nn.Identity(),
        "gelu": lambda a: nn.GELU(),
        "gelu_tanh": lambda a: nn.GELU(approximate="tanh"),
        "silu": lambda a: nn.SiLU(),
        "selu": lambda a: nn.SELU(),
        "softplus": lambda a: nn.Softplus(),
        "leaky_relu": lambda a: nn.LeakyReLU(a.slope),
        "elu": lambda a: nn.ELU(a.alpha),
    }
    if activation.name not in kinds:
        raise ValueError(f"PyTorch is not compared with activation {activation.name}")
    return kinds[activation.name](activation)


def _torch_optimizer(torch: Any, name: str, rule: Any, network: Any) -> Any:
    kinds = {
        "sgd": "SGD", "adagrad": "Adagrad", "rmsprop": "RMSprop", "adam": "Adam", "adamw": "AdamW",
        "adamax": "Adamax", "nadam": "NAdam",
    }  # fmt: skip
    name = name.lower()
    if name not in kinds:
        raise ValueError(f"PyTorch is not compared with optimizer {name}")
    own = {"nesterov": "nesterov", "momentum": "momentum", "epsilon": "eps", "rho": "alpha",
           "centred": "centered", "amsgrad": "amsgrad"}  # fmt: skip
    settings = {theirs: getattr(rule, ours) for ours, theirs in own.items() if hasattr(rule, ours)}
    if hasattr(rule, "beta1"):
        settings["betas"] = (rule.beta1, rule.beta2)
    decay = rule.decay if name == "adamw" else rule.l2
    parameters = list(network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
    ]
    return getattr(torch.optim, kinds[name])(groups, lr=0.0, **settings)


def _torch_loss(torch: Any, name: str) -> Callable[[Any, Any], Any]:
    """The loss of each sample: the sum over its outputs."""
    functional = torch.nn.functional
    if name == "softmax_cross_entropy":
        return lambda z, y: functional.cross_entropy(z, y, reduction="none")
    losses = {
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "mse": functional.mse_loss,
        "half_mse": lambda z, y, reduction: functional.mse_loss(z, y, reduction=reduction) / 2,
        "mae": functional.l1_loss,
    }
    if name not in losses:
        raise ValueError(f"PyTorch is not compared with loss {name}")
    return lambda z, y: losses[name](z, y, reduction="none").sum(axis=1)


def _torch_clip(torch: Any, rule: Any, network: Any) -> None:
    if rule.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(network.parameters(), rule.clip_norm)
    if rule.clip_value is not None:
        torch.nn.utils.clip_grad_value_(network.parameters(), rule.clip_value)


PEERS: Mapping[str, Callable[[Experiment], PeerResult]] = {
    "sklearn": train_sklearn,
    "torch": train_torch,
}
