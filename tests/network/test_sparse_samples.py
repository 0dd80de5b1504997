"""Sparse matrices of every format, sound or spoiled: the dense result, or an error that names x."""

from __future__ import annotations

import os
import random

import numpy as np
import pytest

import fastmlp
from support.tolerance import assert_same_bits

sparse = pytest.importorskip("scipy.sparse")

SEED = int(os.environ.get("FASTMLP_TEST_SEED") or random.SystemRandom().getrandbits(32))
FORMATS = ["csr", "csc", "coo", "bsr", "dok", "lil", "dia"]
TYPES = ["f4", "f8", "g", "u1", "i1", "i2", "u4", "i8", "?"]
X = np.array([[0, 1.5, 0, 2], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0.5, 4, 0]])


def model(features=4, dtype="float32"):
    return fastmlp.MLP([features, 3, 2], dtype=dtype, activation="tanh")


def compared(matrix, dense, note):
    for dtype in ("float32", "float64"):
        network = model(dense.shape[1], dtype)
        expected = network.forward(np.asarray(dense).astype(dtype))
        np.testing.assert_array_equal(network.forward(matrix), expected, err_msg=str(note))


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("name", FORMATS)
def test_formats_and_types(name, kind):
    numbers = np.random.default_rng([SEED, FORMATS.index(name)])
    for trial in range(40):
        shape = (int(numbers.integers(1, 20)), int(numbers.integers(1, 20)))
        stored = TYPES[numbers.integers(len(TYPES))]
        dense = numbers.integers(0, 100, shape) * (numbers.random(shape) < numbers.choice([0, 0.3]))
        dense = dense.astype(stored)
        matrix = getattr(sparse, f"{name}_{kind}")(dense)
        compared(matrix, dense, (SEED, trial, name, kind, stored))


def hacked(numbers):
    """A CSR matrix made by hand: unsorted, with duplicates, zeros, gaps and spare capacity."""
    rows, features = int(numbers.integers(1, 12)), int(numbers.integers(1, 9))
    counts = numbers.integers(0, 6, rows)
    starts = np.concatenate([[0], np.cumsum(counts)])
    stored, spare = int(starts[-1]), int(numbers.integers(0, 4))
    columns = numbers.integers(0, features, stored + spare)
    # Multiples of 1/4: their sums are exact in any order.
    data = numbers.integers(-8, 9, stored + spare) / 4
    kind = numbers.choice([np.int32, np.int64])
    matrix = sparse.csr_matrix((rows, features))
    matrix.data, matrix.indices, matrix.indptr = data, columns.astype(kind), starts.astype(kind)
    dense = np.zeros((rows, features))
    for row in range(rows):
        for at in range(starts[row], starts[row + 1]):
            dense[row, columns[at]] += data[at]
    return matrix, dense


def test_matrices_made_by_hand():
    for trial in range(300):
        matrix, dense = hacked(np.random.default_rng([SEED, trial]))
        before = matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy()
        compared(matrix, dense, (SEED, trial))
        for old, new in zip(before, (matrix.data, matrix.indices, matrix.indptr), strict=True):
            assert_same_bits(old, new)


def test_a_stale_note_about_the_order_is_not_believed():
    matrix = sparse.csr_matrix(X)
    assert matrix.has_canonical_format
    matrix.indices[:2] = matrix.indices[:2][::-1].copy()
    dense = X.copy()
    dense[0, [1, 3]] = dense[0, [3, 1]]
    compared(matrix, dense, "stale")


def test_a_stale_note_about_duplicates_is_not_believed():
    matrix = sparse.csr_matrix(X)
    assert matrix.has_canonical_format
    matrix.indices[1] = matrix.indices[0]
    dense = X.copy()
    dense[0] = [0, 3.5, 0, 0]
    compared(matrix, dense, "stale")


def csr(**changed):
    matrix = sparse.csr_matrix(X)
    for name, value in changed.items():
        setattr(matrix, name, value)
    return matrix


def spoiled(name, attribute, change):
    matrix = getattr(sparse, f"{name}_matrix")(X)
    array = getattr(matrix, attribute).copy()
    setattr(matrix, attribute, change(array))
    return matrix


def put(at, value):
    def change(array):
        array = array.astype(np.int64)
        array[at] = value
        return array

    return change


def first_is(value):
    return put(0, value)


