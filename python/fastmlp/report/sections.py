"""The sections of a report with figures: training, results, worst samples."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.experiment.evaluation import regression_metrics
from fastmlp.report import figures
from fastmlp.report.page import (
    Block,
    Card,
    Column,
    Gallery,
    Image,
    Section,
    Table,
    count,
    duration,
    number,
    percent,
    png_uri,
)
from fastmlp.report.subject import (
    SourceColumn,
    Subject,
    confused_pairs,
    largest,
    original_inputs,
    source_columns,
)

__all__ = ["data_size_sections", "result_sections", "training_sections", "worst_samples"]

MOST_CLASSES_IN_TABLE = 50
MOST_COUNTED_CLASSES = 25
MOST_PAIRS = 10
MOST_TARGETS = 4
MOST_PICTURES = 24
MOST_ROWS = 15
MOST_FEATURES = 10

Indices = NDArray[np.int64]
Texts = tuple[str, ...]
# Columns about samples, and for each sample one text per column.
Verdicts = tuple[tuple[Column, ...], list[Texts]]


# ---------------------------------------------------------------- training


def training_sections(subject: Subject) -> Iterator[Section]:
    """Yield the sections with the learning curves and the learning rate."""
    records = subject.records
    chosen = subject.result.get("best_epoch") if subject.result.get("selected") == "best" else None
    curves = tuple(
        figures.learning_curves(records, quantity, subject.monitored, chosen)
        for quantity in ("loss", "accuracy")
        if any(record.get(quantity) is not None for record in records)
    )
    text: tuple[str, ...] = () if curves else ("No epoch was completed, so nothing was measured.",)
    if curves and subject.monitored == "test" and "val_loss" in records[-1]:
        text = ("There is no validation part. The curves of the test part chose no epoch.",)
    yield Section("learning-curves", "Learning curves", text, blocks=curves)
    if any(record.get("learning_rate") is not None for record in records):
        picture = figures.learning_rate(records)
        yield Section("learning-rate", "Learning rate", blocks=(picture,))


def data_size_sections(subject: Subject) -> Iterator[Section]:
    """Yield the section about what the run reaches with less data, if that was measured."""
    points = subject.run.learning_curve().get("points") or []
    if not points:
        return
    key = next(key for key in _JUDGED_BY if key in points[-1])
    title = _JUDGED_BY[key]
    write = number if key == "rmse" else percent
    rows = tuple(
        (count(int(point["samples"])), write(point[key]), number(point["loss"]),
         duration(point["seconds"]))
        for point in points
    )  # fmt: skip
    heads = (Column("Training samples", numeric=True), Column(title, numeric=True),
             Column("Loss", numeric=True), Column("Time", numeric=True))  # fmt: skip
    text = (
        f"The same settings, trained on parts of the training samples and measured on the "
        f"{subject.part} part. If the curve still falls or rises at its end, more data may help.",
    )
    blocks: list[Block] = [Table("Results by number of training samples", heads, rows)]
    if len(points) > 1 and all(np.isfinite(point[key]) for point in points):
        blocks.insert(0, figures.data_sizes(points, key, title, write))
    yield Section("data-sizes", "Learning curve by data size", text, blocks=tuple(blocks))


_JUDGED_BY = {"accuracy": "Accuracy", "subset_accuracy": "Subset accuracy", "rmse": "RMSE"}


# ---------------------------------------------------------------- results


def result_sections(subject: Subject) -> Iterator[Section]:
    """Yield the sections with the measures of the model on its samples, by task."""
    if subject.evaluation.task == "regression":
        yield _predictions(subject)
        return
    if subject.evaluation.confusion is not None:
        yield _confusion(subject, subject.evaluation.confusion)
    what = "class" if subject.evaluation.task == "classification" else "label"
    yield _per_class(subject, what)
    if subject.evaluation.confusion is not None:
        yield _confused_pairs(subject, subject.evaluation.confusion)


def _confusion(subject: Subject, matrix: NDArray[Any]) -> Section:
    names = subject.outputs
    blocks: list[Block] = [figures.confusion_matrix(matrix, names)]
    if len(names) <= MOST_COUNTED_CLASSES:
        columns = (Column("True class"), *(Column(name, numeric=True) for name in names))
        rows = tuple(
            (name, *map(count, row)) for name, row in zip(names, matrix.tolist(), strict=True)
        )
        blocks.append(Table("Samples by true and predicted class", columns, rows, collapsed=True))
    return Section("confusion-matrix", "Confusion matrix", blocks=tuple(blocks))


def _per_class(subject: Subject, what: str) -> Section:
    entries = list(zip(subject.outputs, subject.evaluation.per_class or [], strict=True))
    title = f"Precision, recall and F1 of each {what}"
    if len(entries) > MOST_CLASSES_IN_TABLE:
        title = f"The {MOST_CLASSES_IN_TABLE} of {len(entries)} with the lowest F1"
        entries = sorted(entries, key=lambda entry: entry[1]["f1"])[:MOST_CLASSES_IN_TABLE]
    measures = ("precision", "recall", "f1")
    rows = tuple(
        (name, *(percent(entry[measure]) for measure in measures), count(entry["support"]))
        for name, entry in entries
    )
    means = (percent(subject.evaluation.metrics[f"macro_{measure}"]) for measure in measures)
    heads = (what.capitalize(), "Precision", "Recall", "F1", "Samples")
    columns = tuple(Column(head, numeric=i > 0) for i, head in enumerate(heads))
    totals = ("Mean", *means, "")
    plural = "classes" if what == "class" else "labels"
    text = (
        f"Precision: of the samples taken for a {what}, the share that belongs to it. Recall: of "
        f"the samples of a {what}, the share that was found. F1: their harmonic mean. The mean "
        f"counts all {plural} that occur alike.",
    )
    blocks = (Table(title, columns, rows, totals),)
    return Section("per-class", plural.capitalize(), text, blocks=blocks)


def _confused_pairs(subject: Subject, matrix: NDArray[Any]) -> Section:
    y, predicted = subject.samples.y, subject.evaluation.predictions
    pairs = confused_pairs(matrix, y, predicted, subject.losses, MOST_PAIRS)
    if not pairs:
        text = ("No sample was taken for another class.",)
        return Section("confused-pairs", "Most confused pairs", text)
    names = subject.outputs
    examples: list[str | Image] = [subject.place(pair.example) for pair in pairs]
    if subject.is_image:
        pixels = subject.pixels(np.array([pair.example for pair in pairs]))
        examples = [
            Image(
                png_uri(picture),
                f"{subject.part} sample {pair.example}: {names[pair.true]}, "
                f"taken for {names[pair.predicted]}",
            )
            for pair, picture in zip(pairs, pixels, strict=True)
        ]
    rows = tuple(
        (names[p.true], names[p.predicted], count(p.count), percent(p.share), example)
        for p, example in zip(pairs, examples, strict=True)
    )
    columns = (
        Column("True class"), Column("Taken for"), Column("Samples", numeric=True),
        Column("Share of the true class", numeric=True),
        Column("Worst example" if subject.is_image else f"{subject.place_title()} of the worst"),
    )  # fmt: skip
    title = "Pairs of classes by the number of samples confused"
    return Section("confused-pairs", "Most confused pairs", blocks=(Table(title, columns, rows),))


def _predictions(subject: Subject) -> Section:
    truth, predicted = subject.true_values, subject.predicted_values
    names = subject.outputs
    finite = np.isfinite(predicted).all(axis=1)
    text: tuple[str, ...] = ()
    if not finite.all():
        text = (
            f"{count(int((~finite).sum()))} of {count(len(truth))} predictions are not finite and "
            "left out.",
        )
    blocks: list[Block] = []
    for i, name in enumerate(names[:MOST_TARGETS] if finite.any() else ()):
        suffix = "" if len(names) == 1 else f"_{i + 1}"
        values = truth[finite, i], predicted[finite, i]
        blocks += [
            figures.predictions(*values, name, suffix),
            figures.residuals(*values, name, suffix),
            figures.error_histogram(*values, name, suffix),
        ]  # fmt: skip
    if len(names) > 1 and finite.any():
        blocks.append(_targets(truth[finite], predicted[finite], names))
    return Section("predictions", "Predictions", text, blocks=tuple(blocks))


def _targets(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], names: tuple[str, ...]
) -> Table:
    rows = []
    for i, name in enumerate(names):
        measures = regression_metrics(truth[:, i], predicted[:, i])
        rows.append((name, *(number(measures[key]) for key in ("rmse", "mae", "r2"))))
    heads = ("Target", "RMSE", "Mean absolute error", "R\u00b2")
    columns = tuple(Column(head, numeric=i > 0) for i, head in enumerate(heads))
    return Table("Measures of each target, in its units", columns, tuple(rows))


# ---------------------------------------------------------------- worst samples


def worst_samples(subject: Subject) -> Section:
    """Return the section with the samples of the highest loss, the worst first."""
    if subject.is_image:
        rows = largest(subject.losses, MOST_PICTURES)
        return _worst_section(subject, "Worst examples", _worst_gallery(subject, rows))
    rows = largest(subject.losses, MOST_ROWS)
    return _worst_section(subject, "Worst rows", (_worst_table(subject, rows),))


def _worst_section(subject: Subject, title: str, blocks: tuple[Block, ...]) -> Section:
    text = [f"The worst come first. {_about_places(subject)}"]
    if subject.samples.source is not None and subject.samples.source.gaps:
        text.append("A value in parentheses replaces a missing cell.")
    if subject.evaluation.task == "classification" and subject.evaluation.probabilities is not None:
        text.append("P is the probability that the model gives to a class.")
    return Section("worst-samples", title, (" ".join(text),), blocks=blocks)


def _about_places(subject: Subject) -> str:
    source = subject.samples.source
    if source is None:
        return f"Index is the place in the {subject.part} part, counted from 0."
    name = os.path.basename(source.origin) or source.origin
    what = "line" if source.are_lines else "row"
    start = "the header included" if source.are_lines else "counted from 1"
    return f"{what.capitalize()} is the {what} in {name}, {start}."


def _worst_gallery(subject: Subject, rows: Indices) -> tuple[Block, ...]:
    columns, verdicts = _verdicts(subject, rows)
    pixels = subject.pixels(rows)
    cards = []
    for row, picture, verdict in zip(rows.tolist(), pixels, verdicts, strict=True):
        lines = tuple(
            f"{column.title.lower()}: {text}" for column, text in zip(columns, verdict, strict=True)
        )
        alt = f"{subject.part} sample {row}, {lines[0]}, {lines[1]}"
        cards.append(Card(Image(png_uri(picture), alt), (*lines, f"index: {row}")))
    titles = [f"{verdict[0]} \u2192 {verdict[1]}" for verdict in verdicts]
    heading = f"The {len(rows)} {subject.part} samples with the highest loss"
    return Gallery(heading, tuple(cards)), figures.worst_images(pixels, titles, subject.part)


def _worst_table(subject: Subject, rows: Indices) -> Table:
    columns, verdicts = _verdicts(subject, rows)
    features = _strongest(subject)
    values = original_inputs(subject.samples.x[rows], subject.model.preprocessing)
    heads = tuple(Column(f.name, numeric=f.is_numeric) for f in features)
    cells = tuple(
        (subject.place(row), *verdict, *(_cell(subject, f, row, inputs) for f in features))
        for row, verdict, inputs in zip(rows.tolist(), verdicts, values, strict=True)
    )
    total = len(source_columns(values.shape[1], subject.model.preprocessing))
    title = f"The {len(rows)} {subject.part} samples with the highest loss"
    if len(features) < total:
        title += f", with {_which(subject)} {len(features)} of {total} columns"
    return Table(title, (Column(subject.place_title()), *columns, *heads), cells)


def _which(subject: Subject) -> str:
    return "the first" if subject.importance is None else "the most important"


def _cell(subject: Subject, column: SourceColumn, sample: int, inputs: NDArray[Any]) -> str:
    """Return the value of a column that the model reads, in parentheses if it is a replacement."""
    text, source = column.text(inputs), subject.samples.source
    if (
        source is None
        or text == "missing"
        or text.startswith("(")
        or not source.has_gap(column.name, sample)
    ):
        return text
    return f"({text})"


def _strongest(subject: Subject) -> list[SourceColumn]:
    """Return the `MOST_FEATURES` most important data columns, in their order."""
    columns = source_columns(subject.model.layer_sizes[0], subject.model.preprocessing)
    found = subject.importance
    if found is None:
        return columns[:MOST_FEATURES]
    chosen = {found.names[i] for i in found.order[:MOST_FEATURES]}
    return [column for column in columns if column.name in chosen]


# ---------------------------------------------------------------- verdicts


def _verdicts(subject: Subject, rows: Indices) -> Verdicts:
    task = subject.evaluation.task
    if task == "classification":
        return _classes(subject, rows)
    return _labels(subject, rows) if task == "multilabel" else _values(subject, rows)


def _classes(subject: Subject, rows: Indices) -> Verdicts:
    names = subject.outputs
    true, predicted = subject.samples.y[rows], subject.evaluation.predictions[rows]
    named: list[Texts] = [(names[t], names[p]) for t, p in zip(true, predicted, strict=True)]
    probabilities = subject.evaluation.probabilities
    if probabilities is None:
        leads = [(number(lead),) for lead in subject.losses[rows].tolist()]
        return _verdict("Lead of the best wrong score"), _joined(named, leads)
    given = [
        (percent(float(probabilities[row, p])), percent(float(probabilities[row, t])))
        for row, t, p in zip(rows, true, predicted, strict=True)
    ]
    return _verdict("P(predicted)", "P(true)"), _joined(named, given)


def _verdict(*measures: str) -> tuple[Column, ...]:
    return (Column("True"), Column("Predicted"), *(Column(m, numeric=True) for m in measures))


def _joined(left: Sequence[Texts], right: Sequence[Texts]) -> list[Texts]:
    return [(*a, *b) for a, b in zip(left, right, strict=True)]


def _labels(subject: Subject, rows: Indices) -> Verdicts:
    def listed(row: NDArray[Any]) -> str:
        return ", ".join(subject.outputs[i] for i in np.flatnonzero(row > 0.5)) or "none"

    y = subject.samples.y.reshape(len(subject.samples), -1)
    predicted = subject.evaluation.predictions
    listed_pairs: list[Texts] = [(listed(y[row]), listed(predicted[row])) for row in rows]
    losses = [(number(loss),) for loss in subject.losses[rows].tolist()]
    return _verdict("Loss"), _joined(listed_pairs, losses)


def _values(subject: Subject, rows: Indices) -> Verdicts:
    """Return true value, prediction and error of the target with the largest relative error.

    The error is relative to the standard deviation of the target.
    """
    truth, predicted = subject.true_values, subject.predicted_values
    spread = truth.std(axis=0)
    errors = predicted[rows] - truth[rows]
    targets = np.abs(errors / np.where(spread > 0, spread, 1)).argmax(axis=1)
    columns = tuple(Column(title, numeric=True) for title in ("True", "Predicted", "Error"))
    texts: list[Texts] = [
        tuple(number(float(v)) for v in (truth[row, t], predicted[row, t], error[t]))
        for row, t, error in zip(rows, targets, errors, strict=True)
    ]
    if truth.shape[1] == 1:
        return columns, texts
    return (*columns, Column("Of target")), _joined(texts, [(subject.outputs[t],) for t in targets])
