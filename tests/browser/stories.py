"""What people do with Rolegate in a browser, told from the first click to the last."""

import json
import os
import re
import subprocess
import unittest
import urllib.error
import urllib.request

from axe_playwright_python.sync_playwright import Axe
from harness import BROKER, SANDBOX, Story, expect
from playwright.sync_api import Error as PlaywrightError

# (account, role) of the development company that Asha, the platform admin, may use.
ACCOUNT, ACCOUNT_ID, ROLE = "Payments production", "111122223333", "ReadOnly"


def row(page, account_id=ACCOUNT_ID, role=ROLE):
    """A role in the list of all accounts."""
    return page.locator(f'#all form[action="/roles/{account_id}/{role}/console"]')


def environment(text):
    """The variables of `export NAME=value` lines."""
    return dict(re.findall(r"""^export (AWS_\w+)=["']?([^"'\n]*)""", text, re.M))


def caller(variables):
    """Who the AWS CLI is with these variables, as the sandbox's STS says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    clean |= {"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null"}
    clean |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL_STS": SANDBOX}
    command = [os.environ["AWS_CLI"], "sts", "get-caller-identity", "--output", "json"]
    answer = subprocess.run(command, env=clean | variables, capture_output=True, text=True, timeout=60)
    if answer.returncode:
        raise AssertionError(f"{command}: {answer.stderr}")
    return json.loads(answer.stdout)


class SigningIn(Story):
    def test_with_scripts_a_person_signs_in_filters_and_enter_opens_the_console(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman")
            expect(page.get_by_role("heading", name="Your roles")).to_be_visible()
            page.get_by_role("searchbox").fill("payments production readonly")
            expect(page.locator("#count")).to_have_text("1 role in 1 account")
            with page.context.expect_page() as opening:
                page.keyboard.press("Enter")
            self.assert_console(opening.value)

    def test_without_scripts_a_person_signs_in_and_a_button_opens_the_console(self):
        with self.visitor(scripts=False) as page:
            self.sign_in(page, "Asha Raman", scripts=False)
            page.get_by_role("searchbox").fill("payments production")
            page.get_by_role("button", name="Filter", exact=True).click()
            with page.context.expect_page() as opening:
                row(page).get_by_role("button", name="Open console").click()
            self.assert_console(opening.value)

    def test_through_openid_connect_with_a_security_key_with_scripts_and_without(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                page.goto("/")
                page.get_by_role("link", name="OpenID Connect").click()
                page.get_by_label("Password and security key").check()
                page.get_by_role("button", name="Zed").click()
                # The provider's page leads on by itself, with scripts or without.
                page.wait_for_url(f"{BROKER}/")
                expect(page.get_by_role("heading", name="Your roles")).to_be_visible()

    def assert_console(self, page):
        expect(page.locator("#account")).to_have_text(ACCOUNT_ID)
        expect(page.locator("#role")).to_contain_text(ROLE)
        expect(page.locator("#session-name")).to_have_text("asha.raman@larkspur.example")
        self.assertTrue(page.url.startswith(SANDBOX), page.url)

    def test_a_person_without_any_role_is_told_why_and_whom_to_ask(self):
        with self.visitor() as page:
            self.sign_in(page, "Omar Haddad")
            expect(page.get_by_role("heading", name="No role is mapped to you")).to_be_visible()
            expect(page.locator(".chips li")).to_have_text(["all-staff", "sales"])

    def test_a_name_full_of_markup_is_shown_as_it_is_written(self):
        with self.visitor() as page:
            self.sign_in(page, "Zed")
            expect(page.locator(".who-name strong")).to_have_text("""Zoë "Zed" O'Brien & Müller""")

    def test_a_deep_link_leads_through_sign_in_to_the_page_it_names(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman", path=f"/roles/{ACCOUNT_ID}/{ROLE}/why")
            expect(page).to_have_url(f"{BROKER}/roles/{ACCOUNT_ID}/{ROLE}/why")
            expect(page.locator("main")).to_contain_text("Your groups contain engineering")

    def test_cancelling_at_the_identity_provider_leads_to_a_page_with_a_way_on(self):
        with self.visitor(allowed_errors=["status of 4"]) as page:
            page.goto("/")
            page.locator(".ways a[href^='/saml/']").first.click()
            page.get_by_role("button", name="Cancel and go back").click()
            page.wait_for_url(f"{BROKER}/**")
            expect(page.get_by_role("heading", level=1)).to_be_visible()
            expect(page.get_by_role("link", name=re.compile("sign.in", re.I)).first).to_be_visible()

    def test_signing_out_ends_the_sessions_here_and_there_and_going_back_shows_nothing(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                self.sign_in(page, "Asha Raman", scripts=scripts)
                page.get_by_role("button", name="Sign out").click()
                expect(page).to_have_url(re.compile("/signed-out\\?connector=.*&reach=everywhere"))
                expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
                page.go_back()
                expect(page.get_by_role("heading", name="Your roles")).to_have_count(0)
                page.goto("/")
                expect(page).to_have_url(re.compile("/sign-in"))
                page.goto(f"{SANDBOX}/idp")
                expect(page.get_by_role("button", name="Sign out")).to_have_count(0)

    def test_signing_out_at_the_identity_provider_ends_the_session_here(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                self.sign_in(page, "Asha Raman", scripts=scripts)
                page.goto(f"{SANDBOX}/idp")
                page.get_by_role("button", name="Sign out").click()
                expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
                self.assertIn(SANDBOX, page.url)
                page.goto("/")
                expect(page).to_have_url(re.compile("/sign-in"))

    def test_the_session_cookie_is_beyond_scripts_and_other_sites(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman")
            self.assertEqual("", page.evaluate("document.cookie"))
            mine = [cookie for cookie in page.context.cookies(BROKER) if cookie["name"] == "rolegate"]
            self.assertEqual(1, len(mine), page.context.cookies(BROKER))
            self.assertTrue(mine[0]["httpOnly"])
            self.assertIn(mine[0]["sameSite"], ("Lax", "Strict"))


class Choosing(Story):
    def test_the_way_used_last_is_first_and_has_the_focus(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman")
            page.get_by_role("button", name="Sign out").click()
            page.get_by_role("link", name="Sign in again").click()
            first = page.locator(".ways a").first
            expect(first).to_contain_text("last used")
            expect(first).to_be_focused()


class Sessions(Story):
    def signed_in_twice(self, page, other, scripts=True):
        self.sign_in(other, "Mateo García")
        self.sign_in(page, "Mateo García", scripts=scripts)
        page.get_by_role("link", name="Sessions").click()
        expect(page.get_by_role("heading", name="Your sessions")).to_be_visible()

    def test_somebody_ends_a_session_elsewhere(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor() as other, self.visitor(scripts=scripts) as page:
                self.signed_in_twice(page, other, scripts)
                this = page.locator(".sessions li", has_text="this one")
                expect(this.get_by_role("heading")).to_contain_text("Chrome without a screen on Linux")
                expect(this.get_by_role("button", name="Sign out here")).to_be_visible()
                before = page.locator(".sessions li").count()
                # The one used last stands first after this one.
                page.get_by_role("button", name="End session").first.click()
                expect(page.locator(".notice.done")).to_contain_text("That session has ended.")
                expect(page.locator(".sessions li")).to_have_count(before - 1)
                other.goto("/")
                expect(other).to_have_url(f"{BROKER}/sign-in")

    def test_with_the_keyboard_alone_all_others_are_ended(self):
        with self.visitor() as other, self.visitor() as page:
            self.signed_in_twice(page, other)
            button = page.get_by_role("button", name="End all others")
            for _ in range(30):
                page.keyboard.press("Tab")
                if button.evaluate("(button) => button === document.activeElement"):
                    break
            page.keyboard.press("Enter")
            expect(page.locator(".notice.done")).to_contain_text("All your other sessions have ended.")
            expect(page.locator(".sessions li")).to_have_count(1)
            other.goto("/")
            expect(other).to_have_url(f"{BROKER}/sign-in")


def api(path, token):
    """What a program is answered that sends this token."""
    request = urllib.request.Request(f"{BROKER}{path}", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as answer:
        return answer.code, json.load(answer)


class Tokens(Story):
    def open_tokens(self, page, scripts=True):
        self.sign_in(page, "Mateo García", scripts=scripts)
        page.get_by_role("link", name="Tokens").click()
        expect(page.get_by_role("heading", name="Your tokens", level=1)).to_be_visible()

    def test_somebody_makes_a_token_for_one_role_uses_it_and_takes_it_back(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                self.open_tokens(page, scripts)
                name = f"Nightly report, scripts {scripts}"
                page.get_by_label("Name", exact=True).fill(name)
                page.get_by_label("Expires after").select_option("7 days")
                page.get_by_label("Only some roles").check()
                box = page.locator("#roles input").first
                role = box.get_attribute("name").removeprefix("role:")
                box.check()
                page.get_by_label("Only from these networks").fill("127.0.0.0/8")
                page.get_by_role("button", name="Make token").click()
                expect(page.get_by_role("heading", level=1)).to_have_text(name)
                token = page.locator("#token").inner_text()
                self.assertRegex(token, r"^rgp_[0-9A-Za-z]{49}$")

                status, answer = api("/api/v1/roles", token)
                self.assertEqual(200, status, answer)
                self.assertEqual([role], [f"{one['account']}/{one['role']}" for one in answer["roles"]])

                page.get_by_role("link", name="All your tokens").click()
                item = page.locator(".tokens > li", has_text=name)
                expect(item).to_contain_text("just now from 127.0.0.1")
                expect(item).to_contain_text("127.0.0.0/8")
                self.assertNotIn(token, page.content())
                item.get_by_role("button", name="Revoke").click()
                expect(page.locator(".notice.done")).to_contain_text("That token no longer counts.")
                self.assertEqual(401, api("/api/v1/roles", token)[0])

    def test_a_token_is_copied_whole_and_is_gone_from_history(self):
        with self.visitor(allowed_errors=["ERR_CACHE_MISS", "status of"]) as page:
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            self.open_tokens(page)
            page.get_by_label("Name", exact=True).fill("To be copied")
            page.get_by_role("button", name="Make token").click()
            page.get_by_role("button", name="Copy", exact=True).click()
            expect(page.locator("#live")).to_have_text("Copied")
            token = page.locator("#token").text_content()
            self.assertEqual(token, page.evaluate("navigator.clipboard.readText()"))
            page.get_by_role("link", name="All your tokens").click()
            expect(page.get_by_role("heading", name="Your tokens", level=1)).to_be_visible()
            try:
                page.go_back(wait_until="commit")
            except PlaywrightError:
                pass  # Chromium asks whether to send the form again, and shows an error page of its own until told
            page.wait_for_timeout(500)
            self.assertNotIn(token, page.content())
            page.goto("/tokens")
            page.get_by_role("button", name="Revoke To be copied").click()

    def test_what_is_wrong_stands_beside_its_field_and_what_was_typed_stays(self):
        axe = Axe()
        for width, colors in ((390, "light"), (1280, "dark")):
            allowed = {"width": width, "colors": colors, "allowed_errors": ["status of 422"]}
            with self.subTest(width=width), self.visitor(**allowed) as page:
                self.open_tokens(page)
                page.get_by_label("Name", exact=True).fill("Wrong")
                page.get_by_label("Only some roles").check()
                page.get_by_label("Only from these networks").fill("the office")
                page.get_by_role("button", name="Make token").click()
                expect(page.get_by_text("Choose at least one role.")).to_be_visible()
                networks = page.get_by_label("Only from these networks")
                expect(networks).to_have_value("the office")
                expect(networks).to_have_attribute("aria-invalid", "true")
                expect(page.get_by_label("Only some roles")).to_be_checked()
                self.assert_fits(page)
                self.assert_faultless(axe, page)

    def test_a_long_list_of_roles_is_sifted_with_the_keyboard(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman", path="/tokens")
            page.get_by_label("Only some roles").check()
            sift = page.get_by_label("Filter roles")
            sift.fill("payments production readonly")
            boxes = page.locator("#roles label:visible")
            expect(boxes).to_have_count(1)
            # Enter filters; it makes no token.
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Your tokens", level=1)).to_be_visible()
            page.keyboard.press("Tab")
            for _ in range(5):
                if boxes.locator("input").evaluate("(box) => box === document.activeElement"):
                    break
                page.keyboard.press("Tab")
            page.keyboard.press("Space")
            expect(page.locator("#chosen")).to_have_text("1 chosen")


class SteppingUp(Story):
    """The role SecurityResponder asks for two factors, and people sign in by password."""

    RESPOND = "127790045613", "SecurityResponder"

    def recognised(self, page, scripts):
        """From the page that asks to the identity provider, with a security key this time."""
        expect(page.get_by_role("heading", name="SecurityResponder")).to_be_visible()
        expect(page.locator("main")).to_contain_text("You signed in by password.")
        page.get_by_role("link", name="Continue with").click()
        # What the role asks for is passed on, so that nobody has to guess.
        expect(page.get_by_label("Password and security key")).to_be_checked()
        page.get_by_role("button", name="Mateo García").click()
        if not scripts:
            page.get_by_role("button", name="Continue").click()

    def test_the_console_opens_after_a_stronger_sign_in_by_the_click_that_waited(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts, allowed_errors=["status of 403"]) as page:
                self.sign_in(page, "Mateo García", scripts=scripts)
                page.goto("/?q=securityresponder")
                expect(row(page, *self.RESPOND)).to_contain_text("recent, stronger sign-in")
                with page.context.expect_page() as opening:
                    row(page, *self.RESPOND).get_by_role("button", name="Open console").click()
                console = opening.value
                self.recognised(console, scripts)
                if not scripts:
                    console.get_by_role("button", name="Open console").click()
                expect(console.locator("#role")).to_contain_text("SecurityResponder")
                self.assertTrue(console.url.startswith(SANDBOX), console.url)
                # The first window goes on too, and asks for nothing more.
                page.goto("/?q=securityresponder")
                row(page, *self.RESPOND).get_by_role("button", name="Get credentials").click()
                expect(page.get_by_text("Credentials for")).to_be_visible()

    def test_the_key_that_copies_leads_to_the_page_that_asks(self):
        with self.visitor(allowed_errors=["status of 403"]) as page:
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            self.sign_in(page, "Mateo García")
            page.goto("/?q=securityresponder")
            row(page, *self.RESPOND).get_by_role("button", name="Get credentials").focus()
            page.keyboard.press("c")
            self.recognised(page, scripts=True)
            expect(page.get_by_text("Credentials for")).to_be_visible()

    def test_the_page_that_asks_has_no_fault_that_axe_finds_and_fits_a_phone(self):
        axe = Axe()
        for colors in ("light", "dark"):
            with (
                self.subTest(colors=colors),
                self.visitor(width=320, colors=colors, scripts=True, allowed_errors=["status of 403"]) as page,
            ):
                self.sign_in(page, "Mateo García")
                page.goto("/?q=securityresponder")
                row(page, *self.RESPOND).get_by_role("button", name="Get credentials").click()
                expect(page.get_by_role("link", name="Continue with")).to_be_focused()
                self.assert_fits(page)
                self.assert_faultless(axe, page)


class Credentials(Story):
    def test_with_scripts_values_are_hidden_until_asked_for_and_the_aws_cli_accepts_them(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman")
            row(page).get_by_role("button", name="Get credentials").click()
            text = page.locator("[id^=text-]").first
            expect(text).to_be_hidden()
            page.get_by_text("Show values").first.click()
            expect(text).to_be_visible()
            self.assert_accepted(environment(text.inner_text()))
            expect(page.locator("#left")).to_have_text(re.compile(r"\d+ (h|min)"))

    def test_without_scripts_values_are_hidden_until_asked_for_and_the_aws_cli_accepts_them(self):
        with self.visitor(scripts=False) as page:
            self.sign_in(page, "Asha Raman", scripts=False)
            row(page).get_by_role("button", name="Get credentials").click()
            text = page.locator("[id^=text-]").first
            expect(text).to_be_hidden()
            page.get_by_text("Show values").first.click()
            expect(text).to_be_visible()
            self.assert_accepted(environment(text.inner_text()))

    def assert_accepted(self, variables):
        arn = caller(variables)["Arn"]
        self.assertIn(f"assumed-role/{ROLE}/", arn)
        self.assertIn(f"::{ACCOUNT_ID}:", arn)
        self.assertTrue(arn.endswith("/asha.raman@larkspur.example"), arn)

    def test_copying_puts_the_whole_text_into_the_clipboard(self):
        with self.visitor() as page:
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            self.sign_in(page, "Asha Raman")
            row(page).get_by_role("button", name="Get credentials").click()
            page.locator("[data-copy^='#text-']:visible").click()
            expect(page.locator("#live")).to_have_text("Copied")
            copied = page.evaluate("navigator.clipboard.readText()")
            self.assertEqual(copied, page.locator("[id^=text-]").first.text_content())
            self.assertLess({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"}, set(environment(copied)))

    def test_a_key_copies_keys_that_the_aws_cli_accepts_without_leaving_the_picker(self):
        with self.visitor() as page:
            page.context.grant_permissions(["clipboard-read", "clipboard-write"])
            self.sign_in(page, "Asha Raman")
            row(page).get_by_role("button", name="Open console").focus()
            page.keyboard.press("c")
            expect(page.locator("#live")).to_contain_text("The keys are copied")
            self.assertEqual(f"{BROKER}/", page.url)
            self.assert_accepted(environment(page.evaluate("navigator.clipboard.readText()")))

    def test_a_download_is_the_file_it_says(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                self.sign_in(page, "Asha Raman", scripts=scripts)
                row(page).get_by_role("button", name="Get credentials").click()
                with page.expect_download() as download:
                    page.get_by_role("button", name="Download").locator("visible=true").first.click()
                with open(download.value.path()) as file:
                    self.assert_accepted(environment(file.read()))

    def test_credentials_are_gone_from_history(self):
        with self.visitor(allowed_errors=["ERR_CACHE_MISS", "status of"]) as page:
            self.sign_in(page, "Asha Raman")
            row(page).get_by_role("button", name="Get credentials").click()
            secret = page.locator("#value-secret").text_content()
            page.get_by_role("link", name="All your roles").click()
            expect(page.get_by_role("heading", name="Your roles")).to_be_visible()
            try:
                page.go_back(wait_until="commit")
            except PlaywrightError:
                pass  # Chromium asks whether to send the form again, and shows an error page of its own until told
            page.wait_for_timeout(500)
            expect(page.locator("#value-secret")).to_have_count(0)
            self.assertNotIn(secret, page.content())


class Keyboard(Story):
    def focused(self, page):
        return page.locator(":focus")

    def test_slash_arrows_and_shift_enter_are_all_one_needs(self):
        with self.visitor() as page:
            self.sign_in(page, "Asha Raman")
            page.keyboard.press("Escape")
            page.keyboard.press("/")
            expect(self.focused(page)).to_have_attribute("type", "search")
            page.keyboard.type("data lake")
            page.keyboard.press("ArrowDown")
            expect(self.focused(page)).to_have_text("Open console")
            first = self.focused(page).evaluate("button => button.form.getAttribute('action')")
            page.keyboard.press("ArrowDown")
            second = self.focused(page).evaluate("button => button.form.getAttribute('action')")
            self.assertNotEqual(first, second)
            page.keyboard.press("ArrowUp")
            page.keyboard.press("Shift+Enter")
            expect(page.get_by_role("heading", level=1)).to_contain_text(first.split("/")[-2])
            expect(page.locator(".kind")).to_have_text("Credentials for")

    def test_without_scripts_the_tab_key_reaches_everything_in_order(self):
        with self.visitor(scripts=False) as page:
            page.goto("/")
            page.keyboard.press("Tab")
            expect(self.focused(page)).to_have_text("Skip to content")
            page.keyboard.press("Tab")
            page.keyboard.press("Tab")
            expect(self.focused(page)).to_have_attribute("href", re.compile("/oidc/.+/start"))
            page.keyboard.press("Tab")
            expect(self.focused(page)).to_have_attribute("href", re.compile("/saml/.+/start"))
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", name="Who are you today?")).to_be_visible()

    def test_a_favourite_stays_on_top_for_the_next_visit(self):
        with self.visitor() as page:
            self.sign_in(page, "Lin Wei")
            name = page.locator("#all .r .n b").first.inner_text()
            page.locator("#all .r .f").first.click()
            favourites = page.locator("#mine section", has=page.get_by_role("heading", name="Favourites"))
            expect(favourites.locator(".n b")).to_have_text(name)
            page.reload()
            expect(favourites.locator(".n b")).to_have_text(name)


class Looks(Story):
    PAGES = ["/sign-in", "/sessions", "/tokens", "/", "/?q=payments", f"/roles/{ACCOUNT_ID}/{ROLE}/why", "/nowhere"]

    def test_no_page_needs_sideways_scrolling_on_a_phone(self):
        for width in (320, 390):
            with self.subTest(width=width), self.visitor(width=width, allowed_errors=["status of 404"]) as page:
                self.sign_in(page, "Asha Raman")
                for path in self.PAGES:
                    page.goto(path)
                    self.assert_fits(page)
                page.goto("/?q=payments+production")
                row(page).get_by_role("button", name="Get credentials").click()
                page.get_by_text("Show values").first.click()
                self.assert_fits(page)

    def test_no_page_has_a_fault_that_axe_finds_in_light_or_dark(self):
        axe = Axe()
        for colors in ("light", "dark"):
            with self.subTest(colors=colors), self.visitor(colors=colors, allowed_errors=["status of 404"]) as page:
                self.sign_in(page, "Asha Raman")
                for path in self.PAGES:
                    page.goto(path)
                    self.assert_faultless(axe, page)
                page.goto("/?q=payments+production")
                row(page).get_by_role("button", name="Get credentials").click()
                page.get_by_text("Show values").first.click()
                self.assert_faultless(axe, page)


if __name__ == "__main__":
    unittest.main(verbosity=2)
