"""Expressions and their graphs: textbooks, differences, every random graph in its columns."""

from __future__ import annotations

import copy
import math
import operator
import pickle
from decimal import Context, Decimal, localcontext
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fastmlp import expressions, plot
from fastmlp.expressions import (
    Expression,
    cos,
    exp,
    log,
    maximum,
    relu,
    sigmoid,
    sin,
    sqrt,
    tanh,
    variable,
)
from fastmlp.plot.layers import Layers

pytest.importorskip("matplotlib")

from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402
from matplotlib.patches import Circle, PathPatch, Rectangle  # noqa: E402

NEURON = {"w0": 2.0, "x0": -1.0, "w1": -3.0, "x1": -2.0, "w2": -3.0}


def weighted_sum():
    w0, x0, w1, x1, w2 = (variable(name, value) for name, value in NEURON.items())
    return w0 * x0 + w1 * x1 + w2


# ---------------------------------------------------------------- numbers


def test_a_neuron_gate_by_gate_as_in_the_course():
    """CS231n, notes on backpropagation: every value and every derivative of the picture."""
    neuron = 1 / (1 + exp(-weighted_sum()))
    nodes = neuron.derivatives()
    gates = [node for node in nodes if node.operands]
    assert [node.operation for node in gates] == ["×", "×", "+", "+", "× −1", "exp", "+ 1", "1/x"]
    values = [node.value for node in gates]
    assert values == pytest.approx([-2, 6, 4, 1, -1, 0.37, 1.37, 0.73], abs=0.005)
    derivatives = [nodes[node] for node in gates]
    expected = [0.20, 0.20, 0.20, 0.20, -0.20, -0.53, -0.53, 1.00]
    assert derivatives == pytest.approx(expected, abs=0.005)
    assert neuron.gradient() == pytest.approx(
        {"w0": -0.20, "x0": 0.39, "w1": -0.39, "x1": -0.59, "w2": 0.20}, abs=0.005
    )


def test_the_sigmoid_as_one_gate_has_the_same_derivatives():
    apart, together = 1 / (1 + exp(-weighted_sum())), sigmoid(weighted_sum())
    assert together.value == pytest.approx(apart.value, rel=1e-15)
    assert together.gradient() == pytest.approx(apart.gradient(), rel=1e-14)
    assert len(apart.nodes()) - len(together.nodes()) == 3


def test_formulas_of_the_course():
    x, y, z = variable("x", -2.0), variable("y", 5.0), variable("z", -4.0)
    product = (x + y) * z
    assert product.value == -12
    assert product.gradient() == {"x": -4, "y": -4, "z": 3}
    square = (x + y) ** 2
    assert (square.value, square.gradient()) == (9, {"x": 6, "y": 6})
    at = 0.7
    wave = sin(1 / variable("x", at) ** 2)
    assert wave.value == pytest.approx(math.sin(1 / at**2), rel=1e-15)
    by_hand = -2 * math.cos(1 / at**2) / at**3
    assert wave.gradient()["x"] == pytest.approx(by_hand, rel=1e-14)


def test_what_is_used_twice_adds_its_derivatives():
    x = variable("x", 3.0)
    assert (x * x).gradient() == {"x": 6}
    assert (x + x + x).gradient() == {"x": 3}
    shared = x * 2
    assert (shared * shared + shared).derivatives()[shared] == 2 * 6 + 1
    assert len((shared * shared + shared).nodes()) == 4


def sine(x):
    return sin(x) if isinstance(x, Expression) else math.sin(x)


