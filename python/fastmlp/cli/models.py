"""The MODEL argument of commands: a model file, or the directory of a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fastmlp.cli.errors import CliError, ExitCode

if TYPE_CHECKING:
    from fastmlp.model import MLP

__all__ = ["open_model"]


def open_model(argument: str) -> tuple[MLP, Path]:
    """The model and its file; a run stands for the model that it selected.

    Raises
    ------
    FormatError
        The file is damaged, or the directory holds no run or no model yet.
    CliError
        The file cannot be opened.
    """
    from fastmlp.cli.run_names import resolve_run
    from fastmlp.model import load

    path = resolve_run(argument)
    if path.is_dir():
        from fastmlp.experiment.rundir import RunDirectory

        path = RunDirectory.open(path).selected_model()
    try:
        return load(path), path
    except OSError as error:
        problem = CliError(f"{path}: {error.strerror or error}")
        problem.exit_code = ExitCode.MODEL_FILE
        raise problem from error
