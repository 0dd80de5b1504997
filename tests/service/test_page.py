"""The page of `fastmlp serve`: it loads nothing, and names in a model are no markup in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

import fastmlp
from fastmlp.service.page import page
from support.html_page import read_page
from support.services import TOWNS, image_model, labels_model, service, table_model

for package in ("fastapi", "uvicorn", "polars"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The page of a model of a table, its headers, and the service."""
    place = tmp_path_factory.mktemp("page")
    table_model("kind").save(place / "a<b>.safetensors")
    with service("a<b>.safetensors", cwd=place) as running:
        yield running.get("/"), running


def fields(document):
    return {
        element.attributes["data-column"]: element
        for element in document
        if "data-column" in element.attributes
    }


def test_the_fields_are_the_columns(shown):
    answer, _ = shown
    document = read_page(answer.body.decode())
    found = fields(document)
    assert {name: element.tag for name, element in found.items()} == {
        "size": "input", "weight": "input", "town": "select", "rooms": "select",
        "garden": "select", "sold": "input", "seen": "input",
    }  # fmt: skip
    options = [each.attributes["value"] for each in found["town"].all("option")]
    assert sorted(options[:-1]) == sorted(TOWNS)
    assert options[-1] == ""
    assert found["sold"].attributes["type"] == "date"
    assert document.one("h1").text == "a<b>"
    assert document.one("title").text == "a<b>: kind - fastmlp"


@pytest.mark.parametrize(
    ("targets", "told"), [(("kind",), "Classes of kind: "), (("price", "rent"), "price, rent.")]
)
def test_the_page_names_the_targets(targets, told):
    document = read_page(page(table_model(*targets), "m"))
    assert document.one("title").text == f"m: {', '.join(targets)} - fastmlp"
    (about,) = (each for each in document if each.attributes.get("class") == "about")
    assert told in about.text


def test_what_the_page_sends_first_is_answered(shown):
    answer, running = shown
    row = {}
    for name, element in fields(read_page(answer.body.decode())).items():
        value = element.attributes.get("value")
        if element.tag == "select":
            chosen = [o for o in element.all("option") if "selected" in o.attributes]
            value = (chosen or element.all("option"))[0].attributes["value"]
        row[name] = value or None
    assert "prediction" in running.predict({"rows": [row]}).rows[0]


def models():
    plain = fastmlp.MLP([40, 2], seed=1)
    return [
        table_model("kind"),
        image_model(),
        labels_model(),
        plain,
        fastmlp.MLP([3, 1], loss="mse"),
    ]


@pytest.mark.parametrize("model", models(), ids=["table", "image", "labels", "many", "few"])
def test_the_page_loads_nothing_and_is_sound(model):
    text = page(model, "<name>")
    document = read_page(text)
    assert not re.search(r"https?:|//[a-z]|@import|\burl\(", text)
    for element in document:
        assert element.tag not in ("iframe", "object", "embed", "base")
        for name, value in element.attributes.items():
            assert not name.startswith("on"), name
            assert name != "style"
            if name in ("src", "href", "action"):
                assert value in ("data:,", "schema", "openapi.json"), value
    names = [e.attributes["id"] for e in document if "id" in e.attributes]
    assert len(names) == len(set(names))
    script = document.one("script").content[0]
    for name in re.findall(r'byId\("(\w+)"\)', script):
        assert name in (*names, "image", "numbers", "picture")


def test_its_policy_allows_its_own_script_and_style_alone(shown):
    answer, _ = shown
    rules = dict(
        rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";")
    )
    assert rules["default-src"] == "'none'"
    document = read_page(answer.body.decode())
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        content = document.one(tag).content[0].encode()
        digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>alert" not in answer.body.decode()


def test_names_of_a_model_that_would_be_markup(shown):
    answer, running = shown
    text = answer.body.decode()
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in text
    assert len(read_page(text).all("script")) == 1
    refused = running.predict(json.dumps({"<script>": "</script><img onerror=x>", "size": []}))
    assert refused.error(400)
    assert refused.headers["content-type"] == "application/json"
    assert refused.headers["x-content-type-options"] == "nosniff"
    missing = running.get("/<script>alert(1)</script>")
    assert "script" not in missing.error(404)
