"""The reference: every public name has a page and an example, every member a docstring."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable
from functools import lru_cache, reduce
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.nodes import make_refnode

import fastmlp

FOLDER = "reference"
NAMESPACES = (
    "data",
    "datasets",
    "estimators",
    "export",
    "expressions",
    "inputs",
    "metrics",
    "plot",
    "schedules",
    "streams",
)
_LISTED = re.compile(r"^(?:   |\.\. py:data:: )(fastmlp\.[\w.]+)$", re.MULTILINE)
_OURS = re.compile(r"\.|^[A-Z]\w*[a-z]")  # the name of a class, or of something in something
_log = logging.getLogger(__name__)


def _object(name: str) -> Any:
    return reduce(getattr, name.split(".")[1:], fastmlp)


def public_names() -> dict[str, Any]:
    """Return the public objects of fastmlp and its namespaces, by their first name."""
    found: dict[str, Any] = {}
    for name in fastmlp.__all__:
        value = getattr(fastmlp, name)
        if not inspect.ismodule(value) and name != "__version__":
            found[f"fastmlp.{name}"] = value
    known = set(map(id, found.values()))
    for namespace in NAMESPACES:
        module = importlib.import_module(f"fastmlp.{namespace}")
        for name in module.__all__:
            value = getattr(module, name)
            if id(value) not in known:
                found[f"fastmlp.{namespace}.{name}"] = value
    return found


def listed_names(docs: Path) -> list[str]:
    """Return the names that the pages of the reference list, in their order."""
    pages = sorted((docs / FOLDER).glob("*.md"))
    return [name for page in pages for name in _LISTED.findall(page.read_text(encoding="utf-8"))]


def _is_ours(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).split(".")[0] == "fastmlp"


@lru_cache
def members(name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the public methods and properties of a class that fastmlp itself defines."""
    value = _object(name)
    methods, properties = [], []
    for member in dir(value) if inspect.isclass(value) else ():
        if member.startswith("_"):
            continue
        found = inspect.getattr_static(value, member)
        is_property = isinstance(found, property)
        function = found.fget if is_property else getattr(found, "__func__", found)
        if inspect.isfunction(function) and _is_ours(function):
            (properties if is_property else methods).append(member)
    return tuple(methods), tuple(properties)


def _is_described(value: Any) -> bool:
    if inspect.isclass(value):  # a dataclass without docstring has its signature as one
        return bool(value.__doc__) and not value.__doc__.startswith(f"{value.__name__}(")
    if callable(value) or isinstance(value, property):
        return bool(inspect.getdoc(value))  # also that of the method it overrides
    return True


def _has_example(value: Any) -> bool:
    """Whether a docstring shows how a class or a function is used; constants need no example."""
    needs = inspect.isclass(value) or inspect.isroutine(value)
    return not needs or ">>>" in (value.__doc__ or "")


def _check(app: Sphinx) -> None:
    """Warn about names without a place or twice, without an example, and without a docstring."""
    public, listed = public_names(), listed_names(Path(app.srcdir))
    places = [id(_object(name)) for name in listed]
    for name, value in public.items():
        if id(value) not in places:
            _log.warning("%s: no page of docs/%s lists it", name, FOLDER)
    for position, name in enumerate(listed):
        if places[position] in places[:position]:
            _log.warning("%s: docs/%s lists it twice", name, FOLDER)
        for described in (name, *(f"{name}.{m}" for kind in members(name) for m in kind)):
            if not _is_described(_object(described)):
                _log.warning("%s: has no docstring", described)
        if not _has_example(_object(name)):
            _log.warning("%s: has no example", name)


def _resolved(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.TextElement
) -> nodes.reference | None:
    """Find what docstrings call by a short name, `SGD` or `MLP.fit`; arguments have no place."""
    target = node["reftarget"]
    if node.get("refdomain") != "py" or not _OURS.search(target):
        return None
    domain = env.domains["py"]
    assert isinstance(domain, PythonDomain)
    names = [f"fastmlp.{target}", *(name for name in domain.objects if name.endswith(f".{target}"))]
    for name in names:
        if found := domain.objects.get(name):
            place = found.docname, found.node_id
            return make_refnode(app.builder, node["refdoc"], *place, content, name)
    _log.warning("%s: no page of the reference describes it", target, location=node)
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Check the reference before it is read; tell the templates what a class has."""
    context: dict[str, Callable[..., Any]] = {"members_of": members}
    app.config["autosummary_context"] = context
    app.connect("builder-inited", _check)
    app.connect("missing-reference", _resolved)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
