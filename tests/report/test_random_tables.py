"""Reports of random tables, trained by the command: what they say against the files and NumPy."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("pydantic")
pytest.importorskip("polars")

from fastmlp.cli import main
from fastmlp.cli.runs import load_own_data
from fastmlp.experiment.importance import importance_of
from fastmlp.experiment.learning_curve import learning_curve
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.model import load_mlp
from fastmlp.report.page import number, percent
from support.html_page import Element, read_page

LETTERS = ("abcXYZ", "城市价格", "مدينة", "हिन्दी", "ñéß", "<&>\"'", "🐈🚀", "한국어", "תל")


@dataclass
class Trained:
    """A run of the command on a random table, with its report and what was printed."""

    path: Path
    cells: dict[str, list[Any]]
    targets: tuple[str, ...]
    task: str
    printed: str

    @property
    def run(self) -> RunDirectory:
        return RunDirectory.open(self.path)

    @property
    def page(self) -> Element:
        return read_page(self.run.report_path.read_text(encoding="utf-8"))

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.path / "result.json").read_text())

    def section(self, name: str) -> Element:
        (found,) = [s for s in self.page.all("section") if s.attributes["aria-labelledby"] == name]
        return found

    def rows(self, name: str) -> list[list[str]]:
        return self.section(name).all("table")[-1].rows()


def names_of(random: np.random.Generator, count: int) -> list[str]:
    """Different names of random scripts."""
    made = [
        "".join(random.choice(list(random.choice(LETTERS)), random.integers(2, 9))) + str(i)
        for i in range(count)
    ]
    return [str(name) for name in made]


def drawn(seed: int) -> tuple[dict[str, list[Any]], tuple[str, ...], str]:
    """A table whose first column decides the target, whose last one is noise."""
    random = np.random.default_rng(seed)
    task = ("two", "many", "regression", "multilabel", "targets")[seed % 5]
    rows = int(random.integers(200, 320))
    names = names_of(random, 6)
    # Option --target splits at commas and quotes.
    names[4:] = [re.sub("[\"']", "-", name) for name in names[4:]]
    x = random.normal(size=rows)
    words = names_of(random, 3)
    cells: dict[str, list[Any]] = {
        names[0]: [f"{v:.4f}" for v in x],
        names[1]: random.choice(words, rows).tolist(),
        names[2]: [f"{v:.3f}" if random.random() > 0.15 else "" for v in random.normal(size=rows)],
        names[3]: [f"{v:.4f}" for v in random.normal(size=rows)],
    }
    kinds = names_of(random, 5)
    if task == "two":
        cells[names[4]] = np.where(x > 0, kinds[0], kinds[1]).tolist()
    elif task == "many":
        cells[names[4]] = [kinds[i] for i in np.digitize(x, [-0.9, -0.3, 0.3, 0.9])]
    elif task == "regression":
        cells[names[4]] = (1e6 + 250_000 * x).round(1).tolist()
    elif task == "multilabel":
        cells[names[4]] = (x > 0).astype(int).tolist()
        cells[names[5]] = (x > 0.5).astype(int).tolist()
    else:
        cells[names[4]] = (5 * x).round(3).tolist()
        cells[names[5]] = (1e-3 * x).round(7).tolist()
    return cells, tuple(list(cells)[4:]), task


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[int, Trained] = {}

    def of(seed: int) -> Trained:
        if seed not in made:
            folder = tmp_path_factory.mktemp(f"table{seed}")
            cells, targets, task = drawn(seed)
            with open(folder / "表 <1>.csv", "w", newline="", encoding="utf-8") as stream:
                writer = csv.writer(stream)
                writer.writerow(cells)
                writer.writerows(zip(*cells.values(), strict=True))
            printed = io.StringIO()
            command = ["train", str(folder / "表 <1>.csv"), "--epochs", "25", "--hidden", "16,16",
                       "--architecture", "mlp", "--lr", "0.02", "--optimizer", "adam",
                       "--out", str(folder / "run"), "--report", "--seed", str(seed)]  # fmt: skip
            with (
                contextlib.redirect_stderr(printed),
                contextlib.redirect_stdout(io.StringIO()),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("error")
                code = main([*command, "--target", ",".join(targets)])
            assert code == 0, printed.getvalue()
            made[seed] = Trained(folder / "run", cells, targets, task, printed.getvalue())
        return made[seed]

    return of


seeds = pytest.mark.parametrize("seed", range(int(os.environ.get("FASTMLP_REPORTS", "5"))))


@seeds
def test_page_is_well_formed_and_silent(trained, seed):
    case = trained(seed)
    assert "Glyph" not in case.printed
    assert "Warning" not in case.printed
    page = case.page
    ids = [e.attributes["id"] for e in page if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    links = [e.attributes["href"].removeprefix("#") for e in page.one("nav").all("a")]
    assert set(links) <= set(ids)
    labels = [e.attributes["aria-label"] for e in page if e.attributes.get("role") == "region"]
    titles = [e.text for e in page.all("h2")]
    assert len(labels + titles) == len(set(labels + titles))
    assert all(svg.attributes["aria-label"] for svg in page.all("svg"))
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    texts = {text.text for text in page.all("text")}
    assert "\ufffd" not in "".join(texts)
    assert not [text for text in texts if re.search(r"\de[+-]?\d", text) and text not in case.cells]


@seeds
def test_figures_are_those_of_the_result(trained, seed):
    case = trained(seed)
    measured = case.result["test"]
    tiles = {
        tile.one("dt").text: [dd.text for dd in tile.all("dd")]
        for tile in case.page.with_class("tile")
    }
    shares = {"Test accuracy": "accuracy", "Test subset accuracy": "subset_accuracy",
              "Macro F1": "macro_f1", "Label accuracy": "label_accuracy"}  # fmt: skip
    numbers = {"Test RMSE": "rmse", "R²": "r2", "Mean absolute error": "mae", "Test loss": "loss"}
    checked = 0
    for title, key in {**shares, **numbers}.items():
        if title in tiles:
            write = percent if title in shares else number
            assert tiles[title][0] == write(measured[key]).replace("\u00a0", " "), (seed, title)
            checked += 1
    assert checked >= 3
    interval = [text for text in tiles[next(iter(tiles))] if text.startswith("95 %")]
    for text in interval:
        ends = [float(v.replace(",", "")) for v in re.findall(r"[\d.,]+", text.split(":")[1])]
        value = float(re.match(r"[\d.,]+", tiles[next(iter(tiles))][0])[0].replace(",", ""))
        assert ends[0] <= value <= ends[1], (seed, text)


@seeds
def test_importance_points_at_what_matters(trained, seed):
    """Permuted noise changes nothing, the deciding column everything."""
    case = trained(seed)
    model = load_mlp(case.run.selected_model())
    samples = load_own_data(case.run, quiet=True).evaluated[1]
    found = importance_of(model, samples)
    rows = {row[0]: row[1:] for row in case.rows("importance")[1:]}
    names = list(case.cells)
    tidy = {name: " ".join(name.split()) for name in names}
    factor = 100.0 if found.metric == "accuracy" else 1.0
    for name, mean, spread in zip(found.names, found.means, found.deviations, strict=True):
        shown = [float(text.replace("·10", "e").translate(RAISED)) for text in rows[tidy[name]]]
        assert shown == pytest.approx([factor * mean, factor * spread], rel=1e-3, abs=0.006), seed
    assert found.names[found.order[0]] == names[0]
    assert found.means[found.names.index(names[0])] > 0.2
    assert abs(found.means[found.names.index(names[3])]) < 0.08, seed
    drawn_first = case.section("partial-dependence").all("svg")[0].attributes["aria-label"]
    assert f" by {names[0]}: from " in drawn_first


RAISED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@seeds
def test_worst_rows_are_lines_of_the_file(trained, seed):
    case = trained(seed)
    rows = case.rows("worst-samples")
    names = [" ".join(name.split()) for name in case.cells]
    assert rows[0][0] == "Line"
    assert "表 <1>.csv, the header included" in case.section("worst-samples").text
    for row in rows[1:]:
        line = int(row[0]) - 2
        for name, text in zip(rows[0], row, strict=True):
            if name not in names[:4]:
                continue
            cell = case.cells[list(case.cells)[names.index(name)]][line]
            if name == names[1]:
                assert text == " ".join(cell.split())
            elif cell == "":
                assert re.fullmatch(r"\(.+\)", text), (seed, name, text)
            else:
                assert float(text) == pytest.approx(float(cell), rel=1e-3, abs=1e-4), seed


@seeds
def test_data_section_counts_gaps(trained, seed):
    case = trained(seed)
    rows = case.rows("data")
    by_name = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    names = [" ".join(name.split()) for name in case.cells]
    train = load_own_data(case.run, quiet=True).prepared.train
    gappy = list(case.cells)[2]
    share = np.mean([case.cells[gappy][line - 2] == "" for line in train.source.numbers])
    assert by_name[names[2]]["Missing"].startswith(percent(float(share)).replace("\u00a0", " "))
    assert by_name[names[0]]["Missing"] == "none"
    values = [float(case.cells[list(case.cells)[0]][line - 2]) for line in train.source.numbers]
    assert by_name[names[0]]["Values"].startswith(f"{number(min(values))} to {number(max(values))}")
    assert int(by_name[names[0]]["Different"].replace(",", "")) == len(set(values))
    assert by_name[names[1]]["Type"] == "category"


def test_thresholds_are_counted(trained):
    case = trained(0)
    model = load_mlp(case.run.selected_model())
    samples = load_own_data(case.run, quiet=True).evaluated[1]
    likely = model.predict_proba(samples.x)[:, 1]
    rows = case.rows("probabilities")[1:]
    assert [float(row[0]) for row in rows] == [i / 10 for i in range(1, 10)]
    for row in rows:
        chosen = likely >= float(row[0])
        hits = float((chosen & (samples.y == 1)).sum())
        expected = [hits / max(chosen.sum(), 1), hits / (samples.y == 1).sum(), None,
                    chosen.mean(), (chosen == (samples.y == 1)).mean()]  # fmt: skip
        for text, value in zip(row[1:], expected, strict=True):
            if value is not None:
                assert text == percent(float(value)).replace("\u00a0", " ")
    names = [svg.attributes["aria-label"] for svg in case.section("probabilities").all("svg")]
    positive, negative = likely[samples.y == 1], likely[samples.y == 0]
    pairs = positive[:, None] - negative[None, :]
    area = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert names[0].endswith(f"area {area:.3f}")


def test_drift_is_marked_where_the_test_part_differs(tmp_path):
    random = np.random.default_rng(3)

    def write(name: str, shift: float) -> None:
        moved, same = random.normal(size=300) + shift, random.normal(size=300)
        with open(tmp_path / name, "w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["moved", "same", "y"])
            writer.writerows(zip(moved, same, np.where(same > 0, "a", "b"), strict=True))

    write("train.csv", 0.0)
    write("test.csv", 1.5)
    command = ["train", str(tmp_path / "train.csv"), "--test", str(tmp_path / "test.csv"),
               "--target", "y", "--epochs", "2", "--hidden", "4", "--architecture", "mlp",
               "--out", str(tmp_path / "run"), "--report", "-q"]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(command) == 0
    case = Trained(tmp_path / "run", {}, ("y",), "two", "")
    rows = {row[0]: row[-1] for row in case.rows("data")[1:]}
    assert rows["moved"].endswith("(large)")
    assert not rows["same"].endswith("(large)")
    assert 0.4 < float(rows["moved"].split()[0]) < 0.7  # 2 Phi(0.75) - 1 = 0.55


def test_learning_curve_ends_with_the_result_of_the_run(trained):
    case = trained(1)
    experiment = load_own_data(case.run, quiet=True)
    curve = learning_curve(experiment, (0.25, 1.0))
    assert [point["samples"] for point in curve["points"]] == [
        round(0.25 * len(experiment.prepared.train)), len(experiment.prepared.train)
    ]  # fmt: skip
    assert curve["points"][-1]["accuracy"] == case.result["test"]["accuracy"]
    assert curve["points"][-1]["loss"] == pytest.approx(case.result["test"]["loss"], rel=1e-9)
    case.run.write_json(case.run.learning_curve_path, curve)
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["report", str(case.path), "-q"]) == 0
    rows = case.rows("data-sizes")[1:]
    assert [row[1] for row in rows] == [
        percent(point["accuracy"]).replace("\u00a0", " ") for point in curve["points"]
    ]
    for shares in ((), (0.5, 0.2), (0.0, 1.0), (1.5,)):
        with pytest.raises(ValueError, match="shares must"):
            learning_curve(experiment, shares)


def test_findings_come_first_and_baselines_beside_the_result(trained):
    case = trained(2)
    result = case.result
    before = [s.attributes["aria-labelledby"] for s in case.page.all("section")]
    assert "findings" not in before or "findings" in result
    page = {
        "code": "x",
        "level": "hint",
        "message": "Columns <b>look</b> alike.",
        "cure": "",
    }
    bad = {"code": "y", "level": "problem", "message": "It is no better than the mean.",
           "cure": "Train longer.", "page": "findings.md#y"}  # fmt: skip
    base = {"name": "mean", "metrics": {"rmse": 250_000.0, "mae": 200_000.5, "r2": 0.0}}
    case.run.write_json(
        case.run.result_path, {**result, "findings": [page, bad], "baselines": [base]}
    )
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["report", str(case.path), "-q"]) == 0
    sections = [s.attributes["aria-labelledby"] for s in case.page.all("section")]
    assert sections[:3] == ["findings", "key-figures", "baselines"]
    items = [item.text for item in case.section("findings").all("li")]
    assert items[0] == (
        "Problem It is no better than the mean. What may help: Train longer. More: findings.md#y"
    )  # the worst first
    assert items[1] == "Hint Columns <b>look</b> alike."
    rows = case.rows("baselines")
    assert rows[2] == ["mean", "250,000", "200,001" if rows[0][2] == "MAE" else rows[2][2], "0"]
    tile = case.page.with_class("tile")[0]
    assert tile.all("dd")[-1].text == "mean: 250,000"
    case.run.write_json(case.run.result_path, {**result, "findings": [], "baselines": []})
    with contextlib.redirect_stdout(io.StringIO()):
        assert main(["report", str(case.path), "-q"]) == 0
    assert case.section("findings").text == "Findings Nothing to report."
    assert "baselines" not in [s.attributes["aria-labelledby"] for s in case.page.all("section")]
