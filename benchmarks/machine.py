"""The machine under the benchmarks: instruction sets, threads, BLAS, sustained GEMM rate."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

import fastmlp
from fastmlp import _core

# The generic kernels call a software fma: three orders of magnitude slower, for small sizes only.
FAST_ISAS = [isa for isa in _core.isas() if isa != "generic"]
THREADS = sorted({1, min(2, _core.available_threads())})
# Large enough that the hook's packing is a small share, small enough to take milliseconds.
RATE_SIZES = (512, 768, 1024)
RATE_SECONDS = 0.3


@cache
def _openblas() -> tuple[ctypes.CDLL, str] | None:
    """The OpenBLAS that NumPy has loaded and the pattern of its names, or None for another BLAS."""
    try:
        maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    except OSError:
        return None
    paths = {line.split()[-1] for line in maps.splitlines() if "openblas" in line.lower()}
    for path in sorted(paths):
        library = ctypes.CDLL(path)
        for pattern in (
            "scipy_openblas_{}64_",
            "openblas_{}64_",
            "scipy_openblas_{}",
            "openblas_{}",
        ):
            if hasattr(library, pattern.format("set_num_threads")):
                return library, pattern
    return None


def blas_threads() -> int | None:
    """Threads NumPy multiplies with; None where its BLAS does not tell."""
    found = _openblas()
    if found is None:
        return None
    library, pattern = found
    return int(getattr(library, pattern.format("get_num_threads"))())


@contextmanager
def limit_blas(threads: int) -> Iterator[int | None]:
    """Let NumPy multiply with that many threads, as far as its BLAS can be told."""
    found, before = _openblas(), blas_threads()
    if found is None or before is None:
        yield None
        return
    library, pattern = found
    set_threads = getattr(library, pattern.format("set_num_threads"))
    set_threads(threads)
    try:
        yield threads
    finally:
        set_threads(before)


def best_seconds(function: Callable[[], object], budget: float) -> float:
    """Shortest of the runs that fit into a budget of seconds, at least three."""
    best, spent, runs = float("inf"), 0.0, 0
    while runs < 3 or spent < budget:
        start = time.perf_counter()
        function()
        seconds = time.perf_counter() - start
        best, spent, runs = min(best, seconds), spent + seconds, runs + 1
    return best


@cache
def sustained_gemm_rate(threads: int) -> float:
    """GFLOP/s of the best square float32 `gemm_nn`, packing and unpacking included.

    A rate that this library sustains on this machine, not the peak of the hardware.
    """
    rate = 0.0
    for size in RATE_SIZES:
        a = np.random.default_rng(0).standard_normal((size, size), np.float32)
        seconds = best_seconds(lambda a=a: _core.kernels.gemm_nn(a, a, threads), RATE_SECONDS)
        rate = max(rate, 2 * size**3 / seconds / 1e9)
    return rate


def facts() -> dict[str, object]:
    """What a reader needs to know to judge the numbers."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return {
        "fastmlp": fastmlp.info(),
        "cpu_count": os.cpu_count(),
        "usable_cpus": len(os.sched_getaffinity(0)),
        "numpy": np.__version__,
        "numpy_blas": f"{blas.get('name')} {blas.get('version')}",
        "numpy_blas_threads": blas_threads(),
        "load_average": os.getloadavg(),
        "platform": platform.platform(),
    }
