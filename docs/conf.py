"""Settings of the site; `python docs/build.py` builds it."""

from __future__ import annotations

import os
import posixpath
import re
import sys
from pathlib import Path

from jupyter_client.manager import KernelManager
from sphinx.application import Sphinx

import fastmlp

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_extensions"))
from notebooks import REPOSITORY, is_notebook  # noqa: E402

project = "fastmlp"
author = "the fastmlp developers"
copyright = "the fastmlp developers"
version = release = fastmlp.__version__
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "chinese_search",
    "gallery",
    "languages",
    "mathml",
    "notebooks",
    "pictures",
    "reference",
    "shell_cells",
    "sphinx_copybutton",
    "sphinx_design",
]
# README.md is the index of this folder for those who read it in the repository.
exclude_patterns = ["README.md"]
templates_path = ["_templates"]
toc_object_entries_show_parents = "hide"
smartquotes = False  # names of functions and values stay what is typed
suppress_warnings = [
    "myst.header",  # pages that include a document of the repository
    "autosummary.import_cycle",  # names are written in full
]

# ---------------------------------------------------------------- pages and their cells

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 4
nb_execution_mode = os.environ.get("SITE_EXECUTION", "cache")
# Both languages have the same cells, which run once.
nb_execution_cache_path = os.environ.get("SITE_CELLS", str(DOCS.parent / "build" / "cells"))
nb_execution_in_temp = True
if short := os.environ.get("SITE_SHORT"):  # a number: of every sixth page the cells run
    nb_execution_excludepatterns = [
        path.relative_to(DOCS).as_posix()
        for number, path in enumerate(sorted(filter(is_notebook, DOCS.rglob("*.md"))))
        if (number - int(short)) % 6
    ]
if short or nb_execution_mode == "off":
    suppress_warnings.append("myst-nb.lexer")  # which a kernel would name
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True
KernelManager.transport_encryption.default_value = "auto"  # else each kernel warns
nb_mime_priority_overrides = [("gettext", "text/plain", 0)]

# ---------------------------------------------------------------- languages

language = os.environ.get("SITE_LANGUAGE", "en")
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False
nb_code_prompt_show, nb_code_prompt_hide = {
    "en": ("Show the code", "Hide the code"),
    "zh_CN": ("显示代码", "隐藏代码"),
}[language]

# ---------------------------------------------------------------- the reference

autosummary_generate = True
autodoc_typehints = "none"  # numpydoc's sections have the types
autosummary_imported_members = True
numpydoc_show_class_members = False  # the template lists them
default_role = "py:obj"  # what `docstrings` call by name

# ---------------------------------------------------------------- what a reader sees

html_theme = "pydata_sphinx_theme"
html_title = "fastmlp"
html_static_path = ["_static"]
html_favicon = "_static/favicon.svg"
html_css_files = ["site.css"]
html_sidebars = {"index": [], "start": [], "how-it-works": []}  # sections of one page
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "search_bar_text": {"en": "Search", "zh_CN": "搜索"}[language],
    "navbar_end": ["languages", "theme-switcher", "navbar-icon-links"],
    "icon_links": [{"name": "GitHub", "url": REPOSITORY, "icon": "fa-brands fa-github"}],
    "navigation_with_keys": False,  # the keys scroll code and formulas that are wide
    "navigation_depth": 1,  # deeper ones have toggles without a name for screen readers
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc", "notebook"],
}
html_context = {"languages": {"en": "English", "zh_CN": "中文"}, "default_mode": "auto"}
html_math_renderer = "mathml"


# Documents of the repository that are a page, each by a file with the line that includes it.
INCLUDE = re.compile(r"^```\{include\} \.\./(\S+)\n```\n", re.MULTILINE)
PAGES = {
    match[1]: path.name
    for path in sorted(DOCS.glob("*.md"))
    if (match := INCLUDE.fullmatch(path.read_text(encoding="utf-8")))
}


def _link_to_repository(app: Sphinx, docname: str, source: list[str]) -> None:
    """Include documents; turn links that leave this folder into links to pages, or to the web."""
    place = posixpath.join("docs", docname)  # of the text in the repository
    if match := INCLUDE.fullmatch(source[0]):
        place = match[1]
        app.env.note_dependency(str(DOCS.parent / place), docname=docname)
        source[0] = (DOCS.parent / place).read_text(encoding="utf-8")

    def replaced(match: re.Match[str]) -> str:
        path, mark, anchor = match[1].partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(place), path))
        if not (DOCS.parent / target).exists():  # code, or a broken link that Sphinx will report
            return match[0]
        if target.startswith("docs/") or target in PAGES:
            page = PAGES.get(target, target.removeprefix("docs/"))
            address = posixpath.relpath(page, posixpath.dirname(docname) or ".")
            return f"]({address}{mark}{anchor})"
        kind = "tree" if (DOCS.parent / target).is_dir() else "blob"
        return f"]({REPOSITORY}/{kind}/main/{target}{mark}{anchor})"

    source[0] = re.sub(r"\]\((?!#|\w+:)([^)\s]+)\)", replaced, source[0])


def setup(app: Sphinx) -> None:
    """Register what is the site's own."""
    app.connect("source-read", _link_to_repository)
