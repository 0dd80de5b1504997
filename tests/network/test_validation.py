"""Bad input is refused with a ValueError or TypeError that names the argument; odd input works."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from support.tolerance import assert_same_bits

X = np.linspace(-1, 1, 24).reshape(6, 4)
Y = np.array([0, 1, 2, 0, 1, 2])
NAN, INF = float("nan"), float("inf")
BAD = (ValueError, TypeError)


def make_model(**options):
    return fastmlp.MLP([4, 5, 3], **{"seed": 0, **options})


def case(value, error, match, label=None):
    return pytest.param(value, error, match, id=label or f"{match}={value!r}"[:60])


# ---------------------------------------------------------------- the constructor


@pytest.mark.parametrize(
    ("sizes", "error"),
    [
        ([], ValueError),
        ([4], ValueError),
        ([0, 3], ValueError),
        ([4, 0, 3], ValueError),
        ([-1, 3], ValueError),
        ([4, 2.5], TypeError),
        ([4, NAN], BAD),
        (["4", 3], TypeError),
        ([True, 3], TypeError),
        ([4, None], TypeError),
        ("43", TypeError),
        (4, TypeError),
        (None, TypeError),
        ([[4, 3]], TypeError),
        ([2**63, 3], BAD),
        ([2**200, 3], BAD),
        ([2**40, 2**40], (ValueError, MemoryError)),
        ([3_037_000_500, 3_037_000_500], (ValueError, MemoryError)),
    ],
)
def test_layer_sizes(sizes, error):
    with pytest.raises(error) as caught:
        fastmlp.MLP(sizes)
    if caught.type is not MemoryError:
        assert "layer_sizes" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "suggestion"),
    [
        ("activation", "rleu", "relu"),
        ("output_activation", "sigmiod", "sigmoid"),
        ("loss", "softmax_crossentropy", "softmax_cross_entropy"),
        ("initializer", "he_norml", "he_normal"),
    ],
)
def test_a_misspelt_name_gets_a_suggestion(name, value, suggestion):
    options = {"loss": "mse"} if name == "output_activation" else {}
    with pytest.raises(ValueError, match=name) as caught:
        make_model(**{**options, name: value})
    message = str(caught.value)
    assert value in message
    assert "did you mean" in message.lower()
    assert suggestion in message


@pytest.mark.parametrize("name", ["activation", "output_activation", "loss", "initializer"])
@pytest.mark.parametrize("value", [3, None, ["rleu"], b"relu", "nothing like it", ""])
def test_names(name, value):
    if value is None and name == "initializer":
        pytest.skip("None may stand for the default")
    with pytest.raises(BAD, match=name):
        make_model(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("dtype", "float16", BAD),
        ("dtype", "int64", BAD),
        ("dtype", "complex128", BAD),
        ("dtype", "no such type", BAD),
        ("dtype", 7, BAD),
        ("seed", -1, ValueError),
        ("seed", 2**64, ValueError),
        ("seed", 1.5, TypeError),
        ("seed", "one", TypeError),
        ("input_scale", NAN, ValueError),
        ("input_scale", INF, ValueError),
        ("input_scale", "1", TypeError),
        ("input_scale", [1.0], TypeError),
    ],
)
def test_other_constructor_arguments(name, value, error):
    with pytest.raises(error, match=name):
        make_model(**{name: value})


# ---------------------------------------------------------------- samples and labels


def spoiled(value, array=X):
    array = array.copy()
    array[-1, -1] = value
    return array


BAD_X = {
    "0-d": (np.float64(1), ValueError),
    "1-d": (X[0], ValueError),
    "3-d": (X[None], ValueError),
    "too few features": (X[:, :3], ValueError),
    "too many features": (np.ones((6, 5)), ValueError),
    "no samples": (X[:0], ValueError),
    "no features": (X[:, :0], ValueError),
    "NaN": (spoiled(NAN), ValueError),
    "infinite": (spoiled(-INF), ValueError),
    "beyond float32": (spoiled(1e300), ValueError),
    "complex": (X + 0j, BAD),
    "object": (spoiled(None, X.astype(object)), BAD),
    "strings": (X.astype(str), BAD),
    "dates": (X.astype("M8[s]"), BAD),
    "ragged list": ([[1, 2, 3, 4], [1, 2]], BAD),
    "None": (None, BAD),
    "string": ("data", BAD),
    "dict": ({"a": 1}, BAD),
}


@pytest.mark.parametrize("name", BAD_X)
@pytest.mark.parametrize(
    "call", ["fit", "evaluate", "loss_and_gradients", "predict", "predict_proba", "forward"]
)
def test_samples(call, name):
    x, error = BAD_X[name]
    model = make_model()
    before = model.weights[0].copy()
    arguments = (x, Y[: len(x)] if name == "no samples" else Y)
    if call == "fit":
        options = {"epochs": 1, "verbose": 0}
    else:
        options = {}
        if not call.startswith(("evaluate", "loss")):
            arguments = (x,)
    with pytest.raises(error, match=r"\b[xX]\b"):
        getattr(model, call)(*arguments, **options)
    assert_same_bits(model.weights[0], before)


BAD_LABELS = {
    "too few": (Y[:5], ValueError),
    "too many": (np.zeros(7, int), ValueError),
    "one class too high": (np.array([0, 1, 2, 0, 1, 3]), ValueError),
    "negative": (np.array([0, 1, 2, 0, 1, -1]), ValueError),
    "huge": (np.array([0, 1, 2, 0, 1, 2**63 - 1]), ValueError),
    "huge unsigned": (np.array([0, 1, 2, 0, 1, 2**64 - 1], np.uint64), ValueError),
    "fractions": (np.array([0, 1, 2, 0, 1, 1.5]), BAD),
    "NaN": (np.array([0, 1, 2, 0, 1, NAN]), BAD),
    "infinite": (np.array([0, 1, 2, 0, 1, INF]), BAD),
    "strings": (np.array(list("abcabc")), BAD),
    "objects": (np.array([0, 1, 2, 0, 1, None], object), BAD),
    "complex": (Y + 1j, BAD),
    "one-hot of too many": (np.eye(4)[Y], ValueError),
    "negative one-hot": (-np.eye(3)[Y], ValueError),
    "0-d": (np.int64(1), ValueError),
    "None": (None, BAD),
}


@pytest.mark.parametrize("name", BAD_LABELS)
@pytest.mark.parametrize("call", ["fit", "evaluate", "loss_and_gradients"])
def test_labels(call, name):
    y, error = BAD_LABELS[name]
    options = {"epochs": 1, "verbose": 0} if call == "fit" else {}
    with pytest.raises(error, match=r"\by\b"):
        getattr(make_model(), call)(X, y, **options)


BAD_TARGETS = {
    "too few": (np.ones((5, 3)), ValueError),
    "too many outputs": (np.ones((6, 4)), ValueError),
    "3-d": (np.ones((6, 3, 1)), ValueError),
    "NaN": (np.full((6, 3), NAN), ValueError),
    "infinite": (np.full((6, 3), INF), ValueError),
    "complex": (np.ones((6, 3), complex), BAD),
    "strings": (np.full((6, 3), "a"), BAD),
    "None": (None, BAD),
}


@pytest.mark.parametrize("name", BAD_TARGETS)
@pytest.mark.parametrize("call", ["fit", "evaluate", "loss_and_gradients"])
def test_targets(call, name):
    y, error = BAD_TARGETS[name]
    options = {"epochs": 1, "verbose": 0} if call == "fit" else {}
    with pytest.raises(error, match=r"\by\b"):
        getattr(make_model(loss="mse"), call)(X, y, **options)


# ---------------------------------------------------------------- settings of fit


@pytest.mark.parametrize(
    "value", [0, -1, 2.5, NAN, "3", True, 2**63, [1], pytest.param(None, id="None")]
)
@pytest.mark.parametrize("name", ["epochs", "batch_size", "threads"])
def test_counts(name, value):
    if name == "threads" and value is None:
        pytest.skip("None means all cores")
    if name == "batch_size" and value == 2**63:
        pytest.skip("a batch larger than the data is the whole data, checked below")
    if name == "epochs" and value is None:
        pytest.skip("None means as many as make 1,000 steps")
    with pytest.raises((*BAD, OverflowError) if value == 2**63 else BAD, match=name):
        make_model().fit(X, Y, **{"epochs": 1, "verbose": 0, name: value})


def test_a_batch_larger_than_the_data_is_the_whole_data():
    models = [make_model() for _ in range(2)]
    for model, batch_size in zip(models, (6, 1_000_000), strict=True):
        model.fit(X, Y, epochs=2, batch_size=batch_size, shuffle=False, verbose=0)
    assert_same_bits(models[0].weights[0], models[1].weights[0])


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("learning_rate", NAN, ValueError),
        ("learning_rate", INF, ValueError),
        ("learning_rate", -0.1, ValueError),
        ("learning_rate", "0.1", TypeError),
        ("learning_rate", None, TypeError),
        ("learning_rate", True, TypeError),
        ("momentum", -0.1, ValueError),
        ("momentum", 1.0, ValueError),
        ("momentum", 1.5, ValueError),
        ("momentum", NAN, ValueError),
        ("momentum", "0.9", TypeError),
        ("l2", -1e-9, ValueError),
        ("l2", NAN, ValueError),
        ("l2", INF, ValueError),
        ("l2", "0", TypeError),
        ("nesterov", "yes", TypeError),
    ],
)
def test_optimizer_settings(name, value, error):
    with pytest.raises(error, match=name):
        fastmlp.SGD(**{"learning_rate": 0.1, name: value})


@pytest.mark.parametrize(
    "value",
    [
        X,
        (X,),
        (X, Y, Y - 5),
        (X, Y, None, None),
        (X, Y[:5]),
        (X[:, :2], Y),
        (spoiled(NAN), Y),
        (X, Y + 1),
        (X[:0], Y[:0]),
        "data",
        7,
        (None, None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_validation_data(value):
    with pytest.raises(BAD, match="validation_data"):
        make_model().fit(X, Y, epochs=1, validation_data=value, verbose=0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("optimizer", 0.1),
        ("callbacks", 3),
        ("callbacks", [3]),
        ("callbacks", ["print"]),
        ("progress", 3),
    ],
)
def test_objects_of_the_wrong_kind(name, value):
    with pytest.raises(TypeError, match=name):
        make_model().fit(X, Y, **{"epochs": 1, "verbose": 0, name: value})


# ---------------------------------------------------------------- setting weights


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("weights", [np.ones((4, 5))]),
        ("weights", [np.ones((5, 4)), np.ones((5, 3))]),
        ("weights", [np.ones(20), np.ones(15)]),
        ("weights", [np.ones((4, 5)), np.full((5, 3), NAN)]),
        ("weights", [np.ones((4, 5)), np.full((5, 3), INF)]),
        ("weights", [np.ones((4, 5)), np.full((5, 3), 1e300)]),
        ("weights", [np.ones((4, 5)), np.ones((5, 3), complex)]),
        ("weights", [np.ones((4, 5)), np.full((5, 3), "a")]),
        ("weights", [np.ones((4, 5)), None]),
        ("weights", None),
        ("weights", 3),
        ("biases", [np.ones(5)]),
        ("biases", [np.ones(5), np.ones(4)]),
        ("biases", [np.ones((5, 1)), np.ones(3)]),
        ("biases", [np.ones(5), np.full(3, NAN)]),
        ("biases", [np.ones(5), np.full(3, "a")]),
        ("biases", None),
    ],
)
def test_parameters(name, value):
    model = make_model()
    before = [p.copy() for p in getattr(model, name)]
    with pytest.raises(BAD, match=name):
        setattr(model, name, value)
    for a, b in zip(getattr(model, name), before, strict=True):
        assert_same_bits(a, b)


def test_parameters_are_kept_exactly(dtype):
    model = make_model(dtype=dtype)
    rng = np.random.default_rng(0)
    weights = [rng.standard_normal(s).astype(dtype) for s in ((4, 5), (5, 3))]
    biases = [rng.standard_normal(s).astype(dtype) for s in (5, 3)]
    model.weights, model.biases = weights, biases
    for a, b in zip([*model.weights, *model.biases], [*weights, *biases], strict=True):
        assert_same_bits(a, b)


# ---------------------------------------------------------------- odd input that works


def strange_layouts():
    whole = np.zeros((12, 8))
    whole[::2, ::2] = X
    raw = np.zeros(X.nbytes + 1, np.uint8)
    unaligned = raw[1:].view(np.float64).reshape(X.shape)
    unaligned[:] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "fortran order": np.asfortranarray(X),
        "strided": whole[::2, ::2],
        "reversed": X[::-1].copy()[::-1],
        "transposed": X.T.copy().T,
        "unaligned": unaligned,
        "read-only": read_only,
        "big-endian": X.astype(">f8"),
        "list": X.tolist(),
        "tuple": tuple(map(tuple, X.tolist())),
        "long double": X.astype(np.longdouble),
        "objects that are numbers": X.astype(object),
    }


@pytest.mark.parametrize("name", strange_layouts())
def test_layouts(name):
    x = strange_layouts()[name]
    model = make_model()
    try:
        actual = model.forward(x)
    except BAD:
        assert name == "objects that are numbers"  # may be refused, must not be misread
        return
    assert_same_bits(actual, model.forward(X))


@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int32", "uint64", "float16", "float32"])
def test_dtypes_of_samples(kind, dtype):
    x = np.arange(24).reshape(6, 4) % 2
    model = make_model(dtype=dtype)
    assert_same_bits(model.forward(x.astype(kind)), model.forward(x.astype("float64")))


@pytest.mark.parametrize(
    "y", [Y.tolist(), Y.astype(np.uint8), Y.astype(">i2"), Y.astype(float), np.repeat(Y, 2)[::2]]
)
def test_dtypes_of_labels(y):
    assert make_model().evaluate(X, y) == make_model().evaluate(X, Y)


def test_repeated_rows_without_memory():
    """A broadcast view has stride 0."""
    x = np.broadcast_to(X[:1], (50, 4))
    out = make_model().forward(x)
    assert_same_bits(out, np.repeat(out[:1], 50, axis=0))


def test_an_array_too_large_for_memory_is_refused_or_reported():
    giant = np.lib.stride_tricks.as_strided(np.zeros(1), shape=(2**50, 4), strides=(0, 0))
    with pytest.raises((ValueError, MemoryError)):
        make_model().forward(giant)


def test_the_smallest_network():
    model = fastmlp.MLP([1, 1], loss="mse", seed=0)
    model.fit([[1.0]], [[2.0]], epochs=1, verbose=0)
    assert model.forward([[1.0]]).shape == (1, 1)
