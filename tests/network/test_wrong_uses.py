"""What beginners type, the message that they get, and the cure that it names, which works.

A row of `TARGETS_AND_SAMPLES` spoils one variable; the message holds an expression that mends it.
A row of `CALLS` is a call with the call that its message leads to.
"""

from __future__ import annotations

import itertools
import json
import pickle
import struct
import zipfile

import numpy as np
import pytest

import fastmlp
from fastmlp.errors import FormatError

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

STRINGS = "np.unique(y, return_inverse=True)[1]"
FLAT = "np.reshape(x, (len(x), -1))"
COLLECT = "x, y = map(np.concatenate, zip(*loader))"
NUMBERS = "must be an array of real numbers, got "


class Loader:
    """Batches as the loaders of other libraries give them: to iterate over, nothing else."""

    def __init__(self, x, y):
        self.batches = [(x[i : i + 10], y[i : i + 10]) for i in range(0, len(x), 10)]

    def __iter__(self):
        return iter(self.batches)


@pytest.fixture
def names():
    """Variables of the rows: good samples and targets, and functions that train on them."""
    random = np.random.default_rng(0)
    x = random.standard_normal((60, 4)).astype("float32")
    y = np.arange(60) % 3

    def fit(x, y, sizes=(4, 8, 3), loss="softmax_cross_entropy", **options):
        return fastmlp.MLP(list(sizes), loss=loss).fit(x, y, epochs=1, verbose=0, **options)

    return {
        "fastmlp": fastmlp, "np": np, "fit": fit, "x": x, "y": y, "v": 2 * x[:, 0],
        "classes": np.array(["cat", "dog", "eel"])[y], "Loader": Loader,
        "images": random.integers(0, 255, (60, 28, 28), dtype="uint8"),
        "model": fastmlp.MLP([4, 8, 3]), "Classifier": fastmlp.MLPClassifier,
        "Regressor": fastmlp.MLPRegressor,
    }  # fmt: skip


