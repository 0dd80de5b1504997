"""Trainings on data in memory and in files: seconds of an epoch and peak anonymous memory.

    python benchmarks/streams.py FOLDER                  # 11,000,000 x 28, as HIGGS: 4 GB of files
    python benchmarks/streams.py FOLDER --hidden 300,300 --rounds 1
    python benchmarks/streams.py FOLDER --samples 1000000 --sources memory,shards

The files are generated once, of random numbers, and remain in FOLDER. Each training has a process
of its own, and sources take turns. Anonymous memory is what a process holds besides maps of files,
whose pages the system takes back; it is looked at every 20 ms, less what the process holds before.
The files are read once before, so that they are in the cache of the system as far as they fit.

Sources: memory (arrays), map (arrays that are memory maps of .npy files), arrays (the maps as
`streams.Arrays`), shards (`streams.Shards` of pairs of .npy files), parquet
(`streams.ParquetFiles`), batches (a function whose iterator gives a batch at a time, cut from
maps).
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

import fastmlp
from fastmlp import streams

FEATURES = 28
SHARD = 500_000  # samples of a file
SOURCES = ("memory", "map", "arrays", "shards", "parquet", "batches")
_LOOK_SECONDS = 0.02


# ---------------------------------------------------------------- data


def generate(folder: Path, samples: int) -> None:
    """Write the samples as two arrays, as shards and as Parquet, unless they are there."""
    import pyarrow as pa
    import pyarrow.parquet as parquet

    done = folder / f"{samples}.complete"
    if done.exists():
        return
    needed = 3.3 * samples * (FEATURES * 4 + 1)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < 1.1 * needed:
        sys.exit(f"{folder} needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
    for old in ("shards", "parquet"):
        shutil.rmtree(folder / old, ignore_errors=True)
        (folder / old).mkdir()
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.float32, (samples, FEATURES))
    y = np.lib.format.open_memmap(folder / "y.npy", "w+", np.uint8, (samples,))
    for number, start in enumerate(range(0, samples, SHARD)):
        rows = slice(start, min(start + SHARD, samples))
        draw = np.random.default_rng(number)
        part = draw.standard_normal((rows.stop - start, FEATURES), np.float32)
        noise = draw.standard_normal(len(part), np.float32)
        labels = (part[:, 0] * part[:, 1] + part[:, 2] + noise > 0).astype(np.uint8)
        x[rows], y[rows] = part, labels
        np.save(folder / "shards" / f"x-{number:03}.npy", part)
        np.save(folder / "shards" / f"y-{number:03}.npy", labels)
        columns = {f"x{i}": part[:, i] for i in range(FEATURES)} | {"label": labels}
        path = folder / "parquet" / f"{number:03}.parquet"
        parquet.write_table(pa.table(columns), path)
        print(f"\rgenerated {rows.stop:,} of {samples:,} samples", end="", file=sys.stderr)
    print(file=sys.stderr)
    x.flush()
    y.flush()
    done.touch()


def source_of(kind: str, folder: Path, samples: int, batch_size: int) -> tuple[Any, ...]:
    """Return what `MLP.fit` gets: samples and labels, or a source."""
    x, y = (np.load(folder / f"{name}.npy", mmap_mode="r")[:samples] for name in "xy")
    count = -(-samples // SHARD)
    if kind == "memory":
        return np.array(x), np.array(y)
    if kind == "map":
        return x, y
    if kind == "arrays":
        return (streams.Arrays(x, y),)
    if kind == "shards":
        return (streams.Shards(sorted((folder / "shards").iterdir(), key=_number)[: 2 * count]),)
    if kind == "parquet":
        files = sorted((folder / "parquet").iterdir())[:count]
        return (streams.ParquetFiles(files, target="label"),)

    def batches() -> Any:
        for start in range(0, samples, batch_size):
            yield x[start : start + batch_size], y[start : start + batch_size]

    return (batches,)


def _number(path: Path) -> str:
    return path.stem.rpartition("-")[2]


# ---------------------------------------------------------------- a training in its process


def anonymous_bytes() -> int:
    """Return the anonymous memory of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) * 1024


