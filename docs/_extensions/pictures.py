"""Pictures: those of cells have a caption, which is also their text; all have a size and a link."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

_CAPTION = "caption-of-picture"
_TOKENS = re.compile(
    r'<img alt="(?P<text>[^"]*)" src="(?P<address>[^"]*_images/(?P<name>[^"/]+))" ?/>'
    rf'|<div class="{_CAPTION} [^"]*">(?P<caption>.*?)</div>'
    r'|<div class="cell(?P<cell>) ',
    re.DOTALL,
)
_WIDE = 600  # pixels, of which a phone has about 360
_log = logging.getLogger(__name__)


class Caption(Directive):
    """The caption of the pictures of the cell before it: what they show, for all who read it."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Parse the sentences, which are translated like others."""
        self.assert_has_content()
        caption = nodes.container(classes=[_CAPTION])
        self.state.nested_parse(self.content, self.content_offset, caption)
        return [caption]


def _complete(
    app: Sphinx, pagename: str, template: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Give each picture of a page its text, its size, and a link to itself."""
    sources = {name: source for source, name in app.builder.images.items()}
    caption = None

    def replaced(token: re.Match[str]) -> str:
        nonlocal caption
        if token["caption"] is not None:
            caption = html.unescape(re.sub("<[^>]*>", "", token["caption"])).strip()
        elif token["cell"] is not None:
            caption = None
        else:
            return picture(token)
        return token[0]

    def picture(token: re.Match[str]) -> str:
        text, name = token["text"], html.unescape(token["name"])
        if text == token["address"]:  # of a cell
            text = html.escape(caption or "")
        if not text:
            _log.warning("%s: the picture %s has no words: add a caption", pagename, name)
        size, kind = "", "picture"
        if not name.endswith(".svg"):
            with Image.open(Path(app.srcdir, sources[name])) as image:
                size = ' width="{}" height="{}"'.format(*image.size)
                if image.width > _WIDE:
                    kind = "picture wide"
        address = token["address"]
        return f'<a class="{kind}" href="{address}"><img alt="{text}" src="{address}"{size} /></a>'

    # From the end, because a caption stands behind its pictures.
    body = context.get("body", "")
    for token in reversed(list(_TOKENS.finditer(body))):
        body = body[: token.start()] + replaced(token) + body[token.end() :]
    context["body"] = body


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, and complete each page."""
    app.add_directive("caption", Caption)
    app.connect("html-page-context", _complete)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
