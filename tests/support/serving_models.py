"""Small models of every kind with their preprocessing, and samples as in files."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp.cli import main
from fastmlp.data import Preprocessing
from fastmlp.data.columns import CategoryColumn, Column, NumberColumn

# What a CSV file, a shell or a spreadsheet could stumble over.
HOSTILE = ("a,b", 'say "hi"', "two\nlines", "cr\rhere", "=1+1", " lead", "tab\there", "caf\u00e9")
COLORS = ("blue", "green", "red")
SAMPLES = 40


def table() -> dict[str, list[Any]]:
    """Return columns of numbers and text, enough for every model here."""
    random = np.random.Generator(np.random.PCG64(3))
    a, b = random.normal(size=(2, SAMPLES))
    return {
        "id": list(range(1, SAMPLES + 1)),
        "a": a.tolist(),
        "b": b.tolist(),
        "color": [COLORS[i] for i in random.integers(0, 3, SAMPLES)],
        "note": ["" if i % 3 else f"=n,{i}" for i in range(SAMPLES)],
        "kind": [HOSTILE[i] for i in random.integers(0, len(HOSTILE), SAMPLES)],
        "price": (100 + 20 * a).tolist(),
        "size": (3 - b).tolist(),
        "sweet": (a > 0).astype(int).tolist(),
        "sour": (b > 0).astype(int).tolist(),
    }


def write_csv(path: Path, columns: dict[str, list[Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


def read_csv(text: str, delimiter: str = ",") -> list[dict[str, str]]:
    lines = io.StringIO(text, newline="")
    return list(csv.DictReader(lines, delimiter=delimiter, strict=True))


def columns() -> tuple[Column, ...]:
    return (NumberColumn("a"), NumberColumn("b"), CategoryColumn("color", COLORS))


def target_schema(task: str, outputs: tuple[str, ...]) -> tuple[Column, ...]:
    if task == "classification":
        return (CategoryColumn("kind", outputs, refuses_missing=True),)
    return tuple(NumberColumn(name) for name in outputs)


def model(
    task: str, outputs: tuple[str, ...], *, hidden: tuple[int, ...] = (8,), **arguments: Any
) -> fastmlp.MLP:
    """Return an untrained model, whose predictions serve these tests as well as others."""
    losses = {"multilabel": "binary_cross_entropy", "regression": "mse"}
    arguments = {"loss": losses.get(task, "softmax_cross_entropy"), "seed": 5} | arguments
    made = fastmlp.MLP([5, *hidden, len(outputs)], **arguments)
    names: dict[str, Any] = {"class_names": outputs}
    if task == "regression":
        count = len(outputs)
        names = {
            "target_names": outputs,
            "target_mean": np.linspace(100, 3, count),
            "target_scale": np.linspace(20, 0.5, count),
        }
    made.preprocessing = Preprocessing(
        task, 5, columns=columns(), target_schema=target_schema(task, outputs),
        input_mean=np.array([0.1, -0.2, 0.3, 0.3, 0.3]), input_scale=np.full(5, 0.9), **names,
    )  # fmt: skip
    return made


def sectors() -> fastmlp.MLP:
    """Return a model whose classes are eighths of the plane of a and b; it predicts them all."""
    made = model("classification", HOSTILE, hidden=())
    angles = np.arange(len(HOSTILE)) * 2 * np.pi / len(HOSTILE)
    weights = np.zeros((5, len(HOSTILE)), np.float32)
    weights[:2] = np.cos(angles), np.sin(angles)
    made.weights = [weights]
    return made


def models() -> dict[str, fastmlp.MLP]:
    """Return the models by purpose."""
    return {
        "hostile": sectors(),
        "hinge": model("classification", HOSTILE, loss="hinge"),
        "price": model("regression", ("price",)),
        "two": model("regression", ("price", "size"), dtype="float64"),
        "labels": model("multilabel", ("sweet", "sour")),
        "label": model("multilabel", ("sweet",)),
        "plain": fastmlp.MLP([2, 6, 3], seed=1),
        "yes": fastmlp.MLP([2, 6, 1], loss="binary_cross_entropy", seed=2),
        "values": fastmlp.MLP([2, 6, 2], loss="mae", seed=3),
        "losses": fastmlp.MLP(
            [2, 6, 6],
            loss=[
                fastmlp.SoftmaxCrossEntropy(outputs=3),
                fastmlp.MSE(outputs=2),
                fastmlp.BinaryCrossEntropy(outputs=1),
            ],
            seed=4,
        ),
    }


def train(directory: Path, *args: object) -> None:
    """Run `fastmlp train` in a directory, in this process because a new one takes longer."""
    here = Path.cwd()
    os.chdir(directory)
    try:
        assert main(["train", *map(str, args), "--no-report", "--quiet"]) == 0
    finally:
        os.chdir(here)