def measure(kind: str, folder: Path, options: argparse.Namespace) -> None:
    """Train one epoch and print seconds, peak memory and loss as JSON."""
    samples, batch_size = options.samples, options.batch_size
    hidden = [int(width) for width in options.hidden.split(",")]
    model = fastmlp.MLP([FEATURES, *hidden, 2], seed=0, input_scale=1.0)
    warm = np.zeros((2 * batch_size, FEATURES), np.float32)
    settings: dict[str, Any] = {
        "epochs": 1, "batch_size": batch_size, "verbose": 0, "diagnose": False,
        "threads": options.threads,
    }  # fmt: skip
    fastmlp.MLP([FEATURES, *hidden, 2]).fit(warm, np.zeros(len(warm), np.uint8), **settings)
    before, peak, ended = anonymous_bytes(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(_LOOK_SECONDS):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    given = source_of(kind, folder, samples, batch_size)
    start = time.perf_counter()
    history = model.fit(*given, optimizer="adam", **settings)
    seconds = time.perf_counter() - start
    ended.set()
    watcher.join()
    print(json.dumps({"seconds": seconds, "bytes": peak - before, "loss": history.loss[-1]}))


def measured(kind: str, folder: Path, samples: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return what a process of its own measures."""
    arguments = [
        sys.executable, __file__, str(folder), "--worker", kind, "--samples", str(samples),
        "--hidden", options.hidden, "--batch-size", str(options.batch_size),
    ]  # fmt: skip
    if options.threads is not None:
        arguments += ["--threads", str(options.threads)]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout)
    return result


# ---------------------------------------------------------------- tables


def compare_times(folder: Path, sources: list[str], options: argparse.Namespace) -> None:
    """Print seconds of an epoch by source."""
    for path in sorted(folder.rglob("*.*")):  # into the cache of the system
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
    found: dict[str, list[dict[str, Any]]] = {kind: [] for kind in sources}
    for turn in range(options.rounds):
        for kind in sources:
            found[kind].append(measured(kind, folder, options.samples, options))
            latest = found[kind][-1]
            print(f"turn {turn + 1}, {kind}: {latest['seconds']:.1f} s", file=sys.stderr)
    medians = {k: statistics.median(one["seconds"] for one in runs) for k, runs in found.items()}
    reference = medians.get("memory", next(iter(medians.values())))
    print(f"\nOne epoch of {options.samples:,} x {FEATURES}, batches of {options.batch_size}, "
          f"layers {FEATURES},{options.hidden},2, median of {options.rounds}:\n")  # fmt: skip
    print("| source | seconds | to memory | peak anonymous memory | loss |")
    print("| --- | --- | --- | --- | --- |")
    for kind, runs in found.items():
        peak = max(one["bytes"] for one in runs)
        print(f"| {kind} | {medians[kind]:.1f} | {medians[kind] / reference:.2f} | "
              f"{peak / 1e6:,.0f} MB | {runs[-1]['loss']:.4f} |")  # fmt: skip


def compare_sizes(folder: Path, sources: list[str], options: argparse.Namespace) -> None:
    """Print peak anonymous memory by source and number of samples."""
    whole = options.samples
    sizes = sorted({max(SHARD, whole // part // SHARD * SHARD) for part in (16, 4)} | {whole})
    sizes = [size for size in sizes if size <= whole]
    print("\nPeak anonymous memory of a training by number of samples:\n")
    print(f"| source | {' | '.join(f'{size:,}' for size in sizes)} |")
    print(f"| --- |{' --- |' * len(sizes)}")
    for kind in sources:
        peaks = [measured(kind, folder, size, options)["bytes"] for size in sizes]
        print(f"| {kind} | {' | '.join(f'{peak / 1e6:,.0f} MB' for peak in peaks)} |", flush=True)


def main() -> None:
    """Generate the files, then measure in processes of their own."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=11_000_000)
    parser.add_argument("--hidden", default="64,64")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--threads", type=int, help="of the computation; a thread reads besides")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--only", choices=("times", "sizes"), help="one of the two tables")
    parser.add_argument("--worker", choices=SOURCES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        measure(options.worker, options.folder, options)
        return
    sources = options.sources.split(",")
    if unknown := set(sources) - set(SOURCES):
        parser.error(f"--sources must be of {','.join(SOURCES)}, got {','.join(sorted(unknown))}")
    generate(options.folder, options.samples)
    if options.only != "sizes":
        compare_times(options.folder, sources, options)
    if options.only != "times":
        compare_sizes(options.folder, sources, options)


if __name__ == "__main__":
    main()