# Name, of expressions and perhaps a number, of floats, number of operands.
OPERATIONS = [
    ("+", operator.add, operator.add, 2),
    ("-", operator.sub, operator.sub, 2),
    ("*", operator.mul, operator.mul, 2),
    ("/", lambda a, b: a / (b * b + 1), lambda a, b: a / (b * b + 1), 2),
    ("max", maximum, max, 2),
    ("power", lambda a, b: (a * a + 1) ** sine(b), lambda a, b: (a * a + 1) ** math.sin(b), 2),
    ("exp", lambda a: exp(sin(a)), lambda a: math.exp(math.sin(a)), 1),
    ("log", lambda a: log(1 + a * a), lambda a: math.log(1 + a * a), 1),
    ("sin", sin, math.sin, 1),
    ("cos", cos, math.cos, 1),
    ("tanh", tanh, math.tanh, 1),
    ("sigmoid", sigmoid, lambda a: 1 / (1 + math.exp(-a)), 1),
    ("relu", relu, lambda a: max(a, 0.0), 1),
    ("sqrt", lambda a: sqrt(a * a + 0.5), lambda a: math.sqrt(a * a + 0.5), 1),
    ("number +", lambda a: 1.5 + a, lambda a: 1.5 + a, 1),
    ("- number", lambda a: a - 0.3, lambda a: a - 0.3, 1),
    ("number -", lambda a: 0.3 - a, lambda a: 0.3 - a, 1),
    ("number *", lambda a: -0.7 * a, lambda a: -0.7 * a, 1),
    ("/ number", lambda a: a / 1.7, lambda a: a / 1.7, 1),
    ("number /", lambda a: 1.7 / (a * a + 1), lambda a: 1.7 / (a * a + 1), 1),
    ("square", lambda a: a**2, lambda a: a**2, 1),
    ("** -1", lambda a: (a * a + 1) ** -1, lambda a: (a * a + 1) ** -1, 1),
    ("** 1.5", lambda a: (a * a + 1) ** 1.5, lambda a: (a * a + 1) ** 1.5, 1),
    ("number **", lambda a: 0.6 ** sin(a), lambda a: 0.6 ** math.sin(a), 1),
    ("0 **", lambda a: 0 ** (a * a + 0.3), lambda a: 0 ** (a * a + 0.3), 1),
    ("** of 0", lambda a: (a * 0) ** (a * a + 1.3), lambda a: 0.0, 1),
    ("-", operator.neg, operator.neg, 1),
    ("max number", lambda a: maximum(a, 0.2), lambda a: max(a, 0.2), 1),
    ("number max", lambda a: maximum(0.2, a), lambda a: max(0.2, a), 1),
]
STEP = st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 99), st.integers(0, 99))
VALUES = st.lists(st.floats(-2, 2), min_size=1, max_size=3)


def computed(steps, values, which):
    """The last of a list of operations on what was computed before; and the arguments of kinks.

    Values may be expressions and numbers: operations of numbers alone are those of floats.
    """
    known, kinks = list(values), []
    for number, first, second in steps:
        name, *functions, count = OPERATIONS[number]
        operands = [known[place % len(known)] for place in (first, second)[:count]]
        if which and ("max" in name or name == "relu"):
            kinks.append(operands[0] - (operands[1] if count == 2 else 0.2 * (name != "relu")))
        is_number = not any(isinstance(operand, Expression) for operand in operands)
        known.append(functions[which or is_number](*operands))
    return known[-1], kinks


@settings(max_examples=300, deadline=None, print_blob=True)
@given(steps=st.lists(STEP, min_size=1, max_size=12), values=VALUES, variables=st.integers(1, 3))
def test_random_expressions_against_floats_and_differences(steps, values, variables):
    """The first values are variables, the others numbers: on either side of an operation."""
    value, kinks = computed(steps, values, 1)
    assume(abs(value) < 1e4 and all(abs(kink) > 1e-3 for kink in kinks))
    inputs = [variable(f"x{i}", number) for i, number in enumerate(values[:variables])]
    expression, _ = computed(steps, [*inputs, *values[variables:]], 0)
    assume(isinstance(expression, Expression))
    assert expression.value == pytest.approx(value, rel=1e-12, abs=1e-12)
    slopes = expression.gradient()
    for i, at in enumerate(values[:variables]):
        sides = []
        for h in (2e-4, 1e-4):
            ends = [
                computed(steps, [*values[:i], at + side * h, *values[i + 1 :]], 1)[0]
                for side in (1, -1)
            ]
            sides.append((ends[0] - ends[1]) / (2 * h))
        wide, narrow = sides
        difference = (4 * narrow - wide) / 3
        # Where the function bends sharply, differences are no measure.
        assume(abs(wide - narrow) <= 1e-3 * (1 + abs(narrow)))
        assert slopes.get(f"x{i}", 0.0) == pytest.approx(difference, rel=1e-4, abs=1e-5)


EXACT = Context(prec=60, Emin=-(10**6), Emax=10**6)


def exact_tanh(x):
    small = EXACT.exp(-2 * abs(x))
    return ((1 - small) / (1 + small)).copy_sign(x), 4 * small / (1 + small) ** 2


