//! The configuration for AWS's tools: as a page, as a file, and read by those it is for.

use std::path::Path;

use rolegate::access::Scope;

use super::Program;
use crate::sandboxed::{Person, Sandboxed, client, plain, problem, send};
use crate::tools;

async fn file(program: &Program<'_>, query: &str) -> String {
    let answer = program.get(&format!("/api/v1/aws-config?{query}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; charset=utf-8"), "{}", answer.body);
    answer.body
}

/// What botocore makes of a file: a profile's settings, or with `keys` the credentials it gets by it.
fn botocore(folder: &Path, config: &str, environment: &[(&str, &str)], program: &str) -> String {
    std::fs::write(folder.join("config"), config).unwrap();
    let mut python = std::process::Command::new(tools::python_tool("python"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            python.env_remove(name);
        }
    }
    python
        .env("HOME", folder)
        .env("AWS_CONFIG_FILE", folder.join("config"))
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied());
    tools::stdout(python.args(["-c", program])).trim().to_owned()
}

/// Who the keys of a profile belong to, by the sandbox's STS.
fn caller_by(profile: &str, sts: &str) -> String {
    format!(
        "import botocore.session as b; s = b.Session(profile='{profile}'); \
         print(s.create_client('sts', endpoint_url='{sts}', region_name='us-east-1').get_caller_identity()['Arn'])"
    )
}

const READ: &str = "payments-production-ReadOnly";
const ARN: &str = "arn:aws:sts::111122223333:assumed-role/ReadOnly/asha.raman@larkspur.example";

