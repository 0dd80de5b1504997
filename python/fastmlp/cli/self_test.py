"""Checks of this installation: same bits, gradients, saving and loading; about one second."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fastmlp
from fastmlp.cli.signals import ends_in_order

__all__ = ["Check", "run_checks", "trained_digest"]

# Expected `trained_digest`; it is the same on every machine and changes only with the arithmetic.
DIGEST = "130738937000161a904fe89a72c080db0a26e0b24e1fe1b072d8c543a8a1e5d4"
TIMEOUT_SECONDS = 30
GRADIENT_TOLERANCE = 1e-7
DIFFERENCE_STEP = 1e-5


@dataclass(frozen=True)
class Check:
    """The name, result and details of one check."""

    name: str
    passed: bool
    detail: str


def run_checks() -> list[Check]:
    """Run all checks and return their results; a check that raises an exception has failed."""
    checks: dict[str, Callable[[], tuple[bool, str]]] = {
        "same bits on every instruction set": _same_bits,
        "gradients": _gradients,
        "saving and loading": _round_trip,
    }
    results = []
    for name, check in checks.items():
        try:
            passed, detail = check()
        except Exception as error:  # a broken installation may raise anything
            passed, detail = False, f"{type(error).__name__}: {error}"
        results.append(Check(name, passed, detail))
    return results


def trained_digest() -> str:
    """Train small networks in float32 and float64 on 1 and 2 threads; return their SHA-256."""
    import numpy as np

    x = (np.arange(64 * 5) * 37 % 101).reshape(64, 5) / 101
    y = np.arange(64) % 3
    digest = hashlib.sha256()
    for dtype in ("float32", "float64"):
        for threads in (1, 2):
            model = fastmlp.MLP([5, 8, 3], activation="tanh", dtype=dtype, seed=1)
            optimizer = fastmlp.SGD(0.1, momentum=0.9)
            model.fit(
                x, y, epochs=2, batch_size=16, optimizer=optimizer, threads=threads, verbose=0
            )
            for array in model.parameters().values():
                digest.update(array.tobytes())
    return digest.hexdigest()


def _same_bits() -> tuple[bool, str]:
    """Train in one process per instruction set, because importing fastmlp chooses the set."""
    from fastmlp import _core

    code = "from fastmlp.cli.self_test import trained_digest; print(trained_digest())"
    path = os.pathsep.join(filter(None, sys.path))
    children = {
        isa: subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "FASTMLP_ISA": isa, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for isa in _core.isas()
    }  # fmt: skip
    wrong = []
    for isa, child in children.items():
        try:
            output, errors = child.communicate(timeout=TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            output, errors = "", f"no answer within {TIMEOUT_SECONDS} s"
            child.communicate()
        if child.returncode != 0:
            last = (errors.strip().splitlines() or ["no message"])[-1]
            wrong.append(f"{isa} failed ({child.returncode}): {last}")
        elif output.strip() != DIGEST:
            wrong.append(f"{isa} gives {output.strip()[:12]}, expected {DIGEST[:12]}")
    return not wrong, "; ".join(wrong) or ", ".join(children)


def _gradients() -> tuple[bool, str]:
    """Compare each derivative with a central difference of the loss."""
    import numpy as np

    model = fastmlp.MLP([3, 4, 2], activation="sigmoid", dtype="float64", seed=2)
    x = np.linspace(-1, 1, 15).reshape(5, 3)
    y = np.array([0, 1, 1, 0, 1])
    _, weights, biases = model.loss_and_gradients(x, y)
    exact = {f"layers.{i}.weights": array for i, array in enumerate(weights)}
    exact |= {f"layers.{i}.biases": array for i, array in enumerate(biases)}
    start = model.parameters()
    gaps = []
    for name, gradient in exact.items():
        for index in np.ndindex(gradient.shape):
            losses = []
            for step in (DIFFERENCE_STEP, -DIFFERENCE_STEP):
                moved = {key: array.copy() for key, array in start.items()}
                moved[name][index] += step
                model.set_parameters(moved)
                losses.append(model.evaluate(x, y)["loss"])
            derivative = (losses[0] - losses[1]) / (2 * DIFFERENCE_STEP)
            gaps.append(abs(derivative - gradient[index]))
    worst = float(np.max(gaps))  # NaN if any gap is NaN, which fails the check
    return worst < GRADIENT_TOLERANCE, f"{worst:.1e} off finite differences"


def _round_trip() -> tuple[bool, str]:
    """Write a model, read it again, and compare parameters and predictions."""
    import numpy as np

    model = fastmlp.MLP([6, 7, 3], seed=3)
    x = np.linspace(-2, 2, 24).reshape(4, 6)
    with ends_in_order(), tempfile.TemporaryDirectory(prefix="fastmlp-") as directory:
        path = Path(directory) / "model.safetensors"
        model.save(path)
        other = fastmlp.MLP.load(path)
        size = path.stat().st_size
    before, after = model.parameters(), other.parameters()
    same = list(before) == list(after) and all(
        before[name].tobytes() == after[name].tobytes() for name in before
    )
    return same and np.array_equal(model.forward(x), other.forward(x)), f"{size} bytes"
