"""The two pages: HTML with the choices of the library, scripts, and the style."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from string import Template

from fastmlp.activations import ACTIVATIONS
from fastmlp.initializers import INITIALIZERS
from fastmlp.optimizers import OPTIMIZERS, checked_optimizer
from fastmlp.play.recipes import FEATURES, RECIPES
from fastmlp.play.settings import CLASS_LOSSES, VALUE_LOSSES, DigitSettings, Settings
from fastmlp.web.pages import STYLE

__all__ = ["FILES", "digits_page", "playground_page"]

_FOLDER = Path(__file__).parent / "files"


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


_SCRIPTS = ("common.js", "curve.js", "network.js", "plane.js", "playground.js", "digits.js")
FILES: Mapping[str, str] = {
    "play.css": STYLE + _text("play.css"),
    **{name: _text(name) for name in _SCRIPTS},
}
"""What the pages load, by name."""


def playground_page() -> str:
    """Return the page of the plane."""
    facts = {
        "defaults": Settings().model_dump(),
        "features": {name: title for name, (title, _) in FEATURES.items()},
        "values": [name for name, recipe in RECIPES.items() if recipe.classes is None],
        "losses": [_titled(CLASS_LOSSES), _titled(VALUE_LOSSES)],
        "rates": _default_rates(),
    }
    return _page(
        "playground",
        facts,
        _SPEEDS,
        more_code=_text("command.html"),
        data=_options((name, recipe.title) for name, recipe in RECIPES.items()),
    )


_SPEEDS = (
    ("step", "1 batch a frame"),
    ("epoch", "1 epoch a frame"),
    ("ten", "10 epochs a frame"),
    ("fast", "full speed"),
)
_LOSS_TITLES = {
    "softmax_cross_entropy": "cross-entropy",
    "hinge": "hinge",
    "mse": "squared error",
    "half_mse": "half squared error",
    "mae": "absolute error",
    "huber": "Huber",
}


def _titled(losses: Iterable[str]) -> dict[str, str]:
    return {name: _LOSS_TITLES[name] for name in losses}


def digits_page() -> str:
    """Return the page of digits."""
    facts = {"defaults": DigitSettings().model_dump(), "rates": _default_rates()}
    speeds = [(name, title) for name, title in _SPEEDS if name in ("step", "fast")]
    return _page("digits", facts, speeds, more_code="")


# Title in the browser, address, and name in the list of pages.
_PAGES = {"playground": ("Playground", "/", "Plane"), "digits": ("Digits", "/digits", "Digits")}


def _page(
    name: str,
    facts: Mapping[str, object],
    speeds: Iterable[tuple[str, str]],
    *,
    more_code: str,
    **choices: str,
) -> str:
    choices |= {
        "activations": _options((name, name.replace("_", " ")) for name in ACTIVATIONS),
        "optimizers": _options((name, kind.__name__) for name, kind in OPTIMIZERS.items()),
        "initializers": _options(
            [("", "default"), *((name, name.replace("_", " ")) for name in INITIALIZERS)]
        ),
    }
    settings = _filled("settings.html", choices)
    return _filled(
        "page.html",
        {
            "title": _PAGES[name][0],
            "script": f"{name}.js",
            "links": "".join(_link(other, is_current=other == name) for other in _PAGES),
            "facts": escape(json.dumps(facts)),
            "run": _filled("run.html", {"speeds": _options(speeds)}).rstrip(),
            "body": _filled(f"{name}.html", choices | {"settings": settings.rstrip()}).rstrip(),
            "more_code": more_code,
        },
    )


def _link(name: str, *, is_current: bool) -> str:
    _, address, text = _PAGES[name]
    mark = ' aria-current="page"' if is_current else ""
    return f'<a href="{address}"{mark}>{text}</a>'


def _filled(name: str, values: Mapping[str, str]) -> str:
    return Template(_text(name)).substitute(values)


def _default_rates() -> dict[str, object]:
    return {name: checked_optimizer(name).learning_rate for name in OPTIMIZERS}


def _options(choices: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<option value="{escape(value)}">{escape(title)}</option>' for value, title in choices
    )
