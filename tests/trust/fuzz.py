"""Damaged files: each is refused as documented, or read for what it holds; never anything else.

A case makes one file of a valid one and gives it to the reader. What is accepted is compared with
what another reader makes of it, or used as its owner would use it. The process has a limit on its
memory, the case one on its time.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import FormatError
from fastmlp.data import Preprocessing, Table, read, read_samples
from fastmlp.experiment.checkpoint import Checkpoint
from fastmlp.model_file import read_model, write_model
from trust import small_files
from trust.experiment import Experiment, Section, require
from trust.mutate import damaged, damaged_gzip, damaged_json, damaged_tree, damaged_zip
from trust.small import model_digest

SCRATCH = Path(tempfile.gettempdir())
HEADROOM = 384 << 20
MOST_SECONDS = 10.0


def _file(name: str, content: bytes) -> Path:
    path = SCRATCH / name
    path.write_bytes(content)
    return path


_NAMES = {
    "idx": "f-ubyte", "idx_gz": "f-ubyte.gz", "npy": "f.npy", "npz": "f.npz", "csv": "f.csv",
    "tsv": "f.tsv", "csv_gz": "f.csv.gz", "parquet": "f.parquet",
}  # fmt: skip
_SAMPLES = ("idx", "idx_gz", "npy")

# ---------------------------------------------------------------- model files, checkpoints


def _use(model: fastmlp.MLP) -> None:
    """What is done with a model that was loaded; its own refusals are right."""
    x = np.zeros((2, model.layer_sizes[0]), np.float32)
    require(model.forward(x).shape == (2, model.layer_sizes[-1]), "outputs of another shape")
    require(all(np.isfinite(a).all() for a in model.parameters().values()), "parameters not finite")
    path = SCRATCH / "again.safetensors"
    model.save(path)
    again = fastmlp.load(path)
    probe = np.linspace(-3, 3, 2 * model.layer_sizes[0]).reshape(2, -1)
    same = np.array_equal(again.forward(probe), model.forward(probe), equal_nan=True)
    require(same, "saved again, it computes otherwise")
    require(model_digest(again) == model_digest(model), "saved again, it differs")
    require(again.preprocessing == model.preprocessing, "saved again, its preprocessing differs")
    if model.preprocessing is not None:
        with contextlib.suppress(ValueError):
            model.preprocessing.inputs(small_files.table())
        with contextlib.suppress(ValueError):
            model.preprocessing.decode(model.predict(x))


def _rewritten(chance: random.Random, content: bytes, kind: str) -> bytes:
    """The file with its description or its arrays changed, and its digest made anew."""
    path = _file("source.safetensors", content)
    arrays, config = read_model(path, kind=kind)
    what = chance.randrange(3)
    if what < 2:
        config = damaged_tree(chance, config)
    if what > 0:
        name = chance.choice(sorted(arrays))
        array = arrays.pop(name)
        choice = chance.randrange(5)
        if choice == 0:
            arrays[name] = array[..., :-1]
        elif choice == 1:
            arrays[name + "x"] = array
        elif choice == 2:
            arrays[name] = np.float64(chance.choice((1e308, -1e308, 1e-320, 0))) * np.ones_like(
                array, np.float64
            )
        elif choice == 3:
            arrays[name] = array.reshape(1, *array.shape)
    path = SCRATCH / "rewritten.safetensors"
    try:
        write_model(path, arrays, config, kind=kind)
    except (TypeError, ValueError, RecursionError):  # what cannot be stored needs no reader
        return damaged(chance, content)
    return path.read_bytes()


def _same_or_refused(content: bytes, changed: bytes, load: Callable[[Path], Any]) -> Any:
    """What the changed file holds, None where it was refused."""
    path = _file("changed.safetensors", changed)
    try:
        return load(path)
    except FormatError as error:
        require(str(path) in str(error), f"the message does not name the file: {error}")
        require(changed != content, f"a valid file was refused: {error}")
        return None


def model_case(seed: int) -> None:
    """Bytes of a model file changed: nothing but the file as it was is accepted."""
    chance = random.Random(seed)
    content, other = small_files.pick(chance, "model")
    changed = damaged(chance, content, other)
    model = _same_or_refused(content, changed, fastmlp.load)
    if model is not None:
        require(changed in small_files.valid_files("model"), "a damaged file was accepted")
        _use(model)


def rewritten_model_case(seed: int) -> None:
    """Description or arrays changed under a right digest: refused, or a model that works."""
    chance = random.Random(seed)
    content, _ = small_files.pick(chance, "model")
    changed = _rewritten(chance, content, "fastmlp-model")
    model = _same_or_refused(content, changed, fastmlp.load)
    if model is not None:
        _use(model)


def preprocessing_case(seed: int) -> None:
    """The same for the part of the description that says how tables become inputs."""
    chance = random.Random(seed)
    content = small_files.valid_files("model")[1]
    arrays, config = read_model(_file("source.safetensors", content))
    config["preprocessing"] = damaged_tree(chance, config["preprocessing"])
    path = SCRATCH / "rewritten.safetensors"
    try:
        write_model(path, arrays, config)
    except (TypeError, ValueError, RecursionError):
        return
    model = _same_or_refused(content, path.read_bytes(), fastmlp.load)
    if model is not None:
        _use(model)


def checkpoint_case(seed: int) -> None:
    """Both kinds of change to a checkpoint; what is accepted can be gone on from, or says not."""
    chance = random.Random(seed)
    content, other = small_files.pick(chance, "checkpoint")
    rewritten = chance.random() < 0.5
    if rewritten:
        changed = _rewritten(chance, content, "fastmlp-checkpoint")
    else:
        changed = damaged(chance, content, other)
    checkpoint = _same_or_refused(content, changed, Checkpoint.load)
    if checkpoint is None:
        return
    if not rewritten:
        valid = small_files.valid_files("checkpoint")
        require(changed in valid, "a damaged checkpoint was accepted")
    model = fastmlp.MLP([4, 6, 3], seed=1)
    with contextlib.suppress(ValueError):
        checkpoint.restore(model)
    x, y = np.zeros((6, 4)), np.arange(6) % 3
    for resume in (True, False):  # refused, perhaps, but the model stays usable
        with contextlib.suppress(ValueError, fastmlp.DivergedError):
            model.fit(x, y, epochs=1, optimizer=fastmlp.Adam(), resume=resume, verbose=0, threads=1)


# ---------------------------------------------------------------- arrays


def _numpy_value(content: bytes) -> Any:
    try:
        return np.load(io.BytesIO(content), allow_pickle=False)
    except Exception as error:
        return error


def _read(kind: str, content: bytes) -> Any:
    path = _file(_NAMES[kind], content)
    try:
        return (read_samples if kind in _SAMPLES else read)(str(path))
    except FormatError as error:
        require(str(error).startswith(f"{path}: "), f"the message does not name it: {error}")
        require(
            content not in small_files.valid_files(kind),
            f"a valid file was refused: {error}",
        )
        return None


def _require_rows(found: Any, wanted: Any) -> None:
    """Samples as fastmlp keeps them, one row each, against an array as another reader has it."""
    require(isinstance(wanted, np.ndarray), f"accepted, and by another reader refused: {wanted}")
    rows = np.asarray(wanted).reshape(len(wanted), -1)
    require(found.shape == rows.shape, f"shape {found.shape}, not {rows.shape}")
    require(np.array_equal(found, rows.astype(found.dtype)), "other values")


def npy_case(seed: int) -> None:
    chance = random.Random(seed)
    changed = damaged(chance, *small_files.pick(chance, "npy"))
    found = _read("npy", changed)
    if found is not None:
        _require_rows(found, _numpy_value(changed))


def npz_case(seed: int) -> None:
    chance = random.Random(seed)
    changed = damaged_zip(chance, *small_files.pick(chance, "npz"))
    found = _read("npz", changed)
    if found is None:
        return
    if not changed.startswith(b"PK\x03\x04"):
        return  # an archive with something in front: NumPy takes it for a pickle
    archive = _numpy_value(changed)
    require(isinstance(archive, np.lib.npyio.NpzFile), f"refused by another reader: {archive}")
    train = next((n for n in ("x", "X", "x_train", "X_train") if n in archive.files), None)
    require(train is not None, f"accepted without samples: {archive.files}")
    _require_rows(found.train.x, archive[train])


_IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def _idx_value(content: bytes) -> Any:
    """The format in four lines, after its description."""
    dtype = np.dtype(_IDX_TYPES[content[2]])
    shape = np.frombuffer(content, ">u4", content[3], 4).astype(int)
    return np.frombuffer(content, dtype, -1, 4 + 4 * content[3]).reshape(shape)


def idx_case(seed: int) -> None:
    chance = random.Random(seed)
    changed = damaged(chance, *small_files.pick(chance, "idx"))
    found = _read("idx", changed)
    if found is not None:
        _require_rows(found, _idx_value(changed))


def idx_gz_case(seed: int) -> None:
    chance = random.Random(seed)
    changed = damaged_gzip(chance, *small_files.pick(chance, "idx_gz"))
    found = _read("idx_gz", changed)
    if found is not None:
        _require_rows(found, _idx_value(gzip.decompress(changed)))


# ---------------------------------------------------------------- tables


def _require_cells(found: Table, text: bytes, separator: str) -> None:
    """Every value against the csv module's."""
    lines = io.StringIO(text.decode("utf-8-sig").rstrip("\r\n"), newline="")
    rows = list(csv.reader(lines, delimiter=separator, strict=True))
    require(len(rows) - 1 == len(found), f"{len(found)} rows, not {len(rows) - 1}")
    for name, column in found.columns.items():
        at = [field.strip() for field in rows[0]].index(name.strip())
        for value, row in zip(column.tolist(), rows[1:], strict=True):
            if isinstance(value, str):
                require(value.strip() == row[at].strip(), f"{value!r} of {row[at]!r}")
            elif value is not None and not np.isnan(value):
                require(value == float(row[at]), f"{value!r} of {row[at]!r}")


