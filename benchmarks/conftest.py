"""Machine facts for the report, and the `record` fixture that adds rates to each entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import machine

ROWS: pytest.StashKey[list[tuple[str, dict[str, Any]]]] = pytest.StashKey()
Recorder = Callable[..., None]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict) -> None:
    machine_info.pop("node", None)  # reports record the kind of machine, not its name
    machine_info.update(machine.facts())


@pytest.fixture(scope="session")
def gemm_rate() -> Callable[[int], float]:
    """Sustained GEMM rate in GFLOP/s by number of threads, measured in this session."""
    return machine.sustained_gemm_rate


@pytest.fixture
def record(
    benchmark: Any, gemm_rate: Callable[[int], float], request: pytest.FixtureRequest
) -> Recorder:
    """Put the work done by one timed call, and the rates that follow, into extra_info.

    Rates are those of the fastest round, the least disturbed one on a shared machine.
    """

    def add(
        *,
        bytes_moved: int,
        flops: int | None = None,
        steps: int | None = None,
        samples: int | None = None,
        threads: int | None = 1,
        gemm: bool = False,
        **facts: object,
    ) -> None:
        info = benchmark.extra_info
        info.update(facts, bytes=bytes_moved, threads=threads or "default")
        if flops is not None:
            info["flops"] = flops
        if benchmark.disabled or benchmark.stats is None:
            return
        seconds = benchmark.stats.stats.min
        info["gb_per_s"] = bytes_moved / seconds / 1e9
        if flops is not None:
            info["gflop_per_s"] = flops / seconds / 1e9
        if gemm and flops is not None and threads is not None:
            rate = gemm_rate(threads)
            info["sustained_gemm_gflop_per_s"] = rate
            info["share_of_sustained_gemm"] = info["gflop_per_s"] / rate
        if steps is not None:
            info["us_per_step"] = seconds / steps * 1e6
        if samples is not None:
            info["samples_per_s"] = samples / seconds
        request.config.stash[ROWS].append((request.node.name, dict(info)))

    return add


COLUMNS = {
    "us_per_step": ("us/step", "{:.1f}"),
    "samples_per_s": ("samples/s", "{:,.0f}"),
    "gflop_per_s": ("GFLOP/s", "{:.2f}"),
    "gb_per_s": ("GB/s", "{:.2f}"),
    "share_of_sustained_gemm": ("of GEMM rate", "{:.0%}"),
}


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[ROWS]
    if not rows:
        return
    width = max(len(name) for name, _ in rows)
    terminalreporter.section("rates of the fastest round")
    titles = "".join(f"{title:>14}" for title, _ in COLUMNS.values())
    terminalreporter.write_line(f"{'':{width}}{titles}")
    for name, info in rows:
        cells = (form.format(info[k]) if k in info else "" for k, (_, form) in COLUMNS.items())
        terminalreporter.write_line(f"{name:{width}}" + "".join(f"{cell:>14}" for cell in cells))
    for threads in sorted({i["threads"] for _, i in rows if "share_of_sustained_gemm" in i}):
        rate = machine.sustained_gemm_rate(threads)
        terminalreporter.write_line(
            f"sustained GEMM rate, {threads} thread(s), packing included: {rate:.1f} GFLOP/s"
        )
