//! Published files are consistent: versions, actions pinned to commits, valid forms, working links.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use testenv::assets::{Kubernetes, NEWEST, OLDEST};
use testenv::project::root;

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Returns the YAML files of `.github` with their contents.
fn yaml() -> Vec<(PathBuf, Value)> {
    let found: Vec<_> = files(&root().join(".github"))
        .into_iter()
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml" || extension == "yml")
        })
        .map(|path| {
            let parsed = serde_saphyr::from_str(&text(&path));
            let parsed = parsed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, parsed)
        })
        .collect();
    assert!(found.len() >= 7, "only {} files were found", found.len());
    found
}

/// Returns the jobs of the workflows, each with the name of its file and its own name.
fn jobs() -> Vec<(String, Value)> {
    let jobs: Vec<_> = yaml()
        .into_iter()
        .filter(|(path, _)| {
            path.parent()
                .is_some_and(|parent| parent.ends_with("workflows"))
        })
        .flat_map(|(path, workflow)| {
            let jobs = workflow["jobs"]
                .as_object()
                .expect("a workflow has jobs")
                .clone();
            let file = path.file_name().map(|name| name.display().to_string());
            let file = file.expect("a workflow has a name");
            jobs.into_iter()
                .map(move |(name, job)| (format!("{file} {name}"), job))
        })
        .collect();
    assert!(jobs.len() >= 8, "only {} jobs were found", jobs.len());
    jobs
}

/// Returns the version of the workspace.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Returns the only line of the file with this beginning, without the beginning.
fn after<'a>(file: &'a str, beginning: &str) -> &'a str {
    let mut found = file
        .lines()
        .filter_map(|line| line.trim().strip_prefix(beginning));
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no line begins with {beginning}"));
    assert_eq!(found.next(), None, "two lines begin with {beginning}");
    first
}

#[test]
fn every_action_is_pinned_to_a_commit_with_its_version_beside_it() {
    let loose: Vec<_> = files(&root().join(".github"))
        .iter()
        .flat_map(|path| text(path).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|line| {
            line.trim_start_matches([' ', '-'])
                .strip_prefix("uses: ")
                .map(str::to_owned)
        })
        .filter(|used| !used.starts_with("./"))
        .filter(|used| {
            let pinned = used
                .split_once('@')
                .and_then(|(_, rest)| rest.split_once(" # v"));
            !pinned.is_some_and(|(commit, version)| {
                commit.len() == 40
                    && commit.bytes().all(|byte| byte.is_ascii_hexdigit())
                    && version.starts_with(|first: char| first.is_ascii_digit())
            })
        })
        .collect();
    assert_eq!(loose, Vec::<String>::new());
}

#[test]
fn every_workflow_gives_no_permission_and_every_job_names_its_own_and_its_time() {
    let generous: Vec<_> = yaml()
        .into_iter()
        .filter(|(_, file)| file.get("jobs").is_some())
        .filter(|(_, workflow)| workflow["permissions"] != serde_json::json!({}))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(generous, Vec::<PathBuf>::new());
    let vague: Vec<_> = jobs()
        .into_iter()
        .filter(|(_, job)| {
            // A job that calls a workflow has its time limits in that workflow.
            let bounded = job.get("timeout-minutes").is_some() || job.get("uses").is_some();
            job.get("permissions").is_none() || !bounded
        })
        .map(|(name, _)| name)
        .collect();
    assert_eq!(vague, Vec::<String>::new());
}

#[test]
fn the_report_of_a_bug_asks_for_the_doctor_and_for_no_value() {
    let forms = yaml();
    let (_, form) = forms
        .iter()
        .find(|(path, _)| path.ends_with("ISSUE_TEMPLATE/bug.yaml"))
        .expect("there is a form for bugs");
    let body = form["body"].as_array().expect("a form has a body");
    let field = |id: &str| {
        body.iter()
            .find(|field| field["id"] == id)
            .unwrap_or_else(|| panic!("no field is called {id}"))
    };
    assert_eq!(
        (
            &field("doctor")["attributes"]["label"],
            &field("doctor")["validations"]["required"],
            &field("values")["attributes"]["options"][0]["required"]
        ),
        (
            &Value::from("`kubectl secret-rotation doctor`"),
            &Value::Bool(true),
            &Value::Bool(true)
        )
    );
}

#[test]
fn links_between_files_for_contributors_lead_somewhere() {
    let github = root().join(".github");
    let documents =
        ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(|name| root().join(name));
    let documents = documents
        .into_iter()
        .chain([github.join("pull_request_template.md")]);
    let mut followed = 0;
    for document in documents {
        let folder = document
            .parent()
            .expect("a document lies in a folder")
            .to_owned();
        for part in text(&document).split("](").skip(1) {
            let target = part
                .split([')', '#'])
                .next()
                .expect("split gives a first part");
            if !target.starts_with("http") {
                let path = folder.join(target);
                assert!(
                    path.exists(),
                    "{} leads to {target}, which is not there",
                    document.display()
                );
                followed += 1;
            }
        }
    }
    assert!(followed >= 10, "only {followed} links were found");
}

#[test]
fn owners_are_named_only_for_files_that_exist() {
    let owners = text(&root().join(".github/CODEOWNERS"));
    let gone: Vec<_> = owners
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.strip_prefix('/'))
        .filter(|path| !root().join(path).exists())
        .collect();
    assert_eq!(gone, Vec::<&str>::new());
}

