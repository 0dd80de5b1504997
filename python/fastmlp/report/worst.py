"""The samples that the model gets most wrong, as pictures or as rows of a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.report import figures, findings
from fastmlp.report.blocks import (
    Block,
    Card,
    Column,
    Gallery,
    Image,
    Section,
    Table,
    number,
    percent,
)
from fastmlp.report.inline import png_uri
from fastmlp.report.subject import Subject

__all__ = ["worst_samples"]

MOST_PICTURES = 24
MOST_ROWS = 15
MOST_FEATURES = 10

Indices = NDArray[np.int64]
Texts = tuple[str, ...]
# What is said of samples: titles, and a text for each title and sample.
Verdicts = tuple[tuple[Column, ...], list[Texts]]


def worst_samples(subject: Subject) -> Section:
    """Samples with the highest losses, the worst first."""
    if subject.is_image:
        rows = findings.largest(subject.losses, MOST_PICTURES)
        return _section(subject, "Worst examples", _gallery(subject, rows))
    rows = findings.largest(subject.losses, MOST_ROWS)
    return _section(subject, "Worst rows", (_table(subject, rows),))


def _section(subject: Subject, title: str, blocks: tuple[Block, ...]) -> Section:
    text = [f"The worst come first. Index is the place in the {subject.part} part, counted from 0."]
    if subject.evaluation.task == "classification" and subject.evaluation.probabilities is not None:
        text.append("P is the probability that the model gives to a class.")
    return Section("worst-samples", title, (" ".join(text),), blocks=blocks)


def _gallery(subject: Subject, rows: Indices) -> tuple[Block, ...]:
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


def _table(subject: Subject, rows: Indices) -> Table:
    columns, verdicts = _verdicts(subject, rows)
    features = _strongest(subject)
    values = findings.original_inputs(subject.samples.x[rows], subject.model.preprocessing)
    heads = tuple(Column(f.name, numeric=not f.categories) for f in features)
    cells = tuple(
        (str(row), *verdict, *(feature.text(inputs) for feature in features))
        for row, verdict, inputs in zip(rows.tolist(), verdicts, values, strict=True)
    )
    total = len(findings.source_columns(values.shape[1], subject.model.preprocessing))
    title = f"The {len(rows)} {subject.part} samples with the highest loss"
    if len(features) < total:
        title += f", and the {len(features)} of {total} features with the largest weights"
    return Table(title, (Column("Index"), *columns, *heads), cells)


def _strongest(subject: Subject) -> list[findings.SourceColumn]:
    """Columns of the data to show, in their order: those with the largest weights, if too many."""
    columns = findings.source_columns(subject.model.layer_sizes[0], subject.model.preprocessing)
    norms = findings.input_norms(subject.model)
    strength = np.array([np.linalg.norm(norms[column.inputs]) for column in columns])
    chosen = np.sort(findings.largest(strength, MOST_FEATURES))
    return [columns[i] for i in chosen]


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
    """Of several targets the one that is most wrong, measured by how much the targets vary."""
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
