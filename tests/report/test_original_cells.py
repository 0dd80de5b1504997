"""The cells that a report shows are those of the data, however the network reads them."""

from __future__ import annotations

import numpy as np
import pytest

import fastmlp
from fastmlp.data.frames import table_of
from fastmlp.report.subject import original_inputs, source_columns

pytest.importorskip("polars")
ROWS = 80


def drawn(seed: int) -> dict[str, list]:
    """Columns of numbers, names and truth values, in random order."""
    random = np.random.default_rng(seed)
    columns = {
        "size": random.choice([0.5, 3.0, 12.25, 800.0], ROWS).tolist(),
        "town": random.choice(["Athens", "Bonn", "Cadiz", "Delft"], ROWS).tolist(),
        "plan": random.choice(["basic", "pro"], ROWS).tolist(),
        "own": random.choice([False, True], ROWS).tolist(),
        # Each often enough to be in the training part: the network does not know others.
        "many": random.permutation([f"name {i % 12}" for i in range(ROWS)]).tolist(),
    }
    names = random.permutation(sorted(columns))
    return {str(name): columns[name] for name in names}


@pytest.mark.parametrize("scaling", ["standard", "robust", "quantile"])
@pytest.mark.parametrize("category_inputs", ["one_hot", "code"])
@pytest.mark.parametrize("seed", range(3), indirect=True)
def test_cells_are_shown_as_they_were(seed, category_inputs, scaling):
    columns = drawn(seed)
    kind = np.random.default_rng(seed + 100).choice(["a", "b"], ROWS).tolist()
    options = {"scaling": scaling, "category_inputs": category_inputs}
    if category_inputs == "one_hot":
        options["architecture"] = "mlp"
    model = fastmlp.Model(target="kind", epochs=1, hidden=[4], **options)
    preprocessing = model.fit({**columns, "kind": kind}, verbose=0).network.preprocessing
    unknown = {**columns, "town": ["Essen", *columns["town"][1:]]}
    inputs = preprocessing.inputs(table_of(unknown, "X"))
    values = original_inputs(inputs, preprocessing)
    for column in source_columns(values.shape[1], preprocessing):
        shown = [column.text(row) for row in values]
        expected = [
            f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in columns[column.name]
        ]
        if column.name == "own":
            expected = [text.lower() for text in expected]
        if column.name == "town":
            expected[0] = "-"
        assert [text.lower() for text in shown] == [text.lower() for text in expected], column.name
