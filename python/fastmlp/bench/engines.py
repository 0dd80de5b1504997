"""Training of a workload in each library; a new library needs a class and a line in `ENGINES`.

A library is imported when its engine is created. This happens in a separate process, after the
number of threads was set in the environment (`worker`).
"""

from __future__ import annotations

import importlib.util
import itertools
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastmlp.bench.workloads import Start, Workload
from fastmlp.experiment.libraries import TorchTraining, sklearn_arguments
from fastmlp.model import MLP
from fastmlp.network.architecture import Architecture, checked_architecture
from fastmlp.network.samples import Data
from fastmlp.optimizers import SGD, Adam
from fastmlp.training.run import Run

__all__ = ["ENGINES", "OWN", "Engine", "ScikitLearn", "Torch"]

OWN = "fastmlp"

Array = npt.NDArray[Any]


class Engine(ABC):
    """A network and its optimizer in one library, trained in the library's fastest way.

    Parameters
    ----------
    workload : Workload
    start : Start
        Initial parameters and the orders of the samples.
    x : array of shape (samples, features)
        Inputs, as `Workload.data` returns them.
    y : array of shape (samples,) or (samples, 1)
        Class indices or numbers, as `Workload.data` returns them.
    threads : int
        Largest number of threads of the library; 0 lets the library choose.
    """

    bfloat16: ClassVar[bool] = False  # whether the factors of products are bfloat16
    modules: ClassVar[tuple[str, ...]]  # modules that must be installed
    package: ClassVar[str]  # arguments of "pip install" that install the modules

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        self.workload = workload
        self.threads = threads
        self.orders: Iterator[Array] = itertools.cycle(start.orders)

    @classmethod
    def compute_dtype(cls, workload: Workload) -> str:
        """Return the type of the factors of products."""
        return "bfloat16" if cls.bfloat16 else workload.dtype

    @classmethod
    def available(cls) -> bool:
        """Return whether the library is installed, without importing it."""
        return all(importlib.util.find_spec(name) is not None for name in cls.modules)

    def version(self) -> str:
        """Return the versions of the engine's modules."""
        return ", ".join(f"{name} {sys.modules[name].__version__}" for name in self.modules)

    @abstractmethod
    def train(self, epochs: int, learning_rate: float) -> None:
        """Train a number of epochs; return after the last step has finished."""

    @abstractmethod
    def parameters(self) -> list[Array]:
        """Return all weights, each of shape (in, out), then all biases."""


class Peer(Engine):
    """An engine that is configured by fastmlp's descriptions of network and optimizer."""

    def architecture(self) -> Architecture:
        """Return the architecture of the network."""
        return checked_architecture(
            self.workload.layers,
            activation=self.workload.activation,
            loss=self.workload.loss,
            dtype=self.workload.dtype,
        )


def scaled(workload: Workload, x: Array) -> Array:
    """Return the inputs as scaled values of the dtype, on which the other libraries train."""
    dtype = np.dtype(workload.dtype).type
    values: Array = x.astype(dtype) * dtype(workload.input_scale)
    return values


class FastMLP(Engine):
    """fastmlp: epochs of the core as in `MLP.fit`; uint8 inputs are not converted beforehand."""

    modules = (OWN,)
    package = OWN

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        super().__init__(workload, start, x, y, threads)
        self.model = MLP(
            workload.layers,
            activation=workload.activation,
            input_scale=workload.input_scale,
            seed=start.seed,
            compute_dtype=self.compute_dtype(workload),
            dtype=workload.dtype,
            loss=workload.loss,
        )
        self.model.weights, self.model.biases = start.weights, start.biases
        self.data, self.seed = Data(x, [y]), start.seed
        self.run = Run(self.model, workload.batch, workload.optimizer.rule, threads or None)
        self.threads = self.run.plan["threads"]
        self.epoch = 0

    def train(self, epochs: int, learning_rate: float) -> None:
        """Run epochs in the core, which draws the same orders as those of `Start`."""
        settings = self.workload.optimizer.settings() | {"learning_rate": learning_rate}
        for _ in range(epochs):
            report = self.run.epoch(self.data, settings, epoch=self.epoch)
            if report.status != "completed":
                raise RuntimeError(f"the epoch ended as {report.status}")
            self.epoch += 1

    def parameters(self) -> list[Array]:
        """Return copies of the core's parameters."""
        return [*self.model.weights, *self.model.biases]


class FastMLPBfloat16(FastMLP):
    """fastmlp with products in bfloat16."""

    bfloat16 = True


