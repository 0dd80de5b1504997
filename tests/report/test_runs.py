"""Reports of runs that went wrong or lack something, and the files that a report leaves."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("pydantic")

import fastmlp
from fastmlp.experiment.evaluation import evaluate
from fastmlp.extras import MissingExtraError
from fastmlp.report.sections import result_sections
from fastmlp.report.subject import Subject
from support import report_runs
from support.report_runs import Case, pixels


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return report_runs.written_cases(tmp_path_factory)


# ---------------------------------------------------------------- other runs


def test_one_epoch_measured_on_validation_samples(cases: dict[str, Case]) -> None:
    case = cases["one epoch"]
    summary = case.page.with_class("summary")[0].text
    assert "for 1 epoch, classifies" in summary
    assert "of 60 validation samples" in summary
    assert "Validation accuracy" in case.tiles
    assert "others" not in case.section("notes").text
    loss, accuracy = case.section("learning-curves").all("svg")
    record = case.run.records()[0]
    assert loss.attributes["aria-label"] == (
        f"Loss after 1 epoch: training {record['loss']:.4g}, validation {record['val_loss']:.4g}"
    )
    assert accuracy.attributes["aria-label"].startswith("Accuracy after 1 epoch: training ")


def test_a_model_without_errors_on_its_training_samples(tmp_path: Path) -> None:
    result = {"evaluated_on": "training", "selected": "last"}
    case = report_runs.table_case(tmp_path / "run", result=result)
    predicted = case.model.predict(case.samples.x)
    case.samples = dataclasses.replace(case.samples, y=predicted)
    case.evaluation = evaluate(case.model, case.samples)
    case.write()
    assert case.tiles["Training accuracy"] == ["100.00 %", "60 of 60 samples right"]
    assert "says nothing about other samples" in case.section("notes").text
    assert not case.section("confused-pairs").all("table")


def test_curves_name_the_part_that_was_measured(cases: dict[str, Case]) -> None:
    """``val_`` values are those of the test part where there is no validation part."""
    label = cases["table"].section("learning-curves").all("svg")[0].attributes["aria-label"]
    assert "training from" in label
    assert "validation from" in label
    case = cases["hinge"]
    label = case.section("learning-curves").all("svg")[0].attributes["aria-label"]
    assert "test from" in label
    assert "chose no epoch" in case.section("learning-curves").text
    assert case.tiles["Best epoch"][1] == "of 3, by test loss"


def test_a_run_that_diverged_in_its_first_epoch(cases: dict[str, Case]) -> None:
    case = cases["diverged"]
    page = case.page
    assert page.with_class("status")[0].text == "diverged"
    assert page.with_class("explanation")[0].text.startswith("Loss is NaN in epoch 1, step 3. The")
    assert "No epoch was completed" in case.section("learning-curves").text
    assert not case.section("learning-curves").all("svg")
    assert case.tiles["Epochs"] == ["0", "completed"]


def test_a_run_that_has_nothing_but_its_settings(tmp_path: Path) -> None:
    case = report_runs.table_case(tmp_path / "run", source="-")
    for path in (case.run.metrics_path, case.run.result_path, case.run.environment_path):
        path.unlink()
    case.model.preprocessing = None
    page = case.write()
    assert page.with_class("status")[0].text == "unfinished"
    summary = page.with_class("summary")[0].text
    assert "trained on standard input with sgd for 0 epochs" in summary
    assert "of 60 evaluated samples" in summary
    assert [row[0] for row in case.rows("per-class")][1:-1] == ["0", "1", "2"]
    assert case.rows("worst-samples")[0][-5:] == [f"x{i}" for i in range(5)]
    sections = [e.attributes["aria-labelledby"] for e in page.all("section")]
    assert not {"notes", "environment", "digests", "learning-rate"} & set(sections)


@pytest.mark.parametrize("count", [1, 60])
def test_predictions_that_are_not_finite_are_left_out(cases: dict[str, Case], count: int) -> None:
    case = cases["diverged"]
    predictions = case.evaluation.predictions.copy()
    predictions[:count, 1] = np.inf
    evaluation = dataclasses.replace(case.evaluation, predictions=predictions)
    subject = Subject(case.run, case.model, evaluation, case.samples)
    (section,) = result_sections(subject)
    assert section.text == (f"{count} of 60 predictions are not finite and left out.",)
    assert len(section.blocks) == (7 if count == 1 else 0)


def test_many_classes_and_large_pictures(tmp_path: Path) -> None:
    """The weakest classes are told; noise, which does not compress, keeps the page small."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {i}" for i in range(60))
    pre = report_runs.Preprocessing(
        "classification", 784, image_shape=(28, 28), class_names=names, indexed_classes=True
    )
    x, y = rng.integers(0, 256, (720, 784), np.uint8), np.arange(720) % 60
    case = report_runs.case(tmp_path / "run", pre, x, y, hidden=(40,))
    case.write()
    rows = case.rows("per-class")[1:-1]
    weakest = sorted(case.evaluation.per_class, key=lambda entry: entry["f1"])[:50]
    assert [row[0] for row in rows] == [entry["class"] for entry in weakest]
    assert not case.section("confusion-matrix").all("table")
    assert case.run.report_path.stat().st_size < 1_000_000


