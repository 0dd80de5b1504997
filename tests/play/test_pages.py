"""The pages: they load nothing from elsewhere, are sound, and offer what the library has."""

from __future__ import annotations

import json
import re

import pytest

from fastmlp.activations import ACTIVATIONS
from fastmlp.initializers import INITIALIZERS
from fastmlp.optimizers import OPTIMIZERS
from fastmlp.play.pages import FILES, digits_page, playground_page
from fastmlp.play.recipes import FEATURES, RECIPES
from fastmlp.play.settings import DigitSettings, Settings
from support.html_page import read_page
from support.services import answering

for package in ("fastapi", "uvicorn"):
    pytest.importorskip(package)

LINKS = ("https://github.com/fastmlp/fastmlp/blob/main/docs/playground.md",)
PAGES = {"/": playground_page, "/digits": digits_page}


@pytest.fixture(scope="module")
def server():
    with answering("play") as running:
        yield running


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_its_own_files_alone(server, path):
    answer = server.get(path)
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    document = read_page(text)
    for element in document:
        assert element.tag not in ("iframe", "object", "embed", "base", "style")
        for name, value in element.attributes.items():
            assert not name.startswith("on"), name
            assert name != "style"
            if name in ("src", "href"):
                is_ours = value.startswith("data:image/svg+xml,") or value in LINKS
                assert is_ours or server.get(value).status == 200, value
    names = [element.attributes["id"] for element in document if "id" in element.attributes]
    assert len(names) == len(set(names))


def test_scripts_name_what_the_pages_have():
    names = {
        path: {e.attributes["id"] for e in read_page(page()) if "id" in e.attributes}
        for path, page in PAGES.items()
    }
    for name, text in FILES.items():
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|@import|\burl\(", text), name
        found = set(re.findall(r'byId\("([\w-]+)"\)|tell\("([\w-]+)"', text))
        used = {one or other for one, other in found}
        if name in ("playground.js", "network.js"):
            assert used <= names["/"], name
        elif name == "digits.js":
            assert used <= names["/digits"], name
        elif name.endswith(".js"):
            assert used <= names["/"] & names["/digits"], name
        for module in re.findall(r'from "/files/([\w.]+)"', text):
            assert module in FILES


def test_the_choices_are_those_of_the_library():
    for page, settings in ((playground_page(), Settings()), (digits_page(), DigitSettings())):
        document = read_page(page)
        offered = {
            select.attributes["id"]: [o.attributes["value"] for o in select.all("option")]
            for select in document.all("select")
        }
        assert offered["activation"] == list(ACTIVATIONS)
        assert offered["optimizer"] == list(OPTIMIZERS)
        assert offered["initializer"] == ["", *INITIALIZERS]
        facts = json.loads(document.one("body").attributes["data-facts"])
        assert facts["defaults"] == json.loads(settings.model_dump_json())
        assert set(facts["rates"]) == set(OPTIMIZERS)
        if "data" in offered:
            assert offered["data"] == list(RECIPES)
            assert list(facts["features"]) == list(FEATURES)


def test_every_control_has_a_name():
    for page in PAGES.values():
        document = read_page(page())
        labeled = [part for label in document.all("label") for part in label]
        for element in document:
            if element.tag in ("input", "select"):
                assert element in labeled, element.attributes
            if element.tag == "button":
                assert element.text.strip() or element.attributes.get("aria-label")
            if element.tag == "canvas":
                assert element.attributes.get("aria-label")
