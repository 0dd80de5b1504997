"""Documents: links lead to files, named sources exist, Python blocks run, metadata is complete."""

import importlib.util
import re

import numpy as np
import pytest

import fastmlp
from support import pages
from support.paths import ROOT
from trust.__main__ import sections

URL = "https://github.com/fastmlp/fastmlp"
FILES = re.compile(
    rf"(?:{URL}/(?:blob|raw|tree)|https://raw\.githubusercontent\.com/fastmlp/fastmlp)/main/(.+)"
)
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "benchmarks/*.md", ".github/**/*.md")
    for path in ROOT.glob(pattern)
)
SOURCES = [
    path.relative_to(ROOT).as_posix()
    for folder in ("cpp", "python", "tests", "benchmarks", "examples", "packaging", "docs")
    for path in (ROOT / folder).rglob("*")
    if "__pycache__" not in path.parts
]
# Files that ARCHITECTURE.md's example of a new layer would add.
OF_EXAMPLES = {"kernels/layer_norm.inl.hpp", "ops/layer_norm.cpp"}


def read(document):
    return (ROOT / document).read_text(encoding="utf-8")


def prose(document):
    """The document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", read(document), flags=re.MULTILINE | re.DOTALL)


def links(document):
    return re.findall(r"\]\(([^)\s]+)\)", prose(document))


def anchors(path):
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


# ---------------------------------------------------------------- links


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files(document):
    for link in links(document):
        target, _, anchor = link.partition("#")
        of_project = FILES.fullmatch(target)
        if of_project:
            path = ROOT / of_project[1]
        elif re.match(r"https://", target):
            continue
        else:
            path = (ROOT / document).parent / target if target else ROOT / document
        assert path.exists(), link
        if anchor:
            assert anchor in anchors(path.relative_to(ROOT).as_posix()), link


# Pages of the site that lead to others, and those that are a document of another folder.
OF_THE_SITE = {"index.md", "guide.md", "project.md"} | {
    path.name
    for path in (ROOT / "docs").glob("*.md")
    if re.fullmatch(r"```\{include\} \S+\n```\n", path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("index", ["README.md", "README.zh.md", "docs/README.md"])
def test_an_index_has_every_document(index):
    documents = {path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"} - OF_THE_SITE
    assert {page for page in documents if f"{page})" not in read(index)} == set()


def test_every_command_is_described():
    from fastmlp.cli.app import COMMANDS

    page = read("docs/command-line.md")
    assert [command for command in COMMANDS if f"fastmlp {command}" not in page] == []


@pytest.mark.parametrize("readme", ["README.md", "README.zh.md"])
def test_the_readme_has_absolute_links_alone(readme):
    found = links(readme)
    assert len(found) > 10
    assert [link for link in found if not link.startswith("https://")] == []


def test_the_chinese_readme_says_the_same():
    """The same links, and the same code but for comments."""
    english, chinese = read("README.md"), read("README.zh.md")
    assert links("README.md") == links("README.zh.md")
    code = [
        re.sub(r"(?m) *#.*$", "", "".join(re.findall(r"(?ms)^```\w*\n(.*?)^```$", text)))
        for text in (english, chinese)
    ]
    assert code[0] == code[1]
    numbers = [set(re.findall(r"\d[\d,.]*\d", text)) for text in (english, chinese)]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_named_sources_exist(document):
    named = set(re.findall(r"`([\w./-]+\.(?:py|pyi|cpp|hpp))`", prose(document))) - OF_EXAMPLES
    assert {
        name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in SOURCES)
    } == set()


def test_lists_named_in_contributing_exist():
    """The places where something is added: FASTMLP_LOSSES, REGISTRY, COMMANDS and so on."""
    named = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", prose("CONTRIBUTING.md")))
    text = "".join(
        (ROOT / path).read_text(encoding="utf-8")
        for path in SOURCES
        if path.endswith((".py", ".hpp"))
    )
    assert len(named) > 5
    assert {name for name in named if not re.search(rf"\b{name}\b", text)} == set()


def test_the_tables_of_trust_have_the_promises_of_the_experiments():
    rows = re.findall(r"^\| (.+?) \| .* \| (\w+\.\w+) \|$", read("docs/trust.md"), re.MULTILINE)
    table = [row for row in rows if row[0] != "promise"]
    experiments = [one for section in sections(False, []) for one in section.experiments]
    assert table == [(one.promise, one.name) for one in experiments]


def test_the_chart_shows_the_recorded_tables():
    place = importlib.util.spec_from_file_location("chart", ROOT / "benchmarks" / "chart.py")
    chart = importlib.util.module_from_spec(place)
    place.loader.exec_module(chart)
    times = chart.step_times(chart.TABLES.read_text(encoding="utf-8"))
    assert len(times) == 6
    assert times["784-30-10, batch 10"] == {
        "fastmlp": 13.8, "PyTorch": 266.0, "JAX": 48.3, "Keras": 52.2, "scikit-learn": 110.6,
    }  # fmt: skip
    assert chart.CHART.read_text(encoding="utf-8") == chart.chart(times)


# ---------------------------------------------------------------- blocks of Python


@pytest.fixture
def few_digits(monkeypatch):
    """Stands in for MNIST: the interface of the set, 200 samples."""
    draw = np.random.default_rng(0)
    real = fastmlp.datasets.load
    images = draw.integers(0, 256, (200, 784), dtype=np.uint8)
    labels = np.arange(200) % 10

    class Digits:
        x_train, y_train = np.tile(images, (6, 1)), np.tile(labels, 6)
        x_test, y_test = images, labels

    def load(name, *args, **options):
        return Digits if name == "mnist" else real(name, *args, **options)

    monkeypatch.setattr(fastmlp.datasets, "load", load)


def test_blocks_of_the_readme_run(few_digits, tmp_path, monkeypatch):
    blocks = re.findall(r"^```python\n(.*?)^```$", read("README.md"), re.MULTILINE | re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert list(tmp_path.iterdir())


@pytest.mark.parametrize("page", ["python.md", "data.md", "streams.md"])
def test_cells_of_a_page_run(page, few_digits, tmp_path, monkeypatch):
    """Others run when the site is built; these also with what a test stands in for."""
    for extra in ("sklearn", "polars"):
        pytest.importorskip(extra)
    pytest.importorskip("matplotlib").use("agg")
    monkeypatch.chdir(tmp_path)
    pages.run(page, tmp_path)
    assert list(tmp_path.iterdir())


# ---------------------------------------------------------------- metadata


@pytest.fixture(scope="module")
def project():
    tomlkit = pytest.importorskip("tomlkit")
    return tomlkit.parse(read("pyproject.toml")).unwrap()["project"]


def test_metadata_is_complete(project):
    for field in (
        "name",
        "description",
        "readme",
        "license",
        "requires-python",
        "authors",
        "keywords",
    ):
        assert project[field], field
    assert len(project["description"]) < 100
    for file in (project["readme"], *project["license-files"]):
        assert (ROOT / file).is_file()
    assert set(project["urls"]) >= {"Homepage", "Documentation", "Source", "Issues", "Changelog"}
    for url in project["urls"].values():
        assert url.startswith(URL)
        if file := FILES.fullmatch(url):
            assert (ROOT / file[1]).is_file()
    classifiers = project["classifiers"]
    assert classifiers == sorted(set(classifiers))
    for family in ("Development Status", "Operating System", "Topic", "Typing"):
        assert any(line.startswith(f"{family} :: ") for line in classifiers), family
    oldest = project["requires-python"].removeprefix(">=")
    assert f"Programming Language :: Python :: {oldest}" in classifiers


def test_the_changelog_begins_with_the_version():
    first = re.search(r"^## \[(.+?)\]", read("CHANGELOG.md"), re.MULTILINE)
    assert first[1] in ("Unreleased", fastmlp.__version__)
