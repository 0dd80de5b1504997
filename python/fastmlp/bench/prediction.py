"""Timing of predictions: `python -m fastmlp.bench.prediction ENGINE NETWORK THREADS` is a worker.

The worker makes the network of the seed in its library and answers with its outputs for a few
samples. A line `ROWS CALLS` on standard input asks for the seconds of so many calls on so many
rows. Calls take and return NumPy arrays.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from fastmlp.bench.runner import (
    PAUSE_SECONDS,
    READY_SECONDS,
    TURN_SECONDS,
    Process,
    Say,
    WorkerError,
)
from fastmlp.bench.worker import limit_threads, serve
from fastmlp.bench.workloads import SEED, forward
from fastmlp.model import MLP

__all__ = ["NETWORKS", "PREDICTORS", "ROWS", "Times", "main", "time_predictions"]

Array = npt.NDArray[Any]

# Widths of the layers, ReLU in the hidden ones; the outputs are those of the last product.
NETWORKS = {
    "784-30-10": (784, 30, 10),
    "54-100-7": (54, 100, 7),
    "784-512-512-10": (784, 512, 512, 10),
    "20-256-256-256-1": (20, 256, 256, 256, 1),
}
ROWS = (1, 8, 32, 128, 1_000, 20_000)
_PROBED = 40  # rows whose outputs are compared
_AGREEMENT = 1e-4  # of the largest output


class Predictor(ABC):
    """A network in one library, as its users call it.

    Parameters
    ----------
    model : MLP
        The network.
    threads : int
        Largest number of threads; 0 lets the library choose.
    """

    modules: ClassVar[tuple[str, ...]]
    package: ClassVar[str]

    @abstractmethod
    def __init__(self, model: MLP, threads: int) -> None: ...

    @abstractmethod
    def predict(self, x: Array) -> Array:
        """Return the outputs for float32 samples."""

    @classmethod
    def available(cls) -> bool:
        """Return whether the library is installed, without importing it."""
        return all(importlib.util.find_spec(name) is not None for name in cls.modules)


class OwnPredictor(Predictor):
    """fastmlp: `MLP.forward`."""

    modules = ("fastmlp",)
    package = "fastmlp"

    def __init__(self, model: MLP, threads: int) -> None:
        self.model, self.threads = model, threads or None

    def predict(self, x: Array) -> Array:
        """Call `MLP.forward`."""
        return self.model.forward(x, threads=self.threads)


class OnnxRuntime(Predictor):
    """ONNX Runtime: a session on the exported network."""

    modules = ("onnxruntime", "onnx")
    package = "'fastmlp[onnx]'"

    def __init__(self, model: MLP, threads: int) -> None:
        import onnxruntime

        from fastmlp.export import to_onnx

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "network.onnx"
            to_onnx(model, path)
            self.session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )

    def predict(self, x: Array) -> Array:
        """Run the session."""
        outputs: Array = self.session.run(None, {"x": x})[0]
        return outputs


class TorchPredictor(Predictor):
    """PyTorch: a `Sequential` in inference mode."""

    modules = ("torch",)
    package = "torch"

    def __init__(self, model: MLP, threads: int) -> None:
        import torch

        if threads:
            torch.set_num_threads(threads)
        self.torch = torch
        layers: list[Any] = []
        for weights, biases in zip(model.weights, model.biases, strict=True):
            linear = torch.nn.Linear(*weights.shape)
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(np.array(weights.T)))
                linear.bias.copy_(torch.from_numpy(np.array(biases)))
            layers += [linear, torch.nn.ReLU()]
        self.network = torch.nn.Sequential(*layers[:-1])

    def predict(self, x: Array) -> Array:
        """Call the network."""
        with self.torch.inference_mode():
            outputs: Array = self.network(self.torch.from_numpy(x)).numpy()
        return outputs


PREDICTORS: dict[str, type[Predictor]] = {
    "fastmlp": OwnPredictor,
    "onnxruntime": OnnxRuntime,
    "torch": TorchPredictor,
}


@dataclass
class Times:
    """Microseconds per call of each engine by number of rows, one value per round."""

    network: str
    calls: dict[str, dict[int, list[float]]]
    errors: dict[str, str] = field(default_factory=dict)

    def median(self, engine: str, rows: int) -> float | None:
        """Return the median over the rounds; None if the engine failed."""
        times = self.calls[engine].get(rows)
        return median(times) if times and engine not in self.errors else None

    def speedup(self, rows: int) -> float | None:
        """Return the time of the fastest other library by that of fastmlp."""
        own = self.median("fastmlp", rows) if "fastmlp" in self.calls else None
        others = [self.median(name, rows) for name in self.calls if name != "fastmlp"]
        known = [time for time in others if time is not None]
        return min(known) / own if own and known else None

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the document of `fastmlp bench --predict --json`."""
        return {
            "name": self.network,
            "layers": list(NETWORKS[self.network]),
            "us_per_call": {
                engine: {str(rows): times for rows, times in cells.items()}
                for engine, cells in self.calls.items()
            },
            "speedup": {str(rows): self.speedup(rows) for rows in ROWS},
            "errors": self.errors,
        }


