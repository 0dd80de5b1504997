"""Networks for tables in C: inputs, factors, mixes and members, of random architectures."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

import fastmlp
from fastmlp.export import to_c
from fastmlp.inputs import Category, Numbers, Periodic
from support.c_programs import C_COMPILER, CPP_COMPILER, compiled
from support.tabular_networks import drawn, hostile_rows, saturated

SEEDS = range(40)
# By the largest output. Seen in 1000 networks: 4.1e-6 and 1.1e-14.
TOLERANCES = {"float32": 1e-5, "float64": 1e-13}

pytestmark = pytest.mark.skipif(C_COMPILER is None, reason="needs a C compiler")

_PROGRAM = """
#include <stdio.h>
{includes}

int main(void)
{{
{calls}
    return 0;
}}
"""
_CALL = """
    {{
        static {number} x[{name}_features], y[{name}_outputs];
        for (int n = 0; n < {count}; ++n) {{
            if (fread(x, sizeof x, 1, stdin) != 1) return 1;
            {name}_{function}(x, y);
            fwrite(y, sizeof y, 1, stdout);
        }}
    }}"""


def outputs_in_c(cases, directory, function="predict", **how):
    """What a function of each header computes for the samples of its case."""
    for name, (model, _) in cases.items():
        to_c(model, directory / f"{name}.h")
    calls = [
        _CALL.format(
            name=name, count=len(x), function=function,
            number="float" if model.dtype == np.float32 else "double",
        )
        for name, (model, x) in cases.items()
    ]  # fmt: skip
    includes = "\n".join(f'#include "{name}.h"' for name in cases)
    text = _PROGRAM.format(includes=includes, calls="".join(calls))
    samples = b"".join(np.ascontiguousarray(x).tobytes() for _, x in cases.values())
    program = compiled(directory, text, **how)
    done = subprocess.run([program], input=samples, capture_output=True, check=True)
    found, start = {}, 0
    for name, (model, x) in cases.items():
        size = len(x) * model.layer_sizes[-1] * model.dtype.itemsize
        part = np.frombuffer(done.stdout[start : start + size], model.dtype)
        found[name] = part.reshape(len(x), -1)
        start += size
    assert start == len(done.stdout)
    return found


def expected_outputs(model, x):
    return model.predict(x) if model.architecture.losses[0].name == "poisson" else model.forward(x)


def assert_close(found, expected, dtype, message):
    assert np.isfinite(found).all(), message
    bound = TOLERANCES[str(dtype)] * max(np.abs(expected).max(), 1e-30)
    assert np.abs(found - expected).max() <= bound, message


def test_random_networks(tmp_path):
    cases = {f"net{seed}": drawn(seed) for seed in SEEDS}
    chosen = {name: (case.model, case.x) for name, case in cases.items()}
    for name, found in outputs_in_c(chosen, tmp_path).items():
        case = cases[name]
        expected = expected_outputs(case.model, case.x)
        assert_close(found, expected, case.model.dtype, str(case))


@pytest.mark.parametrize("loss", ["softmax_cross_entropy", "softmax_output", "multilabel"])
def test_probabilities(loss, tmp_path):
    cases = {f"net{seed}": drawn(seed, loss_name=loss) for seed in range(6)}
    chosen = {name: (case.model, case.x) for name, case in cases.items()}
    for name, found in outputs_in_c(chosen, tmp_path, "probabilities").items():
        case = cases[name]
        difference = np.abs(found - case.model.predict_proba(case.x)).max()
        assert difference <= TOLERANCES[str(case.model.dtype)], case


def test_exact_networks_have_the_same_bits(tmp_path):
    """Clips, bins, codes, tables, factors, mixes, members: all but functions of the C library."""
    cases = {f"net{seed}": drawn(seed, exact=True) for seed in SEEDS}
    chosen = {name: (case.model, case.x) for name, case in cases.items()}
    flags = [f"-D{name}_EXACT" for name in cases]
    found = outputs_in_c(chosen, tmp_path, flags=(*flags, "-ffp-contract=off"))
    for name, outputs in found.items():
        case = cases[name]
        np.testing.assert_array_equal(outputs, case.model.forward(case.x), err_msg=str(case))


def test_hostile_samples(tmp_path):
    """Large and tiny numbers in all columns, also where codes are expected, and just outside."""
    cases = {}
    for seed in SEEDS:
        case = drawn(seed, exact=True, input_scale=1.0)
        cases[f"net{seed}"] = case.model, hostile_rows(case.model, case.model.dtype)
    flags = [f"-D{name}_EXACT" for name in cases]
    found = outputs_in_c(cases, tmp_path, flags=(*flags, "-ffp-contract=off"))
    for name, outputs in found.items():
        model, x = cases[name]
        np.testing.assert_array_equal(outputs, model.forward(x), err_msg=f"{name} {model}")


def test_members_that_are_certain(dtype, tmp_path):
    """Means of probabilities of 0 and 1 have finite logits, those of rates finite logarithms."""
    losses = ("softmax_cross_entropy", "binary", "poisson", "several")
    cases = {loss: saturated(loss, dtype) for loss in losses}
    for loss, found in outputs_in_c(cases, tmp_path).items():
        expected = expected_outputs(*cases[loss])
        assert_close(found, expected, dtype, loss)


def test_many_turns(dtype, tmp_path):
    """A cosine of 1e5 turns: turns are rounded as the core rounds them, so no digit is lost."""
    embedding = Periodic(bases=4, outputs=2, deviation=30.0, keeps_value=False)
    model = fastmlp.MLP(
        [2, 3], inputs=[Numbers(2, embedding=embedding)], loss="hinge",
        dtype=dtype, seed=1,
    )  # fmt: skip
    x = np.random.default_rng(3).uniform(-3000, 3000, (50, 2)).astype(dtype)
    found = outputs_in_c({"net": (model, x)}, tmp_path)["net"]
    difference = np.abs(found - model.forward(x)).max()
    assert difference <= {"float32": 1e-5, "float64": 1e-13}[dtype] * np.abs(found).max()


@pytest.mark.skipif(CPP_COMPILER is None, reason="needs a C++ compiler")
def test_the_header_is_valid_cpp(tmp_path):
    cases = {f"net{seed}": drawn(seed) for seed in range(12)}
    chosen = {name: (case.model, case.x) for name, case in cases.items()}
    found = outputs_in_c(chosen, tmp_path, compiler=CPP_COMPILER, standard="-std=c++11")
    for name, outputs in found.items():
        case = cases[name]
        expected = expected_outputs(case.model, case.x)
        assert_close(outputs, expected, case.model.dtype, str(case))


def test_members_reuse_one_buffer(tmp_path):
    """The stack does not grow with the members, and the comment tells its size."""
    sizes = {}
    for members in (2, 7):
        model = fastmlp.MLP(
            [3, 8, 6, 2], inputs=[Numbers(2), Category(5, size=4)], members=members, seed=1
        )
        to_c(model, tmp_path / "net.h")
        sizes[members] = (tmp_path / "net.h").read_text().replace("\n * ", " ")
    # The inputs, the outputs of both hidden layers and of a member, and those of all.
    stack = 4 * (6 + 8 + 6 + 2 + 2)
    assert all(f"about {stack} bytes of stack" in text for text in sizes.values())
