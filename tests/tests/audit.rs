//! The commands of the plugin that use AWS without a cluster, as users and pipelines run them.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use secret_rotation_simulator::{Fault, FaultKind, Options, Simulator};
use secret_rotation_tests::by_hand::holder;
use secret_rotation_tests::forward_proxy::Proxy;
use secret_rotation_tests::plugin::binary;
use serde_json::Value;

/// A value that must not appear anywhere.
const CANARY: &str = "CANARY-c0ffee-7f3a";

const ESTATE: &str = "
generate:
- {count: 30, name: 'app/well-{n}', state: healthy}
- {count: 1, name: app/stuck, state: stuck-valued}
- {count: 1, name: app/empty, state: stuck-empty}
- {count: 1, name: app/moving, state: rotating}
- {count: 1, name: app/late, state: overdue}
- {count: 1, name: app/off, state: disabled}
- {count: 2, name: 'us/well-{n}', state: healthy, region: us-east-1}
";

fn aws(estate: &str) -> Simulator {
    let aws = Simulator::start(Options::default()).expect("the simulator starts");
    aws.add(estate).expect("a valid estate");
    aws
}

/// Returns a command of the plugin with only these environment variables.
fn plugin(aws: &Simulator, line: &str) -> Command {
    let mut command = Command::new(binary());
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", aws.url())
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "example")
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

fn run(aws: &Simulator, line: &str) -> Output {
    plugin(aws, line).output().expect("the plugin starts")
}

