"""The directory of an estimator's fit: what is fitted, and checkpoints of each network."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fastmlp.experiment.definitions import has_begun, read_json, write_definition
from fastmlp.experiment.locking import locked

__all__ = ["FitDirectory"]


class FitDirectory:
    """The directory of a fit.

    Parameters
    ----------
    path : pathlib.Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.definition_path = path / "fit.json"

    @property
    def seed(self) -> int | None:
        """The seed of the fit that the directory holds; None if it holds none."""
        if not self.definition_path.is_file():
            return None
        seed = read_json(self.definition_path).get("random_state")
        return seed if isinstance(seed, int) else None

    @contextlib.contextmanager
    def held(self, definition: Mapping[str, Any]) -> Iterator[None]:
        """Begin or continue the fit of a definition; no other process fits there meanwhile.

        Raises
        ------
        DirectoryInUseError
            Another process fits there.
        FormatError
            A file is damaged.
        ValueError
            The directory holds something else; the message names what differs.
        """
        if not has_begun(self.definition_path, definition, "fit"):
            self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path):
            if not has_begun(self.definition_path, definition, "fit"):
                write_definition(self.definition_path, definition)
            yield

    def network(self, number: int) -> Path:
        """Return the directory of a network, counted from 1."""
        return self.path / "networks" / f"{number:03d}"
