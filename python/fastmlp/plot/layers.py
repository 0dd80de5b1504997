"""Places of the nodes of a directed graph, in columns from left to right with few crossings.

The method of K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical
system structures", 1981: columns by the longest path, points where an edge passes a column, orders
by the means of neighbors, and then heights.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

__all__ = ["Edge", "Layers"]

Edge = tuple[Hashable, Hashable, int]
"""Start, end and the number of the operand that the start is of the end."""

_SWEEPS = 8
_NODE, _PASSING = 0.5, 0.15  # half of the height of a row
_OPERANDS_APART = 0.05  # in orders, less than the distance of two nodes


@dataclass(frozen=True)
class Layers:
    """A graph whose nodes, and the points where edges pass a column, have places.

    Attributes
    ----------
    columns : list of lists
        Nodes and points of each column, from above.
    heights : dict of node or point to float
        Distance from the highest one, in rows.
    routes : dict of Edge to list
        Start, points in the columns between, and end of each edge.
    """

    columns: list[list[Hashable]]
    heights: dict[Hashable, float]
    routes: dict[Edge, list[Hashable]]

    @classmethod
    def of(cls, operands: Mapping[Hashable, Sequence[Hashable]]) -> Layers:
        """Place a graph; `operands` has each node after those that it points to."""
        column: dict[Hashable, int] = {}
        for node, before in operands.items():
            column[node] = 1 + max((column[one] for one in before), default=-1)
        columns: list[list[Hashable]] = [[] for _ in range(max(column.values()) + 1)]
        routes: dict[Edge, list[Hashable]] = {}
        for node, before in operands.items():
            columns[column[node]].append(node)
            for number, start in enumerate(before):
                edge = (start, node, number)
                passed = range(column[start] + 1, column[node])
                for place in passed:
                    columns[place].append((edge, place))
                routes[edge] = [start, *((edge, place) for place in passed), node]
        columns = _untangled(columns, routes)
        return cls(columns, _heights(columns, routes, operands), routes)


def _steps(routes: Mapping[Edge, Sequence[Hashable]]) -> list[tuple[Hashable, Hashable, float]]:
    """Return the steps of all edges between neighboring columns, with the place of the operand."""
    found = []
    for (_, end, number), route in routes.items():
        for left, right in pairwise(route):
            found.append((left, right, number * _OPERANDS_APART if right == end else 0.0))
    return found


def _untangled(
    columns: list[list[Hashable]], routes: Mapping[Edge, Sequence[Hashable]]
) -> list[list[Hashable]]:
    """Return the columns in orders with the fewest crossings that sweeps find."""
    steps = _steps(routes)
    best, fewest = columns, _crossings(columns, steps)
    for sweep in range(_SWEEPS):
        if fewest == 0:
            break
        columns = [list(column) for column in columns]
        forward = sweep % 2 == 0
        for index in range(1, len(columns)) if forward else reversed(range(len(columns) - 1)):
            at = _orders(columns)
            near: dict[Hashable, list[float]] = {node: [] for node in columns[index]}
            for left, right, port in steps:
                node, other = (right, left) if forward else (left, right)
                if node in near:
                    near[node].append(at[other] + (0.0 if forward else port))
            columns[index].sort(key=lambda node: _mean(near[node], at[node]))
        crossings = _crossings(columns, steps)
        if crossings < fewest:
            best, fewest = columns, crossings
    return best


def _orders(columns: Sequence[Sequence[Hashable]]) -> dict[Hashable, float]:
    return {node: float(order) for column in columns for order, node in enumerate(column)}


def _mean(numbers: Sequence[float], otherwise: float) -> float:
    return sum(numbers) / len(numbers) if numbers else otherwise


def _crossings(
    columns: Sequence[Sequence[Hashable]], steps: Sequence[tuple[Hashable, Hashable, float]]
) -> int:
    at = _orders(columns)
    index = {node: i for i, column in enumerate(columns) for node in column}
    between: dict[int, list[tuple[float, float]]] = {}
    for left, right, port in steps:
        between.setdefault(index[left], []).append((at[left], at[right] + port))
    return sum(
        (a[0] - b[0]) * (a[1] - b[1]) < 0
        for ends in between.values()
        for a, b in combinations(ends, 2)
    )


def _heights(
    columns: Sequence[Sequence[Hashable]],
    routes: Mapping[Edge, Sequence[Hashable]],
    nodes: Mapping[Hashable, object],
) -> dict[Hashable, float]:
    """Return heights close to those of the neighbors, in the order of each column."""
    heights = _orders(columns)
    before: dict[Hashable, list[Hashable]] = {node: [] for node in heights}
    after: dict[Hashable, list[Hashable]] = {node: [] for node in heights}
    for left, right, _ in _steps(routes):
        before[right].append(left)
        after[left].append(right)
    half = {node: _NODE if node in nodes else _PASSING for node in heights}
    for sweep in range(2 * _SWEEPS):  # the last one goes forward, so that chains are level
        near, order = (before, columns) if sweep % 2 else (after, reversed(columns))
        for column in order:
            wanted = [_mean([heights[one] for one in near[node]], heights[node]) for node in column]
            gaps = [0.0, *(half[a] + half[b] for a, b in pairwise(column))]
            heights |= dict(zip(column, _apart(wanted, gaps), strict=True))
    top = min(heights.values())
    return {node: height - top for node, height in heights.items()}


def _apart(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Return the ascending numbers with these gaps at least that are nearest to the wanted ones.

    Less the gaps they ascend weakly: neighbors in the wrong order get their mean.
    """
    offsets = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    pools: list[tuple[float, int]] = []  # mean and number of neighbors
    for number, offset in zip(wanted, offsets, strict=True):
        pools.append((number - offset, 1))
        while len(pools) > 1 and pools[-2][0] >= pools[-1][0]:
            (second, more), (first, count) = pools.pop(), pools.pop()
            pools.append(((first * count + second * more) / (count + more), count + more))
    means = [mean for mean, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
