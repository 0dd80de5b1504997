"""What came of the experiments: as a table of text, as JSON, as the table of docs/trust.md."""

from __future__ import annotations

import json
import platform
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["BEGIN", "END", "bound", "experiment_line", "failure_lines", "section_line", "written"]

BEGIN = "<!-- figures: begin (python -m trust --write-docs FILE.json) -->"
END = "<!-- figures: end -->"


def bound(tried: int, failed: int, whole: bool = False) -> str:
    """What is known of how often a promise breaks, with 95 % confidence where nothing broke.

    None in N tries: less than 3/N ("rule of three": (1 - p)^N = 0.05 at p = 3/N).
    """
    if tried == 0:
        return "nothing was tried"
    if failed:
        return f"{failed} of {tried:,}"
    if whole:
        return "0, all there are"
    return f"< {_percent(3 / tried)}" if tried > 3 else "too few to say"


def _percent(share: float) -> str:
    digits = 0
    while digits < 6 and round(100 * share, digits) < 10 ** (1 - digits) and digits < 6:
        digits += 1
    return f"{100 * share:.{digits}f} %"


def experiment_line(result: Mapping[str, Any]) -> str:
    name = f"  {result['name']:<26}"
    if result["skipped"] is not None:
        return f"{name} skipped: {result['skipped']}"
    failed = len(result["failures"])
    known = bound(result["tried"], failed, result["whole"])
    verdict = "FAILED" if failed else "ok"
    return (
        f"{name} {result['tried']:>9,} {result['counted']:<22} {result['seconds']:>6.0f} s  "
        f"{verdict:<7} {known}"
    )


def failure_lines(result: Mapping[str, Any], most: int = 3) -> list[str]:
    """The first failures, each with the command that repeats it."""
    lines = []
    for failure in result["failures"][:most]:
        what = textwrap.shorten(failure["what"], 600)
        lines += textwrap.wrap(what, 96, initial_indent="      ", subsequent_indent="      ")
        lines.append(f"        {failure['command']}")
    hidden = len(result["failures"]) - most
    return [*lines, f"      and {hidden} more"] if hidden > 0 else lines


def section_line(section: Mapping[str, Any]) -> str:
    """The end of a section: how often it was tried, and what is known now."""
    done = [result for result in section["experiments"] if result["skipped"] is None]
    tried = sum(result["tried"] for result in done)
    failed = sum(len(result["failures"]) for result in done)
    return f"  {section['name']}: {failed} failures in {tried:,}; rate {bound(tried, failed)}"


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    import os

    import numpy as np

    import fastmlp
    from fastmlp import _core

    return {
        "fastmlp": fastmlp.__version__,
        "cores": os.cpu_count(),
        "isas": list(_core.isas()),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def written(report: Mapping[str, Any], path: Path) -> None:
    """Put the figures of a report between the two markers of a document."""
    text = path.read_text(encoding="utf-8")
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path}: the lines {BEGIN!r} and {END!r} must be there, in this order")
    table = "\n".join(_document(report))
    path.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")


def _document(report: Mapping[str, Any]) -> Iterable[str]:
    on = report["machine"]
    yield (
        f"fastmlp {on['fastmlp']}, {report['date']}, seed {report['seed']}, "
        f"{report['minutes']:.0f} minutes; {on['cores']} cores ({', '.join(on['isas'])}), "
        f"{on['system']}, Python {on['python']}, NumPy {on['numpy']}."
    )
    for section in report["sections"]:
        yield ""
        yield f"**{section['title']}**"
        yield ""
        yield from _rows(section["experiments"])
        failures = [(r["name"], f) for r in section["experiments"] for f in r["failures"][:2]]
        if failures:
            yield ""
        for name, failure in failures:
            what = textwrap.shorten(failure["what"].replace("|", "\\|"), 160)
            yield f"- `{name}:{failure['seed']}` broke: {what}"


def _rows(results: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    yield "| promise | tried | broke | rate, with 95 % confidence | section.experiment |"
    yield "| --- | ---: | ---: | --- | --- |"
    for result in results:
        if result["skipped"] is not None:
            why = f"skipped: {result['skipped']}"
            yield f"| {result['promise']} | - | - | {why} | {result['name']} |"
            continue
        failed = len(result["failures"])
        known = bound(result["tried"], failed, result["whole"])
        tried = f"{result['tried']:,} {result['counted']}"
        yield f"| {result['promise']} | {tried} | {failed} | {known} | {result['name']} |"


def saved(report: Mapping[str, Any], path: Path) -> None:
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