LIARS = {
    "a column of 2**32 + 1": lambda: spoiled("csr", "indices", first_is(2**32 + 1)),
    "a column of 2**31": lambda: spoiled("csr", "indices", first_is(2**31)),
    "a column beyond the last": lambda: spoiled("csr", "indices", first_is(4)),
    "a negative column": lambda: spoiled("csr", "indices", first_is(-1)),
    "fractions as columns": lambda: spoiled("csr", "indices", lambda a: a.astype(float)),
    "columns in two dimensions": lambda: spoiled("csr", "indices", lambda a: a[:, None]),
    "starts that do not begin with 0": lambda: spoiled("csr", "indptr", first_is(1)),
    "starts that are negative": lambda: spoiled("csr", "indptr", put(1, -5)),
    "starts that fall": lambda: spoiled("csr", "indptr", put(1, 4)),
    "starts beyond the values": lambda: spoiled("csr", "indptr", put(-1, 50)),
    "starts of 2**32": lambda: spoiled("csr", "indptr", put(-1, 2**32)),
    "too few starts": lambda: spoiled("csr", "indptr", lambda a: a[:-1]),
    "too many starts": lambda: spoiled("csr", "indptr", lambda a: np.append(a, a[-1])),
    "starts that are fractions": lambda: spoiled("csr", "indptr", lambda a: a.astype(float)),
    "fewer values than columns": lambda: csr(data=np.ones(2)),
    "fewer columns than values": lambda: csr(indices=np.zeros(2, np.int32)),
    "a row of CSC beyond the last": lambda: spoiled("csc", "indices", first_is(4)),
    "a row of CSC of 2**40": lambda: spoiled("csc", "indices", first_is(2**40)),
    "a negative row of CSC": lambda: spoiled("csc", "indices", first_is(-3)),
    "starts of CSC that fall": lambda: spoiled("csc", "indptr", put(1, 4)),
    "a column of BSR beyond": lambda: spoiled("bsr", "indices", first_is(9)),
    "a row of COO beyond": lambda: spoiled("coo", "row", first_is(4)),
    "a negative column of COO": lambda: spoiled("coo", "col", first_is(-1)),
    "NaN": lambda: sparse.csr_matrix(np.where(X == 2, np.nan, X)),
    "infinity": lambda: sparse.csr_matrix(np.where(X == 2, -np.inf, X)),
    "beyond single precision": lambda: sparse.csr_matrix(X * 1e300),
    "complex": lambda: sparse.csr_matrix(X + 0j),
    "another width": lambda: sparse.csr_matrix(X[:, :3]),
    "no rows": lambda: sparse.csr_matrix((0, 4)),
}


@pytest.mark.parametrize("estimator", [False, True])
@pytest.mark.parametrize("name", LIARS)
def test_spoiled_matrices_are_refused(name, estimator):
    if not estimator:
        network = model()
        for call in (
            lambda x: network.forward(x),
            lambda x: network.predict(x),
            lambda x: network.fit(x, np.array([0, 1, 0, 1]), epochs=1, verbose=0),
        ):
            with pytest.raises((ValueError, TypeError), match=r"\bx\b"):
                call(LIARS[name]())
        return
    pytest.importorskip("sklearn")
    if name in ("NaN", "infinity", "another width", "beyond single precision", "complex"):
        pytest.skip("scikit-learn's own check, or double precision")
    fitted = fastmlp.MLPClassifier(hidden_layer_sizes=(2,), max_iter=1)
    with pytest.raises((ValueError, TypeError), match="X|minimum of 1"):
        fitted.fit(LIARS[name](), np.array([0, 1, 0, 1])[: LIARS[name]().shape[0]])


def test_objects_are_refused():
    matrix = sparse.csr_matrix(X)
    matrix.data = matrix.data.astype(object)
    with pytest.raises(TypeError, match=r"\bx\b"):
        model().forward(matrix)


def test_nothing_is_stored():
    compared(sparse.csr_matrix((5, 4)), np.zeros((5, 4)), "empty")
    compared(sparse.coo_matrix((5, 4)), np.zeros((5, 4)), "empty")


@pytest.mark.parametrize("dtype", [">f4", ">f8", ">i4"])
def test_the_other_byte_order_and_unaligned_parts(dtype):
    matrix = sparse.csr_matrix(X)
    buffer = bytearray(1 + 8 * len(matrix.indices))
    buffer[1:] = matrix.indices.astype(np.int64).tobytes()
    data = matrix.data.astype(dtype)
    matrix.indices = np.frombuffer(buffer, np.int64, offset=1)
    matrix.indptr = matrix.indptr.astype(">i8")
    matrix.data = data
    compared(matrix, sparse.csr_matrix(X).toarray().astype(dtype), dtype)


class Child(sparse.csr_matrix):
    """A subclass."""


def test_subclasses():
    compared(Child(X), X, "subclass")
