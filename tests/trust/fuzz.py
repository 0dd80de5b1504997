"""Damaged files: each is refused as documented, or read for what it holds; never anything else.

A case makes one file of a valid one and gives it to the reader. What is accepted is compared with
what another reader makes of it, or used as its owner would use it. The process has a limit on its
memory, the case one on its time.
"""

from __future__ import annotations

from collections.abc import Callable

from trust.experiment import Experiment, Section

HEADROOM = 384 << 20
MOST_SECONDS = 10.0


def _missing(*modules: str) -> Callable[[], str | None]:
    def check() -> str | None:
        import importlib.util

        absent = [name for name in modules if importlib.util.find_spec(name) is None]
        return f"needs {', '.join(absent)}" if absent else None

    return check


def _of(
    module: str,
    name: str,
    what: str,
    planted: str,
    plant: str,
    share: float = 1.0,
    needs: tuple[str, ...] = (),
) -> Experiment:
    return Experiment(
        name=f"fuzz.{name}",
        promise=f"A damaged {what} is refused as documented, or read as what it contains.",
        counted="files",
        case=f"trust.fuzz_{module}:{name}_case",
        planted=planted,
        plant=f"trust.fuzz_{module}:{plant}",
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
        _of("models", "model", "model file", "the digest is not looked at", "plant_blind_digest"),
        _of(
            "models", "rewritten_model", "model file whose digest was made anew",
            "its activations are forgotten", "plant_lost_activation", 2.0,
        ),
        _of(
            "models", "preprocessing", "description of preprocessing in a model file",
            "classes change their order", "plant_lost_order",
        ),
        _of("models", "checkpoint", "checkpoint", "its errors are others than documented",
            "plant_wrong_records", 2.0),
        _of("data", "idx", "IDX file", "the last value is wrong", "plant_idx"),
        _of("data", "idx_gz", "compressed IDX file", "memory is taken before the size is checked",
            "plant_memory"),
        _of("data", "npy", "NPY file", "the last value is wrong", "plant_npy"),
        _of("data", "npz", "NPZ file", "NumPy's errors come through", "plant_npz"),
        _of("data", "csv", "CSV file", "the last row is lost", "plant_lost_row", 1.0, ("polars",)),
        _of("data", "csv_gz", "compressed CSV file", "the last row is lost", "plant_lost_row", 1.0,
            ("polars",)),
        _of("data", "tsv", "TSV file", "an open quote makes it hang", "plant_hang", 1.0,
            ("polars",)),
        _of("data", "parquet", "Parquet file", "a signal ends the process", "plant_death", 2.0,
            ("polars",)),
        _of("data", "images", "picture in a folder of images", "its library's errors come through",
            "plant_pillow", 1.0, ("PIL",)),
        _of("runs", "settings", "file of settings", "its errors are others than documented",
            "plant_settings"),
        _of("runs", "run", "file of a run", "JSON's errors come through", "plant_json"),
        _of("runs", "sweep", "file of a sweep", "JSON's errors come through", "plant_sweep", 1.0,
            ("optuna",)),
    ),
)  # fmt: skip