# What spoils a variable; the call; the error and what it says; the expression that mends it.
TARGETS_AND_SAMPLES = [
    # labels
    ("y = classes", "fit(x, y)", TypeError, "got strings such as 'cat'", STRINGS),
    ("y = classes.tolist()", "fit(x, y)", TypeError, "got strings such as 'cat'", STRINGS),
    ("y = classes.astype(object)", "fit(x, y)", TypeError, "got strings such as 'cat'", STRINGS),
    ("y = y.reshape(-1, 1)", "fit(x, y)", ValueError, "1 dimension .*, got shape", "np.ravel(y)"),
    ("y = y.reshape(-1, 1)", "fit(x, y, loss='hinge')", ValueError, "got shape .60", "np.ravel(y)"),
    ("y = np.eye(3)[y]", "fit(x, y, loss='hinge')", ValueError, "got shape",
     "np.argmax(y, axis=1)"),
    ("y = np.log(np.eye(3)[y] + .1)", "fit(x, y)", ValueError, "y must hold probabilities, got -2",
     "np.argmax(y, axis=1)"),
    ("y = y + 1", "fit(x, y)", ValueError, "labels from 0 to 2, got 3", "np.subtract(y, 1)"),
    ("y = y * 10", "fit(x, y)", ValueError, "labels from 0 to 2, got 20", STRINGS),
    ("y = 2 * (y % 2) - 1", "fit(x, y, (4, 8, 2))", ValueError, "got -1", "np.greater(y, 0)"),
    ("y = 2 * (y % 2) - 1", "fit(x, y, (4, 1), 'binary_cross_entropy')", ValueError,
     r"y must lie in \[0, 1\], got -1 to 1", "np.greater(y, 0)"),
    ("y = y.astype(str)", "fit(x, y)", TypeError, "numbers as text, such as '0'",
     "np.asarray(y, float)"),
    ("y = y.astype(object)", "fit(x, y)", TypeError, "got dtype object", "np.asarray(y, float)"),
    ("y = np.ma.masked_less(y, 1)", "fit(x, y)", ValueError, "y must not have masked elements",
     "np.ma.filled(y, 0)"),
    # values
    ("y = y * 1", "fit(x, y, loss='mse')", ValueError, r"shape \(samples, 3\) .*got \(60,\)",
     "np.eye(3)[y]"),
    ("y = x.T", "fit(x, y, (4, 8, 4), 'mse')", ValueError, r"got \(4, 60\)", "np.transpose(y)"),
    ("y = v + 0j", "fit(x, y, (4, 1), 'mse')", TypeError, "y .*got dtype complex64", "np.real(y)"),
    ("y = np.datetime64('2020-01-01') + y", "fit(x, y, (4, 1), 'mse')", TypeError,
     "y .*got dtype datetime64", 'y.astype("datetime64[D]").astype(float)'),
    ("y = np.where(y, v, np.inf)", "fit(x, y, (4, 1), 'mse')", ValueError,
     "y must be finite in float32, got inf", "np.nan_to_num(y, nan=0, posinf=0, neginf=0)"),
    # samples
    ("x = images", "fit(x, y, (784, 8, 3))", ValueError,
     r"x must have shape \(samples, 784\), got \(60, 28, 28\)", FLAT),
    ("x = images[..., None]", "fit(x, y, (784, 8, 3))", ValueError, "got .60, 28, 28, 1", FLAT),
    ("x = images[0]", "fastmlp.MLP([784, 3]).predict(x)", ValueError, "784 features",
     "np.reshape(x, (1, -1))"),
    ("x = x[0]", "model.predict(x)", ValueError, r"got \(4,\)", "np.reshape(x, (1, -1))"),
    ("x = x[:, 0]", "fit(x, y, (1, 8, 3))", ValueError, r"got \(60,\)", "np.reshape(x, (-1, 1))"),
    ("x = x.T", "fit(x, y)", ValueError, r"4 features .*got shape \(4, 60\)", "np.transpose(x)"),
    ("x = x[None]", "fit(x, y)", ValueError, r"got \(1, 60, 4\)", "np.reshape(x, (-1, 4))"),
    ("x = x.astype(object)", "fit(x, y)", TypeError, "got dtype object", "np.asarray(x, float)"),
    ("x = x.astype(str)", "fit(x, y)", TypeError, "numbers as text", "np.asarray(x, float)"),
    ("x = x + 0j", "fit(x, y)", TypeError, "x .*got dtype complex64", "np.abs(x)"),
    ("x = {i: x[:, i] for i in range(4)}", "fit(x, y)", TypeError, "got a dict",
     "np.column_stack(list(x.values()))"),
    ("x = np.ones(60, 'f4,f4,f4,f4')", "fit(x, y)", TypeError, "got a structured array",
     "np.lib.recfunctions.structured_to_unstructured(x)"),
    ("X = images", "Classifier(max_iter=1).fit(X, y)", ValueError, "Found array with dim 3",
     "np.reshape(X, (len(X), -1))"),
    ("x = images", "fastmlp.Model(epochs=1).fit(x, y, verbose=0)", ValueError,
     r"x must have shape \(samples, features\), got \(60, 28, 28\)", FLAT),
    # weights
    ("class_weight = [1, 2, 3]", "fit(x, y, class_weight=class_weight)", TypeError,
     "class_weight must be a mapping or 'balanced', got", "dict(enumerate(class_weight))"),
    ("sample_weight = np.ones((60, 1))", "fit(x, y, sample_weight=sample_weight)", ValueError,
     r"sample_weight must have shape \(60,\).*got \(60, 1\)", "np.ravel(sample_weight)"),
]  # fmt: skip

