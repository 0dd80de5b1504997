"""Answers for the samples of a request, row by row."""

from __future__ import annotations

import json
import math
from typing import Any

from fastmlp.errors import FormatError
from fastmlp.experiment.bagging import BaggedModel, predictions_of
from fastmlp.experiment.evaluation import has_probabilities
from fastmlp.experiment.serving import Predictions, plain_values
from fastmlp.extras import MissingExtraError
from fastmlp.service.limits import Limits
from fastmlp.service.samples import ORIGIN, Given, Served, read_body, sizes_of
from fastmlp.web.refusal import RequestError

__all__ = ["Predictor"]

Row = dict[str, Any]


class Predictor:
    """A model that answers requests; several threads may call it at the same time.

    Parameters
    ----------
    model : MLP or BaggedModel
    name : str
        Name of the model for users.
    limits : Limits, optional
    unknown_categories : {"ignore", "error"}, optional
        Treatment of names that the training did not have; by default as in the training.
    threads : int, optional
        Worker threads; by default fastmlp chooses.
    """

    def __init__(
        self,
        model: Served,
        name: str,
        *,
        limits: Limits | None = None,
        unknown_categories: str | None = None,
        threads: int | None = None,
    ) -> None:
        self.model = model
        self.name = name
        self.limits = limits or Limits()
        self.has_probabilities = (
            model.has_probabilities if isinstance(model, BaggedModel) else has_probabilities(model)
        )
        self._unknown_categories = unknown_categories
        self._threads = threads

    def answer(self, body: bytes, content_type: str, *, probabilities: bool) -> bytes:
        """Return the answers for a body as JSON: ``{"rows": [...]}``, one object per row.

        "warnings" beside "rows" names keys that may be misspelled, if there are any.

        Parameters
        ----------
        body : bytes
            Samples, see `fastmlp.service.samples.read_body`.
        content_type : str
            The header.
        probabilities : bool
            Whether answers have the probabilities of classes or labels, if the model has them.

        Raises
        ------
        RequestError
            The body cannot be read, or no row of it can be served.
        """
        try:
            given = read_body(self.model, body, content_type, self.limits)
            rows = self._rows(given, probabilities and self.has_probabilities)
        except MissingExtraError as error:
            raise RequestError(501, str(error)) from error
        answer: Row = {"rows": rows}
        if given.notes:
            answer["warnings"] = given.notes
        return json.dumps(answer, allow_nan=False).encode()

    def _rows(self, given: Given, probabilities: bool) -> list[Row]:
        count, outputs = len(given.samples), sizes_of(self.model)[1]
        if probabilities and count * outputs > self.limits.probabilities:
            raise RequestError(
                413,
                f"{ORIGIN}: {count} rows with {outputs} probabilities each must not have more "
                f"than {self.limits.probabilities} in all; send fewer rows, or leave the "
                "probabilities out with ?probabilities=false",
            )
        if len(given.problems) == count:
            row, problem = next(iter(given.problems.items()))
            raise RequestError(422, f"{ORIGIN}: row {row + 1}, {problem}")
        answers = self._predictions(given, probabilities)
        rows = _answers(answers, self.model)
        for row, problem in given.problems.items():
            rows[row] = {"problem": problem}
        return rows

    def _predictions(self, given: Given, probabilities: bool) -> Predictions:
        try:
            return predictions_of(
                self.model,
                given.samples,
                probabilities=probabilities,
                unknown_categories=self._unknown_categories,
                threads=self._threads,
            )
        except (FormatError, ValueError) as error:
            raise RequestError(422, "; ".join([str(error), *given.notes])) from error


# ---------------------------------------------------------------- rows of answers


def _answers(answers: Predictions, model: Served) -> list[Row]:
    """Return one object per row: prediction and probabilities, or the problem."""
    names = list(answers.columns)
    predicted = list(zip(*map(plain_values, answers.columns.values()), strict=True))
    if answers.labels is not None:
        rows = _labels(answers, model)
    elif names == ["prediction"]:
        rows = [{"prediction": _finite(value)} for (value,) in predicted]
    else:
        keys = [name.removeprefix("prediction(").removesuffix(")") for name in names]
        rows = [
            {"prediction": dict(zip(keys, map(_finite, values), strict=True))}
            for values in predicted
        ]
    if answers.probabilities is not None:
        keys = [name.removeprefix("p(").removesuffix(")") for name in answers.probabilities]
        shares = zip(*map(plain_values, answers.probabilities.values()), strict=True)
        for row, values in zip(rows, shares, strict=True):
            row["probabilities"] = dict(zip(keys, map(_finite, values), strict=True))
    if answers.problems is None:
        return rows
    return [
        row if problem is None else {"problem": problem}
        for row, problem in zip(rows, answers.problems, strict=True)
    ]


def _labels(answers: Predictions, model: Served) -> list[Row]:
    assert answers.labels is not None
    assert model.preprocessing is not None
    names = model.preprocessing.class_names or ()
    return [
        {"prediction": [name for name, has in zip(names, row, strict=True) if has]}
        for row in answers.labels.tolist()
    ]


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
