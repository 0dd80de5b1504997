"""Learning the schema of a table: which columns are used, what they are, how they are read.

Kinds are found in all rows of the table, because a schema has to read all of them; replacements,
categories and parts of dates are learned from the training rows alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastmlp.data.cells import (
    GROUPS_OF_THREE,
    NUMBER_MISSING,
    PLAIN,
    NumberFormat,
    as_texts,
    is_text,
    listed,
    missing_cells,
    numeric_order,
    read_dates,
    read_numbers,
    trimmed,
    truth_codes,
    truth_names,
)
from fastmlp.data.columns import (
    DATE_PARTS,
    MOST_CATEGORIES,
    CategoryColumn,
    Column,
    DateColumn,
    NumberColumn,
    date_parts,
)
from fastmlp.data.inference import Finding, date_formats, find_kind, number_formats
from fastmlp.data.options import Options
from fastmlp.data.table import Table
from fastmlp.errors import did_you_mean

__all__ = ["Schema", "find_features", "kind_of", "learn_columns", "require_options_fit"]

Indices = NDArray[np.int64]

# An indicator of missing values helps if the training part has at least this share of them.
_INDICATOR_SHARE = 0.005
_INDICATOR_COUNT = 2


@dataclass(frozen=True)
class Schema:
    """Columns of a table as features, the columns that are left out, and the lines about both."""

    columns: tuple[Column, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def require_options_fit(table: Table, options: Options) -> None:
    """Raise ValueError that names all columns of the options that the table does not have."""
    unknown = {n: field for n, field in options.named.items() if n not in table.columns}
    if not unknown:
        return
    (name, field), *others = unknown.items()
    more = f", and {listed(repr(n) for n, _ in others)}" if others else ""
    raise ValueError(
        f"{field} must name columns of {table.origin}, got {name!r}"
        f"{did_you_mean(name, table.columns)}{more} (they are {listed(table.columns)})"
    )


# ---------------------------------------------------------------- kinds


def find_features(table: Table, options: Options, targets: Sequence[str]) -> dict[str, Finding]:
    """Find the kinds of all columns that are neither targets nor weights.

    Parameters
    ----------
    table : Table
        All rows.
    options : Options
        What the user says about the columns.
    targets : sequence of str
        Names of the target columns.

    Returns
    -------
    dict of str to Finding
        In the order of the file; columns that options exclude are "excluded".
    """
    apart = {*targets, options.sample_weight}
    found: dict[str, Finding] = {}
    for name, cells in table.columns.items():
        if name in apart:
            continue
        if options.features and name not in options.features:
            found[name] = Finding("excluded", "is not among the features")
        elif name in options.exclude:
            found[name] = Finding("excluded", "is excluded")
        elif name in options.id:
            found[name] = Finding("identifier", "is an identifier")
        elif name in table.index and name not in options.features:
            found[name] = Finding("identifier", "is the index of the rows")
        else:
            found[name] = kind_of(name, cells, options)
    return _with_consistent_decimals(table, options, found)


def kind_of(name: str, cells: Any, options: Options) -> Finding:
    """Return the kind of a column: what the options say, or else what its cells are."""
    tokens, form = options.missing_token, options.number_format
    forced = options.dates
    if name in options.categorical:
        found = find_kind(name, cells, tokens, form)
        return found if found.kind == "unusable" else replace(found, kind="category")
    if name in options.numeric:
        return _forced_number(name, cells, tokens, form)
    if name in forced:
        return _forced_date(name, cells, tokens, forced[name])
    found = find_kind(name, cells, tokens, form)
    if found.kind == "identifier" and name in options.features:
        # Whoever names a column as a feature wants it, unless it is of no use.
        return replace(found, kind="text" if "text" in found.detail else "number")
    return found


def _forced_number(
    name: str, cells: Any, tokens: tuple[str, ...], form: NumberFormat | None
) -> Finding:
    found = find_kind(name, cells, tokens, form)
    if found.kind == "number" or not is_text(cells):
        return replace(found, kind="number") if cells.dtype.is_numeric() else found
    texts = _distinct(cells, (*tokens, *NUMBER_MISSING))
    plain = not read_numbers(texts, PLAIN, ()).bad.any()
    formats = [PLAIN] if plain else number_formats(texts)
    if len(formats) > 1:
        return found
    return replace(found, kind="number", format=formats[0] if formats else form or PLAIN)


def _forced_date(name: str, cells: Any, tokens: tuple[str, ...], form: str | None) -> Finding:
    found = find_kind(name, cells, tokens)
    if form is not None:
        return replace(found, kind="date", date_format=form)
    if found.kind in ("date", "unclear") or not is_text(cells):
        return found
    formats = date_formats(_distinct(cells, (*tokens, *NUMBER_MISSING)))
    if len(formats) == 1:
        return replace(found, kind="date", date_format=formats[0])
    problem = f'must be read as dates; say in which format: --date "{name}=%d.%m.%Y"'
    return replace(found, kind="unclear", detail=problem)


def _distinct(cells: Any, tokens: tuple[str, ...]) -> Any:
    texts = trimmed(cells).unique(maintain_order=True)
    return texts.filter((texts != "") & ~texts.is_in(list(tokens)))


def _with_consistent_decimals(
    table: Table, options: Options, found: dict[str, Finding]
) -> dict[str, Finding]:
    """Doubt columns such as 1.234 in a file that writes decimal commas in another column."""
    commas = [n for n, f in found.items() if f.kind == "number" and f.format.decimal == ","]
    if not commas or options.number_format is not None:
        return found
    for name, finding in found.items():
        cells = table.columns[name]
        doubtful = finding.kind == "number" and finding.format == PLAIN and is_text(cells)
        if not doubtful or name in options.numeric:
            continue
        texts = _distinct(cells, (*options.missing_token, *NUMBER_MISSING))
        points = texts.filter(texts.str.contains(".", literal=True))
        if len(points) and points.str.contains(GROUPS_OF_THREE).all():
            value = points[0]
            found[name] = replace(
                finding,
                kind="unclear",
                detail=f"writes numbers such as {value!r}, where the point can stand for "
                f"thousands, because {commas[0]!r} has decimal commas; say which with "
                '--decimal "," or --decimal "."',
            )
    return found


# ---------------------------------------------------------------- learning


def learn_columns(
    table: Table,
    options: Options,
    targets: Sequence[str],
    rows: Indices,
    whole: Table | None = None,
) -> Schema:
    """Learn the columns of the features.

    Parameters
    ----------
    table : Table
        All rows, training or not.
    options : Options
        What the user says about the columns.
    targets : sequence of str
        Names of the target columns.
    rows : int64 array
        Positions of the training rows.
    whole : Table, optional
        Table in which kinds are found, if `table` holds a part of its rows.

    Raises
    ------
    ValueError
        Columns need a decision of the user, or cannot be used although they were named; the
        message names all of them.
    """
    whole = table if whole is None else whole
    found = find_features(whole, options, targets)
    _refuse_unclear(whole, options, found)
    columns: list[Column] = []
    left_out: list[tuple[str, str]] = []
    for name, finding in found.items():
        if finding.kind == "excluded":
            continue
        column: Column | None = None
        if finding.is_feature:
            column = _learned(table.columns[name][rows], name, finding, options)
            finding = replace(finding, detail="has no value in the training part")
        if column is None:
            left_out.append((name, finding.detail))
        else:
            columns.append(column)
    if not columns:
        reasons = "".join(f"\n  column {name!r} {reason}" for name, reason in left_out[:10])
        raise ValueError(
            f"features must leave a column to predict {listed(targets)} from: {table.origin} has "
            f"the columns {listed(table.columns)}{reasons}"
        )
    return Schema(tuple(columns), tuple(left_out), tuple(_notes(found, columns, left_out)))


def _refuse_unclear(table: Table, options: Options, found: dict[str, Finding]) -> None:
    named = {*options.features, *options.categorical, *options.numeric, *options.dates}
    problems = []
    for name, finding in found.items():
        if finding.kind == "unclear":
            problems.append(f"column {name!r} {finding.detail}")
        elif name in named and finding.kind in ("text", "empty", "unusable"):
            cure = "leave it out"
            if finding.kind == "text":
                cure += f', or take it as it is with --categorical "{name}"'
            problems.append(f"column {name!r} {finding.detail}; {cure}")
        elif name in options.categorical and finding.distinct > MOST_CATEGORIES:
            problems.append(
                f"column {name!r} has {finding.distinct} distinct values, at most "
                f"{MOST_CATEGORIES} can be categories"
            )
    if len(problems) == 1:
        raise ValueError(f"{table.origin}: {problems[0]}")
    if problems:
        lines = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{table.origin}: {len(problems)} columns need a decision:{lines}")


def _learned(cells: Any, name: str, finding: Finding, options: Options) -> Column | None:
    """Return a column as the training cells make it; None if they hold no value."""
    if finding.kind == "number":
        return _learned_number(cells, name, finding, options)
    if finding.kind == "date":
        return _learned_date(cells, name, finding, options)
    return _learned_category(cells, name, finding, options)


def _has_indicator(missing: NDArray[np.bool_], options: Options) -> bool:
    count = int(missing.sum())
    fewest = max(_INDICATOR_COUNT, _INDICATOR_SHARE * len(missing))
    return options.missing == "auto" and count >= fewest


def _learned_number(
    cells: Any, name: str, finding: Finding, options: Options
) -> NumberColumn | None:
    column = NumberColumn(name, finding.format, (*options.missing_token, *NUMBER_MISSING))
    numbers = column.read(cells)
    present = numbers.values[~numbers.missing & ~numbers.bad]
    if len(present) == 0:
        return column if numbers.bad.any() else None
    if options.missing == "error":
        return column
    fill = _typical_number(name, present, options.missing)
    return replace(column, fill=fill, indicator=_has_indicator(numbers.missing, options))


def _typical_number(name: str, present: NDArray[np.float64], how: str) -> float:
    with np.errstate(over="ignore"):
        if how == "mean":
            typical = present.mean()
        elif how == "most_frequent":
            values, counts = np.unique(present, return_counts=True)
            typical = values[np.argmax(counts)]
        else:
            typical = np.median(present)
    if not np.isfinite(typical):
        raise ValueError(f"column {name!r} holds numbers that are too large for their {how}")
    return float(typical)


def _learned_date(cells: Any, name: str, finding: Finding, options: Options) -> DateColumn | None:
    tokens = (*options.missing_token, *NUMBER_MISSING)
    dates = read_dates(cells, finding.date_format, tokens)
    present = dates.seconds[~dates.missing & ~dates.bad]
    column = DateColumn(name, finding.date_format, missing=tokens)
    if len(present) == 0:
        return column if dates.bad.any() else None
    values = date_parts(present)
    # A part that never varies says nothing, and would be an untrained input later.
    varying = [p for p in DATE_PARTS[1:] if values[p].min() < values[p].max()]
    column = replace(column, parts=(DATE_PARTS[0], *varying))
    if options.missing == "error":
        return column
    fill = float(np.sort(present)[len(present) // 2])
    return replace(column, fill=fill, indicator=_has_indicator(dates.missing, options))


def _learned_category(
    cells: Any, name: str, finding: Finding, options: Options
) -> CategoryColumn | None:
    tokens = options.missing_token
    missing = missing_cells(cells, tokens)
    present = cells.filter(~missing)
    if len(present) == 0:
        return None
    reads = "text" if is_text(cells) or not cells.dtype.is_numeric() else "number"
    categories: tuple[str, ...]
    if finding.kind == "boolean":
        reads, categories = "boolean", _truth_categories(present)
    else:
        categories = numeric_order(as_texts(present).unique().to_list())
    column = CategoryColumn(
        name, categories, reads, tokens, as_code=options.category_inputs == "code"
    )
    if options.missing == "auto":
        return replace(column, missing_level=bool(missing.any()))
    if options.missing == "error":
        return replace(column, refuses_missing=True)
    counts = as_texts(present).value_counts(name="count")
    if reads == "boolean":
        codes = column.codes(present)
        return replace(column, fill=categories[int(2 * codes.sum() > len(codes))])
    most = counts.filter(counts["count"] == counts["count"].max())
    return replace(column, fill=min(most[most.columns[0]].to_list()))


def _truth_categories(present: Any) -> tuple[str, str]:
    """Return the names of false and true as written, if the training part has both."""
    codes = truth_codes(present)
    return truth_names(present) if (codes == 0).any() and (codes == 1).any() else ("false", "true")


# ---------------------------------------------------------------- lines


def _notes(
    found: dict[str, Finding], columns: Sequence[Column], left_out: Sequence[tuple[str, str]]
) -> list[str]:
    notes = []
    if left_out:
        notes.append(f"left out: {listed(f'{name!r} ({reason})' for name, reason in left_out)}")
    formats = [f"{c.name!r} {found[c.name].detail}" for c in columns if _is_formatted(c)]
    if formats:
        notes.append(f"numbers: {listed(formats)}")
    texts = [f"{c.name!r} ({c.levels} values)" for c in columns if isinstance(c, CategoryColumn)]
    if texts:
        notes.append(f"categories: {listed(texts)}")
    dates = [f"{c.name!r} as {', '.join(c.parts)}" for c in columns if isinstance(c, DateColumn)]
    if dates:
        notes.append(f"dates: {listed(dates)}")
    gaps = [f"{c.name!r} {found[c.name].missing}" for c in columns if found[c.name].missing]
    if gaps:
        notes.append(f"missing values: {listed(gaps)}")
    return notes


def _is_formatted(column: Column) -> bool:
    return isinstance(column, NumberColumn) and column.format != PLAIN
