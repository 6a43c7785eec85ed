//! What `cargo xtask check` promises: crate edges, the size of core, fresh generated files, lints everywhere.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result, bail, ensure};
use testenv::project;

use crate::generate;

/// A crate of ours with what it may depend on, and what may be nowhere below it.
struct Rule {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

const RULES: [Rule; 8] = [
    Rule {
        name: "core",
        may_use: &[],
        never: &[
            "tokio",
            "futures",
            "kube",
            "k8s-openapi",
            "aws-*",
            "prometheus",
            "tracing",
            "rand",
            "serde",
            "getrandom",
        ],
    },
    Rule {
        name: "api",
        may_use: &["core"],
        never: &[
            "tokio",
            "kube-client",
            "kube-runtime",
            "aws-*",
            "prometheus",
        ],
    },
    Rule {
        name: "aws",
        may_use: &["core"],
        never: &["kube", "k8s-openapi", "prometheus"],
    },
    Rule {
        name: "controller",
        may_use: &["api", "aws", "core"],
        never: &["ring", "openssl", "native-tls"],
    },
    Rule {
        name: "cli",
        may_use: &["api", "aws", "core"],
        never: &["prometheus", "ring", "openssl", "native-tls"],
    },
    Rule {
        name: "simulator",
        may_use: &[],
        never: &["kube", "aws-*", "prometheus"],
    },
    Rule {
        name: "testenv",
        may_use: &[],
        never: &["tokio", "kube", "aws-*"],
    },
    Rule {
        name: "xtask",
        may_use: &["api", "core", "testenv"],
        never: &["tokio", "aws-*"],
    },
];

/// Packages below core, itself included, must be fewer than this.
const CORE_PACKAGES: usize = 15;

const PREFIX: &str = "secret-rotation-";

/// Runs every check and stops at the first that fails.
pub fn all() -> Result<()> {
    for rule in &RULES {
        edges(rule)?;
    }
    core_is_small()?;
    lints_everywhere()?;
    generate::check()?;
    eprintln!("crate edges, the size of core, lints and generated files are as they should be");
    Ok(())
}

fn edges(rule: &Rule) -> Result<()> {
    let package = format!("{PREFIX}{}", rule.name);
    let below = packages_below(&package)?;
    for name in below.iter().filter(|name| **name != package) {
        let ours = name.strip_prefix(PREFIX);
        ensure!(
            ours.is_none_or(|ours| rule.may_use.contains(&ours)),
            "{package} must not depend on {name}"
        );
        if let Some(banned) = rule.never.iter().find(|banned| matches(banned, name)) {
            bail!(
                "{package} must not depend on {name}, not even through others ({banned} is ruled out)"
            );
        }
    }
    Ok(())
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern
        .strip_suffix('*')
        .map_or(pattern == name, |prefix| name.starts_with(prefix))
}

fn core_is_small() -> Result<()> {
    let count = packages_below(&format!("{PREFIX}core"))?.len();
    ensure!(
        count < CORE_PACKAGES,
        "core and what it stands on are {count} packages; fewer than {CORE_PACKAGES} are allowed"
    );
    Ok(())
}

/// Names of the package and of everything it needs to run.
fn packages_below(package: &str) -> Result<BTreeSet<String>> {
    let tree = project::output(project::cargo().args([
        "tree", "--locked", "-e", "normal", "--prefix", "none", "-p", package,
    ]))?;
    Ok(tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

fn lints_everywhere() -> Result<()> {
    let metadata = project::output(project::cargo().args([
        "metadata",
        "--format-version=1",
        "--no-deps",
        "--locked",
    ]))?;
    let metadata: serde_json::Value = serde_json::from_str(&metadata)?;
    for package in metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?
    {
        let manifest = package["manifest_path"]
            .as_str()
            .context("a package has a manifest")?;
        let inherits = fs::read_to_string(manifest)?.contains("[lints]\nworkspace = true");
        ensure!(
            inherits,
            "{manifest} does not say `[lints] workspace = true`"
        );
    }
    Ok(())
}