def _table_case(kind: str, seed: int, separator: str | None) -> None:
    chance = random.Random(seed)
    change = damaged_gzip if kind == "csv_gz" else damaged
    changed = change(chance, *small_files.pick(chance, kind))
    found = _read(kind, changed)
    if found is None:
        return
    text = gzip.decompress(changed) if kind == "csv_gz" else changed
    table = found.train.x
    require(isinstance(table, Table), f"a {type(table).__name__}, not a table")
    if separator is None:
        first = text.split(b"\n")[0].split(b"\r")[0].decode("utf-8-sig")
        separator = max(",;\t|", key=first.count)
        if '"' in first or sum(first.count(s) > 0 for s in ",;\t|") != 1:
            return  # which one it is, is the reader's choice
    _require_cells(table, text, separator)


def csv_case(seed: int) -> None:
    _table_case("csv", seed, None)


def csv_gz_case(seed: int) -> None:
    _table_case("csv_gz", seed, None)


def tsv_case(seed: int) -> None:
    _table_case("tsv", seed, "\t")


def parquet_case(seed: int) -> None:
    """Decoded in a process of its own, which may die; what comes back has the shape it claims."""
    chance = random.Random(seed)
    changed = damaged(chance, *small_files.pick(chance, "parquet"))
    found = _read("parquet", changed)
    if found is not None:
        table = found.train.x
        sizes = {len(column) for column in table.columns.values()}
        require(sizes == {len(table)}, f"columns of {sizes} rows")


