"""Scores of a cross-validation on standard output, for the commands that show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from fastmlp.cli.options import State
from fastmlp.cli.printing import document_head, print_json, print_pairs, print_table

__all__ = ["print_cross_validation"]

SHARES = ("accuracy", "subset_accuracy", "macro_f1")
NUMBERS = ("loss", "rmse", "mae", "r2")


def print_cross_validation(
    state: State, command: str, result: Mapping[str, Any], directory: str
) -> None:
    """Print the content of result.json as a table, or as a JSON object.

    Parameters
    ----------
    state : State
    command : str
        Name of the command.
    result : mapping
        Content of the file.
    directory : str
        Directory of the cross-validation.
    """
    if state.json:
        head = document_head("cv") | {"command": command}
        print_json(state, head | {"directory": directory} | dict(result))
        return
    header = ("measure", "mean", "deviation", "95 % interval")
    lines = [
        _line(name, result["scores"][name])
        for name in (*SHARES, *NUMBERS)
        if name in result["scores"]
    ]
    print_table(header, lines, header[1:], state)
    click.echo()
    print_pairs(_facts(result, directory))


def _line(name: str, score: Mapping[str, float | None]) -> Sequence[str]:
    form = ".2%" if name in SHARES else ".6g"

    def text(value: float | None) -> str:
        return "unknown" if value is None or value != value else f"{value:{form}}"

    mean, std, low, high = (score[key] for key in ("mean", "std", "low", "high"))
    interval = "unknown" if text(low) == "unknown" else f"{text(low)} to {text(high)}"
    return (name.replace("_", " "), text(mean), text(std), interval)


def _facts(result: Mapping[str, Any], directory: str) -> list[tuple[str, str]]:
    folds = f"{result['folds_per_repeat']} of {result['samples']:,} samples"
    if result["repeats"] > 1:
        folds += f", {result['repeats']} times"
    for name in ("group", "time"):
        if result[name] is not None:
            folds += f", by {name} {result[name]}"
    return [
        ("folds", folds),
        ("predictions", f"{directory}/predictions.csv"),
        ("models", directory),
    ]
