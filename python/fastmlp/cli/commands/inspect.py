"""The command `fastmlp inspect`: verify a model file or checkpoint and show its content."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp._files import read_regular_file
from fastmlp.cli.completion import complete_run
from fastmlp.cli.options import CommandBase, State, common_options, state_of
from fastmlp.cli.printing import (
    document_head,
    print_json,
    print_pairs,
    print_table,
    shown_setting,
)
from fastmlp.cli.runs import model_file_errors, run_or_file

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["inspect"]

EXAMPLES = """\
fastmlp inspect runs/001-mnist
fastmlp inspect model.safetensors --json
fastmlp inspect runs/001-mnist/checkpoints/epoch-00000006.safetensors"""
MEASURES = ("loss", "accuracy", "val_loss", "val_accuracy")
LAYER_HEADER = ("layer", "inputs", "outputs", "activation", "parameters", "weight norm")
HISTORY_HEADER = ("history", "epochs", "first", "last", "best")
MOST_SHOWN = 12

Facts = dict[str, Any]


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@common_options()
@click.pass_context
def inspect(ctx: click.Context, /, *, model: str) -> None:
    """Show the content of a model file or checkpoint: layers, preprocessing, history, digest.

    MODEL is the directory or number of a run, a model file or a checkpoint. For a run, the selected
    model is shown: the best one if a validation part selected it, else the last.
    """
    from fastmlp.experiment.rundir import model_path

    path = model_path(run_or_file(model))
    facts = _facts(path)
    state = state_of(ctx)
    if state.json:
        print_json(state, document_head("inspect") | facts)
    else:
        _print(facts, state)


def _facts(path: Path) -> Facts:
    with model_file_errors(path):
        content = read_regular_file(path)
        facts = {
            "file": str(path),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        is_checkpoint = _names_a_checkpoint(content)
        del content  # the reader reads the file again
        return facts | (_checkpoint_facts(path) if is_checkpoint else _model_facts(path))


def _names_a_checkpoint(content: bytes) -> bool:
    """Return whether the header names the format of checkpoints; the reader verifies the rest."""
    from fastmlp.experiment.checkpoint import KIND

    header = content[8 : 8 + min(int.from_bytes(content[:8], "little"), 1 << 20)]
    try:
        return bool(json.loads(header)["__metadata__"]["format"] == KIND)
    except (ValueError, RecursionError, TypeError, KeyError):
        return False


# ---------------------------------------------------------------- facts


def _model_facts(path: Path) -> Facts:
    from fastmlp.experiment.runner import parameter_count
    from fastmlp.model import load_mlp

    model = load_mlp(path)
    config = model.architecture.config()
    given = ("loss", "dtype", "seed", "input_scale", "initializer", "activation")
    further = {
        "dropout": 0.0, "input_dropout": 0.0, "input_noise": 0.0, "batch_normalization": False,
        "inputs": [], "input_scaling": False, "parametric": False, "members": 1, "sharing": None,
        "own_batches": False, "layer_normalization": False, "residual": False,
        "compute_dtype": None,
    }  # fmt: skip
    return {
        "kind": "model",
        "layer_sizes": list(model.layer_sizes),
        "parameters": parameter_count(model),
        **{name: config[name] for name in (*given, "output_activation")},
        **{name: config.get(name, default) for name, default in further.items()},
        "standardizes": model.standardization is not None,
        "first_inputs": model.architecture.first_inputs,
        "layers": _layers(model),
        "preprocessing": None if model.preprocessing is None else model.preprocessing.config(),
        "history": {name: getattr(model.history, name) for name in MEASURES},
    }


def _layers(model: MLP) -> list[Facts]:
    import numpy as np

    architecture = model.architecture
    output = architecture.output_activation
    activations = [activation.name for activation in architecture.activations]
    activations.append(output if isinstance(output, str) else output.name)
    flags = ("batch_normalization", "layer_normalization", "residual")
    of_layers = {name: [*getattr(architecture, name), False] for name in flags}
    arrays = model.parameters()
    return [
        {
            "inputs": weights.shape[-2],
            "outputs": weights.shape[-1],
            "activation": activations[i],
            **{name: values[i] for name, values in of_layers.items()},
            "parameters": sum(a.size for n, a in arrays.items() if n.startswith(f"layers.{i}.")),
            "weight_norm": float(np.linalg.norm(weights.astype(np.float64))),
        }
        for i, weights in enumerate(model.weights)
    ]


def _checkpoint_facts(path: Path) -> Facts:
    from fastmlp.experiment.checkpoint import Checkpoint

    checkpoint = Checkpoint.load(path)
    sizes = {name: array.size for name, array in checkpoint.parameters.items()}
    return {
        "kind": "checkpoint",
        "epoch": checkpoint.epoch,
        "best_epoch": checkpoint.best_epoch or None,
        "optimizer": str(checkpoint.state["rule"]),
        "parameters": sum(sizes.values()),
        "history": {
            name: [record[name] for record in checkpoint.records if name in record]
            for name in MEASURES
        },
    }


# ---------------------------------------------------------------- text


def _print(facts: Facts, state: State) -> None:
    rows = [("file", facts["file"]), ("bytes", f"{facts['bytes']:,}"), ("sha256", facts["sha256"])]
    rows += _checkpoint_rows(facts) if facts["kind"] == "checkpoint" else _model_rows(facts)
    print_pairs(rows)
    if "layers" in facts:
        click.echo()
        lines = [_layer_row(number, layer) for number, layer in enumerate(facts["layers"], 1)]
        print_table(LAYER_HEADER, lines, {*LAYER_HEADER} - {"activation"}, state)
    measured = [(name, values) for name, values in facts["history"].items() if values]
    if measured:
        click.echo()
        lines = [_history_row(name, values) for name, values in measured]
        print_table(HISTORY_HEADER, lines, HISTORY_HEADER[1:], state)


def _checkpoint_rows(facts: Facts) -> list[tuple[str, str]]:
    return [
        ("kind", "checkpoint"),
        ("epoch", f"{facts['epoch']:,}"),
        (
            "best epoch",
            "none measured" if facts["best_epoch"] is None else f"{facts['best_epoch']:,}",
        ),
        ("optimizer", facts["optimizer"]),
        ("parameters", f"{facts['parameters']:,}"),
    ]


def _model_rows(facts: Facts) -> list[tuple[str, str]]:
    rows = [
        ("kind", "model"),
        ("network", "-".join(map(str, facts["layer_sizes"]))),
        ("parameters", f"{facts['parameters']:,}"),
    ]
    rows += [
        (n, shown_setting(facts[n]))
        for n in ("loss", "dtype", "seed", "input_scale", "initializer")
    ]
    rows += [
        (n, shown_setting(facts[n]))
        for n in ("compute_dtype", "dropout", "input_dropout", "input_noise")
        if facts[n]
    ]
    if facts["standardizes"]:
        rows.append(("inputs", "standardized by the network"))
    rows += _input_rows(facts)
    rows += _preprocessing_rows(facts["preprocessing"])
    return [(name.replace("_", " "), value) for name, value in rows]


def _input_rows(facts: Facts) -> list[tuple[str, str]]:
    """Return what stands before the first layer, and the members, of networks that have them."""
    rows = []
    if facts["inputs"]:
        kinds = [_input_group(group) for group in facts["inputs"]]
        rows.append(("input groups", _listed(kinds)))
        rows.append(("inputs of layer 1", str(facts["first_inputs"])))
    if facts["input_scaling"]:
        rows.append(("input scaling", "one factor per input"))
    if facts["members"] > 1:
        batches = ", batches of their own" if facts["own_batches"] else ""
        rows.append(("members", f"{facts['members']} ({facts['sharing']}{batches})"))
    if facts["parametric"]:
        rows.append(("parametric", "units train their share of the activation"))
    return rows


def _input_group(group: Facts) -> str:
    if group["kind"] == "one_hot":
        return f"one-hot of {group['levels']} names"
    if group["kind"] == "category":
        return f"vectors of {group['size']} for {group['levels']} names"
    embedding = group["embedding"]
    kind = "" if embedding is None else f" ({embedding['kind'].replace('_', ' ')})"
    return f"{group['columns']} numbers{kind}"


def _preprocessing_rows(pre: Facts | None) -> list[tuple[str, str]]:
    if pre is None:
        return [("preprocessing", "none")]
    rows = [("task", pre["task"])]
    if pre["class_names"]:
        what = "classes" if pre["task"] == "classification" else "labels"
        rows.append((what, _listed(pre["class_names"])))
    if pre["target_names"]:
        rows.append(("targets", _listed(pre["target_names"])))
    if pre["columns"]:
        rows.append(("columns", _listed([_shown_column(column) for column in pre["columns"]])))
    if pre["left_out"]:
        rows.append(("left out", _listed([f"{name} ({why})" for name, why in pre["left_out"]])))
    if pre["feature_names"]:
        rows.append(("inputs", _listed(pre["feature_names"])))
    if pre["image_shape"]:
        rows.append(("image", " x ".join(map(str, pre["image_shape"]))))
    scaled = [kind for kind in ("input", "target") if f"{kind}_mean" in pre["arrays"]]
    shown = " and ".join(f"{kind}s" for kind in scaled) or "nothing"
    if "input_quantiles" in pre["arrays"]:
        shown += ", by quantiles"
    rows.append(("scaled", shown))
    if pre["lacks"]:
        rows.append(("lacks", pre["lacks"]))
    return rows


def _shown_column(column: Facts) -> str:
    if column["kind"] == "category":
        return f"{column['name']} ({len(column['categories'])} categories)"
    return f"{column['name']} (date)" if column["kind"] == "date" else str(column["name"])


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MOST_SHOWN])
    more = len(names) - MOST_SHOWN
    return f"{shown}, and {more} more" if more > 0 else shown


def _layer_row(number: int, layer: Facts) -> list[str]:
    parts = [
        text
        for name, text in {
            "batch_normalization": "batch normalization",
            "layer_normalization": "layer normalization",
            "residual": "skip",
        }.items()
        if layer[name]
    ]
    further = f" with {' and '.join(parts)}" if parts else ""
    return [
        str(number), f"{layer['inputs']:,}", f"{layer['outputs']:,}",
        layer["activation"] + further, f"{layer['parameters']:,}", f"{layer['weight_norm']:.4g}",
    ]  # fmt: skip


def _history_row(name: str, values: list[float]) -> list[str]:
    best = max(values) if name.endswith("accuracy") else min(values)
    numbers = (f"{value:.6g}" for value in (values[0], values[-1], best))
    return [name.replace("val_", "validation "), str(len(values)), *numbers]
