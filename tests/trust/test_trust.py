"""The proof that others can run (tests/trust): that it counts, sees and repeats what breaks."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trust import report, runner
from trust.__main__ import SECTIONS, main, sections
from trust.experiment import Experiment, Patch
from trust.worker import TESTS, Worker, environment, named

ALL = [experiment for section in sections(False, []) for experiment in section.experiments]


def experiment(case: str, **more: object) -> Experiment:
    defaults = {"seconds": 5.0, "jobs": 1, "size": 6}
    options = {**defaults, **more}
    return Experiment(
        "x.y",
        "It holds.",
        "tries",
        f"support.trust_cases:{case}",
        "it breaks",
        "support.trust_cases:plant",
        **options,
    )  # type: ignore[arg-type]


# ---------------------------------------------------------------- the runner


def test_tries_are_counted_until_all_are_done():
    result = runner.run(experiment("holds"), 20, seed=1)
    assert (result.tried, result.cases, result.failures, result.whole) == (12, 6, [], True)


def test_failures_have_their_seed_and_the_others_go_on():
    result = runner.run(experiment("breaks_sometimes"), 20, seed=1)
    assert sorted(seed for seed, _ in result.failures) == [0, 3]
    assert result.cases == 6
    command = result.as_json()["failures"][0]["command"]
    assert re.fullmatch(r"PYTHONPATH=tests python -m trust --case x\.y:[03]", command)


@pytest.mark.parametrize(
    ("case", "said"),
    [("dies", "signal SIGSEGV"), ("leaves", "exit code 5"), ("hangs", "no answer within 0.5 s")],
)
def test_the_end_of_a_process_is_a_failure(case, said):
    seconds = 0.5 if case == "hangs" else 5.0
    result = runner.run(experiment(case, size=2, seconds=seconds), 10, seed=1)
    assert result.cases == 2
    assert all(said in what for _, what in result.failures)


def test_too_much_memory_is_a_failure():
    result = runner.run(experiment("eats", headroom=64 << 20, size=8), 20, seed=1)
    assert sorted(seed for seed, _ in result.failures) == [5, 6, 7]
    assert "MemoryError" in result.failures[0][1]


def test_what_a_case_prints_is_no_answer():
    assert runner.run(experiment("prints"), 20, seed=1).tried == 6


def test_a_planted_fault_is_found_and_a_broken_case_proves_nothing():
    assert runner.run(experiment("holds"), 20, seed=1, planted=True).failures
    assert not runner.run(experiment("breaks_sometimes"), 20, seed=1, planted=True).failures


def test_the_same_seed_gives_the_same_cases():
    endless = experiment("holds", size=None)
    first = [next(iter(runner.seeds(endless, 7))) for _ in range(2)]
    assert first[0] == first[1]
    assert next(iter(runner.seeds(endless, 8))) != first[0]


def test_a_worker_that_cannot_start_is_no_finding():
    with pytest.raises(RuntimeError, match="does not start"):
        Worker("support.trust_cases:nothing")


# ---------------------------------------------------------------- the table, the document


def test_the_bound_is_the_rule_of_three():
    assert report.bound(300, 0) == "< 1.0 %"
    assert report.bound(3_000_000, 0) == "< 0.00010 %"
    assert report.bound(40, 2) == "2 of 40"
    assert report.bound(40, 0, whole=True) == "0, all there are"
    assert report.bound(0, 0) == "nothing was tried"


def test_figures_go_between_the_markers(tmp_path):
    results = [runner.run(experiment(case), 20, seed=1).as_json() for case in ("holds", "dies")]
    found = {
        "seed": 1, "date": "2000-01-01", "minutes": 1.0, "failures": 6,
        "machine": report.machine(),
        "sections": [{"name": "x", "title": "Section", "experiments": results}],
    }  # fmt: skip
    report.saved(found, tmp_path / "found.json")
    document = tmp_path / "trust.md"
    document.write_text(f"before\n{report.BEGIN}\nformer figures\n{report.END}\nafter\n")
    report.written(json.loads((tmp_path / "found.json").read_text()), document)
    text = document.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "former figures" not in text
    assert "| It holds. | 12 tries | 0 | 0, all there are | x.y |" in text
    assert "signal SIGSEGV" in text


def test_the_document_has_the_markers_and_names_every_section():
    text = (TESTS.parent / "docs" / "trust.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


# ---------------------------------------------------------------- the experiments


def test_every_experiment_is_complete():
    assert [
        name.split(".")[0] for name in dict.fromkeys(e.name.split(".")[0] for e in ALL)
    ] == list(SECTIONS)
    assert len({e.name for e in ALL}) == len(ALL)
    for one in ALL:
        assert callable(named(one.case)), one.name
        assert one.promise.endswith("."), one.name
        if isinstance(one.plant, Patch):
            places = [p for p in one.plant.places if (TESTS.parent / p[0]).exists()]
            assert any(p[1] in (TESTS.parent / p[0]).read_text() for p in places), one.name
        else:
            assert callable(named(one.plant)), one.name


FAST = [
    one for one in ALL
    if not one.name.startswith(("sanitizers", "faults.run", "faults.strace", "soak"))
    and one.prepare is None
]  # fmt: skip


@pytest.mark.parametrize("one", FAST, ids=lambda one: one.name)
def test_an_experiment_runs(one):
    """That it does what it says; what it finds is the business of the whole proof."""
    missing = one.missing()
    if missing is not None:
        pytest.skip(missing)
    result = runner.run(dataclasses.replace(one, jobs=1), 0.0, seed=1)
    assert result.cases == 1
    assert result.tried >= 1 or result.failures


def test_one_case_again_from_the_command_line():
    done = subprocess.run(
        [sys.executable, "-m", "trust", "--case", "fuzz.npy:5"],
        env=environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == "ok, 1 tried\n", done.stderr
    assert done.returncode == 0


def test_a_name_that_does_not_exist_is_refused(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["trust", "--only", "nothing"])
    with pytest.raises(SystemExit, match="no such section"):
        main()
    assert Path(TESTS / "trust" / "faults.c").exists()