# The call; the error and what it says; the call that the message leads to.
CALLS = [
    # targets that need another network or loss
    ("fit(x, y % 2, (4, 8, 1))", ValueError, "needs 2 outputs .*loss=\"binary_cross_entropy\"",
     "fit(x, y % 2, (4, 8, 1), 'binary_cross_entropy')"),
    ("fit(x, v.reshape(-1, 1), (4, 8, 1))", ValueError, "needs 2 outputs .*loss=\"mse\"",
     "fit(x, v.reshape(-1, 1), (4, 8, 1), 'mse')"),
    ("fit(x, v)", ValueError, "y must hold integer labels, got .*; loss=\"mse\" with one output",
     "fit(x, v, (4, 8, 1), 'mse')"),
    ("fit(x, v, loss='mse')", ValueError, "y must have shape .*needs 1 output, the last of layer",
     "fit(x, v, (4, 8, 1), 'mse')"),
    ("fit(x, np.eye(4)[y])", ValueError, r"got \(60, 4\); 4 columns need 4 outputs",
     "fit(x, np.eye(4)[y], (4, 8, 4))"),
    ("fit(x, 2 * y)", ValueError, "labels from 0 to 2, got 4; labels up to 4 need 5 outputs",
     "fit(x, 2 * y, (4, 8, 5))"),
    ("fit(x, y, (4, 1), 'binary_cross_entropy')", ValueError,
     r"y must lie in \[0, 1\], got 0 to 2; loss=\"softmax_cross_entropy\" with 3 outputs",
     "fit(x, y, (4, 3))"),
    ("fit(x, v, (4, 1), 'binary_cross_entropy')", ValueError, "got .*; loss=\"mse\" takes quant",
     "fit(x, v, (4, 1), 'mse')"),
    ("fit(x, v, (4, 1), 'poisson')", ValueError, "y must be >= 0 .*; loss=\"mse\" takes all",
     "fit(x, v, (4, 1), 'mse')"),
    ("fit(x, y[:50])", ValueError, "y must have one entry per sample: 60 needed, got 50; .*same",
     "fit(x[:50], y[:50])"),
    ("fit(y, x)", ValueError, "x must have shape .*, got .60,.*write x before y", "fit(x, y)"),
    ("Classifier(max_iter=1).fit(x, v)", ValueError, "y must hold classes, .*MLPRegressor takes",
     "Regressor(max_iter=1).fit(x, v)"),
    ("Regressor(max_iter=1).fit(x, classes)", TypeError, "y must .*'cat'; .*MLPClassifier takes",
     "Classifier(max_iter=1).fit(x, classes)"),
    ("fit(x, np.where(y > 0, y, np.nan))", ValueError, r"y must .*nan; np.isfinite\(np.asarray\(y",
     "keep = np.isfinite(np.where(y > 0, y, np.nan)); fit(x[keep], y[keep])"),
    # samples that are no arrays of numbers
    ("model.fit(Loader(x, y))", ValueError, "epochs must be given for a source that does not say",
     "model.fit(Loader(x, y), epochs=1)"),
    ("model.fit(b for b in Loader(x, y))", ValueError, "epochs must be 1 with an iterator.*got N",
     "model.fit((b for b in Loader(x, y)), epochs=1)"),
    ("model.lr_find(Loader(x, y))", TypeError, "needs y, as in .*" + COLLECT.replace("*", r"\*")
     .replace("(", r"\(").replace(")", r"\)"),
     f"loader = Loader(x, y); {COLLECT}; model.lr_find(x, y)"),
    ("model.fit((x, y), None)", ValueError, r"got a tuple of two; .*: fit\(x, y\)", "fit(x, y)"),
    ("model.fit(x)", TypeError, r"MLP.fit\(\) needs y, as in MLP.fit\(x, y\)", "fit(x, y)"),
    ("model.evaluate(x)", TypeError, r"MLP.evaluate\(\) needs y, as in", "model.evaluate(x, y)"),
    ("model.fit('moons', None)", TypeError, "got 'moons'; fastmlp.Model.* reads files and named",
     "fastmlp.Model(epochs=1).fit('moons', verbose=0)"),
    ("fit([[1, 2, 3, 4], [1, 2]], [0, 1])", ValueError, "x must be .*: row 0 has 4, row 1 has 2; ",
     "fit([[1, 2, 3, 4], [1, 2, 0, 0]], [0, 1])"),
    ("model.predict(x[:, :3])", ValueError, r"x must have 4 features .*\(60, 3\); layer_sizes\[0",
     "fastmlp.MLP([3, 8, 3]).predict(x[:, :3])"),
    ("fit(np.where(x > 1, np.nan, x), y)", ValueError, "x .* got nan at .*fastmlp.Model replaces",
     "fastmlp.Model(epochs=1).fit(np.where(x > 1, 0, x), y, verbose=0)"),
    ("fit(x.astype('f8') * 1e300, y)", ValueError, "x must be finite in float32.*dtype=\"float64\"",
     "fastmlp.MLP([4, 3], dtype='float64').predict(x.astype('f8') * 1e300)"),
    # layers
    ("fastmlp.MLP(4, 8, 3)", TypeError, r"layer_sizes as one list: MLP\(\[4, 8, 3\]\)",
     "fastmlp.MLP([4, 8, 3])"),
    ("fastmlp.MLP()", TypeError, r"needs layer_sizes, as in MLP\(\[4, 16, 3\]\)",
     "fastmlp.MLP([4, 16, 3])"),
    ("fastmlp.MLP(100)", TypeError, r"layer_sizes .*got 100 .*such as \[4, 16, 3\]",
     "fastmlp.MLP([4, 16, 3])"),
    ("fastmlp.MLP([100])", ValueError, r"at least 2 entries .*such as \[4, 16, 3\]",
     "fastmlp.MLP([4, 16, 3])"),
    ("fastmlp.MLP([4, 16 / 2, 3])", TypeError, r"layer_sizes\[1\] .*got 8.0 \(float\); write 8",
     "fastmlp.MLP([4, 8, 3])"),
    ("fastmlp.MLP([4, [8, 8], 3])", TypeError, r"layer_sizes\[1\] .*such as \[4, 16, 3\]",
     "fastmlp.MLP([4, 8, 8, 3])"),
    ("fastmlp.MLP(hidden_layer_sizes=(8,))", TypeError, "'hidden_layer_sizes'; here it is layer_s",
     "fastmlp.MLP(layer_sizes=(4, 8, 3))"),
    ("fastmlp.MLP([4, 3], activation='ReLU')", ValueError, "did you mean 'relu'",
     "fastmlp.MLP([4, 3], activation='relu')"),
    ("fastmlp.MLP([4, 8, 3], activation=np.tanh)", TypeError, "got ufunc; did you mean 'tanh'",
     "fastmlp.MLP([4, 3], activation='tanh')"),
    ("fastmlp.MLP([4, 3], loss=fastmlp.MSE)", TypeError, r"the class MSE; MSE\(\) is an object",
     "fastmlp.MLP([4, 3], loss=fastmlp.MSE())"),
    ("fastmlp.MLP([4, 8, 3], dropout=50)", ValueError, "dropout must be < 1.*; 50 % is 0.5",
     "fastmlp.MLP([4, 8, 3], dropout=0.5)"),
    ("fastmlp.MLP([4, 3], seed=None)", TypeError, "seed must .*None .*; leave it out",
     "fastmlp.MLP([4, 3])"),
    # settings of the training
    ("model.fit(x, y, epochs=10.0)", TypeError, "epochs must .*; write 10$",
     "model.fit(x, y, epochs=10, verbose=0)"),
    ("model.fit(x, y, epochs='10')", TypeError, "epochs must .*; write 10$",
     "model.fit(x, y, epochs=10, verbose=0)"),
    ("model.fit(x, y, batch_size=None)", TypeError, "batch_size must .*; leave it out",
     "model.fit(x, y, verbose=0)"),
    ("model.fit(x, y, learning_rate=0.1)", TypeError, r"optimizer=fastmlp.SGD\(learning_rate=",
     "model.fit(x, y, optimizer=fastmlp.SGD(learning_rate=0.1), verbose=0)"),
    ("model.fit(x, y, optimizer='adam', lr=0.1)", TypeError, "optimizer=fastmlp.SGD",
     "model.fit(x, y, optimizer=fastmlp.Adam(learning_rate=0.1), verbose=0)"),
    ("model.fit(x, y, optimizer=fastmlp.Adam)", TypeError, r"the class Adam; Adam\(\) is",
     "model.fit(x, y, optimizer=fastmlp.Adam(), verbose=0)"),
    ("fastmlp.SGD('0.1')", TypeError, "learning_rate must .*; write 0.1$", "fastmlp.SGD(0.1)"),
    ("fastmlp.SGD(fastmlp.schedules.Cosine)", TypeError, r"learning_rate .*Cosine\(...\) makes",
     "fastmlp.SGD(fastmlp.schedules.Cosine(0.1))"),
    ("model.fit(x, y, validation_split=0.1)", TypeError, "here it is validation_data",
     "model.fit(x, y, validation_data=(x, y), verbose=0)"),
    ("model.fit(x, y, validation_data=x)", TypeError, r"validation_data=\(x_validation, y_val",
     "model.fit(x, y, validation_data=(x, y), verbose=0)"),
    ("model.fit(x, y, callbacks=fastmlp.EarlyStopping())", TypeError, "callbacks .*; write \\[",
     "model.fit(x, y, callbacks=[fastmlp.EarlyStopping('loss')], verbose=0)"),
    ("model.fit(x, y, callbacks=[fastmlp.EarlyStopping])", TypeError, r"EarlyStopping\(\) is an",
     "model.fit(x, y, callbacks=[fastmlp.EarlyStopping('loss')], verbose=0)"),
    ("model.fit(x, y, 10)", TypeError, "takes x, y without names, got 3 .*; write epochs=",
     "model.fit(x, y, epochs=10, verbose=0)"),
    ("model.fit(x, y, sample_weight={0: 1.0})", TypeError, "sample_weight .*; class_weight takes",
     "model.fit(x, y, class_weight={0: 1.0}, verbose=0)"),
    ("model.lr_find(x, y, epochs=3)", TypeError, "'epochs'; here it is steps",
     "model.lr_find(x, y, steps=3)"),
    # methods of other libraries
    ("model.compile(loss='mse')", AttributeError, "'compile'; fit takes .*MLP takes loss=",
     "fastmlp.MLP([4, 3], loss='mse')"),
    ("model.summary()", AttributeError, r"'summary'; print\(model\)", "str(model)"),
    ("model.score(x, y)", AttributeError, r"'score'; evaluate\(x, y\)\[\"accuracy\"\]",
     "model.evaluate(x, y)['accuracy']"),
    ("model.state_dict()", AttributeError, r"'state_dict'; parameters\(\)", "model.parameters()"),
    ("model.partial_fit(x, y)", AttributeError, r"'partial_fit'; fit\(x, y, epochs=1, resume=True",
     "fit(x, y); model.fit(x, y, epochs=1, verbose=0); "
     "model.fit(x, y, epochs=1, resume=True, verbose=0)"),
    ("fastmlp.MLP([4, 1], loss='mse').predict_proba(x)", ValueError, "predict_proba .*; predict",
     "fastmlp.MLP([4, 1], loss='mse').predict(x)"),
    ("fastmlp.MLP([4, 3], loss='hinge').predict_proba(x)", ValueError, "softmax_cross_entropy",
     "fastmlp.MLP([4, 3], loss='softmax_cross_entropy').predict_proba(x)"),
    # attributes: a slip would leave the network as it was
    ("model.bias = [[0, 0, 0]]", AttributeError, "did you mean 'biases'",
     "model.biases[0] = [0] * len(model.biases[0]); model.note = 'mine'"),
    ("model.wieghts = model.weights", AttributeError, "did you mean 'weights'",
     "model.weights = model.weights"),
    # files
    ("model.save('models/new/m.safetensors')", FileNotFoundError,
     r"os.makedirs\('models/new', exist_ok=True\)",
     "import os; os.makedirs('models/new', exist_ok=True); model.save('models/new/m.safetensors')"),
    ("Classifier(max_iter=1).fit(x, y).save('models/c')", FileNotFoundError,
     r"os.makedirs\('models', exist_ok=True\)",
     "import os; os.makedirs('models', exist_ok=True); "
     "Classifier(max_iter=1).fit(x, y).save('models/c')"),
    ("model.save('.')", IsADirectoryError, "such as './model.safetensors'",
     "model.save('./model.safetensors')"),
    ("fastmlp.load(model)", TypeError, "path must be a string or os.PathLike, got MLP", ""),
    ("model.save('digits.safetensors'); fastmlp.load('digit.safetensors')", FileNotFoundError,
     "did you mean 'digits.safetensors'",
     "model.save('digits.safetensors'); fastmlp.load('digits.safetensors')"),
    ("fastmlp.MLP.load('.')", ValueError, "is a directory; fastmlp.load reads the dir", ""),
    ("Classifier(max_iter=1).fit(x, y).save('c'); fastmlp.load('c')", ValueError,
     "MLPClassifier.load or MLPRegressor.load reads it",
     "Classifier(max_iter=1).fit(x, y).save('c'); fastmlp.MLPClassifier.load('c')"),
]  # fmt: skip


