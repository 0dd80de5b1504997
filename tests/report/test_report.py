"""Reports of real runs: what they say against NumPy, and that they are safe and complete pages."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("pydantic")

from fastmlp.report.page import count, duration, number, percent
from support import report_runs
from support.report_runs import CLASSES, Case, pixels

TASKS = ("image", "table", "regression", "multilabel")


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return report_runs.written_cases(tmp_path_factory)


@pytest.fixture(params=TASKS)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    return cases[request.param]


def per_cent(share: float) -> str:
    return f"{share * 100:.2f} %"


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------- the page


def test_page_is_well_formed(case: Case) -> None:
    page = case.page
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("h1").text == case.run.path.name
    levels = [int(e.tag[1]) for e in page.all("h1", "h2", "h3", "h4")]
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))
    ids = [e.attributes["id"] for e in page if "id" in e.attributes]
    assert len(ids) == len(set(ids)) > 20
    for element in page:
        for name in ("href", "aria-labelledby"):
            if name in element.attributes:
                value = element.attributes[name]
                assert value.startswith("data:") or value.removeprefix("#") in ids
        used = re.findall(r"url\(#([^)]*)\)", " ".join(element.attributes.values()))
        assert set(used) <= set(ids)


def test_page_needs_nothing_and_runs_nothing(case: Case) -> None:
    text = case.run.report_path.read_text()
    assert not re.search(r"https?:|ftp:|@import|javascript:", text, re.IGNORECASE)
    assert not case.page.all("script", "iframe", "object", "embed", "link", "base", "form")
    for element in case.page:
        assert not [name for name in element.attributes if name.startswith("on")]
        for name in ("src", "href"):
            value = element.attributes.get(name, "#")
            assert value.startswith(("#", "data:image/png;base64,"))
    policy = next(e for e in case.page.all("meta") if "http-equiv" in e.attributes)
    assert "default-src 'none'" in policy.attributes["content"]
    assert "script" not in policy.attributes["content"]


def test_page_can_be_heard(case: Case) -> None:
    for picture in case.page.all("svg"):
        assert picture.attributes["role"] == "img"
        assert len(picture.attributes["aria-label"]) > 15
        assert not picture.all("style", "metadata")
    assert all(image.attributes["alt"] for image in case.page.all("img"))
    for table in case.page.all("table"):
        assert table.one("caption").text
        heads = table.one("thead").all("th")
        assert {head.attributes["scope"] for head in heads} == {"col"}
        for row in table.one("tbody").all("tr"):
            assert [cell.tag for cell in row.all("th", "td")][:2] == ["th", "td"]
            assert row.one("th").attributes["scope"] == "row"
            assert len(row.all("th", "td")) == len(heads)


def test_sections_come_in_order(cases: dict[str, Case]) -> None:
    start = ["key-figures", "notes"]
    end = ["worst-samples", "learning-curves", "learning-rate", "data", "configuration",
           "environment", "digests", "files"]  # fmt: skip
    classes = ["confusion-matrix", "per-class", "confused-pairs", "probabilities"]
    columns = ["importance", "partial-dependence"]
    middle = {
        "image": [*classes, "first-layer"],
        "table": [*classes, *columns],
        "regression": ["predictions", *columns],
        "multilabel": ["per-class", "probabilities", *columns],
    }
    for task in TASKS:
        case = cases[task]
        sections = [e.attributes["aria-labelledby"] for e in case.page.all("section")]
        assert sections == start + middle[task] + end
        links = [e.attributes["href"] for e in case.page.one("nav").all("a")]
        assert links == [f"#{name}" for name in sections[1:]]


def luminance(color: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_colors_stand_out_by_day_and_night(cases: dict[str, Case]) -> None:
    style = cases["table"].page.one("style").text
    modes = [dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in style.split("@media")[:2]]
    assert len(modes[0]) == len(modes[1]) == 10
    assert luminance(modes[0]["paper"]) > 0.9 > 0.05 > luminance(modes[1]["paper"])
    for mode in modes:
        for text in ("ink", "muted", "accent", "good", "notice", "bad"):
            for ground in ("paper", "panel"):
                light, dark = sorted((luminance(mode[text]), luminance(mode[ground])))[::-1]
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)
    # White of the pictures becomes the dark page's own gray.
    inverted = float(re.search(r"invert\(([\d.]+)\)", style)[1])
    assert f"{round(255 * (1 - inverted)):02x}" * 3 == modes[1]["paper"][1:]


def test_whatever_is_given_shows_as_text(cases: dict[str, Case]) -> None:
    case = cases["image"]
    for name in CLASSES:
        assert name in [row[0] for row in case.rows("per-class")]
    assert case.page.one("h1").text == "<b>&amp;image"
    assert case.section("notes").text == "Notes task: <b>guessed</b>"
    assert case.rows("digests")[1] == ["<i>blobs</i>", "ab" * 32]
    assert "a <b>" in cases["table"].rows("worst-samples")[0]
    assert "<em>sour</em>" in [row[0] for row in cases["multilabel"].rows("per-class")]
    for other in cases.values():
        assert not other.page.all("b", "i", "em", "u")
        assert set(other.run.plots_path.iterdir()) == set(other.run.plots_path.glob("*.svg"))


def test_settings_and_names_of_any_kind(tmp_path: Path) -> None:
    """The settings word for word; names of any length, with controls and with lone surrogates."""
    source = "</code></pre><script>alert(1)</script>&amp; 'x'.csv"
    case = report_runs.multilabel_case(tmp_path / "run", source=source)
    names = ("\udce9t\udce9", "x" * 300, "a\x1fb\x00c")
    case.model.preprocessing = dataclasses.replace(case.model.preprocessing, class_names=names)
    page = case.write()
    (text,) = page.one("code").content
    assert text == case.run.config_path.read_text()
    assert source in text
    assert not page.all("script")
    assert [row[0] for row in case.rows("per-class")][1:3] == ["?t?", "x" * 300]


# ---------------------------------------------------------------- numbers


def test_accuracy_and_confusion(cases: dict[str, Case]) -> None:
    case = cases["image"]
    y = case.samples.y
    taken = case.model.forward(case.samples.x).argmax(axis=1)
    right = int((taken == y).sum())
    assert 0 < right < len(y)
    tile = case.tiles["Test accuracy"]
    assert tile[:2] == [per_cent(right / 60), f"{right} of 60 samples right"]
    low, high = (float(text) for text in re.findall(r"[\d.]+(?= %)", tile[2].partition(":")[2]))
    deviation = 100 * np.sqrt(right * (60 - right) / 60**3)
    assert low == pytest.approx(100 * right / 60 - 1.96 * deviation, abs=4)
    assert high == pytest.approx(100 * right / 60 + 1.96 * deviation, abs=4)
    assert per_cent(right / 60) in case.page.with_class("summary")[0].text
    counted = [[int(cell) for cell in row[1:]] for row in case.rows("confusion-matrix")[1:]]
    expected = [[int(((y == t) & (taken == p)).sum()) for p in range(4)] for t in range(4)]
    assert counted == expected
    assert case.rows("confusion-matrix")[0][1:] == list(CLASSES)


@pytest.mark.parametrize("task", ["image", "multilabel"])
def test_scores_of_classes(cases: dict[str, Case], task: str) -> None:
    case = cases[task]
    if task == "image":
        truth = np.eye(4, dtype=bool)[case.samples.y]
        taken = np.eye(4, dtype=bool)[case.model.forward(case.samples.x).argmax(axis=1)]
    else:
        truth, taken = case.samples.y > 0, case.model.forward(case.samples.x) > 0
    hits, true, found = (truth & taken).sum(0), truth.sum(0), taken.sum(0)
    scores = np.array([hits / np.maximum(found, 1), hits / true, 2 * hits / (true + found)]).T
    rows = case.rows("per-class")
    assert [row[1:4] for row in rows[1:-1]] == [[per_cent(s) for s in row] for row in scores]
    assert [row[4] for row in rows[1:-1]] == [str(n) for n in true]
    assert rows[-1] == ["Mean", *(per_cent(s) for s in scores.mean(axis=0)), ""]
    assert case.tiles["Macro F1"][0] == per_cent(scores[:, 2].mean())


def test_worst_images_are_those_with_the_least_likely_class(cases: dict[str, Case]) -> None:
    case = cases["image"]
    y = case.samples.y
    shares = softmax(case.model.forward(case.samples.x).astype(np.float64))
    order = np.argsort(shares[np.arange(60), y])[:24]
    cards = case.section("worst-samples").all("li")
    assert [int(card.all("p")[-1].text.removeprefix("index: ")) for card in cards] == list(order)
    for card, index in zip(cards, order, strict=True):
        taken = shares[index].argmax()
        assert [line.text for line in card.all("p")[:4]] == [
            f"true: {CLASSES[y[index]]}",
            f"predicted: {CLASSES[taken]}",
            f"p(predicted): {per_cent(shares[index, taken])}",
            f"p(true): {per_cent(shares[index, y[index]])}",
        ]
        shown = pixels(card.one("img"))
        np.testing.assert_array_equal(shown, case.samples.x[index].reshape(5, 4))


def test_confused_pairs_and_their_pictures(cases: dict[str, Case]) -> None:
    case = cases["image"]
    y, shares = case.samples.y, softmax(case.model.forward(case.samples.x).astype(np.float64))
    taken = shares.argmax(axis=1)
    pairs = {(t, p): np.flatnonzero((y == t) & (taken == p)) for t in range(4) for p in range(4)}
    ranked = sorted(
        ((pair, found) for pair, found in pairs.items() if pair[0] != pair[1] and len(found)),
        key=lambda item: (-len(item[1]), item[0]),
    )
    rows = case.section("confused-pairs").one("tbody").all("tr")
    assert len(rows) == min(10, len(ranked)) > 2
    for row, ((true, predicted), found) in zip(rows, ranked, strict=False):
        cells = [cell.text for cell in row.all("th", "td")]
        share = per_cent(len(found) / (y == true).sum())
        assert cells[:4] == [CLASSES[true], CLASSES[predicted], str(len(found)), share]
        worst = found[shares[found, true].argmin()]
        np.testing.assert_array_equal(pixels(row.one("img")), case.samples.x[worst].reshape(5, 4))


def test_worst_rows_tell_the_values_of_the_table(cases: dict[str, Case]) -> None:
    case = cases["table"]
    shares = softmax(case.model.forward(case.samples.x).astype(np.float64))
    order = np.argsort(shares[np.arange(60), case.samples.y])[:15]
    rows = case.rows("worst-samples")
    assert rows[0][-3:] == ["a <b>", "color", "n"]
    columns = case.table.columns
    for row, index in zip(rows[1:], order, strict=True):
        assert row[:2] == [str(index), "uvw"[case.samples.y[index]]]
        raw = 120 + int(index)
        a, color, n = (columns[name][raw] for name in ("a <b>", "color", "n"))
        assert row[-3:] == [f"{a:.5g}", color, f"{n:.5g}"]


def test_regression_is_told_in_units_of_the_target(cases: dict[str, Case]) -> None:
    case = cases["regression"]
    pre = case.model.preprocessing
    truth, predicted = (
        (values.astype(np.float64) * pre.target_scale + pre.target_mean)[:, 0]
        for values in (case.samples.y, case.model.forward(case.samples.x))
    )
    error = predicted - truth
    rmse = np.sqrt((error**2).mean())
    assert case.tiles["Test RMSE"][0] == f"{rmse:.4g}"
    assert case.tiles["R\u00b2"][0] == f"{1 - (error**2).mean() / truth.var():.4g}"
    assert case.tiles["Mean absolute error"][0] == f"{np.abs(error).mean():.4g}"
    order = np.argsort(-np.abs(error))[:15]
    rows = case.rows("worst-samples")
    assert rows[0][:4] == ["Index", "True", "Predicted", "Error"]
    assert [row[:4] for row in rows[1:]] == [
        [str(i), f"{truth[i]:.4g}", f"{predicted[i]:.4g}", f"{error[i]:.4g}"] for i in order
    ]
    labels = [svg.attributes["aria-label"] for svg in case.section("predictions").all("svg")]
    assert f"mean {error.mean():.4g}, standard deviation {error.std():.4g}" in labels[2]
    names = {path.stem for path in case.run.plots_path.iterdir()}
    assert names >= {
        "predictions",
        "residuals",
        "error_histogram",
        "importance",
        "learning_curves_loss",
    }


def test_several_targets_have_measures_of_their_own(cases: dict[str, Case]) -> None:
    case = cases["diverged"]
    pre = case.model.preprocessing
    error = (case.model.forward(case.samples.x) - case.samples.y) * pre.target_scale
    rows = case.rows("predictions")[1:]
    assert [row[0] for row in rows] == ["price ($)", "<u>size</u>"]
    assert [row[1] for row in rows] == [f"{e:.4g}" for e in np.sqrt((error**2).mean(axis=0))]
    assert len(case.section("predictions").all("svg")) == 6
    worst = int(case.rows("worst-samples")[1][0])
    assert worst == ((error / pre.target_scale) ** 2).sum(axis=1).argmax()


def test_worst_samples_of_several_labels(cases: dict[str, Case]) -> None:
    case = cases["multilabel"]
    z, y = case.model.forward(case.samples.x).astype(np.float64), case.samples.y
    losses = (np.logaddexp(0, z) - y * z).sum(axis=1)
    rows = case.rows("worst-samples")[1:]
    assert [int(row[0]) for row in rows] == list(np.argsort(-losses)[:15])
    assert float(rows[0][3]) == pytest.approx(losses.max(), rel=1e-3)
    right = ((z > 0) == (y > 0)).all(axis=1).mean()
    assert case.tiles["Test subset accuracy"][0] == per_cent(right)


def test_scores_without_probabilities_are_ranked_by_their_margin(cases: dict[str, Case]) -> None:
    case = cases["hinge"]
    scores, y = case.model.forward(case.samples.x).astype(np.float64), case.samples.y
    wrong = np.where(np.eye(3, dtype=bool)[y], -np.inf, scores).max(axis=1)
    leads = wrong - scores[np.arange(60), y]
    rows = case.rows("worst-samples")
    assert rows[0][3] == "Lead of the best wrong score"
    assert [int(row[0]) for row in rows[1:]] == list(np.argsort(-leads, kind="stable")[:15])
    assert rows[1][3] == f"{leads.max():.4g}"


def test_key_figures_of_the_run(cases: dict[str, Case]) -> None:
    tiles = cases["image"].tiles
    assert tiles["Best epoch"] == ["3", "of 3, by validation loss"]
    assert tiles["Training time"] == ["750 ms", "3 min 20 s with all measuring and saving"]
    assert tiles["Samples per second"] == ["12,346", "on avx2"]
    assert tiles["Parameters"][0] == str(20 * 6 + 6 + 6 * 4 + 4)
    assert "2025-03-04 05:06 UTC" in cases["image"].page.with_class("eyebrow")[0].text
    values = dict(cases["image"].rows("environment"))
    assert values["isas available"] == "avx2, generic"
    assert values["seed"] == "not set"


def test_numbers_are_written_for_people() -> None:
    assert [percent(p) for p in (0, 1, 0.97931)] == ["0.00\u00a0%", "100.00\u00a0%", "97.93\u00a0%"]
    assert percent(1e-6) == "<\u00a00.01\u00a0%"
    assert percent(1 - 1e-6) == ">\u00a099.99\u00a0%"
    assert [number(v) for v in (1234.56, -0.000123456)] == ["1,235", "-0.0001235"]
    assert [number(v) for v in (0, 9999.6, 1e6, 2.5e-7)] == ["0", "10,000", "1,000,000", "2.5·10⁻⁷"]
    assert number(float("nan")) == percent(float("inf")) == "not finite"
    assert [duration(s) for s in (0.25, 5, 119.9)] == ["250 ms", "5.00 s", "119.90 s"]
    assert [duration(s) for s in (125, 7259, 7260)] == ["2 min 5 s", "2 h 0 min", "2 h 1 min"]
    assert count(1234567) == "1,234,567"
