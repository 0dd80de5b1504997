"""The index of the gallery: each page as a card with its question and its first picture."""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

INDEX = "gallery/index.html"
_ENTRY = re.compile(
    r'<li class="toctree-l1"><a class="reference internal" href="(?P<page>[^"#]+)">'
    r"(?P<title>.*?)</a></li>",
    re.DOTALL,
)
_QUESTION = re.compile(r"</h1>\s*<p><strong>(.*?)</strong></p>", re.DOTALL)
_PICTURE = re.compile(r'<a class="picture[^"]*" href="([^"]+)">')


def _card(entry: re.Match[str], folder: Path) -> str:
    page = (folder / entry["page"]).read_text(encoding="utf-8")
    question, picture = _QUESTION.search(page), _PICTURE.search(page)
    image = f'<img alt="" loading="lazy" src="{picture[1]}">' if picture else ""
    words = f"<span>{question[1]}</span>" if question else ""
    return (
        f'<li class="card-of-gallery"><a href="{entry["page"]}">{image}'
        f"<strong>{entry['title']}</strong>{words}</a></li>"
    )


def _draw(app: Sphinx, error: Exception | None) -> None:
    path = Path(app.outdir, INDEX)
    if error is None and path.is_file():
        before, article, after = re.split(
            r"(<article.*</article>)", path.read_text(encoding="utf-8"), maxsplit=1, flags=re.DOTALL
        )
        article = _ENTRY.sub(lambda entry: _card(entry, path.parent), article)
        path.write_text(before + article + after, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Draw the cards when all pages are written."""
    app.connect("build-finished", _draw)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
