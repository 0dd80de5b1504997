"""The C header: compiled without a warning, it must compute what the model itself predicts."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.data import Preprocessing
from fastmlp.export import to_c
from support.c_programs import C_COMPILER, CPP_COMPILER, compiled
from support.export_models import (
    ALL_ACTIVATIONS,
    FEATURES,
    LOSSES,
    far_and_near,
    quantiles_of,
    samples,
    trained,
)

COUNT = 20
# By the largest output. Seen: 4.2e-7 and 1.0e-15.
TOLERANCES = {"float32": 1e-5, "float64": 1e-13}

pytestmark = pytest.mark.skipif(C_COMPILER is None, reason="needs a C compiler")

MAIN = """
static double sample[64];

int main(void)
{{
    for (int n = 0; n < {count}; ++n) {{
        if (fread(sample, sizeof sample[0], {features}, stdin) != {features}) return 1;
{calls}
    }}
    return 0;
}}
"""
CALL = """
        {{
            {number} x[{name}_features], y[{name}_outputs];
            double row[2 * {name}_outputs];
            for (int i = 0; i < {name}_features; ++i) x[i] = ({number})sample[i];
            {name}_predict(x, y);
            for (int j = 0; j < {name}_outputs; ++j) row[j] = (double)y[j];
            {more}
            fwrite(row, sizeof row[0], {width}, stdout);
        }}"""
CLASSIFY = "row[{name}_outputs] = {name}_classify(x);"
CLASSIFY_SEVERAL = """
            int labels[{name}_outputs];
            {name}_classify(x, labels);
            for (int j = 0; j < {name}_outputs; ++j) row[{name}_outputs + j] = labels[j];"""


def decides(model):
    losses = model.architecture.losses
    return len(losses) == 1 and losses[0].has_accuracy


def program_text(models):
    """One program that runs every model on the samples it reads."""
    includes, calls = ["#include <stdio.h>"], []
    for name, model in models.items():
        outputs = model.layer_sizes[-1]
        several = not model.is_classifier and outputs > 1
        more = (CLASSIFY_SEVERAL if several else CLASSIFY) if decides(model) else ""
        labels = (outputs if several else 1) if decides(model) else 0
        number = "float" if model.dtype == np.float32 else "double"
        includes.append(f'#include "{name}.h"')
        calls.append(
            CALL.format(
                name=name, number=number, more=more.format(name=name), width=outputs + labels
            )
        )
    main = MAIN.format(count=COUNT, features=FEATURES, calls="".join(calls))
    return "\n".join(includes) + main


def outputs_in_c(models, x, directory, **how):
    """Outputs and, where the model decides, labels of each model."""
    for name, model in models.items():
        to_c(model, directory / f"{name}.h")
    program = compiled(directory, program_text(models), **how)
    done = subprocess.run(
        [program], input=x.astype(np.float64).tobytes(), capture_output=True, check=True
    )
    rows = np.frombuffer(done.stdout).reshape(COUNT, -1)
    found, start = {}, 0
    for name, model in models.items():
        outputs = model.layer_sizes[-1]
        labels = 0 if not decides(model) else 1 if model.is_classifier else outputs
        part = rows[:, start : start + outputs + labels]
        found[name] = part[:, :outputs], part[:, outputs:]
        start += outputs + labels
    assert start == rows.shape[1]
    return found


def assert_same(found, model, x, expected=None):
    outputs, labels = found
    expected = model.forward(x) if expected is None else expected
    bound = TOLERANCES[model.dtype.name] * np.abs(expected).max()
    assert np.abs(outputs - expected).max() <= bound
    if decides(model):
        predicted = model.predict(x)
        np.testing.assert_array_equal(labels, predicted.reshape(labels.shape))


# ---------------------------------------------------------------- what is computed


@pytest.mark.parametrize("activations", [ALL_ACTIVATIONS[::2], ALL_ACTIVATIONS[1::2]])
def test_every_activation(activations, dtype, tmp_path):
    models = {
        f"{activation}_{normalizes}": trained(
            activation=activation, dtype=dtype, batch_normalization=normalizes
        )
        for activation in activations
        for normalizes in (False, True)
    }
    x = samples(dtype, COUNT, seed=5)
    for name, found in outputs_in_c(models, x, tmp_path).items():
        assert_same(found, models[name], x)


FAR = """
#include <stdio.h>
{includes}

