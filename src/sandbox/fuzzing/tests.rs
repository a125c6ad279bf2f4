//! The fuzz targets over mutated examples: what a fuzzer begins with, bounded, in every run of the tests.

use proptest::prelude::*;

use super::*;

/// What fuzzers begin with, too.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
        })
        .collect();
    seeds.sort();
    seeds
}

fn seed(target: &str) -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(seeds(target)).prop_map(|(_, bytes)| bytes)
}

/// One change, as fuzzers make them.
#[derive(Debug, Clone)]
enum Change {
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, usize),
    Overwrite(prop::sample::Index, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let words = prop::sample::select(vec![
        "\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "*",
        "?",
        "${",
        "}",
        "\\u0000",
        "\0",
        "=",
        "&",
        "%",
        "%00",
        "%EF%BF%BE",
        "<",
        ".member.1.",
        "Allow",
        "Deny",
        "ForAllValues:",
        "IfExists",
        "Not",
        "arn:aws:",
        "null",
        "1e309",
        "-",
        "\u{fffe}",
    ]);
    prop_oneof![
        (any::<prop::sample::Index>(), 1_usize..12).prop_map(|(at, n)| Change::Remove(at, n)),
        (any::<prop::sample::Index>(), words).prop_map(|(at, word)| Change::Insert(at, word.as_bytes().to_vec())),
        (any::<prop::sample::Index>(), 1_usize..40).prop_map(|(at, n)| Change::Repeat(at, n)),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Overwrite(at, byte)),
    ]
}

fn changed(mut bytes: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        match change {
            Change::Remove(at, n) => {
                let at = at.index(bytes.len());
                let end = (at + n).min(bytes.len());
                bytes.drain(at..end);
            }
            Change::Insert(at, word) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, word);
            }
            Change::Repeat(at, n) => {
                let at = at.index(bytes.len());
                let end = (at + n).min(bytes.len());
                let again = bytes[at..end].to_vec();
                bytes.splice(end..end, again);
            }
            Change::Overwrite(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
    }
    bytes
}

#[test]
fn every_example_is_understood_by_what_it_is_an_example_for() {
    let policies = seeds("policy");
    assert!(policies.len() >= 8);
    for (name, example) in policies {
        let text = String::from_utf8(example.clone()).unwrap();
        let document = text.split('\0').next().unwrap();
        let kinds = [PolicyKind::Trust, PolicyKind::Identity];
        assert!(kinds.into_iter().any(|kind| Policy::parse(kind, document).is_ok()), "{name}");
        policy(&example);
    }
    let calls = seeds("query");
    assert!(calls.len() >= 12);
    for (_, example) in calls {
        for who in 0..6 {
            for how in 0..2 {
                query(&[&[who, how], &example[2..]].concat());
            }
        }
    }
}

#[test]
fn signed_examples_get_as_far_as_their_operation() {
    let good = ["caller-identity", "chain", "federation-token", "relay-with-policies"];
    for (name, example) in seeds("query") {
        let status = HARNESS.with_borrow_mut(|harness| {
            let harness = harness.get_or_insert_with(Harness::new);
            harness.ask(example[0] - b'0', example[1] - b'0', &example[2..]).0
        });
        assert_eq!(good.contains(&name.as_str()), status.is_success(), "{name} {status}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_policy_and_no_request_breaks_what_holds_for_all(
        example in seed("policy"),
        changes in prop::collection::vec(change(), 0..4),
    ) {
        policy(&changed(example, changes));
    }

    #[test]
    fn no_bytes_break_the_policy_engine(data in prop::collection::vec(any::<u8>(), 0..200)) {
        policy(&data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_call_breaks_the_query_protocol(
        who in 0_u8..6,
        how in 0_u8..2,
        example in seed("query"),
        changes in prop::collection::vec(change(), 0..4),
    ) {
        query(&[&[who, how], changed(example[2..].to_vec(), changes).as_slice()].concat());
    }
}
