//! The manifest with which krew installs the kubectl plugin, rendered from `.krew.yaml`.
//!
//! The template has the format of krew-release-bot: `{{ .TagName }}` is the tag, and `{{addURIAndSha "ADDRESS" .TagName }}`
//! adds an archive with its checksum. The bot proposes new versions to the index of krew. The manifest rendered here is for
//! the first version, and for users who install from the release.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use testenv::project;

const TAG: &str = "{{ .TagName }}";

/// Renders the manifest for a tag such as `v0.1.0`, with the checksums of a file in the format of `sha256sum`.
///
/// # Errors
///
/// Returns an error if a file cannot be read, or if the checksum of an archive is missing.
pub fn manifest(tag: &str, checksums: &Path) -> Result<String> {
    let template =
        fs::read_to_string(project::root().join(".krew.yaml")).context("cannot read .krew.yaml")?;
    let checksums = fs::read_to_string(checksums)
        .with_context(|| format!("cannot read {}", checksums.display()))?;
    render(&template, tag, &by_name(&checksums))
}

/// Parses the checksums, by the name of the archive.
fn by_name(checksums: &str) -> BTreeMap<&str, &str> {
    let lines = checksums.lines().filter_map(|line| line.split_once(' '));
    lines
        .map(|(sum, name)| (name.trim_start_matches([' ', '*']), sum))
        .collect()
}

fn render(template: &str, tag: &str, checksums: &BTreeMap<&str, &str>) -> Result<String> {
    let lines: Result<Vec<_>> = template
        .lines()
        .map(|line| match archive(line) {
            Some(address) => located(line, &address.replace(TAG, tag), checksums),
            None => Ok(line.replace(TAG, tag)),
        })
        .collect();
    Ok(lines?.join("\n") + "\n")
}

/// Returns the address in a line that names an archive.
fn archive(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("{{addURIAndSha \"")?;
    rest.split_once("\" .TagName }}")
        .map(|(address, _)| address)
}

/// Renders the address and the checksum of an archive, with the indentation of the line that they replace.
fn located(line: &str, address: &str, checksums: &BTreeMap<&str, &str>) -> Result<String> {
    let (_, name) = address
        .rsplit_once('/')
        .context("an address has a last part")?;
    let sum = checksums
        .get(name)
        .with_context(|| format!("no checksum was given for {name}"))?;
    let (indent, _) = line.split_at(line.len() - line.trim_start().len());
    Ok(format!("{indent}uri: {address}\n{indent}sha256: {sum}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const BASE: &str =
        "https://github.com/secretrotation/secret-rotation-controller/releases/download/v0.1.0";

    fn template() -> String {
        fs::read_to_string(project::root().join(".krew.yaml")).expect("the template is there")
    }

    /// Returns the entry that krew must find for one platform.
    fn platform(os: &str, architecture: &str, sum: &str) -> Value {
        json!({
            "selector": {"matchLabels": {"os": os, "arch": architecture}},
            "uri": format!("{BASE}/kubectl-secret_rotation-v0.1.0-{os}-{architecture}.tar.gz"),
            "sha256": sum,
            "bin": "kubectl-secret_rotation",
        })
    }

    #[test]
    fn the_manifest_names_an_archive_with_its_checksum_for_each_platform() {
        let checksums = "\
            aa  kubectl-secret_rotation-v0.1.0-linux-amd64.tar.gz\n\
            bb  kubectl-secret_rotation-v0.1.0-linux-arm64.tar.gz\n\
            cc  kubectl-secret_rotation-v0.1.0-darwin-amd64.tar.gz\n\
            dd *kubectl-secret_rotation-v0.1.0-darwin-arm64.tar.gz\n";
        let text = render(&template(), "v0.1.0", &by_name(checksums)).expect("nothing is missing");
        let manifest: Value = serde_saphyr::from_str(&text).expect("the manifest is YAML");
        let wanted = json!([
            platform("linux", "amd64", "aa"),
            platform("linux", "arm64", "bb"),
            platform("darwin", "amd64", "cc"),
            platform("darwin", "arm64", "dd"),
        ]);
        assert_eq!(
            (
                &manifest["metadata"]["name"],
                &manifest["spec"]["version"],
                &manifest["spec"]["platforms"]
            ),
            (&json!("secret-rotation"), &json!("v0.1.0"), &wanted)
        );
    }

    #[test]
    fn an_archive_without_a_checksum_is_an_error() {
        let error =
            render(&template(), "v0.1.0", &BTreeMap::new()).expect_err("no checksum was given");
        assert_eq!(
            error.to_string(),
            "no checksum was given for kubectl-secret_rotation-v0.1.0-linux-amd64.tar.gz"
        );
    }
}
