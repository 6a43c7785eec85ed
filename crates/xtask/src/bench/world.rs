//! The servers of a benchmark: an API server, a simulated AWS, and the release build of the controller.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use testenv::cluster::{ADMIN, Cluster};
use testenv::pool::{Borrowed, Pool};
use testenv::process::{self, Request, Server};
use testenv::{project, simulator};

use super::estate::NAMESPACE;
use super::usage::{Process, wait_until};
use crate::timing::now;

/// The manifests of the product without its Deployment.
const INSTALLED: [&str; 4] = [
    "deploy/crds",
    "deploy/controller/namespace.yaml",
    "deploy/controller/rbac.yaml",
    "deploy/admission",
];

const SYSTEM: &str = "secret-rotation-system";
const ACCOUNT: &str = "secret-rotation-controller";

/// The maximum time for anything. A sweep of half a million secrets takes its time.
pub(super) const PATIENCE: Duration = Duration::from_mins(15);

static SERVERS: Pool = Pool::new(&[], install);

/// The servers of one benchmark. Dropping it stops all but the API server, which is used again.
pub(super) struct World {
    // Dropped in this order: clients before the servers that they call.
    controller: RefCell<Option<Controller>>,
    proxies: [(Server, u16); 2],
    _simulator: Server,
    pub(super) aws: Aws,
    cluster: Borrowed,
    kubeconfig: PathBuf,
    tokens: Cell<u64>,
}

struct Controller {
    server: Server,
    metrics: u16,
}

/// The simulated AWS.
#[derive(Clone, Debug)]
pub(super) struct Aws {
    pub(super) url: String,
    pub(super) process: Process,
    port: u16,
}

/// A client of the API server: the ports of its proxies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer([u16; 2]);

impl Writer {
    fn send(self, who: As, method: &str, path: &str, kind: &str, body: &str) -> Result<Value> {
        let request = Request::new(method, path)
            .header("Content-Type", kind)
            .body(body)
            .patience(PATIENCE);
        let (status, answer) = request.send(self.0[who as usize])?;
        ensure!((200..300).contains(&status), "{method} {path}: {answer}");
        Ok(serde_json::from_str(&answer)?)
    }

    pub(super) fn create(self, path: &str, object: &Value) -> Result<Value> {
        let object = object.to_string();
        self.send(As::Admin, "POST", path, "application/json", &object)
    }

    pub(super) fn patch(self, who: As, path: &str, changes: &Value) -> Result<Value> {
        let kind = "application/merge-patch+json";
        self.send(who, "PATCH", path, kind, &changes.to_string())
    }
}

/// Who asks the API server: an administrator, or the controller's `ServiceAccount`, which alone may write a status.
#[derive(Clone, Copy, Debug)]
pub(super) enum As {
    Admin = 0,
    Controller = 1,
}

/// The folder of the programs that are measured, if it is not that of release builds.
static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();

/// Measures the programs in a folder instead of release builds.
pub(super) fn use_programs(folder: PathBuf) {
    // A command is run once in a process.
    let _ = PROGRAMS.set(folder);
}

/// Returns the path of a program that is measured.
pub(super) fn program(name: &str) -> Result<PathBuf> {
    let folder = match PROGRAMS.get() {
        Some(folder) => folder.clone(),
        None => project::release_binaries()?,
    };
    let path = folder.join(name);
    ensure!(path.is_file(), "{} is missing: build it", path.display());
    Ok(path)
}

fn install(cluster: &Cluster) -> Result<()> {
    for manifests in INSTALLED {
        cluster.apply(&project::root().join(manifests))?;
    }
    let wait = ["wait", "--for=condition=Established", "crd", "--all"];
    project::output(cluster.kubectl().args(wait)).map(drop)
}

impl Aws {
    /// Starts a simulator with a scenario, with its files in a folder.
    pub(super) fn start(scenario: &str, folder: &Path) -> Result<(Server, Self)> {
        let estate = folder.join("estate.yaml");
        fs::write(&estate, scenario)?;
        let mut command = Command::new(program("secretsmanager-simulator")?);
        command.arg("--scenario").arg(estate);
        command.args(["--trace-limit", "0"]);
        let (server, url) = simulator::start_command(&mut command, folder)?;
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        let aws = Self {
            port: port.context("the URL of the simulator has a port")?,
            process: Process(server.id()),
            url,
        };
        Ok((server, aws))
    }

    /// Sends a request to the control interface.
    pub(super) fn control(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let path = format!("/_simulator/{path}");
        let request = Request::new(method, &path).body(body).patience(PATIENCE);
        let (status, answer) = request.send(self.port)?;
        ensure!(status == 200, "{method} {path}: {answer}");
        Ok(answer)
    }