def exact_sigmoid(x):
    small = EXACT.exp(-x)
    return 1 / (1 + small), small / (1 + small) ** 2


def exact_power(base, exponent):
    return EXACT.power(base, exponent), exponent * EXACT.power(base, exponent - 1)


def exact_exponential(exponent, base):
    value = EXACT.power(base, exponent)
    return value, EXACT.ln(base) * value


# Expression of x and perhaps of a number, the same in 60 digits with the derivative by x.
EXACTLY = {
    "tanh": (lambda x, c: tanh(x), lambda x, c: exact_tanh(x)),
    "sigmoid": (lambda x, c: sigmoid(x), lambda x, c: exact_sigmoid(x)),
    "exp": (lambda x, c: exp(x), lambda x, c: (EXACT.exp(x), EXACT.exp(x))),
    "log": (lambda x, c: log(x), lambda x, c: (EXACT.ln(x), 1 / x)),
    "sqrt": (lambda x, c: sqrt(x), lambda x, c: (EXACT.sqrt(x), 1 / (2 * EXACT.sqrt(x)))),
    "power": (lambda x, c: x**c, exact_power),
    "exponential": (lambda x, c: c**x, exact_exponential),
    "÷ number": (lambda x, c: x / c, lambda x, c: (x / c, 1 / c)),
    "number ÷": (lambda x, c: c / x, lambda x, c: (c / x, -c / x / x)),
    "number max": (lambda x, c: maximum(c, x), lambda x, c: (max(c, x), Decimal(int(x > c)))),
}
NUMBERS = st.floats(-40, 40) | st.floats(-300, 300)


@pytest.mark.parametrize("name", EXACTLY)
@settings(max_examples=200, deadline=None, print_blob=True)
@given(at=NUMBERS, number=NUMBERS)
@example(at=19.0, number=1.0)
@example(at=300.0, number=1.0)
@example(at=-61.0, number=1e-5)
def test_values_and_slopes_have_all_digits(name, at, number):
    """Against 60 digits, wherever value and slope are neither too large nor too small."""
    function, exact = EXACTLY[name]
    at = abs(at) if name in ("log", "sqrt", "power") else at
    number = abs(number) if name == "exponential" else number
    assume(abs(at) > 1e-30 and abs(number) > 1e-30)
    with localcontext(EXACT):
        expected = exact(Decimal(at), Decimal(number))
        limits = Decimal("1e-300"), Decimal("1e307")
        assume(all(part == 0 or limits[0] < abs(part) < limits[1] for part in expected))
    found = function(variable("x", at), number)
    for one, other in zip((found.value, *found.slopes), map(float, expected), strict=True):
        assert one == pytest.approx(other, rel=1e-12 if name == "power" else 4e-15, abs=0)


def test_zero_to_a_power_has_a_value_and_a_slope():
    x, zero = variable("x", 2.0), variable("z", 0.0)
    assert ((0**x).value, (0**x).slopes) == (0, (0,))
    assert (0 ** (x - 1.5)).slopes == (0,)
    assert (zero**x).slopes == (0, 0)


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=12), values=VALUES, data=st.data())
def test_pickled_and_copied_expressions_are_the_same_graph(steps, values, data):
    inputs = [variable(f"x{i}", number) for i, number in enumerate(values)]
    try:
        expression, _ = computed(steps, inputs, 0)
    except ValueError:
        return  # too large for a float
    nodes = expression.nodes()
    chosen = data.draw(st.lists(st.sampled_from(nodes), max_size=4)) + [expression]
    chosen = data.draw(st.permutations(chosen))
    protocol = data.draw(st.integers(0, pickle.HIGHEST_PROTOCOL))
    for copied in (pickle.loads(pickle.dumps(chosen, protocol)), copy.deepcopy(chosen)):
        whole = copied[chosen.index(expression)]
        again = whole.nodes()
        assert [(n.operation, n.value, n.slopes) for n in again] == [
            (n.operation, n.value, n.slopes) for n in nodes
        ]
        places, other = ({n: i for i, n in enumerate(found)} for found in (nodes, again))
        assert [[other[o] for o in n.operands] for n in again] == [
            [places[o] for o in n.operands] for n in nodes
        ]
        # What is used outside the whole is the very node in it.
        assert [other[node] for node in copied] == [places[node] for node in chosen]


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=12), values=VALUES)
def test_nodes_come_once_and_after_their_operands(steps, values):
    inputs = [variable(f"x{i}", number) for i, number in enumerate(values)]
    try:
        expression, _ = computed(steps, inputs, 0)
    except ValueError:
        return  # too large for a float
    nodes = expression.nodes()
    assert len(set(nodes)) == len(nodes)
    assert nodes[-1] is expression
    for place, node in enumerate(nodes):
        assert set(node.operands) <= set(nodes[:place])