/// Runs the plugin with a text on standard input.
fn run_with(aws: &Simulator, line: &str, input: &[u8]) -> Output {
    let mut command = plugin(aws, line);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the plugin starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    // The plugin may refuse before it reads.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().expect("the plugin ends")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&stdout(output)).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// 200 pages of a list, two detailed reads for each of the five stuck secrets, and the first page again, because a date is
/// trusted only if two responses agree.
#[test]
fn twenty_thousand_secrets_take_at_most_211_calls() {
    let aws = aws("
generate:
- {count: 19995, name: 'app/well-{n}', state: healthy}
- {count: 5, name: 'app/stuck-{n}', state: stuck-valued}
");
    aws.clear_trace();
    let output = run(
        &aws,
        "audit -o json --reads-per-second 1000 --fail-on stuck",
    );
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let report = json(&output);
    assert_eq!(report["selected"], 20_000);
    assert_eq!(report["states"]["Stuck"], 5);
    assert_eq!(report["complete"], true);
    let calls = aws.calls();
    assert!(calls.values().sum::<usize>() <= 211, "{calls:?}");
    assert!(aws.writes().is_empty());
}

#[test]
fn an_audit_finds_what_the_controller_would_in_every_format() {
    let aws = aws(ESTATE);
    let report = json(&run(&aws, "audit -o json"));
    let found = |state: &str| report["states"][state].as_u64();
    assert_eq!(found("Stuck"), Some(2));
    assert_eq!(found("Rotating"), Some(1));
    assert_eq!(found("Overdue"), Some(1));
    assert_eq!(found("Disabled"), Some(1));
    assert_eq!(found("Healthy"), Some(30));
    assert_eq!(report["schemaVersion"], "1");
    assert_eq!(report["findings"][0]["state"], "Stuck");
    let table = stdout(&run(&aws, "audit"));
    assert!(table.starts_with("NAME "), "{table}");
    assert!(
        table.contains("35 secrets in 1 region: 4 need attention"),
        "{table}"
    );
    let sarif = json(&run(&aws, "audit -o sarif"));
    assert_eq!(sarif["version"], "2.1.0");
    assert_eq!(
        sarif["runs"][0]["results"].as_array().map(Vec::len),
        Some(5)
    );
    assert!(stdout(&run(&aws, "audit -o markdown")).starts_with("## Secret rotations\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let page = folder.path().join("report.html");
    let line = format!("audit -o html --output-file {}", page.display());
    let output = run(&aws, &line);
    assert_eq!((code(&output), stdout(&output)), (0, String::new()));
    let page = fs::read_to_string(page).expect("the page");
    assert!(page.starts_with("<!DOCTYPE html>") && page.contains("app/stuck"));
    assert!(aws.writes().is_empty());
}

/// Leftover labels, first rotations, a job that writes tags, and a version that was rolled back.
const HALF_WAY: &str = "
secrets:
- name: app/cancelled
  created: -200d
  lastChanged: -9d
  versions:
  - {id: 0a11d0c2-1111-4c6e-9d0b-8f6a5e3b2c11, labels: [AWSCURRENT], created: -60d}
  - {id: 1b22e1d3-2222-4c6e-9d0b-8f6a5e3b2c12, labels: [AWSPENDING], empty: true}
  rotation: {function: ok, enabled: false, everyDays: 30, lastRotated: -60d}
- name: app/first-run
  created: -60s
  lastChanged: -30s
  versions: [{id: AF585B8F-AA06-4EAB-8827-EFF43E6FD896, labels: [AWSPENDING], empty: true}]
  rotation: {function: ok, everyDays: 90}
  rotating: {step: createSecret, ends: +600s}
- name: app/first-run-died
  created: -9d
  lastChanged: -9d
  versions: [{id: BF585B8F-AA06-4EAB-8827-EFF43E6FD896, labels: [AWSPENDING], empty: true}]
  rotation: {function: ok, everyDays: 90}
- name: app/first-valued
  created: -9d
  lastChanged: -9d
  versions: [{id: CF585B8F-AA06-4EAB-8827-EFF43E6FD896, labels: [AWSPENDING], created: -9d}]
  rotation: {function: ok, everyDays: 90}
- name: app/tagged
  created: -200d
  lastChanged: -30m
  versions:
  - {id: 2a11d0c2-1111-4c6e-9d0b-8f6a5e3b2c11, labels: [AWSCURRENT], created: -60d}
  - {id: 2b22e1d3-2222-4c6e-9d0b-8f6a5e3b2c12, labels: [AWSPENDING], empty: true}
  rotation: {function: ok, everyDays: 30, lastRotated: -60d, next: -2d}
- name: app/reverted
  created: -200d
  lastChanged: -26h
  versions:
  - {id: 3a11d0c2-1111-4c6e-9d0b-8f6a5e3b2c01, labels: [AWSCURRENT], created: -40d}
  - {id: 3a11d0c2-2222-4c6e-9d0b-8f6a5e3b2c02, labels: [AWSPENDING, AWSPREVIOUS], created: -27h}
  rotation: {function: ok, everyDays: 30, lastRotated: -27h, next: +20d}
";

#[test]
fn an_audit_tells_apart_what_a_pending_label_can_mean() {
    let aws = aws(HALF_WAY);
    let report = json(&run(&aws, "audit -o json"));
    let found = |name: &str| {
        let findings = report["findings"].as_array().expect("findings");
        let finding = findings.iter().find(|finding| finding["name"] == name);
        let finding = finding.unwrap_or_else(|| panic!("no finding on {name}: {report}"));
        let text = |field: &str| finding[field].as_str().unwrap_or_default().to_owned();
        (text("state"), text("message"))
    };
    for (name, state, says) in [
        (
            "app/cancelled",
            "Disabled",
            "still holds AWSPENDING and has no value",
        ),
        ("app/first-run", "Rotating", "in progress"),
        (
            "app/first-run-died",
            "Broken",
            "kubectl secret-rotation put app/first-run-died",
        ),
        ("app/first-valued", "Broken", "--force-while-rotating"),
        ("app/tagged", "Stuck", "AWS meant to rotate it by"),
        ("app/reverted", "Stuck", "was rolled back"),
    ] {
        let (found, message) = found(name);
        assert_eq!(found, state, "{name}");
        assert!(message.contains(says), "{name}: {message}");
    }
    assert_eq!(report["states"]["Stuck"], 2);
}

#[test]
fn put_sets_the_value_that_a_first_rotation_never_made() {
    let aws = aws(HALF_WAY);
    for (secret, says) in [
        ("app/first-run", "may be in progress"),
        ("app/first-valued", "have a value that the target accepts"),
    ] {
        let output = run_with(&aws, &format!("put {secret} --yes"), CANARY.as_bytes());
        assert_eq!(code(&output), 1, "{secret}");
        let shown = stderr(&output);
        assert!(
            shown.contains(says) && shown.contains("--force-while-rotating"),
            "{shown}"
        );
    }
    assert!(aws.writes().is_empty());
    for line in [
        "put app/first-run-died --yes",
        "put app/first-valued --yes --force-while-rotating",
    ] {
        let output = run_with(&aws, line, CANARY.as_bytes());
        assert_eq!(code(&output), 0, "{line}: {}", stderr(&output));
    }
    let states = &json(&run(&aws, "audit -o json"))["states"];
    assert_eq!(states["Broken"], 0);
}

#[test]
fn only_what_is_named_makes_an_audit_fail() {
    let sick = aws(ESTATE);
    let well = aws("generate: [{count: 3, name: 'app/well-{n}', state: healthy}]");
    let cases = [
        (&sick, "stuck", 1),
        (&sick, "overdue,too-old", 1),
        (&sick, "broken,not-found,unknown", 0),
        (&sick, "any", 1),
        (&sick, "never", 0),
        (&well, "stuck", 0),
        (&well, "any", 0),
    ];
    for (aws, states, expected) in cases {
        let output = run(aws, &format!("audit --fail-on {states}"));
        assert_eq!(code(&output), expected, "{states}: {output:?}");
    }
    assert_eq!(code(&run(&sick, "audit --fail-on")), 2);
    assert_eq!(code(&run(&sick, "audit --fail-on nonsense")), 2);
}

#[test]
fn a_region_that_cannot_be_read_is_never_taken_for_healthy() {
    let aws = aws("generate: [{count: 3, name: 'app/well-{n}', state: healthy}]");
    aws.inject(Fault::on("ListSecrets", FaultKind::AccessDenied));
    let output = run(&aws, "audit -o json --fail-on any");
    assert_eq!(code(&output), 3, "{output:?}");
    let report = json(&output);
    assert_eq!(report["complete"], false);
    assert_eq!(report["selected"], 0);
    let said = stderr(&output);
    assert!(
        said.contains("secretsmanager:ListSecrets in eu-west-1"),
        "{said}"
    );
    assert!(said.contains("iam-policy --level audit"), "{said}");
    let page = stdout(&run(&aws, "audit -o html"));
    assert!(page.contains("This report is incomplete"));
}

#[test]
fn a_secret_that_cannot_be_described_is_stuck_as_far_as_the_list_shows() {
    let aws = aws(ESTATE);
    let fault = Fault::on("DescribeSecret", FaultKind::AccessDenied);
    aws.inject(fault.about("app/stuck"));
    let output = run(&aws, "audit -o json --fail-on broken");
    assert_eq!(code(&output), 3, "{output:?}");
    let states = &json(&output)["states"];
    assert_eq!(
        (&states["Stuck"], &states["Unknown"]),
        (&Value::from(2), &Value::from(0))
    );
}

/// A sweep reads fifty ages. The audit continues until it knows all, or reports how many are unknown.
#[test]
fn an_age_that_could_not_be_read_is_not_taken_for_young() {
    let aws = aws("
secrets:
- name: app/old
  created: -400d
  lastChanged: -1d
  versions: [{id: 11111111-1111-1111-1111-111111111111, labels: [AWSCURRENT], created: -200d}]
");
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("policy.yaml");
    let text = "kind: SecretRotationPolicy\nmetadata: {name: p}\nspec: {selector: {include: [{namePrefix: app/}]}, detection: {maxAge: 2160h}}\n";
    fs::write(&policy, text).expect("the file can be written");
    let line = format!("audit -o json -f {}", policy.display());
    assert_eq!(json(&run(&aws, &line))["states"]["TooOld"], 1);
    aws.inject(Fault::on("ListSecretVersionIds", FaultKind::AccessDenied));
    let output = run(&aws, &line);
    assert_eq!(code(&output), 3, "{output:?}");
    assert!(
        stderr(&output).contains("age could not be read in eu-west-1: 1"),
        "{output:?}"
    );
}

#[test]
fn several_regions_are_one_report() {
    let aws = aws(ESTATE);
    let report = json(&run(&aws, "audit -o json --regions eu-west-1,us-east-1"));
    assert_eq!(report["selected"], 37);
    let regions: Vec<_> = report["regions"]
        .as_array()
        .expect("regions")
        .iter()
        .map(|region| (region["name"].as_str(), region["secrets"].as_u64()))
        .collect();
    assert_eq!(
        regions,
        [(Some("eu-west-1"), Some(35)), (Some("us-east-1"), Some(2))]
    );
}

#[test]
fn a_policy_file_selects_and_its_mistakes_are_named() {
    let aws = aws(ESTATE);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, spec: &str| {
        let path = folder.path().join(name);
        let text = format!(
            "apiVersion: secretrotation.dev/v1alpha1\nkind: SecretRotationPolicy\nmetadata: {{name: apps, namespace: team}}\nspec: {spec}\n"
        );
        fs::write(&path, text).expect("the file can be written");
        path
    };
    let good = file(
        "good.yaml",
        "{selector: {include: [{names: [app/stuck, app/nowhere]}]}}",
    );
    let report = json(&run(&aws, &format!("audit -o json -f {}", good.display())));
    assert_eq!(report["policy"], "team/apps");
    assert_eq!(report["states"]["Stuck"], 1);
    assert_eq!(report["states"]["NotFound"], 1);
    assert_eq!(report["selected"], 2);
    let bad = file(
        "bad.yaml",
        "{selector: {include: [{namePrefix: app/}]}, detection: {stuckAfter: 1m}}",
    );
    let output = run(&aws, &format!("audit -f {}", bad.display()));
    assert_eq!(code(&output), 2);
    let named = format!("error: {}: spec.detection.stuckAfter is", bad.display());
    assert!(stderr(&output).starts_with(&named), "{output:?}");
    let days = stderr(&run(&aws, "audit --stuck-after 90d"));
    assert!(
        days.starts_with(
            "error: --stuck-after is \"90d\"; write a duration between 2h and 720h, in hours (h)"
        ),
        "{days}"
    );
    let longer = run(&aws, "audit -o json --stuck-after 72h");
    assert_eq!(json(&longer)["states"]["Stuck"], 0);
}

#[test]
fn without_credentials_or_region_the_plugin_says_what_to_do() {
    let aws = aws(ESTATE);
    let mut bare = plugin(&aws, "audit");
    bare.env_remove("AWS_ACCESS_KEY_ID");
    let output = bare.output().expect("the plugin starts");
    assert_eq!(code(&output), 3);
    assert!(stderr(&output).contains("aws sso login"), "{output:?}");
    let mut nowhere = plugin(&aws, "audit");
    nowhere.env_remove("AWS_REGION");
    let output = nowhere.output().expect("the plugin starts");
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("--regions"), "{output:?}");
}

#[test]
fn a_custom_endpoint_beyond_this_machine_must_be_allowed() {
    let aws = aws(ESTATE);
    let mut strange = plugin(&aws, "list");
    strange.env("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://aws.invalid");
    let output = strange.output().expect("the plugin starts");
    assert_eq!(code(&output), 2);
    assert!(
        stderr(&output).contains("--allow-custom-endpoint"),
        "{output:?}"
    );
}

#[test]
fn a_custom_endpoint_is_refused_with_the_setting_that_it_comes_from() {
    let aws = aws(ESTATE);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("config");
    let text = "[default]\nendpoint_url = http://aws.invalid\n";
    fs::write(&config, text).expect("written");
    let refusal = |variable: &str, value: &OsStr| {
        let mut command = plugin(&aws, "list");
        command.env_remove("AWS_ENDPOINT_URL_SECRETS_MANAGER");
        command.env(variable, value);
        let output = command.output().expect("the plugin starts");
        assert_eq!(code(&output), 2, "{output:?}");
        stderr(&output)
    };
    let url = OsStr::new("http://aws.invalid");
    for (variable, value, setting) in [
        (
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            url,
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
        ),
        ("AWS_ENDPOINT_URL", url, "AWS_ENDPOINT_URL"),
        (
            "AWS_CONFIG_FILE",
            config.as_os_str(),
            "endpoint_url of the AWS profile",
        ),
    ] {
        let refusal = refusal(variable, value);
        let expected = format!("error: {setting} points at http://aws.invalid, which is not");
        assert!(refusal.starts_with(&expected), "{variable}: {refusal}");
    }
}

#[test]
fn list_shows_every_secret_with_its_state() {
    let aws = aws(ESTATE);
    let text = stdout(&run(&aws, "list"));
    let line = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .map(str::to_owned)
    };
    assert_eq!(
        text.lines().filter(|line| line.starts_with("app/")).count(),
        35
    );
    assert!(
        line("NAME").is_some_and(|title| title.ends_with(" AGE")),
        "{text}"
    );
    assert!(
        line("app/stuck ").is_some_and(|line| line.contains(" Stuck ")),
        "{text}"
    );
    assert!(
        line("app/late ").is_some_and(|line| line.contains("overdue")),
        "{text}"
    );
    let wide = stdout(&run(&aws, "list -o wide --regions eu-west-1,us-east-1"));
    assert!(
        wide.contains("us/well-1") && wide.contains("REGION"),
        "{wide}"
    );
    let rows = json(&run(&aws, "list -o json"));
    assert_eq!(rows.as_array().map(Vec::len), Some(35));
}

#[test]
fn versions_tell_labels_and_whether_there_is_a_value() {
    let aws = aws(ESTATE);
    let rows = json(&run(&aws, "versions app/empty -o json"));
    let of = |label: &str| {
        let mut rows = rows.as_array().expect("rows").iter();
        rows.find(|row| row["labels"][0] == label).cloned()
    };
    assert_eq!(
        of("AWSPENDING").map(|row| row["value"].clone()),
        Some("No".into())
    );
    assert_eq!(
        of("AWSCURRENT").map(|row| row["value"].clone()),
        Some("Yes".into())
    );
    let text = stdout(&run(&aws, "versions app/empty"));
    assert!(text.contains("belongs to an unfinished rotation"), "{text}");
    let output = run(&aws, "versions app/nowhere");
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("no secret app/nowhere exists in eu-west-1"));
}

#[test]
fn put_writes_a_value_once_and_never_shows_it() {
    let aws = aws(ESTATE);
    let before = aws.inspect("app/well-1").expect("it exists");
    let output = run_with(&aws, "put app/well-1 --yes", CANARY.as_bytes());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let after = aws.inspect("app/well-1").expect("it exists");
    let current = holder(&after, "AWSCURRENT").expect("a current version");
    assert_ne!(Some(&current), holder(&before, "AWSCURRENT").as_ref());
    assert!(stdout(&output).contains(&current), "{output:?}");
    let writes: Vec<_> = aws
        .writes()
        .into_iter()
        .map(|write| write.operation)
        .collect();
    assert_eq!(writes, ["PutSecretValue"]);
    let shown = stdout(&output) + &stderr(&output);
    assert!(!shown.contains(CANARY), "{shown}");
}

#[test]
fn put_names_a_file_that_does_not_exist_before_anything_else() {
    let aws = aws(ESTATE);
    for line in [
        "put app/well-1 --from-file /nope",
        "put app/well-1 --from-file /nope --yes",
    ] {
        let output = run(&aws, line);
        assert_eq!(code(&output), 2, "{output:?}");
        assert!(
            stderr(&output).starts_with("error: cannot read /nope: No such file"),
            "{output:?}"
        );
    }
    assert!(aws.calls().is_empty(), "{:?}", aws.calls());
}

/// A rotation that begins while someone types the value is not overwritten.
#[test]
fn put_looks_again_when_the_value_is_there() {
    let aws = aws(ESTATE);
    let mut child = plugin(&aws, "put app/well-1 --yes")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the plugin starts");
    let looked = (0..1500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        aws.calls().contains_key("DescribeSecret")
    });
    assert!(looked, "it never looked");
    let put = run_with(&aws, "put app/well-1 --yes", b"another value");
    assert_eq!(code(&put), 0, "{put:?}");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(CANARY.as_bytes()).expect("it reads");
    drop(stdin);
    let late = child.wait_with_output().expect("the plugin ends");
    assert_eq!(code(&late), 1, "{late:?}");
    assert!(
        stderr(&late).contains("AWSCURRENT moved to version"),
        "{late:?}"
    );
}

#[test]
fn a_line_break_at_the_end_of_a_value_is_warned_of() {
    let aws = aws(ESTATE);
    let put = run_with(&aws, "put app/well-1 --yes", b"value\n");
    assert_eq!(code(&put), 0, "{put:?}");
    assert!(stderr(&put).contains("--strip-newline"), "{put:?}");
    let put = run_with(&aws, "put app/well-2 --yes --strip-newline", b"value\n");
    assert_eq!(stderr(&put), "");
}

#[test]
fn every_form_of_an_arn_and_every_cluster_flag_is_taken() {
    let aws = aws(ESTATE);
    let listed = json(&run(&aws, "list -o json"));
    let arn = listed
        .as_array()
        .expect("rows")
        .iter()
        .find(|row| row["name"] == "app/stuck");
    let arn = arn.expect("it is listed")["arn"]
        .as_str()
        .expect("text")
        .to_owned();
    let partial = arn.rsplit_once('-').expect("a suffix").0;
    // Without ages, which change between two runs.
    let shown = |line: &str| {
        let text = stdout(&run(&aws, line));
        let lines = text.lines().map(|line| {
            let cut = line.rsplit_once("   ").map_or(line, |(rest, _)| rest);
            cut.trim_end().to_owned()
        });
        lines.collect::<Vec<_>>()
    };
    let whole = shown(&format!("versions {arn}"));
    assert!(
        whole.iter().any(|line| line.contains("AWSPENDING")),
        "{whole:?}"
    );
    for line in [
        format!("versions {partial}"),
        "versions app/stuck -n team --context prod".to_owned(),
    ] {
        assert_eq!(shown(&line), whole, "{line}");
    }
    let strange = run(
        &aws,
        &format!(
            "versions {}",
            partial.replace("111122223333", "999999999999")
        ),
    );
    assert!(stderr(&strange).contains("no secret arn:"), "{strange:?}");
}

/// The endpoint has a name that only the proxy resolves.
#[test]
fn aws_is_asked_through_the_proxies_of_the_environment() {
    let aws = aws(ESTATE);
    let proxy = Proxy::start(None);
    let port = aws
        .url()
        .rsplit(':')
        .next()
        .expect("a port")
        .trim_end_matches('/')
        .to_owned();
    let ask = |variables: &[(&str, &str)]| {
        let mut command = plugin(&aws, "list -o json --allow-custom-endpoint");
        command.env(
            "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            format!("http://aws.test:{port}"),
        );
        command.envs(variables.iter().copied());
        command.output().expect("the plugin starts")
    };
    for (scheme, how) in [
        ("http", "FORWARD"),
        ("socks5", "SOCKS"),
        ("socks5h", "SOCKS"),
    ] {
        for variable in ["HTTP_PROXY", "ALL_PROXY"] {
            let output = ask(&[(variable, &proxy.url(scheme))]);
            assert_eq!(code(&output), 0, "{variable}={scheme}: {output:?}");
            assert_eq!(proxy.asked()[0], format!("{how} aws.test:{port}"));
        }
    }
    let exempt = ask(&[
        ("HTTP_PROXY", &proxy.url("socks5")),
        ("NO_PROXY", "aws.test"),
    ]);
    assert_eq!(code(&exempt), 3, "{exempt:?}");
    assert_eq!(proxy.asked(), Vec::<String>::new());
    let nobody = format!(
        "http://127.0.0.1:{}",
        testenv::process::free_port().expect("a port")
    );
    let away = ask(&[("HTTP_PROXY", &nobody)]);
    assert!(
        stderr(&away).contains(&format!("go through proxy {nobody} of HTTP_PROXY")),
        "{away:?}"
    );
}

/// The hint for a profile whose source of credentials fails differs from the hint for missing credentials.
#[test]
fn a_profile_that_fails_is_told_by_its_name() {
    let aws = aws(ESTATE);
    let folder = std::env::temp_dir().join(format!("plugin-profiles-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("config");
    let keys = folder.join("keys.json");
    fs::write(
        &keys,
        r#"{"Version": 1, "AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "x"}"#,
    )
    .expect("written");
    fs::write(
        &file,
        format!(
            "[profile broken]\ncredential_process = /bin/false\n[profile good]\ncredential_process = /bin/cat {}\n[profile login]\nlogin_session = arn:aws:iam::111122223333:user/a\n",
            keys.display()
        ),
    )
    .expect("written");
    let ask = |profile: &str| {
        let mut command = plugin(&aws, &format!("list --profile {profile}"));
        for variable in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
            command.env_remove(variable);
        }
        command.env("AWS_CONFIG_FILE", &file).env("HOME", &folder);
        command.output().expect("the plugin starts")
    };
    let good = ask("good");
    assert_eq!(code(&good), 0, "{good:?}");
    let broken = stderr(&ask("broken"));
    assert!(
        broken.contains("the AWS credentials could not be obtained"),
        "{broken}"
    );
    assert!(
        broken.contains("get-caller-identity --profile broken"),
        "{broken}"
    );
    // Without a session. The message requires that the SDK is built with this feature.
    let login = stderr(&ask("login"));
    assert!(login.contains("profile login"), "{login}");
}

#[test]
fn put_refuses_while_a_rotation_is_in_progress() {
    let aws = aws(ESTATE);
    for secret in ["app/moving", "app/stuck"] {
        let output = run_with(&aws, &format!("put {secret} --yes"), CANARY.as_bytes());
        assert_eq!(code(&output), 1);
        assert!(
            stderr(&output).contains("--force-while-rotating"),
            "{output:?}"
        );
        assert!(!stderr(&output).contains(CANARY));
    }
    assert!(aws.writes().is_empty());
    let forced = "put app/stuck --yes --force-while-rotating";
    assert_eq!(code(&run_with(&aws, forced, CANARY.as_bytes())), 0);
    assert_eq!(aws.writes().len(), 1);
}

#[test]
fn a_failed_put_shows_no_value_either() {
    let aws = aws(ESTATE);
    for kind in [
        FaultKind::AccessDenied,
        FaultKind::Html,
        FaultKind::Truncate,
    ] {
        aws.clear_faults();
        aws.inject(Fault::on("PutSecretValue", kind));
        let output = run_with(&aws, "put app/well-2 --yes", CANARY.as_bytes());
        assert_eq!(code(&output), 1, "{output:?}");
        let shown = stdout(&output) + &stderr(&output);
        assert!(!shown.contains(CANARY), "{shown}");
    }
    let large = vec![b'x'; 65_537];
    let output = run_with(&aws, "put app/well-2 --yes", &large);
    assert_eq!(code(&output), 2);
    let unasked = run_with(&aws, "put app/well-2", CANARY.as_bytes());
    assert_eq!(code(&unasked), 2);
    assert!(stderr(&unasked).contains("--yes"), "{unasked:?}");
}

#[test]
fn what_needs_neither_cluster_nor_aws_runs_without() {
    let aws = aws("{}");
    let policy = json(&run(&aws, "iam-policy --level put --secrets payments/"));
    assert_eq!(policy["Version"], "2012-10-17");
    assert!(stdout(&run(&aws, "explain stuck")).starts_with("Stuck (States of a secret)\n"));
    assert_eq!(code(&run(&aws, "explain stukc")), 2);
    assert!(aws.requests().is_empty());
}
