"""Records the playground: screenshots, and a moving picture of the spiral and of a drawn digit.

    python examples/record_playground.py FOLDER

Starts `fastmlp play`, drives its pages by playwright in Debian's chromium, and writes into FOLDER:
playground-light.webp, playground-dark.webp, playground-phone.webp, digits-light.webp,
digits-dark.webp, and the recordings playground.webp and digits.webp. Needs MNIST for the digits,
and Pillow, playwright and chromium.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

SPIRAL = "/#data=spiral&noise=0.1&features=x1,x2,sin_x1,sin_x2&hidden=8,8,8&optimizer=adam"
RATE = "&phases=0:0.005:10:0"
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
SECONDS, FRAMES, WIDTH = 6, 40, 800
SEVEN = [(0.25, 0.2), (0.75, 0.2), (0.45, 0.85)]


@contextmanager
def server() -> Iterator[str]:
    """Run the playground; yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmlp", "play", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait()


def ready(page: Any) -> None:
    """Wait until the page shows a network."""
    while page.inner_text("#train-loss") == "-":
        page.wait_for_timeout(50)


def wait_for_epoch(page: Any, epoch: int) -> None:
    """Wait until so many epochs are completed."""
    while int(page.inner_text("#at").replace(",", "")) < epoch:
        page.wait_for_timeout(50)


def picture(page: Any, path: Path) -> None:
    """Write what the page shows."""
    shot = page.screenshot(full_page=True)
    Image.open(io.BytesIO(shot)).convert("RGB").save(path, quality=88)
    print(f"{path} ({path.stat().st_size:,} bytes)")


class Recording:
    """Frames of a page, which become a moving picture."""

    def __init__(self, page: Any) -> None:
        self._page = page
        self._frames: list[Image.Image] = []

    def take(self, count: int = 1, pause: int = SECONDS * 1000 // FRAMES) -> None:
        """Add frames with a pause in milliseconds after each."""
        for _ in range(count):
            shot = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
            self._frames.append(shot.resize((WIDTH, WIDTH * shot.height // shot.width)))
            self._page.wait_for_timeout(pause)

    def save(self, path: Path) -> None:
        """Write the moving picture."""
        first, *others = self._frames
        duration = SECONDS * 1000 // FRAMES
        first.save(path, save_all=True, append_images=others, duration=duration, loop=0, quality=60)
        print(f"{path} ({path.stat().st_size:,} bytes, {len(self._frames)} frames)")


def record_plane(browser: Any, url: str, folder: Path) -> None:
    """Record the training of the spiral, and pictures of its end."""
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport=DESKTOP, color_scheme=scheme)
        page.goto(f"{url}{SPIRAL}{RATE}")
        ready(page)
        recording = Recording(page)
        recording.take(4)
        page.select_option("#speed", "ten")
        page.click("#play")
        recording.take(FRAMES)
        page.click("#play")
        page.hover("[data-key=unit-2-0]")
        recording.take(8)
        picture(page, folder / f"playground-{scheme}.webp")
        if scheme == "light":
            recording.save(folder / "playground.webp")
        page.close()
    page = browser.new_page(viewport=PHONE, device_scale_factor=2)
    page.goto(f"{url}{SPIRAL}{RATE}&epoch=600")
    ready(page)
    wait_for_epoch(page, 600)
    picture(page, folder / "playground-phone.webp")
    page.close()


def record_digits(browser: Any, url: str, folder: Path) -> None:
    """Record a digit that is drawn while the network learns."""
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport=DESKTOP, color_scheme=scheme)
        page.goto(f"{url}/digits")
        ready(page)
        recording = Recording(page)
        box = page.locator("#drawing-board").bounding_box()
        places = [
            (box["x"] + right * box["width"], box["y"] + down * box["height"])
            for right, down in SEVEN
        ]
        page.mouse.move(*places[0])
        page.mouse.down()
        for start, end in zip(places, places[1:], strict=False):
            for step in range(1, 7):
                page.mouse.move(*(a + (b - a) * step / 6 for a, b in zip(start, end, strict=True)))
                recording.take(pause=30)
        page.mouse.up()
        recording.take(4)
        page.click("#play")
        recording.take(FRAMES // 2)
        wait_for_epoch(page, 3)
        page.click("#play")
        page.wait_for_timeout(500)
        recording.take(8)
        picture(page, folder / f"digits-{scheme}.webp")
        if scheme == "light":
            recording.save(folder / "digits.webp")
        page.close()


def main() -> None:
    """Record both pages."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the pictures are written")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    with server() as url, sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        record_plane(browser, url, folder)
        record_digits(browser, url, folder)
        browser.close()


if __name__ == "__main__":
    main()
