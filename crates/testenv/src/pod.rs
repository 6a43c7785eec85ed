//! The only pod of the playground: what a Deployment requests, and the process that runs instead of a pod.

use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::process::{self, Server};
use crate::project;

/// The label selector of the product's Deployments.
const LABEL: &str = "app.kubernetes.io/name=secret-rotation-controller";

/// Flags whose values are replaced, because every process listens on its own ports of the loopback interface.
const ADDRESSES: [&str; 2] = ["--metrics-address", "--health-address"];

/// What a Deployment requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    namespace: String,
    deployment: String,
    generation: i64,
    replicas: i64,
    account: String,
    arguments: Vec<String>,
}

/// The process that runs instead of a pod.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) pod: Pod,
    server: Server,
    health: u16,
    reported: bool,
}

impl Pod {
    /// Returns the pod of the first Deployment that requests one, once its `ServiceAccount` exists.
    ///
    /// # Errors
    ///
    /// Returns an error if the API server cannot be read.
    pub(crate) fn wanted(cluster: &Cluster) -> Result<Option<Self>> {
        let mut list = cluster.kubectl();
        list.args(["get", "deployments", "-A", "-o", "json", "-l", LABEL]);
        let list: Value = serde_json::from_str(&project::output(&mut list)?)?;
        let pods = list["items"].as_array().into_iter().flatten();
        let wanted = pods.map(Self::of).find(|pod| pod.replicas > 0);
        Ok(match wanted {
            Some(pod) if pod.may_start(cluster)? => Some(pod),
            Some(_) | None => None,
        })
    }

    /// Returns whether the `ServiceAccount` exists. Manifests are applied in any order.
    fn may_start(&self, cluster: &Cluster) -> Result<bool> {
        let mut get = cluster.kubectl();
        get.args([
            "get",
            "serviceaccount",
            &self.account,
            "-n",
            &self.namespace,
        ])
        .args(["--ignore-not-found", "-o", "name"]);
        Ok(!project::output(&mut get)?.is_empty())
    }

    fn of(deployment: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pod = &deployment["spec"]["template"]["spec"];
        let arguments = pod["containers"][0]["args"]
            .as_array()
            .into_iter()
            .flatten();
        Self {
            namespace: text(&deployment["metadata"]["namespace"]),
            deployment: text(&deployment["metadata"]["name"]),
            generation: deployment["metadata"]["generation"].as_i64().unwrap_or(0),
            replicas: deployment["spec"]["replicas"].as_i64().unwrap_or(0),
            account: text(&pod["serviceAccountName"]),
            arguments: arguments.map(text).collect(),
        }
    }

    /// Returns the arguments without the addresses.
    fn kept_arguments(&self) -> impl Iterator<Item = &String> {
        let chosen = |argument: &&String| {
            let name = argument.split('=').next().unwrap_or_default();
            !ADDRESSES.contains(&name)
        };
        self.arguments.iter().filter(chosen)
    }
}

impl Running {
    /// Starts the controller with the credentials of the pod's `ServiceAccount`, and its metrics on this port.
    ///
    /// # Errors
    ///
    /// Returns an error if the process does not start, or if the `ServiceAccount` has no token.
    pub(crate) fn start(pod: Pod, cluster: &Cluster, aws: &str, metrics: u16) -> Result<Self> {
        let health = process::free_port()?;
        let binary = project::debug_binaries()?.join("secret-rotation-controller");
        let mut command = Command::new(binary);
        command
            .env(
                "KUBECONFIG",
                cluster.service_account(&pod.namespace, &pod.account)?,
            )
            .env("AWS_ENDPOINT_URL", aws)
            .env_remove("AWS_PROFILE")
            .envs([
                ("AWS_ACCESS_KEY_ID", "playground"),
                ("AWS_SECRET_ACCESS_KEY", "playground"),
                ("AWS_REGION", "eu-west-1"),
            ])
            .args(pod.kept_arguments())
            .arg(format!("--metrics-address=127.0.0.1:{metrics}"))
            .arg(format!("--health-address=127.0.0.1:{health}"));
        let log = cluster.folder().join("controller.log");
        let server = Server::start("secret-rotation-controller", &mut command, &log)?;
        Ok(Self {
            pod,
            server,
            health,
            reported: false,
        })
    }

    /// Writes the status of the Deployment once the process is ready.
    ///
    /// # Errors
    ///
    /// Returns an error if the status cannot be written.
    pub(crate) fn report(&mut self, cluster: &Cluster) -> Result<()> {
        if self.reported || !process::is_ready(self.health, "/readyz") {
            return Ok(());
        }
        let count = self.pod.replicas;
        let available = json!([{"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "the process is ready"}]);
        let status = json!({"status": {
            "observedGeneration": self.pod.generation,
            "replicas": count,
            "updatedReplicas": count,
            "readyReplicas": count,
            "availableReplicas": count,
            "conditions": available,
        }});
        let mut patch = cluster.kubectl();
        patch
            .args(["patch", "deployment", &self.pod.deployment])
            .args(["-n", &self.pod.namespace, "--subresource=status"])
            .args(["--type=merge", "-p", &status.to_string()]);
        project::output(&mut patch).context("the status of the Deployment cannot be written")?;
        self.reported = true;
        Ok(())
    }

    /// Returns the last lines of the controller's log.
    pub(crate) fn log(&self) -> String {
        let log = self.server.log();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployment_is_read_and_its_addresses_are_left_out() {
        let deployment = json!({
            "metadata": {"namespace": "system", "name": "controller", "generation": 3},
            "spec": {"replicas": 2, "template": {"spec": {
                "serviceAccountName": "robot",
                "containers": [{"args": ["--lease-namespace=system", "--metrics-address=[::]:8080"]}],
            }}},
        });
        let pod = Pod::of(&deployment);
        let expected = Pod {
            namespace: "system".into(),
            deployment: "controller".into(),
            generation: 3,
            replicas: 2,
            account: "robot".into(),
            arguments: vec![
                "--lease-namespace=system".into(),
                "--metrics-address=[::]:8080".into(),
            ],
        };
        assert_eq!(pod, expected);
        let kept: Vec<_> = pod.kept_arguments().collect();
        assert_eq!(kept, ["--lease-namespace=system"]);
    }
}