def test_standardized_images_show_their_own_shades(cases: dict[str, Case]) -> None:
    case = cases["one epoch"]
    card = case.section("worst-samples").all("li")[0]
    index = int(card.all("p")[-1].text.split()[-1])
    expected = np.rint(case.raw[120 + index] / 16 * 255).reshape(2, 2, 3)
    np.testing.assert_array_equal(pixels(card.one("img")), expected)


# ---------------------------------------------------------------- files


def test_files_are_listed_with_their_digests(cases: dict[str, Case]) -> None:
    case = cases["hinge"]
    run = case.run
    found = {path for path in run.path.rglob("*") if path.is_file()}
    expected = found - {run.report_path, run.path / ".hidden", run.path / "link"}
    assert len(found) - len(expected) == 3
    rows = case.rows("files")[1:]
    assert [row[0] for row in rows] == sorted(p.relative_to(run.path).as_posix() for p in expected)
    assert "plots/confusion_matrix.svg" in [row[0] for row in rows]
    for name, size, digest in rows:
        content = (run.path / name).read_bytes()
        assert size == f"{len(content):,}"
        assert digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("task", ["image", "regression"])
def test_pictures_of_the_page_are_files_too(cases: dict[str, Case], task: str) -> None:
    case = cases[task]
    outlines = {}
    for path in case.run.plots_path.iterdir():
        root = ElementTree.fromstring(path.read_text())
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}
        outlines[path.stem] = [e.get("d") for e in root.iter("{http://www.w3.org/2000/svg}path")]
    pictures = [svg for svg in case.page.all("svg") if svg.attributes.get("class") != "sketch"]
    shown = [[path.attributes.get("d") for path in svg.all("path")] for svg in pictures]
    outlines.pop("worst_examples", None)  # the page shows these one by one
    assert len(shown) > 3
    assert sorted(shown) == sorted(outlines.values())


REPEAT = """
import sys
import numpy as np
import fastmlp
from fastmlp.report import write_report
assert not {"matplotlib", "jinja2"} & set(sys.modules)
from fastmlp.data import Samples
from fastmlp.experiment.evaluation import evaluate
from fastmlp.experiment.rundir import RunDirectory
run = RunDirectory.open(sys.argv[1])
model = fastmlp.MLP.load(run.last_model)
samples = Samples(**np.load(sys.argv[2]))
evaluation = evaluate(model, samples, threads=1)
write_report(run, model=model, evaluation=evaluation, samples=samples, threads=1)
"""


def test_another_process_writes_the_same_bytes(cases: dict[str, Case], tmp_path: Path) -> None:
    case = cases["image"]
    run = case.run
    case.model.save(run.last_model)
    np.savez(tmp_path / "samples.npz", x=case.samples.x, y=case.samples.y)
    case.write(threads=2, training=None)
    files = [run.report_path, *sorted(run.plots_path.iterdir())]
    first = [path.read_bytes() for path in files]
    for path in files:
        path.unlink()
    command = [sys.executable, "-W", "error", "-c", REPEAT, run.path, tmp_path / "samples.npz"]
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    subprocess.run(command, check=True, env=environment, timeout=60)
    assert [path.read_bytes() for path in files] == first


def test_a_failure_leaves_the_old_report(tmp_path: Path) -> None:
    case = report_runs.regression_case(tmp_path / "run")
    case.run.report_path.write_text("old")
    case.run.plots_path.write_text("in the way")
    with pytest.raises(FileExistsError):
        case.write()
    case.run.plots_path.unlink()
    case.run.config_path.write_text("[network]\nhiden = 3\n")
    with pytest.raises(fastmlp.FormatError, match="hiden"):
        case.write()
    assert case.run.report_path.read_text() == "old"


@pytest.mark.parametrize("package", ["matplotlib", "jinja2"])
def test_a_missing_package_is_named(
    cases: dict[str, Case], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is needed.*fastmlp\[plot\]"):
        cases["table"].write()