def images_case(seed: int) -> None:
    """A folder of two classes, one picture of it damaged."""
    chance = random.Random(seed)
    content, other = small_files.pick(chance, "images")
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        for label, picture in (("b", content), ("a", damaged(chance, content, other))):
            directory = Path(folder) / label
            directory.mkdir()
            (directory / "p.png").write_bytes(picture)
        try:
            found = read(folder)
        except FormatError as error:
            require(folder in str(error), f"the message does not name it: {error}")
            require(picture != content, f"a valid picture was refused: {error}")
            return
        require(found.train.x.shape[0] == 2, f"{found.train.x.shape} of two pictures")
        require(found.train.x.dtype == np.uint8, f"{found.train.x.dtype}")


# ---------------------------------------------------------------- settings, runs, sweeps


def settings_case(seed: int) -> None:
    """A file of settings: refused with its name, or settings that survive being written."""
    from fastmlp.experiment.schema import Config
    from fastmlp.experiment.settings import read_settings, toml

    chance = random.Random(seed)
    changed = damaged(chance, *small_files.pick(chance, "settings"))
    path = _file("fastmlp.toml", changed)
    try:
        config = Config.checked(read_settings(path))
    except FormatError as error:
        require(str(path) in str(error), f"the message does not name it: {error}")
        require(changed not in small_files.valid_files("settings"), f"refused: {error}")
        return
    again = Config.checked(read_settings(_file("again.toml", toml(config).encode())))
    require(again == config, "written and read again, the settings differ")


def run_case(seed: int) -> None:
    """The files of a run, one of them damaged: `runs` shows it, as damaged where it is."""
    from fastmlp.cli import main

    chance = random.Random(seed)
    names = {
        "config.toml": "settings", "result.json": "result", "environment.json": "result",
        "metrics.jsonl": "records",
    }  # fmt: skip
    victim = chance.choice(list(names))
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        run = Path(folder) / "001-moons"
        run.mkdir()
        for name, kind in names.items():
            content, other = small_files.pick(chance, kind)
            if name == victim:
                change = damaged_json if name in ("result.json", "environment.json") else damaged
                content = content_of_victim = change(chance, content, other)
            (run / name).write_bytes(content)
        for arguments in (["list"], ["show", "001-moons"]):
            said = io.StringIO()
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                code = main(["runs", *arguments, "--runs", folder])
            require("unexpected" not in said.getvalue(), f"{victim}: {said.getvalue()[-300:]}")
            require(code in (0, 2, 3, 4), f"{victim}: exit code {code}: {said.getvalue()[-300:]}")
            valid = content_of_victim in small_files.valid_files(names[victim])
            require(code == 0 or not valid, f"a valid run was refused: {said.getvalue()[-300:]}")


