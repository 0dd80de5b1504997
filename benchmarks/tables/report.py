"""Tables from stored results, as markdown.

    python benchmarks/tables/report.py                                       # means and spreads
    python benchmarks/tables/report.py --compare fastmlp realmlp-td          # paired differences
    python benchmarks/tables/report.py results/opponents.jsonl results/ours.jsonl --compare ...

Scores are accuracy or R2, times 100: points. A difference is that of two methods on the same rows,
mean over the seeds that both have; its standard error is the standard deviation of these
differences over the square root of their number. The standard error of the mean difference of all
sets treats the sets as given: it combines the standard errors of the sets.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev

import click
import opponents

import datasets

RESULTS = Path(__file__).parent / "results"
POINTS = {"accuracy": 100, "auc": 100, "r2": 100, "log_loss": 1, "rmse": 1}
MAIN = {"binary": "accuracy", "multiclass": "accuracy", "regression": "r2"}


@dataclass(frozen=True)
class Result:
    """One stored fit."""

    method: str
    table: str
    seed: int
    task: str
    scores: dict[str, float]
    seconds: float

    def score(self, metric: str | None) -> float | None:
        """The score named, or the main one of the task, in points; None if it has none."""
        name = metric or MAIN[self.task]
        return self.scores[name] * POINTS[name] if name in self.scores else None


@dataclass(frozen=True)
class Difference:
    """One method minus another on one table."""

    table: str
    seeds: int
    mean: float
    error: float | None

    @property
    def behind(self) -> bool:
        """Whether the first method is behind by more than a standard error; one seed has none."""
        return self.error is not None and self.mean < -self.error


def read(paths: Iterable[Path], half: datasets.Half) -> list[Result]:
    """Results of one half; of two with the same method, table and seed, the later one."""
    found: dict[tuple[str, str, int], Result] = {}
    for path in paths:
        for text in path.read_text().splitlines():
            line = json.loads(text)
            if "error" in line or line["half"] != half:
                continue
            result = Result(
                line["method"],
                line["table"],
                line["seed"],
                line["task"],
                line["scores"],
                line["fit_seconds"],
            )
            found[result.method, result.table, result.seed] = result
    return list(found.values())


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def markdown(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def overview(results: list[Result], metric: str | None, times: bool) -> str:
    """Tables by methods: mean and standard deviation over the seeds, or median seconds."""
    found = dict.fromkeys(result.method for result in results)
    methods = [m for m in opponents.METHODS if m in found]
    methods += [m for m in found if m not in methods]
    tables = [name for half in datasets.HALVES.values() for name in half]
    rows = []
    for table in tables:
        cells, any_value = [table], False
        for method in methods:
            ours = [r for r in results if (r.table, r.method) == (table, method)]
            values = [r.seconds if times else r.score(metric) for r in ours]
            known = [value for value in values if value is not None]
            any_value |= bool(known)
            note = f" ({len(known)})" if known and len(known) != len(datasets.SEEDS) else ""
            text = f"{mean(known):.1f} s" if times and known else spread(known) if known else ""
            cells.append(text + note)
        if any_value:
            rows.append(cells)
    return markdown(["data", *methods], rows)


def differences(
    results: list[Result], first: str, second: str, metric: str | None
) -> list[Difference]:
    """`first` minus `second` on each table that both have, on the seeds that both have."""
    scores = {(r.method, r.table, r.seed): r.score(metric) for r in results}
    tables = dict.fromkeys(result.table for result in results)
    found = []
    for table in tables:
        pairs = [
            (scores.get((first, table, seed)), scores.get((second, table, seed)))
            for seed in sorted({r.seed for r in results})
        ]
        values = [one - two for one, two in pairs if one is not None and two is not None]
        if values:
            error = stdev(values) / sqrt(len(values)) if len(values) > 1 else None
            found.append(Difference(table, len(values), mean(values), error))
    return found


def comparison(results: list[Result], first: str, second: str, metric: str | None) -> str:
    """Paired differences of two methods, and a line that sums them up."""
    found = differences(results, first, second, metric)
    if not found:
        return f"{first} and {second} have no table and seed in common."
    rows = [
        [
            each.table,
            str(each.seeds),
            f"{each.mean:+.2f}",
            "" if each.error is None else f"{each.error:.2f}",
            "behind" if each.behind else "",
        ]
        for each in found
    ]
    total = mean(each.mean for each in found)
    errors = [each.error for each in found if each.error is not None]
    known = len(errors) == len(found)
    error = f" ± {sqrt(sum(e**2 for e in errors)) / len(found):.2f}" if known else ""
    behind = sum(each.behind for each in found)
    return (
        f"**{first} minus {second}**\n\n"
        + markdown(["data", "seeds", "difference", "standard error", ""], rows)
        + f"\n\nMean difference {total:+.2f}{error} on {len(found)} sets; behind by more"
        f" than a standard error on {behind} of {len(errors)}."
    )


@click.command(help=(__doc__ or "").partition("\n")[0])
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--half", type=click.Choice(["development", "test"]), default="development")
@click.option("--compare", nargs=2, multiple=True, metavar="FIRST SECOND")
@click.option("--metric", type=click.Choice(sorted(POINTS)), help="Default: accuracy and R2.")
@click.option("--times", is_flag=True, help="Mean seconds of a fit instead of scores.")
def main(
    paths: tuple[Path, ...],
    half: datasets.Half,
    compare: tuple[tuple[str, str], ...],
    metric: str | None,
    times: bool,
) -> None:
    results = read(paths or sorted(RESULTS.glob("*.jsonl")), half)
    click.echo(overview(results, metric, times))
    for first, second in compare:
        click.echo()
        click.echo(comparison(results, first, second, metric))


if __name__ == "__main__":
    main()
