use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::*;

const KEY: &str = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I=";

/// A folder with files, and a process in it.
struct Process {
    folder: tempfile::TempDir,
    variables: Vec<(OsString, OsString)>,
}

impl Process {
    fn with_settings(text: &str) -> Self {
        Self::empty().file("rolegate.toml", text)
    }

    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn sources(&self) -> Sources {
        Sources::of_process(self.path().to_owned(), self.variables.clone())
    }

    fn load(&self) -> Config {
        Config::load(&self.sources()).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn mistakes(&self) -> Vec<String> {
        mistakes(&self.sources())
    }
}

fn mistakes(sources: &Sources) -> Vec<String> {
    let errors = Config::load(sources).map(|_| ()).expect_err("these settings are wrong");
    errors.mistakes().iter().map(ToString::to_string).collect()
}

fn one(sources: &Sources) -> String {
    let all = mistakes(sources);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.into_iter().next().unwrap()
}

fn with(key: &str, value: &str) -> Sources {
    Sources::of_program([("public_url", "https://aws.example.com".to_owned())]).with_set(format!("{key}={value}"))
}

#[test]
fn the_public_url_is_all_one_must_write() {
    let process = Process::with_settings("public_url = \"https://aws.example.com\"");
    let config = process.load();
    assert_eq!(config.listen, "127.0.0.1:8080".parse().unwrap());
    assert_eq!(config.data_dir, Path::new("rolegate-data"));
    assert_eq!(config.database, Database::Sqlite("rolegate-data/rolegate.db".into()));
    assert!(matches!(&config.keys.sealing_key, SealingKeySource::OwnFile(path) if path.ends_with("sealing.key")));
    assert_eq!(config.keys.signing_key_bits, SigningKeyBits::Rsa3072);
    assert_eq!(config.keys.entity_id, "https://aws.example.com/aws/saml-metadata.xml");
    assert_eq!(config.keys.tokens.issuer, "https://aws.example.com");
    assert_eq!(config.keys.tokens.rotation_days.map(std::num::NonZeroU32::get), Some(90));
    assert_eq!(config.session.absolute_timeout, Duration::from_secs(12 * 3600));
    assert_eq!(config.web.max_body, 1024 * 1024);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(10));
    assert!(config.public_url.is_https());
}

#[test]
fn without_a_public_url_serving_is_refused_and_the_database_can_still_be_opened() {
    let process = Process::empty();
    assert_eq!(
        one(&process.sources()),
        "`public_url` is not set: write the address people open, such as https://aws.example.com"
    );
    let store = StoreConfig::load(&process.sources()).unwrap();
    assert_eq!(store.database, Database::Sqlite("rolegate-data/rolegate.db".into()));
}

#[test]
fn a_flag_wins_over_a_variable_a_variable_over_the_file_and_the_file_over_the_default() {
    let file = "public_url = 'https://file.example'\nlisten = '127.0.0.1:1'\nshutdown_timeout = '1s'";
    let process = Process::with_settings(file)
        .variable("ROLEGATE_PUBLIC_URL", "https://variable.example")
        .variable("ROLEGATE_LISTEN", "127.0.0.1:2");
    let sources = process.sources().with_flag("--public-url", "public_url", "https://flag.example".to_owned());
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.public_url.origin(), "https://flag.example");
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.shutdown_timeout, Duration::from_secs(1));
    assert_eq!(config.session.idle_timeout, Duration::from_secs(3600));
}

