"""Pages about tables: their cells run in order, and print what tests/docs/outputs has."""

from __future__ import annotations

import doctest
import re

import pytest

from support.pages import run
from support.paths import ROOT

pytest.importorskip("polars")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def outputs(page: str) -> list[tuple[str, str]]:
    """The commands that are compared, each with its output."""
    text = (ROOT / "tests" / "docs" / "outputs" / f"{page}.txt").read_text(encoding="utf-8")
    found = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(found[::2], found[1::2], strict=True))


@pytest.mark.parametrize(
    ("page", "compared"), [("tables", 4), ("cross-validation", 6), ("networks-for-tables", 1)]
)
def test_the_cells_of_the_page(page, compared, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, commands = run(f"{page}.md", tmp_path)
    said = {command.line: command.said for command in commands}
    expected = outputs(page)
    assert len(expected) == compared
    for line, shown in expected:
        assert doctest.OutputChecker().check_output(shown, said[line] + "\n", FLAGS), said[line]
