"""The live table: in a real IPython shell whose displays are kept, and in a real kernel."""

from __future__ import annotations

import json
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import fastmlp
from fastmlp import notebook
from fastmlp.notebook import LiveTable, in_notebook
from support.cli_process import TIMEOUT, environment
from support.strategies import problem

# Runs cells and writes down, for each, what it displayed, printed and left in `told`.
RUN_CELLS = """
import contextlib, io, json, sys
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

class ZMQInteractiveShell(InteractiveShell):
    "That of a kernel, by its name."

kind, cells = json.load(sys.stdin)
shell = {"kernel": ZMQInteractiveShell, "terminal": InteractiveShell}[kind].instance()
results = {}
for name, code in cells.items():
    publisher = shell.display_pub = CapturingDisplayPublisher(parent=shell)
    publisher.outputs = []
    shell.user_ns["told"] = None
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        with contextlib.redirect_stdout(io.StringIO()):
            result = shell.run_cell(code)
    results[name] = {
        "displays": publisher.outputs, "stderr": stderr.getvalue(), "told": shell.user_ns["told"],
        "error": repr(result.error_in_exec or result.error_before_exec or ""),
        "waiting": len(shell.events.callbacks["post_run_cell"]),
    }
print("RESULTS", json.dumps(results), sep="")
"""

PREPARATION = """
import numpy as np
import fastmlp
from fastmlp import notebook
from fastmlp.callbacks import Callback
from fastmlp.notebook import LiveTable

random = np.random.Generator(np.random.PCG64(3))
x = random.normal(size=(120, 4))
labels = (x[:, 0] > 0).astype(int)

def fit(*callbacks, y=labels, loss="softmax_cross_entropy", validation=True, model=None, **options):
    model = model or fastmlp.MLP([4, 5, 1 if loss == "mse" else 2], loss=loss, seed=1)
    data = (x[:40], y[:40]) if validation else None
    options = {"validation_data": data, "callbacks": callbacks, "diagnose": False} | options
    return vars(model.fit(x, y, **options))

class StopsAt(Callback):
    def __init__(self, epoch, error=None):
        self.epoch, self.error = epoch, error
    def on_epoch_end(self, training, record):
        if record["epoch"] == self.epoch:
            if self.error:
                raise self.error
            return True
"""
CELLS = {
    "preparation": PREPARATION,
    "each": "notebook._UPDATE_SECONDS = 0.0; told = fit(LiveTable(), epochs=5, verbose=0)",
    # From here on the time for another update never comes: what is shown has to be shown.
    "last": "notebook._UPDATE_SECONDS = 1e9; told = fit(LiveTable(), epochs=5, verbose=0)",
    "verbose": "told = fit(epochs=3)",
    "verbose with a table": "told = fit(LiveTable(monitor='loss'), epochs=3, verbose=1)",
    "silent": "told = fit(epochs=3, verbose=0)",
    "regression": "told = fit(y=x[:, :1], loss='mse', epochs=4)",
    "no validation": "told = fit(validation=False, epochs=4)",
    "stopped": "told = fit(StopsAt(3), epochs=9)",
    "raises": "fit(StopsAt(3, KeyboardInterrupt()), epochs=9)",
    "used again": """
table = LiveTable(monitor="val_loss")
try:
    fit(table, StopsAt(2, OSError()), epochs=9)
except OSError:
    told = fit(table, epochs=3, verbose=0)
""",
    "long": """
class Worsens(Callback):
    def on_epoch_begin(self, training):
        training.learning_rate = 0.0 if training.epoch < 2 else 30.0
told = fit(LiveTable("val_loss"), Worsens(), epochs=500, verbose=0,
           optimizer=fastmlp.SGD(momentum=0.0, max_norm=1.0))
""",
    "goes on": """
model = fastmlp.MLP([4, 5, 2], seed=1)
fit(epochs=3, model=model, verbose=0)
told = fit(epochs=2, model=model, resume=True)
""",
    "not monitored": "fit(LiveTable('val_f1'), epochs=2, verbose=0)",
}


def run_cells(kind: str, cells: dict[str, str]) -> dict:
    pytest.importorskip("IPython")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN_CELLS], input=json.dumps([kind, cells]),
        capture_output=True, text=True, timeout=TIMEOUT, env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.partition("RESULTS")[2])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        return run_cells("kernel", CELLS)


def html_of(display: dict) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{display['data']['text/html']}</div>")


def table_of(display: dict) -> list[list[str]]:
    return [[cell.text or "" for cell in row] for row in html_of(display).iterfind("./table/*/tr")]


def bold_rows(display: dict) -> list[list[str]]:
    rows = html_of(display).findall("./table/tbody/tr[@style='font-weight: bold']")
    return [[cell.text for cell in row] for row in rows]