class Torch(Peer):
    """PyTorch: eager steps with the fused optimizer."""

    modules = ("torch",)
    package = "torch"

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        import torch

        super().__init__(workload, start, x, y, threads)
        torch.set_num_threads(threads)
        self.torch = torch
        # PyTorch's velocity is that of fastmlp divided by the rate: equal steps at a constant rate.
        self.training = TorchTraining(
            self.architecture(), workload.optimizer, scaled(workload, x), y, fused=True
        )
        linear = list(self.training.network)[::2]
        with torch.no_grad():
            for layer, w, b in zip(linear, start.weights, start.biases, strict=True):
                layer.weight.copy_(torch.from_numpy(w.T))
                layer.bias.copy_(torch.from_numpy(b))

    def train(self, epochs: int, learning_rate: float) -> None:
        """Loop over the mini-batches in Python."""
        self.training.set_learning_rate(learning_rate)
        for order in itertools.islice(self.orders, epochs):
            self.training.epoch(self.torch.from_numpy(order), self.workload.batch)

    def parameters(self) -> list[Array]:
        """Return the parameters; PyTorch stores weights with shape (out, in)."""
        values = [p.detach().numpy() for p in self.training.network.parameters()]
        return [*(w.T for w in values[::2]), *values[1::2]]


class TorchCompile(Torch):
    """PyTorch: the whole step compiled by `torch.compile`, which needs a C++ compiler."""

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        super().__init__(workload, start, x, y, threads)
        self.training.step = self.torch.compile(self.training.step)  # type: ignore[method-assign]


class TorchBfloat16(Torch):
    """PyTorch: eager steps whose products `torch.autocast` computes in bfloat16."""

    bfloat16 = True

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        super().__init__(workload, start, x, y, threads)
        step = self.training.step

        def narrow_step(rows: Any) -> None:
            # One context for each step, because it keeps the rounded weights to its end.
            with self.torch.autocast("cpu", dtype=self.torch.bfloat16):
                step(rows)

        self.training.step = narrow_step  # type: ignore[method-assign]


class Jax(Engine):
    """JAX: an epoch as one compiled `lax.scan` whose state is updated in place."""

    modules = ("jax", "jaxlib")
    package = "jax"

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        import jax
        import jax.numpy as jnp

        super().__init__(workload, start, x, y, threads)
        self.jax = jax
        jax.config.update("jax_enable_x64", workload.dtype == "float64")
        rule = workload.optimizer
        activation = getattr(jax.nn, workload.activation)
        tree = jax.tree_util.tree_map

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            weights, biases = parameters
            for w, b in zip(weights[:-1], biases[:-1], strict=True):
                x = activation(x @ w + b)
            x = x @ weights[-1] + biases[-1]
            if workload.loss == "mse":
                return ((x - y) ** 2).mean()
            return -jnp.take_along_axis(jax.nn.log_softmax(x), y[:, None], axis=1).mean()

        def update(state: Any, gradients: Any, rate: Any) -> Any:
            if isinstance(rule, SGD):
                parameters, velocities = state
                velocities = tree(lambda v, g: rule.momentum * v - rate * g, velocities, gradients)
                return tree(jnp.add, parameters, velocities), velocities
            parameters, means, squares, number = state
            number = number + 1
            means = tree(lambda m, g: rule.beta1 * m + (1 - rule.beta1) * g, means, gradients)
            squares = tree(
                lambda s, g: rule.beta2 * s + (1 - rule.beta2) * g**2, squares, gradients
            )
            first, second = 1 - rule.beta1**number, 1 - rule.beta2**number
            parameters = tree(
                lambda p, m, s: p - rate * (m / first) / (jnp.sqrt(s / second) + rule.epsilon),
                parameters, means, squares,
            )  # fmt: skip
            return parameters, means, squares, number

        def epoch(state: Any, x: Any, y: Any, order: Any, rate: Any) -> Any:
            def step(state: Any, rows: Any) -> Any:
                gradients = jax.grad(loss)(state[0], x[rows], y[rows])
                return update(state, gradients, rate), None

            return jax.lax.scan(step, state, order.reshape(-1, workload.batch))[0]

        self.epoch = jax.jit(epoch, donate_argnums=0)
        targets = jnp.asarray(y, jnp.int32 if y.ndim == 1 else None)
        self.data = jnp.asarray(scaled(workload, x)), targets
        parameters = tree(jnp.asarray, (start.weights, start.biases))
        averages = tree(jnp.zeros_like, parameters)
        self.state: Any = parameters, averages
        if isinstance(rule, Adam):
            others = tree(jnp.zeros_like, parameters)
            self.state = parameters, averages, others, jnp.zeros((), workload.dtype)

    def train(self, epochs: int, learning_rate: float) -> None:
        """Queue the epochs and wait for the last one."""
        for order in itertools.islice(self.orders, epochs):
            self.state = self.epoch(self.state, *self.data, order.astype(np.int32), learning_rate)
        self.jax.block_until_ready(self.state)

    def parameters(self) -> list[Array]:
        """Return copies of the parameters; the state also holds averages."""
        weights, biases = self.state[0]
        return [np.asarray(value) for value in (*weights, *biases)]