def time_predictions(
    network: str,
    engines: tuple[str, ...],
    threads: int = 0,
    rounds: int = 5,
    seconds: float = 0.1,
    say: Say = lambda _line: None,
) -> Times:
    """Time the predictions of a network in each library, in turn.

    Parameters
    ----------
    network : str
        Name in `NETWORKS`.
    engines : tuple of str
        Names in `PREDICTORS`.
    threads : int
        Threads of each library; 0 lets it choose.
    rounds : int
        Turns of each library for each number of rows.
    seconds : float
        Length of a turn; at least one call.
    say : callable
        Function that is called with a line of text about what is done.
    """
    times = Times(network, {engine: {} for engine in engines})
    with ExitStack() as stack:
        workers = {}
        for engine in engines:
            command = [sys.executable, "-m", "fastmlp.bench.prediction", engine, network]
            process = stack.enter_context(_closed(Process([*command, str(threads)])))
            with _failure(times, engine, say):
                _require_right(process.answer(READY_SECONDS)["outputs"], network)
                workers[engine] = process
        for rows in ROWS:
            say(f"{network}: {rows:,} rows")
            turns = {}
            for engine, process in workers.items():
                if engine not in times.errors:
                    with _failure(times, engine, say):
                        turns[engine] = _calls_in(seconds, process, rows)
                        times.calls[engine][rows] = []
            for _ in range(rounds):
                for engine, calls in turns.items():
                    if engine in times.errors:
                        continue
                    with _failure(times, engine, say):
                        time.sleep(PAUSE_SECONDS)
                        answer = workers[engine].ask(f"{rows} {calls}", TURN_SECONDS + seconds)
                        times.calls[engine][rows].append(answer["seconds"] / calls * 1e6)
    return times


def _calls_in(seconds: float, process: Process, rows: int) -> int:
    """Return the number of calls that take so many seconds once caches and threads are warm."""
    calls = 3
    for share in (0.1, 1.0):
        taken = process.ask(f"{rows} {calls}", READY_SECONDS)["seconds"]
        calls = max(1, round(share * seconds * calls / taken))
    return calls


@contextmanager
def _closed(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.close()


@contextmanager
def _failure(times: Times, engine: str, say: Say) -> Iterator[None]:
    try:
        yield
    except WorkerError as error:
        times.errors[engine] = str(error)
        say(f"{engine}: failed: {error}")


def _model(network: str) -> MLP:
    return MLP(NETWORKS[network], loss="mse", seed=SEED, input_scale=1)


def _samples(network: str, rows: int) -> Array:
    shape = (rows, NETWORKS[network][0])
    return np.random.default_rng(SEED).standard_normal(shape, np.float32)


def _require_right(outputs: list[list[float]], network: str) -> None:
    model = _model(network)
    parameters = [*model.weights, *model.biases]
    exact = forward("relu", parameters, _samples(network, _PROBED).astype(np.float64))
    error = float(np.abs(np.array(outputs) - exact).max() / np.abs(exact).max())
    if not error <= _AGREEMENT:
        raise WorkerError(f"its outputs differ by {error:.1g} from those of fastmlp's parameters")


def _worker(engine: str, network: str, threads: int) -> tuple[dict[str, Any], Callable[[str], Any]]:
    predictor = PREDICTORS[engine](_model(network), threads)
    everything = _samples(network, max(ROWS))

    def answer(line: str) -> dict[str, Any]:
        rows, calls = map(int, line.split())
        x = everything[:rows]
        predictor.predict(x)
        begin = time.perf_counter()
        for _ in range(calls):
            predictor.predict(x)
        return {"seconds": time.perf_counter() - begin}

    return {"outputs": predictor.predict(_samples(network, _PROBED)).tolist()}, answer


def main(arguments: list[str]) -> int:
    """Run the worker process with the arguments described in the module docstring."""
    engine, network, threads = arguments
    limit_threads(int(threads))
    return serve(lambda: _worker(engine, network, int(threads)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