#[test]
fn image_deployment_and_chart_have_the_version_of_the_workspace() {
    let dockerfile = text(&root().join("Dockerfile"));
    assert_eq!(after(&dockerfile, "ARG VERSION="), version());
    let deployment = text(&root().join("deploy/controller/deployment.yaml"));
    let (_, tag) = after(&deployment, "image: ")
        .rsplit_once(':')
        .expect("the image has a tag");
    assert_eq!(tag, version());
    let chart = root().join("charts/secret-rotation-controller/Chart.yaml");
    if chart.exists() {
        let chart: Value = serde_saphyr::from_str(&text(&chart)).expect("the chart is YAML");
        assert_eq!(
            (chart["version"].as_str(), chart["appVersion"].as_str()),
            (Some(version()), Some(version()))
        );
    }
}

/// Returns the major and minor number of a version of Kubernetes.
fn minor(kubernetes: &Kubernetes) -> &'static str {
    let (minor, _patch) = kubernetes.version[1..]
        .rsplit_once('.')
        .expect("a version has a patch number");
    minor
}

#[test]
fn the_chart_accepts_kubernetes_from_the_oldest_version_that_is_tested() {
    let chart = text(&root().join("charts/secret-rotation-controller/Chart.yaml"));
    let oldest = minor(&OLDEST);
    assert_eq!(
        after(&chart, "kubeVersion: "),
        format!("\">={oldest}.0-0\"")
    );
}

#[test]
fn the_page_for_help_names_the_versions_of_kubernetes_that_are_tested() {
    let page = text(&root().join("docs/support.md"));
    let (oldest, newest) = (minor(&OLDEST), minor(&NEWEST));
    let row = format!(
        "{oldest} and later | {newest} for every change; {oldest} for every change on `main` |"
    );
    assert_eq!(after(&page, "| Kubernetes | "), row);
    // The workflow runs the oldest version except for pull requests.
    let jobs = jobs();
    let (_, job) = jobs
        .iter()
        .find(|(name, _)| name.ends_with("oldest"))
        .expect("a job runs the oldest version");
    assert_eq!(job["if"], "github.event_name != 'pull_request'");
}

#[test]
fn image_workflows_and_toolchain_use_the_rust_that_is_promised() {
    let dockerfile = text(&root().join("Dockerfile"));
    let base = after(&dockerfile, "FROM docker.io/library/rust:");
    let (rust, _) = base
        .split_once('-')
        .expect("the base names a version and a Debian");
    let toolchain = text(&root().join("rust-toolchain.toml"));
    let channel = after(&toolchain, "channel = ").trim_matches('"');
    assert_eq!(channel, format!("{rust}.0"));
    // The minimum supported Rust version is the version that runs all tests.
    assert_eq!(env!("CARGO_PKG_RUST_VERSION"), rust);
    let action = text(&root().join(".github/actions/rust/action.yaml"));
    assert!(action.contains("rustup toolchain install\n"));
}

#[test]
fn jobs_that_may_push_sign_or_release_run_no_code_of_the_repository() {
    let mut with_rights = 0;
    for workflow in ["book", "ci", "outdated", "release"] {
        let path = root().join(format!(".github/workflows/{workflow}.yaml"));
        let content: Value = serde_saphyr::from_str(&text(&path)).expect("a workflow is YAML");
        for (name, job) in content["jobs"].as_object().expect("a workflow has jobs") {
            let rights = job["permissions"].to_string();
            if !rights.contains("write") {
                continue;
            }
            with_rights += 1;
            let steps = job["steps"].to_string();
            for code in ["cargo", "xtask", "deploy/", ".ci/", "./.github"] {
                assert!(
                    !steps.contains(code),
                    "{workflow}.{name} has {rights} and runs {code}"
                );
            }
        }
    }
    assert!(with_rights >= 5, "only {with_rights} jobs have rights");
}

#[test]
fn the_base_images_are_pinned_by_digest() {
    let dockerfile = text(&root().join("Dockerfile"));
    let pulled: Vec<_> = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("FROM "))
        .filter(|base| !base.starts_with("${"))
        .collect();
    assert_eq!(pulled.len(), 2);
    for base in pulled {
        let (_, digest) = base.split_once("@sha256:").expect("the base has a digest");
        let (digest, _stage) = digest.split_once(" AS ").expect("the base has a name");
        assert_eq!(digest.len(), 64, "{base}");
    }
}

#[test]
fn the_image_is_started_as_a_number_without_a_shell() {
    let dockerfile = text(&root().join("Dockerfile"));
    let (_, last) = dockerfile
        .rsplit_once("\nFROM ")
        .expect("the Dockerfile has stages");
    let instructions: Vec<_> = last
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with(['#', ' ']) && !line.is_empty())
        .filter_map(|line| line.split_once(' '))
        .filter(|(word, _)| !matches!(*word, "ARG" | "LABEL"))
        .collect();
    assert_eq!(
        instructions,
        [
            ("COPY", "--from=build /out/ /"),
            ("USER", "65532:65532"),
            ("ENTRYPOINT", r#"["/secret-rotation-controller"]"#)
        ]
    );
}

#[test]
fn packages_that_the_release_builds_exist() {
    let workflow = text(&root().join(".github/workflows/release.yaml"));
    let built: Vec<_> = workflow
        .lines()
        .filter_map(|line| line.trim().strip_prefix("deploy/build ")?.split(' ').next())
        .collect();
    assert_eq!(built, ["secret-rotation-cli"]);
    let manifest = text(&root().join("crates/cli/Cargo.toml"));
    assert_eq!(after(&manifest, "name = \"secret-rotation-"), "cli\"");
    assert_eq!(after(&manifest, "name = \"kubectl-"), "secret_rotation\"");
}
