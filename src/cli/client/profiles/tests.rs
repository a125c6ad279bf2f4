use proptest::prelude::*;

use super::*;

fn server() -> Server {
    "https://aws.example.com".parse().unwrap()
}

fn marked() -> String {
    mark(&server())
}

const WANTED: &str = "[sso-session acme]\nsso_start_url = https://acme.awsapps.com/start\n\n[services acme]\nsso =\n  endpoint_url = \
                      https://aws.example.com/idc\n\n[profile prod-ReadOnly]\nsso_session = acme\nregion = eu-west-1\n";

fn added(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("+ {name}")).collect()
}

fn told(merged: &Merged) -> Vec<String> {
    merged.changes.iter().map(ToString::to_string).collect()
}

#[test]
fn an_empty_file_gets_our_sections_and_a_second_time_changes_nothing() {
    let first = merge("", WANTED, &server());
    assert_eq!(told(&first), added(&["sso-session acme", "services acme", "profile prod-ReadOnly"]));
    let mark = marked();
    assert_eq!(
        first.text,
        format!(
            "[sso-session acme]\n{mark}\nsso_start_url = https://acme.awsapps.com/start\n\n\
             [services acme]\n{mark}\nsso =\n  endpoint_url = https://aws.example.com/idc\n\n\
             [profile prod-ReadOnly]\n{mark}\nsso_session = acme\nregion = eu-west-1\n"
        )
    );
    assert_eq!(merge(&first.text, WANTED, &server()), Merged { text: first.text.clone(), changes: Vec::new() });
}

#[test]
fn other_peoples_sections_comments_and_order_stay_as_they_are() {
    let existing =
        "# my file\n\n[default]\nregion=us-east-1 \n; odd\n[profile  \"with space\"]\n  output = json\nrole_arn=x\n";
    let merged = merge(existing, WANTED, &server());
    assert!(merged.text.starts_with(&format!("{existing}\n[sso-session acme]\n")), "{}", merged.text);
}

#[test]
fn a_section_of_somebody_else_is_not_taken_over() {
    for header in ["[profile prod-ReadOnly]", "[profile \"prod-ReadOnly\"]", "[profile   prod-ReadOnly ] # mine"] {
        let existing = format!("{header}\nrole_arn = x\n");
        let merged = merge(&existing, WANTED, &server());
        assert!(merged.text.starts_with(&existing) && !merged.text.contains("region ="), "{}", merged.text);
        assert!(told(&merged).contains(&"! profile prod-ReadOnly".to_owned()), "{merged:?}");
    }
    let other = merge("", WANTED, &"https://other.example.com".parse().unwrap());
    let merged = merge(&other.text, WANTED, &server());
    assert_eq!(merged.text, other.text, "another server's sections are somebody else's");
    assert_eq!(merged.changes.len(), 3);
}

#[test]
fn profiles_of_roles_that_are_gone_go_and_comments_below_them_stay() {
    let existing = format!(
        "{}\n# about mine\n[profile mine]\nregion = x\n",
        merge("", "[profile a]\nx = 1\n[profile b]\nx = 2\n", &server()).text
    );
    let merged = merge(&existing, "[profile a]\nx = 1\n", &server());
    assert_eq!(told(&merged), ["- profile b"]);
    assert_eq!(
        merged.text,
        format!("[profile a]\n{}\nx = 1\n\n\n# about mine\n[profile mine]\nregion = x\n", marked())
    );
    let none = merge(&merged.text, "", &server());
    assert!(none.text.ends_with("# about mine\n[profile mine]\nregion = x\n") && !none.text.contains("profile a"));
}

#[test]
fn what_a_person_adds_to_a_section_of_ours_stays_and_what_we_wrote_changes() {
    let existing = format!(
        "[profile prod-ReadOnly]\n{}\nsso_session = old\ncredential_process = old\noutput = json\n# theirs\ns3 =\n  \
         max_concurrent_requests = 20\nregion = us-east-1\n",
        marked()
    );
    let wanted = "[profile prod-ReadOnly]\nsso_session = acme\nregion = eu-west-1\n";
    let merged = merge(&existing, wanted, &server());
    assert_eq!(told(&merged), ["~ profile prod-ReadOnly"]);
    assert_eq!(
        merged.text,
        format!(
            "[profile prod-ReadOnly]\n{}\nsso_session = acme\nregion = eu-west-1\noutput = json\n# theirs\ns3 =\n  \
             max_concurrent_requests = 20\n",
            marked()
        )
    );
    // A region that the server does not name is the person's.
    let without = merge(&merged.text, "[profile prod-ReadOnly]\nsso_session = acme\n", &server());
    assert!(without.text.contains("region = eu-west-1") && without.changes.is_empty());
}

#[test]
fn line_ends_of_the_file_are_kept_and_a_last_line_without_one_gets_one() {
    let merged = merge("[default]\r\nregion = x\r\n", WANTED, &server());
    assert!(
        merged.text.lines().count() > 8 && merged.text.matches('\n').count() == merged.text.matches("\r\n").count()
    );
    assert!(merge(&merged.text, WANTED, &server()).changes.is_empty());
    let merged = merge("[default]\nregion = x", WANTED, &server());
    assert!(merged.text.starts_with("[default]\nregion = x\n\n[sso-session acme]\n"), "{}", merged.text);
}

