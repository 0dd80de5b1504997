"""The chapters about training and results: what is told of which task."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fastmlp.report import figures, findings
from fastmlp.report.blocks import Block, Column, Image, Section, Table, count, number, percent
from fastmlp.report.inline import png_uri
from fastmlp.report.subject import Subject

__all__ = ["training_sections", "result_sections", "first_layer"]

MOST_CLASSES_IN_TABLE = 50
MOST_COUNTED_CLASSES = 25
MOST_PAIRS = 10
MOST_TARGETS = 4


# ---------------------------------------------------------------- training


def training_sections(subject: Subject) -> Iterator[Section]:
    """Learning curves and learning rate."""
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


# ---------------------------------------------------------------- results


def result_sections(subject: Subject) -> Iterator[Section]:
    """How good the model is on its samples, in the terms of the task."""
    if subject.evaluation.task == "regression":
        yield _predictions(subject)
        return
    if subject.evaluation.confusion is not None:
        yield _confusion(subject, subject.evaluation.confusion)
    what = "class" if subject.evaluation.task == "classification" else "label"
    yield _per_class(subject, what)
    if subject.evaluation.confusion is not None:
        yield _confused_pairs(subject, subject.evaluation.confusion)


def _confusion(subject: Subject, matrix: NDArray[np.int64]) -> Section:
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


def _confused_pairs(subject: Subject, matrix: NDArray[np.int64]) -> Section:
    y, predicted = subject.samples.y, subject.evaluation.predictions
    pairs = findings.confused_pairs(matrix, y, predicted, subject.losses, MOST_PAIRS)
    if not pairs:
        text = ("No sample was taken for another class.",)
        return Section("confused-pairs", "Most confused pairs", text)
    names = subject.outputs
    examples: list[str | Image] = [str(pair.example) for pair in pairs]
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
        Column("Worst example" if subject.is_image else "Index of the worst", numeric=False),
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
            figures.predictions(*values, name, suffix), figures.residuals(*values, name, suffix)
        ]  # fmt: skip
    if len(names) > 1 and finite.any():
        blocks.append(_targets(truth[finite], predicted[finite], names))
    return Section("predictions", "Predictions", text, blocks=tuple(blocks))


def _targets(
    truth: NDArray[np.float64], predicted: NDArray[np.float64], names: tuple[str, ...]
) -> Table:
    errors = predicted - truth
    squared = np.square(errors).mean(axis=0)
    spread = truth.var(axis=0)
    # A target that does not vary has no variance to explain.
    explained = 1 - np.divide(squared, spread, out=np.ones_like(squared), where=spread > 0)
    measures = (np.sqrt(squared), np.abs(errors).mean(axis=0), explained)
    rows = tuple(
        (name, *(number(float(measure[i])) for measure in measures)) for i, name in enumerate(names)
    )
    heads = ("Target", "RMSE", "Mean absolute error", "R\u00b2")
    columns = tuple(Column(head, numeric=i > 0) for i, head in enumerate(heads))
    return Table("Measures of each target, in its units", columns, rows)


# ---------------------------------------------------------------- first layer


def first_layer(subject: Subject) -> Section:
    """What the network looks at: templates of images, norms of other inputs."""
    model = subject.model
    if subject.image_shape is not None:
        titles = subject.outputs if len(model.layer_sizes) == 2 else None
        picture = figures.weight_templates(model, subject.image_shape, titles)
        return Section("first-layer", "First layer", blocks=(picture,))
    pre = model.preprocessing
    names = None if pre is None else pre.feature_names
    names = names or tuple(f"input {i}" for i in range(model.layer_sizes[0]))
    text: tuple[str, ...] = ()
    if pre is None or pre.input_mean is None:
        text = ("The inputs are not standardised: their units decide these norms, too.",)
    picture = figures.input_weights(findings.input_norms(model), names)
    return Section("first-layer", "First layer", text, blocks=(picture,))