int main(void)
{{
    {number} z;
    while (fread(&z, sizeof z, 1, stdin) == 1) {{
        {number} y[{count}];
{calls}
        fwrite(y, sizeof y, 1, stdout);
    }}
    return 0;
}}
"""


def test_activations_far_from_zero(dtype, tmp_path):
    """Saturated, at 0 and on both sides of every limit: no NaN, no overflow."""
    z, expected = far_and_near(dtype), []
    for name in ALL_ACTIVATIONS:
        model = fastmlp.MLP([1, 1], loss="mse", output_activation=name, dtype=dtype)
        model.weights = [np.ones((1, 1), dtype)]
        to_c(model, tmp_path / f"{name}.h")
        expected.append(model.forward(z[:, np.newaxis])[:, 0])
    text = FAR.format(
        includes="\n".join(f'#include "{name}.h"' for name in ALL_ACTIVATIONS),
        number="float" if dtype == "float32" else "double",
        count=len(ALL_ACTIVATIONS),
        calls="\n".join(
            f"        {n}_predict(&z, &y[{i}]);" for i, n in enumerate(ALL_ACTIVATIONS)
        ),
    )
    done = subprocess.run(
        [compiled(tmp_path, text)], input=z.tobytes(), capture_output=True, check=True
    )
    found = np.frombuffer(done.stdout, dtype).reshape(len(z), -1).T
    # A subnormal sigmoid(z) is 0 in the core, and silu(z) = z sigmoid(z).
    smallest = np.finfo(dtype).tiny * np.clip(np.abs(z), 1, 1000)
    for name, values, wanted in zip(ALL_ACTIVATIONS, found, expected, strict=True):
        bound = TOLERANCES[dtype] * np.abs(wanted) + smallest
        assert (np.abs(values - wanted) <= bound).all(), name


def test_every_loss(dtype, tmp_path):
    models = {loss: trained(loss, dtype=dtype, hidden=(5,)) for loss in LOSSES}
    models["no_hidden_layer"] = trained(dtype=dtype, hidden=())
    models["three_hidden_layers"] = trained(dtype=dtype, hidden=(5, 8, 6))
    models["leaky"] = trained("mse", fastmlp.LeakyReLU(slope=0.3), dtype=dtype)
    models["exponential"] = trained("mse", fastmlp.ELU(alpha=0.6), dtype=dtype)
    x = samples(dtype, COUNT, seed=5)
    for name, found in outputs_in_c(models, x, tmp_path).items():
        rates = models[name].predict(x) if name == "poisson" else None
        assert_same(found, models[name], x, rates)


@pytest.mark.skipif(CPP_COMPILER is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("standard", ["-std=c++11", "-std=c++20"])
def test_the_header_is_valid_cpp(standard, dtype, tmp_path):
    models = {name: trained("multilabel", name, dtype=dtype) for name in ALL_ACTIVATIONS[::3]}
    models["softmax"] = trained("softmax_output", dtype=dtype)
    x = samples(dtype, COUNT, seed=5)
    found = outputs_in_c(models, x, tmp_path, compiler=CPP_COMPILER, standard=standard)
    for name, model in models.items():
        assert_same(found[name], model, x)


def test_preprocessing_is_part_of_it(dtype, tmp_path):
    moments = {"input_mean": np.linspace(1900.123, 2100.456, 7), "input_scale": np.full(7, 1.7)}
    mapped = quantiles_of(samples("float64", 90, seed=1))
    names = {"class_names": ("a", "b", "c", "d")}
    units = {"target_mean": np.array([1e3, -2]), "target_scale": np.array([30, 0.5])}
    chosen = {
        "standardized": ("softmax_cross_entropy", "classification", moments | names),
        "units": ("mse", "regression", moments | units | {"target_names": ("y", "z")}),
        "mapped": ("softmax_cross_entropy", "classification", moments | names | mapped),
        "bytes": ("softmax_cross_entropy", "classification", names),
    }
    models = {}
    for name, (loss, task, parts) in chosen.items():
        models[name] = trained(loss, dtype=dtype, input_scale=1 / 255 if name == "bytes" else 1.0)
        models[name].preprocessing = Preprocessing(task, FEATURES, **parts)
    x = moments["input_mean"] + 1.7 * samples("float64", COUNT)
    x = x.astype(dtype)
    for name, found in outputs_in_c(models, x, tmp_path).items():
        preprocessing = models[name].preprocessing
        encoded = preprocessing.inputs(x)
        expected = models[name].forward(encoded)
        if name == "units":
            expected = preprocessing.decode(expected)
        assert_same(found, models[name], encoded, expected)


PROBABILITIES = """
#include <stdio.h>
#include "model.h"

int main(void)
{
    float x[model_features], p[model_outputs];
    while (fread(x, sizeof x, 1, stdin) == 1) {
        model_probabilities(x, p);
        fwrite(p, sizeof p, 1, stdout);
    }
    return 0;
}
"""


@pytest.mark.parametrize(
    "loss", ["softmax_cross_entropy", "softmax_output", "binary", "multilabel"]
)
def test_probabilities(loss, tmp_path):
    model, x = trained(loss), samples("float32", COUNT)
    model.weights[-1] = 400 * model.weights[-1]
    assert np.abs(model._outputs_of(x, "none", 1)).max() > np.log(np.finfo(np.float32).max)
    to_c(model, tmp_path / "model.h")
    program = compiled(tmp_path, PROBABILITIES)
    done = subprocess.run([program], input=x.tobytes(), capture_output=True, check=True)
    found = np.frombuffer(done.stdout, np.float32).reshape(COUNT, -1)
    np.testing.assert_allclose(found, model.predict_proba(x), rtol=0, atol=1e-5)


# ---------------------------------------------------------------- what the header holds

ARRAYS = """
#include <stdio.h>
#include "model.h"

