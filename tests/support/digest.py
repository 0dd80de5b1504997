"""Digests of all numbers, files and texts that fastmlp makes, to compare two of its states.

    PYTHONPATH=tests python -m support.digest write python before.json   # folder of the package
    PYTHONPATH=tests python -m support.digest compare before.json after.json

`write` takes the package from the folder named, which may be of another checkout: it holds bits
(parameters, losses, predictions, training states), estimators, files, exit codes and texts of
commands, all help texts, and public names. Times, dates and paths are taken out of texts. What
raises is recorded as the error. `compare` prints what differs and ends with status 1 where
something does. Takes about a minute.
"""

from __future__ import annotations

import argparse
import difflib
import hashlib
import importlib
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Entries = Iterator[tuple[str, Callable[[], Any]]]
RANDOM_NETWORKS = 120
CONTINUATIONS = 40
SAMPLES_OF_TABLE = 200


def sha(*arrays: Any) -> str:
    joined = hashlib.sha256()
    for array in arrays:
        joined.update(np.ascontiguousarray(array).tobytes())
    return joined.hexdigest()


def sha_of_file(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ---------------------------------------------------------------- bits


def settings() -> Entries:
    """Yield all settings of the equal-bits tests in each dtype, and plain networks of each loss."""
    from support import equal_bits, plain_trainings
    from support.strategies import DTYPES, LOSSES

    for name in equal_bits.SETTINGS:
        for dtype in DTYPES:
            where = f"{name}, {dtype}"
            yield f"bits: {where}", lambda n=name, d=dtype: equal_bits.trained_digest(n, d, 3)
            yield f"state: {where}", lambda n=name, d=dtype: state_of(equal_bits, n, d)
    for name, case in plain_trainings.CASES.items():
        for loss in LOSSES:
            for dtype in DTYPES:
                yield (
                    f"bits: {name}, {loss}, {dtype}",
                    lambda c=case, d=dtype, o=loss: plain_trainings.trained_digest(c, d, 2, o),
                )


def state_of(equal_bits: Any, name: str, dtype: str) -> dict[str, Any]:
    """Return records of a training and its state, array by array, texts without the seconds."""
    model = equal_bits.new_model(name, dtype)
    history = equal_bits.fit(model, name, 2)
    found: dict[str, Any] = {"loss": history.loss, "accuracy": history.accuracy}
    for key, array in sorted(model.training_state().items()):
        array = np.asarray(array)
        text = array.dtype.kind == "U"
        found[key] = timeless(str(array)) if text else [str(array.dtype), sha(array)]
    return found


def random_trainings() -> Entries:
    """Yield random networks, optimizers, schedules, averages, callbacks and loggers."""
    from support import continuation_cases, random_networks

    for seed in range(RANDOM_NETWORKS):
        yield (
            f"random network: {seed}",
            lambda s=seed: random_networks.results(
                random_networks.case(s), random_networks.Way(threads=2)
            ),
        )
        if seed % 4 == 0:
            yield (
                f"random estimator: {seed}",
                lambda s=seed: random_networks.estimator_results(s, random_networks.Way(threads=2)),
            )
    for seed in range(CONTINUATIONS):
        yield f"random training: {seed}", lambda s=seed: continued(continuation_cases, s)


def continued(cases: Any, seed: int) -> dict[str, Any]:
    """Train half, save, and train the rest from the saved state; return the digests."""
    case = cases.Case(np.random.default_rng(seed))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        model, watchers = case.model(), case.watchers(path)
        case.fit(model, watchers, cases.EPOCHS // 2, total_epochs=cases.EPOCHS)
        if not cases.stopped(watchers):
            case.fit(model, watchers, cases.EPOCHS // 2, resume=True, total_epochs=cases.EPOCHS)
        found = cases.result(case, model, watchers, path)
    return {name: digest_of(value) for name, value in found.items()}


def digest_of(value: Any) -> Any:
    """Return a value with every array in it replaced by its digest."""
    if isinstance(value, np.ndarray):
        return sha(value)
    if isinstance(value, dict):
        return {str(name): digest_of(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [digest_of(one) for one in value]
    return timeless(repr(value))


# ---------------------------------------------------------------- estimators and models


def estimators() -> Entries:
    import fastmlp
    from support import estimator_data as data

    kinds = {
        "classifier": (fastmlp.MLPClassifier, data.iris),
        "labels": (fastmlp.MLPClassifier, data.several_labels),
        "digits": (fastmlp.MLPClassifier, data.digits),
        "regressor": (fastmlp.MLPRegressor, data.three_outputs),
    }
    ways: dict[str, dict[str, Any]] = {
        "adam": {},
        "sgd": {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.05},
        "early stopping": {"early_stopping": True, "n_iter_no_change": 3},
        "inverse scaling": {"solver": "sgd", "learning_rate": "invscaling"},
        "lbfgs": {"solver": "lbfgs"},
        "dropout": {"dropout": 0.3, "batch_normalization": True, "hidden_layer_sizes": (12, 7)},
        "warm start": {"warm_start": True, "max_iter": 4},
    }
    for kind, (make, draw) in kinds.items():
        for way, options in ways.items():
            given = {"random_state": 3, "max_iter": 12, **options}
            yield (
                f"estimator: {kind}, {way}",
                lambda m=make, o=given, d=draw: fitted(m(**o), *d()),
            )
    yield "estimator: partial_fit", lambda: partly_fitted(fastmlp.MLPClassifier, data.digits)


def fitted(estimator: Any, x: Any, y: Any) -> dict[str, Any]:
    for _ in range(2 if estimator.warm_start else 1):
        estimator.fit(x, y)
    return learned(estimator, x)


def partly_fitted(make: Any, draw: Any) -> dict[str, Any]:
    x, y = draw()
    estimator = make(hidden_layer_sizes=(9,), random_state=0)
    for first in range(0, len(x), 100):
        estimator.partial_fit(x[first : first + 100], y[first : first + 100], classes=np.unique(y))
    return learned(estimator, x)


def learned(estimator: Any, x: Any) -> dict[str, Any]:
    names = ("n_iter_", "t_", "loss_", "best_loss_", "loss_curve_", "validation_scores_")
    found = {name: repr(getattr(estimator, name, None)) for name in names}
    found["coefs_"] = sha(*estimator.coefs_, *estimator.intercepts_)
    found["predict"] = sha(estimator.predict(x))
    if hasattr(estimator, "predict_proba"):
        found["predict_proba"] = sha(estimator.predict_proba(x))
    return found


def methods() -> Entries:
    """Yield the methods of models besides training, and the files that they write."""
    import fastmlp
    from fastmlp import export

    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((120, 6)).astype(np.float32), rng.integers(0, 3, 120)

    def model(**options: Any) -> Any:
        options = {"seed": 1, "batch_normalization": True, **options}
        made = fastmlp.MLP([6, 9, 5, 3], **options)
        made.fit(x, y, epochs=2, validation_data=(x[:30], y[:30]), verbose=0, threads=2)
        return made

    def lbfgs() -> list[Any]:
        made = fastmlp.MLP([6, 9, 3], seed=2, dtype="float64")
        history = made.fit(x, y, optimizer=fastmlp.LBFGS(), epochs=10, verbose=0)
        return [sha(*made.parameters().values()), repr(history.loss), history.ending]

    def range_test() -> list[str]:
        found = fastmlp.MLP([6, 9, 3], seed=2).lr_find(x, y, steps=20)
        return [sha(found.rates, found.losses), repr(found.suggestion)]

    def written(write: Callable[[Path], Any], name: str) -> str:
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / name)
            return sha_of_file(Path(folder) / name)

    yield "model: folded", lambda: sha(*model().folded().parameters().values())
    yield "model: head", lambda: sha(*model().replace_head(4, seed=3).parameters().values())
    yield "model: input gradients", lambda: sha(model().input_gradients(x, y))
    yield "model: evaluate", lambda: repr(model().evaluate(x, y))
    yield "model: lr_find", range_test
    yield "model: L-BFGS", lbfgs
    yield "model: plan", lambda: str(model().plan())
    yield "model: repr", lambda: repr(model())
    for dtype in ("float32", "float64"):
        yield (
            f"file: model, {dtype}",
            lambda d=dtype: written(
                lambda path: model(dtype=d).save(path, training_state=False), "m.safetensors"
            ),
        )
    for name in ("onnx", "npz", "c"):
        yield (
            f"file: {name}",
            lambda n=name: written(
                lambda path: getattr(export, f"to_{n}")(model(), path),
                f"m.{'h' if n == 'c' else n}",
            ),
        )


# ---------------------------------------------------------------- commands

# Run in this order, in one folder: the first ones make files that the others read.
COMMANDS = """
train digits --epochs 3 --out first --no-report
train table.csv --target kind --epochs 4 --out second --set network.hidden=[5] --no-report
train table.csv --target price --epochs 3 --optimizer adam --lr-schedule cosine --no-report -q
train iris --optimizer lbfgs --epochs 3 --no-report --out third
train iris --epochs 3 --checkpoint-every 1 --no-report --out fourth --json
train --resume fourth --no-report
train iris --dry-run
train iris --dry-run --json
train iris --optimizer sgd --lr 1e30 --no-report -q --out fifth
train iris --epochs 1 --min-accuracy 1 --no-report -q --out sixth
evaluate first
evaluate second table.csv
evaluate first --json
predict second table.csv
predict second table.csv --probabilities
predict second table.csv --json
inspect second
inspect first/best.safetensors
inspect first --json
runs list
runs list --json
runs show first
runs show second --json
runs rm third --dry-run
config init digits
config show
config show digits --json
config schema
config validate fastmlp.toml
export second --format c --output second.h
export second --format npz --output second.npz
export second --format onnx --output second.onnx
compare first second
compare first second --json
lr-find digits --steps 20
sweep iris --search optimizer.learning_rate=0.01..0.1 --trials 2 --epochs 1 -q
plot first loss --output pictures
report second
data list
data verify mnist
completion bash
completion zsh
train nothing
train table.csv
train table.csv --target kind --epoch 3
train digits --set network.hiden=[3]
train digits --epochs -1
evaluate nothing
predict second
predict nothing table.csv --json
runs show nothing
info
""".strip().splitlines()
# Their figures, and bytes that hold a date.
NOT_COMPARED = (".png", ".svg", ".html", ".lock")
RUN_ALL = """
import json, os, sys, tempfile
from fastmlp.cli import main

kept, outcomes = os.dup(1), []
for line in json.load(sys.stdin):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1), os.dup2(err.fileno(), 2)
        try:
            code = main(line.split())
        except SystemExit as end:
            code = end.code
        sys.stdout.flush(), sys.stderr.flush(), out.seek(0), err.seek(0)
        outcomes.append((code, out.read().decode(), err.read().decode()))
os.dup2(kept, 1)
print(json.dumps(outcomes))
"""
NUMBER = r"\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?"
UNIT = r"us|µs|ms|s|min|h|GFLOP/s|GB/s|samples/s|/s|samples per second"
VARYING = (
    (r"20\d\d-\d\d-\d\d[T ][\d:]+(?:\.\d+)?(?:\+00:00|Z)?", "DATE"),
    (r'("\w*(?:seconds|per_second|time|rss|bytes|load)\w*": )[^\n,}\]]+', r"\1N"),
    (rf"{NUMBER} ?(?:{UNIT})(?![\w])", "N"),
    (r"\d+:\d\d(?::\d\d)?", "N"),
    (r"(load average|speed|training time) +.*", r"\1 N"),
    (r"\(load [^)]*\)", "(load N)"),
    (r"[\d.,]+ \wB free", "N free"),
    # Sizes of files that hold seconds, the seconds per epoch in a table, the processes of a sweep.
    (r"(metrics\.jsonl|result\.json) +[\d.]+ \w+", r"\1 N"),
    (r"(\d) +0\.\d+ +([\d.]+%)", r"\1 N \2"),
    (r'"worker_id": ?"[^"]+"', '"worker_id":"N"'),
)


def timeless(text: str) -> str:
    """Return a text without the parts that differ between two equal runs."""
    for pattern, put in VARYING:
        text = re.sub(pattern, put, text)
    return text


def outcomes(lines: list[str], root: Path, folder: Path) -> list[dict[str, Any]]:
    """Return exit code and texts of each command, all run in one process."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("FASTMLP_", "FORCE_COLOR"))}
    own |= {"PYTHONPATH": str(root), "NO_COLOR": "1", "COLUMNS": "100", "HOME": str(folder)}
    own |= {"XDG_CACHE_HOME": str(folder / "cache"), "FASTMLP_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALL], cwd=folder, env=own, input=json.dumps(lines),
        stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip

    def plain(text: str) -> list[str]:
        text = text.replace(str(folder), "FOLDER").replace(str(root), "ROOT")
        return timeless(text).splitlines()

    return [
        {"code": code, "stdout": plain(out), "stderr": plain(err)}
        for code, out, err in json.loads(done.stdout)
    ]


def write_table(path: Path) -> None:
    random = np.random.default_rng(0)
    rows = [
        f"{a:.3f},{b:.3f},{'blue' if b > 0.5 else 'red'},{'yes' if a > b else 'no'},{3 * a - b:.2f}"
        for a, b in random.standard_normal((SAMPLES_OF_TABLE, 2))
    ]
    path.write_text("\n".join(["a,b,color,kind,price", *rows]) + "\n", encoding="utf-8")


def commands(root: Path) -> dict[str, Any]:
    """Return the texts of the commands and the files that they wrote."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        write_table(folder / "table.csv")
        said = outcomes(COMMANDS, root, folder)
        found: dict[str, Any] = {
            f"command: {line}": each for line, each in zip(COMMANDS, said, strict=True)
        }
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            place = path.relative_to(folder)
            if place.parts[0] != "cache":
                found[f"written: {place.as_posix()}"] = content(path, folder)
    return found


def content(path: Path, folder: Path) -> Any:
    """Return a file as text without times, or as a digest; of a checkpoint the arrays alone."""
    if path.suffix in NOT_COMPARED:
        return "is there"
    if "checkpoints" in path.parts and path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return {
            name: sha(array) for name, array in sorted(load_file(path).items())
            if array.dtype.kind == "f" and "seconds" not in name
        }  # fmt: skip
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return sha_of_file(path)
    return timeless(text.replace(str(folder), "FOLDER")).splitlines()


def help_texts(root: Path) -> dict[str, Any]:
    """Return the help texts of all commands that the groups list."""
    found, todo = {}, [""]
    with tempfile.TemporaryDirectory() as name:
        while todo:
            said = outcomes([f"{command} --help" for command in todo], root, Path(name).resolve())
            shown = dict(zip(todo, said, strict=True))
            found |= {f"help: {command.strip()}": text for command, text in shown.items()}
            todo = [
                f"{command} {listed}"
                for command, text in shown.items()
                for listed in listed_commands(text["stdout"])
            ]
    return found


def listed_commands(lines: list[str]) -> list[str]:
    """Return the names indented by two below a title with the word commands."""
    found, inside = [], False
    for line in lines:
        if line and not line.startswith(" "):
            inside = "ommands" in line
        elif inside and (name := re.match(r"  ([a-z][\w-]*)(  |$)", line)):
            found.append(name[1])
    return found


# ---------------------------------------------------------------- names


def names() -> Entries:
    """Return public names and, of callables, their arguments."""
    import fastmlp

    yield "names: fastmlp", lambda: sorted(fastmlp.__all__)
    for info in pkgutil.walk_packages(fastmlp.__path__, "fastmlp."):
        if info.name.endswith(("__main__", "._core")):
            continue
        yield f"names: {info.name}", lambda module=info.name: public(module)
    for name in sorted(fastmlp.__all__):
        yield f"signature: {name}", lambda n=name: signatures(getattr(fastmlp, n))


def public(module: str) -> list[str]:
    return sorted(getattr(importlib.import_module(module), "__all__", ()))


def signatures(value: Any) -> list[str]:
    """Return the arguments of a callable; of a class also those of its public methods."""
    if inspect.isclass(value):
        named = inspect.getmembers(value, callable)
        methods_ = [
            f"{name}({arguments(member)})" for name, member in named if not name.startswith("_")
        ]
        properties = [
            name for name, member in inspect.getmembers(value, lambda m: isinstance(m, property))
            if not name.startswith("_")
        ]  # fmt: skip
        return [f"({arguments(value)})", *methods_, *properties]
    return [f"({arguments(value)})"] if callable(value) else [type(value).__name__]


def arguments(function: Any) -> str:
    """Return names and defaults of arguments, without their types."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return "unknown"
    told = [
        one.name if one.default is one.empty else f"{one.name}={one.default!r}"
        for one in parameters
    ]
    return re.sub(r" at 0x[0-9a-f]+", "", ", ".join(told))


# ---------------------------------------------------------------- the program


def computed(entries: Entries) -> dict[str, Any]:
    found = {}
    for name, compute in entries:
        try:
            found[name] = compute()
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
    return found


def write(root: Path, path: Path) -> None:
    sys.path.insert(0, str(root))
    import fastmlp

    found_at = Path(fastmlp.__file__).resolve()
    if root not in found_at.parents:
        raise SystemExit(f"fastmlp comes from {found_at}, not from {root}")
    document: dict[str, Any] = {}
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for entries in (settings, random_trainings, estimators, methods, names):
            document |= computed(entries())
    document |= commands(root)
    document |= help_texts(root)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    raised = [name for name, value in document.items() if re.match(r"\w+Error: ", str(value))]
    print(f"{len(document)} entries in {path}; raised an error: {raised or 'none'}")


def lines_of(value: Any) -> list[str]:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False).splitlines()


def compare(before: Path, after: Path, most: int) -> int:
    """Print entries that differ, and return their number."""
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    different = 0
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            print(f"== {name}: only in {before if name in old else after}")
        elif old[name] != new[name]:
            print(f"== {name}")
            changes = difflib.unified_diff(
                lines_of(old[name]), lines_of(new[name]), n=0, lineterm=""
            )
            shown = [line for line in changes if not line.startswith(("---", "+++", "@@"))]
            print(*shown[:most], *(["..."] if len(shown) > most else []), sep="\n")
        else:
            continue
        different += 1
    print(f"{len(old.keys() | new.keys())} entries, {different} different")
    return different


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m support.digest", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True)
    writing = verbs.add_parser("write")
    writing.add_argument("root", type=Path, help="folder that holds the package fastmlp")
    writing.add_argument("path", type=Path, help="JSON file to write")
    comparing = verbs.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    comparing.add_argument("--lines", type=int, default=20, help="shown of each difference")
    chosen = parser.parse_args()
    if chosen.verb == "write":
        write(chosen.root.resolve(), chosen.path)
        return 0
    return 1 if compare(chosen.before, chosen.after, chosen.lines) else 0


if __name__ == "__main__":
    sys.exit(main())
