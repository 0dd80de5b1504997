"""Pages with cells as notebooks, in the language of the page, to be downloaded."""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

import jupytext
from babel.messages.pofile import read_po
from docutils import nodes
from nbformat.v4 import new_markdown_cell
from shell_cells import commands
from sphinx.application import Sphinx

FOLDER = "notebooks"
REPOSITORY = "https://github.com/fastmlp/fastmlp"
_FOLDED = re.compile(
    r"^:::\{admonition\} (.+)\n:collapsible: closed\n\n(.+?)\n:::$", re.MULTILINE | re.DOTALL
)
_LAYOUT = ("{grid}", "{tab-set}", "{toctree}")  # directives that a notebook cannot show
_LINK = re.compile(r"\]\((?!#|\w+:)([^)\s]+)\)")
_INSTALL = {
    "en": "In the environment of this notebook: `pip install '.[all]'` in a copy of the repository"
    " of fastmlp, with a C++20 compiler.",
    "zh_CN": "先在这个 notebook 的环境里安装：在 fastmlp 仓库的副本中运行 `pip install '.[all]'`，"
    "需要 C++20 编译器。",
}
_CAPTION = re.compile(r"^:::\{caption\}\n(.+?)\n:::$", re.MULTILINE | re.DOTALL)


def is_notebook(source: Path) -> bool:
    """Return whether a page has cells."""
    return source.suffix == ".md" and source.read_text(encoding="utf-8").startswith(
        "---\nfile_format: mystnb"
    )


def _translated(text: str, messages: dict[str, str]) -> str:
    """Replace each heading, paragraph and point of Markdown that has a translation."""
    for original in sorted(messages, key=len, reverse=True):
        found = r"(?<!\w)" + r"\s+".join(map(re.escape, original.split())) + r"(?!\w)"
        text = re.sub(found, lambda _, new=messages[original]: new, text)
    return text


def _plain(text: str) -> str:
    """Write answers that unfold, and captions, in the way of plain Markdown."""
    text = _CAPTION.sub(r"\1", text)
    return _FOLDED.sub(r"<details>\n<summary>\1</summary>\n\n\2\n\n</details>", text)


def _absolute(text: str, docname: str) -> str:
    """Turn links to other pages into links to the repository, where their files are."""

    def replaced(match: re.Match[str]) -> str:
        path = posixpath.normpath(f"docs/{docname}/../{match[1]}")
        kind = "blob" if ".md" in path else "raw"  # a picture
        return f"]({REPOSITORY}/{kind}/main/{path})"

    return _LINK.sub(replaced, text)


def _messages(app: Sphinx, docname: str) -> dict[str, str]:
    path = Path(app.srcdir, "locale", str(app.config.language), "LC_MESSAGES", f"{docname}.po")
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file) if m.id and m.string}


def has_notebook(source: Path) -> bool:
    """Return whether a page has cells, and nothing that a notebook cannot show."""
    return is_notebook(source) and not any(
        directive in source.read_text(encoding="utf-8") for directive in _LAYOUT
    )


def _write(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    language = str(app.config.language)
    for docname in app.env.found_docs:
        if not has_notebook(Path(app.env.doc2path(docname))):
            continue
        notebook: Any = jupytext.read(os.fspath(app.env.doc2path(docname)), fmt="md:myst")
        messages = _messages(app, docname)
        for cell in notebook.cells:
            if "skip-execution" in cell.metadata.get("tags", ()):
                shown = commands(cell.source) or cell.source
                cell.cell_type, cell.source = "markdown", f"```\n{shown}\n```"
                del cell["outputs"], cell["execution_count"]
            elif cell.cell_type == "markdown":
                cell.source = _plain(_absolute(_translated(cell.source, messages), docname))
        notebook.cells.insert(1, new_markdown_cell(_INSTALL[language]))
        path = Path(app.outdir, FOLDER, f"{docname}.ipynb")
        path.parent.mkdir(parents=True, exist_ok=True)
        jupytext.write(notebook, path)


def _offer(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    if doctree is not None and has_notebook(Path(app.env.doc2path(pagename))):
        context["notebook"] = f"{FOLDER}/{pagename}.ipynb"


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the notebooks at the end of a build, and tell the pages where they are."""
    app.connect("html-page-context", _offer)
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
