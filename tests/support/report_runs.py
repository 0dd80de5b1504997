"""Small runs of every task, trained for real, from which reports are written."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Preprocessing, Samples, Table
from fastmlp.data.columns import CategoryColumn, NumberColumn
from fastmlp.experiment.evaluation import Evaluation, evaluate
from fastmlp.experiment.rundir import RunDirectory
from fastmlp.experiment.schema import Config
from fastmlp.report import write_report
from support.html_page import Element, read_page

CLASSES = (
    "<script>alert(1)</script>",
    'b" onerror="alert(2)',
    "$\\frac{",
    "caf\u00e9 \u65e5\u672c",
)


@dataclass
class Case:
    """A run with the data of its report, and the report."""

    run: RunDirectory
    model: fastmlp.MLP
    samples: Samples
    evaluation: Evaluation
    table: Table | None = None
    raw: np.ndarray | None = None
    training: Samples | None = None

    def write(self, **options: Any) -> Element:
        path = write_report(
            self.run,
            model=self.model,
            evaluation=self.evaluation,
            samples=self.samples,
            **({"training": self.training} | options),
        )
        self.page = read_page(path.read_text(encoding="utf-8"))
        return self.page

    def section(self, name: str) -> Element:
        heading = {section.attributes["aria-labelledby"]: section
                   for section in self.page.all("section")}  # fmt: skip
        return heading[name]

    def rows(self, section: str) -> list[list[str]]:
        return self.section(section).all("table")[-1].rows()

    @property
    def tiles(self) -> dict[str, list[str]]:
        """Return value and detail of each key figure."""
        return {
            tile.one("dt").text: [dd.text for dd in tile.all("dd")]
            for tile in self.page.with_class("tile")
        }


def case(
    path: Path,
    pre: Preprocessing,
    x: np.ndarray,
    y: np.ndarray,
    *,
    epochs: int = 3,
    hidden: tuple[int, ...] = (6,),
    source: str = "blobs.csv",
    result: dict[str, Any] | None = None,
    **network: Any,
) -> Case:
    """Train on two thirds of the samples and measure on the last third."""
    run = RunDirectory.create("any", path)
    cut = 2 * len(x) // 3
    losses = {"multilabel": "binary_cross_entropy", "regression": "mse"}
    network = {"loss": losses.get(pre.task, "softmax_cross_entropy"), "seed": 3} | network
    model = fastmlp.MLP([pre.features, *hidden, pre.outputs], **network)
    model.preprocessing = pre
    samples = Samples(x[cut:], y[cut:])
    records: list[dict[str, Any]] = []
    if epochs:
        model.fit(
            x[:cut], y[:cut], epochs=epochs, batch_size=16, verbose=0,
            optimizer=fastmlp.SGD(learning_rate=0.05, momentum=0.5),
            validation_data=(samples.x, samples.y),
            callbacks=[lambda _, record: records.append({**record, "seconds": 0.25})],
        )  # fmt: skip
    config = {"data": {"source": source}, "network": {"hidden": list(hidden)}}
    run.write_config(Config.checked(config | {"training": {"epochs": epochs or 1}}))
    run.write_records(records)
    run.write_json(
        run.environment_path,
        {
            "version": "1", "isa": "avx2", "isas_available": ["avx2", "generic"], "seed": None,
            "started": "2025-03-04T05:06:07+00:00", "data_sha256": {"<i>blobs</i>": "ab" * 32},
        },
    )  # fmt: skip
    evaluation = evaluate(model, samples)
    run.write_json(
        run.result_path,
        {
            "status": "completed", "best_epoch": epochs, "monitor": "val_loss", "selected": "best",
            "evaluated_on": "test", "training_seconds": 0.25 * epochs, "wall_seconds": 200.4,
            "samples_per_second": 12345.6, "notes": ["task: <b>guessed</b>"],
        }
        | (result or {}),
    )  # fmt: skip
    run.last_model.write_bytes(b"model")
    (run.path / ".hidden").write_text("of no interest")
    os.symlink(run.config_path, run.path / "link")
    return Case(run, model, samples, evaluation, training=Samples(x[:cut], y[:cut]))


def _blobs(features: int, classes: int, *, noise: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    y = rng.permutation(np.arange(180) % classes)
    centers = rng.normal(size=(classes, features))
    return centers[y] + noise * rng.normal(size=(180, features)), y


def image_case(path: Path, **options: Any) -> Case:
    """Return a run on gray images of 5 x 4 pixels in four classes with hostile names."""
    x, y = _blobs(20, 4, noise=1.5)
    pixels = np.clip(60 * x + 128, 0, 255).astype(np.uint8)
    pre = Preprocessing(
        "classification", 20, image_shape=(5, 4), class_names=CLASSES, indexed_classes=True
    )
    return case(path, pre, pixels, y, input_scale=1 / 255, **options)


def table_case(path: Path, **options: Any) -> Case:
    """Return a run on two numbers and a category, with the raw table as `case.table`."""
    x, y = _blobs(2, 3, noise=1.0)
    colors = np.array(["red", "green <&>", "blue"], object)[
        np.random.default_rng(1).permutation(180) % 3
    ]
    cells = {"a <b>": 50 + 7 * x[:, 0], "color": colors, "n": x[:, 1]}
    table = Table("t.csv", cells, first_line=2)
    columns = (
        NumberColumn("a <b>"),
        CategoryColumn("color", ("blue", "green <&>", "red")),
        NumberColumn("n"),
    )
    pre = Preprocessing(
        "classification", 5, columns=columns, class_names=("u", "v", "w"),
        target_schema=(CategoryColumn("kind", ("u", "v", "w"), refuses_missing=True),),
        input_mean=np.array([50, 0.3, 0.3, 0.3, 0]), input_scale=np.array([7, 0.5, 0.5, 0.5, 2]),
    )  # fmt: skip
    made = case(path, pre, pre.inputs(table), y, **options)
    made.table = table
    return made


def regression_case(path: Path, targets: int = 1, **options: Any) -> Case:
    """Return a run on standardized targets of very different units."""
    x, _ = _blobs(4, 2, noise=1.0)
    values = np.column_stack([100 + 20 * x[:, 0], 3 + 0.1 * x[:, 1] * x[:, 2]])[:, :targets]
    mean, scale = values.mean(axis=0), values.std(axis=0)
    pre = Preprocessing(
        "regression", 4, target_names=("price ($)", "<u>size</u>")[:targets],
        target_mean=mean, target_scale=scale,
    )  # fmt: skip
    return case(path, pre, x, (values - mean) / scale, **options)


def multilabel_case(path: Path, **options: Any) -> Case:
    """Return a run on three labels, any of which a sample may have."""
    x, _ = _blobs(6, 2, noise=1.0)
    y = (x[:, :3] + 0.8 * x[:, 3:] > 0).astype(np.float64)
    pre = Preprocessing("multilabel", 6, class_names=("sweet", "<em>sour</em>", "hot"))
    return case(path, pre, x, y, **options)


def color_case(path: Path, **options: Any) -> Case:
    """Return a run on colored images of 2 x 2 pixels, with the raw values as `case.raw`."""
    rng = np.random.default_rng(0)
    raw = rng.integers(0, 17, (180, 12)).astype(np.float64)
    mean, scale = np.full(12, 7.0), np.linspace(2, 3, 12)
    pre = Preprocessing(
        "classification", 12, image_shape=(2, 2, 3), class_names=("a", "b"), indexed_classes=True,
        input_mean=mean, input_scale=scale,
    )  # fmt: skip
    made = case(path, pre, (raw - mean) / scale, np.arange(180) % 2, **options)
    made.raw = raw
    return made


_written: dict[str, Case] = {}


def written_cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    """Return a run of each task with its report, and some incomplete runs; made once."""
    if not _written:
        parent = tmp_path_factory.mktemp("runs")
        diverged = {
            "status": "diverged", "message": "loss is NaN in epoch 1, step 3",
            "best_epoch": None, "selected": "last",
        }  # fmt: skip
        made = {
            "image": image_case(parent / "<b>&amp;image"),
            "table": table_case(parent / "<b>&amp;table"),
            "regression": regression_case(parent / "<b>&amp;regression"),
            "multilabel": multilabel_case(parent / "<b>&amp;multilabel"),
            "hinge": table_case(
                parent / "hinge", loss="hinge", hidden=(), result={"selected": "last"}
            ),
            "one epoch": color_case(
                parent / "one", epochs=1, result={"evaluated_on": "validation"}
            ),
            "diverged": regression_case(parent / "bad", targets=2, epochs=0, result=diverged),
        }
        for each in made.values():
            each.write()
        _written.update(made)
    return _written


def pixels(image: Element) -> np.ndarray:
    """Return the pixels that a browser shows for an image whose data are in the page."""
    import PIL.Image

    content = base64.b64decode(image.attributes["src"].partition(",")[2])
    return np.asarray(PIL.Image.open(io.BytesIO(content)))
