"""People allow programs: one that waits on their own computer, and a device elsewhere."""

import base64
import hashlib
import json
import socket
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from axe_playwright_python.sync_playwright import Axe
from harness import BROKER, Story, expect

VERIFIER = "a-verifier-that-nobody-but-the-program-knows-0123456789"
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


def ask(path, fields, token=None):
    """What a program is answered: the status and the JSON."""
    data = None if fields is None else urllib.parse.urlencode(fields).encode()
    request = urllib.request.Request(f"{BROKER}{path}", data=data, headers={"User-Agent": "rolegate/0.1"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


class Waiting:
    """A program that waits on this computer for what the browser brings."""

    def __init__(self, host):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        program = self
        program.answers = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if self.path.startswith("/callback?"):
                    query = urllib.parse.urlsplit(self.path).query
                    program.answers.append(dict(urllib.parse.parse_qsl(query)))
                body = b"<!doctype html><title>Done</title><link rel=icon href=data:,><h1>You can close this page</h1>"
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        server = type("Server", (ThreadingHTTPServer,), {"address_family": family})
        self.server = server((host, 0), Handler)
        name = f"[{host}]" if ":" in host else host
        self.redirect = f"http://{name}:{self.server.server_address[1]}/callback"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def path(self, **more):
        fields = {
            "client_id": "rolegate-cli",
            "redirect_uri": self.redirect,
            "response_type": "code",
            "state": "its-own-state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }
        return "/authorize?" + urllib.parse.urlencode(fields | more)

    def exchange(self, code):
        return ask(
            "/oauth/token",
            {
                "grant_type": "authorization_code",
                "client_id": "rolegate-cli",
                "code": code,
                "redirect_uri": self.redirect,
                "code_verifier": VERIFIER,
            },
        )


@contextmanager
def waiting(host="127.0.0.1"):
    program = Waiting(host)
    try:
        yield program
    finally:
        program.server.shutdown()
        program.server.server_close()


class Here(Story):
    def test_a_program_on_this_computer_is_allowed_with_scripts_and_without_by_both_addresses(self):
        for scripts in (True, False):
            for host in ("127.0.0.1", "::1"):
                with (
                    self.subTest(scripts=scripts, host=host),
                    waiting(host) as program,
                    self.visitor(scripts=scripts) as page,
                ):
                    self.sign_in(page, "Asha Raman", path=program.path(), scripts=scripts)
                    expect(page.get_by_role("heading", level=1)).to_contain_text("Rolegate command line")
                    expect(page.locator(".facts")).to_contain_text("This computer")
                    page.get_by_role("button", name="Allow").click()
                    expect(page.get_by_role("heading", name="You can close this page")).to_be_visible()
                    self.assertTrue(page.url.startswith(program.redirect), page.url)
                    [answer] = program.answers
                    self.assertEqual(("its-own-state", BROKER), (answer["state"], answer["iss"]))
                    status, tokens = program.exchange(answer["code"])
                    self.assertEqual(200, status, tokens)
                    status, me = ask("/api/v1/me", None, token=tokens["access_token"])
                    self.assertEqual((200, "Asha Raman"), (status, me["name"]))

    def test_a_program_that_is_refused_is_told_so(self):
        with waiting() as program, self.visitor() as page:
            self.sign_in(page, "Asha Raman")
            page.goto(program.path(scope="read"))
            expect(page.locator(".facts")).to_contain_text("it gets no credentials")
            page.get_by_role("button", name="Refuse").click()
            expect(page.get_by_role("heading", name="You can close this page")).to_be_visible()
            self.assertEqual("access_denied", program.answers[0]["error"])

    def test_an_answer_that_would_leave_this_computer_goes_nowhere(self):
        with self.visitor(allowed_errors=["status of 400"]) as page:
            self.sign_in(page, "Asha Raman")
            with waiting() as program:
                page.goto(program.path(redirect_uri="https://evil.example/callback"))
                expect(page.get_by_role("heading", level=1)).to_have_text("That program cannot be answered")
                self.assertTrue(page.url.startswith(BROKER), page.url)


class Elsewhere(Story):
    def begun(self):
        status, device = ask("/oauth/device_authorization", {"client_id": "rolegate-cli"})
        self.assertEqual(200, status, device)
        return device

    def poll(self, device):
        grant = "urn:ietf:params:oauth:grant-type:device_code"
        fields = {"grant_type": grant, "client_id": "rolegate-cli", "device_code": device["device_code"]}
        return ask("/oauth/token", fields)

    def test_a_device_is_approved_by_its_code_with_scripts_and_without(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts, allowed_errors=["status of 40"]) as page:
                device = self.begun()
                self.sign_in(page, "Asha Raman", path="/device", scripts=scripts)
                page.get_by_label("Code").fill(device["user_code"].lower().replace("-", " "))
                page.get_by_role("button", name="Continue").click()
                expect(page.get_by_role("heading", level=1)).to_have_text("Did you start this yourself?")
                page.get_by_role("button", name="Approve").click()
                tick = page.get_by_role("checkbox", name=f"The code on my device is {device['user_code']}")
                expect(tick).to_be_focused()
                expect(page.locator(".error")).to_contain_text("Compare the code")
                self.assertEqual("authorization_pending", self.poll(device)[1]["error"])
                tick.check()
                page.get_by_role("button", name="Approve").click()
                expect(page.get_by_role("heading", level=1)).to_have_text("Device approved")
                status, tokens = self.poll(device)
                self.assertEqual(200, status, tokens)
                self.assertEqual(200, ask("/api/v1/me", None, token=tokens["access_token"])[0])

    def test_a_link_with_the_code_still_has_it_compared_and_can_be_refused(self):
        device = self.begun()
        with self.visitor() as page:
            link = device["verification_uri_complete"].removeprefix(BROKER)
            self.sign_in(page, "Asha Raman", path=link)
            tick = page.get_by_role("checkbox")
            expect(tick).not_to_be_checked()
            page.get_by_role("button", name="Refuse").click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Device refused")
            self.assertEqual("access_denied", self.poll(device)[1]["error"])


class Everywhere(Story):
    def test_the_pages_fit_a_phone_and_have_no_fault_that_axe_finds(self):
        axe = Axe()
        status, device = ask("/oauth/device_authorization", {"client_id": "rolegate-cli"})
        self.assertEqual(200, status, device)
        confirm = device["verification_uri_complete"].removeprefix(BROKER)
        for width, colors in ((320, "light"), (390, "dark"), (1280, "light"), (1280, "dark")):
            with (
                self.subTest(width=width, colors=colors),
                waiting() as program,
                self.visitor(width=width, colors=colors, allowed_errors=["status of 404"]) as page,
            ):
                self.sign_in(page, "Zed")
                for path in (program.path(), "/device", "/device?user_code=x", confirm):
                    page.goto(path)
                    self.assert_fits(page)
                    self.assert_faultless(axe, page)


if __name__ == "__main__":
    unittest.main(verbosity=2)
