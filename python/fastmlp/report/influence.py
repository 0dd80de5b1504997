"""The sections of a report about the influence of columns: importance, partial dependence."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fastmlp.experiment.evaluation import has_probabilities
from fastmlp.experiment.importance import Importance
from fastmlp.experiment.partial_dependence import partial_dependence
from fastmlp.report import figures
from fastmlp.report.page import Block, Column, Section, Table, count, number
from fastmlp.report.subject import Subject

__all__ = ["influence_sections"]

MOST_ROWS = 30
MOST_DRAWN = 20
MOST_DEPENDENCES = 4
MOST_OUTPUTS = 5


def influence_sections(subject: Subject) -> Iterator[Section]:
    """Yield importance and partial dependence of the columns; for images, templates of weights."""
    if subject.image_shape is not None:
        yield from _templates(subject)
        return
    found = subject.importance
    if found is None:
        if subject.model.preprocessing is not None:
            text = (
                "The columns, or the parameters, are too many to measure each column while a "
                "report is written; 'fastmlp importance RUN' takes the time.",
            )
            yield Section("importance", "Importance of the columns", text)
        return
    yield _importance(subject, found)
    yield from _dependence(subject, found)


def _templates(subject: Subject) -> Iterator[Section]:
    model = subject.model
    assert subject.image_shape is not None
    if not model.architecture.inputs and model.weights[0].ndim == 2:
        titles = subject.outputs if len(model.layer_sizes) == 2 else None
        picture = figures.weight_templates(model, subject.image_shape, titles)
        yield Section("first-layer", "First layer", blocks=(picture,))


def _importance(subject: Subject, found: Importance) -> Section:
    repeats = found.values.shape[1]
    share = found.metric == "accuracy"
    write = _points if share else number
    what = "percentage points of accuracy" if share else "R\u00b2"
    of = "" if found.samples == len(subject.samples) else f" {count(len(subject.samples))}"
    text = (
        "How much worse the model predicts when the cells of one column are permuted: the loss in "
        f"{what}, mean and standard deviation of {repeats} permutations of "
        f"{count(found.samples)}{of and f' of{of}'} {subject.part} samples. Near 0 the model does "
        "as well without what the column tells; two columns that tell the same can both be near 0.",
    )
    order = found.order
    rows = tuple(
        (found.names[i], write(float(found.means[i])), write(float(found.deviations[i])))
        for i in order[:MOST_ROWS]
    )
    title = "Importance by column"
    if len(order) > MOST_ROWS:
        title = f"The {MOST_ROWS} most important of {len(order)} columns"
    loss = "Loss of accuracy" if share else "Loss of R\u00b2"
    heads = (Column("Column"), Column(loss, numeric=True), Column("Deviation", numeric=True))
    blocks: tuple[Block, ...] = (Table(title, heads, rows, collapsed=True),)
    if np.isfinite(found.values).all():
        blocks = (figures.importance(found, MOST_DRAWN, write), *blocks)
    return Section("importance", "Importance of the columns", text, blocks=blocks)


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _dependence(subject: Subject, found: Importance) -> Iterator[Section]:
    if not np.isfinite(found.means).all():
        return
    names = [found.names[i] for i in found.order[:MOST_DEPENDENCES]]
    dependences = partial_dependence(
        subject.model, subject.samples.x, names, threads=subject.threads
    )
    drawn = [one for one in dependences if len(one.values) > 1 and np.isfinite(one.means).all()]
    if not drawn:
        return
    outputs, quantity, write = _shown(subject)
    names = [subject.outputs[i] for i in outputs]
    means = [one.means[:, outputs] for one in drawn]
    # One scale for all pictures, so that a column without effect looks like one.
    low, high = min(each.min() for each in means), max(each.max() for each in means)
    pictures = tuple(
        figures.partial_dependence(one, each, names, quantity, write, i, (float(low), float(high)))
        for i, (one, each) in enumerate(zip(drawn, means, strict=True), 1)
    )
    text = (
        "The mean prediction when all samples get the same value in one column, and keep all "
        "others. Marks at the bottom are values of the samples; where there are none, the model "
        "was hardly tested. A column that follows from others cannot be judged so.",
    )
    yield Section("partial-dependence", "Partial dependence", text, blocks=pictures)


def _shown(subject: Subject) -> tuple[list[int], str, str]:
    """Return the outputs that are drawn, what they are, and how they are written."""
    evaluation, outputs = subject.evaluation, range(len(subject.outputs))
    if evaluation.task == "regression":
        return [0], f"mean prediction of {subject.outputs[0]}", "number"
    what = "mean probability" if has_probabilities(subject.model) else "share predicted"
    if evaluation.task == "classification" and len(outputs) == 2:
        return [1], f"{what} of {subject.outputs[1]}", "share"
    support = np.array([row["support"] for row in evaluation.per_class or []])
    chosen = np.sort(np.argsort(-support, kind="stable")[:MOST_OUTPUTS]).tolist()
    return chosen, what, "share"