#[tokio::test(flavor = "multi_thread")]
async fn each_way_gives_profiles_that_botocore_reads() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let roles = program.get("/api/v1/roles").await.json();
    let mut names: Vec<&str> =
        roles["roles"].as_array().unwrap().iter().map(|role| role["profile"].as_str().unwrap()).collect();
    names.sort_unstable();
    let folder = tempfile::tempdir().unwrap();
    let list = "import botocore.session as b; print('\\n'.join(sorted(b.Session().full_config['profiles'])))";
    for way in ["way=sso", "way=container", "way=process", "way=process&helper=curl&token_file=/t"] {
        let read = botocore(folder.path(), &file(&program, way).await, &[], list);
        assert_eq!(read.lines().collect::<Vec<_>>(), names, "{way}");
    }
    let sso = file(&program, "").await;
    let read = "import botocore.session as b, json; c = b.Session().full_config; \
                print(json.dumps([c['profiles']['payments-production-ReadOnly'], c['sso_sessions'], c['services']]))";
    let read: serde_json::Value = serde_json::from_str(&botocore(folder.path(), &sso, &[], read)).unwrap();
    assert_eq!(read[0]["sso_account_id"], "111122223333");
    assert_eq!(read[1]["rolegate"]["sso_start_url"], "https://rolegate.awsapps.com/start");
    assert_eq!(read[2]["rolegate"]["sso"]["endpoint_url"], world.broker.at("/idc"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_runs_curl_gets_keys_that_work() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let folder = tempfile::tempdir().unwrap();
    let header = folder.path().join("header");
    std::fs::write(&header, format!("Authorization: Bearer {}", program.token.expose_secret())).unwrap();
    let config = file(&program, &format!("way=process&helper=curl&token_file={}", header.display())).await;
    let path = std::env::var("PATH").unwrap();
    let script = caller_by(READ, world.aws.base.as_str());
    let folder_path = folder.path().to_owned();
    let said = tokio::task::spawn_blocking(move || botocore(&folder_path, &config, &[("PATH", &path)], &script));
    assert_eq!(said.await.unwrap(), ARN);
    assert_eq!(world.broker.last_event("issue.succeeded").await["delivery"], "api:process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_beside_its_two_variables_gets_keys_that_work() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, format!("Bearer {}", program.token.expose_secret())).unwrap();
    let config =
        file(&program, &format!("way=container&filter=111122223333+readonly&token_file={}", token.display())).await;
    let variables: Vec<(String, String)> = config
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(variables.len(), 2, "{config}");
    let (script, folder_path) = (caller_by(READ, world.aws.base.as_str()), folder.path().to_owned());
    let said = tokio::task::spawn_blocking(move || {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        botocore(&folder_path, &config, &variables, &script)
    });
    assert_eq!(said.await.unwrap(), ARN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_the_way_of_identity_center_gets_keys_that_work() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let folder = tempfile::tempdir().unwrap();
    // What `aws sso login` leaves behind: the token under the hash of the session's name.
    let cache = folder.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    let name = "python3 -c \"import hashlib; print(hashlib.sha1(b'rolegate').hexdigest())\"";
    let name = tools::stdout(std::process::Command::new("sh").args(["-c", name]));
    let expires = world.broker.now() + jiff::SignedDuration::from_hours(1);
    let token = serde_json::json!({
        "startUrl": "https://rolegate.awsapps.com/start",
        "region": "us-east-1",
        "accessToken": program.token.expose_secret(),
        "expiresAt": expires.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    std::fs::write(cache.join(format!("{}.json", name.trim())), token.to_string()).unwrap();
    let config = file(&program, "way=sso&filter=payments").await;
    let (script, folder_path) = (caller_by(READ, world.aws.base.as_str()), folder.path().to_owned());
    let said = tokio::task::spawn_blocking(move || botocore(&folder_path, &config, &[], &script));
    assert_eq!(said.await.unwrap(), ARN);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_leaves_names_as_they_are_and_a_template_makes_others() {
    let world = Sandboxed::start().await;
    let program = Program::of(&world, "asha", Scope::FULL).await;
    let profiles = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| Some(line.strip_prefix("[profile ")?.strip_suffix(']')?.to_owned())).collect()
    };
    let all = profiles(&file(&program, "template={role}").await);
    let some = profiles(&file(&program, "template={role}&filter=payments").await);
    assert!(
        !some.is_empty() && some.len() < all.len() && some.iter().all(|name| all.contains(name)),
        "{some:?} {all:?}"
    );
    assert!(some.contains(&"ReadOnly-111122223333".to_owned()), "{some:?}");
    let tagged = file(
        &program,
        "template=corp-{account_tags.env}.{account}.{role}&filter=111122223333+readonly&region=eu-north-1",
    );
    let tagged = tagged.await;
    assert!(
        tagged.contains("[profile corp-prod.111122223333.ReadOnly]") && tagged.ends_with("region = eu-north-1\n"),
        "{tagged}"
    );

    let scope = Scope { issue: false, roles: Some(["111122223333/ReadOnly".parse().unwrap()].into()) };
    let limited = Program::of(&world, "asha", scope).await;
    assert_eq!(profiles(&file(&limited, "template={role}").await), ["ReadOnly-111122223333"]);
    let download = program.get("/api/v1/aws-config?download=true").await;
    assert_eq!(download.header("content-disposition"), "attachment; filename=\"aws-config\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_said_to_programs_and_beside_the_field_on_the_page() {
    let world = Sandboxed::start().await;
    let mut asha: Person = world.sign_in_as("asha").await;
    for (query, id, says) in [
        ("way=magic", "", "`way` is sso, container or process."),
        ("way=process&helper=perl", "", "`helper` is rolegate or curl."),
        ("template=prod", "template", "A template needs a placeholder, or all profiles would be called the same."),
        (
            "template=%7Broles%7D",
            "template",
            "There is no `{roles}`; use {account}, {account_name}, {role} or {account_tags.NAME}.",
        ),
        ("region=moon", "region", "`region` is the name of an AWS region, such as eu-west-1."),
        (
            "way=container&token_file=%24(id)",
            "token_file",
            "`token_file` is an absolute path of letters, digits and ._@+-/ only, so that no shell reads more into it.",
        ),
    ] {
        let answer = asha.program_get(&format!("/api/v1/aws-config?{query}")).await;
        assert_eq!(problem(&answer, 400, "bad-request").0, says, "{query}");
        let page = asha.open(&format!("/aws-config?{query}")).await;
        assert_eq!(page.status, 400);
        // Where names are marked for programs, the page has the field itself.
        let beside = says.replace('`', "");
        assert!(plain(&page.body).contains(&beside[1..]), "{query}: {}", page.body);
        assert!(id.is_empty() || page.body.contains(&format!("id=\"{id}-error\"")), "{query}");
    }
    problem(&asha.program_get("/api/v1/aws-config?templat=x").await, 400, "bad-request");
    problem(&asha.program_get("/aws-config?templat=x").await, 400, "bad-request");
    let stranger = send(client().get(world.broker.at("/api/v1/aws-config"))).await;
    problem(&stranger, 401, "sign-in-required");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_file_that_it_lets_one_download() {
    let world = Sandboxed::start().await;
    let mut asha = world.sign_in_as("asha").await;
    let page = asha.open("/aws-config?way=process&helper=curl&filter=payments+readonly&region=").await;
    assert_eq!(page.status, 200, "{}", page.body);
    let link = page.link("/api/v1/aws-config");
    let file = asha.program_get(&link).await;
    assert_eq!(file.status, 200, "{}", file.body);
    let shown = plain(&page.body).replace("&quot;", "\"");
    assert!(shown.contains(file.body.trim_end()), "{shown}\n{}", file.body);
    assert!(shown.contains("profile") && shown.contains("umask 077"), "{shown}");
    let nothing = asha.open("/aws-config?filter=nosuchthing").await;
    assert!(nothing.body.contains("No role of yours matches."), "{}", nothing.body);
}
