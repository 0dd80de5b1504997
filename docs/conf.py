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
REPOSITORY = "https://github.com/fastmlp/fastmlp"

project = "fastmlp"
author = "the fastmlp developers"
copyright = "the fastmlp developers"
version = release = fastmlp.__version__
extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "mathml",
    "notebooks",
    "reference",
    "sphinx_copybutton",
    "sphinx_design",
]
# README.md is the index of this folder for those who read it in the repository.
exclude_patterns = ["README.md"]
templates_path = ["_templates"]
suppress_warnings = [
    "myst.header",  # pages that include a document of the repository
    "autosummary.import_cycle",  # names are written in full
]

# ---------------------------------------------------------------- pages and their cells

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist", "dollarmath", "substitution"]
myst_heading_anchors = 4
nb_execution_mode = "cache"
# Both languages have the same cells, which run once.
nb_execution_cache_path = os.environ.get("FASTMLP_DOCS_CACHE", str(DOCS.parent / "build" / "cells"))
nb_execution_in_temp = True
nb_execution_timeout = 180
nb_execution_raise_on_error = True
nb_merge_streams = True
KernelManager.transport_encryption.default_value = "auto"  # else each kernel warns
nb_mime_priority_overrides = [("gettext", "text/plain", 0)]

# ---------------------------------------------------------------- languages

language = os.environ.get("FASTMLP_DOCS_LANGUAGE", "en")
locale_dirs = ["locale"]
gettext_compact = False
gettext_uuid = False

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
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["languages", "theme-switcher", "navbar-icon-links"],
    "icon_links": [{"name": "GitHub", "url": REPOSITORY, "icon": "fa-brands fa-github"}],
    "navigation_with_keys": True,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc", "notebook"],
}
html_context = {"languages": {"en": "English", "zh_CN": "中文"}}
html_math_renderer = "mathml"


def _link_to_repository(app: Sphinx, docname: str, source: list[str]) -> None:
    """Turn relative links that leave this folder into links to the repository."""

    def replaced(match: re.Match[str]) -> str:
        path, _, anchor = match[1].partition("#")
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(docname), path))
        if target.startswith("docs/"):
            return match[0]
        kind = "tree" if (DOCS.parent / target).is_dir() else "blob"
        return f"]({REPOSITORY}/{kind}/main/{target}{'#' + anchor if anchor else ''})"

    source[0] = re.sub(r"\]\((\.\./[^)\s]+)\)", replaced, source[0])


def setup(app: Sphinx) -> None:
    """Register what is the site's own."""
    app.connect("source-read", _link_to_repository)
