"""Translation of a network and its training settings to PyTorch and scikit-learn.

`fastmlp compare` and `fastmlp bench` use it to train the same network with these libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy.typing as npt

from fastmlp.activations import Activation
from fastmlp.extras import MissingExtraError, require
from fastmlp.network.architecture import Architecture

__all__ = ["TorchTraining", "require_library", "sklearn_arguments"]

Array = npt.NDArray[Any]


def require_library(name: str) -> Any:
    """Import and return a library.

    Parameters
    ----------
    name : {"sklearn", "torch"}

    Raises
    ------
    MissingExtraError
        The library is not installed.
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


def _require_plain_outputs(architecture: Architecture) -> None:
    output = architecture.output_activation
    name = output if isinstance(output, str) else output.name
    if architecture.link == "none" and name != "identity":
        raise ValueError(f"output_activation {name} is not compared")


# ---------------------------------------------------------------- scikit-learn


def sklearn_arguments(
    architecture: Architecture, rule: Any, learning_rate: float, batch_size: int
) -> dict[str, Any]:
    """Return the arguments of scikit-learn's MLPClassifier or MLPRegressor.

    Parameters
    ----------
    architecture : Architecture
    rule : Optimizer
        The optimizer; its learning rate is ignored in favor of `learning_rate`.
    learning_rate : float
    batch_size : int
        Samples per mini-batch.

    Raises
    ------
    ValueError
        scikit-learn lacks the activation, the optimizer or the loss.
    """
    names = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic", "identity": "identity"}
    activations = {activation.name for activation in architecture.activations} or {"identity"}
    if len(activations) > 1 or not activations <= set(names):
        raise ValueError(f"scikit-learn has no activation {' beside '.join(sorted(activations))}")
    if rule.rule not in ("sgd", "momentum", "nesterov", "adam"):
        name = type(rule).__name__.lower()
        raise ValueError(f"scikit-learn has no optimizer {name} in this form")
    # scikit-learn minimizes a cross entropy or half the squared error.
    scales = {"softmax_cross_entropy": 1, "binary_cross_entropy": 1, "half_mse": 1, "mse": 2}
    loss = architecture.losses[0].name
    if loss not in scales:
        raise ValueError(f"scikit-learn is not compared with loss {loss}")
    _require_plain_outputs(architecture)
    arguments: dict[str, Any] = {
        "hidden_layer_sizes": architecture.layer_sizes[1:-1],
        "activation": names[activations.pop()],
        # scikit-learn divides the penalty by the size of the batch.
        "alpha": rule.l2 / scales[loss] * batch_size,
        "batch_size": batch_size,
    }
    if rule.rule == "adam":
        moments = {"beta_1": rule.beta1, "beta_2": rule.beta2, "epsilon": rule.epsilon}
        return arguments | {"solver": "adam", "learning_rate_init": learning_rate} | moments
    return arguments | {
        "solver": "sgd",
        "learning_rate_init": learning_rate * scales[loss],
        "momentum": rule.momentum,
        "nesterovs_momentum": rule.nesterov,
    }


# ---------------------------------------------------------------- PyTorch


class TorchTraining:
    """A network, its loss and its optimizer in PyTorch, trained step by step.

    Parameters
    ----------
    architecture : Architecture
        The network; PyTorch draws its initial parameters.
    rule : Optimizer
        The optimizer; its learning rate is ignored. Call `set_learning_rate` before a step.
    x : array of shape (samples, features)
        Scaled inputs in the dtype of the architecture.
    y : array of shape (samples,) or (samples, outputs)
        int64 class indices of shape (samples,), or target values of shape (samples, outputs).
    weights : array of shape (samples,), optional
        Weights of the samples; all are 1 by default.
    fused : bool
        Whether to use PyTorch's fused optimizer.

    Attributes
    ----------
    network : torch.nn.Sequential
    optimizer : torch.optim.Optimizer

    Raises
    ------
    ValueError
        PyTorch lacks the activation, the optimizer or the loss.
    MissingExtraError
        PyTorch is not installed.
    """

    def __init__(
        self,
        architecture: Architecture,
        rule: Any,
        x: Array,
        y: Array,
        *,
        weights: Array | None = None,
        fused: bool = False,
    ) -> None:
        self._torch = torch = require_library("torch")
        self._rule = rule
        dtype = getattr(torch, architecture.dtype.name)
        self.network = _torch_network(torch, architecture).to(dtype)
        self.optimizer = _torch_optimizer(torch, rule, self.network, fused=fused)
        self._loss = _torch_loss(torch, architecture.losses[0].name)
        self._x, self._y = torch.from_numpy(x), torch.from_numpy(y)
        if self._y.ndim > 1:
            self._y = self._y.to(dtype)
        self._weights = None if weights is None else torch.from_numpy(weights).to(dtype)
        self._clips = rule.clip_norm is not None or rule.clip_value is not None

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the steps that follow."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def step(self, rows: Any) -> None:
        """Train on one mini-batch; `rows` is a tensor with the indices of its samples."""
        x, y = self._x.index_select(0, rows), self._y.index_select(0, rows)
        if self._weights is None:
            loss = self._loss(self.network(x), y, "mean")
        else:
            weights = self._weights.index_select(0, rows)
            loss = (self._loss(self.network(x), y, "none") * weights).sum() / weights.sum()
        loss.backward()
        if self._clips:
            self._clip()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def epoch(self, order: Any, batch_size: int, rates: Iterable[float] | None = None) -> None:
        """Train on all samples once.

        Parameters
        ----------
        order : torch.Tensor of shape (samples,)
            Indices of the samples in the order of the training.
        batch_size : int
        rates : iterable of float, optional
            Learning rate of each step; by default the rate that was set last.
        """
        batches = order.split(batch_size)
        if rates is None:
            for rows in batches:
                self.step(rows)
            return
        for rows, rate in zip(batches, rates, strict=True):
            self.set_learning_rate(rate)
            self.step(rows)

    def outputs(self, x: Array) -> Array:
        """Return the outputs in evaluation mode, an array of shape (samples, outputs)."""
        self.network.eval()
        with self._torch.no_grad():
            outputs: Array = self.network(self._torch.from_numpy(x)).numpy()
        return outputs

    def _clip(self) -> None:
        utils = self._torch.nn.utils
        if self._rule.clip_norm is not None:
            utils.clip_grad_norm_(self.network.parameters(), self._rule.clip_norm)
        if self._rule.clip_value is not None:
            utils.clip_grad_value_(self.network.parameters(), self._rule.clip_value)


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
    return nn.Sequential(*layers)


