//! Every sample of every page is rendered, checked for what must hold on all of them, and may be looked at.

use askama::Template;

use super::*;
use crate::web::assets;

/// Every page, by the name of its sample.
fn pages() -> Vec<(&'static str, String)> {
    fn rendered<T: Template>(samples: Vec<(&'static str, T)>) -> impl Iterator<Item = (&'static str, String)> {
        samples.into_iter().map(|(name, page)| (name, page.render().unwrap()))
    }
    rendered(SignIn::samples())
        .chain(rendered(vec![("onward", Onward::sample())]))
        .chain(rendered(vec![("confirm", ConfirmSignIn::sample())]))
        .chain(rendered(SignedOut::samples()))
        .chain(rendered(vec![("tested", Tested::sample())]))
        .chain(rendered(SessionsPage::samples()))
        .chain(rendered(TokensPage::samples()))
        .chain(rendered(vec![("token-made", TokenMade::sample())]))
        .chain(rendered(vec![("onward-by-form", OnwardByForm::sample())]))
        .chain(rendered(Picker::samples()))
        .chain(rendered(Go::samples()))
        .chain(rendered(vec![("why", Why::sample())]))
        .chain(rendered(OptionsPage::samples()))
        .chain(rendered(StepUpPage::samples()))
        .chain(rendered(ContinuePage::samples()))
        .chain(rendered(MfaPage::samples()))
        .chain(rendered(CredentialsPage::samples()))
        .chain(rendered(AwsConfigPage::samples()))
        .chain(rendered(ConsentPage::samples()))
        .chain(rendered(DevicePage::samples()))
        .chain(rendered(DeviceConfirmPage::samples()))
        .chain(rendered(DeviceDonePage::samples()))
        .chain(rendered(ProblemPage::samples()))
        .collect()
}

fn page(name: &str) -> String {
    pages().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// The elements of one name, each from its `<` to its end tag.
fn elements<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    let (start, end) = (format!("<{name} "), format!("</{name}>"));
    html.match_indices(&start).map(|(at, _)| &html[at..at + html[at..].find(&end).unwrap()]).collect()
}

fn text_of<'a>(html: &'a str, from: &str, to: &str) -> &'a str {
    let start = html.find(from).unwrap() + from.len();
    &html[start..start + html[start..].find(to).unwrap()]
}

#[test]
fn every_sample_can_be_written_out_and_looked_at() {
    let pages = pages();
    assert!(pages.len() >= 20);
    let Some(dir) = std::env::var_os("ROLEGATE_RENDER_DIR").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&dir).unwrap();
    for (name, html) in &pages {
        std::fs::write(dir.join(format!("{name}.html")), html).unwrap();
    }
    for (path, body) in assets::all() {
        let file = dir.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, body).unwrap();
    }
}

#[test]
fn no_page_needs_an_inline_script_or_style_or_anything_from_elsewhere() {
    for (name, html) in pages() {
        let lower = html.to_lowercase();
        for forbidden in
            ["style=", "<style", "javascript:", " onclick", " onload", " onsubmit", "<base", "src=\"http", "url("]
        {
            assert!(!lower.contains(forbidden), "{name}: {forbidden}");
        }
        for script in elements(&html, "script") {
            assert!(script.contains(" src=\"/static/") && script.ends_with('>'), "{name}: {script}");
        }
        assert!(!html.contains("<script>"), "{name}");
    }
}

#[test]
fn every_asset_a_page_names_exists() {
    let known: Vec<&str> = assets::all().map(|(path, _)| path).collect();
    for (name, html) in pages() {
        for part in html.split('"').filter(|part| part.starts_with("/static/")) {
            assert!(known.contains(&part), "{name}: {part}");
        }
    }
}

#[test]
fn every_form_that_posts_to_us_carries_the_csrf_field_and_no_other_does() {
    let field = format!("<input type=\"hidden\" name=\"csrf\" value=\"{}\">", Shell::sample().csrf);
    for (name, html) in pages() {
        for form in elements(&html, "form") {
            let posts = form.contains("method=\"post\"");
            let ours = !form.contains("action=\"http");
            assert_eq!(posts && ours, form.contains(&field), "{name}: {form}");
            assert_eq!(ours, !form.contains("name=\"SAML"), "{name}: {form}");
            assert!(posts || !form.contains("formaction"), "{name}: {form}");
        }
    }
}

#[test]
fn every_page_has_one_main_and_one_first_heading_with_the_others_in_order() {
    for (name, html) in pages() {
        assert_eq!(html.matches("<main ").count(), 1, "{name}");
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        let levels: Vec<u8> = html
            .match_indices("<h")
            .filter_map(|(at, _)| html.as_bytes().get(at + 2).copied())
            .filter(u8::is_ascii_digit)
            .map(|digit| digit - b'0')
            .collect();
        assert_eq!(levels.first(), Some(&1), "{name}");
        assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{name}: {levels:?}");
        assert!(html.contains("<title>") && html.contains("lang=\"en\""), "{name}");
    }
}

#[test]
fn what_people_and_directories_call_things_is_escaped() {
    let html = page("picker-filtered-nothing");
    assert!(html.contains("Nothing matches <q>prod nosuch&#60;role&#62;</q>"), "{html}");
    assert!(!html.contains("nosuch<role>"));
}

