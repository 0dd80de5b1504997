"""`fastmlp inspect`: what a file holds, after every byte of it was verified."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from fastmlp.cli.options import CommandBase, common_options, state_of

__all__ = ["inspect"]

EXAMPLES = """\
fastmlp inspect runs/001-mnist
fastmlp inspect model.safetensors --json
fastmlp inspect runs/001-mnist/checkpoints/epoch-00000006.safetensors"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model")
@common_options()
@click.pass_context
def inspect(ctx: click.Context, /, *, model: str) -> None:
    """Show what a model file or checkpoint holds: layers, preprocessing, history, hashes.

    MODEL is a run's directory, a model file or a checkpoint.
    """
    from fastmlp.cli.result import SCHEMA_VERSION, print_json

    facts = _checkpoint_facts(Path(model)) if _is_checkpoint(model) else _model_facts(model)
    state = state_of(ctx)
    if state.json:
        head = {"schema": "fastmlp.inspect", "schema_version": SCHEMA_VERSION}
        print_json(head | {"command": "inspect"} | facts, state)
        return
    layers = facts.pop("layers", [])
    history = facts.pop("history", {})
    width = max(len(name) for name in facts) + 2
    for name, value in facts.items():
        click.echo(f"{name.replace('_', ' '):<{width}}{_shown(value)}")
    if layers:
        click.echo("\nlayer      in     out  activation     parameters  norm of weights")
    for number, layer in enumerate(layers):
        click.echo(
            f"{number:>5}  {layer['inputs']:>6,}  {layer['outputs']:>6,}  "
            f"{layer['activation']:<12}  {layer['parameters']:>11,}  {layer['weight_norm']:.4g}"
            f"{'  batch normalisation' if layer['batch_normalization'] else ''}"
        )
    if any(history.values()):
        epochs = max(map(len, history.values()))
        click.echo(f"\nhistory of {epochs} epochs: first, last, best")
    for name, values in history.items():
        if values:
            best = max(values) if name.endswith("accuracy") else min(values)
            click.echo(f"{name:<14}{values[0]:>10.6f}{values[-1]:>10.6f}{best:>10.6f}")


def _is_checkpoint(argument: str) -> bool:
    path = Path(argument)
    return path.parent.name == "checkpoints" and path.suffix == ".safetensors"


def _file_facts(path: Path) -> dict[str, Any]:
    from fastmlp._files import read_regular_file

    content = read_regular_file(path)
    return {
        "file": str(path),
        "bytes": len(content),
        "file_sha256": hashlib.sha256(content).hexdigest(),
    }


def _model_facts(argument: str) -> dict[str, Any]:
    import numpy as np

    from fastmlp.cli.models import open_model
    from fastmlp.experiment.runner import parameter_count

    model, path = open_model(argument)
    architecture = model.architecture
    config = architecture.config()
    output = config["output_activation"]
    activations = [activation.name for activation in architecture.activations]
    normalises = [*architecture.batch_normalization, False]
    layers = [
        {
            "inputs": weights.shape[0],
            "outputs": weights.shape[1],
            "activation": [*activations, output][i],
            "batch_normalization": normalises[i],
            "parameters": int(weights.size + weights.shape[1]),
            "weight_norm": float(np.linalg.norm(weights.astype(np.float64))),
        }
        for i, weights in enumerate(model.weights)
    ]
    return {
        **_file_facts(path),
        "network": "-".join(map(str, model.layer_sizes)),
        "loss": config["loss"],
        "dtype": config["dtype"],
        "seed": config["seed"],
        "input_scale": config["input_scale"],
        "initializer": config["initializer"],
        "dropout": config.get("dropout", 0.0),
        "parameters": parameter_count(model),
        **_preprocessing_facts(model.preprocessing),
        "layers": layers,
        "history": {
            name: getattr(model.history, name)
            for name in ("loss", "accuracy", "val_loss", "val_accuracy")
        },
    }


def _preprocessing_facts(pre: Any) -> dict[str, Any]:
    if pre is None:
        return {"preprocessing": None}
    columns = [f"{c.name} ({c.kind})" for c in pre.columns or ()]
    return {
        "task": pre.task,
        "classes": list(pre.class_names or ()) or None,
        "targets": list(pre.target_names or ()) or None,
        "columns": columns or None,
        "standardised": pre.input_mean is not None,
        "image_shape": list(pre.image_shape) if pre.image_shape else None,
    }


def _checkpoint_facts(path: Path) -> dict[str, Any]:
    from fastmlp.experiment.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(path)
    names = ("loss", "accuracy", "val_loss", "val_accuracy")
    return {
        **_file_facts(path),
        "kind": "checkpoint",
        "epoch": checkpoint.epoch,
        "best_epoch": checkpoint.best_epoch,
        "optimizer": str(checkpoint.state["rule"]),
        "history": {
            name: [record[name] for record in checkpoint.records if name in record]
            for name in names
        },
    }


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else ("yes" if value else "no")
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        shown = ", ".join(map(str, value[:20]))
        return f"{shown}, ... ({len(value)})" if len(value) > 20 else shown
    return str(value)
