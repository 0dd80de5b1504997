"""Pages that have no translation say so, and name their language to browsers and screen readers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_NOTES = {"zh_CN": ("zh-CN", "本页还没有中文版，下面是英文版。")}


def is_translated(app: Sphinx, pagename: str) -> bool:
    """Return whether the language of the site is that of a page."""
    folder = Path(app.srcdir, "locale", str(app.config.language), "LC_MESSAGES")
    return app.config.language == "en" or (folder / f"{pagename}.po").is_file()


def _note(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    if doctree is not None and not is_translated(app, pagename):
        language, text = _NOTES[str(app.config.language)]
        note = f'<p class="untranslated" lang="{language}">{text}</p>'
        context["body"] = f'{note}\n<div lang="en">{context["body"]}</div>'


def setup(app: Sphinx) -> dict[str, bool]:
    """Look at each page that is written."""
    app.connect("html-page-context", _note)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
