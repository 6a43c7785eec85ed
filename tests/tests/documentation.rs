//! Runs the commands of the documentation, and applies its examples.
//!
//! Blocks of `sh` run in one shell per page, in a playground: a real API server, a simulated AWS, and a controller for a
//! Deployment that requests one. `sh skip-because=…` does not run here; the list below contains the allowed blocks, each
//! with what runs it instead. `console` shows input and output; nothing else may look like a command.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use secret_rotation_cli::Cli;
use secret_rotation_tests::Story;
use secret_rotation_tests::aws_cli::{AwsCli, VERSION};
use secret_rotation_tests::objects::{count, verdict};
use secret_rotation_tests::story::TEAM;
use serde_json::{Value, json};
use testenv::cluster::Cluster;
use testenv::playground::Playground;
use testenv::project;
use xtask::markdown::{self, Block, Page};

/// Pages whose commands a new user runs.
const PAGES: [&str; 3] = ["README.md", "docs/quickstart.md", "docs/first-policy.md"];

/// Why a block is not run here, the test that runs it, and its text word for word; empty if any text may have the reason.
const SKIPPED: [(&str, &str); 4] = [
    // It would run this test again.
    ("ci-runs-it", "cargo xtask test\n"),
    // This test starts the same playground in this process.
    ("this-test-starts-one", "cargo xtask playground\n"),
    // The simulator has neither IAM nor EKS: see `the_aws_cli_accepts_the_commands_that_are_not_run`.
    (ACCEPTED_BY_THE_AWS_CLI, ""),
    // The API server of the playground does not know a ServiceMonitor: see `the_chart_has_what_a_page_switches_on`.
    (RENDERED_BY_THE_CHART, ""),
];

const ACCEPTED_BY_THE_AWS_CLI: &str = "the-aws-cli-checks-it";

const RENDERED_BY_THE_CHART: &str = "helm-renders-it";

/// The secrets that the pages of a first contact name. One of them is stuck.
const NAMED_BY_THE_PAGES: &str = "
generate:
- {count: 3, name: \"payments/service-{n}\", state: healthy, function: \"ok-payments-{n}\"}
- {count: 1, name: payments/ledger, state: stuck-empty, function: ok-ledger}
";

/// Where someone finds a first profile or a first policy.
const FIRST_CONTACT: [&str; 8] = [
    "README.md",
    "docs/install.md",
    "docs/quickstart.md",
    "docs/first-policy.md",
    "deploy/samples/profile.yaml",
    "deploy/samples/policy-observe.yaml",
    "deploy/samples/policy-remediate.yaml",
    "charts/secret-rotation-controller/templates/NOTES.txt",
];

/// The allowed languages of a block.
const INFOS: [&str; 11] = [
    "sh",
    "console",
    "text",
    "yaml",
    "json",
    "rust",
    "toml",
    "promql",
    "hcl",
    "dockerfile",
    "mermaid",
];

/// Seconds of AWS's clock per real second: a wait of half a minute takes three seconds.
const CLOCK_RATE: &str = "10";

/// The maximum time for a page. The waits of the page end earlier, and name what did not happen.
const PATIENCE: Duration = Duration::from_mins(9);

const PAUSE: Duration = Duration::from_millis(250);

/// Builds the script of a page. It prints the position of each block.
fn script(page: &Page) -> String {
    let run = page.blocks.iter().filter(|block| block.info == "sh");
    let announced = run.map(|block| format!("echo '== {}'\n{}", page.at(block.line), block.text));
    let head = format!(
        "set -euo pipefail\nexport AWS_DEFAULT_REGION=eu-west-1\n{}",
        aws()
    );
    head + &announced.collect::<String>()
}

/// Defines `aws` for a shell: the AWS CLI, or nothing where it cannot be installed.
fn aws() -> String {
    match AwsCli::locate("") {
        Ok(cli) => cli.function(""),
        Err(error) => format!(
            "aws() {{ :; }}\necho 'SKIPPED: aws {VERSION}: {}'\n",
            quoted(&error)
        ),
    }
}

fn quoted(error: &anyhow::Error) -> String {
    format!("{error:#}").replace('\'', "")
}

/// Runs a page as a new user would; panics with the last lines of output if it fails.
fn follow(path: &str) {
    let page = Page::read(Path::new(path)).expect("the page exists");
    let mut playground = Playground::start(CLOCK_RATE).expect("a playground starts");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let said = folder.path().join("said");
    let file = File::create(&said).expect("the folder is ours");
    let mut shell = Command::new("bash")
        .args(["-c", &script(&page)])
        .current_dir(project::root())
        .envs(playground.environment().expect("it has an environment"))
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("it is open"))
        .stderr(file)
        .spawn()
        .expect("bash is there");
    let mut waited = Duration::ZERO;
    let status = loop {
        if let Some(status) = shell.try_wait().expect("it is our child") {
            break status;
        }
        playground.tend().expect("the playground works");
        thread::sleep(PAUSE);
        waited += PAUSE;
        if waited > PATIENCE {
            shell.kill().expect("it is our child");
        }
    };
    let said = fs::read_to_string(said).expect("it was written");
    assert!(
        status.success(),
        "{path}: {status}\n{said}\n--- controller\n{}",
        playground.log()
    );
}

