"""The system's Chromium, driven by Playwright, against a running demo.

Every visitor is a browser profile of its own. A page that logs an error, breaks its content security policy or reaches
for another machine fails the story it happened in.

The environment says where things are: BROKER_URL, SANDBOX_URL, CHROMIUM, and ARTIFACTS for screenshots of failures.
"""

import os
import pathlib
import re
import unittest
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import expect, sync_playwright

BROKER = os.environ["BROKER_URL"].rstrip("/")
SANDBOX = os.environ.get("SANDBOX_URL", "").rstrip("/")
ARTIFACTS = pathlib.Path(os.environ["ARTIFACTS"])

# Nothing of a browser's own business: no updates, no accounts, no reports, no GPU and no QUIC to a test server.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

expect.set_options(timeout=10_000)


class Story(unittest.TestCase):
    """A test with a browser. One Chromium serves all; `visitor` opens a profile in it."""

    @classmethod
    def setUpClass(cls):
        cls._playwright = sync_playwright().start()
        cls._browser = cls._playwright.chromium.launch(executable_path=os.environ["CHROMIUM"], args=ARGUMENTS)

    @classmethod
    def tearDownClass(cls):
        cls._browser.close()
        cls._playwright.stop()

    @contextmanager
    def visitor(self, scripts=True, width=1280, height=900, colors="light", allowed_errors=()):
        """A browser with no history. `allowed_errors` are patterns of console errors the story provokes on purpose."""
        context = self._browser.new_context(
            base_url=BROKER,
            java_script_enabled=scripts,
            viewport={"width": width, "height": height},
            color_scheme=colors,
            reduced_motion="reduce",
        )
        context.set_default_timeout(10_000)
        complaints = []

        def console(message):
            ours = message.location["url"].startswith(tuple(filter(None, (BROKER, SANDBOX))))
            if message.type == "error" and ours and not any(re.search(p, message.text) for p in allowed_errors):
                complaints.append(f"console: {message.text} ({message.location['url']})")

        def request(request):
            parts = urlsplit(request.url)
            if parts.scheme in ("http", "https") and parts.hostname not in ("127.0.0.1", "::1", "localhost"):
                complaints.append(f"request to another machine: {request.url}")

        context.on("console", console)
        context.on("weberror", lambda error: complaints.append(f"script: {error.error}"))
        context.on("request", request)
        page = context.new_page()
        try:
            yield page
            self.assertEqual([], complaints)
        except BaseException:
            self._keep(context)
            raise
        finally:
            context.close()

    def _keep(self, context):
        """What every open page looked like when the story failed."""
        ARTIFACTS.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(context.pages):
            name = ARTIFACTS / f"{self._testMethodName}-{number}"
            print(f"{self._testMethodName}: page {number} was {page.url}; see {name}.png")
            try:
                page.screenshot(path=f"{name}.png", full_page=True)
                name.with_suffix(".html").write_text(page.content())
            except Exception as error:  # the page may be on its way somewhere; the story's own failure matters more
                print(f"  no picture: {error}")

    def sign_in(self, page, person, path="/", scripts=True):
        """From the broker's door through the development identity provider and back."""
        page.goto(path)
        page.locator('.ways a[href^="/saml/"]').first.click()
        expect(page.get_by_role("heading", name="Who are you today?")).to_be_visible()
        page.get_by_role("button", name=person).click()
        if not scripts:
            page.get_by_role("button", name="Continue").click()
        page.wait_for_url(f"{BROKER}/**")

    def assert_fits(self, page):
        """Nothing sticks out to the right: no sideways scrolling."""
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        self.assertLessEqual(wide, seen, f"{page.url} is {wide} pixels wide in a window of {seen}")

    def assert_faultless(self, axe, page):
        """Nothing that the accessibility checker finds."""
        found = axe.run(page).response["violations"]
        self.assertEqual([], [(rule["id"], [node["html"] for node in rule["nodes"]][:3]) for rule in found], page.url)
