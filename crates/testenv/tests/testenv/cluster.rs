//! The API server of the stories is real, and it can be killed, paused and restored.

use std::fs;

use anyhow::Result;
use testenv::assets::{HELM, NEWEST, OLDEST};
use testenv::cluster::Cluster;
use testenv::project::{self, output};

#[test]
fn the_modules_pin_the_versions_that_are_reported() {
    let required = |module: &str| {
        let path = project::root()
            .join("crates/testenv")
            .join(module)
            .join("go.mod");
        fs::read_to_string(path).expect("the module has a go.mod")
    };
    for kubernetes in [NEWEST, OLDEST] {
        let pinned = format!("k8s.io/kubernetes {}", kubernetes.version);
        assert!(required(kubernetes.module).contains(&pinned), "{pinned}");
    }
    assert!(required("helm").contains(&format!("helm.sh/helm/v4 {HELM}")));
}

#[test]
fn a_real_api_server_answers_forbids_and_survives_a_crash() -> Result<()> {
    let mut cluster = Cluster::start(&["alice"])?;
    let version = output(cluster.kubectl().args(["version", "-o", "json"]))?;
    let supported = [NEWEST, OLDEST]
        .iter()
        .any(|kubernetes| version.contains(&format!("\"gitVersion\": \"{}\"", kubernetes.version)));
    assert!(supported, "{version}");

    output(cluster.kubectl().args(["create", "namespace", "team"]))?;
    let refused = output(
        cluster
            .kubectl_as("alice")
            .args(["get", "pods", "-n", "team"]),
    )
    .expect_err("alice has no rights");
    assert!(refused.to_string().contains("Forbidden"), "{refused}");

    output(
        cluster
            .kubectl()
            .args(["create", "serviceaccount", "robot", "-n", "team"]),
    )?;
    cluster.service_account("team", "robot")?;
    let whoami = output(cluster.kubectl_as("robot").args(["auth", "whoami"]))?;
    assert!(
        whoami.contains("system:serviceaccount:team:robot"),
        "{whoami}"
    );

    cluster.kill_apiserver();
    assert!(!cluster.is_running());
    cluster.restart_apiserver()?;
    output(cluster.kubectl().args(["get", "namespace", "team"]))?;
    Ok(())
}

#[test]
fn a_paused_api_server_hangs_and_goes_on() -> Result<()> {
    let mut cluster = Cluster::start(&[])?;
    let ask = |cluster: &Cluster| {
        let probe = ["get", "--raw=/readyz", "--request-timeout=1s"];
        output(cluster.kubectl().args(probe))
    };
    cluster.pause_apiserver(true)?;
    ask(&cluster).expect_err("a paused server does not answer");
    cluster.pause_apiserver(false)?;
    assert_eq!(ask(&cluster)?, "ok");
    Ok(())
}