    /// Sends a request of AWS's API.
    pub(super) fn ask(&self, operation: &str, parameters: &Value) -> Result<String> {
        let body = parameters.to_string();
        let request = Request::new("POST", "/")
            .header("X-Amz-Target", &format!("secretsmanager.{operation}"))
            .header("Authorization", "AWS4-HMAC-SHA256 Credential=BENCH/20261123/eu-west-1/secretsmanager/aws4_request, Signature=0")
            .body(&body);
        let (status, answer) = request.send(self.port)?;
        ensure!(status == 200, "{operation}: {answer}");
        Ok(answer)
    }

    /// Returns the number of requests for each operation since the last call of this function.
    pub(super) fn take_calls(&self) -> Result<BTreeMap<String, u64>> {
        let calls = serde_json::from_str(&self.control("GET", "calls", "")?)?;
        self.control("DELETE", "trace", "")?;
        Ok(calls)
    }
}

impl World {
    /// Takes an API server with the product, and starts AWS. No controller runs yet.
    pub(super) fn start(scenario: &str) -> Result<Self> {
        let cluster = SERVERS.take()?;
        let (simulator, aws) = Aws::start(scenario, cluster.folder())?;
        let kubeconfig = cluster.service_account(SYSTEM, ACCOUNT)?;
        let proxies = [
            proxy(&cluster, &cluster.kubeconfig(ADMIN))?,
            proxy(&cluster, &kubeconfig)?,
        ];
        let world = Self {
            controller: RefCell::new(None),
            proxies,
            _simulator: simulator,
            aws,
            cluster,
            kubeconfig,
            tokens: Cell::new(0),
        };
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
        world.create("/api/v1/namespaces", &namespace)?;
        Ok(world)
    }

    /// Starts the controller. It waits until the controller holds the lease.
    pub(super) fn start_controller(&self) -> Result<()> {
        let metrics = process::free_port()?;
        let mut command = Command::new(program("secret-rotation-controller")?);
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("AWS_ENDPOINT_URL_SECRETS_MANAGER", &self.aws.url)
            .env("AWS_ENDPOINT_URL_SQS", &self.aws.url)
            .env_remove("AWS_PROFILE")
            .env_remove("RUST_LOG")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .env("AWS_REGION", "eu-west-1")
            .args(["--lease-namespace", SYSTEM])
            .args(["--metrics-address", &format!("127.0.0.1:{metrics}")])
            .args([
                "--health-address",
                &format!("127.0.0.1:{}", process::free_port()?),
            ]);
        let log = self.cluster.folder().join("controller.log");
        let server = Server::start("secret-rotation-controller", &mut command, &log)?;
        self.controller
            .replace(Some(Controller { server, metrics }));
        wait_until("the controller holds the lease", now(), PATIENCE, || {
            Ok(self
                .metric("leader_election_master_status")
                .is_ok_and(|held| held > 0.0))
        })
        .map(drop)
    }

    /// Stops the controller, which gives its lease back.
    pub(super) fn stop_controller(&self) {
        self.controller.replace(None);
    }

    /// Returns the process of the controller.
    pub(super) fn process(&self) -> Result<Process> {
        let controller = self.controller.borrow();
        let controller = controller.as_ref().context("no controller runs")?;
        Ok(Process(controller.server.id()))
    }