def test_there_is_a_row_per_epoch_with_all_that_was_measured(results):
    history = results["each"]["told"]
    *_, last = results["each"]["displays"]
    header, *rows = table_of(last)
    assert header == [
        "epoch", "loss", "accuracy", "val_loss", "val_accuracy", "seconds", "rate", "",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5"]
    for column in (1, 2, 3, 4):
        values = [float(row[column]) for row in rows]
        assert values == pytest.approx(history[header[column]], abs=5e-5)
    seconds = [float(row[5]) for row in rows]
    assert seconds == pytest.approx(history["epoch_seconds"], rel=0.06)
    assert {row[6] for row in rows} == {"0.002"}
    best = max(range(5), key=lambda epoch: history["val_accuracy"][epoch])
    assert [row[7] for row in rows] == ["best" if epoch == best else "" for epoch in range(5)]
    assert bold_rows(last) == [rows[best]]


def test_every_update_is_of_one_display(results):
    first, *updates = results["each"]["displays"]
    assert [len(table_of(update)) for update in updates] == [2, 3, 4, 5, 6]
    assert not first["update"]
    assert all(update["update"] for update in updates)
    names = {display["transient"]["display_id"] for display in (first, *updates)}
    assert len(names) == 1
    others = {display["transient"]["display_id"] for display in results["last"]["displays"]}
    assert not names & others


def test_updates_wait_but_the_last_epoch_is_always_shown(results):
    texts = [display["data"]["text/plain"] for display in results["last"]["displays"]]
    assert [text.splitlines()[0] for text in texts] == [
        "epoch 0 of 5", "epoch 1 of 5", "epoch 5 of 5",
    ]  # fmt: skip
    assert len(table_of(results["last"]["displays"][-1])) == 6


@pytest.mark.parametrize("cell", ["stopped", "raises"])
def test_the_epoch_that_a_training_ends_with_is_shown(results, cell):
    texts = [display["data"]["text/plain"] for display in results[cell]["displays"]]
    assert [text.splitlines()[0] for text in texts] == [
        "epoch 0 of 9", "epoch 1 of 9", "epoch 3 of 9",
    ]  # fmt: skip
    assert ("KeyboardInterrupt" in results[cell]["error"]) == (cell == "raises")


def test_nothing_waits_for_later_cells(results):
    assert {result["waiting"] for result in results.values()} == {results["preparation"]["waiting"]}


def test_a_table_can_be_used_again(results):
    shown = results["used again"]["displays"]
    texts = [display["data"]["text/plain"].splitlines()[0] for display in shown]
    assert texts == [
        "epoch 0 of 9", "epoch 1 of 9", "epoch 2 of 9",
        "epoch 0 of 3", "epoch 1 of 3", "epoch 3 of 3",
    ]  # fmt: skip
    val_loss = results["used again"]["told"]["val_loss"]
    assert bold_rows(shown[-1])[0][0] == str(1 + val_loss.index(min(val_loss)))


def test_fit_shows_a_table_instead_of_lines(results):
    assert results["verbose"]["stderr"] == ""
    assert len(table_of(results["verbose"]["displays"][-1])) == 4
    assert results["silent"]["displays"] == []
    assert results["silent"]["stderr"] == ""


def test_fit_shows_one_table_where_one_is_asked_for(results):
    shown = results["verbose with a table"]["displays"]
    assert len({display["transient"]["display_id"] for display in shown}) == 1
    losses = results["verbose with a table"]["told"]["loss"]
    assert bold_rows(shown[-1])[0][0] == str(1 + losses.index(min(losses)))


@pytest.mark.parametrize(
    ("cell", "columns", "monitored"),
    [
        ("regression", ["epoch", "loss", "val_loss", "seconds", "rate", ""], "val_loss"),
        ("no validation", ["epoch", "loss", "accuracy", "seconds", "rate", ""], "accuracy"),
    ],
)
def test_columns_are_what_there_is(results, cell, columns, monitored):
    last = results[cell]["displays"][-1]
    values = results[cell]["told"][monitored]
    best = (max if monitored == "accuracy" else min)(values)
    assert table_of(last)[0] == columns
    assert bold_rows(last)[0][0] == str(1 + values.index(best))


def test_a_long_training_keeps_its_best_epoch(results):
    history = results["long"]["told"]["val_loss"]
    best = 1 + history.index(min(history))
    assert best < 400, "the case does not test what it is for"
    last = results["long"]["displays"][-1]
    epochs = [int(row[0]) for row in table_of(last)[1:]]
    assert epochs == [best, *range(472, 501)]
    assert bold_rows(last)[0][0] == str(best)


def test_a_training_that_goes_on_counts_on(results):
    last = results["goes on"]["displays"][-1]
    assert [row[0] for row in table_of(last)[1:]] == ["4", "5"]
    assert last["data"]["text/plain"].startswith("epoch 5 of 5\n")


def test_a_value_that_does_not_exist_cannot_be_monitored(results):
    assert "monitor must be one of epoch, loss" in results["not monitored"]["error"]


def test_the_text_says_what_the_table_says(results):
    last = results["each"]["displays"][-1]
    caption, *lines = last["data"]["text/plain"].splitlines()
    assert caption == html_of(last).find("./table/caption").text == "epoch 5 of 5"
    assert [line.split() for line in lines] == [
        [cell for cell in row if cell] for row in table_of(last)
    ]


@pytest.mark.parametrize("cell", ["each", "no validation", "long"])
def test_the_curve_goes_through_the_losses(results, cell):
    history = results[cell]["told"]
    svg = html_of(results[cell]["displays"][-1]).find("svg")
    both = history["loss"] + history["val_loss"]
    low, high = min(both), max(both)
    lines = svg.findall("polyline")
    assert len(lines) == (2 if history["val_loss"] else 1)
    last = len(history["loss"]) - 1
    for line, values in zip(lines, (history["loss"], history["val_loss"]), strict=False):
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) == min(last + 1, 300)
        assert (points[0][0], points[-1][0]) == (4.0, 356.0)
        for x, y in points:
            value = values[round((x - 4) / 352 * last)]
            assert y == pytest.approx(56 - 52 * (value - low) / (high - low), abs=0.06)
    assert f"between {low:.4g} and {high:.4g}" in svg.find("title").text