#[test]
fn every_setting_can_be_a_variable_and_no_two_share_one() {
    let mut names: Vec<_> = settings().map(Setting::variable).collect();
    assert!(names.contains(&"ROLEGATE_DATABASE_URL".to_owned()));
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn the_variables_of_client_commands_are_neither_settings_nor_mistakes() {
    for variable in ClientVariable::ALL {
        assert!(settings().all(|setting| setting.variable() != variable.name()), "{} is a setting", variable.name());
        let process = Process::with_settings("public_url = 'https://file.example'").variable(variable.name(), "x");
        Config::load(&process.sources()).unwrap();
    }
}

#[test]
fn all_mistakes_are_reported_at_once_each_with_its_place() {
    let file =
        "listen = 'everywhere'\n\n[session]\nidel_timeout = '1h'\nabsolute_timeout = 12\n\n[databse]\nurl = 'x'\n";
    let process = Process::with_settings(file)
        .variable("ROLEGATE_WEB_MAX_BODY", "lots")
        .variable("ROLEGATE_LISTEM", "127.0.0.1:80");
    let sources = process.sources().with_set("keys.signing_key_bits=1024".to_owned()).with_set("workers".to_owned());
    assert_eq!(
        mistakes(&sources),
        [
            "`session.idel_timeout` (rolegate.toml:4) is not a setting: did you mean `session.idle_timeout`?",
            "`databse` (rolegate.toml:7) is not a setting",
            "`ROLEGATE_LISTEM` (variable ROLEGATE_LISTEM) is not a setting: did you mean `ROLEGATE_LISTEN`?",
            "`--set workers`: write --set key=value, for example --set session.idle_timeout=30m",
            "`listen` = \"everywhere\" (rolegate.toml:1): write an address and a port, such as 127.0.0.1:8080 or [::]:8080",
            "`keys.signing_key_bits` = \"1024\" (flag --set): write 2048, 3072 or 4096",
            "`session.absolute_timeout` = \"12\" (rolegate.toml:5): write a duration from 1m to 168h, such as 30s, 10m or 1h30m",
            "`web.max_body` = \"lots\" (variable ROLEGATE_WEB_MAX_BODY): write a size from 512KiB to 16MiB, such as 1MiB",
            "`public_url` is not set: write the address people open, such as https://aws.example.com",
        ]
    );
}

#[test]
fn the_whole_message_counts_the_mistakes() {
    let text = Config::load(&with("session.idle_timeout", "soon")).unwrap_err().to_string();
    assert!(text.starts_with("the settings have a mistake:\n  `session.idle_timeout` = \"soon\""), "{text}");
    let text = Config::load(&Sources::default().with_set("listen=x".to_owned())).unwrap_err().to_string();
    assert!(text.starts_with("the settings have 2 mistakes:\n"), "{text}");
}

#[test]
fn a_file_that_is_not_toml_is_reported_by_line_and_nothing_is_said_to_be_missing() {
    let process = Process::with_settings("public_url = 'https://a.example'\nlisten = \n[web\n");
    let all = process.mistakes();
    assert!(all[0].starts_with("rolegate.toml:2: this is not TOML: "), "{all:#?}");
    assert!(all.iter().all(|mistake| !mistake.contains("is not set")), "{all:#?}");
}

#[test]
fn a_settings_file_that_was_named_must_exist() {
    let process = Process::empty();
    let expected = "cannot be read (No such file or directory (os error 2)): name a file this process may read";
    assert_eq!(
        one(&process.sources().with_file("missing.toml".into())),
        format!("the settings file missing.toml (flag --config) {expected}")
    );
    let process = process.variable("ROLEGATE_CONFIG", "gone.toml");
    assert_eq!(one(&process.sources()), format!("the settings file gone.toml (variable ROLEGATE_CONFIG) {expected}"));
}

#[test]
fn paths_in_the_file_start_from_its_folder_and_others_from_the_current_one() {
    let process = Process::empty()
        .file(
            "etc/rolegate.toml",
            "public_url = 'https://a.example'\ndata_dir = 'data'\n[database]\nurl = 'sqlite:own.db'",
        )
        .variable("ROLEGATE_CONFIG", "etc/rolegate.toml");
    let config = process.load();
    assert_eq!(config.data_dir, process.path().join("etc/data"));
    assert_eq!(config.database, Database::Sqlite(process.path().join("etc/own.db")));
    let config = Config::load(&process.sources().with_flag("--data-dir", "data_dir", "/srv".to_owned())).unwrap();
    assert_eq!(config.data_dir, Path::new("/srv"));
}

#[test]
fn a_secret_can_be_typed_or_kept_in_a_file() {
    let given = |process: &Process| match process.load().keys.sealing_key {
        SealingKeySource::Given(key) => key,
        SealingKeySource::OwnFile(path) => panic!("{}", path.display()),
    };
    let rng = crate::sys::SeededRng::new(1);
    let url = "public_url = 'https://a.example'\n";
    let typed = given(&Process::with_settings(&format!("{url}[keys]\nsealing_key = '{KEY}'")));
    for file in [format!("{url}[keys]\nsealing_key_file = 'secret'"), url.to_owned()] {
        let process = Process::with_settings(&file).file("secret", &format!("{KEY}\n"));
        let process = if file == url {
            let path = process.path().join("secret").display().to_string();
            process.variable("ROLEGATE_KEYS_SEALING_KEY_FILE", &path)
        } else {
            process
        };
        let sealed = typed.seal("a:b:c", b"x", &rng);
        assert_eq!(given(&process).open("a:b:c", &sealed).unwrap().as_slice(), b"x");
    }
}

#[test]
fn a_secret_is_never_both_typed_and_in_a_file() {
    let process = Process::with_settings("public_url = 'https://a.example'\n[keys]\nsealing_key_file = 'secret'")
        .variable("ROLEGATE_KEYS_SEALING_KEY", KEY);
    assert_eq!(
        one(&process.sources()),
        "`keys.sealing_key` (variable ROLEGATE_KEYS_SEALING_KEY) and `keys.sealing_key_file` (rolegate.toml:3) are both \
         set: keep one of them"
    );
}

#[test]
fn a_secrets_file_that_is_missing_is_named() {
    let process = Process::with_settings("public_url = 'https://a.example'\n[keys]\nsealing_key_file = 'secret'");
    let message = one(&process.sources());
    assert!(message.starts_with("`keys.sealing_key_file` (rolegate.toml:3) names the file "), "{message}");
    assert!(message.contains("secret, which cannot be read (No such file"), "{message}");
}

#[test]
fn a_wrong_secret_is_not_repeated() {
    for (key, value) in [("keys.sealing_key", "hunter2"), ("database.url", "postgres://me:hunter2@db/rolegate")] {
        let message = one(&with(key, value));
        assert!(!message.contains("hunter2"), "{message}");
        assert!(message.starts_with(&format!("`{key}` (flag --set): ")), "{message}");
    }
    let process = Process::with_settings("public_url = 'https://me:hunter2@a.example'");
    let message = one(&process.sources());
    assert!(!message.contains("hunter2"), "{message}");
}

#[test]
fn a_configuration_with_secrets_prints_none_of_them() {
    let config = Config::load(&with("keys.sealing_key", KEY)).unwrap();
    assert!(!format!("{config:?}").contains("c2Vj"));
}

#[test]
fn postgres_is_said_to_be_unsupported() {
    let message = one(&with("database.url", "postgres:///rolegate"));
    assert!(message.contains("PostgreSQL is not supported in this version"), "{message}");
}

#[test]
fn catalog_tables_in_the_settings_are_sent_to_the_catalog() {
    let process = Process::with_settings("public_url = 'https://a.example'\n[[connector]]\nid = 'okta'");
    let message = one(&process.sources());
    assert!(
        message.starts_with("`connector` (rolegate.toml:2) is not a setting: it belongs in a catalog"),
        "{message}"
    );
}

#[test]
fn a_value_of_the_wrong_shape_is_refused() {
    let process = Process::with_settings(
        "public_url = ['https://a.example']\nlisten = 2026-01-01\n[session]\nidle_timeout = { hours = 1 }",
    );
    assert_eq!(
        process.mistakes(),
        [
            "`listen` (rolegate.toml:2): write one value in quotes, not a datetime",
            "`public_url` (rolegate.toml:1): write one value, not a list or a table",
            "`session.idle_timeout` (rolegate.toml:4): write one value, not a list or a table",
        ]
    );
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let mut process = Process::with_settings("public_url = 'https://a.example'");
    process.variables.push(("ROLEGATE_SUPPORT_TEXT".into(), OsString::from_vec(vec![0xff])));
    assert_eq!(
        one(&process.sources()),
        "the variable ROLEGATE_SUPPORT_TEXT is not text in UTF-8: write its value in UTF-8, or unset it"
    );
}

#[test]
fn each_setting_refuses_what_it_cannot_use() {
    let wrong = [
        ("listen", "localhost"),
        ("public_url", "aws.example.com"),
        ("public_url", "http://aws.example.com"),
        ("public_url", "https://aws.example.com/rolegate"),
        ("public_url", "https://aws.example.com/?a=b"),
        ("public_url", "ftp://aws.example.com"),
        ("data_dir", ""),
        ("shutdown_timeout", "-1s"),
        ("shutdown_timeout", "11m"),
        ("database.url", "mysql:x"),
        ("database.url", "sqlite:"),
        ("keys.sealing_key", "c2hvcnQ="),
        ("keys.sealing_key_file", "/nonexistent/key"),
        ("keys.signing_key_bits", "big"),
        ("keys.entity_id", "not a uri"),
        ("keys.token_issuer", "http://aws.example.com"),
        ("keys.token_issuer", "https://aws.example.com/"),
        ("keys.token_issuer", "https://aws.example.com/a?b"),
        ("keys.token_rotation_days", "1"),
        ("keys.token_rotation_days", "quarterly"),
        ("aws.region", "Ireland"),
        ("aws.fallback_regions", "eu-west-1,Ireland"),
        ("aws.sts_endpoint", "http://sts.example.com"),
        ("aws.sts_endpoints", "eu-west-1"),
        ("aws.fips", "yes"),
        ("aws.dual_stack", "1"),
        ("aws.federation_endpoint", "signin.example.com"),
        ("aws.console_url", "javascript:alert(1)"),
        ("aws.console_origins", "https://a.example,https://b.example/path"),
        ("aws.connect_timeout", "0s"),
        ("aws.connect_timeout", "6s"),
        ("aws.attempt_timeout", "13s"),
        ("aws.total_timeout", "61s"),
        ("aws.max_attempts", "0"),
        ("metrics.listen", "9464"),
        ("metrics.token", "short"),
        ("sign_in.attempt_ttl", "5s"),
        ("sign_in.ticket_ttl", "11m"),
        ("session.idle_timeout", "13h"),
        ("session.absolute_timeout", "8 days"),
        ("tokens.access_token_lifetime", "13h"),
        ("tokens.access_token_lifetime", "4m"),
        ("tokens.sign_in_lifetime", "4m"),
        ("tokens.refresh_grace", "3m"),
        ("tokens.personal", "maybe"),
        ("tokens.personal_max_days", "367"),
        ("tokens.vouched_within_days", "0"),
        ("tokens.device_codes", "everywhere"),
        ("tokens.end_at_sign_out", "no"),
        ("tokens.sso_name", "Role Gate"),
        ("web.trusted_proxies", "10.0.0.0/33"),
        ("web.max_body", "1KiB"),
        ("web.max_body", "99999999999999999999MiB"),
        ("web.workers", "0"),
        ("web.keep_alive", "2h"),
        ("limits.sign_in_per_minute", "0"),
        ("limits.sign_in_burst", "-1"),
        ("limits.issue_per_minute", "many"),
        ("limits.issue_burst", "1000001"),
        ("limits.deliver_per_minute", "0"),
        ("limits.deliver_burst", "lots"),
        ("log.format", "xml"),
        ("log.level", "rolegate=loud"),
        ("log.level", "info,aws_smithy_runtime=trace"),
        ("support.text", " "),
        ("support.contact", "two\nlines"),
    ];
    for (key, value) in wrong {
        let message = one(&with(key, value));
        assert!(message.contains(&format!("`{key}`")) && message.contains("(flag --set)"), "{message}");
    }
    for setting in settings() {
        assert!(wrong.iter().any(|(key, _)| *key == setting.key), "`{}` has no case here", setting.key);
    }
}

#[test]
fn what_is_typed_well_is_understood() {
    let config = |key: &str, value: &str| Config::load(&with(key, value)).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config("public_url", "http://localhost:8080/").public_url.at("/x"), "http://localhost:8080/x");
    assert!(!config("public_url", "http://[::1]:8080").public_url.is_https());
    assert_eq!(config("public_url", "https://AWS.example.com:443").public_url.to_string(), "https://aws.example.com");
    assert_eq!(config("session.idle_timeout", "1h30m").session.idle_timeout, Duration::from_secs(5400));
    assert_eq!(config("aws.connect_timeout", "500ms").aws.connect_timeout, Duration::from_millis(500));
    assert_eq!(config("web.keep_alive", "0s").web.keep_alive, Duration::ZERO);
    assert_eq!(config("web.max_body", "524288").web.max_body, 512 * 1024);
    assert_eq!(config("web.workers", "3").web.workers.unwrap().get(), 3);
    assert_eq!(config("aws.region", "eu-west-1").aws.region.unwrap().as_str(), "eu-west-1");
    let fallback = config("aws.fallback_regions", "eu-central-1, cn-northwest-1").aws.fallback_regions;
    assert_eq!(fallback, ["eu-central-1".parse().unwrap(), "cn-northwest-1".parse().unwrap()]);
    assert_eq!(config("database.url", "sqlite:///srv/r.db").database, Database::Sqlite("/srv/r.db".into()));
    assert_eq!(config("keys.signing_key_bits", "4096").keys.signing_key_bits.get(), 4096);
    assert_eq!(config("log.format", "json").log.format, LogFormat::Json);
    let proxies = config("web.trusted_proxies", "10.0.0.7, fd00::/8").web.trusted_proxies;
    assert_eq!(proxies, ["10.0.0.7/32".parse().unwrap(), "fd00::/8".parse().unwrap()]);
    let origins = config("aws.console_origins", "https://portal.example").aws.console_origins;
    assert_eq!(origins[0].ascii_serialization(), "https://portal.example");
    assert_eq!(config("limits.issue_per_minute", "7").limits.issue.per_minute.get(), 7);
}

