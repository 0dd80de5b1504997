"""The directory of a cross-validation: what it is, its tables, its result and its models."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fastmlp._files import atomic_write
from fastmlp.errors import FormatError
from fastmlp.experiment.answer_rows import delimited_lines
from fastmlp.experiment.definitions import (
    first_difference,
    has_begun,
    read_json,
    write_definition,
)
from fastmlp.experiment.fold_results import CrossValidation
from fastmlp.experiment.fold_training import fold_model_path
from fastmlp.experiment.folds import Plan
from fastmlp.experiment.locking import locked
from fastmlp.experiment.model_lists import write_list
from fastmlp.experiment.rundir import CROSS_VALIDATION_NAME, MODELS_NAME, clean_json
from fastmlp.experiment.schema import Config
from fastmlp.experiment.settings import read_settings, toml

__all__ = ["CrossValidationDirectory"]


class CrossValidationDirectory:
    """The directory of a cross-validation.

    Attributes
    ----------
    path, definition_path, result_path, config_path, models_path, folds_path : pathlib.Path
    predictions_path, out_of_fold_path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.definition_path = path / CROSS_VALIDATION_NAME
        self.result_path = path / "result.json"
        self.config_path = path / "settings.toml"
        self.predictions_path = path / "predictions.csv"
        self.out_of_fold_path = path / "out-of-fold.csv"
        self.models_path = path / MODELS_NAME
        self.folds_path = path / "folds"

    @property
    def is_finished(self) -> bool:
        """Whether all folds are trained and the result is written."""
        return self.models_path.is_file()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it has besides its definition and the folds."""
        return (
            self.models_path, self.result_path, self.config_path, self.predictions_path,
            self.out_of_fold_path,
        )  # fmt: skip

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Return a context manager that locks the directory against other processes.

        Raises
        ------
        DirectoryInUseError
            Another process holds the lock.
        """
        return locked(self.path)

    def begin(self, plan: Plan) -> None:
        """Make the directory of a plan, or check that it is that of the same one.

        Raises
        ------
        ValueError
            The path is a file, holds other files, or another cross-validation.
        OSError
            The directory cannot be written.
        """
        if has_begun(self.definition_path, plan.definition, "cross-validation"):
            return
        self.path.mkdir(parents=True, exist_ok=True)
        atomic_write(self.config_path, toml(plan.config).encode())
        write_definition(self.definition_path, plan.definition)

    @property
    def epochs(self) -> int | None:
        """The number of epochs that a time limit has set; None if it has set none yet."""
        epochs = self.definition().get("epochs")
        return epochs if isinstance(epochs, int) and epochs > 0 else None

    def set_epochs(self, plan: Plan, epochs: int) -> Plan:
        """Keep the number of epochs that a time limit has set, and return the plan with it."""
        training = plan.config.training.model_copy(update={"epochs": epochs, "time_limit": None})
        changed = replace(plan, config=plan.config.model_copy(update={"training": training}))
        if self.epochs is None:
            atomic_write(self.config_path, toml(changed.config).encode())
            write_definition(self.definition_path, {**plan.definition, "epochs": epochs})
        return changed

    def is_of(self, plan: Plan) -> bool:
        """Return whether the directory holds the cross-validation of a plan."""
        try:
            return self.definition_path.is_file() and not first_difference(
                self.definition(), plan.definition
            )
        except (FormatError, OSError):
            return False

    def config(self) -> Config:
        """Return the settings of each training.

        Raises
        ------
        FormatError
            settings.toml is damaged.
        """
        return Config.checked(read_settings(self.config_path))

    def trained(self) -> int:
        """Return the number of folds that are trained."""
        return sum(1 for _ in self.folds_path.glob("*/model.safetensors"))

    def definition(self) -> dict[str, Any]:
        """Return the content of cross-validation.json."""
        return read_json(self.definition_path)

    def result(self) -> dict[str, Any]:
        """Return the content of result.json; empty if the cross-validation is not finished.

        Raises
        ------
        FormatError
            The file is damaged.
        """
        if not self.result_path.is_file():
            return {}
        content = read_json(self.result_path)
        try:
            _require_result(content)
        except (LookupError, AttributeError, TypeError) as error:
            raise FormatError(
                f"{self.result_path}: is not the result of a cross-validation: {error}"
            ) from None
        return content

    def write(
        self, plan: Plan, result: CrossValidation, test: Mapping[str, Any] | None = None
    ) -> None:
        """Write tables and result, and the list of the models last.

        `test` holds measures of the models together on samples that none of them has seen.
        """
        for path, columns in (
            (self.out_of_fold_path, result.out_of_fold),
            (self.predictions_path, result.predictions),
        ):
            atomic_write(path, "".join(delimited_lines(columns, ",")).encode())
        content = {
            "data": plan.raw.name,
            "samples": len(plan.rows),
            **vars(plan.division),
            "folds_per_repeat": plan.division.folds,
            **result.as_json(),
            "validation": None,
            "test": test,
        }
        if plan.division.chooses_epoch:
            # Scores on samples that have chosen the epochs are too good for an interval.
            content["scores"] = {}
            content["validation"] = {
                name: {"mean": score.mean, "std": score.std}
                for name, score in result.scores.items()
            }
        text = json.dumps(clean_json(content), indent=2, allow_nan=False) + "\n"
        atomic_write(self.result_path, text.encode())
        names = [
            fold_model_path(self.path, fold).relative_to(self.path).as_posix()
            for fold in plan.folds
        ]
        write_list(self.path, names)


def _require_result(content: Mapping[str, Any]) -> None:
    """Raise LookupError, AttributeError or TypeError unless scores can be shown."""
    validation = content.get("validation") or {}
    for scores, names in (
        (content["scores"], ("mean", "std", "low", "high")),
        (validation, ("mean", "std")),
    ):
        for score in scores.values():
            for name in names:
                if not isinstance(score[name], (int, float, type(None))):
                    raise TypeError(f"{name} must be a number, got {score[name]!r}")
    if not isinstance(content.get("test"), (dict, type(None))):
        raise TypeError(f"test must be an object, got {content['test']!r}")
    for name in ("samples", "folds_per_repeat", "repeats"):
        if not isinstance(content[name], int):
            raise TypeError(f"{name} must be an integer, got {content[name]!r}")
    for name in ("group", "time", "task", "data"):
        if not isinstance(content[name], (str, type(None))):
            raise TypeError(f"{name} must be text, got {content[name]!r}")