def test_the_best_epoch_is_marked_on_the_curve(results):
    history = results["regression"]["told"]["val_loss"]
    svg = html_of(results["regression"]["displays"][-1]).find("svg")
    circle = svg.find("circle")
    points = svg.findall("polyline")[1].get("points").split()
    assert f"{circle.get('cx')},{circle.get('cy')}" == points[history.index(min(history))]


def test_a_terminal_is_no_notebook():
    cells = {"preparation": PREPARATION, "fit": "fit(epochs=2); told = notebook.in_notebook()"}
    result = run_cells("terminal", cells)["fit"]
    assert result["told"] is False
    assert result["displays"] == []
    assert [line[:9] for line in result["stderr"].splitlines()] == ["epoch 1/2", "epoch 2/2"]


def test_outside_of_ipython_there_is_no_table():
    assert not in_notebook()
    x, y = problem("softmax_cross_entropy", 20, 4, 3, "float32")
    model = fastmlp.MLP([4, 3], seed=0)
    before = model.weights[0].copy()
    with pytest.raises(RuntimeError, match="LiveTable needs a running IPython"):
        model.fit(x, y, callbacks=[LiveTable()], verbose=0)
    assert (model.weights[0] == before).all()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"monitor": 3}, TypeError, "monitor must be a string"),
        ({"mode": "most"}, ValueError, "mode must be"),
    ],
)
def test_wrong_arguments_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        LiveTable(**options)


def test_losses_that_are_no_numbers_leave_gaps():
    nan, inf = float("nan"), float("inf")
    assert notebook._curve({"loss": [nan, inf], "val_loss": []}, 2, None) == ""
    svg = notebook._curve({"loss": [1.0, nan, 3.0], "val_loss": [inf, nan, nan]}, 3, 1)
    shapes = ElementTree.fromstring(f"<div>{svg}</div>").find("svg")
    assert [line.get("points") for line in shapes.iter("polyline")] == ["4,56 356,4"]
    assert shapes.find("circle") is None


def test_using_the_table_is_what_imports_ipython():
    code = (
        "import sys, fastmlp; from fastmlp.notebook import LiveTable, in_notebook; LiveTable();"
        "assert not in_notebook(); assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=TIMEOUT)


RUN_NOTEBOOK = """
import json, sys
import nbclient, nbformat
cells = [nbformat.v4.new_code_cell(code) for code in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
print(json.dumps(notebook.cells[-1].outputs))
"""


def test_a_kernel_shows_the_table(tmp_path):
    """The whole way: fit, kernel, messages, the outputs that a notebook file keeps."""
    pytest.importorskip("ipykernel")
    pytest.importorskip("nbclient")
    done = subprocess.run(
        [sys.executable, "-c", RUN_NOTEBOOK],
        input=json.dumps([PREPARATION, "told = fit(epochs=40)"]),
        check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, cwd=tmp_path,
        env=environment(IPYTHONDIR=str(tmp_path), JUPYTER_CONFIG_DIR=str(tmp_path)),
    )  # fmt: skip
    (output,) = json.loads(done.stdout)
    assert output["output_type"] == "display_data"
    assert output["data"]["text/plain"].startswith("epoch 40 of 40\n")
    assert len(table_of(output)) == 1 + 30