def _torch_activation(nn: Any, activation: Activation) -> Any:
    kinds: Mapping[str, Callable[[Any], Any]] = {
        "relu": lambda a: nn.ReLU(),
        "tanh": lambda a: nn.Tanh(),
        "sigmoid": lambda a: nn.Sigmoid(),
        "identity": lambda a: nn.Identity(),
        "gelu": lambda a: nn.GELU(),
        "gelu_tanh": lambda a: nn.GELU(approximate="tanh"),
        "silu": lambda a: nn.SiLU(),
        "mish": lambda a: nn.Mish(),
        "selu": lambda a: nn.SELU(),
        "softplus": lambda a: nn.Softplus(),
        "leaky_relu": lambda a: nn.LeakyReLU(a.slope),
        "elu": lambda a: nn.ELU(a.alpha),
    }
    if activation.name not in kinds:
        raise ValueError(f"PyTorch is not compared with activation {activation.name}")
    return kinds[activation.name](activation)


def _torch_optimizer(torch: Any, rule: Any, network: Any, *, fused: bool) -> Any:
    kinds = ("SGD", "Adagrad", "RMSprop", "Adam", "AdamW", "Adamax", "Nadam")
    name = type(rule).__name__
    if name not in kinds:
        raise ValueError(f"PyTorch is not compared with optimizer {name.lower()}")
    own = {"nesterov": "nesterov", "momentum": "momentum", "epsilon": "eps", "rho": "alpha",
           "centred": "centered", "amsgrad": "amsgrad"}  # fmt: skip
    settings = {theirs: getattr(rule, ours) for ours, theirs in own.items() if hasattr(rule, ours)}
    if hasattr(rule, "beta1"):
        settings["betas"] = (rule.beta1, rule.beta2)
    if fused:
        settings["fused"] = True
    parameters = list(network.parameters())
    decay = rule.decay if name == "AdamW" else rule.l2
    groups: list[dict[str, Any]] = [{"params": parameters}]
    if decay:  # weights decay, biases do not
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0},
        ]
    else:
        settings["weight_decay"] = 0.0  # AdamW's default is 0.01
    kind = getattr(torch.optim, "NAdam" if name == "Nadam" else name)
    return kind(groups, lr=0.0, **settings)


def _torch_loss(torch: Any, name: str) -> Callable[[Any, Any, str], Any]:
    """Return the loss as a function of outputs, targets and reduction ("mean" or "none")."""
    functional = torch.nn.functional
    if name == "softmax_cross_entropy":
        return lambda z, y, reduction: functional.cross_entropy(z, y, reduction=reduction)
    losses = {
        "binary_cross_entropy": functional.binary_cross_entropy_with_logits,
        "mse": functional.mse_loss,
        "half_mse": lambda z, y, reduction: functional.mse_loss(z, y, reduction=reduction) / 2,
        "mae": functional.l1_loss,
    }
    if name not in losses:
        raise ValueError(f"PyTorch is not compared with loss {name}")

    def loss(z: Any, y: Any, reduction: str) -> Any:
        by_sample = losses[name](z, y, reduction="none").sum(axis=1)
        return by_sample.mean() if reduction == "mean" else by_sample

    return loss
