"""Pages about tables: their blocks run in order, and their commands print what the pages show."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys

import pytest

from support.cli_process import environment
from support.paths import ROOT

pytest.importorskip("polars")
BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def commands(block: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output that is shown below it."""
    found = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    return list(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize(
    ("page", "count"),
    [("tables.md", 5), ("cross-validation.md", 7), ("networks-for-tables.md", 8)],
)
def test_the_examples_of_the_page(page, count, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = BLOCK.findall(text)
    assert len(blocks) == count
    names: dict[str, object] = {}
    checker = doctest.OutputChecker()
    program = f'fastmlp() {{ "{sys.executable}" -m fastmlp.cli "$@"; }}; '
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, f"docs/{page}", "exec"), names)
            continue
        for command, shown in commands(block):
            done = subprocess.run(
                ["bash", "-c", program + command], capture_output=True, text=True, timeout=120,
                check=False, env=environment(COLUMNS="200"), cwd=tmp_path,
            )  # fmt: skip
            said = done.stdout + done.stderr
            if shown.strip() or done.returncode:
                assert checker.check_output(shown, said, FLAGS), f"$ {command}\n{said}"
