"""Frames a second of the playground: of its server alone, and as chromium shows them.

A frame has a step or an epoch of training, the pictures of all units, weights, gradients, regions
and losses of three layers of 8 units. The first number is of a reader that only counts events, at
60 and at 30 frames a second; the second of a page in a browser, if playwright and chromium are
there.

    python benchmarks/playground.py [SECONDS]
"""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import time
from urllib.parse import urlsplit

SETTINGS = {"data": "spiral", "hidden": [8, 8, 8], "features": ["x1", "x2"]}
ADDRESS = "/#data=spiral&hidden=8,8,8"


def asked(url: str, path: str, body: object) -> dict[str, str]:
    """Post JSON and return the answer."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer


def served(url: str, seconds: float, fps: int) -> tuple[float, float]:
    """Return frames a second and bytes of a frame that a reader gets."""
    name = asked(url, "/sessions/playground", SETTINGS)["session"]
    asked(url, f"/sessions/{name}/order", {"order": "play"})
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", f"/sessions/{name}/events?fps={fps}")
    response = connection.getresponse()
    frames = size = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        line = response.readline()
        if line.startswith(b"data: "):
            frames, size = frames + 1, size + len(line)
    connection.close()
    return frames / seconds, size / frames


def drawn(url: str, seconds: float) -> float | None:
    """Return the epochs a second that a page shows, one for each frame; None without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    path = shutil.which("chromium")
    if path is None:
        return None
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url + ADDRESS)
        page.wait_for_timeout(2000)
        page.click("#play")
        page.wait_for_timeout(1000)
        at = "Number(document.querySelector('#at').textContent.replace(',', ''))"
        first, start = page.evaluate(at), time.perf_counter()
        page.wait_for_timeout(1000 * seconds)
        frames = (page.evaluate(at) - first) / (time.perf_counter() - start)
        browser.close()
    return float(frames)


def main() -> None:
    """Measure, and print a line for each number."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 5.0
    process = subprocess.Popen(
        [sys.executable, "-m", "fastmlp", "play", "--port", "0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[1]
        for fps in (60, 30):
            frames, size = served(url, seconds, fps)
            print(f"served, {fps} wanted   {frames:5.1f} frames a second of {size / 1000:.0f} kB")
        shown = drawn(url, seconds)
        print("shown in chromium  " + ("not measured" if shown is None else f"{shown:5.1f} frames"))
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
