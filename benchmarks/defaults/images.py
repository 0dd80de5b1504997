"""Folders of ten kinds of images: what `fastmlp train` reaches at defaults, beside scikit-learn.

    python benchmarks/defaults/images.py                     # all kinds
    python benchmarks/defaults/images.py --kind bright --splits 1
    python benchmarks/defaults/images.py --references        # measure scikit-learn again

A quarter of the pictures is the test part, which holds the classes in their shares. The pictures of
each kind are drawn with one seed; the splits and the networks have the seeds from 0. fastmlp reads
them from a folder with the parts train/CLASS and test/CLASS, so that the last epoch is measured and
nothing is selected. scikit-learn gets the same parts as arrays, divided by 255 ("pixels") or
standardized column by column ("standard").
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits, load_sample_image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

import fastmlp

Pictures = tuple[np.ndarray, np.ndarray]
# The test parts of few pictures are small, so that more of them are needed.
SPLITS = {"few": 10}
USUAL_SPLITS = 3
REFERENCES = Path(__file__).parent / "results" / "images-scikit-learn.json"


# ---------------------------------------------------------------- the kinds


def shapes(
    rng: np.random.Generator, count: int, size: int, background: float, noise: float, step: float,
    shift: int,
) -> Pictures:  # fmt: skip
    """Return discs, squares and triangles, `step` brighter than a noisy background."""
    labels = np.arange(count) % 3
    down, right = np.indices((size, size))
    pictures = rng.normal(background, noise, (count, size, size))
    for picture, label in zip(pictures, labels, strict=True):
        middle = size / 2 + rng.integers(-shift, shift + 1, 2)
        radius = size * rng.uniform(0.22, 0.32)
        y, x = down - middle[0], right - middle[1]
        inside = (
            x**2 + y**2 < radius**2,
            (abs(x) < 0.89 * radius) & (abs(y) < 0.89 * radius),
            (y < 0.8 * radius) & (y > -radius + 2.2 * abs(x)),
        )[label]
        picture[inside] += step
    return np.clip(pictures, 0, 255).astype(np.uint8), labels


def bright(rng: np.random.Generator) -> Pictures:
    """Shapes of 24 x 24 pixels on a bright background of much noise."""
    return shapes(rng, 900, 24, 200, 18, 40, 3)


def large(rng: np.random.Generator) -> Pictures:
    """Shapes of 64 x 64 pixels, dark on medium gray."""
    return shapes(rng, 600, 64, 140, 30, -50, 6)


def few(rng: np.random.Generator) -> Pictures:
    """Shapes of 24 x 24 pixels, 60 of each class."""
    return shapes(rng, 180, 24, 90, 12, 40, 2)


def mnist(rng: np.random.Generator, count: int = 2000) -> Pictures:
    """The dark pictures of MNIST."""
    data = fastmlp.datasets.load("mnist")
    chosen = rng.choice(len(data.x_train), count, replace=False)
    return data.x_train[chosen].reshape(-1, 28, 28), data.y_train[chosen]


def inverted(rng: np.random.Generator) -> Pictures:
    """The same in black on white."""
    pictures, labels = mnist(rng)
    return 255 - pictures, labels


def faint(rng: np.random.Generator) -> Pictures:
    """The same with all pixels between 100 and 130."""
    pictures, labels = mnist(rng)
    noisy = 103 + pictures * (24 / 255) + rng.normal(0, 1, pictures.shape)
    return np.clip(noisy, 100, 130).astype(np.uint8), labels


def unequal(rng: np.random.Generator) -> Pictures:
    """Threes, fives and eights of MNIST, 900, 300 and 60 of them."""
    pictures, labels = mnist(rng, 20_000)
    rows = [np.flatnonzero(labels == c)[:n] for c, n in ((3, 900), (5, 300), (8, 60))]
    return pictures[np.concatenate(rows)], np.repeat(np.arange(3), [len(r) for r in rows])


def digits(_rng: np.random.Generator) -> Pictures:
    """The digits of scikit-learn, 8 x 8 pixels."""
    data = load_digits()
    return (data.images * 15).astype(np.uint8), data.target


def textures(rng: np.random.Generator) -> Pictures:
    """Stripes, checks, spots and noise of 16 x 16 pixels in random colors."""
    count = 1200
    labels = np.arange(count) % 4
    down, right = np.indices((16, 16))
    pictures = np.empty((count, 16, 16, 3))
    for at, label in enumerate(labels):
        first, second = rng.integers(0, 16, 2)
        pattern = (
            np.sin((right + first) * np.pi / 4),
            np.sign(np.sin((right + first) * np.pi / 4) * np.sin((down + second) * np.pi / 4)),
            2 * np.exp(-((right - first) ** 2 + (down - second) ** 2) / 12) - 0.5,
            rng.normal(0, 0.7, (16, 16)),
        )[label]
        color, tint = rng.uniform(90, 165, 3), rng.uniform(20, 60, 3)
        pictures[at] = color + pattern[..., None] * tint + rng.normal(0, 8, (16, 16, 3))
    return np.clip(pictures, 0, 255).astype(np.uint8), labels


def photos(rng: np.random.Generator) -> Pictures:
    """Patches of 16 x 16 pixels of two photographs, in color."""
    images = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    labels = np.arange(1600) % 2
    corners = [(rng.integers(0, 411), rng.integers(0, 624)) for _ in labels]
    patches = [images[c][y : y + 16, x : x + 16] for c, (y, x) in zip(labels, corners, strict=True)]
    return np.stack(patches), labels


KINDS: dict[str, Callable[[np.random.Generator], Pictures]] = {
    kind.__name__: kind
    for kind in (
        bright,
        mnist,
        inverted,
        faint,
        unequal,
        digits,
        textures,
        photos,
        large,
        few,
    )  # fmt: skip
}


def parts(kind: str, split: int) -> tuple[Pictures, Pictures]:
    """Return training and test part of a kind."""
    pictures, labels = KINDS[kind](np.random.default_rng(0))
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.25, random_state=split, stratify=labels
    )
    return (pictures[train], labels[train]), (pictures[test], labels[test])


# ---------------------------------------------------------------- the measurements


def write_folder(root: str | os.PathLike[str], part: Pictures) -> None:
    """Write pictures as ROOT/CLASS/NUMBER.png."""
    for at, (picture, label) in enumerate(zip(*part, strict=True)):
        folder = Path(root, f"class-{label}")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / f"{at}.png")


def accuracy_at_defaults(kind: str, split: int, settings: list[str]) -> tuple[float, float]:
    """Return the test accuracy of `fastmlp train FOLDER`, and the seconds of its epochs."""
    with tempfile.TemporaryDirectory() as root:
        for name, part in zip(("train", "test"), parts(kind, split), strict=True):
            write_folder(Path(root, "pictures", name), part)
        command = [sys.executable, "-m", "fastmlp", "train", "pictures", "--json"]
        command += ["--seed", str(split)]
        for setting in settings:
            command += ["--set", setting]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        result = json.loads(done.stdout)
    return result["test"]["accuracy"], result["training_seconds"]


def accuracies_of_scikit_learn(kind: str, split: int) -> dict[str, float]:
    """Return the test accuracy of each reference."""
    (x, y), (x_test, y_test) = parts(kind, split)
    x, x_test = x.reshape(len(x), -1), x_test.reshape(len(x_test), -1)
    scalers = {"pixels": FunctionTransformer(lambda a: a / 255.0), "standard": StandardScaler()}
    models = {
        "logistic regression": LogisticRegression(max_iter=1000),
        "MLP": MLPClassifier(random_state=split),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of iterations that are used up
        return {
            f"{name}, {scale}": make_pipeline(scaler, model).fit(x, y).score(x_test, y_test)
            for name, model in models.items()
            for scale, scaler in scalers.items()
        }


def splits_of(kind: str) -> int:
    """Return the number of splits over which a kind is measured."""
    return SPLITS.get(kind, USUAL_SPLITS)


def references(kinds: list[str], *, again: bool) -> dict[str, dict[str, float]]:
    """Return the mean accuracies of scikit-learn over the splits, measured once."""
    known = json.loads(REFERENCES.read_text()) if REFERENCES.exists() else {}
    for kind in kinds:
        if kind in known and not again:
            continue
        rows = [accuracies_of_scikit_learn(kind, split) for split in range(splits_of(kind))]
        known[kind] = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        REFERENCES.write_text(json.dumps(known, indent=1) + "\n")
    return known


def main() -> None:
    """Print a table of all kinds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--splits", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.NAME=VALUE")
    parser.add_argument("--references", action="store_true", help="measure scikit-learn again")
    arguments = parser.parse_args()
    kinds = arguments.kind or list(KINDS)
    known = references(kinds, again=arguments.references)
    print("| kind | logistic regression | MLP of scikit-learn | fastmlp | difference | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        best = {
            name: max(value for key, value in known[kind].items() if key.startswith(name))
            for name in ("logistic regression", "MLP")
        }
        splits = range(arguments.splits or splits_of(kind))
        runs = [accuracy_at_defaults(kind, split, arguments.set) for split in splits]
        reached, seconds = np.mean(runs, axis=0)
        print(
            f"| {kind} | {best['logistic regression']:.1%} | {best['MLP']:.1%} | {reached:.1%} "
            f"| {100 * (reached - max(best.values())):+.1f} | {seconds:.1f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
