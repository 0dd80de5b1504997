"""How each library trains a workload; a new one is a class here and a line in `ENGINES`.

A library is imported when its engine is made: in a process of its own, after the number of threads
was set in the environment (`worker`).
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

__all__ = ["ENGINES", "OWN", "Engine"]

OWN = "fastmlp"

Array = npt.NDArray[Any]


class Engine(ABC):
    """A network and its momentum SGD in one library, at the library's quickest setting.

    Parameters
    ----------
    workload : Workload
        Its layers, activation and batch.
    start : Start
        Initial parameters and the orders of the samples.
    x, y : arrays
        Samples as the workload has them, and int64 labels.
    threads : int
        The most the library may use; 0 leaves the choice to it.
    """

    modules: ClassVar[tuple[str, ...]]  # that must be installed; their versions are reported
    package: ClassVar[str]  # what to install for them

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        self.workload = workload
        self.threads = threads
        self.orders: Iterator[Array] = itertools.cycle(start.orders)

    @classmethod
    def available(cls) -> bool:
        """Whether the library is installed; it is not imported."""
        return all(importlib.util.find_spec(name) is not None for name in cls.modules)

    def version(self) -> str:
        """Versions of the modules behind the engine."""
        return ", ".join(f"{name} {sys.modules[name].__version__}" for name in self.modules)

    @abstractmethod
    def train(self, epochs: int, learning_rate: float) -> None:
        """Go through all samples that many times; return when the last step is done."""

    @abstractmethod
    def parameters(self) -> list[Array]:
        """All weights, (in, out) each, then all biases."""


def scaled(workload: Workload, x: Array) -> Array:
    """Inputs in float32 and to scale, made once: what the peers train on."""
    return x.astype(np.float32) * np.float32(workload.input_scale)


class FastMLP(Engine):
    """fastmlp: epochs of the core as `MLP.fit` runs them; bytes stay bytes."""

    modules = (OWN,)
    package = OWN

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        import fastmlp
        from fastmlp.network.samples import Data
        from fastmlp.training.run import Run

        super().__init__(workload, start, x, y, threads)
        self.model = fastmlp.MLP(
            workload.layers,
            activation=workload.activation,
            input_scale=workload.input_scale,
            seed=start.seed,
        )
        self.model.weights, self.model.biases = start.weights, start.biases
        self.data, self.seed = Data(x, [y]), start.seed
        self.run = Run(self.model, workload.batch, "momentum", threads or None)
        self.threads = self.run.plan["threads"]
        self.epoch = 0

    def train(self, epochs: int, learning_rate: float) -> None:
        """Run epochs in the core, which draws the orders that `Start` holds for the peers."""
        settings = {"learning_rate": learning_rate, "momentum": self.workload.momentum}
        for _ in range(epochs):
            report = self.run.epoch(self.data, settings, epoch=self.epoch)
            if report.status != "completed":
                raise RuntimeError(f"the epoch ended as {report.status}")
            self.epoch += 1

    def parameters(self) -> list[Array]:
        """Copies of what the core holds."""
        return [*self.model.weights, *self.model.biases]


class Torch(Engine):
    """PyTorch: one eager step after the other, with the fused optimizer."""

    modules = ("torch",)
    package = "torch"

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        import torch

        super().__init__(workload, start, x, y, threads)
        torch.set_num_threads(threads)
        self.torch = torch
        activation = torch.nn.ReLU if workload.activation == "relu" else torch.nn.Sigmoid
        layers: list[Any] = []
        for w, b in zip(start.weights, start.biases, strict=True):
            linear = torch.nn.Linear(*w.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(w.T))
                linear.bias.copy_(torch.from_numpy(b))
            layers += [linear, activation()]
        self.model = torch.nn.Sequential(*layers[:-1])
        self.x, self.y = torch.from_numpy(scaled(workload, x)), torch.from_numpy(y)
        self.optimizer = self.make_optimizer()

    def make_optimizer(self) -> Any:
        """Momentum SGD; with a constant rate its velocity is ours divided by the rate."""
        return self.torch.optim.SGD(
            self.model.parameters(),
            self.workload.learning_rate,
            momentum=self.workload.momentum,
            fused=True,
        )

    def step(self, rows: Any) -> None:
        """One mini-batch."""
        x, y = self.x.index_select(0, rows), self.y.index_select(0, rows)
        self.torch.nn.functional.cross_entropy(self.model(x), y).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def train(self, epochs: int, learning_rate: float) -> None:
        """Loop over the mini-batches in Python."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        for order in itertools.islice(self.orders, epochs):
            for rows in self.torch.from_numpy(order).split(self.workload.batch):
                self.step(rows)

    def parameters(self) -> list[Array]:
        """PyTorch keeps (out, in)."""
        values = [p.detach().numpy() for p in self.model.parameters()]
        return [*(w.T for w in values[::2]), *values[1::2]]


class TorchCompile(Torch):
    """PyTorch: the whole step through `torch.compile`, which needs a C++ compiler."""

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        super().__init__(workload, start, x, y, threads)
        self.step = self.torch.compile(self.step)  # type: ignore[method-assign]