#[test]
fn the_commands_of_the_readme_run() {
    follow(PAGES[0]);
}

#[test]
fn the_commands_of_the_quickstart_run() {
    follow(PAGES[1]);
}

#[test]
fn the_commands_of_the_first_policy_run() {
    follow(PAGES[2]);
}

/// The blocks that are skipped for a reason, with their places.
fn skipped(reason: &str) -> Vec<(String, String)> {
    let info = format!("sh skip-because={reason}");
    let pages = markdown::all().expect("the pages can be read");
    let blocks = pages.iter().flat_map(|page| {
        let blocks = page.blocks.iter().filter(|block| block.info == info);
        blocks.map(|block| (page.at(block.line), block.text.clone()))
    });
    blocks.collect()
}

/// Calls the AWS CLI where nobody listens: what it cannot connect for has been accepted, with all its arguments and files.
const ACCEPT: &str = r#"
accept() {
  if said="$(aws "$@" 2>&1)"; then echo "$* was answered" >&2; exit 1; fi
  case "$said" in *"Could not connect to the endpoint URL"*) ;; *) echo "$said" >&2; exit 1 ;; esac
}
"#;

#[test]
fn the_aws_cli_accepts_the_commands_that_are_not_run() {
    let cli = match AwsCli::locate("") {
        Ok(cli) => cli,
        Err(error) => {
            eprintln!("SKIPPED: the AWS CLI {VERSION} is missing: {error:#}");
            return;
        }
    };
    let blocks = skipped(ACCEPTED_BY_THE_AWS_CLI);
    assert!(blocks.len() >= 4, "only {} blocks were found", blocks.len());
    for (place, text) in blocks {
        assert!(text.contains("aws "), "{place}: no command of the AWS CLI");
        let folder = tempfile::tempdir().expect("a folder can be made");
        symlink(project::root().join("deploy"), folder.path().join("deploy")).expect("a link");
        let calls = text
            .replace("aws iam ", "accept iam ")
            .replace("aws eks ", "accept eks ")
            .replace("aws cloudtrail ", "accept cloudtrail ")
            .replace("aws logs ", "accept logs ");
        let script = format!("set -euo pipefail\n{}{ACCEPT}{calls}", cli.function(""));
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(folder.path())
            .envs([
                ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
                ("AWS_MAX_ATTEMPTS", "1"),
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "example"),
                ("AWS_DEFAULT_REGION", "eu-west-1"),
            ])
            .output()
            .expect("bash is there");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {complaint}\n{text}");
        if let Ok(document) = fs::read_to_string(folder.path().join("trust.json")) {
            let document: Value = serde_json::from_str(&document).expect("a trust policy is JSON");
            assert_eq!(document["Version"], "2012-10-17", "{place}");
        }
    }
}

/// Helm renders what a page switches on, with the chart's schema applied to the values.
#[test]
fn the_chart_has_what_a_page_switches_on() {
    let blocks = skipped(RENDERED_BY_THE_CHART);
    assert!(!blocks.is_empty(), "no block was found");
    for (place, text) in blocks {
        let upgrade = "helm upgrade secret-rotation-controller ";
        assert!(text.starts_with(upgrade), "{place}: {text}");
        let template = text.replace(upgrade, "helm template secret-rotation-controller ");
        let template = template.replace("--reuse-values", "");
        let helm = testenv::assets::helm().expect("Helm is there");
        let output = Command::new("bash")
            .args([
                "-c",
                &format!("helm() {{ '{}' \"$@\"; }}\n{template}", helm.display()),
            ])
            .current_dir(project::root())
            .output()
            .expect("bash is there");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{place}: {complaint}");
        let rendered = String::from_utf8_lossy(&output.stdout);
        for kind in ["ServiceMonitor", "PrometheusRule"] {
            assert!(
                rendered.contains(&format!("kind: {kind}")),
                "{place}: no {kind}"
            );
        }
    }
}

