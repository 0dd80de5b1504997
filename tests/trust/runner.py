"""Runs experiments for a given time and counts what came of them."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from trust.experiment import Experiment, Patch
from trust.worker import PLANT, Worker

MOST_FAILURES = 20  # what fails as often is known to fail


@dataclass
class Result:
    """What came of an experiment."""

    experiment: Experiment
    tried: int = 0
    cases: int = 0
    seconds: float = 0.0
    whole: bool = False  # every case there is
    skipped: str | None = None
    failures: list[tuple[int, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        experiment = self.experiment
        return {
            "name": experiment.name,
            "promise": experiment.promise,
            "counted": experiment.counted,
            "tried": self.tried,
            "cases": self.cases,
            "whole": self.whole,
            "seconds": round(self.seconds, 1),
            "skipped": self.skipped,
            "failures": [
                {"seed": seed, "what": what, "command": repeat(experiment, seed)}
                for seed, what in self.failures
            ],
        }


def repeat(experiment: Experiment, seed: int) -> str:
    """The command that does a case again."""
    return f"PYTHONPATH=tests python -m trust --case {experiment.name}:{seed}"


def seeds(experiment: Experiment, seed: int) -> Iterator[int]:
    """Of the cases, in their order: without end, or a permutation of all."""
    source = random.Random(f"{seed}/{experiment.name}")
    if experiment.size is not None:
        yield from source.sample(range(experiment.size), experiment.size)
        return
    while True:
        yield source.getrandbits(32)


def variables_of(experiment: Experiment, planted: bool) -> dict[str, str]:
    """What the processes of an experiment need in their environment; may build."""
    patch = experiment.plant if planted and isinstance(experiment.plant, Patch) else None
    variables: dict[str, str] = {}
    if experiment.prepare is not None:
        variables.update(experiment.prepare(patch))
    elif patch is not None:
        from trust.builds import patched_package

        variables.update(patched_package(patch))
    if planted and isinstance(experiment.plant, str):
        variables[PLANT] = experiment.plant
    return variables


def run(experiment: Experiment, seconds: float, seed: int, *, planted: bool = False) -> Result:
    """Cases until the time is over, all of them are done, or too many have failed."""
    result = Result(experiment)
    result.skipped = experiment.missing()
    if result.skipped is not None:
        return result
    variables = variables_of(experiment, planted)
    began = time.monotonic()
    _Crew(experiment, variables, result, seeds(experiment, seed), began + seconds, planted).run()
    result.seconds = time.monotonic() - began
    result.whole = experiment.size is not None and result.cases == experiment.size
    return result


class _Crew:
    """Threads with a worker each, which share the seeds and the result."""

    def __init__(
        self,
        experiment: Experiment,
        variables: dict[str, str],
        result: Result,
        source: Iterator[int],
        until: float,
        planted: bool,
    ) -> None:
        self._experiment = experiment
        self._variables = variables
        self._result = result
        self._source = source
        self._until = until
        self._planted = planted
        self._lock = threading.Lock()
        self._error: Exception | None = None

    def run(self) -> None:
        jobs = min(self._experiment.jobs, os.cpu_count() or 1)
        threads = [threading.Thread(target=self._work) for _ in range(jobs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._error is not None:
            raise self._error

    def _next(self) -> int | None:
        with self._lock:
            late = time.monotonic() > self._until and self._result.cases > 0
            found = len(self._result.failures)
            if late or found >= (1 if self._planted else MOST_FAILURES):
                return None
            return next(self._source, None)

    def _work(self) -> None:
        try:
            self._serve()
        except Exception as error:  # a thread's own is lost
            self._error = error

    def _serve(self) -> None:
        worker: Worker | None = None
        while (seed := self._next()) is not None:
            if worker is None:
                worker = self._worker()
            answer = worker.ask(seed, self._experiment.seconds)
            with self._lock:
                self._result.cases += 1
                self._result.tried += answer.get("tried", 1)
                if "failed" in answer and not (self._planted and self._fails_anyway(seed)):
                    self._result.failures.append((seed, answer["failed"]))
            if answer.get("dead"):
                worker.close()
                worker = None
        if worker is not None:
            worker.close()

    def _fails_anyway(self, seed: int) -> bool:
        """Whether a case fails without the planted fault, so that it proves nothing."""
        variables = variables_of(self._experiment, planted=False)
        worker = Worker(self._experiment.case, variables, self._experiment.headroom)
        try:
            return "failed" in worker.ask(seed, self._experiment.seconds)
        finally:
            worker.close()

    def _worker(self) -> Worker:
        return Worker(self._experiment.case, self._variables, self._experiment.headroom)
