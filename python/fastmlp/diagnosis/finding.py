"""What a diagnosis finds: a sentence, the numbers in it, and the cure."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from fastmlp.errors import TrainingWarning
from fastmlp.validation import choice, keep

__all__ = ["LEVELS", "Finding", "tell"]

# From what makes a result worthless over what weakens it to what is worth knowing.
LEVELS = ("problem", "warning", "hint")
_PAGE = "docs/findings.md"


@dataclass(frozen=True)
class Finding:
    """One finding about a training, its data or its result.

    Attributes
    ----------
    code : str
        What it is, such as "dead-units"; docs/findings.md has a section of this name.
    level : {"problem", "warning", "hint"}
        A problem makes the result worthless or much worse than it could be, a warning may; a hint
        tells what the result is worth.
    message : str
        One sentence with the numbers.
    cure : str
        What to type: an argument of `fastmlp.MLP` or `MLP.fit`.
    command : str
        The same for the command line.

    Examples
    --------
    >>> from fastmlp.diagnosis import Finding
    >>> found = Finding("few-epochs", "hint", "the loss still falls", "epochs=50", "--epochs 50")
    >>> print(found)
    few-epochs: the loss still falls. Cure: epochs=50 (docs/findings.md#few-epochs)
    """

    code: str
    level: str
    message: str
    cure: str
    command: str

    def __post_init__(self) -> None:
        keep(self, level=choice("level", self.level, LEVELS))

    def __str__(self) -> str:
        return f"{self.code}: {self.message}. Cure: {self.cure} ({self.page})"

    @property
    def page(self) -> str:
        """Where the finding is explained."""
        return f"{_PAGE}#{self.code}"

    def to_json(self) -> dict[str, Any]:
        """Return the entry of result.json, whose cure is that of the command line."""
        entry = asdict(self)
        entry["cure"] = entry.pop("command")
        return {**entry, "page": self.page}


def tell(findings: Iterable[Finding], *, verbose: int, stacklevel: int) -> None:
    """Warn of problems, and print warnings if `verbose` is set; hints are for those who ask."""
    for finding in findings:
        if finding.level == "problem":
            warnings.warn(str(finding), TrainingWarning, stacklevel=stacklevel)
        elif finding.level == "warning" and verbose:
            print(finding, file=sys.stderr, flush=True)
