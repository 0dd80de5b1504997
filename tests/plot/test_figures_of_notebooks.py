"""What a notebook shows of a figure: once, as the last line or under plt.show(); elsewhere none."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from support.cli_process import TIMEOUT, environment

pytest.importorskip("matplotlib")

CELLS = {
    "last line": "plot.activation_functions('relu')",
    "not the last line": "plot.activation_functions('relu'); 3",
    "show": "import matplotlib.pyplot as plt\nplot.activation_functions('tanh')\nplt.show()",
    "changed": "plot.activation_functions('relu')\nplt.title('mine')\n"
    "told = plt.gcf().axes[0].get_title()",
    "two": "plot.activation_functions('relu'); plot.activation_functions('tanh')",
    "own axes": "figure, ax = plt.subplots()\nplot.activation_functions('relu', ax=ax)",
    "text": "told = plot.svg(plot.activation_functions('relu'))[:5]",
    "text of own axes": "figure, ax = plt.subplots()\n"
    "told = plot.svg(plot.activation_functions('relu', ax=ax))[:5]",
    "in a thread": "import threading\n"
    "worker = threading.Thread(target=plot.activation_functions, args=('relu',))\n"
    "worker.start(); worker.join()",
    "left": "told = plt.get_fignums()",
    "fit": "model = fastmlp.MLP([2, 3, 2])\n"
    "model.fit([[0, 1], [1, 0]], [0, 1], epochs=5, verbose=0)",
    "curves": "plot.learning_curves(model.history)",
    "train": "x, y = fastmlp.datasets.make('moons', 20)\n"
    "model, recorder = fastmlp.MLP([2, 3, 2]), fastmlp.ParameterRecorder()\n"
    "history = model.fit(x, y, epochs=3, callbacks=[recorder], verbose=0)",
    "panels": "plot.decision_regions_over_time(model, x, y, recorder, resolution=5)",
    "frames": "frames = plot.training_frames(model, x, y, recorder, history, resolution=5)\n"
    "told = len(plot.animation(frames)) > 1000",
    "animation of pictures": "told = len(plot.animation([plot.gradient_norms([1, 2])])) > 1000",
}
# The number of pictures of each cell.
PICTURES = {
    "last line": 1, "not the last line": 1, "show": 1, "changed": 1, "two": 2, "own axes": 1,
    "text": 0, "text of own axes": 1, "in a thread": 0, "left": 0, "fit": 0, "curves": 1,
    "train": 0, "panels": 1, "frames": 0, "animation of pictures": 0,
}  # fmt: skip

# A shell whose name is that of a kernel, which keeps what it displays.
RUN_CELLS = """
import contextlib, io, json, sys
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

class ZMQInteractiveShell(InteractiveShell):
    pass

shell = ZMQInteractiveShell.instance()
shell.run_cell("import fastmlp; from fastmlp import plot")
results = {}
for name, code in json.load(sys.stdin).items():
    publisher = shell.display_pub = CapturingDisplayPublisher(parent=shell)
    publisher.outputs = []
    shell.user_ns["told"] = None
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        result = shell.run_cell(code)
    result.raise_error()
    results[name] = {
        "pictures": sum("image/png" in output["data"] for output in publisher.outputs),
        "told": shell.user_ns["told"], "printed": printed.getvalue(),
    }
print("RESULTS", json.dumps(results), sep="")
"""
INLINE = "module://matplotlib_inline.backend_inline"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    pytest.importorskip("IPython")
    pytest.importorskip("matplotlib_inline")
    folder = str(tmp_path_factory.mktemp("ipython"))
    done = subprocess.run(
        [sys.executable, "-c", RUN_CELLS], input=json.dumps(CELLS), capture_output=True, text=True,
        timeout=TIMEOUT, env=environment(IPYTHONDIR=folder, MPLBACKEND=INLINE), check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.partition("RESULTS")[2])


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_shows_each_of_its_figures_once(shown, cell):
    assert shown[cell]["pictures"] == PICTURES[cell]


def test_pyplot_has_the_figure_until_it_is_shown(shown):
    assert shown["changed"]["told"] == "mine"
    assert shown["text"]["told"] == shown["text of own axes"]["told"] == "<?xml"
    assert shown["left"]["told"] == []


def test_a_training_as_the_last_line_prints_a_short_object(shown):
    text = shown["fit"]["printed"].strip().removeprefix("Out[0]: ")
    assert text.startswith("History(epochs=5, loss=")
    assert len(text) < 60


@pytest.mark.parametrize(
    ("backend", "imports_pyplot", "numbers"),
    [
        ("agg", True, [[], []]),
        ("agg", False, None),
        (INLINE, True, [[1], []]),
        (INLINE, False, None),
    ],
)
def test_outside_of_notebooks_pyplot_has_figures_only_where_it_shows_them(
    backend, imports_pyplot, numbers
):
    pytest.importorskip("matplotlib_inline")
    code = f"""
import json, sys
{"import matplotlib.pyplot as plt" if imports_pyplot else ""}
from fastmlp import plot
axes = plot.activation_functions("relu")
plt = sys.modules.get("matplotlib.pyplot")
before = plt and plt.get_fignums()
text = plot.svg(axes)
print(json.dumps(plt and [before, plt.get_fignums()]))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True,
        timeout=TIMEOUT, env=environment(MPLBACKEND=backend),
    )  # fmt: skip
    assert json.loads(done.stdout) == numbers


RUN_NOTEBOOK = """
import json, sys
import nbclient, nbformat
cells = [nbformat.v4.new_code_cell(code) for code in json.load(sys.stdin)]
notebook = nbformat.v4.new_notebook(cells=cells)
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
print(json.dumps([cell.outputs for cell in notebook.cells]))
"""


def test_a_kernel_shows_the_figures(tmp_path):
    pytest.importorskip("ipykernel")
    pytest.importorskip("nbclient")
    done = subprocess.run(
        [sys.executable, "-c", RUN_NOTEBOOK],
        input=json.dumps(["import fastmlp; from fastmlp import plot", *CELLS.values()]),
        check=True, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT, cwd=tmp_path,
        env=environment(IPYTHONDIR=str(tmp_path), JUPYTER_CONFIG_DIR=str(tmp_path)),
    )  # fmt: skip
    outputs = json.loads(done.stdout)[1:]
    counts = [sum("image/png" in each.get("data", {}) for each in cell) for cell in outputs]
    assert dict(zip(CELLS, counts, strict=True)) == PICTURES