def message_of(code: str, names: dict, error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        exec(code, names)
    # Neither an error of NumPy nor one of an inner function may stand for the message.
    assert caught.type is error or caught.type.__module__.startswith("fastmlp"), caught.type
    message = str(caught.value)
    assert len(message) < 300, message
    assert "\n" not in message, message
    return message


@pytest.mark.parametrize(("spoils", "use", "error", "says", "cure"), TARGETS_AND_SAMPLES)
def test_the_message_about_an_array_holds_an_expression_that_mends_it(
    spoils, use, error, says, cure, names
):
    exec(spoils, names)
    message = message_of(use, names, error)
    assert cure in message
    variable = spoils.partition(" = ")[0]
    assert message.startswith((variable, "Found array")), message
    with pytest.raises(error, match=says):
        exec(use, names)
    exec(f"import numpy.lib.recfunctions\n{variable} = {cure}\n{use}", names)


@pytest.mark.parametrize(("use", "error", "says", "right"), CALLS)
def test_the_message_about_a_call_leads_to_one_that_works(
    use, error, says, right, names, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    message_of(use, names, error)
    with pytest.raises(error, match=says):
        exec(use, names)
    exec(right, names)


# ---------------------------------------------------------------- frames, tensors, files of others


@pytest.mark.parametrize(
    ("column", "says"),
    [
        (["cat", "dog", "eel"] * 20, "strings such as 'cat' in column 'd'"),
        ([1.0, None, True] * 20, "missing values in column 'd'"),
    ],
)
def test_what_a_frame_holds_besides_numbers_is_for_model(column, says, names):
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(names["x"], columns=list("abcd")).assign(
        d=pandas.Series(column, dtype=object)
    )
    names["x"] = x
    message = message_of("fit(x, y)", names, TypeError)
    assert message.startswith(f"x {NUMBERS}{says}; fastmlp.Model ")
    fastmlp.Model(epochs=1).fit(x.assign(d=x["d"].astype(str)), names["y"], verbose=0)
    if "cat" in column:
        with pytest.raises(ValueError, match=r"'cat'; X must hold .*fastmlp.TabularClassifier"):
            fastmlp.MLPClassifier().fit(x, names["y"])


def test_targets_with_missing_values(names):
    pandas = pytest.importorskip("pandas")
    names["y"] = y = pandas.Series([0, 1, None] * 20, dtype=object)
    assert "missing values; np.isfinite(np.asarray(y, float)) tells the samples to keep" in (
        message_of("fit(x, y)", names, TypeError)
    )
    keep = np.isfinite(np.asarray(y, float))
    names["fit"](names["x"][keep], np.asarray(y, float)[keep])


def test_types_that_numpy_does_not_know(names):
    types = pytest.importorskip("ml_dtypes")
    names["x"] = names["x"].astype(types.float8_e4m3fn)
    message = message_of("fit(x, y)", names, TypeError)
    assert message == f'x {NUMBERS}dtype float8_e4m3fn; x.astype("float32") converts it'
    exec('fit(x.astype("float32"), y)', names)


@pytest.mark.parametrize(
    ("spoils", "says"),
    [
        ("x.requires_grad_()", "that requires gradients; x.detach().numpy()"),
        ("x.bfloat16()", "of torch.bfloat16; x.float().numpy()"),
        ("x.to_sparse()", "in a sparse layout; x.to_dense().numpy()"),
        (
            "x.bfloat16().requires_grad_()",
            "that requires gradients of torch.bfloat16; x.detach().float().numpy()",
        ),
    ],
)
@pytest.mark.parametrize(
    "use", ["fit(x, y)", "model.predict(x)", "Classifier(max_iter=1).fit(x, y)"]
)
def test_tensors(spoils, says, use, names):
    torch = pytest.importorskip("torch")
    names["x"] = torch.tensor(names["x"])
    names["x"] = eval(spoils, names)
    message = message_of(use, names, TypeError)
    argument = "X" if "Classifier" in use else "x"
    wanted = f"x {NUMBERS}a Tensor {says} is an array".replace("x ", f"{argument} ", 1)
    assert message == wanted.replace(" x.", f" {argument}.")
    names["x"] = eval(says.rpartition("; ")[2], names)
    exec(use, names)


def test_loaders_and_data_sets_of_torch(names):
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    names["loader"] = data.TensorDataset(torch.tensor(names["x"]), torch.tensor(names["y"]))
    message = message_of("model.fit(loader, epochs=1)", names, ValueError)
    assert "TensorDataset, chunk 0: x must have shape (samples, 4), got (4,)" in message
    names["loader"] = data.DataLoader(names["loader"], batch_size=8)
    exec("model.fit(loader, epochs=1); model.evaluate(loader); model.predict(loader)", names)


def torch_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


def keras_file(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", b"{}")


def onnx_file(path):
    onnx = pytest.importorskip("onnx")
    graph = onnx.helper.make_graph([], "g", [], [])
    onnx.save(onnx.helper.make_model(graph, producer_name="pytorch"), str(path))


def tensors_alone(path):
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("m.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(500)),
         "but an HDF5 file, as Keras writes; MLP(...).weights and .biases can be set"),
        ("m.keras", keras_file, "but a file of Keras; MLP(...).weights"),
        ("m.pt", torch_file, "but a file of PyTorch; MLP(...).weights"),
        ("m.pkl", lambda path: path.write_bytes(pickle.dumps({"a": 1})), "but a pickle, which"),
        ("m.npz", lambda path: np.savez(path, a=np.ones(3)), "but a NumPy file, which np.load"),
        ("m.npy", lambda path: np.save(path, np.ones(3)), "but a NumPy file, which np.load"),
        ("m.onnx", onnx_file, "but a file of ONNX, which onnxruntime runs"),
        ("m.safetensors", tensors_alone, "safetensors.numpy.load_file reads it, and MLP(...)"),
    ],
)  # fmt: skip
def test_files_of_others_are_recognized(name, write, says, tmp_path):
    write(tmp_path / name)
    for load in (fastmlp.load, fastmlp.MLP.load, fastmlp.Model.load):
        with pytest.raises(FormatError) as caught:
            load(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value)
        assert says in str(caught.value)


def test_joblib_files_are_recognized(tmp_path):
    joblib = pytest.importorskip("joblib")
    joblib.dump(fastmlp.MLPClassifier(), tmp_path / "c.joblib")
    with pytest.raises(ValueError, match=r"a pickle, which joblib.load"):
        fastmlp.load(tmp_path / "c.joblib")
    assert isinstance(joblib.load(tmp_path / "c.joblib"), fastmlp.MLPClassifier)


def test_there_are_fifty():
    assert len({row[0] for row in CALLS} | {row[:2] for row in TARGETS_AND_SAMPLES}) >= 50


# ---------------------------------------------------------------- all kinds of targets

LOSSES = ["softmax_cross_entropy", "hinge", "binary_cross_entropy", "mse", "poisson", "quantile"]
SHAPES = [(12,), (12, 1), (12, 3), (12, 2), (3, 12), (11,), (11, 3), (12, 3, 1), (), (0,), (1, 12)]


def random_targets(random: np.random.Generator, shape: tuple[int, ...]):
    numbers = random.integers(-1, 4, shape)
    kinds = [
        numbers, numbers.astype("uint8"), numbers > 0, numbers.astype(float),
        random.normal(size=shape), random.random(shape), numbers.astype(str),
        numbers.astype(object), numbers.astype("M8[D]"),
        numbers + 1j, np.where(numbers > 2, np.nan, numbers), np.where(numbers > 2, "a", "b"),
        np.where(numbers > 2, None, numbers), numbers.tolist(), np.abs(numbers) % 3,
    ]  # fmt: skip
    return kinds[random.integers(len(kinds))]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_any_targets_are_trained_on_or_refused_with_a_cure(loss, outputs):
    accepted = 0
    for seed, shape in itertools.product(range(25), SHAPES):
        y = random_targets(np.random.default_rng([seed, len(shape), *shape]), shape)
        model = fastmlp.MLP([2, outputs], loss=loss)
        try:
            model.evaluate(np.ones((12, 2)), y)
        except (TypeError, ValueError) as error:
            message, case = str(error), f"seed {seed}, shape {shape}: {y!r}: {error}"
            assert message.startswith(("y must ", f"loss {loss!r} needs 2")), case
            assert "; " in message, case
            assert len(message) < 300, case
        else:
            accepted += 1
    assert accepted > 0 or outputs == 1  # one output needs a loss for it
