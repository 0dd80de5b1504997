"""Trainings whose bits are kept in `network/golden_digests.json`, for every platform to compare.

    PYTHONPATH=tests python -m support.golden write     # after a change of bits that is wanted
    PYTHONPATH=tests python -m support.golden compare   # here, by one and by three threads

The samples are made of integers, so that no mathematical library of the system has a part in them,
and the trainings compute nothing outside of the core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import fastmlp
from fastmlp.initializers import INITIALIZERS
from support import equal_bits
from support.paths import ROOT, TESTS
from support.plain_trainings import CASES
from support.strategies import ALL_ACTIVATIONS, DTYPES

FILE = TESTS / "network" / "golden_digests.json"
CHANGELOG = ROOT / "CHANGELOG.md"
# Loss functions of the user, and a schedule, call the mathematical library of the system.
OF_THE_SYSTEM = ("user-defined", "bfloat16, user-defined", "rates by step")
OPTIMIZERS = {
    "SGD": fastmlp.SGD(0.05),
    "momentum": fastmlp.SGD(0.05, 0.9),
    "Adagrad": fastmlp.Adagrad(0.05),
    "RMSprop": fastmlp.RMSprop(0.01),
    "Adam": fastmlp.Adam(0.01),
    "AdamW": fastmlp.AdamW(0.01),
    "Adamax": fastmlp.Adamax(0.01),
    "Nadam": fastmlp.Nadam(0.01),
    "Lion": fastmlp.Lion(0.001),
}


def words(count: int, seed: int) -> Any:
    """Return integers from 0 to 2^16 - 1 without order: the high halves of a mixed counter."""
    mixed = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += np.uint64(seed * 0x632BE59BD9B4E019 % 2**64)
    for shift in (30, 27):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(0xBF58476D1CE4E5B9)
    return (mixed >> np.uint64(48)).astype(np.int64)


def samples(rows: int, columns: int, dtype: str, nonzero: float = 1.0) -> Any:
    """Return multiples of 1/64 from -2 to 2, and as many zeros as wanted."""
    x = words(rows * columns, 1) % 257 / 64 - 2
    x[words(rows * columns, 2) >= nonzero * 2**16] = 0
    return x.reshape(rows, columns).astype(dtype)


def targets(kind: str, rows: int, outputs: int) -> Any:
    """Return targets of a kind of `equal_bits`, exact in float32."""
    if kind == "classes":
        return words(rows, 3) % outputs
    if kind == "probabilities":
        shares = np.zeros((rows, outputs))
        np.add.at(shares, (np.arange(rows), words(rows, 4) % outputs), 0.75)
        np.add.at(shares, (np.arange(rows), words(rows, 5) % outputs), 0.25)
        return shares
    return (words(rows * outputs, 6) % 257 / 256).reshape(rows, outputs)


def digest(model: fastmlp.MLP, history: Any, x: Any) -> str:
    """Return the SHA-256 of parameters, losses and outputs, as little-endian numbers."""
    joined = hashlib.sha256()
    for array in [*model.parameters().values(), np.array(history.loss), model.forward(x)]:
        assert np.isfinite(array).all(), "the bits of NaN differ between platforms"
        array = np.ascontiguousarray(array)
        joined.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    return joined.hexdigest()


def of_setting(name: str, dtype: str, threads: int) -> str:
    """Train a setting of `equal_bits` on samples of this module."""
    setting = equal_bits.SETTINGS[name]
    rows = equal_bits.SAMPLES
    kinds = setting.targets
    y: Any = (
        targets(kinds, rows, equal_bits.OUTPUTS)
        if isinstance(kinds, str)
        else [
            targets(kind, rows, loss.outputs)
            for kind, loss in zip(kinds, setting.model["loss"], strict=True)
        ]
    )
    fit = dict(setting.fit)
    if "sample_weight" in fit:
        fit["sample_weight"] = words(rows, 7) % 9 / 4
    x = samples(rows, equal_bits.FEATURES, dtype, nonzero=0.5)
    model = equal_bits.new_model(name, dtype)
    history = model.fit(
        x, y, epochs=2, batch_size=equal_bits.BATCH, optimizer=setting.optimizer, threads=threads,
        verbose=0, **fit,
    )  # fmt: skip
    return digest(model, history, x)


def of_network(
    sizes: list[int], rows: int, batch_size: int, dtype: str, threads: int, nonzero: float = 1.0,
    optimizer: Any = None, **options: Any,
) -> str:  # fmt: skip
    """Train a plain classifier."""
    x, y = samples(rows, sizes[0], dtype, nonzero), targets("classes", rows, sizes[-1])
    model = fastmlp.MLP(sizes, dtype=dtype, seed=7, **{"activation": "tanh", **options})
    optimizer = fastmlp.SGD(0.01, 0.9, nesterov=True, l2=2**-10) if optimizer is None else optimizer
    history = model.fit(
        x, y, epochs=2, batch_size=batch_size, optimizer=optimizer, threads=threads, verbose=0
    )
    return digest(model, history, x)


def of_bytes(threads: int) -> str:
    """Train a network of the shape of MNIST on bytes."""
    x = (words(500 * 784, 8) % 256).astype(np.uint8).reshape(500, 784)
    model = fastmlp.MLP([784, 30, 10], activation="sigmoid", seed=7)
    history = model.fit(
        x, targets("classes", 500, 10), epochs=1, batch_size=10, optimizer=fastmlp.SGD(0.5),
        threads=threads, verbose=0,
    )  # fmt: skip
    return digest(model, history, x)


def of_mnist() -> str:
    """Train an epoch of MNIST; tell its accuracy on the test part, and its digest."""
    data = fastmlp.datasets.load("mnist")
    model = fastmlp.MLP([784, 30, 10], activation="sigmoid", seed=7)
    history = model.fit(
        data.x_train, data.y_train, epochs=1, batch_size=10, optimizer=fastmlp.SGD(0.5), threads=1,
        verbose=0,
    )  # fmt: skip
    measured = model.evaluate(data.x_test, data.y_test)
    return f"MNIST {measured['accuracy']:.2%} {digest(model, history, data.x_test)}"


def _trainings() -> dict[str, Callable[[int], str]]:
    found: dict[str, Callable[[int], str]] = {"bytes": of_bytes}
    for name in equal_bits.SETTINGS:
        if name in OF_THE_SYSTEM:
            continue
        for dtype in DTYPES[:1] if "bfloat16" in name else DTYPES:
            found[f"{name}, {dtype}"] = lambda threads, n=name, d=dtype: of_setting(n, d, threads)
    for name, (sizes, rows, batch) in CASES.items():
        for dtype in DTYPES:
            case = {"sizes": sizes, "rows": rows, "batch_size": batch, "dtype": dtype}
            case["nonzero"] = 0.02 if name == "sparse" else 1.0
            found[f"{name}, {dtype}"] = lambda threads, c=case: of_network(threads=threads, **c)
    sizes, rows, batch = CASES["small"]
    small = {"sizes": sizes, "rows": rows, "batch_size": batch}
    variants: dict[str, dict[str, Any]] = {
        **{name: {"optimizer": optimizer} for name, optimizer in OPTIMIZERS.items()},
        **{f"{name} weights": {"initializer": name} for name in INITIALIZERS},
        **{f"units of {name}": {"activation": name} for name in ALL_ACTIVATIONS},
    }
    for name, options in variants.items():
        for dtype in DTYPES:
            case = {**small, **options, "dtype": dtype}
            found[f"{name}, {dtype}"] = lambda threads, c=case: of_network(threads=threads, **c)
    return found


TRAININGS = _trainings()


def recorded() -> dict[str, str]:
    """Return the digests of the file."""
    return json.loads(FILE.read_text(encoding="utf-8"))


def fingerprint(digests: dict[str, str]) -> str:
    """Return eight digits that stand for all digests; CHANGELOG.md tells them."""
    return hashlib.sha256("".join(digests.values()).encode()).hexdigest()[:8]


def told_fingerprint() -> str | None:
    """Return the newest fingerprint of CHANGELOG.md, whose newest lines come first."""
    text = CHANGELOG.read_text(encoding="utf-8")
    found = re.search(r"fingerprint of the bits[^`]*`([0-9a-f]{8})`", text, re.IGNORECASE)
    return found and found[1]


def differences(threads: int) -> list[str]:
    """Return the names of the trainings that have other bits here."""
    return [name for name, wanted in recorded().items() if TRAININGS[name](threads) != wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=["write", "compare", "mnist"])
    warnings.simplefilter("ignore", fastmlp.TrainingWarning)
    action = parser.parse_args().action
    if action == "mnist":
        print(of_mnist())
        return
    if action == "write":
        digests = {name: train(1) for name, train in TRAININGS.items()}
        text = json.dumps(digests, indent=1) + "\n"
        FILE.write_text(text, encoding="utf-8", newline="\n")
        print(f"{len(digests)} digests, fingerprint {fingerprint(digests)}")
        return
    for threads in (1, 3):
        differing = differences(threads)
        print(
            f"{fastmlp.info()['isa']}, {threads} threads: {len(TRAININGS) - len(differing)} of "
            f"{len(TRAININGS)} trainings have the recorded bits"
        )
        if differing:
            raise SystemExit("others: " + "; ".join(differing))


if __name__ == "__main__":
    main()