#[test]
fn the_picker_offers_each_role_with_its_buttons_and_durations() {
    let html = page("picker");
    let row = elements(&html, "form")
        .into_iter()
        .find(|form| form.contains("\"/roles/111122223333/teams/payments/Deploy/console"))
        .unwrap();
    for part in [
        "formaction=\"/roles/111122223333/teams/payments/Deploy/credentials\"",
        "formaction=\"/roles/111122223333/teams/payments/Deploy/favourite\"",
        "href=\"/roles/111122223333/teams/payments/Deploy/why\"",
        "<option value=3600 selected>1 h",
        "<option value=14400>4 h",
    ] {
        assert!(row.contains(part), "{part}: {row}");
    }
    assert!(!row.contains("28800"), "beyond the role's maximum: {row}");
    assert!(html.contains("60 roles in 12 accounts"));
}

#[test]
fn favourites_and_recent_roles_come_before_the_accounts() {
    let html = page("picker");
    let at = |text| html.find(text).unwrap();
    assert!(at("<h2>Favourites</h2>") < at("<h2>Recent</h2>") && at("<h2>Recent</h2>") < at("id=\"all\""));
}

#[test]
fn fifteen_hundred_roles_stay_a_page_of_moderate_size() {
    let html = page("picker-large");
    assert!(html.contains("1,500 roles in 300 accounts"));
    assert_eq!(elements(&html, "select").len(), 1_505);
    assert!(html.len() < 1_500_000, "{} bytes", html.len());
}

#[test]
fn every_word_of_the_filter_must_match_account_tag_or_role_in_any_case() {
    let names = |query| {
        let picker = Picker::sample_of(12, query);
        let roles = picker.accounts.iter().flat_map(|a| a.roles.iter().map(move |r| (a.name.clone(), r.name.clone())));
        roles.collect::<Vec<_>>()
    };
    assert_eq!(names("").len(), 60);
    assert_eq!(names("team=PAYMENTS prod deploy"), [("Payments production".to_owned(), "Deploy".to_owned())]);
    assert_eq!(names("env=prod team=search").len(), 5);
    assert_eq!(names("111122223333 admin").len(), 2);
    assert_eq!(names("no such thing"), []);
}

#[test]
fn a_filter_that_finds_nothing_says_so_and_leads_back() {
    let html = page("picker-filtered-nothing");
    assert!(html.contains("<div class=\"none\" id=\"none\">"));
    assert!(!page("picker").contains("<div class=\"none\" id=\"none\">"), "hidden while something matches");
}

#[test]
fn somebody_without_roles_reads_their_groups_and_whom_to_ask() {
    let html = page("picker-no-roles");
    for part in ["No role is mapped to you", "<li>berlin-office</li>", "#cloud-access"] {
        assert!(html.contains(part), "{part}");
    }
    assert!(!html.contains("did not send all of your groups"));
    let html = page("picker-no-roles-overage");
    assert!(html.contains("Okta did not send all of your groups"));
}

#[test]
fn secrets_are_masked_where_they_are_not_asked_for() {
    let html = page("credentials");
    let masked = text_of(&html, "<pre class=\"masked\" aria-hidden=\"true\">", "</pre>");
    assert!(masked.contains("ASIAIOSFODNN7EXAMPLE") && masked.contains("••••"), "{masked}");
    assert!(!masked.contains("wJalr") && !masked.contains("IQoJb3JpZ2lu"), "{masked}");
    let outside: String = html.split("<details>").map(|part| part.rsplit("</details>").next().unwrap()).collect();
    assert!(!outside.contains("wJalr"), "only ever inside something closed");
    assert!(!format!("{:?}", CredentialsPage::samples()).contains("wJalr"));
}

#[test]
fn each_format_can_be_downloaded_without_scripts() {
    let html = page("credentials");
    for id in ["env", "fish", "powershell", "cmd", "ini", "json", "process"] {
        assert!(html.contains(&format!("name=\"format\" value=\"{id}\"")), "{id}");
    }
    assert!(html.contains("issues a fresh set"));
    assert!(html.contains("datetime=\"2030-01-02T03:04:05Z\""));
}

#[test]
fn a_problem_says_what_to_do_and_how_support_finds_it() {
    let html = page("problem-429");
    assert!(html.contains("Problem 429") && html.contains("Please wait <b>30 seconds</b>"));
    assert!(html.contains("0199f3a2-7c41-7e08-9b54-2f6d1c0e8a37"));
}

#[test]
fn a_deep_link_shows_where_it_leads_and_carries_it() {
    let html = page("go-role");
    assert!(html.contains("<code>https://eu-west-1.console.aws.amazon.com/cloudwatch/home"));
    assert_eq!(html.matches("name=\"destination\"").count(), 1);
    assert!(!page("go-account").contains("name=\"destination\""));
}

#[test]
fn durations_run_up_to_the_maximum_and_select_the_default() {
    let secs = |text: &str| text.parse().unwrap();
    let labels = |default, longest| {
        let steps = duration_steps(secs(default), secs(longest));
        let marked = |s: &DurationStep| if s.selected { format!("[{}]", s.label) } else { s.label.clone() };
        steps.iter().map(marked).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(labels("1h", "12h"), "15 min 30 min [1 h] 2 h 4 h 8 h 12 h");
    assert_eq!(labels("1h", "1h"), "15 min 30 min [1 h]");
    assert_eq!(labels("90m", "3h"), "15 min 30 min 1 h [1 h 30 min] 2 h 3 h");
    assert_eq!(labels("4h", "1h"), "15 min 30 min [1 h]");
    assert_eq!(labels("15m", "15m"), "[15 min]");
}

#[test]
fn counts_are_grouped_and_agree_with_their_noun() {
    assert_eq!(counted(0, "role", "roles"), "0 roles");
    assert_eq!(counted(1, "role", "roles"), "1 role");
    assert_eq!(counted(1500, "role", "roles"), "1,500 roles");
    assert_eq!(counted(1_234_567, "role", "roles"), "1,234,567 roles");
}