int main(void)
{
    fwrite(model_W0, sizeof model_W0, 1, stdout);
    fwrite(model_b0, sizeof model_b0, 1, stdout);
    return 0;
}
"""


def test_numbers_are_exact(dtype, tmp_path):
    random = np.random.Generator(np.random.PCG64(8))
    info = np.finfo(dtype)
    special = [0, -0.0, 1, -1, 0.1, 1e-7, 123456789, info.max, info.min, info.tiny]
    special += [info.smallest_subnormal, -info.smallest_subnormal, info.eps, 1 + info.eps]
    spread = random.standard_normal(200 - len(special)) * 10 ** random.uniform(-30, 30, 186)
    weights = np.concatenate([special, spread]).astype(dtype).reshape(20, 10)
    model = fastmlp.MLP([20, 10], dtype=dtype)
    model.weights = [weights]
    model.biases = [weights[3]]
    to_c(model, tmp_path / "model.h")
    program = compiled(tmp_path, ARRAYS)
    found = subprocess.run([program], capture_output=True, check=True).stdout
    assert found == weights.tobytes() + weights[3].tobytes()


NAMES = """
#include <stdio.h>
#include "model.h"

int main(void)
{
    for (int i = 0; i < model_outputs; ++i) fwrite(model_class_names[i], 1, LENGTHS[i], stdout);
    return 0;
}
"""


@pytest.mark.parametrize("standard", ["-std=c99", "-std=c++11"])
def test_any_name_may_stand_in_it(standard, tmp_path):
    """Quotes, backslashes, trigraphs, ends of comments, digits after escapes, other scripts."""
    names = (
        '"a\\n"', "??/??'", "*/ int x; /*", "\x01" + "7\n\t%s", "dé 雪 😀", "\\", "//\\", "x" * 300,
    )  # fmt: skip
    model = fastmlp.MLP([2, 8])
    model.preprocessing = Preprocessing(
        "classification", 2, class_names=names, feature_names=("*/", 'width\n#error "no"')
    )
    to_c(model, tmp_path / "model.h")
    lengths = ", ".join(str(len(name.encode())) for name in names)
    text = NAMES.replace("int main", f"static const size_t LENGTHS[] = {{{lengths}}};\n\nint main")
    compiler = C_COMPILER if standard == "-std=c99" else CPP_COMPILER
    program = compiled(tmp_path, text, compiler=compiler, standard=standard)
    found = subprocess.run([program], capture_output=True, check=True).stdout
    assert found == "".join(names).encode()


def test_the_comment_shows_a_program_that_works(tmp_path):
    """What the comment says is compiled as it stands there."""
    model = trained("multilabel", hidden=(50, 30, 60))
    to_c(model, tmp_path / "my model.h", name="net")
    text = (tmp_path / "my model.h").read_text()
    assert f"{4 * (60 + 30 + 3)} bytes of stack" in text.replace("\n * ", " ")
    shown = [line[7:] for line in text.splitlines() if line.startswith(" *     ")]
    assert shown[0] == '#include "my model.h"'
    body = "\n".join(shown[1:]).replace("x[net_features];", "x[net_features] = {0};")
    compiled(tmp_path, f"{shown[0]}\nint main(void)\n{{\n{body}\nreturn labels[0];\n}}\n")


# ---------------------------------------------------------------- names and refusals


@pytest.mark.parametrize(
    ("file_name", "name"),
    [
        ("digits.h", "digits"),
        ("001-mnist best.h", "model_001_mnist_best"),
        ("__x__y__.h", "x_y"),
        ("雪.h", "model"),
        ("int", "int"),
    ],
)
def test_the_file_names_the_functions(file_name, name, tmp_path):
    to_c(trained(), tmp_path / file_name)
    assert (
        f"void {name}_predict(const float *x, float *outputs)" in (tmp_path / file_name).read_text()
    )
    compiled(tmp_path, f'#include "{file_name}"\nint main(void) {{ return 0; }}\n')


@pytest.mark.parametrize("name", ["", "1a", "a-b", "_a", "a_", "a__b", "a b", "é", "a\n"])
def test_names_that_c_cannot_take_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match="name must be letters, digits"):
        to_c(trained(), tmp_path / "model.h", name=name)
    assert not list(tmp_path.iterdir())


def test_other_refusals(tmp_path):
    with pytest.raises(TypeError, match="name must be a str, got int"):
        to_c(trained(), tmp_path / "model.h", name=3)
    with pytest.raises(TypeError, match=r"model must be a fastmlp\.MLP"):
        to_c(None, tmp_path / "model.h")
    model = trained()
    model._assign("biases", 0, np.full(9, np.inf, np.float32))
    with pytest.raises(ValueError, match=r"layers\.0\.biases holds NaN or infinity"):
        to_c(model, tmp_path / "model.h")
    assert not list(tmp_path.iterdir())


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for directory in ("one", "two"):
        (tmp_path / directory).mkdir()
        to_c(trained(), tmp_path / directory / "net.h")
    assert (tmp_path / "one/net.h").read_bytes() == (tmp_path / "two/net.h").read_bytes()