/// Values of the chart that the page on installation shows, such as credentials for a local cluster.
#[test]
fn the_chart_accepts_the_values_that_install_shows() {
    let page = Page::read(Path::new("docs/install.md")).expect("the page exists");
    let is_values = |block: &&Block| block.info == "yaml" && !block.text.contains("apiVersion");
    let blocks: Vec<_> = page.blocks.iter().filter(is_values).collect();
    assert_eq!(blocks.len(), 1, "install shows one file of values");
    for block in blocks {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        fs::write(file.path(), &block.text).expect("it is ours");
        let mut template = Command::new(testenv::assets::helm().expect("Helm is there"));
        template
            .args(["template", "x", "charts/secret-rotation-controller", "-f"])
            .arg(file.path())
            .current_dir(project::root());
        let rendered = project::output(&mut template).expect("Helm renders it");
        let place = page.at(block.line);
        assert!(rendered.contains("key: AWS_SECRET_ACCESS_KEY"), "{place}");
    }
}

/// The objects of one kind that a first contact finds, each once, with the file that holds it.
fn first_objects(kind: &str) -> Vec<(&'static str, Value)> {
    let mut found: Vec<(&'static str, Value)> = Vec::new();
    for path in FIRST_CONTACT {
        let text = fs::read_to_string(project::root().join(path)).expect("the file exists");
        let text = text.replace("{{ .Values.profile.name }}", "default");
        let documents = text
            .split("```yaml\n")
            .chain(text.split("<<'END'\n"))
            .chain(text.split("<<EOF\n"));
        for document in documents {
            let end = ["\n```", "\nEND", "\nEOF"];
            let end = end.iter().filter_map(|end| document.find(end)).min();
            let document = &document[..end.unwrap_or(document.len())];
            let lines = document
                .lines()
                .filter(|line| !line.trim_start().starts_with("{{"));
            let lines: Vec<_> = lines.collect();
            let object = serde_saphyr::from_str::<Value>(&lines.join("\n")).unwrap_or_default();
            if object["kind"] == kind && found.iter().all(|(_, known)| *known != object) {
                found.push((path, object));
            }
        }
    }
    found
}

/// Someone who takes the profile from one page and the policy from another gets a policy that watches something.
#[test]
fn every_first_profile_fits_every_first_policy() {
    let profiles = first_objects("AWSAccessProfile");
    let policies = first_objects("SecretRotationPolicy");
    let found = (profiles.len(), policies.len());
    assert_eq!(found, (3, 4), "{profiles:?} {policies:?}");
    let mut story = Story::begin(NAMED_BY_THE_PAGES);
    story.start_controller();
    for (profile_from, profile) in &profiles {
        story.apply(profile);
        for (policy_from, policy) in &policies {
            story.apply(policy);
            let reports = profile["spec"]["allowedActions"][0].is_null();
            let acts = policy["spec"]["mode"] == "Remediate";
            let ready = if reports && acts {
                "False/ActionNotAllowed"
            } else {
                "True/Succeeded"
            };
            let fits = format!("the profile of {profile_from} fits the policy of {policy_from}");
            story.eventually(&fits, || {
                let policy = story.get("srp", "payments");
                verdict(&policy, "Ready") == ready
                    && verdict(&policy, "Healthy") == "False/RotationStuck"
                    && count(&policy, "selected") == 4
            });
            story.kubectl(&["delete", "srp", "payments", "-n", TEAM]);
        }
    }
}

/// The plugin accepts every command that a page shows, in a block or within a sentence. Placeholders of names are not
/// checked.
#[test]
fn every_command_of_the_plugin_is_one_that_it_has() {
    let mut seen = 0;
    for page in markdown::all().expect("the pages can be read") {
        if page.path == Path::new("docs/reference/cli.md") {
            continue;
        }
        let text = fs::read_to_string(project::root().join(&page.path)).expect("a page");
        for command in plugin_commands(&text) {
            let words = shlex::split(&command).unwrap_or_else(|| panic!("{command}"));
            let parsed = Cli::try_parse_from(words);
            let wrong = parsed.err().map(|error| error.kind());
            let tolerable = [
                None,
                Some(ErrorKind::ValueValidation),
                Some(ErrorKind::InvalidValue),
                Some(ErrorKind::MissingRequiredArgument),
                Some(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ];
            assert!(
                tolerable.contains(&wrong),
                "{}: {command}: {wrong:?}",
                page.path.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} commands were found");
}

/// Returns the text from the name of the plugin to the end of the line or of the code, to a pipe or to a redirection.
fn plugin_commands(text: &str) -> Vec<String> {
    const PLUGIN: &str = "kubectl secret-rotation ";
    let joined = text.replace("\\\n", " ");
    joined
        .split(PLUGIN)
        .skip(1)
        .filter_map(|rest| rest.split(['\n', '`', '|', '>', '#', ')', ';']).next())
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|rest| rest.split(" > ").next().unwrap_or_default())
        .map(|rest| format!("kubectl-secret_rotation {}", rest.replace(" …", "")))
        .collect()
}

/// Returns whether a page has blocks that `tests/tests/runbooks.rs` runs.
fn is_runbook(page: &Page) -> bool {
    page.path.starts_with("docs/runbooks")
}

/// Every block states explicitly whether it runs, so that no block is skipped by mistake.
#[test]
fn every_block_says_what_it_is() {
    for page in markdown::all().expect("the pages can be read") {
        for block in &page.blocks {
            let place = page.at(block.line);
            let info = &block.info;
            if PAGES.iter().any(|path| page.path == Path::new(path)) {
                assert!(
                    is_known(block),
                    "{place}: {info:?} says not whether this is run"
                );
            }
            assert!(
                info != "sh"
                    || is_runbook(&page)
                    || PAGES.iter().any(|path| page.path == Path::new(path)),
                "{place}: commands of this page are not run; write text or console"
            );
        }
    }
}

fn is_known(block: &Block) -> bool {
    match block.info.strip_prefix("sh skip-because=") {
        Some(reason) => SKIPPED
            .iter()
            .any(|(known, text)| *known == reason && (text.is_empty() || *text == block.text)),
        None => INFOS.contains(&block.info.as_str()),
    }
}

/// The API server accepts the examples of the product's resources on every page, complete ones and parts of a policy.
#[test]
fn every_example_is_accepted_by_the_api_server() {
    let cluster = Cluster::start(&[]).expect("an API server starts");
    let crds = project::root().join("deploy/crds");
    cluster.apply(&crds).expect("the kinds apply");
    let mut applied = 0;
    for page in markdown::all().expect("the pages can be read") {
        for block in page.blocks.iter().filter(|block| block.info == "yaml") {
            for object in objects(&block.text) {
                let place = page.at(block.line);
                accepted(&cluster, &object).unwrap_or_else(|why| panic!("{place}: {why}"));
                applied += 1;
            }
        }
    }
    assert!(applied >= 5, "only {applied} examples were found");
}

/// Returns the product's resources in a block; a part of the spec of a policy is completed to a policy.
fn objects(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").map(|text| {
        serde_saphyr::from_str::<Value>(text).unwrap_or_else(|why| panic!("{why}:\n{text}"))
    });
    documents.filter_map(whole).collect()
}

fn whole(document: Value) -> Option<Value> {
    let ours = |version: &str| version.starts_with("secretrotation.dev/");
    if let Some(version) = document["apiVersion"].as_str() {
        return ours(version).then_some(document);
    }
    let parts = ["selector", "mode", "detection", "remediation", "regions"];
    let fields = document.as_object()?;
    if !fields.keys().all(|key| parts.contains(&key.as_str())) {
        return None;
    }
    let mut spec = json!({"selector": {"include": [{"namePrefix": "app/"}]}});
    for (name, part) in fields {
        spec[name] = part.clone();
    }
    let head = json!({"apiVersion": "secretrotation.dev/v1alpha1", "kind": "SecretRotationPolicy"});
    let mut object = head;
    object["metadata"] = json!({"name": "example"});
    object["spec"] = spec;
    Some(object)
}

/// Validates with the API server without storing anything, because the namespaces of examples do not exist.
fn accepted(cluster: &Cluster, object: &Value) -> anyhow::Result<()> {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    let file = cluster.folder().join("example.json");
    fs::write(&file, object.to_string())?;
    let mut apply = cluster.kubectl();
    apply
        .args(["create", "--dry-run=server", "--validate=strict", "-f"])
        .arg(&file);
    project::output(&mut apply).map(drop)
}
