"""What an experiment is: a promise, and a function that attacks it once for a given seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Broken", "Experiment", "Patch", "Section", "require"]


class Broken(AssertionError):
    """A promise did not hold."""


def require(holds: bool, what: str) -> None:
    """Raise `Broken` with what is wrong, unless it holds; works under ``python -O`` too."""
    if not holds:
        raise Broken(what)


@dataclass(frozen=True)
class Patch:
    """A fault in the C++ sources: the first of `places`, (file, before, after), that applies."""

    places: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Experiment:
    """One way to attack a promise.

    Attributes
    ----------
    name : str
        Of the section and of the experiment, with a point between them.
    promise : str
        What holds, as a sentence for docs/trust.md.
    counted : str
        What is counted, in the plural.
    case : str
        ``module:function``. The function gets a seed, in a process of its own that may serve
        several seeds, returns how many were tried (None: 1), and raises where the promise broke.
    planted : str
        The fault, in words, for which the experiment must turn red.
    plant : str or Patch
        ``module:function`` that plants it in the process, or a change of the C++ sources.
    size : int or None
        Number of all cases, where they can be enumerated: the seeds are then 0 to size - 1.
    seconds : float
        A case that takes longer hangs.
    headroom : int or None
        Bytes of address space that the process may take beyond what it has when it is warm.
    share : float
        Of the section's time, relative to its other experiments.
    jobs : int
        Processes at a time, where the machine has as many cores.
    missing : callable
        Why the experiment cannot run here, or None.
    prepare : callable
        Gets the patch to apply, or None; returns variables of the environment.
    """

    name: str
    promise: str
    counted: str
    case: str
    planted: str
    plant: str | Patch
    size: int | None = None
    seconds: float = 60.0
    headroom: int | None = None
    share: float = 1.0
    jobs: int = 2
    missing: Callable[[], str | None] = lambda: None
    prepare: Callable[[Patch | None], Mapping[str, str]] | None = None


@dataclass(frozen=True)
class Section:
    """Experiments of one kind.

    Attributes
    ----------
    name, title : str
    minutes : float
        Of the 25 that all sections take together by default; what a build takes comes on top.
    in_short : bool
        Whether the short form has it.
    experiments : tuple of Experiment
    """

    name: str
    title: str
    minutes: float
    in_short: bool
    experiments: tuple[Experiment, ...]
