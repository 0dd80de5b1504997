"""A real browser, driven by playwright: Debian's chromium."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
TIMEOUT_MS = 60_000


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser, or skip the test and say what is missing."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs playwright: pip install '.[test]'"
    )
    if CHROMIUM is None:
        pytest.skip("needs chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield running
        finally:
            running.close()


@contextmanager
def opened(running: Any, url: str, *, quiet: bool = True, **settings: Any) -> Iterator[Any]:
    """Open a page in a context of its own; it must raise no error, and write none if `quiet`."""
    context = running.new_context(**settings)
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.on("request", lambda asked: _require_local(asked.url, url, errors))
    try:
        page.goto(url)
        yield page
        assert not errors or not quiet, errors
    finally:
        context.close()


def until(page: Any, condition: str) -> None:
    """Wait until an expression of JavaScript is true.

    `page.wait_for_function` evaluates text in the page, which the policy of the pages forbids.
    """
    end = time.monotonic() + TIMEOUT_MS / 1000
    while not page.evaluate(condition):
        assert time.monotonic() < end, f"{condition}; {page.inner_text('main')}"
        page.wait_for_timeout(20)


def _require_local(asked: str, url: str, errors: list[str]) -> None:
    place = "/".join(url.split("/")[:3])
    if not asked.startswith((f"{place}/", "data:", "blob:")):
        errors.append(f"asked {asked}")
