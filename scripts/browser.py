"""A headless Chromium, driven by Playwright: for tests, benchmarks and the pictures of the documentation."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")

_FLAGS = ("--disable-gpu", "--disable-quic", "--disable-sync", "--disable-component-update")
"""Besides Playwright's own: the browser draws without a graphics card and asks nobody for anything."""

_ASSISTANT = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1"


def chromium() -> str | None:
    """Return the system's browser; None where there is none. Playwright's own would be a download of its own."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


@contextmanager
def browser(program: str) -> Iterator[Browser]:
    """Run a browser with a profile of its own."""
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=_FLAGS)
        try:
            yield running
        finally:
            running.close()


def without_assistant(page: Page) -> None:
    """Open MLflow's UI as on a second visit: on the first one, a chat covers a quarter of it."""
    page.add_init_script(f"if (origin !== 'null') localStorage.setItem({_ASSISTANT!r}, 'true')")
