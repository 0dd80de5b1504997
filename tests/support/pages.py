"""Cells of the pages of the site, run in the process of a test: Python, and commands after `!`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from support.cli_process import environment
from support.paths import ROOT

_CELL = re.compile(r"^```\{code-cell\}\n((?::\w+:[^\n]*\n)*)(.*?)^```$", re.MULTILINE | re.DOTALL)


class Cell(NamedTuple):
    """The source of a cell, and its tags."""

    source: str
    tags: frozenset[str]


class Command(NamedTuple):
    """A command that a cell ran, what it printed, and its exit code."""

    line: str
    said: str
    code: int


def cells(page: Path) -> list[Cell]:
    """Return the cells of a page, in order."""
    return [
        Cell(source, frozenset(re.findall(r"[\w-]+", head.partition("tags:")[2])))
        for head, source in _CELL.findall(page.read_text(encoding="utf-8"))
    ]


def run(page: str, folder: Path) -> tuple[dict[str, Any], list[Command]]:
    """Run the cells of docs/PAGE in a folder; return the names they define, and their commands.

    A command that fails is an error, except in a cell that says so by its tag.
    """
    transformers = pytest.importorskip("IPython.core.inputtransformer2")
    transform: Callable[[str], str] = transformers.TransformerManager().transform_cell
    program = f'fastmlp() {{ "{sys.executable}" -m fastmlp.cli "$@"; }}; '
    commands: list[Command] = []

    def system(line: str) -> None:
        done = subprocess.run(
            ["bash", "-c", program + line], capture_output=True, text=True, timeout=120,
            check=False, env=environment(COLUMNS="200"), cwd=folder,
        )  # fmt: skip
        commands.append(Command(line, done.stdout + done.stderr, done.returncode))

    def run_cell_magic(name: str, line: str, body: str) -> None:
        assert name == "writefile", f"%%{name} is not known here"
        (folder / line).write_text(body, encoding="utf-8")

    shell = SimpleNamespace(system=system, run_cell_magic=run_cell_magic)
    names: dict[str, Any] = {"get_ipython": lambda: shell}
    for cell in cells(ROOT / "docs" / page):
        if "skip-execution" in cell.tags:
            continue
        before = len(commands)
        exec(compile(transform(cell.source), f"docs/{page}", "exec"), names)
        for command in commands[before:]:
            may_fail = "raises-exception" in cell.tags
            assert command.code == 0 or may_fail, f"$ {command.line}\n{command.said}"
    return names, commands