class ScikitLearn(Peer):
    """scikit-learn: `partial_fit` of its networks on whole epochs, to validate inputs rarely."""

    modules = ("sklearn",)
    package = "scikit-learn"

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        super().__init__(workload, start, x, y, threads)
        if workload.layers[-1] == 2:
            raise ValueError("scikit-learn has one output for two classes, this workload two")
        arguments = sklearn_arguments(
            self.architecture(), workload.optimizer, workload.learning_rate, workload.batch
        )
        regression = workload.loss == "mse"
        # `train` orders the samples, so that all engines use the same order.
        self.model = (MLPRegressor if regression else MLPClassifier)(**arguments, shuffle=False)
        self.x, self.y = scaled(workload, x), y.ravel()
        # The first call creates parameters and optimizer; both are then set to the common start.
        few = slice(workload.batch)
        classes = {} if regression else {"classes": np.arange(workload.layers[-1])}
        self.model.partial_fit(self.x[few], self.y[few], **classes)
        for value, initial in zip(self.parameters(), start.parameters, strict=True):
            value[...] = initial
        optimizer = self.model._optimizer
        if isinstance(workload.optimizer, Adam):
            averages, optimizer.t = [*optimizer.ms, *optimizer.vs], 0
        else:
            averages = optimizer.velocities
        for average in averages:
            average[...] = 0

    def train(self, epochs: int, learning_rate: float) -> None:
        """Gather the samples of an epoch; scikit-learn divides them into mini-batches."""
        # Adam takes its rate of each step from the initial one.
        self.model._optimizer.learning_rate_init = learning_rate
        self.model._optimizer.learning_rate = learning_rate
        for order in itertools.islice(self.orders, epochs):
            self.model.partial_fit(self.x[order], self.y[order])

    def parameters(self) -> list[Array]:
        """Return the parameters without copying them."""
        return [*self.model.coefs_, *self.model.intercepts_]


class Keras(Engine):
    """Keras on TensorFlow: `Model.fit` with all steps of an epoch in one execution."""

    modules = ("keras", "tensorflow")
    package = "keras tensorflow"

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        import keras

        super().__init__(workload, start, x, y, threads)
        keras.config.set_floatx(workload.dtype)
        self.tf = tf
        hidden = [keras.layers.Dense(n, workload.activation) for n in workload.layers[1:-1]]
        self.model = keras.Sequential(
            [keras.Input((workload.layers[0],)), *hidden, keras.layers.Dense(workload.layers[-1])]
        )
        self.steps = len(x) // workload.batch
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if workload.loss == "mse":
            loss = keras.losses.MeanSquaredError()
        rule, rate = workload.optimizer, workload.learning_rate
        if isinstance(rule, Adam):
            optimizer = keras.optimizers.Adam(rate, rule.beta1, rule.beta2, rule.epsilon)
        else:
            optimizer = keras.optimizers.SGD(rate, rule.momentum)
        self.model.compile(optimizer, loss, steps_per_execution=self.steps)
        self.model.set_weights(
            [value for pair in zip(start.weights, start.biases, strict=True) for value in pair]
        )
        self.x, self.y = tf.constant(scaled(workload, x)), tf.constant(y)
        batches = tf.data.Dataset.from_tensor_slices(start.orders.reshape(-1, workload.batch))
        self.batches = batches.map(self.gather).repeat()

    def gather(self, rows: Any) -> Any:
        """Return the samples of one mini-batch."""
        return self.tf.gather(self.x, rows), self.tf.gather(self.y, rows)

    def train(self, epochs: int, learning_rate: float) -> None:
        """Call `Model.fit`; each call starts with the first order."""
        self.model.optimizer.learning_rate = learning_rate
        self.model.fit(self.batches, epochs=epochs, steps_per_epoch=self.steps, verbose=0)

    def parameters(self) -> list[Array]:
        """Return the parameters; Keras alternates weights and biases."""
        values = self.model.get_weights()
        return [*values[::2], *values[1::2]]


class TensorFlow(Keras):
    """TensorFlow: the steps of an epoch in one compiled function, without `Model.fit`."""

    def __init__(self, workload: Workload, start: Start, x: Array, y: Array, threads: int) -> None:
        super().__init__(workload, start, x, y, threads)
        tf, model = self.tf, self.model
        model.optimizer.build(model.trainable_variables)

        def epoch(batches: Any) -> None:
            for i in tf.range(self.steps):
                x, y = self.gather(batches[i])
                with tf.GradientTape() as tape:
                    loss = model.compute_loss(None, y, model(x, training=True))
                variables = model.trainable_variables
                model.optimizer.apply(tape.gradient(loss, variables), variables)

        self.epoch = tf.function(epoch, jit_compile=True)

    def train(self, epochs: int, learning_rate: float) -> None:
        """Call the function once per epoch."""
        self.model.optimizer.learning_rate = learning_rate
        for order in itertools.islice(self.orders, epochs):
            self.epoch(self.tf.constant(order.reshape(-1, self.workload.batch)))


ENGINES: dict[str, type[Engine]] = {
    OWN: FastMLP,
    "fastmlp-bfloat16": FastMLPBfloat16,
    "torch": Torch,
    "torch-bfloat16": TorchBfloat16,
    "torch-compile": TorchCompile,
    "jax": Jax,
    "sklearn": ScikitLearn,
    "keras": Keras,
    "tensorflow": TensorFlow,
}
