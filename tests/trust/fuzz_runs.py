"""Damaged files of runs: settings, records and results, sweeps."""

from __future__ import annotations

import contextlib
import io
import random
import tempfile
from pathlib import Path

from fastmlp import FormatError
from trust import small_files
from trust.experiment import require
from trust.mutate import damaged, damaged_json
from trust.small_files import scratch_file


def settings_case(seed: int) -> None:
    """A file of settings: refused with its name, or settings that survive being written."""
    from fastmlp.experiment.schema import Config
    from fastmlp.experiment.settings import read_settings, toml

    chance = random.Random(seed)
    changed = damaged(chance, *small_files.pick(chance, "settings"))
    path = scratch_file("fastmlp.toml", changed)
    try:
        config = Config.checked(read_settings(path))
    except FormatError as error:
        require(str(path) in str(error), f"the message does not name it: {error}")
        require(changed not in small_files.valid_files("settings"), f"refused: {error}")
        return
    again = Config.checked(read_settings(scratch_file("again.toml", toml(config).encode())))
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
    with tempfile.TemporaryDirectory(dir=small_files.SCRATCH) as folder:
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
            require(code in (0, 2, 3, 4), f"{victim}: exit code {code}: {said.getvalue()[-300:]}")
            valid = content_of_victim in small_files.valid_files(names[victim])
            require(code == 0 or not valid, f"a valid run was refused: {said.getvalue()[-300:]}")


def sweep_case(seed: int) -> None:
    """What a sweep searches for, and its journal."""
    from fastmlp.experiment.sweep import Sweep

    chance = random.Random(seed)
    with tempfile.TemporaryDirectory(dir=small_files.SCRATCH) as folder:
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
