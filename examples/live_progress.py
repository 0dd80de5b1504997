"""Draws docs/images/live-progress.svg: the screen of `fastmlp train mnist` in its last epoch.

    python examples/live_progress.py [OUTPUT.svg]

Needs tmux and MNIST in the cache. Nothing else should run meanwhile: the picture shows the speed.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from html import escape
from pathlib import Path

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "live-progress.svg"
COLUMNS, LINES = 110, 14
TITLE = "fastmlp train mnist"
WIDTH, HEIGHT, SIZE, MARGIN, HEADER = 8.0, 18, 13, 14, 42  # of a character, and around the screen
COLORS = {"31": "#f47067", "32": "#57ab5a", "33": "#c69026", "34": "#539bf5", "36": "#39c5cf"}
INK, FAINT, PAPER, EDGE = "#adbac7", "#768390", "#22272e", "#444c56"


def screens(folder: Path) -> Iterator[str]:
    """What the terminal shows, again and again until the command ends."""

    def tmux(*words: str, check: bool = True) -> str:
        command = ["tmux", "-u", "-f", "/dev/null", "-S", str(folder / "socket"), *words]
        return subprocess.run(command, check=check, capture_output=True, text=True).stdout

    train = [sys.executable, "-m", "fastmlp", "train", "mnist", "--no-report"]
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    tmux("new-session", "-d", *size, "-c", str(folder), "env", "TERM=screen-256color", *train)
    try:
        while screen := tmux("capture-pane", "-e", "-p", check=False):
            yield screen
            time.sleep(0.03)
    finally:
        tmux("kill-server", check=False)


def plain(screen: str) -> str:
    """A screen without colors."""
    return re.sub(r"\x1b\[[\d;]*m", "", screen)


def chosen(folder: Path) -> str:
    """The last screen with at most 80 % of the last epoch done."""
    last = ""
    for screen in screens(folder):
        bars = re.search(
            r"^epoch (\d+)/\1 .*\nthis epoch [━─ ]+(\d+)%", plain(screen), re.MULTILINE
        )
        if bars and int(bars[2]) <= 80:
            last = screen
    if not last:
        raise SystemExit("the display did not show the last epoch in time; run it again")
    return last.rstrip()


def spans(screen: str) -> Iterator[tuple[int, int, bool, str, str]]:
    """Row, column, whether bold, color and text of each piece of one style."""
    row, column, bold, color = 0, 0, False, INK
    for piece in re.split(r"(\x1b\[[\d;]*m|\n)", screen):
        if piece == "\n":
            row, column = row + 1, 0
        elif piece.startswith("\x1b"):
            for code in piece[2:-1].split(";"):
                if code in ("", "0"):
                    bold, color = False, INK
                elif code in ("1", "22"):
                    bold = code == "1"
                elif code in ("2", "90"):
                    color = FAINT
                elif code.startswith("3"):
                    color = COLORS.get(code, INK)
        else:
            for words in re.finditer(r"\S+(?: \S+)*", piece):
                yield row, column + words.start(), bold, color, words[0]
            column += len(piece)


def picture(screen: str) -> str:
    """The screen as SVG, with a dark background of its own."""
    width = 2 * MARGIN + COLUMNS * WIDTH
    height = HEADER + len(screen.splitlines()) * HEIGHT + MARGIN // 2
    font = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}" '
        f'viewBox="0 0 {width:g} {height}" role="img" font-family="{font}" font-size="{SIZE}">',
        f"<title>{TITLE}</title>",
        f'<rect x="0.5" y="0.5" width="{width - 1:g}" height="{height - 1}" rx="8" '
        f'fill="{PAPER}" stroke="{EDGE}"/>',
        f'<text x="{MARGIN}" y="25" fill="{FAINT}">$ '
        f'<tspan fill="{INK}" font-weight="700">{TITLE}</tspan></text>',
    ]
    for row, column, bold, color, words in spans(screen):
        weight = ' font-weight="700"' if bold else ""
        parts.append(
            f'<text x="{MARGIN + column * WIDTH:g}" y="{HEADER + row * HEIGHT + 8}" '
            f'textLength="{len(words) * WIDTH:g}" fill="{color}"{weight}>{escape(words)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Train and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, nargs="?", default=PICTURE)
    output = parser.parse_args().output
    with tempfile.TemporaryDirectory() as folder:
        output.write_text(picture(chosen(Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
