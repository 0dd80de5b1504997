"""A study of MNIST: depth, width, dropout, learning rate, and other libraries.

    python examples/lectures_mnist_study.py [--data mnist] [--epochs 6]

Prints one table of test accuracy and training time. scikit-learn and PyTorch are included if
installed, with the settings of the first network.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from fastmlp.experiment import build, runner, settings
from fastmlp.experiment.evaluation import evaluate
from fastmlp.experiment.peers import PEERS
from fastmlp.extras import MissingExtraError

NETWORKS: dict[str, dict[str, dict[str, Any]]] = {
    "512": {"network": {"hidden": [512]}},
    "linear": {"network": {"hidden": []}},
    "30": {"network": {"hidden": [30]}},
    "128": {"network": {"hidden": [128]}},
    "128-128": {"network": {"hidden": [128, 128]}},
    "128-128-128": {"network": {"hidden": [128, 128, 128]}},
    "512-512": {"network": {"hidden": [512, 512]}},
    "512, dropout": {"network": {"hidden": [512], "dropout": 0.5, "input_dropout": 0.1}},
    "512, rate 0.01": {"network": {"hidden": [512]}, "optimizer": {"learning_rate": 0.01}},
    "512, rate 0.3": {"network": {"hidden": [512]}, "optimizer": {"learning_rate": 0.3}},
    "512, sigmoid": {"network": {"hidden": [512], "activation": "sigmoid"}},
}


def trained(experiment: runner.Experiment) -> tuple[float, float]:
    """Test accuracy and seconds of one network."""
    model, training = experiment.new_model(), experiment.config.training
    train = experiment.prepared.train
    start = time.perf_counter()
    model.fit(
        train.x, train.y, epochs=training.epochs, batch_size=training.batch_size,
        optimizer=build.optimizer(experiment.config), verbose=0,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    return evaluate(model, experiment.evaluated[1]).metrics["accuracy"], seconds


def main() -> None:
    """Train all networks in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--epochs", type=int, default=6)
    arguments = parser.parse_args()
    plain = {"network": {"architecture": "mlp"}}
    common = {"training": {"epochs": arguments.epochs}}
    print(f"{'network':<28}{'accuracy':>9}{'seconds':>9}")
    first: runner.Experiment | None = None
    for name, changes in NETWORKS.items():
        config = settings.resolve(arguments.data, [settings.merged(plain, common, changes)])
        experiment = runner.load_experiment(config)
        first = first or experiment
        accuracy, seconds = trained(experiment)
        print(f"{name:<28}{accuracy:>9.2%}{seconds:>9.2f}", flush=True)
    assert first is not None
    for train_peer in PEERS.values():
        try:
            result = train_peer(first)
        except MissingExtraError as error:
            print(error)
            continue
        accuracy = result.metrics["accuracy"]
        print(f"512, {result.library:<23}{accuracy:>9.2%}{result.seconds:>9.2f}", flush=True)


if __name__ == "__main__":
    main()
