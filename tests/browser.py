"""A real Chromium for tests: where it is, how it starts, and when a test may do without it."""

import os
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
         "--disable-background-networking --disable-component-update --disable-sync").split()
PATIENCE = 180_000                  # milliseconds: a busy disk takes a minute to read a browser
REQUIRED = "TOYMODELS_BROWSER"      # with the value "required": without a browser tests fail


def missing(what):
    """Skip with a reason, or fail where a browser is required."""
    if os.environ.get(REQUIRED) == "required":
        pytest.fail(f"{what}, and {REQUIRED}=required", pytrace=False)
    pytest.skip(what)


@contextmanager
def chromium():
    """A started browser of Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("these tests need Playwright: the extra `browser`")
    if not CHROMIUM.is_file():
        missing(f"these tests need Debian's chromium at {CHROMIUM}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS,
                                             timeout=PATIENCE)
        try:
            yield browser
        finally:
            browser.close()
