"""Cells of shell commands, shown as one types them into a shell.

In a notebook a command begins with `!`, which a shell takes for something else. The notebooks to
download keep it.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx


def commands(text: str) -> str | None:
    """Return the commands of a cell without their marks, or None if it has other lines."""
    shown, continues = [], False
    for line in text.splitlines():
        if not (continues or line.startswith(("!", "#")) or not line.strip()):
            return None
        shown.append(line if continues else line.removeprefix("!"))
        continues = line.endswith("\\")
    return "\n".join(shown) if "!" in text else None


def _show(app: Sphinx, doctree: nodes.document) -> None:
    for block in doctree.findall(nodes.literal_block):
        is_cell = "cell_input" in getattr(block.parent, "attributes", {}).get("classes", ())
        if is_cell and (text := commands(block.astext())) is not None:
            shown = nodes.literal_block(text, text, language="bash", classes=block["classes"])
            block.replace_self(shown)


def setup(app: Sphinx) -> dict[str, bool]:
    """Change the cells of each page that was read."""
    app.connect("doctree-read", _show)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
