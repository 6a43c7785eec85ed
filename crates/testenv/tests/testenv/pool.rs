//! One API server for several tests: each finds it in the initial state.

use std::thread;

use anyhow::Result;
use testenv::cluster::Cluster;
use testenv::pool::Pool;
use testenv::project::output;

const INSTALLED: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: installed, namespace: default}
";

/// The objects that a test creates, in a separate namespace and with a finalizer that no controller removes.
const CREATED: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: created, namespace: team, finalizers: [example.com/never]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: created, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: created, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: alice}]
";

fn objects(cluster: &Cluster) -> Result<String> {
    let all = "namespaces,configmaps,rolebindings";
    output(cluster.kubectl().args(["get", all, "-A", "-o", "name"]))
}

fn change(cluster: &Cluster, annotation: &str) -> Result<String> {
    let annotate = ["annotate", "configmap", "installed", annotation];
    output(cluster.kubectl().args(annotate))
}

#[test]
fn a_server_is_used_again_only_as_it_was() -> Result<()> {
    static POOL: Pool = Pool::new(&["alice"], |cluster| cluster.apply_text(INSTALLED));
    let first = POOL.take()?;
    let (url, before) = (first.url(), objects(&first)?);
    first.apply_text(CREATED)?;
    std::fs::write(first.folder().join("log"), "")?;
    let second = POOL.take()?;
    assert_ne!(second.url(), url, "one test at a time");
    drop(second);
    drop(first);

    let again = POOL.take()?;
    assert_eq!(again.url(), url);
    assert_eq!(objects(&again)?, before);
    assert!(!again.folder().join("log").exists());
    let pods = ["auth", "can-i", "list", "pods", "-n", "default"];
    output(again.kubectl_as("alice").args(pods)).expect_err("alice has no rights again");
    change(&again, "changed=yes")?;
    drop(again);

    let mut other = POOL.take()?;
    assert_ne!(other.url(), url, "a changed server is thrown away");
    let url = other.url();
    other.kill_apiserver();
    other.restart_apiserver()?;
    drop(other);

    let last = POOL.take()?;
    assert_ne!(last.url(), url, "a killed server is thrown away");
    let url = last.url();
    let failed = thread::spawn(move || {
        let _last = last;
        panic!("this test fails on purpose");
    });
    assert!(failed.join().is_err());
    assert_ne!(POOL.take()?.url(), url, "that of a failed test, too");
    Ok(())
}
