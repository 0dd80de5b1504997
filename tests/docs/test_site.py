"""The site: what its sources promise, and that a build ends at each kind of fault."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import random
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastmlp
from support.browser import browser
from support.pages import cells
from support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if path.name != "README.md"
)
BLOCK = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = re.compile(r"^# Not run here: .+[.]$", re.MULTILINE)


def extension(name):
    """A module of docs/ that is no package."""
    pytest.importorskip("sphinx")
    pytest.importorskip("babel")
    place = DOCS / f"{name}.py"
    spec = importlib.util.spec_from_file_location(place.stem, place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- what runs


@pytest.mark.parametrize("page", PAGES)
def test_code_is_a_cell_or_says_why_it_does_not_run(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    for language, block in BLOCK.findall(text):
        is_directive = language.startswith("{")
        assert is_directive or language == "text" or NOT_RUN.search(block), block
    for cell in cells(DOCS / page):
        if "skip-execution" in cell.tags:
            assert NOT_RUN.search(cell.source), cell.source


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_output(page):
    """No prompt with what it prints, and no output of a notebook."""
    text = (DOCS / page).read_text(encoding="utf-8")
    assert not re.search(r"^(\$|>>>) \S", text, re.MULTILINE)
    assert "{code-cell-output}" not in text


# ---------------------------------------------------------------- the reference


def test_completion_help_and_site_have_the_same_names():
    reference = extension("_extensions/reference")
    listed = set(reference.listed_names(DOCS))
    for module_name in ("", *reference.NAMESPACES):
        path = ".".join(filter(None, ("fastmlp", module_name)))
        module = importlib.import_module(path)
        assert sorted(dir(module)) == sorted(module.__all__), path
        done = subprocess.run(
            [sys.executable, "-m", "pydoc", path], capture_output=True, text=True, check=True
        )
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.ismodule(value) or name == "__version__":
                continue
            assert re.search(rf"\b{name}\b", done.stdout), f"{path}.{name} in pydoc"
            same = {listed_name for listed_name in listed if listed_name.endswith(f".{name}")}
            assert any(reference._object(found) is value for found in same), f"{path}.{name}"


def test_each_method_of_a_class_is_found_by_completion_and_by_the_site():
    reference = extension("_extensions/reference")
    methods, properties = reference.members("fastmlp.MLP")
    assert {"fit", "predict", "save"} <= set(methods)
    assert {"weights", "history"} <= set(properties)
    assert set(methods) | set(properties) <= set(dir(fastmlp.MLP))
    assert set(methods) | set(properties) >= {
        name
        for name in dir(fastmlp.MLP)
        if not name.startswith("_") and getattr(fastmlp.MLP, name).__doc__
    }


# ---------------------------------------------------------------- what a browser loads


def test_resources_from_elsewhere_are_found(tmp_path):
    build = extension("build")
    planted = {
        "script.html": '<script async src="https://cdn.example/x.js"></script>',
        "style.html": '<link rel="stylesheet" href="//fonts.example/css">',
        "image.html": "<img alt='' src='http://example.org/a.png'>",
        "font.css": "@font-face{src:url(https://example.org/font.woff2)}",
        "import.css": '@import "https://example.org/style.css";',
    }
    for name, text in planted.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "good.html").write_text(
        '<a href="https://example.org">a link</a><link rel="canonical" href="https://example.org">'
        '<script src="_static/x.js"></script><img alt="" src="data:image/png;base64,AA//">',
        encoding="utf-8",
    )
    assert {line.partition(":")[0] for line in build.foreign(tmp_path)} == set(planted)


def test_links_that_lead_nowhere_are_found(tmp_path):
    build = extension("build")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "index.html").write_text('<h2 id="a b">', encoding="utf-8")
    ours = "https://github.com/fastmlp/fastmlp/blob/main"
    good = ["#here", "other/", "other/index.html?x=1#a%20b", "https://example.org/gone",
            "mailto:a@example.org", f"{ours}/README.md#x", "other/index.html"]  # fmt: skip
    bad = ["#nowhere", "gone.html", "other/index.html#b", "other/gone/", f"{ours}/GONE.md"]
    links = "".join(f'<a class="x" href="{address}">' for address in (*good, *bad))
    (tmp_path / "page.html").write_text(f'<p id="here">{links}', encoding="utf-8")
    found = build.broken(tmp_path)
    assert sorted(line.partition(": ")[2] for line in found) == sorted(bad)


def test_a_missing_translation_is_found(tmp_path, monkeypatch):
    build = extension("build")
    monkeypatch.setattr(build, "DOCS", tmp_path / "docs")
    catalog = tmp_path / "docs" / "locale" / "zh_CN" / "LC_MESSAGES" / "index.po"
    catalog.parent.mkdir(parents=True)
    (tmp_path / "docs" / "index.md").write_text("# A\n", encoding="utf-8")
    assert "is missing" in build.untranslated("zh_CN")[0]
    catalog.write_text(
        'msgid "one"\nmsgstr "\\u4e00"\n\nmsgid "two"\nmsgstr ""\n', encoding="utf-8"
    )
    assert [line.rpartition(": ")[2] for line in build.untranslated("zh_CN")] == ["two"]


# ---------------------------------------------------------------- a build ends at a fault


def built(folder, language="en", **pages):
    """Build a site of some pages without a reference; return the exit code and what was said."""
    for extra in ("sphinx", "myst_nb", "pydata_sphinx_theme"):
        pytest.importorskip(extra)
    for name in ("conf.py", "_kernel.py"):
        shutil.copy(DOCS / name, folder)
    for name in ("_extensions", "_templates", "_static"):
        shutil.copytree(DOCS / name, folder / name, dirs_exist_ok=True)
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text, encoding="utf-8")
    python = Path(sys.executable)
    done = subprocess.run(
        [python, "-m", "sphinx", "-b", "html", "--quiet", "--fail-on-warning", "--keep-going",
         "-D", "extensions=" + ",".join(EXTENSIONS), folder, folder / "built"],
        capture_output=True, text=True, check=False, cwd=folder,
        env=os.environ | {
            "SITE_LANGUAGE": language, "SITE_CELLS": str(folder / "cells"),
            "PYTHONSTARTUP": str(folder / "_kernel.py"),
            "IPYTHONDIR": str(folder / "ipython"), "NO_COLOR": "1",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        },
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


EXTENSIONS = (
    "myst_nb", "chinese_search", "languages", "mathml", "notebooks", "pictures", "shell_cells",
    "sphinx_copybutton", "sphinx_design",
)  # fmt: skip
PAGE = """---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# A page

