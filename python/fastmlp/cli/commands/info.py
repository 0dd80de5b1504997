"""The command `fastmlp info`: show the installation and the machine; check the installation."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import fastmlp
from fastmlp._system import load_average
from fastmlp.cli.errors import CheckFailedError
from fastmlp.cli.options import CommandBase, common_options, state_of
from fastmlp.cli.printing import document_head, print_json, print_pairs, print_section, shown_size

if TYPE_CHECKING:
    from fastmlp.cli.self_test import Check

__all__ = ["EXTRAS", "info"]

# The optional dependencies of pyproject.toml: names of packages on PyPI by extra.
EXTRAS = {
    "data": ("polars", "pillow", "narwhals"),
    "plot": ("matplotlib", "jinja2", "plotext"),
    "export": ("onnx", "onnxruntime"),
    "sweep": ("optuna",),
    "serve": ("fastapi", "uvicorn"),
    "stream": ("pyarrow",),
    "sklearn": ("scikit-learn", "scipy"),
    "tensorboard": ("tensorboardX",),
    "mpi": ("mpi4py", "mpich"),
}
BUSY_SHARE = 0.5
EXAMPLES = """\
fastmlp info
fastmlp info --check
fastmlp info --json"""


@click.command(cls=CommandBase, examples=EXAMPLES)
@click.option(
    "--check", is_flag=True,
    help="Train, differentiate and save small models, and compare with the expected results; "
    "code 6 if they differ.",
)  # fmt: skip
@common_options()
@click.pass_context
def info(ctx: click.Context, /, check: bool) -> None:
    """Show version, CPU, extras, caches and settings files; check the installation."""
    from fastmlp.cli.self_test import run_checks

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=RuntimeWarning, module="fastmlp")
        facts: dict[str, Any] = dict(fastmlp.info()) | _machine() | _installation() | _places()
    doubts = [str(warning.message) for warning in caught]  # the core's, of slow kernels
    doubts += _doubts(facts, told=bool(caught))
    results = run_checks() if check else []
    failed = [result.name for result in results if not result.passed]
    state = state_of(ctx)
    if state.json:
        checks = [asdict(result) for result in results] if check else None
        content = facts | {"warnings": doubts, "checks": checks}
        print_json(state, document_head("info") | content)
    else:
        _print_facts(facts)
        _print_checks(results)
    for line in doubts:
        click.echo(f"fastmlp: warning: {line}", err=True)
    if failed:
        raise CheckFailedError(f"this installation does not work: {', '.join(failed)}")


# ---------------------------------------------------------------- facts


def _machine() -> dict[str, Any]:
    return {
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "load_average": load_average(),
    }


def _installation() -> dict[str, Any]:
    extras = {
        extra: {package: _version(package) for package in packages}
        for extra, packages in EXTRAS.items()
    }
    return {"executable": sys.executable, "extras": extras}


def _version(package: str) -> str | None:
    """Return the version of an installed package without importing it, or None."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _places() -> dict[str, Any]:
    from fastmlp.datasets.cache import cache_directory
    from fastmlp.datasets.registry import REGISTRY
    from fastmlp.experiment.settings import LOCAL_NAME, user_settings_path

    cache = cache_directory("any").parent
    sets = {name: _bytes_below(cache_directory(name)) for name in REGISTRY}
    variables = {k: v for k, v in sorted(os.environ.items()) if k.startswith("FASTMLP_")}
    return {
        "cache": _place(cache) | {"datasets": {n: size for n, size in sets.items() if size}},
        "directory": _place(Path.cwd()),
        "config_files": [
            _settings_file(kind, path)
            for kind, path in (("user", user_settings_path()), ("local", Path(LOCAL_NAME)))
        ],
        "variables": variables,
    }


def _place(path: Path) -> dict[str, Any]:
    """Return path, writability and free bytes of a directory, which may not exist yet."""
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    free = shutil.disk_usage(there).free
    return {"path": str(path), "writable": writable, "bytes_free": free}


def _bytes_below(directory: Path) -> int:
    return sum(
        os.lstat(os.path.join(parent, name)).st_size
        for parent, _, names in os.walk(directory)
        for name in names
    )


def _settings_file(kind: str, path: Path) -> dict[str, Any]:
    from fastmlp.experiment.settings import read_settings

    row: dict[str, Any] = {"kind": kind, "path": str(path), "exists": True, "problem": None}
    try:
        read_settings(path)
    except FileNotFoundError:
        row["exists"] = False
    except (OSError, ValueError) as error:
        row["problem"] = str(error)
    return row


def _doubts(facts: dict[str, Any], *, told: bool) -> list[str]:
    lines = []
    load, cpus = (facts["load_average"] or [0.0])[0], facts["cpus"] or 1
    if load > BUSY_SHARE * cpus:
        lines.append(
            f"the machine is busy (load {load:.1f} on {cpus} CPUs): measured times are unreliable"
        )
    if facts["isa"] != facts["isas_available"][0] and not told:
        lines.append(
            f"{facts['isa']} is in use, {facts['isas_available'][0]} is available and faster"
        )
    for name in ("cache", "directory"):
        if not facts[name]["writable"]:
            lines.append(f"{facts[name]['path']} cannot be written")
    lines += [file["problem"] for file in facts["config_files"] if file["problem"]]
    return lines


# ---------------------------------------------------------------- text


def _print_facts(facts: dict[str, Any]) -> None:
    load = ", ".join(f"{value:.2f}" for value in facts["load_average"] or ()) or "unknown"
    rows = [
        ("version", facts["version"]),
        ("cpu", f"{facts['cpu']}, {facts['cpus']} CPUs"),
        ("isa", f"{facts['isa']} (available: {', '.join(facts['isas_available'])})"),
        ("threads", str(facts["threads"])),
        ("load average", load),
        ("platform", facts["platform"]),
        ("compiler", f"{facts['compiler']}, {_shown_threads(facts['openmp'])}"),
        ("python", f"{facts['python']} ({facts['executable']})"),
        ("numpy", facts["numpy"]),
        ("cache", _shown_place(facts["cache"])),
        ("directory", _shown_place(facts["directory"])),
    ]
    print_pairs(rows)
    sets = facts["cache"]["datasets"].items()
    print_section("data sets in the cache", [(name, shown_size(size)) for name, size in sets])
    print_section("extras", [(extra, _shown_extra(extra, facts)) for extra in facts["extras"]])
    files = [file for file in facts["config_files"] if file["exists"]]
    shown = [(file["path"], "damaged" if file["problem"] else "in force") for file in files]
    print_section("files of settings", shown)
    print_section("variables", list(facts["variables"].items()))


def _shown_threads(openmp: int) -> str:
    return f"OpenMP {openmp}" if openmp else "threads of the C++ library"


def _shown_place(place: dict[str, Any]) -> str:
    state = "writable" if place["writable"] else "not writable"
    return f"{place['path']} ({state}, {shown_size(place['bytes_free'])} free)"


def _shown_extra(extra: str, facts: dict[str, Any]) -> str:
    versions = facts["extras"][extra]
    present = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    missing = ", ".join(name for name, version in versions.items() if not version)
    if not missing:
        return present
    advice = f"no {missing}: pip install 'fastmlp[{extra}]'"
    return f"{present}; {advice}" if present else advice


def _print_checks(results: Sequence[Check]) -> None:
    if not results:
        return
    rows = [(r.name, f"{'ok' if r.passed else 'FAILED'} ({r.detail})") for r in results]
    print_section("checks", rows)