#[test]
fn the_aws_client_logs_nothing_below_info_whatever_the_level() {
    let config = Config::load(&with("log.level", "trace")).unwrap();
    let filter = config.log.filter().to_string();
    assert!(filter.contains("trace") && filter.contains("aws_=info"), "{filter}");
}

#[test]
fn a_demonstration_reads_only_what_it_is_told() {
    let sandbox: Url = "http://127.0.0.1:8081/".parse().unwrap();
    let config = Config::for_demo(DemoSettings {
        listen: "127.0.0.1:8080".parse().unwrap(),
        data_dir: Path::new("/tmp/demo"),
        sts_endpoint: &sandbox,
        federation_endpoint: &sandbox.join("federation").unwrap(),
        console_url: &sandbox.join("console").unwrap(),
    })
    .unwrap();
    assert_eq!(config.public_url.origin(), "http://127.0.0.1:8080");
    assert_eq!(config.database, Database::Sqlite("/tmp/demo/rolegate.db".into()));
    assert_eq!(config.aws.sts_endpoint.unwrap(), sandbox);
}

#[test]
fn the_example_file_loads_and_shows_every_setting() {
    let text = include_str!("../../rolegate.example.toml");
    Process::with_settings(text).load();
    // Every line that is commented out is a setting too: all of them together load as well.
    let all: String = text
        .lines()
        .map(|line| line.strip_prefix("#").filter(|rest| !rest.starts_with(' ') && !rest.is_empty()).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let process = Process::with_settings(&all).file("sealing.key", KEY).file("metrics.token", "0123456789abcdef0123");
    let checked = Config::check(&process.sources()).unwrap_or_else(|errors| panic!("{errors}\n{all}"));
    for setting in settings() {
        let file_key = setting.file_key();
        let shown =
            checked.settings.iter().find(|shown| shown.key == setting.key || Some(&shown.key) == file_key.as_ref());
        assert!(
            matches!(shown, Some(Shown { origin: Origin::File { .. }, .. })),
            "`{}` is missing from rolegate.example.toml",
            setting.key
        );
    }
}

#[test]
fn every_setting_is_documented_with_its_default() {
    let text = include_str!("../../docs/settings.md");
    for setting in settings() {
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}`", setting.key)));
        let row = row.unwrap_or_else(|| panic!("`{}` is missing from docs/settings.md", setting.key));
        if let setting::Unset::Default(default) = setting.unset {
            assert!(row.contains(&format!("`{default}`")), "docs/settings.md gives `{}` another default", setting.key);
        }
    }
    for line in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let key = line.split('`').next().unwrap();
        assert!(
            settings().any(|setting| setting.key == key),
            "docs/settings.md documents `{key}`, which is no setting"
        );
    }
}

