"""Loss kernels: row losses, derivatives, and which rows are right.

Bounds count in units of u, the unit round-off, and follow from the order of the operations.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from fastmlp import _core
from support.loss_cases import (
    BINARY,
    ELEMENTWISE,
    HINGE,
    SCALE,
    SOFTMAX,
    Case,
    as_targets,
    bounds_of,
    elementwise_bounds,
    right_rows,
    sample,
)
from support.strategies import ALL_LOSSES, dtypes, edge, seeds
from support.tolerance import assert_same_bits, assert_within

SHAPES = [(1, 1), (4, 2), (5, 10), (3, 15), (7, 16), (2, 17), (6, 31), (3, 32), (9, 33), (8, 100)]


EXACT = [*(Case(name) for name in ("mse", "half_mse", "mae")), HINGE]
EXACT += [Case("huber", parameter=1.0), Case("quantile", parameter=0.25)]
CASES = [*SOFTMAX, HINGE, *ELEMENTWISE]
cases = pytest.mark.parametrize("case", CASES, ids=str)
softmax_cases = pytest.mark.parametrize("case", SOFTMAX, ids=str)
class_cases = pytest.mark.parametrize("case", [*SOFTMAX, HINGE], ids=str)


# ---------------------------------------------------------------- bounds


# ---------------------------------------------------------------- against the oracle


def test_every_loss_has_a_case():
    assert {case.name for case in CASES} == set(ALL_LOSSES)


@cases
@pytest.mark.parametrize("shape", SHAPES)
def test_loss_and_derivative(case, shape, isa, dtype):
    outputs, targets = sample(case, shape, dtype)
    row_loss, gradient, correct = case.run(outputs, targets, isa=isa)
    assert row_loss.dtype == gradient.dtype == dtype
    assert correct.dtype == np.int32
    np.testing.assert_array_equal(correct, right_rows(case, outputs, targets))
    if case.has_classes and shape[1] == 1:  # one class is certain
        np.testing.assert_array_equal(row_loss, 0)
        np.testing.assert_array_equal(gradient, 0)
        return
    exact_loss, exact_gradient = case.exact(outputs, targets)
    loss_bound, bound = bounds_of(case, outputs, targets)
    assert_within(row_loss, exact_loss, loss_bound, "row loss")
    assert_within(gradient, SCALE * exact_gradient, SCALE * bound, "gradient")


@pytest.mark.parametrize("case", EXACT, ids=str)
def test_whole_numbers_are_exact_up_to_the_kinks(case, isa, dtype):
    """Errors of -3..3 and margins of -2..4, zero and the parameter of huber among them."""
    rng = np.random.default_rng(4)
    outputs, targets = (rng.integers(-1, 3, (200, 33)).astype(dtype) for _ in range(2))
    if case == HINGE:
        targets = rng.integers(0, 33, 200)
    row_loss, gradient, _ = case.run(outputs, targets, isa=isa)
    exact_loss, exact_gradient = case.exact(outputs, targets)
    np.testing.assert_array_equal(row_loss, exact_loss)
    np.testing.assert_array_equal(gradient, exact_gradient * SCALE)


@cases
def test_derivatives_are_central_differences_of_the_losses(case, isa):
    outputs, targets = sample(case, (6, 5), "float64", seed=2)
    step = 1e-6
    gradient = case.run(outputs, targets, scale=1.0, isa=isa)[1]
    numeric = np.empty_like(gradient)
    for j in range(outputs.shape[1]):
        above, below = (
            case.run(outputs + h * (np.arange(5) == j), targets, isa=isa)[0] for h in (step, -step)
        )
        numeric[:, j] = (above - below) / (2 * step)
    assert np.max(np.abs(gradient)) > 0.1
    # Truncation, and the losses' errors of a few u of at most 100.
    np.testing.assert_allclose(gradient, numeric, rtol=1e-8, atol=1e-8)


# ---------------------------------------------------------------- labels


@class_cases
@pytest.mark.parametrize("columns", [10, 33])
def test_each_class_as_label(case, columns, isa, dtype):
    """The gradient is negative at the label and nowhere else: an off-by-one cannot hide."""
    labels = np.arange(columns)[::-1].copy()
    targets = as_targets(case, labels, columns, dtype)
    row_loss, gradient, correct = case.run(np.zeros((columns, columns), dtype), targets, 1.0, isa)
    uniform = columns - 1 if case == HINGE else np.log(columns)
    np.testing.assert_allclose(row_loss, uniform, rtol=8 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(gradient < 0, np.eye(columns, dtype=bool)[::-1])
    np.testing.assert_array_equal(correct, labels == 0)


@class_cases
@pytest.mark.parametrize("columns", [2, 16, 17, 40])
def test_a_row_is_right_whose_first_maximum_is_the_label(case, columns, isa, dtype):
    outputs = np.random.default_rng(2).integers(0, 3, (100, columns)).astype(dtype)
    predicted = outputs.argmax(axis=1)
    for label in range(columns):
        targets = as_targets(case, np.full(100, label), columns, dtype)
        correct = case.run(outputs, targets, isa=isa)[2]
        np.testing.assert_array_equal(correct, predicted == label)


@pytest.mark.parametrize("columns", [2, 16, 17, 40])
def test_of_equal_shares_the_first_is_the_label(columns, isa, dtype):
    case = Case("softmax_cross_entropy", "shares")
    rng = np.random.default_rng(2)
    counts = rng.integers(0, 3, (300, columns))
    shares = ((counts + 1) / (counts + 1).sum(axis=1, keepdims=True)).astype(dtype)
    outputs = rng.integers(0, 2, shares.shape).astype(dtype)
    correct = case.run(outputs, shares, isa=isa)[2]
    expected = outputs.argmax(axis=1) == counts.argmax(axis=1)
    assert 0 < np.count_nonzero(expected) < 300
    np.testing.assert_array_equal(correct, expected)


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 33])
def test_every_output_of_a_row_must_be_on_the_right_side(columns, isa, dtype):
    """One output at a time on the wrong side; an output of 0 and a target of 1/2 say no."""
    targets = np.random.default_rng(2).integers(0, 2, (columns, columns)).astype(dtype)
    outputs = 2 * targets - 1
    np.testing.assert_array_equal(BINARY.run(outputs, targets, isa=isa)[2], 1)
    np.fill_diagonal(outputs, -np.diag(outputs))
    np.testing.assert_array_equal(BINARY.run(outputs, targets, isa=isa)[2], 0)
    no, half = np.zeros((1, columns), dtype), np.full((1, columns), 0.5, dtype)
    for outputs, targets, right in ((no, half, 1), (no + 1, half, 0), (no, no + 1, 0)):
        assert BINARY.run(outputs, targets, isa=isa)[2] == right


# ---------------------------------------------------------------- tails


@softmax_cases
def test_huge_logits_neither_overflow_nor_underflow(case, isa, dtype):
    logits = np.array([[1e4, -1e4, 0], [-1e30, -1e30, -1e30], [1e30, 1e30, 1e30]], dtype)
    targets = as_targets(case, np.array([1, 0, 2]), 3, dtype)
    row_loss, gradient, correct = case.run(logits, targets, 1.0, isa)
    first = 2e4 - case.smoothing * 1e4  # shares of s / 3, 1 - 2 s / 3, s / 3 and gaps 0, 2e4, 1e4
    np.testing.assert_allclose(row_loss, [first, np.log(3), np.log(3)], rtol=1e-6)
    shares = (1 - case.smoothing) * np.eye(3)[[1, 0, 2]] + case.smoothing / 3
    expected = np.array([[1, 0, 0], [1 / 3] * 3, [1 / 3] * 3]) - shares
    np.testing.assert_allclose(gradient, expected, rtol=2e-6)
    np.testing.assert_array_equal(correct, [0, 1, 0])


def test_huge_scores_of_the_hinge(isa, dtype):
    scores = np.array([[1e30, -1e30, 0], [-1e30, 1e30, -1e30]], dtype)
    row_loss, gradient, correct = HINGE.run(scores, np.array([1, 1]), 1.0, isa)
    np.testing.assert_allclose(row_loss, [3e30, 0], rtol=1e-6)
    np.testing.assert_array_equal(gradient, [[1, -2, 1], [0, 0, 0]])
    np.testing.assert_array_equal(correct, [0, 1])


def test_binary_cross_entropy_in_its_tails(isa, dtype):
    """Both sides, sure and right or sure and wrong, relative to the loss itself."""
    far = 80 if dtype == "float32" else 700
    size = np.linspace(0.1, far, 400).astype(dtype)[:, None]
    for side in (-1, 1):
        for target in (0, 1):
            outputs, targets = side * size, np.full_like(size, target)
            row_loss, gradient, correct = BINARY.run(outputs, targets, 1.0, isa)
            exact_loss, exact_gradient = BINARY.exact(outputs, targets)
            loss_bound, bound = elementwise_bounds(BINARY, outputs, targets)
            worst = np.argmax(np.abs(row_loss - exact_loss) - loss_bound)
            assert abs(row_loss[worst] - exact_loss[worst]) <= loss_bound[worst], (
                f"loss of {outputs[worst, 0]} toward {target} is {row_loss[worst]}"
            )
            assert np.all(np.abs(gradient - exact_gradient) <= bound)
            np.testing.assert_array_equal(correct, (side > 0) == target)


def test_huge_logits_of_binary_cross_entropy(isa, dtype):
    outputs = np.array([[1e4], [-1e4], [1e30], [-1e30]], dtype)
    for target in (0, 1):
        wrong = np.sign(outputs) != 2 * target - 1
        row_loss, gradient, _ = BINARY.run(outputs, np.full_like(outputs, target), 1.0, isa)
        np.testing.assert_array_equal(row_loss[:, None], np.where(wrong, np.abs(outputs), 0))
        np.testing.assert_array_equal(gradient, np.where(wrong, np.sign(outputs), 0))


# ---------------------------------------------------------------- what holds for all


@cases
def test_nan_reaches_the_loss(case, isa, dtype):
    """From every place of a row, by the output and by the target, and into no other row."""
    outputs, targets = sample(case, (34, 33), dtype)
    for array in (outputs, targets) if targets.ndim == 2 else (outputs,):
        diagonal = array.diagonal().copy()
        np.fill_diagonal(array, np.nan)
        row_loss = case.run(outputs, targets, isa=isa)[0]
        np.testing.assert_array_equal(np.isnan(row_loss), np.arange(34) < 33)
        np.fill_diagonal(array, diagonal)


@cases
def test_the_scale_is_of_the_gradient_alone(case, isa, dtype):
    """A power of two, so that no rounding differs."""
    outputs, targets = sample(case, (7, 33), dtype)
    row_loss, gradient, _ = case.run(outputs, targets, 1.0, isa)
    scaled_loss, scaled_gradient, _ = case.run(outputs, targets, SCALE, isa)
    assert_same_bits(scaled_loss, row_loss)
    assert_same_bits(scaled_gradient, gradient * outputs.dtype.type(SCALE))


@cases
def test_a_row_does_not_depend_on_the_others(case, isa, dtype):
    outputs, targets = sample(case, (19, 17), dtype)
    together = case.run(outputs, targets, isa=isa)
    for row in range(19):
        alone = case.run(outputs[row : row + 1], targets[row : row + 1], isa=isa)
        for one, whole in zip(alone, together, strict=True):
            assert_same_bits(one, whole[row : row + 1])


@cases
@given(rows=edge, columns=edge, seed=seeds, name=dtypes)
def test_same_bits_on_every_isa(case, rows, columns, seed, name):
    outputs, targets = sample(case, (rows, columns), name, seed)
    expected = case.run(outputs, targets)
    for isa in _core.isas():
        for one, other in zip(case.run(outputs, targets, isa=isa), expected, strict=True):
            assert_same_bits(one, other, isa)


def test_targets_that_do_not_fit_are_refused():
    outputs = np.zeros((2, 3), np.float32)
    labels, values = np.array([0, 3]), np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"classes from 0 to 2, got 3 at index 1"):
        HINGE.run(outputs, labels)
    with pytest.raises(ValueError, match=r"must hold classes"):
        HINGE.run(outputs, values)
    with pytest.raises(ValueError, match=r"must hold values"):
        Case("mse").run(outputs, labels)
    with pytest.raises(ValueError, match=r"logistic"):
        Case("logistic").run(outputs, labels)