def test_long_chains_and_many_paths():
    x = variable("x", 1.0)
    chain = x
    for _ in range(20_000):
        chain = chain + 1e-3
    assert chain.gradient() == {"x": 1}
    for copied in (pickle.loads(pickle.dumps(chain)), copy.deepcopy(chain), copy.copy(chain)):
        assert (copied.value, copied.gradient()) == (chain.value, {"x": 1})
        assert len(copied.nodes()) == 20_001
    doubled = x
    for _ in range(60):
        doubled = doubled + doubled
    assert doubled.gradient() == {"x": 2.0**60}


def test_numbers_of_numpy_on_both_sides():
    x = variable("x", np.float32(3.0))
    for number in (np.float64(2), np.float32(2), np.int64(2)):
        for product in (number * x, x * number):
            assert isinstance(product, Expression)
            assert (product.operation, product.value) == ("× 2", 6)
        assert (number - x).value == -1
        assert (number**x).value == 8


def test_operations_tell_their_numbers():
    x = variable("x", 2.0)
    shown = [x + 1, x - 1, 1 - x, x * -0.5, x / 3, 1 / x, x**2, x**-1, x**0.5, 2**x, -x]
    assert [node.operation for node in shown] == [
        "+ 1", "− 1", "1 − x", "× −0.5", "÷ 3", "1/x", "x²", "x⁻¹", "x^0.5", "2^x", "× −1",
    ]  # fmt: skip


def test_functions_at_their_edges():
    far = variable("x", 800.0)
    assert sigmoid(far).value == 1
    assert sigmoid(-far).value == 0
    assert sigmoid(-far).slopes == (0,)
    zero = variable("x", 0.0)
    assert relu(zero).slopes == (0,)
    assert (zero**2).slopes == (0,)
    assert (zero**0).slopes == (0,)
    assert maximum(zero, variable("y", 0.0)).slopes == (1, 0)
    assert maximum(zero, 0.0).slopes == (1,)
    assert maximum(0.0, zero).slopes == (0,)


