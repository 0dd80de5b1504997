"""``python -m trust``: all sections, some of them, one case again, or the proof of the proof."""

from __future__ import annotations

import argparse
import datetime
import importlib
import random
import sys
import time
from pathlib import Path
from typing import Any

from trust import report, runner
from trust.experiment import Section
from trust.worker import TESTS, Worker

SECTIONS = ("bits", "sanitizers", "fuzz", "faults", "interrupts", "threads", "memory", "soak")
MINUTES = 25.0
SHORT_MINUTES = 3.0
PROVING_SECONDS = 40.0  # for a planted fault to be found


def sections(short: bool, only: list[str]) -> list[Section]:
    """The chosen sections, each with the chosen experiments."""
    chosen = []
    for name in SECTIONS:
        section: Section = importlib.import_module(f"trust.{name}").SECTION
        wanted = tuple(
            e for e in section.experiments
            if not only or any(e.name == o or e.name.startswith(f"{o}.") for o in only)
        )  # fmt: skip
        if wanted and (section.in_short or not short or only):
            chosen.append(Section(*(section.name, section.title, section.minutes,
                                    section.in_short, wanted)))  # fmt: skip
    if not chosen:
        raise SystemExit(f"no such section or experiment: {', '.join(only)}; see --list")
    return chosen


def run_all(chosen: list[Section], minutes: float, seed: int) -> dict[str, Any]:
    """Run the sections within the minutes; a dict as ``--json`` writes it."""
    total = sum(section.minutes for section in chosen)
    print(f"seed {seed}, {minutes:g} minutes; a case again: --case NAME:SEED", flush=True)
    began = time.monotonic()
    found = []
    for section in chosen:
        print(f"\n{section.title}", flush=True)
        seconds = 60 * minutes * section.minutes / total
        shares = sum(experiment.share for experiment in section.experiments)
        results = []
        for experiment in section.experiments:
            result = runner.run(experiment, seconds * experiment.share / shares, seed).as_json()
            results.append(result)
            print("\n".join([report.experiment_line(result), *report.failure_lines(result)]),
                  flush=True)  # fmt: skip
        found.append({"name": section.name, "title": section.title, "experiments": results})
        print(report.section_line(found[-1]), flush=True)
    failed = sum(len(r["failures"]) for s in found for r in s["experiments"])
    spent = (time.monotonic() - began) / 60
    print(f"\n{failed} failures, {spent:.1f} minutes, seed {seed}", flush=True)
    return {
        "seed": seed,
        "date": datetime.date.today().isoformat(),
        "minutes": round(spent, 1),
        "failures": failed,
        "machine": report.machine(),
        "sections": found,
    }


def prove(chosen: list[Section], seed: int) -> int:
    """Plant each experiment's fault; the number of experiments that stayed green."""
    green = 0
    for section in chosen:
        for experiment in section.experiments:
            result = runner.run(experiment, PROVING_SECONDS, seed, planted=True)
            if result.skipped is not None:
                print(f"skip  {experiment.name:<26} {result.skipped}", flush=True)
                continue
            red = bool(result.failures)
            green += not red
            said = " ".join(result.failures[0][1].split())[:110] if red else "stayed GREEN"
            verdict = "red " if red else "BAD "
            print(f"{verdict}  {experiment.name:<26} {experiment.planted}: {said}", flush=True)
    print(f"{green} planted faults were not found")
    return green


def again(name_and_seed: str) -> int:
    """One case, in a process like those of a whole run."""
    name, _, seed = name_and_seed.rpartition(":")
    (section,) = sections(False, [name])
    (experiment,) = section.experiments
    missing = experiment.missing()
    if missing is not None:
        raise SystemExit(f"{name} cannot run here: {missing}")
    worker = Worker(
        experiment.case, runner.variables_of(experiment, planted=False), experiment.headroom
    )
    try:
        answer = worker.ask(int(seed), experiment.seconds)
    finally:
        worker.close()
    print(f"FAILED: {answer['failed']}" if "failed" in answer else f"ok, {answer['tried']} tried")
    return int("failed" in answer)


def listing(chosen: list[Section]) -> None:
    for section in chosen:
        print(f"{section.name}: {section.title}")
        for experiment in section.experiments:
            print(f"  {experiment.name:<26} {experiment.promise}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m trust", description=__doc__)
    add = parser.add_argument
    add(
        "--short",
        action="store_true",
        help=f"{SHORT_MINUTES:g} minutes, nothing is compiled for it",
    )
    add("--minutes", type=float, help=f"that all sections take together, {MINUTES:g} by default")
    add("--only", action="append", default=[], metavar="NAME", help="a section or an experiment")
    add("--seed", type=int, help="by default a fresh one")
    add("--json", type=Path, metavar="FILE", help="write the results there too")
    add("--prove", action="store_true", help="plant a fault of its kind for each experiment")
    add("--case", metavar="NAME:SEED", help="one case again")
    add("--list", action="store_true", help="the experiments and what they promise")
    add("--write-docs", type=Path, metavar="FILE.json", help="put its figures into docs/trust.md")
    return parser.parse_args()


def main() -> int:
    options = _arguments()
    if options.write_docs is not None:
        import json

        report.written(json.loads(options.write_docs.read_text()), TESTS.parent / "docs/trust.md")
        return 0
    if options.case is not None:
        return again(options.case)
    chosen = sections(options.short, options.only)
    if options.list:
        listing(chosen)
        return 0
    seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    if options.prove:
        return int(prove(chosen, seed) > 0)
    minutes = options.minutes or (SHORT_MINUTES if options.short else MINUTES)
    found = run_all(chosen, minutes, seed)
    if options.json is not None:
        report.saved(found, options.json)
    return int(found["failures"] > 0)


if __name__ == "__main__":
    sys.exit(main())
