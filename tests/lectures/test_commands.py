"""Systems of the course material that are whole commands: the MNIST study, photographs."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from support.cli_process import run
from support.paths import ROOT

EXAMPLES = ROOT / "examples"


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="needs a source checkout")
def test_the_study_prints_a_row_for_each_network():
    """System 18, on the small digits for two epochs."""
    pytest.importorskip("sklearn")
    script = EXAMPLES / "lectures_mnist_study.py"
    done = subprocess.run(
        [sys.executable, script, "--data", "digits", "--epochs", "2"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if "%" in line]
    assert len(rows) >= 12
    assert any("scikit-learn" in row for row in rows)
    accuracies = [float(row.partition("%")[0].split()[-1]) for row in rows]
    assert min(accuracies) > 50
    assert max(accuracies) > 90


def test_photographs_of_3072_numbers(tmp_path):
    """System 21: 32 x 32 pixels of three colors, flattened, from folders of files."""
    image = pytest.importorskip("PIL.Image")
    random = np.random.Generator(np.random.PCG64(1))
    colors = {"sea": (30, 80, 200), "wood": (40, 160, 40), "sand": (220, 190, 90)}
    for label, color in colors.items():
        folder = tmp_path / "photos" / label
        folder.mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(random.normal(color, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
            image.fromarray(pixels).save(folder / f"{number}.png")
    trained = run(
        "train",
        "photos",
        "--hidden",
        "16",
        "--epochs",
        "8",
        "--lr",
        "0.01",
        "--batch-size",
        "8",
        "--no-report",
        "--json",
        cwd=tmp_path,
    )
    assert trained.returncode == 0, trained.stderr
    result = json.loads(trained.stdout)
    assert result["layer_sizes"] == [3072, 16, 3]
    assert result["test"]["accuracy"] > 0.9
