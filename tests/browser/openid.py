"""Signing in with an OpenID provider on another site: oidc-provider as `localhost` and Rolegate as 127.0.0.1. One
connector, `corp`, has its answers brought by a redirect, the other, `posted`, by a form of the provider's.
"""

import re
from html import unescape
from urllib.parse import urljoin

from harness import BROKER, Story, expect


class AnotherSite(Story):
    def choose(self, page, connector):
        page.locator(f'.ways a[href*="/oidc/{connector}/"]').click()
        self.assertIn("//localhost:", page.url)

    def sign_in_there(self, page, user="alice", password="alice-pass-1"):
        page.locator("[name=username]").fill(user)
        page.locator("[name=password]").fill(password)
        page.locator("[name=password]").press("Enter")

    def test_a_person_comes_back_from_another_site_with_and_without_scripts(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                page.goto("/go?account=111122223333")
                self.choose(page, "corp")
                self.sign_in_there(page)
                expect(page).to_have_url(f"{BROKER}/go?account=111122223333")
                expect(page.locator(".who-name strong")).to_have_text("Alice Archer")
                expect(page.locator("main")).to_contain_text("ReadOnly")

    def test_an_answer_that_the_provider_posts_finds_its_browser_with_and_without_scripts(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                page.goto("/go?account=111122223333")
                self.choose(page, "posted")
                self.sign_in_there(page)
                if not scripts:
                    page.get_by_role("button").first.click()
                expect(page).to_have_url(f"{BROKER}/go?account=111122223333")
                expect(page.locator(".who-name strong")).to_have_text("Alice Archer")

    def test_cancelling_there_leads_to_a_page_with_a_way_on(self):
        for scripts in (True, False):
            with (
                self.subTest(scripts=scripts),
                self.visitor(scripts=scripts, allowed_errors=["status of 4", "status of 5"]) as page,
            ):
                page.goto("/sign-in?choose=1")
                self.choose(page, "corp")
                page.get_by_role("button", name="Cancel").click()
                page.wait_for_url(f"{BROKER}/**")
                expect(page.get_by_role("heading", level=1)).to_be_visible()
                expect(page.get_by_role("link", name=re.compile("sign.in", re.I)).first).to_be_visible()

    def answer_to(self, page):
        """What the provider sends the browser back with, kept from going there: an address, and a form if it is posted."""
        sent = page.request.post(page.url, form={"username": "alice", "password": "alice-pass-1"}, max_redirects=0)
        while "location" in sent.headers and "/callback?" not in sent.headers["location"]:
            sent = page.request.get(urljoin(sent.url, sent.headers["location"]), max_redirects=0)
        if "location" in sent.headers:
            return sent.headers["location"], None
        action = re.search(r'<form method="post" action="([^"]+)"', sent.text())[1]
        fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', sent.text())
        return unescape(action), [[name, unescape(value)] for name, value in fields]

    def test_the_answer_to_one_browsers_sign_in_does_not_sign_another_browser_in(self):
        for connector in ("corp", "posted"):
            with (
                self.subTest(connector=connector),
                self.visitor() as attacker,
                self.visitor(allowed_errors=["status of 4"]) as victim,
            ):
                attacker.goto("/sign-in?choose=1")
                self.choose(attacker, connector)
                answer = self.answer_to(attacker)
                # The victim has begun too, and is on the provider's pages when the attacker's answer is put to them.
                victim.goto("/sign-in?choose=1")
                self.choose(victim, connector)
                victim.evaluate(
                    """([action, fields]) => {
                        if (fields === null) { location.href = action; return; }
                        const form = document.createElement("form");
                        form.method = "post";
                        form.action = action;
                        for (const [name, value] of fields) {
                            const input = document.createElement("input");
                            [input.type, input.name, input.value] = ["hidden", name, value];
                            form.append(input);
                        }
                        document.body.append(form);
                        form.submit();
                    }""",
                    answer,
                )
                victim.wait_for_url(f"{BROKER}/**")
                expect(victim.locator("main")).to_contain_text("Support id")
                self.assertEqual(401, victim.request.get(f"{BROKER}/api/v1/me").status)

    def test_signing_out_leads_through_the_provider_and_back_with_and_without_scripts(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                page.goto("/sign-in?choose=1")
                self.choose(page, "corp")
                self.sign_in_there(page)
                expect(page.get_by_role("heading", name="Your roles")).to_be_visible()
                page.get_by_role("button", name="Sign out").click()
                page.wait_for_url(re.compile("^http://localhost:"))
                self.assertEqual(401, page.request.get(f"{BROKER}/api/v1/me").status)
                page.get_by_role("button", name="Sign out").click()
                page.wait_for_url(re.compile("/signed-out"))
                expect(page.get_by_role("heading", level=1)).to_contain_text("signed out")
                # The provider has forgotten the person as well.
                page.goto("/sign-in?choose=1")
                self.choose(page, "corp")
                expect(page.locator("[name=password]")).to_be_visible()
