"""Programs in C and C++, compiled without a warning."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np

from fastmlp.export import to_c

C_COMPILER = shutil.which("cc")
CPP_COMPILER = shutil.which("c++")
STRICT = (
    "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wdouble-promotion", "-Wshadow", "-Werror",
)  # fmt: skip


def compiled(directory, text, *, compiler=C_COMPILER, standard="-std=c99", flags=()):
    """Return the program of a source text."""
    suffix = ".c" if "++" not in standard else ".cpp"
    source, program = directory / f"main{suffix}", directory / "program"
    source.write_text(text)
    done = subprocess.run(
        [compiler, standard, *STRICT, "-O2", *flags, "-o", program, source, "-lm"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[:4000]
    return program


def literal(text):
    """Return a string of C, every byte of which is a number."""
    return '"' + "".join(f"\\{byte:03o}" for byte in text.encode()) + '"'


# ---------------------------------------------------------------- rows of tables

_ROWS = """
#include <stdio.h>
#include "net.h"

static const net_row rows[{count}] = {{
{rows}
}};

int main(void)
{{
    for (int n = 0; n < {count}; ++n) {{
        {number} x[net_features], outputs[net_outputs];
        int found[2 + net_outputs] = {{0}};
        found[0] = net_encode(&rows[n], x);
        found[1] = net_predict_row(&rows[n], outputs);
        {classify}
        fwrite(found, sizeof found, 1, stdout);
        fwrite(x, sizeof x, 1, stdout);
        fwrite(outputs, sizeof outputs, 1, stdout);
    }}
    return 0;
}}
"""


def _value(cell):
    if isinstance(cell, str):
        return literal(cell) if cell else "NULL"
    return repr(float(cell)).replace("nan", "NAN").replace("inf", "INFINITY")


def rows_in_c(case, directory, *, exact=False, **how):
    """Numbers of the refused columns, inputs, outputs and labels of all rows."""
    to_c(case.model, directory / "net.h")
    columns, count = case.model.preprocessing.columns, len(case.rows)
    cells = [case.values[column.name] for column in columns]
    rows = ("    {" + ", ".join(map(_value, row)) + "}," for row in zip(*cells, strict=True))
    decides = case.model.preprocessing.task != "regression"
    text = _ROWS.format(
        count=count, rows="\n".join(rows),
        number="float" if case.model.dtype == np.float32 else "double",
        classify="net_classify_row(&rows[n], &found[2]);" if decides else "",
    )  # fmt: skip
    flags = ("-Dnet_EXACT", "-ffp-contract=off") if exact else ()
    program = compiled(directory, text, flags=flags, **how)
    done = subprocess.run([program], capture_output=True, check=True)
    outputs = case.model.layer_sizes[-1]
    row = np.dtype(
        [
            ("found", np.intc, 2 + outputs),
            ("x", case.model.dtype, case.inputs.shape[1]),
            ("outputs", case.model.dtype, outputs),
        ]
    )
    found = np.frombuffer(done.stdout, row)
    assert len(found) == count
    return found
