//! The API server stores the manifests unchanged, so that no tool that compares them reports a difference.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use testenv::cluster::Cluster;
use testenv::project;
use xtask::chart;

/// API groups that this API server does not serve.
const FOREIGN: &str = "monitoring.coreos.com";

/// Lists that their writer owns as a whole, without fields that could be left out.
const WINDOWS: &str = "
apiVersion: secretrotation.dev/v1alpha1
kind: SecretRotationPolicy
metadata: {name: windows, namespace: team-payments}
spec:
  selector:
    include: [{namePrefix: payments/, tags: [{key: team}]}]
    exclude: [{names: [payments/old]}]
  remediation:
    windows:
      allow: [{schedule: '0 2 * * 1-5', duration: 2h}]
      deny: [{schedule: '@weekly', duration: 24h}]
";

/// Every set of manifests that users apply, one file each, in the order in which they can be applied.
fn manifests(folder: &Path) -> Vec<PathBuf> {
    let deploy = project::root().join("deploy");
    let mut files = vec![
        deploy.join("controller/namespace.yaml"),
        deploy.join("crds"),
        deploy.join("admission/admission.yaml"),
        deploy.join("admission/roles.yaml"),
        deploy.join("controller/rbac.yaml"),
        deploy.join("controller/deployment.yaml"),
        deploy.join("samples/profile.yaml"),
        deploy.join("samples/policy-observe.yaml"),
        deploy.join("samples/policy-remediate.yaml"),
    ];
    let windows = folder.join("windows.yaml");
    std::fs::write(&windows, WINDOWS).expect("a file is written");
    files.push(windows);
    for (name, values) in chart::cases().expect("the chart has cases") {
        // Each case has objects of its own, so that no field of another case is left in them.
        let own = format!("fullnameOverride=chart-{name}");
        let rendered = chart::manifests(&values, &["--set", &own]);
        let rendered = rendered.expect("Helm renders the chart");
        let file = folder.join(format!("chart-{name}.yaml"));
        std::fs::write(&file, applicable(&rendered)).expect("a file is written");
        files.push(file);
    }
    files
}

/// Removes objects that this API server does not serve, and those that only Helm creates.
fn applicable(rendered: &str) -> String {
    let documents = rendered.split("\n---\n");
    let kept: Vec<_> = documents
        .filter(|document| !document.contains(FOREIGN) && !document.contains("helm.sh/hook"))
        .collect();
    kept.join("\n---\n")
}

/// The objects of a file, or of the files of a folder.
fn written(file: &Path) -> Vec<Value> {
    let files = match std::fs::read_dir(file) {
        Ok(files) => files
            .map(|one| one.expect("it can be read").path())
            .collect(),
        Err(_) => vec![file.to_owned()],
    };
    let texts = files
        .iter()
        .map(|file| std::fs::read_to_string(file).expect("it can be read"));
    let text = texts.collect::<Vec<_>>().join("\n---\n");
    let objects = text
        .split("\n---\n")
        .map(|object| serde_saphyr::from_str::<Value>(object).expect("it is YAML"));
    objects.filter(|object| !object.is_null()).collect()
}

/// The objects of a file as they are stored.
fn stored(cluster: &Cluster, file: &Path) -> Result<Vec<Value>, String> {
    let said = kubectl(cluster, &["get", "-o", "json"], file)?;
    let found: Value = serde_json::from_str(&said).expect("kubectl prints JSON");
    let items = found["items"].as_array().cloned();
    Ok(items.unwrap_or_else(|| vec![found]))
}

/// Adds every field that is stored in another way than it is written. Fields of which nothing is written are the server's.
fn differences(path: &str, written: &Value, stored: &Value, found: &mut Vec<String>) {
    match (written, stored) {
        (Value::Object(fields), Value::Object(_)) => {
            for (key, field) in fields {
                differences(&format!("{path}.{key}"), field, &stored[key], found);
            }
        }
        (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
            for (index, (item, other)) in items.iter().zip(others).enumerate() {
                differences(&format!("{path}[{index}]"), item, other, found);
            }
        }
        _ if written == stored => {}
        _ => found.push(format!("{path}: written {written}, stored {stored}")),
    }
}

fn compared(cluster: &Cluster, file: &Path) -> Result<Vec<String>, String> {
    let stored = stored(cluster, file)?;
    let mut found = Vec::new();
    for object in written(file) {
        let is_it = |one: &&Value| {
            let same = |pointer| one.pointer(pointer) == object.pointer(pointer);
            let here =
                object.pointer("/metadata/namespace").is_none() || same("/metadata/namespace");
            same("/kind") && same("/metadata/name") && here
        };
        let path = format!("{} {}", object["kind"], object["metadata"]["name"]);
        let one = stored.iter().find(is_it).unwrap_or(&Value::Null);
        differences(&path, &object, one, &mut found);
    }
    Ok(found)
}

fn kubectl(cluster: &Cluster, verb: &[&str], file: &Path) -> Result<String, String> {
    let mut command: Command = cluster.kubectl();
    command.args(verb).arg("-f").arg(file);
    project::output(&mut command).map_err(|error| format!("{}: {error:#}", file.display()))
}

/// Objects whose selector `kubectl apply` always sends, because it replaces it as a whole, so it never reports "unchanged".
const ALWAYS_SENT: &str = "poddisruptionbudget.policy/";

/// The last word of the output of `apply` for an object without differences.
fn unchanged(said: &str) -> bool {
    let mut lines = said.lines();
    lines.all(|line| line.ends_with("unchanged") || line.starts_with(ALWAYS_SENT))
}

#[test]
fn what_the_api_server_stores_is_what_every_manifest_says() {
    let cluster = Cluster::start(&[]).expect("an API server starts");
    for namespace in ["team-payments", "team-search", "secret-rotation"] {
        let create = cluster
            .kubectl()
            .args(["create", "namespace", namespace])
            .output();
        assert!(
            create.expect("kubectl runs").status.success(),
            "{namespace}"
        );
    }
    let mut faults = Vec::new();
    for file in manifests(cluster.folder()) {
        let server_side = |manager: &str, extra: &str| {
            let manager = format!("--field-manager={manager}");
            let verb = ["apply", "--server-side", &manager, extra];
            kubectl(&cluster, &verb, &file)
        };
        // The first manager takes over fields that an earlier file also contains; the second must find no conflict.
        faults.extend(server_side("first", "--force-conflicts").err());
        faults.extend(server_side("second", "--force-conflicts=false").err());
        match compared(&cluster, &file) {
            Ok(found) => faults.extend(found),
            Err(fault) => faults.push(fault),
        }
        let server_side = ["diff", "--server-side", "--field-manager=second"];
        faults.extend(kubectl(&cluster, &server_side, &file).err());
        faults.extend(kubectl(&cluster, &["apply"], &file).err());
        faults.extend(kubectl(&cluster, &["diff"], &file).err());
        match kubectl(&cluster, &["apply"], &file) {
            Ok(said) if unchanged(&said) => {}
            Ok(said) => faults.push(format!("{}: applied again: {said}", file.display())),
            Err(fault) => faults.push(fault),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