```{code-cell}
%s
```
"""


PICTURE = "from IPython.display import Image\nImage(r'{}')"
CAPTION = "\n:::{caption}\nA white square & no more.\n:::\n"


@pytest.fixture
def picture(tmp_path):
    """A cell that shows a picture of 700 x 2 pixels."""
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "white.png"
    pillow.new("RGB", (700, 2), "white").save(path)
    return PAGE % PICTURE.format(path)


def test_a_page_without_a_fault_is_built(tmp_path, picture):
    docs = tmp_path / "docs"
    docs.mkdir()
    text = picture + CAPTION + "\n```{code-cell}\n!echo one \\\n  two\n```\n\n"
    text += "```{code-cell}\n!pwd\n```\n\n"
    text += "```{code-cell}\n:tags: [skip-execution]\n!exit 3\n```\n\n[other](other.md)\n"
    code, said = built(docs, index=text, other="---\norphan: true\n---\n\n# Another\n")
    assert code == 0, said
    page = (docs / "built" / "index.html").read_text(encoding="utf-8")
    found = re.search(r'<a class="picture wide" href="([^"]+)"><img ([^>]+)/></a>', page)
    assert found, page
    assert 'alt="A white square &amp; no more."' in found[2]
    assert 'width="700" height="2"' in found[2]
    assert (docs / "built" / found[1]).is_file()
    code = re.sub("<[^>]+>", "", page[page.index("highlight-bash") :])
    assert re.search(r"echo\s+one \\\s+two\s+one two", code)
    assert "!echo" not in page
    assert "~/study" in page  # not the folder of the computer that makes the site
    notebook = json.loads((docs / "built" / "notebooks" / "index.ipynb").read_text("utf-8"))
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    assert ("code", "!echo one \\\n  two") in cells
    assert ("markdown", "```\nexit 3\n```") in cells
    texts = "\n".join(source for kind, source in cells if kind == "markdown")
    assert "\nA white square & no more.\n" in f"\n{texts}\n"
    assert "/blob/main/docs/other.md" in texts
    assert "pip install" in texts


SEARCHED = ("梯度下降", "过拟合", "学习率 momentum", "Softmax", "反向传播gradients")


def test_chinese_is_searched(tmp_path):
    """By pairs of characters, which the script finds in a query as the index has them."""
    texts = {f"page{i}": f"# {i}\n\n我们学习{words}的方法。\n" for i, words in enumerate(SEARCHED)}
    index = "# 目录\n\n```{toctree}\n" + "\n".join(texts) + "\n```\n"
    code, said = built(tmp_path, "zh_CN", index=index, **texts)
    assert code == 0, said
    chance = random.Random(seed := secrets.randbelow(2**31))
    drawn = [
        "".join(chance.choices("梯度下降学 ab_1，.é", k=chance.randint(0, 12))) for _ in range(200)
    ]
    splits = extension("_extensions/chinese_search").ChineseSearch({}).split
    with browser() as running:
        page = running.new_page()
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        for number, words in enumerate(SEARCHED):
            page.goto((tmp_path / "built" / "search.html").as_uri() + f"?q={words}")
            found = f"""() => [...document.querySelectorAll("#search-results li a")]
              .some((link) => link.getAttribute("href").includes("page{number}.html"))"""
            page.wait_for_function(found)
        assert page.evaluate("(texts) => texts.map(splitQuery)", drawn) == [*map(splits, drawn)], (
            seed
        )
    untranslated = (tmp_path / "built" / "page0.html").read_text(encoding="utf-8")
    assert '<p class="untranslated" lang="zh-CN">' in untranslated
    assert '<div lang="en">' in untranslated
    # Summaries of results are fetched, which a browser does not do with files.
    assert set(errors) <= {"Failed to fetch"}


# Of each formula: where it begins and ends, the widths of all and of what is shown, keys reach it.
FORMULAS = """[...document.querySelectorAll("div.math")].map((box) => {
  const parts = [...box.querySelectorAll("math *")].map((part) => part.getBoundingClientRect());
  const left = box.getBoundingClientRect().left;
  const begin = Math.min(...parts.filter((part) => part.width).map((part) => part.left)) - left;
  const end = Math.max(...parts.map((part) => part.right)) - left;
  return [begin, end, box.scrollWidth, box.clientWidth, box.tabIndex];
})"""


def test_a_wide_formula_begins_at_its_beginning_on_a_phone(tmp_path):
    narrow, wide = "$$x = 1$$\n", "$$" + " + ".join(f"x_{{{i}}}" for i in range(30)) + "$$\n"
    code, said = built(tmp_path, index=f"# A page\n\n{narrow}\n{wide}")
    assert code == 0, said
    with browser() as running:
        page = running.new_page(viewport={"width": 390, "height": 800})
        page.goto((tmp_path / "built" / "index.html").as_uri())
        (begin, end, whole, shown, focus), scrolled = page.evaluate(FORMULAS)
    assert whole == shown
    assert abs(begin - (shown - end)) < 10
    assert focus == -1
    begin, end, whole, shown, focus = scrolled
    assert -2 < begin < end <= whole + 2
    assert whole > shown
    assert focus == 0


def test_the_index_of_the_gallery_shows_questions_and_pictures(tmp_path):
    gallery = extension("_extensions/gallery")
    folder = tmp_path / "gallery"
    folder.mkdir()
    entry = '<li class="toctree-l1"><a class="reference internal" href="xor.html">Xor</a></li>'
    (folder / "index.html").write_text(f"<nav>{entry}</nav><article>{entry}</article>")
    (folder / "xor.html").write_text(
        '<h1>Xor</h1>\n<p><strong>Why?</strong></p><a class="picture wide" href="../a.png"></a>'
    )
    gallery._draw(SimpleNamespace(outdir=tmp_path), None)
    before, _, article = (folder / "index.html").read_text().partition("<article>")
    assert entry in before
    assert re.sub("<[^>]+>", " ", article).split() == ["Xor", "Why?"]
    assert 'src="../a.png"' in article


@pytest.mark.parametrize("source", ["1 / 0", "!exit 3", "!false | cat"])
def test_a_cell_that_fails_ends_the_build(source, tmp_path):
    code, said = built(tmp_path, index=PAGE % source)
    assert code != 0
    assert "CellExecutionError" in said, said


def test_broken_links_and_anchors_end_the_build(tmp_path):
    code, said = built(
        tmp_path,
        index="# A page\n\n```{toctree}\nother\n```\n\n"
        "[gone](gone.md) [no heading](#nowhere) [elsewhere](other.md#no)\n",
        other="# Another\n",
    )
    assert code != 0
    for fault in ("gone.md", "nowhere", "'no'"):
        assert fault in said, said


@pytest.mark.parametrize(
    "text",
    ["{picture}", "{picture}{caption}{picture}", "# A\n\n![](white.png)\n",
     "# A\n\n```{{image}} white.png\n```\n"],
)  # fmt: skip
def test_a_picture_without_words_ends_the_build(tmp_path, picture, text):
    cell = picture[picture.index("# A page") :]
    source = text.format(picture=cell, caption=CAPTION)
    if "{code-cell}" in source:
        source = picture[: picture.index("# A page")] + source
    code, said = built(tmp_path, index=source)
    assert code != 0
    assert "has no words: add a caption" in said, said


def test_a_name_without_a_page_a_docstring_or_an_example_is_told(tmp_path, monkeypatch, caplog):
    reference = extension("_extensions/reference")
    told = []
    monkeypatch.setattr(reference._log, "warning", lambda text, *values: told.append(text % values))

    class Site:
        srcdir = tmp_path

    pages = tmp_path / "reference"
    shutil.copytree(DOCS / "reference", pages, ignore=shutil.ignore_patterns("generated"))
    reference._check(Site)
    assert told == []
    losses = pages / "losses.md"
    losses.write_text(losses.read_text().replace("   fastmlp.Huber\n", "   fastmlp.MSE\n"))
    monkeypatch.setattr(fastmlp.MLP.fit, "__doc__", None)
    monkeypatch.setattr(fastmlp.Hinge, "__doc__", "Hinge(outputs=None)")
    monkeypatch.setattr(fastmlp.SourceError, "__doc__", "A source of samples failed.")
    monkeypatch.setattr(fastmlp.streams.as_source, "__doc__", "Return a source.")
    reference._check(Site)
    assert sorted(told) == [
        "fastmlp.Hinge: has no docstring",
        "fastmlp.Hinge: has no example",
        "fastmlp.Huber: no page of docs/reference lists it",
        "fastmlp.MLP.fit: has no docstring",
        "fastmlp.MSE: docs/reference lists it twice",
        "fastmlp.SourceError: has no example",
        "fastmlp.streams.as_source: has no example",
    ]