#[test]
fn the_way_without_settings_keeps_its_comments_up_to_date() {
    let wanted = |n: u8| format!("[profile a]\n# AWS_CONTAINER_CREDENTIALS_FULL_URI=https://x/{n}\n");
    let first = merge("", &wanted(1), &server());
    let second = merge(&first.text, &wanted(2), &server());
    assert_eq!(second.text, first.text.replace("/1", "/2"));
    assert!(merge(&second.text, &wanted(2), &server()).changes.is_empty());
}

/// Files as people leave them: sections with comments, blank lines, nested settings, odd headers, marks of ours.
fn any_file() -> impl Strategy<Value = String> {
    let mark = marked();
    let line = prop_oneof![
        Just("region = eu-west-1".to_owned()),
        Just("sso_session = acme".to_owned()),
        Just("s3 =".to_owned()),
        Just("  nested = 1".to_owned()),
        Just("# a comment".to_owned()),
        Just("; another".to_owned()),
        Just("# AWS_CONTAINER_CREDENTIALS_FULL_URI=x".to_owned()),
        Just(String::new()),
        Just("  ".to_owned()),
        Just("junk".to_owned()),
        Just(mark),
        "[a-z =#\\[\\]]{0,12}",
    ];
    let header = prop_oneof![
        Just("[default]".to_owned()),
        "\\[profile [ab]\\]",
        "\\[profile \"[ab]\"\\]",
        "\\[(sso-session|services) [ab]\\]",
        Just("[".to_owned()),
    ];
    let section = (header, any::<bool>(), prop::collection::vec(line, 0..6)).prop_map(|(header, ours, lines)| {
        let mark = if ours { vec![marked()] } else { Vec::new() };
        std::iter::once(header).chain(mark).chain(lines).collect::<Vec<_>>()
    });
    (prop::collection::vec(section, 0..5), any::<bool>(), any::<bool>()).prop_map(|(sections, crlf, ended)| {
        let end = if crlf { "\r\n" } else { "\n" };
        let text = sections.concat().join(end);
        if ended && !text.is_empty() { text + end } else { text }
    })
}

fn any_wanted() -> impl Strategy<Value = String> {
    let section = (
        prop_oneof!["\\[profile [abc]\\]", "\\[services [ab]\\]"],
        prop::sample::select(vec![
            "sso_session = acme\n",
            "region = us-east-1\noutput = json\n",
            "sso =\n  endpoint_url = x\n",
            "# AWS_CONTAINER_CREDENTIALS_FULL_URI=y\n",
        ]),
    );
    prop::collection::vec(section, 0..4).prop_map(|mut sections| {
        sections.sort();
        sections.dedup_by(|a, b| a.0 == b.0);
        sections.into_iter().map(|(header, body)| format!("{header}\n{body}\n")).collect()
    })
}

/// The sections that are not ours, whole, in their order.
fn theirs(text: &str) -> Vec<String> {
    let mark = marked();
    let of = |section: Section<'_>| section.lines.concat().trim_end().to_owned();
    sections(text)
        .into_iter()
        .filter(|section| section.lines.get(1).is_none_or(|line| line.trim() != mark))
        .map(of)
        .filter(|text| !text.is_empty())
        .collect()
}

proptest! {
    #[test]
    fn a_second_merge_changes_nothing(existing in any_file(), wanted in any_wanted()) {
        let first = merge(&existing, &wanted, &server());
        let second = merge(&first.text, &wanted, &server());
        prop_assert_eq!(&second.text, &first.text);
        prop_assert!(second.changes.iter().all(|change| matches!(change, Change::LeftAlone(_))), "{:?}", second.changes);
    }

    #[test]
    fn whatever_is_merged_other_peoples_sections_are_still_there(existing in any_file(), wanted in any_wanted()) {
        let merged = merge(&existing, &wanted, &server());
        for theirs in theirs(&existing) {
            prop_assert!(merged.text.contains(&theirs), "{:?} is gone from {:?}", theirs, merged.text);
        }
    }

    #[test]
    fn afterwards_every_wanted_section_is_there_once_or_is_somebody_elses(existing in any_file(), wanted in any_wanted()) {
        let merged = merge(&existing, &wanted, &server());
        for name in names(&wanted) {
            let ours = sections(&merged.text).into_iter().filter(|section| {
                section.name.as_ref() == Some(&name) && section.lines.get(1).is_some_and(|line| line.trim() == marked())
            });
            let left = merged.changes.contains(&Change::LeftAlone(name.clone()));
            prop_assert_eq!(ours.count(), usize::from(!left), "{} in {:?}", name, merged.text);
        }
    }

    #[test]
    fn nothing_wanted_leaves_nothing_of_ours(existing in any_file(), wanted in any_wanted()) {
        let merged = merge(&merge(&existing, &wanted, &server()).text, "", &server());
        let left = sections(&merged.text).into_iter().any(|section| {
            section.name.is_some() && section.lines.get(1).is_some_and(|line| line.trim() == marked())
        });
        prop_assert!(!left, "{:?}", merged.text);
    }
}
