//! Checks the dependencies of each crate: which are allowed, and which must not even be indirect.

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};

use testenv::project;

/// The rule of one crate: its allowed dependencies, and packages that it must not depend on, not even indirectly.
struct Rule {
    name: &'static str,
    may_use: &'static [&'static str],
    never: &'static [&'static str],
}

const RULES: [Rule; 9] = [
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
    // No rule lists it in `may_use`: only tests, whose dependencies are not followed here, can depend on it.
    Rule {
        name: "fixtures",
        may_use: &["core"],
        never: &["tokio", "kube", "k8s-openapi", "aws-*"],
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

/// The number of packages that core, including itself, must stay below.
const CORE_PACKAGES: usize = 19;

const PREFIX: &str = "secret-rotation-";

/// Checks the rule of every crate, and the size of core.
pub(super) fn check() -> Result<()> {
    for rule in &RULES {
        edges(rule)?;
    }
    core_is_small()
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

/// Returns the names of a package and of all its dependencies, without those of tests and builds.
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