    /// Returns the sum of the series of a metric of the controller.
    pub(super) fn metric(&self, name: &str) -> Result<f64> {
        let controller = self.controller.borrow();
        let controller = controller.as_ref().context("no controller runs")?;
        let request = Request::new("GET", "/metrics").patience(PATIENCE);
        let (_, text) = request.send(controller.metrics)?;
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let value = rest.strip_prefix(' ').or_else(|| rest.strip_prefix('{'))?;
            value.rsplit(' ').next()?.parse::<f64>().ok()
        });
        Ok(values.sum())
    }

    /// Returns a client of the API server that threads can share.
    pub(super) fn writer(&self) -> Writer {
        Writer([self.proxies[0].1, self.proxies[1].1])
    }

    /// Creates an object at the path of its resource.
    pub(super) fn create(&self, path: &str, object: &Value) -> Result<Value> {
        self.writer().create(path, object)
    }

    /// Changes an object as an administrator.
    pub(super) fn patch(&self, path: &str, changes: &Value) -> Result<Value> {
        self.writer().patch(As::Admin, path, changes)
    }

    pub(super) fn delete(&self, path: &str) -> Result<()> {
        let writer = self.writer();
        writer
            .send(As::Admin, "DELETE", path, "application/json", "")
            .map(drop)
    }

    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let writer = self.writer();
        writer.send(As::Admin, "GET", path, "application/json", "")
    }

    /// Returns the names of the secrets on the first page.
    pub(super) fn some_secrets(&self) -> Result<Vec<String>> {
        let page: Value = serde_json::from_str(&self.aws.ask("ListSecrets", &json!({}))?)?;
        let secrets = page["SecretList"].as_array().context("a page has a list")?;
        let names = secrets.iter().filter_map(|secret| secret["Name"].as_str());
        Ok(names.map(str::to_owned).collect())
    }

    /// Creates the profile of all policies, which allows everything, with changes of its specification.
    pub(super) fn profile(&self, changes: &Value) -> Result<()> {
        let mut spec = json!({
            "regions": ["eu-west-1"],
            "allowedNamespaces": {"names": ["*"]},
            "allowedSecrets": [{"namePrefix": "*"}],
            "allowedActions": ["Rotate", "ClearPending"],
            "minCheckInterval": "1s",
            "rateLimit": {"readsPerSecond": 1000, "writesPerSecond": 100},
        });
        if let (Some(spec), Some(changes)) = (spec.as_object_mut(), changes.as_object()) {
            spec.extend(changes.clone());
        }
        let profile = object("AWSAccessProfile", "default", &spec);
        self.create(&path("awsaccessprofiles", None), &profile)
            .map(drop)
    }

    /// Creates a policy that observes the secrets whose names begin with one of the prefixes.
    pub(super) fn policy(&self, name: &str, prefixes: &[String], changes: &Value) -> Result<()> {
        let include: Vec<_> = prefixes
            .iter()
            .map(|prefix| json!({"namePrefix": prefix}))
            .collect();
        let mut spec = json!({
            "checkInterval": "24h",
            "selector": {"include": include, "maxSecrets": 500_000},
        });
        if let (Some(spec), Some(changes)) = (spec.as_object_mut(), changes.as_object()) {
            spec.extend(changes.clone());
        }
        let policy = object("SecretRotationPolicy", name, &spec);
        self.create(&path("secretrotationpolicies", None), &policy)
            .map(drop)
    }

    /// Returns a policy.
    pub(super) fn policy_of(&self, name: &str) -> Result<Value> {
        self.get(&path("secretrotationpolicies", Some(name)))
    }

    /// Waits until the status of a policy is complete, and returns how long that took since `began`.
    pub(super) fn complete(&self, name: &str, secrets: usize, began: Instant) -> Result<Duration> {
        wait_until("the status is complete", began, PATIENCE, || {
            Ok(is_complete(&self.policy_of(name)?, secrets))
        })
    }

    /// Requests a check of a policy, and waits until it is complete.
    pub(super) fn check(&self, name: &str) -> Result<Duration> {
        let token = format!("check-{}", self.tokens.replace(self.tokens.get() + 1));
        let annotation =
            json!({"metadata": {"annotations": {"secretrotation.dev/check-requested-at": token}}});
        let began = now();
        self.patch(&path("secretrotationpolicies", Some(name)), &annotation)?;
        wait_until("the check is complete", began, PATIENCE, || {
            Ok(self.policy_of(name)?["status"]["lastHandledRequest"] == *token)
        })
    }
}

/// Returns whether a status is complete and counts so many secrets.
pub(super) fn is_complete(policy: &Value, secrets: usize) -> bool {
    let conditions = policy["status"]["conditions"].as_array();
    let ready = conditions.is_some_and(|all| {
        all.iter()
            .any(|one| one["type"] == "Ready" && one["status"] == "True")
    });
    let current = policy["status"]["observedGeneration"] == policy["metadata"]["generation"];
    let summary = policy["status"]["summary"].as_object();
    let counted: u64 = summary.map_or(0, |summary| {
        summary.values().filter_map(Value::as_u64).sum()
    });
    ready && current && usize::try_from(counted).is_ok_and(|counted| counted >= secrets)
}

/// Returns the path of a resource of the product, or of an object of it.
pub(super) fn path(resource: &str, name: Option<&str>) -> String {
    let scope = if resource == "awsaccessprofiles" {
        String::new()
    } else {
        format!("namespaces/{NAMESPACE}/")
    };
    let name = name.map(|name| format!("/{name}")).unwrap_or_default();
    format!("/apis/secretrotation.dev/v1alpha1/{scope}{resource}{name}")
}

/// Returns an object of the product.
pub(super) fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "secretrotation.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

/// Starts `kubectl proxy`, which lets this command use HTTP without TLS.
fn proxy(cluster: &Cluster, kubeconfig: &Path) -> Result<(Server, u16)> {
    let port = process::free_port()?;
    let mut command = cluster.kubectl();
    command
        .env("KUBECONFIG", kubeconfig)
        .args([
            "proxy",
            "--address",
            "127.0.0.1",
            "--port",
            &port.to_string(),
        ])
        // The filter of the command line forbids nothing that is done here, but is not needed either.
        .arg("--disable-filter=true");
    let log = cluster.folder().join(format!("proxy-{port}.log"));
    let server = Server::start("kubectl proxy", &mut command, &log)?;
    for _ in 0..200 {
        if process::is_ready(port, "/readyz") {
            return Ok((server, port));
        }
        thread::sleep(Duration::from_millis(50));
    }
    bail!("kubectl proxy is not ready: {}", server.log())
}