def sweep_case(seed: int) -> None:
    """What a sweep searches for, and its journal."""
    from fastmlp.experiment.sweep import Sweep

    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        sweep = Sweep(Path(folder))
        sweep.config_path.write_bytes(small_files.valid_files("settings")[0])
        content = changed = small_files.valid_files("search")[0]
        journal = chance.random() < 0.3
        if not journal:
            changed = damaged_json(chance, content)
        sweep.search_path.write_bytes(changed)
        valid = changed == content
        try:
            opened = Sweep.open(Path(folder))
            search = opened.search()
            if journal:
                study = opened.study("val_loss")
                pending = study.ask()
                study.report(pending, 1, 0.5)
                study.tell(pending, "complete")
                written = sweep.journal_path.read_bytes()
                sweep.journal_path.write_bytes(damaged(chance, written))
                valid = sweep.journal_path.read_bytes() == written
                opened.study("val_loss").trials()
            else:
                opened.write(search)
                require(opened.search() == search, "written and read again, it differs")
        except FormatError as error:
            require(folder in str(error), f"the message does not name it: {error}")
            require(not valid, f"a valid sweep was refused: {error}")


# ---------------------------------------------------------------- planted faults


def plant_blind_digest() -> None:
    """A reader of models for which any digest is right."""
    from fastmlp import model_file

    class Right(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __ne__(self, other: object) -> bool:
            return False

    original = model_file._digest
    model_file._digest = lambda *a: Right(original(*a))


def plant_lost_activation() -> None:
    """A description that forgets which activations a network has."""
    from fastmlp.architecture import Architecture

    original = Architecture.config
    Architecture.config = lambda self: {  # type: ignore[method-assign]
        **original(self), "activation": "sigmoid"
    }  # fmt: skip


def plant_lost_order() -> None:
    """A description of preprocessing that has its classes in another order."""
    original = Preprocessing.config

    def reversed_classes(self: Preprocessing) -> dict[str, Any]:
        config = original(self)
        return {**config, "class_names": (config["class_names"] or [])[::-1]}

    Preprocessing.config = reversed_classes  # type: ignore[method-assign]


def plant_wrong_records() -> None:
    """A checkpoint that does not look at its records."""
    original = Checkpoint.load.__func__  # type: ignore[attr-defined]

    def careless(cls: Any, path: Path) -> Any:
        try:
            return original(cls, path)
        except FormatError as error:
            raise KeyError("records") from error

    Checkpoint.load = classmethod(careless)  # type: ignore[assignment]


def _plant_wrong_value(module_name: str, name: str) -> None:
    """A reader that loses the last byte of what it is given."""
    import importlib

    module = importlib.import_module(module_name)
    original = getattr(module, name)

    def wrong(*arguments: Any, **options: Any) -> Any:
        value = original(*arguments, **options)
        if isinstance(value, np.ndarray) and value.size:
            value = value.copy()
            value.flat[-1] += 1
        return value

    setattr(module, name, wrong)


def plant_npy() -> None:
    _plant_wrong_value("fastmlp.data.numpy_files", "parse_npy")


def plant_idx() -> None:
    _plant_wrong_value("fastmlp.datasets.idx", "parse_idx")


def plant_npz() -> None:
    """Members are trusted to be what they say: NumPy's own errors come through."""
    from fastmlp.data import numpy_files as module

    original = module.parse_npz

    def careless(content: bytes, *arguments: Any) -> Any:
        np.load(io.BytesIO(content)).files  # noqa: B018
        return original(content, *arguments)

    module.parse_npz = careless


def plant_memory() -> None:
    """A reader that takes memory by what the file claims."""
    from fastmlp.data import idx_files as module

    original = module.gunzip_idx

    def greedy(content: bytes, *arguments: Any) -> Any:
        bytearray(1 << 30)
        return original(content, *arguments)

    module.gunzip_idx = greedy


def plant_hang() -> None:
    """A reader of text that never ends where a quote is open."""
    from fastmlp.data import delimited as module

    original = module.read_delimited

    def endless(content: bytes, *arguments: Any, **options: Any) -> Any:
        while content.count(b'"') % 2:
            pass
        return original(content, *arguments, **options)

    module.read_delimited = endless


def plant_lost_row() -> None:
    """A reader of text that leaves out the last row."""
    from fastmlp.data import delimited as module

    original = module.read_delimited

    def short(content: bytes, *arguments: Any, **options: Any) -> Any:
        lines = content.rstrip(b"\r\n").splitlines(keepends=True)
        return original(b"".join(lines[:-1]), *arguments, **options)

    module.read_delimited = short


def plant_death() -> None:
    """A reader that is ended by a signal where the content is not to its liking."""
    import os
    import signal

    from fastmlp.data import parquet

    original = parquet.read_parquet

    def deadly(content: bytes, origin: str) -> Any:
        try:
            return original(content, origin)
        except FormatError:
            os.kill(os.getpid(), signal.SIGSEGV)
            raise

    parquet.read_parquet = deadly


def plant_pillow() -> None:
    """The library's own errors come through."""
    from fastmlp.data import images

    def bare(content: bytes, path: str) -> Any:
        from PIL import Image

        return np.asarray(Image.open(io.BytesIO(content)))

    images._decode = bare


def plant_settings() -> None:
    """TOML's own errors come through."""
    from fastmlp.experiment import settings

    settings.FormatError = KeyError  # type: ignore[misc, assignment]


def plant_json() -> None:
    """JSON's own errors come through."""
    import json

    from fastmlp.experiment import rundir

    rundir._read_json = lambda path: json.loads(path.read_bytes())["status"]  # type: ignore[assignment]


def plant_sweep() -> None:
    """A sweep that takes its file for what it wrote itself."""
    import json

    from fastmlp.experiment.sweep import Search, Sweep

    Sweep.search = lambda self: Search.from_json(  # type: ignore[method-assign]
        json.loads(self.search_path.read_bytes())
    )


# ---------------------------------------------------------------- the section


def _missing(*modules: str) -> Callable[[], str | None]:
    def check() -> str | None:
        import importlib.util

        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        return f"needs {', '.join(absent)}" if absent else None

    return check


def _of(
    name: str, what: str, planted: str, plant: str, share: float = 1.0, needs: tuple[str, ...] = ()
) -> Experiment:
    return Experiment(
        name=f"fuzz.{name}",
        promise=f"A damaged {what} is refused as documented, or read for what it holds.",
        counted="files",
        case=f"trust.fuzz:{name}_case",
        planted=planted,
        plant=f"trust.fuzz:{plant}",
        seconds=MOST_SECONDS,
        headroom=HEADROOM,
        share=share,
        missing=_missing(*needs),
    )


SECTION = Section(
    "fuzz",
    "Damaged files, in a process with limits of time and memory",
    4.0,
    True,
    (
        _of("model", "model file", "the digest is not looked at", "plant_blind_digest"),
        _of(
            "rewritten_model", "model file whose digest was made anew",
            "its activations are forgotten", "plant_lost_activation", 2.0,
        ),
        _of(
            "preprocessing", "description of preprocessing in a model file",
            "classes change their order", "plant_lost_order",
        ),
        _of("checkpoint", "checkpoint", "its errors are others than documented",
            "plant_wrong_records", 2.0),
        _of("idx", "IDX file", "the last value is wrong", "plant_idx"),
        _of("idx_gz", "compressed IDX file", "memory is taken before the size is checked",
            "plant_memory"),
        _of("npy", "NPY file", "the last value is wrong", "plant_npy"),
        _of("npz", "NPZ file", "NumPy's errors come through", "plant_npz"),
        _of("csv", "CSV file", "the last row is lost", "plant_lost_row", 1.0, ("polars",)),
        _of("csv_gz", "compressed CSV file", "the last row is lost", "plant_lost_row", 1.0,
            ("polars",)),
        _of("tsv", "TSV file", "an open quote makes it hang", "plant_hang", 1.0, ("polars",)),
        _of("parquet", "Parquet file", "a signal ends the process", "plant_death", 2.0,
            ("polars",)),
        _of("images", "picture in a folder of images", "the library's errors come through",
            "plant_pillow", 1.0, ("PIL",)),
        _of("settings", "file of settings", "its errors are others than documented",
            "plant_settings"),
        _of("run", "file of a run", "JSON's errors come through", "plant_json"),
        _of("sweep", "file of a sweep", "JSON's errors come through", "plant_sweep", 1.0,
            ("optuna",)),
    ),
)  # fmt: skip
