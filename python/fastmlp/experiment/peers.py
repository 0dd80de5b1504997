"""The same training by other libraries: their estimators and modules, their own random numbers.

What a library cannot do is left out and said. Scores differ by chance; the point is what accuracy a
second of each library buys on this data.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastmlp.data.prepare import Samples
from fastmlp.experiment import build
from fastmlp.experiment.runner import Experiment
from fastmlp.extras import MissingExtraError, require
from fastmlp.optimizers import Optimizer

__all__ = ["PEERS", "PeerResult"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class PeerResult:
    """What another library reached.

    Attributes
    ----------
    library : str
        With its version.
    metrics : dict of str to float
        accuracy, or rmse and r2 in the units of the target.
    seconds : float
        Of the training alone.
    left_out : list of str
        Settings of the run that the library does not have.
    """

    library: str
    metrics: dict[str, float]
    seconds: float
    left_out: list[str]


def _inputs(experiment: Experiment, samples: Samples) -> Array:
    scale = np.float32(experiment.prepared.input_scale)
    scaled: Array = np.asarray(samples.x, np.float32) * scale
    return scaled.reshape(len(samples), -1)


def _metrics(experiment: Experiment, samples: Samples, predicted: Array) -> dict[str, float]:
    pre = experiment.prepared.preprocessing
    if pre.task == "classification":
        return {"accuracy": float(np.mean(predicted == samples.y))}
    truth = pre.decode(np.asarray(samples.y).reshape(len(samples), -1)).astype(np.float64)
    residuals = truth - pre.decode(predicted.reshape(len(samples), -1)).astype(np.float64)
    error = float((residuals**2).mean())
    return {"rmse": math.sqrt(error), "r2": 1.0 - error / float(truth.var())}


def _network(experiment: Experiment) -> dict[str, Any]:
    """Architecture of the run as the peers need it."""
    if experiment.prepared.task == "multilabel":
        raise ValueError("task multilabel is not compared with other libraries")
    architecture = experiment.new_model().architecture
    rule = build.optimizer(experiment.config)
    if not isinstance(rule, Optimizer):
        raise ValueError("optimizer lbfgs is not compared with other libraries")
    return {"architecture": architecture, "rule": rule}


def train_sklearn(experiment: Experiment) -> PeerResult:
    """scikit-learn's MLPClassifier or MLPRegressor."""
    sklearn = require("sklearn", "sklearn")
    networks = require("sklearn", "sklearn.neural_network")
    made = _network(experiment)
    architecture, rule = made["architecture"], made["rule"]
    config = experiment.config
    names = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "identity": "identity"}
    activations = {a.name for a in architecture.activations} or {"identity"}
    if len(activations) > 1 or not activations <= set(names):
        raise ValueError(f"scikit-learn has no activation {', '.join(sorted(activations))}")
    if rule.rule not in ("sgd", "momentum", "nesterov", "adam"):
        raise ValueError(f"scikit-learn has no optimizer {config.optimizer.name}")
    left_out = [
        name
        for name, used in {
            "schedule": config.schedule.name != "constant",
            "dropout": any(architecture.dropout) or architecture.input_dropout > 0,
            "batch normalisation": any(architecture.batch_normalization),
            "sample weights": experiment.prepared.train.weight is not None,
        }.items()
        if used
    ]
    epochs = config.training.epochs or 1
    train = experiment.prepared.train
    settings = {
        "hidden_layer_sizes": architecture.layer_sizes[1:-1],
        "activation": names[activations.pop()],
        "solver": "adam" if rule.rule == "adam" else "sgd",
        "alpha": rule.l2 * len(train) if rule.l2 else 0.0,
        "batch_size": min(config.training.batch_size or 1, len(train)),
        "learning_rate_init": config.optimizer.learning_rate or 1e-3,
        "momentum": config.optimizer.momentum or 0.0,
        "nesterovs_momentum": bool(config.optimizer.nesterov),
        "max_iter": epochs,
        "n_iter_no_change": epochs + 1,
        "tol": 0.0,
        "random_state": config.network.seed % 2**32,
    }
    classifies = experiment.prepared.task == "classification"
    kind = networks.MLPClassifier if classifies else networks.MLPRegressor
    x = _inputs(experiment, train)
    y = train.y if classifies else np.asarray(train.y).reshape(len(train), -1)
    model = kind(**settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has not converged is what was asked for
        start = time.perf_counter()
        model.fit(x, y.ravel() if y.shape[-1:] == (1,) else y)
        seconds = time.perf_counter() - start
    _, samples = experiment.evaluated
    predicted = model.predict(_inputs(experiment, samples))
    metrics = _metrics(experiment, samples, np.asarray(predicted))
    return PeerResult(f"scikit-learn {sklearn.__version__}", metrics, seconds, left_out)


def train_torch(experiment: Experiment) -> PeerResult:
    """PyTorch's modules in the usual loop over mini-batches."""
    try:
        import torch
    except ModuleNotFoundError:
        raise MissingExtraError("torch is needed; run 'pip install torch'", name="torch") from None
    made = _network(experiment)
    config, train = experiment.config, experiment.prepared.train
    torch.manual_seed(config.network.seed)
    network = _torch_network(torch, made["architecture"])
    rule = made["rule"]
    optimizer = _torch_optimizer(torch, config.optimizer.name, rule, network)
    classifies = experiment.prepared.task == "classification"
    loss_of = torch.nn.CrossEntropyLoss() if classifies else torch.nn.MSELoss()
    x = torch.from_numpy(_inputs(experiment, train))
    y = torch.from_numpy(
        np.asarray(train.y) if classifies else np.asarray(train.y, np.float32).reshape(len(x), -1)
    )
    batch = min(config.training.batch_size or 1, len(x))
    epochs, steps = config.training.epochs or 1, math.ceil(len(x) / batch)
    start = time.perf_counter()
    for epoch in range(epochs):
        rates = rule.rates(epoch * steps, steps, steps, epochs)
        order = torch.randperm(len(x))
        for step, rate in enumerate(rates):
            rows = order[step * batch : (step + 1) * batch]
            for group in optimizer.param_groups:
                group["lr"] = float(rate)
            optimizer.zero_grad()
            loss_of(network(x[rows]), y[rows]).backward()
            optimizer.step()
    seconds = time.perf_counter() - start
    _, samples = experiment.evaluated
    network.eval()
    with torch.no_grad():
        outputs = network(torch.from_numpy(_inputs(experiment, samples))).numpy()
    metrics = _metrics(experiment, samples, outputs.argmax(axis=1) if classifies else outputs)
    left_out = ["sample weights"] if train.weight is not None else []
    return PeerResult(f"PyTorch {torch.__version__}", metrics, seconds, left_out)


def _torch_network(torch: Any, architecture: Any) -> Any:
    nn = torch.nn
    activations = {
        "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "identity": nn.Identity,
        "gelu": nn.GELU, "silu": nn.SiLU, "elu": nn.ELU, "selu": nn.SELU,
        "leaky_relu": nn.LeakyReLU, "softplus": nn.Softplus,
    }  # fmt: skip
    sizes = architecture.layer_sizes
    layers: list[Any] = []
    for i, activation in enumerate(architecture.activations):
        if activation.name not in activations:
            raise ValueError(f"{activation.name} is not compared with PyTorch")
        layers.append(nn.Linear(sizes[i], sizes[i + 1]))
        if architecture.batch_normalization[i]:
            layers.append(nn.BatchNorm1d(sizes[i + 1]))
        layers.append(activations[activation.name]())
        if architecture.dropout[i]:
            layers.append(nn.Dropout(architecture.dropout[i]))
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))


def _torch_optimizer(torch: Any, name: str, rule: Any, network: Any) -> Any:
    kinds = {
        "sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "adagrad": "Adagrad", "nadam": "NAdam",
        "adamax": "Adamax", "rmsprop": "RMSprop",
    }  # fmt: skip
    if name not in kinds:
        raise ValueError(f"PyTorch has no optimizer {name}")
    settings: dict[str, Any] = {"lr": 1e-3, "weight_decay": rule.l2}
    if name == "sgd":
        settings |= {"momentum": rule.momentum, "nesterov": rule.nesterov}
    if name == "adamw":
        settings["weight_decay"] = rule.decay
    if name in ("adam", "adamw", "nadam", "adamax"):
        settings["betas"] = (rule.beta1, rule.beta2)
    return getattr(torch.optim, kinds[name])(network.parameters(), **settings)


PEERS: Mapping[str, Callable[[Experiment], PeerResult]] = {
    "sklearn": train_sklearn,
    "torch": train_torch,
}
