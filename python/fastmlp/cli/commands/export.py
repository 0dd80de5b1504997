"""The command `fastmlp export`: write a trained model for other programs."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fastmlp._files import created
from fastmlp.cli.completion import complete_run
from fastmlp.cli.errors import CheckFailedError, ConfigError, ExitCode
from fastmlp.cli.files import require_free
from fastmlp.cli.options import Choice, CommandBase, common_options, state_of
from fastmlp.cli.printing import document_head, print_json, print_pairs
from fastmlp.cli.runs import open_model, run_or_file
from fastmlp.errors import FormatError

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["export"]

EXAMPLES = """\
fastmlp export runs/001-mnist --format onnx
fastmlp export runs/001-mnist -o digits.onnx
fastmlp export model.safetensors -o digits.h --name digits
fastmlp export model.safetensors -o weights.npz"""
SUFFIXES = {"onnx": ".onnx", "npz": ".npz", "c": ".h"}


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.argument("model", shell_complete=complete_run)
@click.option(
    "--format", "kind", type=Choice(list(SUFFIXES)), default=None,
    help="Format of the file.  [default: by the suffix of --output: .onnx, .npz or .h]",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(), default=None, metavar="FILE",
    help="File to write.  [default: beside the model]",
)  # fmt: skip
@click.option(
    "--check/--no-check", "checks", default=None,
    help="Run the ONNX file with onnxruntime and compare.  [default: if it is installed]",
)  # fmt: skip
@click.option(
    "--name", default=None, help="Prefix of all names in a C header.  [default: name of the file]"
)
@click.option("--overwrite", is_flag=True, help="Allow --output to replace a file.")
@common_options()
@click.pass_context
def export(
    ctx: click.Context, /, *, model: str, kind: str | None, output: str | None,
    checks: bool | None, name: str | None, overwrite: bool,
) -> int:  # fmt: skip
    """Write a model as ONNX, NPZ or a C header.

    MODEL is the directory or number of a run, or a model file. ONNX and C files contain the
    preprocessing and take raw values. For a model of a table, an ONNX file has one input for each
    column, a C header a struct for a row; dates are seconds since 1970-01-01 UTC. NPZ holds
    parameters and configuration as arrays. If an ONNX file fails its check, it is kept and the exit
    code is 6.
    """
    kind = _format(kind, output)
    if name is not None and kind != "c":
        raise ConfigError(f"--name: is for C headers, not for {kind}")
    if checks and kind != "onnx":
        raise ConfigError(f"--check: is for ONNX, not for {kind}")
    network, source = open_model(run_or_file(model))
    target = source.with_suffix(SUFFIXES[kind]) if output is None else Path(output)
    require_free(target, overwrite=overwrite)
    checks = find_spec("onnxruntime") is not None if checks is None else checks
    with created(target):
        _write(network, target, kind, name)
        found = _checked(network, target) if kind == "onnx" and checks else None
        _print(ctx, source, target, kind, found)
    if found is not None and not found["passed"]:
        raise CheckFailedError(f"{target} differs from {source}: {_comparison(found)}")
    return int(ExitCode.OK)


def _format(chosen: str | None, output: str | None) -> str:
    """Return the value of --format, or else the format of the suffix of --output."""
    suffixes = {suffix: kind for kind, suffix in SUFFIXES.items()}
    meant = None if output is None else suffixes.get(Path(output).suffix.lower())
    if chosen is None and output is None:
        raise ConfigError("a format is needed: add --format, or name a file with --output")
    if chosen is not None and meant not in (None, chosen):
        raise ConfigError(f"--output {output}: has the suffix of {meant}, --format is {chosen}")
    kind = chosen or meant
    if kind is None:
        known = ", ".join(suffixes)
        raise ConfigError(f"--output {output}: must end with {known}, or --format must be given")
    return kind


def _write(network: MLP, target: Path, kind: str, name: str | None) -> None:
    from fastmlp.export import to_c, to_npz, to_onnx

    try:
        if kind == "onnx":
            to_onnx(network, target)
        elif kind == "npz":
            to_npz(network, target)
        else:
            to_c(network, target, name=name)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    except OSError as error:
        raise ConfigError(f"--output {target}: {error.strerror or error}") from error


def _checked(network: MLP, target: Path) -> dict[str, Any]:
    from fastmlp.export import check

    try:
        return check(network, target)
    except FormatError as error:
        return {"passed": False, "problem": str(error)}


def _comparison(found: dict[str, Any]) -> str:
    if "problem" in found:
        return str(found["problem"])
    labels = found["label_differences"]
    compared = "" if labels is None else f"{labels or 'no'} labels differ, "
    return (
        f"{found['samples']} samples: {compared}{found['output']} differ by up to "
        f"{found['max_difference']:.1e} ({found['tolerance']:.0e} is allowed)"
    )


def _print(
    ctx: click.Context, source: Path, target: Path, kind: str, found: dict[str, Any] | None
) -> None:
    state = state_of(ctx)
    size = target.stat().st_size
    failed = found is not None and not found["passed"]
    if not state.json:
        rows = [("file", f"{target} ({size:,} bytes)")]
        if found is not None and not failed:
            rows.append(("check", _comparison(found)))
        print_pairs(rows)
        return
    document = document_head("export") | {
        "status": "check_failed" if failed else "completed",
        "model": str(source),
        "format": kind,
        "file": str(target),
        "bytes": size,
        "check": found,
    }
    print_json(state, document)
