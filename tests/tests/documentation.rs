//! The commands of the documentation are run, and its examples are applied.
//!
//! A block of `sh` is run, in one shell per page, in a playground: a real API server, a simulated AWS, and a controller
//! for each Deployment that asks for one. `sh skip-because=…` is not run here; what may be skipped is listed below, with
//! what runs it instead. `console` shows what is typed and what is answered; nothing else may look like a command.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser as _;
use clap::error::ErrorKind;
use secret_rotation_cli::Cli;
use serde_json::{Value, json};
use testenv::cluster::Cluster;
use testenv::playground::Playground;
use testenv::project;
use xtask::markdown::{self, Block, Page};

/// Pages whose commands a newcomer types.
const PAGES: [&str; 2] = ["README.md", "docs/quickstart.md"];

/// Blocks that are not run here, word for word, each with what runs it.
const SKIPPED: [(&str, &str); 2] = [
    // It would run this very test.
    ("cargo xtask test\n", "ci-runs-it"),
    // The playground of this test is the same, started in this process.
    ("cargo xtask playground\n", "this-test-starts-one"),
];

/// What may stand behind the fence of a block.
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

/// AWS's clock runs so much faster than ours: a wait of half a minute is over in three seconds.
const CLOCK_RATE: &str = "10";

/// How long a page may take; its own waits say sooner what did not come true.
const PATIENCE: Duration = Duration::from_mins(9);

const PAUSE: Duration = Duration::from_millis(250);

/// The commands of a page, each block announced by its place.
fn script(page: &Page) -> String {
    let run = page.blocks.iter().filter(|block| block.info == "sh");
    let announced = run.map(|block| format!("echo '== {}'\n{}", page.at(block.line), block.text));
    let head = "set -euo pipefail\n".to_owned();
    head + &announced.collect::<String>()
}

/// Runs a page as a newcomer would, and fails with what was printed last.
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

/// Every command of the plugin that a page shows, in a block or within a sentence, is one that the plugin understands.
/// What stands for a name is not judged.
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

/// From the name of the plugin to the end of the line, of the code or of the pipe.
fn plugin_commands(text: &str) -> Vec<String> {
    const PLUGIN: &str = "kubectl secret-rotation ";
    let joined = text.replace("\\\n", " ");
    joined
        .split(PLUGIN)
        .skip(1)
        .filter_map(|rest| rest.split(['\n', '`', '|', '>', '#', ')', ';']).next())
        .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(|rest| format!("kubectl-secret_rotation {}", rest.replace(" …", "")))
        .collect()
}

/// Whoever writes a block decides whether it is run; a forgotten word must not mean that it is not.
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
                info != "sh" || PAGES.iter().any(|path| page.path == Path::new(path)),
                "{place}: commands of this page are not run; write text or console"
            );
        }
    }
}

fn is_known(block: &Block) -> bool {
    match block.info.strip_prefix("sh skip-because=") {
        Some(reason) => SKIPPED.contains(&(block.text.as_str(), reason)),
        None => INFOS.contains(&block.info.as_str()),
    }
}

/// Objects of ours on any page, whole ones and parts of a policy, are accepted as they are written.
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

/// The objects of ours in a block; a part of the spec of a policy becomes a policy.
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

/// Asks the API server without storing anything; namespaces of examples are not there.
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