#[test]
fn regions_have_addresses_of_their_own_wherever_that_is_typed() {
    let expected = [("eu-central-1", "https://b.example/"), ("eu-west-1", "https://a.example/")];
    let in_file = Process::with_settings(
        "public_url = \"https://r.example\"\n[aws.sts_endpoints]\neu-west-1 = \"https://a.example\"\neu-central-1 = \"https://b.example\"\n",
    );
    let typed = "eu-west-1=https://a.example, eu-central-1 = https://b.example";
    for config in [in_file.load(), Config::load(&with("aws.sts_endpoints", typed)).unwrap()] {
        let endpoints: Vec<_> = config.aws.sts_endpoints.iter().map(|(r, u)| (r.as_str(), u.as_str())).collect();
        assert_eq!(endpoints, expected);
    }
    for (typed, advice) in [
        ("eu-west-1", "write a region and an address"),
        ("nowhere=https://a.example", "name of a region"),
        ("eu-west-1=http://a.example", "https://"),
        ("eu-west-1=https://a.example,eu-west-1=https://b.example", "one address for each region"),
    ] {
        assert!(one(&with("aws.sts_endpoints", typed)).contains(advice), "{typed}");
    }
}

#[test]
fn fips_endpoints_and_addresses_of_ones_own_exclude_each_other() {
    let settings = |pairs: &[(&'static str, &str)]| {
        let public = [("public_url", "https://r.example".to_owned())];
        Sources::of_program(public.into_iter().chain(pairs.iter().map(|(key, value)| (*key, (*value).to_owned()))))
    };
    let fips = ("aws.fips", "true");
    for pairs in [
        &[fips, ("aws.sts_endpoint", "https://a.example")][..],
        &[fips, ("aws.sts_endpoints", "us-east-1=https://a.example")],
        &[("aws.dual_stack", "true"), ("aws.sts_endpoint", "https://a.example")],
    ] {
        assert!(one(&settings(pairs)).contains("leave it out"), "{pairs:?}");
    }
    for region in [("aws.region", "eu-west-1"), ("aws.fallback_regions", "us-east-1, eu-west-1")] {
        assert!(one(&settings(&[fips, region])).contains("eu-west-1 has no FIPS endpoint"), "{region:?}");
    }
    let config = Config::load(&settings(&[fips, ("aws.region", "us-gov-west-1"), ("aws.dual_stack", "true")])).unwrap();
    assert!(config.aws.endpoint_kind.fips && config.aws.endpoint_kind.dual_stack);
}

#[test]
fn a_token_for_figures_cannot_be_guessed() {
    for (typed, good) in
        [("0123456789abcdef012", false), ("0123456789abcdef0123", true), ("0123456789 abcdef 0123", false)]
    {
        assert_eq!(Config::load(&with("metrics.token", typed)).is_ok(), good, "{typed}");
    }
}