class Jax(Engine):
    """JAX: a whole epoch in one compiled `lax.scan`, its state updated in place."""

    modules = ("jax", "jaxlib")
    package = "jax"

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        import jax
        import jax.numpy as jnp

        super().__init__(workload, start, x, y, threads)
        self.jax = jax
        momentum = workload.momentum
        activation = jax.nn.relu if workload.activation == "relu" else jax.nn.sigmoid
        tree = jax.tree_util.tree_map

        def loss(parameters: Any, x: Any, y: Any) -> Any:
            weights, biases = parameters
            for w, b in zip(weights[:-1], biases[:-1], strict=True):
                x = activation(x @ w + b)
            scores = jax.nn.log_softmax(x @ weights[-1] + biases[-1])
            return -jnp.take_along_axis(scores, y[:, None], axis=1).mean()

        def epoch(state: Any, x: Any, y: Any, order: Any, rate: Any) -> Any:
            def step(state: Any, rows: Any) -> Any:
                parameters, velocities = state
                gradients = jax.grad(loss)(parameters, x[rows], y[rows])
                velocities = tree(lambda v, g: momentum * v - rate * g, velocities, gradients)
                return (tree(jnp.add, parameters, velocities), velocities), None

            return jax.lax.scan(step, state, order.reshape(-1, workload.batch))[0]

        self.epoch = jax.jit(epoch, donate_argnums=0)
        self.data = jnp.asarray(scaled(workload, x)), jnp.asarray(y, jnp.int32)
        parameters = tree(jnp.asarray, (start.weights, start.biases))
        self.state = parameters, tree(jnp.zeros_like, parameters)

    def train(self, epochs: int, learning_rate: float) -> None:
        """Queue the epochs and wait for the last."""
        for order in itertools.islice(self.orders, epochs):
            self.state = self.epoch(self.state, *self.data, order.astype(np.int32), learning_rate)
        self.jax.block_until_ready(self.state)

    def parameters(self) -> list[Array]:
        """Copies of the first half of the state."""
        weights, biases = self.state[0]
        return [np.asarray(value) for value in (*weights, *biases)]


class ScikitLearn(Engine):
    """scikit-learn: `MLPClassifier.partial_fit` on whole epochs, so its checks are paid rarely."""

    modules = ("sklearn",)
    package = "scikit-learn"

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        from sklearn.neural_network import MLPClassifier

        super().__init__(workload, start, x, y, threads)
        self.model = MLPClassifier(
            workload.layers[1:-1],
            activation="relu" if workload.activation == "relu" else "logistic",
            solver="sgd",
            batch_size=workload.batch,
            learning_rate_init=workload.learning_rate,
            momentum=workload.momentum,
            nesterovs_momentum=False,
            alpha=0.0,
            shuffle=False,  # `train` does it, in the order of all engines
        )
        self.x, self.y = scaled(workload, x), y
        # The first call makes parameters and optimizer; both are then set to the common start.
        few = slice(workload.batch)
        self.model.partial_fit(self.x[few], y[few], classes=np.arange(workload.layers[-1]))
        for value, initial in zip(self.parameters(), start.parameters, strict=True):
            value[...] = initial
        for velocity in self.model._optimizer.velocities:
            velocity[...] = 0

    def train(self, epochs: int, learning_rate: float) -> None:
        """Gather an epoch and let scikit-learn cut it into mini-batches."""
        self.model._optimizer.learning_rate = learning_rate
        for order in itertools.islice(self.orders, epochs):
            self.model.partial_fit(self.x[order], self.y[order])

    def parameters(self) -> list[Array]:
        """The arrays themselves."""
        return [*self.model.coefs_, *self.model.intercepts_]


class Keras(Engine):
    """Keras on TensorFlow: `Model.fit`, with an epoch of steps in one execution."""

    modules = ("keras", "tensorflow")
    package = "keras tensorflow"

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
        import keras

        super().__init__(workload, start, x, y, threads)
        self.tf = tf
        hidden = [keras.layers.Dense(n, workload.activation) for n in workload.layers[1:-1]]
        self.model = keras.Sequential(
            [keras.Input((workload.layers[0],)), *hidden, keras.layers.Dense(workload.layers[-1])]
        )
        self.steps = len(x) // workload.batch
        self.model.compile(
            keras.optimizers.SGD(workload.learning_rate, workload.momentum),
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            steps_per_execution=self.steps,
        )
        self.model.set_weights(
            [value for pair in zip(start.weights, start.biases, strict=True) for value in pair]
        )
        self.x, self.y = tf.constant(scaled(workload, x)), tf.constant(y)
        batches = tf.data.Dataset.from_tensor_slices(start.orders.reshape(-1, workload.batch))
        self.batches = batches.map(self.gather).repeat()

    def gather(self, rows: Any) -> Any:
        """The samples of one mini-batch."""
        return self.tf.gather(self.x, rows), self.tf.gather(self.y, rows)

    def train(self, epochs: int, learning_rate: float) -> None:
        """Fit; each call starts with the first of the orders."""
        self.model.optimizer.learning_rate = learning_rate
        self.model.fit(self.batches, epochs=epochs, steps_per_epoch=self.steps, verbose=0)

    def parameters(self) -> list[Array]:
        """Keras alternates weights and biases."""
        values = self.model.get_weights()
        return [*values[::2], *values[1::2]]


class TensorFlow(Keras):
    """TensorFlow: the steps of an epoch in one compiled function of one's own, without `fit`."""

    def __init__(
        self, workload: Workload, start: Start, x: Array, y: npt.NDArray[np.int64], threads: int
    ) -> None:
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
    "torch": Torch,
    "torch-compile": TorchCompile,
    "jax": Jax,
    "sklearn": ScikitLearn,
    "keras": Keras,
    "tensorflow": TensorFlow,
}