REFUSED = {
    "division by zero": (lambda x: 1 / (x - 2), ValueError, "1/x must have a finite value .* at 0"),
    "by a number": (lambda x: x / 0, ValueError, "÷ 0 must .* at 2; choose another number$"),
    "zero to a power": (
        lambda x: 0 ** (x - 2),
        ValueError,
        r"0\^x must .* at 0; choose another nu",
    ),
    "zero to a negative": (lambda x: 0 ** (x - 3), ValueError, r"0\^x must .* at -1; .*variables$"),
    "root": (lambda x: sqrt(x - 3), ValueError, "√ must have .* at -1; choose other values"),
    "slope of a root": (lambda x: sqrt(x - 2), ValueError, "√ must have"),
    "logarithm": (lambda x: log(x - 2), ValueError, "ln must have"),
    "overflow": (lambda x: exp(x * 1000), ValueError, "exp must have .* at 2000"),
    "product": (lambda x: (x * 1e200) * (x * 1e200), ValueError, "× must .* at 2e.200 and 2e.200"),
    "power": (lambda x: (x - 3) ** 0.5, ValueError, "x.0.5 must have"),
    "base": (lambda x: (x - 3) ** x, ValueError, r"\^ must have .* at -1 and 2"),
    "text": (lambda x: x + "1", TypeError, "unsupported operand"),
    "truth": (lambda x: x * True, TypeError, "unsupported operand"),
    "infinite": (lambda x: x + math.inf, ValueError, "the number of an operation must be finite"),
    "function": (lambda x: exp(2.0), TypeError, r"x must be an Expression, got float; variable\("),
    "maximum": (lambda x: maximum(x, "y"), TypeError, "y must be an Expression or a real number"),
    "maximum of": (
        lambda x: maximum("y", x),
        TypeError,
        "x must be an Expression or a real number",
    ),
    "of numbers": (
        lambda x: maximum(1, 2),
        TypeError,
        r"x must be an Expression, got int; variable",
    ),
    "name": (lambda x: variable("", 1), ValueError, "name must have letters, got ''"),
    "no name": (lambda x: variable(1, 1), TypeError, "name must be a string, got 1"),
    "value": (lambda x: variable("x", math.nan), ValueError, "value must be finite, got nan"),
    "same names": (
        lambda x: (x + variable("x", 1)).gradient(),
        ValueError,
        "variables must have different names, got two 'x'",
    ),
    "derivative": (
        lambda x: (x * 0.0 * 1e200 * 1e200).gradient(),
        ValueError,
        "the derivative by .* must be finite, got inf; choose other values",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name):
    function, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        function(variable("x", 2.0))


def test_every_public_name_is_there():
    assert {name for name in expressions.__all__ if not hasattr(expressions, name)} == set()


# ---------------------------------------------------------------- layers


def random_graph(random, nodes):
    """Operands of each node; what nobody uses is an operand of the last one."""
    graph = {}
    for node in range(nodes):
        count = int(random.integers(0, 3)) if node else 0
        graph[node] = [int(one) for one in random.integers(0, node, count)] if node else []
    used = {one for operands in graph.values() for one in operands}
    graph[nodes] = [node for node in range(nodes) if node not in used]
    return graph


@pytest.mark.parametrize("seed", range(30))
def test_random_graphs_go_right_with_room_for_each_node(seed):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    graph = random_graph(random, int(random.integers(2, 25)))
    layers = Layers.of(graph)
    column = {node: i for i, nodes in enumerate(layers.columns) for node in nodes}
    assert set(graph) <= set(column)
    assert set(layers.routes) == {
        (start, node, i) for node, operands in graph.items() for i, start in enumerate(operands)
    }
    for (start, end, _), route in layers.routes.items():
        assert (route[0], route[-1]) == (start, end)
        assert [column[place] for place in route] == list(range(column[start], column[end] + 1))
    for nodes in layers.columns:
        for above, below in zip(nodes, nodes[1:], strict=False):
            gap = layers.heights[below] - layers.heights[above]
            room = sum(0.5 if one in graph else 0.15 for one in (above, below))
            assert gap >= room - 1e-9
    assert min(layers.heights.values()) == 0


def crossings(layers):
    found = 0
    column = {node: i for i, nodes in enumerate(layers.columns) for node in nodes}
    steps = [
        (column[a], layers.heights[a], layers.heights[b])
        for route in layers.routes.values()
        for a, b in zip(route, route[1:], strict=False)
    ]
    for one, other in combinations(steps, 2):
        if one[0] == other[0]:
            found += (one[1] - other[1]) * (one[2] - other[2]) < -1e-12
    return found


@pytest.mark.parametrize("seed", range(20))
def test_trees_have_no_crossings(seed):
    print(f"seed {seed}")
    random = np.random.default_rng(seed)
    roots, graph = list(range(8)), {node: [] for node in range(8)}
    while len(roots) > 1:
        place = int(random.integers(0, len(roots) - 1))
        new = len(graph)
        graph[new] = roots[place : place + 2]
        roots[place : place + 2] = [new]
    assert crossings(Layers.of(graph)) == 0


def test_orders_that_cross_are_untangled():
    graph = {"a": [], "b": [], "c": [], "of c": ["c"], "of b": ["b"], "of a": ["a"]}
    graph["all"] = ["of a", "of b", "of c"]
    assert crossings(Layers.of(graph)) == 0


# ---------------------------------------------------------------- as drawn


def shared():
    x, y, z = variable("x", 3.0), variable("y", -4.0), variable("z", 2.0)
    return x * x + x * y + sin(x) / (y - z) + maximum(z, 0) * 1e-7


def crossed():
    """The layout has y above x, whose edge enters the difference above that of y."""
    x, y = variable("x", 3.0), variable("y", -4.0)
    return (x - y) ** 2 * sin(x) + x


EXPRESSIONS = {
    "crossed": crossed,
    "chain": lambda: sin(1 / variable("x", 0.8) ** 2),
    "gates": lambda: 1 / (1 + exp(-weighted_sum())),
    "shared": shared,
    "variable": lambda: variable("$x_1$", 2.0),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_nodes_show_operation_value_and_derivative(name):
    expression = EXPRESSIONS[name]()
    ax = plot.expression_graph(expression)
    derivatives = expression.derivatives()
    texts = [text.get_text() for text in ax.texts]
    places = [text.get_position() for text in ax.texts]
    assert len(texts) == 3 * len(derivatives)
    for i, (node, derivative) in enumerate(derivatives.items()):
        (x, middle), (x_above, above), (x_below, below) = places[3 * i : 3 * i + 3]
        assert x == x_above == x_below
        assert below < middle < above
        written = [plot.style.short_number(number) for number in (node.value, derivative)]
        assert texts[3 * i + 1 : 3 * i + 3] == [written[0], f"∂ {written[1]}"]
        assert texts[3 * i] == plot.style.plain(node.operation, 8)
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(circles) == sum(bool(node.operands) for node in derivatives)
    assert len(boxes) == sum(not node.operands for node in derivatives)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_edges_lead_from_operands_to_operations(name):
    expression = EXPRESSIONS[name]()
    ax = plot.expression_graph(expression)
    nodes = expression.nodes()
    center = {node: ax.texts[3 * i].get_position() for i, node in enumerate(nodes)}
    ends = [
        (patch.get_path().vertices[0], patch.get_path().vertices[-1])
        for patch in ax.patches
        if isinstance(patch, PathPatch)
    ]
    for node in nodes:
        entries = {}
        for _ in node.operands:
            start, end = ends.pop(0)
            assert np.hypot(*np.subtract(end, center[node])) == pytest.approx(0.3)
            assert end[0] < center[node][0]
            left = [np.hypot(*np.subtract(start, np.add(center[one], (0.3, 0)))) for one in nodes]
            assert min(left) < 1e-9
            entries[end[1] - center[node][1]] = nodes[int(np.argmin(left))]
        assert sorted(map(id, entries.values())) == sorted(map(id, node.operands))
        above = [entries[height] for height in sorted(entries, reverse=True)]
        if node.operation in ("−", "÷"):
            assert above == list(node.operands)
    assert not ends


def test_operands_whose_order_does_not_count_do_not_cross():
    x, y = variable("x", 3.0), variable("y", -4.0)
    expression = (x + y) ** 2 * sin(x) + x
    ax = plot.expression_graph(expression)
    (plus,) = (i for i, node in enumerate(expression.nodes()) if node.operands == (x, y))
    place = ax.texts[3 * plus].get_position()
    ends = [
        (patch.get_path().vertices[0][1], patch.get_path().vertices[-1])
        for patch in ax.patches
        if isinstance(patch, PathPatch)
    ]
    entering = [(start, end[1]) for start, end in ends if abs(end[0] - place[0]) < 0.31
                and abs(end[1] - place[1]) < 0.31]  # fmt: skip
    assert len(entering) == 2
    assert sorted(entering) == sorted(entering, key=lambda ends: ends[1])


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_texts_lie_clear_of_each_other_and_of_the_edges(name):
    ax = plot.expression_graph(EXPRESSIONS[name]())
    FigureCanvasAgg(ax.figure).draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    for text in ax.texts:
        assert text.get_size() >= 7
    for one, other in combinations(boxes, 2):
        assert not one.overlaps(other)
    for box in boxes:
        assert box.x0 >= 0
        assert box.x1 <= ax.figure.bbox.x1
        assert box.y1 <= ax.figure.bbox.y1


def test_dark_axes_have_light_lines_and_numbers():
    ax = Figure(figsize=(7, 4), layout="constrained").add_subplot(facecolor="black")
    ax.xaxis.label.set_color("white")
    plot.expression_graph(shared(), ax=ax)
    edges = [patch for patch in ax.patches if isinstance(patch, PathPatch)]
    assert {patch.get_edgecolor()[:3] for patch in edges} == {(1, 1, 1)}
    for name, value, slope in zip(*[iter(ax.texts)] * 3, strict=True):
        assert (name.get_color(), value.get_color(), slope.get_color()) == (
            "black", "white", "white",
        )  # fmt: skip


def test_graphs_refuse():
    with pytest.raises(TypeError, match="expression must be a fastmlp.expressions.Expression, got"):
        plot.expression_graph(3.0)
    long = variable("x", 1.0)
    for _ in range(60):
        long = long + 1
    with pytest.raises(ValueError, match="at most 60 variables and operations, got 61"):
        plot.expression_graph(long)
