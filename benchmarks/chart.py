"""Draws docs/images/step-times.svg, the chart of README.md, from benchmarks/README.md.

    python benchmarks/chart.py            # after new tables were recorded
    python benchmarks/chart.py --check    # exit code 1 where the picture is not that of the tables

Each bar is the lowest median of a library over its numbers of threads and its variants.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

TABLES = Path(__file__).with_name("README.md")
CHART = Path(__file__).parents[1] / "docs" / "images" / "step-times.svg"
LIBRARIES = {
    "fastmlp": ("fastmlp",),
    "PyTorch": ("torch", "torch-compile"),
    "JAX": ("jax",),
    "Keras": ("keras", "tensorflow"),
    "scikit-learn": ("sklearn",),
}

WIDTH, COLUMNS, MARGIN, GAP = 880, 3, 16, 18
PANEL_WIDTH = (WIDTH - 2 * MARGIN - (COLUMNS - 1) * GAP) / COLUMNS
LABELS, BARS, ROW, TITLE = 76, 128, 18, 38
PANEL_HEIGHT = TITLE + len(LIBRARIES) * ROW + 14
HEADER = 46
# Attributes hold the light colors, for readers of SVG without style sheets.
DARK = (
    ".paper{fill:#0d1117;stroke:#30363d}.ink{fill:#e6edf3}.faint{fill:#9198a1}"
    ".ours{fill:#4493f8}.others{fill:#656c76}"
)


def step_times(text: str) -> dict[str, dict[str, float]]:
    """Microseconds per step by network and library, from the tables of `fastmlp bench`."""
    times: dict[str, dict[str, float]] = {}
    for section in re.split(r"\n(?=\*\*\w+\*\*, )", text)[1:]:
        head = re.match(r"\*\*\w+\*\*, ([\d-]+), (batch \d+);", section)
        if head is None:
            raise ValueError(f"no network and batch in {section.splitlines()[0]!r}")
        rows = re.findall(r"^\| ([\w-]+) \| \d[^|]*\| ([\d,.]+) \|", section, re.MULTILINE)
        medians = [(engine, float(median.replace(",", ""))) for engine, median in rows]
        network = f"{head[1]}, {head[2]}"
        times[network] = {}
        for library, engines in LIBRARIES.items():
            measured = [median for engine, median in medians if engine in engines]
            if measured:
                times[network][library] = min(measured)
    return times


def in_words(microseconds: float) -> str:
    """Three digits and a unit."""
    value, unit = (microseconds, "µs") if microseconds < 1000 else (microseconds / 1000, "ms")
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f} {unit}"


def text(x: float, y: float, words: str, kind: str, fill: str, size: int, more: str = "") -> str:
    """A line of text."""
    return (
        f'<text class="{kind}" x="{x:g}" y="{y:g}" fill="{fill}" font-size="{size}"{more}>'
        f"{words}</text>"
    )


def panel(left: float, top: float, network: str, times: dict[str, float]) -> list[str]:
    """The bars of one network; the longest one has the full length."""
    bold, right = ' font-weight="600"', ' text-anchor="end"'
    layers, batch = network.split(", ")
    best = min((name for name in times if name != "fastmlp"), key=lambda name: times[name])
    ratio = f"{batch}; {times[best] / times['fastmlp']:.2f} times as fast as {best}"
    lines = [
        text(left, top + 12, layers, "ink", "#1f2328", 12, bold),
        text(left, top + 28, ratio, "faint", "#59636e", 11),
    ]
    for row, library in enumerate(LIBRARIES):
        y = top + TITLE + row * ROW
        ours = library == "fastmlp"
        emphasis = bold if ours else ""
        label = text(left + LABELS - 6, y + 11, library, "ink", "#1f2328", 11, right + emphasis)
        lines.append(label)
        if library not in times:
            lines.append(text(left + LABELS, y + 11, "not measured", "faint", "#59636e", 11))
            continue
        length = max(BARS * times[library] / max(times.values()), 1)
        kind, fill = ("ours", "#0969da") if ours else ("others", "#afb8c1")
        lines.append(
            f'<rect class="{kind}" x="{left + LABELS:g}" y="{y + 1:g}" width="{length:.1f}" '
            f'height="{ROW - 5}" rx="2" fill="{fill}"/>'
        )
        x = round(left + LABELS + length + 5, 1)
        lines.append(text(x, y + 11, in_words(times[library]), "ink", "#1f2328", 11, emphasis))
    return lines


def chart(times: dict[str, dict[str, float]]) -> str:
    """The whole picture."""
    rows = -(-len(times) // COLUMNS)
    height = HEADER + rows * PANEL_HEIGHT + 6
    head = text(MARGIN, 24, "Time of one training step", "ink", "#1f2328", 14, ' font-weight="600"')
    note = "shorter is better; 2 cores of an AMD EPYC (Zen 4); each library at its best"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif">',
        "<title>Time of one training step: fastmlp, PyTorch, JAX, Keras, scikit-learn</title>",
        f"<style>@media (prefers-color-scheme: dark){{{DARK}}}</style>",
        f'<rect class="paper" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" '
        'fill="#ffffff" stroke="#d1d9e0"/>',
        head,
        text(WIDTH - MARGIN, 24, note, "faint", "#59636e", 11, ' text-anchor="end"'),
    ]
    for number, (network, measured) in enumerate(times.items()):
        row, column = divmod(number, COLUMNS)
        left = MARGIN + column * (PANEL_WIDTH + GAP)
        lines += panel(round(left, 1), HEADER + row * PANEL_HEIGHT, network, measured)
    return "\n".join([*lines, "</svg>", ""])


def main() -> int:
    """Draw or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    drawn = chart(step_times(TABLES.read_text(encoding="utf-8")))
    if parser.parse_args().check:
        return int(drawn != CHART.read_text(encoding="utf-8"))
    CHART.write_text(drawn, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
