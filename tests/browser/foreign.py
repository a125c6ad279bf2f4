"""Signing in where the identity provider is another site, as it is in every company: SimpleSAMLphp as `localhost` and
Rolegate as 127.0.0.1. The answer arrives in a POST that carries none of our `SameSite` cookies.
"""

import os

from harness import BROKER, Story, expect


class AnotherSite(Story):
    def sign_in_at_simplesamlphp(self, page, scripts):
        page.locator("[name=username]").fill("alice")
        page.locator("[name=password]").fill("alice-pass-1")
        page.locator("[name=password]").press("Enter")
        if not scripts:
            # The page has another one, which its style sheet hides once that has arrived.
            page.locator("button.btn", has_text="Submit").click()

    def test_a_person_comes_back_from_another_site_with_and_without_scripts(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                page.goto("/go?account=111122223333")
                page.locator(".ways a").first.click()
                self.assertIn("//localhost:", page.url)
                self.sign_in_at_simplesamlphp(page, scripts)
                expect(page).to_have_url(f"{BROKER}/go?account=111122223333")
                expect(page.locator(".who-name strong")).to_have_text("Alice Archer")
                expect(page.locator("main")).to_contain_text("ReadOnly")

    def test_a_sign_in_that_began_at_the_identity_provider_is_confirmed_by_a_click(self):
        for scripts in (True, False):
            with self.subTest(scripts=scripts), self.visitor(scripts=scripts) as page:
                page.goto(os.environ["IDP_START_URL"])
                self.sign_in_at_simplesamlphp(page, scripts)
                expect(page.get_by_role("heading", level=1)).to_have_text("Continue as Alice Archer?")
                page.get_by_role("button", name="Continue").click()
                expect(page.get_by_role("heading", name="Your roles")).to_be_visible()

    def test_a_person_signs_out_at_another_site_by_a_link_or_a_form_and_comes_back(self):
        for connector in ("corp", "forms"):
            for scripts in (True, False):
                with self.subTest(connector=connector, scripts=scripts), self.visitor(scripts=scripts) as page:
                    page.goto(f"/saml/{connector}/start")
                    self.sign_in_at_simplesamlphp(page, scripts)
                    page.get_by_role("button", name="Sign out").click()
                    if connector == "forms" and not scripts:
                        page.get_by_role("button", name="Go on to Corp").click()
                    expect(page).to_have_url(f"{BROKER}/signed-out?connector={connector}&reach=everywhere")
                    expect(page.get_by_role("heading", level=1)).to_have_text("You are signed out")
                    page.goto(f"/saml/{connector}/start")
                    expect(page.locator("[name=password]")).to_be_visible()

    def test_a_person_signs_out_at_another_site_and_is_signed_out_here(self):
        for logout in ("traditional", "iframe"):
            with self.subTest(logout=logout), self.visitor() as page:
                peer = os.environ["IDP_START_URL"].split("/saml2")[0]
                page.request.post(peer.replace("/simplesaml", "/__peer/settings"), data={"logout": logout})
                page.goto("/")
                page.locator(".ways a").first.click()
                self.sign_in_at_simplesamlphp(page, True)
                expect(page.get_by_role("heading", name="Your roles")).to_be_visible()
                page.goto(f"{peer}/saml2/idp/initSLO.php?RelayState={peer}/logout.php")
                if logout == "iframe":
                    # It loads us in a frame, and is content once our answer has arrived in there.
                    page.get_by_role("button", name="Yes, all services").click()
                expect(page).to_have_url(f"{peer}/logout.php")
                self.assertEqual(401, page.request.get(f"{BROKER}/api/v1/me").status)

    def test_the_answer_to_one_browsers_sign_in_does_not_sign_another_browser_in(self):
        with self.visitor() as attacker, self.visitor(allowed_errors=["status of 4"]) as victim:
            held = []

            def hold(route):
                held.append(route.request.post_data)
                route.abort()

            attacker.route("**/acs", hold)
            attacker.goto("/")
            attacker.locator(".ways a").first.click()
            attacker.locator("[name=username]").fill("alice")
            attacker.locator("[name=password]").fill("alice-pass-1")
            attacker.locator("[name=password]").press("Enter")
            while not held:
                attacker.wait_for_timeout(50)
            # The attacker's own page makes the victim's browser post the attacker's answer.
            victim.goto(os.environ["IDP_START_URL"].split("/simplesaml")[0] + "/simplesaml/")
            victim.evaluate(
                """([action, body]) => {
                    const form = document.createElement("form");
                    form.method = "post";
                    form.action = action;
                    for (const [name, value] of new URLSearchParams(body)) {
                        const input = document.createElement("input");
                        [input.type, input.name, input.value] = ["hidden", name, value];
                        form.append(input);
                    }
                    document.body.append(form);
                    form.submit();
                }""",
                [f"{BROKER}/saml/corp/acs", held[0]],
            )
            victim.wait_for_url(f"{BROKER}/**")
            expect(victim.locator("main")).to_contain_text("Support id")
            self.assertEqual(401, victim.request.get(f"{BROKER}/api/v1/me").status)
