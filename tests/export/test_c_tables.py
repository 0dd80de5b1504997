"""Exported models of tables in C: rows of a struct give what the network gives, some to the bit."""

from __future__ import annotations

import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

import fastmlp
from fastmlp.export import to_c
from fastmlp.export.c_columns import field_names
from support.c_programs import C_COMPILER, CPP_COMPILER, compiled, rows_in_c
from support.export_tables import TASKS, TOLERANCES, cases, limited, served, subject

pytest.importorskip("polars")
pytestmark = pytest.mark.skipif(C_COMPILER is None, reason="needs a C compiler")

PIECEWISE_LINEAR = (
    "relu", fastmlp.LeakyReLU(slope=0.3), "identity", "hard_sigmoid", fastmlp.Step(),
    fastmlp.Sign(),
)  # fmt: skip


def assert_same_rows(found, case):
    assert ((found["found"][:, 0] != 0) == case.refused).all()
    np.testing.assert_array_equal(found["found"][:, 0], found["found"][:, 1])
    kept, x = served(case)
    assert found["x"][kept].tobytes() == x.tobytes()
    expected = case.model.forward(x)
    if case.model.preprocessing.task == "regression":
        expected = case.model.preprocessing.decode(expected)
    else:
        labels = case.model.predict(x)
        labels = labels[:, np.newaxis] if labels.ndim == 1 else labels
        np.testing.assert_array_equal(found["found"][kept, 2 : 2 + labels.shape[1]], labels)
    bound = TOLERANCES[case.model.dtype.name] * np.abs(expected).max()
    assert np.abs(found["outputs"][kept] - expected).max() <= bound


@cases
def test_c_reads_raw_rows_as_the_model(seed, chosen, tmp_path):
    case = subject(seed, **chosen)
    found = rows_in_c(case, tmp_path)
    assert_same_rows(found, case)
    names = [column.name for column in case.model.preprocessing.columns]
    for row in np.flatnonzero(case.refused):
        one = case.rows.rows(np.array([row]))
        problems = case.model.preprocessing.served_inputs(one)[1].of_row(0)
        first = min(names.index(n) for n in names if f"column {n!r}:" in problems)
        assert found["found"][row, 0] == first + 1


@pytest.mark.parametrize("standardizes", [True, False])
def test_predictions_are_limited_to_the_range_of_the_targets(standardizes, dtype, tmp_path):
    case = limited(subject(11, task="regression", dtype=dtype, standardize_target=standardizes))
    assert_same_rows(rows_in_c(case, tmp_path), case)


@pytest.mark.parametrize("normalizes", [False, True], ids=["", "batch_norm"])
@pytest.mark.parametrize("activation", PIECEWISE_LINEAR, ids=str)
def test_exact_sums_give_the_same_bits(activation, normalizes, dtype, tmp_path):
    case = subject(
        7, task="multilabel", dtype=dtype, activation=activation, batch_normalization=normalizes,
        input_scale=0.3,
    )  # fmt: skip
    random = np.random.Generator(np.random.PCG64(5))
    moments = {
        name: (1 + random.random(array.shape)).astype(dtype)
        for name, array in case.model.parameters().items()
        if name.endswith((".means", ".variances", ".scales"))
    }
    assert bool(moments) == normalizes
    case.model.set_parameters(case.model.parameters() | moments)
    found = rows_in_c(case, tmp_path, exact=True)
    kept, x = served(case)
    assert found["outputs"][kept].tobytes() == case.model.forward(x).tobytes()
    plain = rows_in_c(case, tmp_path)
    if "dentity" in str(activation):
        assert plain["outputs"][kept].tobytes() != case.model.forward(x).tobytes()


def test_exact_sums_of_other_activations_differ_by_the_library_alone(dtype, tmp_path):
    case = subject(8, task="classification", dtype=dtype, activation="tanh")
    found = rows_in_c(case, tmp_path, exact=True)
    kept, x = served(case)
    expected = case.model.forward(x)
    bound = TOLERANCES[dtype] * np.abs(expected).max()
    assert np.abs(found["outputs"][kept] - expected).max() <= bound


@pytest.mark.skipif(CPP_COMPILER is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("standard", ["-std=c++11", "-std=c++20"])
def test_the_header_is_valid_cpp(standard, dtype, tmp_path):
    for seed, task in enumerate(TASKS):
        case = subject(seed, task=task, dtype=dtype)
        found = rows_in_c(case, tmp_path, compiler=CPP_COMPILER, standard=standard)
        assert_same_rows(found, case)


@pytest.mark.parametrize("task", TASKS)
def test_the_comment_shows_a_program_that_works(task, tmp_path):
    to_c(subject(3, task=task).model, tmp_path / "net.h")
    lines = (tmp_path / "net.h").read_text().splitlines()
    shown = [line[7:] for line in lines if line.startswith(" *     ")]
    used = "if (failed) return outputs[0] > 0;"
    names = "if (name == NULL) return 1;" if task == "classification" else ""
    body = "\n".join([*shown[1:], used, names])
    compiled(tmp_path, f"{shown[0]}\nint main(void)\n{{\n{body}\nreturn 0;\n}}\n")


def test_no_macro_of_the_usual_headers_is_a_field(tmp_path):
    headers = ("math", "string", "stdio", "stdlib", "stdint", "stdbool", "float")
    text = "\n".join(f"#include <{header}.h>" for header in headers)
    source = tmp_path / "headers.c"
    source.write_text(text + "\n")
    for standard in ("-std=gnu11", "-std=c99"):
        done = subprocess.run(
            [C_COMPILER, standard, "-dM", "-E", source], capture_output=True, text=True, check=True
        )
        words = {line.split()[1] for line in done.stdout.splitlines()}
        macros = sorted(word for word in words if "(" not in word and word[0] != "_")
        assert len(macros) > 50
        columns = [SimpleNamespace(name=macro) for macro in macros]
        kept = [m for m, f in zip(macros, field_names(columns), strict=True) if m == f]
        assert kept == []
