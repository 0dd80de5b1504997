"""The page of the service: a form made from the schema, to try a row in the browser.

The page is one document. It loads nothing, and its security policy lets it send requests to the
service alone and run no script but its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from fastmlp.data.cells import PLAIN, listed
from fastmlp.data.columns import CategoryColumn, Column, DateColumn, NumberColumn
from fastmlp.model import MLP
from fastmlp.service.description import accepts_missing, example_row
from fastmlp.service.samples import IMAGES, Served, input_names
from fastmlp.web.pages import STYLE, digest, security_policy

__all__ = ["page", "policy"]

_HERE = Path(__file__).parent
_SCRIPT = (_HERE / "page.js").read_text(encoding="utf-8")
_STYLE = STYLE + (_HERE / "page.css").read_text(encoding="utf-8")
# More choices than these are typed, with suggestions up to the second number.
_MOST_CHOICES = 200
_MOST_SUGGESTIONS = 1000
# More inputs of a model of arrays than these are one list of numbers.
_MOST_FIELDS = 32


def page(model: Served, name: str) -> str:
    """Return the page of a model as HTML."""
    body = "\n".join(_fields(model))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{escape(_title(model, name))}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{escape(name)}</h1>
<p class="about">{escape(_about(model))} <a href="schema">schema</a>, <a
href="openapi.json">OpenAPI</a></p>
<form id="row" autocomplete="off">
<div class="fields">
{body}
</div>
<button id="send" type="submit">Predict</button>
</form>
<section id="result" aria-live="polite" hidden>
<div id="answer"></div>
<table id="probabilities"></table>
</section>
<details>
<summary>Request and response</summary>
<pre id="sent"></pre>
<pre id="received"></pre>
</details>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def policy() -> str:
    """Return the header Content-Security-Policy of the page."""
    return security_policy(script=digest(_SCRIPT), style=digest(_STYLE), images="data: blob:")


def _title(model: Served, name: str) -> str:
    pre = model.preprocessing
    targets = None if pre is None else pre.target_columns or pre.target_names
    return f"{name}: {listed(targets)} - fastmlp" if targets else f"{name} - fastmlp"


def _about(model: Served) -> str:
    pre = model.preprocessing
    if isinstance(model, MLP) and pre is None:
        sizes = "-".join(map(str, model.layer_sizes))
        return f"Network {sizes} without preprocessing."
    assert pre is not None  # of several networks together
    if pre.task == "classification" and pre.target_columns is not None:
        return f"Classes of {pre.target_columns[0]}: {listed(pre.class_names or ())}."
    kinds = {"classification": "Classes", "multilabel": "Labels", "regression": "Values"}
    return f"{kinds[pre.task]}: {listed(pre.class_names or pre.target_names or ())}."


# ---------------------------------------------------------------- fields


def _fields(model: Served) -> Iterator[str]:
    pre = model.preprocessing
    example = example_row(model)
    if pre is not None and pre.columns is not None:
        for i, column in enumerate(pre.columns):
            yield _field_of(column, example[column.name], f"list{i}")
        return
    if pre is not None and pre.image_shape is not None:
        kinds = ",".join(IMAGES)
        picture = '<img id="picture" alt="" hidden>'
        control = f'<input id="image" type="file" accept="{kinds}">{picture}'
        yield _label("image", control, "PNG, JPEG, BMP or WebP", wide=True)
    names = input_names(model)
    if len(names) > _MOST_FIELDS:
        values = ", ".join(map(str, example))
        control = f'<textarea id="numbers" spellcheck="false">{escape(values)}</textarea>'
        yield _label("numbers", control, f"{len(names)} numbers", wide=True)
        return
    for name, value in zip(names, example, strict=True):
        yield _label(name, _text_field(name, value, "decimal"), "number")


def _field_of(column: Column, value: Any, list_id: str) -> str:
    empty = ", may be empty" if accepts_missing(column) else ""
    if isinstance(column, NumberColumn):
        written = "" if column.format == PLAIN else f" such as {column.format.example}"
        return _label(
            column.name, _text_field(column.name, value, "decimal"), f"number{written}{empty}"
        )
    if isinstance(column, DateColumn):
        written = "" if column.format == "iso" else f" as {column.format}"
        is_plain = column.format == "iso" and "hour" not in column.parts
        kind = "date" if is_plain else "text"
        return _label(
            column.name, _text_field(column.name, value, "text", kind), f"date{written}{empty}"
        )
    assert isinstance(column, CategoryColumn)
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    if len(column.categories) <= _MOST_CHOICES:
        control = _choices(column, shown)
    else:
        control = _suggestions(column, shown, list_id)
    return _label(column.name, control, f"{len(column.categories)} names{empty}")


def _label(name: str, control: str, hint: str, *, wide: bool = False) -> str:
    kind = ' class="wide"' if wide else ""
    return f"<label{kind}>{escape(name)} <small>{escape(hint)}</small>{control}</label>"


def _text_field(name: str, value: Any, mode: str, kind: str = "text") -> str:
    return (
        f'<input type="{kind}" inputmode="{mode}" data-column="{escape(name)}" '
        f'value="{escape(str(value))}">'
    )


def _choices(column: CategoryColumn, chosen: str) -> str:
    names: Sequence[str] = column.categories
    options = [
        f'<option value="{escape(name)}"{" selected" if name == chosen else ""}>'
        f"{escape(name)}</option>"
        for name in names
    ]
    if accepts_missing(column):
        options.append('<option value="">(missing)</option>')
    return f'<select data-column="{escape(column.name)}">{"".join(options)}</select>'


def _suggestions(column: CategoryColumn, chosen: str, list_id: str) -> str:
    names = column.categories[:_MOST_SUGGESTIONS]
    options = "".join(f'<option value="{escape(name)}"></option>' for name in names)
    return (
        f'<input type="text" list="{list_id}" data-column="{escape(column.name)}" '
        f'value="{escape(chosen)}"><datalist id="{list_id}">{options}</datalist>'
    )
