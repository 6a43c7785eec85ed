//! A stage with everything on it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use secret_rotation_simulator::{Options, Simulator};
use serde_json::{Value, json};
use testenv::cluster::Cluster;
use testenv::project;

use crate::controller::{self, Controller};
use crate::release::Release;
use crate::{invariants, objects};

/// How long anything may take to become true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// The namespace of most stories.
pub const TEAM: &str = "team-payments";

/// A running story. Everything ends with it.
#[derive(Debug)]
pub struct Story {
    // Dropped in this order: first those who ask, last those who answer.
    pub controllers: Vec<Controller>,
    pub aws: Simulator,
    pub cluster: Cluster,
    tokens: AtomicU64,
}

/// A policy to be applied: everything that most stories want, and what this one wants otherwise.
#[derive(Clone, Debug)]
pub struct Policy {
    namespace: String,
    name: String,
    spec: Value,
}

/// Seconds until AWS's clock next shows 18:00 UTC. Rotation windows end with days, so that a story told at
/// another hour would be another story.
fn until_evening(aws: &Simulator) -> f64 {
    const DAY: i64 = 24 * 3600;
    const EVENING: i64 = 18 * 3600;
    let wait = (EVENING - aws.now().as_second()).rem_euclid(DAY);
    Duration::from_secs(wait.unsigned_abs()).as_secs_f64()
}

impl Story {
    /// Starts API server and AWS, and installs what `deploy/` holds. No controller runs yet.
    pub fn begin(estate: &str) -> Self {
        Self::among(&[], estate)
    }

    /// The same, with users beside the administrator, who may do nothing yet.
    pub fn among(users: &[&str], estate: &str) -> Self {
        let story = Self::bare(users, estate);
        for manifests in [
            "deploy/crds",
            "deploy/controller/namespace.yaml",
            "deploy/controller/rbac.yaml",
            "deploy/admission",
        ] {
            story
                .cluster
                .apply(&project::root().join(manifests))
                .expect("the manifests apply");
        }
        story
    }

    /// The same, with nothing of ours installed.
    pub fn bare(users: &[&str], estate: &str) -> Self {
        let aws = Simulator::start(Options::default()).expect("the simulator starts");
        aws.jump(until_evening(&aws));
        aws.add(estate).expect("a valid estate");
        let cluster = Cluster::start(users).expect("an API server starts");
        let story = Self {
            controllers: Vec::new(),
            aws,
            cluster,
            tokens: AtomicU64::new(0),
        };
        story.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}));
        story
    }

    /// The same, with a profile that allows everything to everybody, one policy, and one controller.
    pub fn with(estate: &str, policy: &Policy) -> Self {
        let mut story = Self::begin(estate);
        story.profile(&json!({}));
        story.apply_policy(policy);
        story.start_controller();
        story
    }

    /// Applies a part of a release's manifests.
    pub fn install(&self, release: &Release, below: &str) {
        let manifests = release.manifests(below);
        self.cluster.apply(&manifests).expect("the manifests apply");
    }

    /// Starts one more replica, with exactly the rights that `deploy/` gives.
    pub fn start_controller(&mut self) -> &Controller {
        self.start_controller_with(&[])
    }

    /// The same, with further arguments.
    pub fn start_controller_with(&mut self, arguments: &[&str]) -> &Controller {
        self.start_controller_as(|command| {
            command.args(arguments);
        })
    }

    /// The same, with further arguments and another environment.
    pub fn start_controller_as(&mut self, adjust: impl FnOnce(&mut Command)) -> &Controller {
        self.start_program(controller::binary(), adjust)
    }

    /// Starts one more replica of a release.
    pub fn start_release(&mut self, release: &Release) -> &Controller {
        self.start_program(release.program(), |_| {})
    }

    fn start_program(&mut self, program: &Path, adjust: impl FnOnce(&mut Command)) -> &Controller {
        let kubeconfig = self
            .cluster
            .service_account("secret-rotation-system", "secret-rotation-controller")
            .expect("the ServiceAccount exists");
        let log = self
            .cluster
            .folder()
            .join(format!("controller-{}.log", self.controllers.len()));
        let controller = Controller::start(program, &kubeconfig, &self.aws.url(), &log, adjust);
        self.controllers
            .push(controller.expect("the controller starts"));
        self.controllers.last().expect("it was just pushed")
    }

    /// Applies profile `default`: everything to everybody, but for what `changes` says.
    pub fn profile(&self, changes: &Value) {
        let mut spec = json!({
            "regions": ["eu-west-1"],
            "allowedNamespaces": {"names": ["*"]},
            "allowedSecrets": [{"namePrefix": "*"}],
            "allowedActions": ["Rotate", "ClearPending"],
            "minCheckInterval": "1s",
            "maxConcurrentPerFunction": 100,
            "rateLimit": {"readsPerSecond": 100, "writesPerSecond": 50},
        });
        merge(&mut spec, changes);
        self.apply(&json!({"apiVersion": "secretrotation.dev/v1alpha1", "kind": "AWSAccessProfile", "metadata": {"name": "default"}, "spec": spec}));
    }

    /// Applies a policy.
    pub fn apply_policy(&self, policy: &Policy) {
        self.apply(&policy.object());
    }

    /// Applies an object; panics with what the API server said.
    pub fn apply(&self, object: &Value) {
        self.try_apply(object).expect("the object applies");
    }

    /// Applies an object; the error is what the API server said.
    pub fn try_apply(&self, object: &Value) -> anyhow::Result<()> {
        self.cluster.apply_text(&object.to_string())
    }

    /// Runs `kubectl` as a user with something on standard input; the error is what the API server said.
    pub fn kubectl_as(
        &self,
        user: &str,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, String> {
        use std::io::Write as _;
        let mut command = self.cluster.kubectl_as(user);
        command
            .args(arguments)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("kubectl starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        stdin.write_all(input.as_bytes()).expect("kubectl reads");
        drop(stdin);
        let output = child.wait_with_output().expect("kubectl ends");
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Runs `kubectl` as the administrator; panics if it fails.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        project::output(self.cluster.kubectl().args(arguments)).expect("kubectl succeeds")
    }

    /// An object of [`TEAM`], or null.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        let get = [
            "get",
            kind,
            name,
            "-n",
            TEAM,
            "-o",
            "json",
            "--ignore-not-found",
        ];
        serde_json::from_str(&self.kubectl(&get)).unwrap_or(Value::Null)
    }

    /// All objects of a kind in all namespaces.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", kind, "-A", "-o", "json"]);
        let mut list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// All operations.
    pub fn operations(&self) -> Vec<Value> {
        self.list("sro")
    }

    /// All operations on a secret, oldest first.
    pub fn operations_on(&self, secret: &str) -> Vec<Value> {
        let mut operations = self.operations();
        operations.retain(|one| {
            one["status"]["secretName"] == secret
                || one["spec"]["secret"]["name"] == secret
                || objects::text(&one["spec"]["secret"]["arn"])
                    .contains(&format!(":secret:{secret}-"))
        });
        operations.sort_by_key(|one| objects::text(&one["metadata"]["creationTimestamp"]));
        operations
    }

    /// Whether an event of this reason was told in [`TEAM`].
    pub fn tells(&self, reason: &str) -> bool {
        let events = self.list("events.events.k8s.io");
        events.iter().any(|event| event["reason"] == reason)
    }

    /// Makes the controller look at every policy and every unfinished operation at once.
    pub fn poke(&self) {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed).to_string();
        let check = format!("secretrotation.dev/check-requested-at={token}");
        self.kubectl(&["annotate", "srp", "--all", "-A", "--overwrite", &check]);
        // All at once: one call for each would take longer than a request may hang.
        if !self.operations().iter().all(objects::is_finished) {
            let look = format!("story/look={token}");
            self.kubectl(&["annotate", "sro", "--all", "-A", "--overwrite", &look]);
        }
    }

    /// Asks for a check of a policy, and waits until that check is complete.
    pub fn check(&self, policy: &str) {
        let token = format!("check-{}", self.tokens.fetch_add(1, Ordering::Relaxed));
        let ask = format!("secretrotation.dev/check-requested-at={token}");
        self.kubectl(&["annotate", "srp", policy, "-n", TEAM, "--overwrite", &ask]);
        self.eventually("the check is complete", || {
            self.get("srp", policy)["status"]["lastHandledRequest"] == *token
        });
    }

    /// Waits until something holds.
    pub fn eventually(&self, what: &str, holds: impl FnMut() -> bool) {
        self.until(what, None, holds);
    }

    /// Waits until something holds, while AWS's clock leaps ahead by so many seconds again and again.
    pub fn while_time_flies(&self, what: &str, leap: f64, holds: impl FnMut() -> bool) {
        self.until(what, Some(leap), holds);
    }

    fn until(&self, what: &str, leap: Option<f64>, mut holds: impl FnMut() -> bool) {
        let began = now();
        while began.elapsed() < PATIENCE {
            if holds() {
                return;
            }
            thread::sleep(PAUSE);
            if let Some(leap) = leap {
                self.wait_for_silence();
                self.aws.jump(leap);
                self.poke();
            }
        }
        panic!("it never came true that {what}\n{}", self.scene());
    }

    /// A leap while a request is on its way would look like a request that took so long.
    fn wait_for_silence(&self) {
        let mut asked = usize::MAX;
        for _ in 0..20 {
            let now = self.aws.requests().len();
            if now == asked {
                return;
            }
            asked = now;
            thread::sleep(PAUSE);
        }
    }

    /// Waits until the approval of an operation counts that is created now: the admission policies must be older.
    pub fn until_approvals_count(&self) {
        self.meanwhile(Duration::from_secs(6));
    }

    /// Lets time pass in which nothing may change.
    pub fn meanwhile(&self, pause: Duration) {
        thread::sleep(pause);
    }

    /// AWSCURRENT moves, and deletions are called off, only where somebody asked for it.
    fn moves_by_hand_only(&self) {
        const MOVES: [&str; 3] = ["PromotePending", "RevertToPrevious", "RestoreSecret"];
        let asked = self
            .operations()
            .iter()
            .any(|one| MOVES.contains(&objects::text(&one["spec"]["action"]).as_str()));
        if !asked {
            invariants::moves_no_current(&self.aws);
        }
    }

    /// Everything that helps to understand a story that went wrong.
    pub fn scene(&self) -> String {
        let mut scene = String::new();
        for arguments in [
            ["get", "srp", "-A", "-o", "yaml"],
            ["get", "sro", "-A", "-o", "yaml"],
        ] {
            let output = project::output(self.cluster.kubectl().args(arguments));
            let text = output.unwrap_or_else(|error| error.to_string());
            let _ = writeln!(scene, "--- kubectl {}\n{text}", arguments.join(" "));
        }
        for (number, controller) in self.controllers.iter().enumerate() {
            let log = controller.log();
            let lines: Vec<_> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            let _ = writeln!(scene, "--- controller {number}\n{last}");
        }
        for request in self.aws.writes() {
            let _ = writeln!(
                scene,
                "{} {} {:?} {} {:?}",
                request.time, request.operation, request.secret, request.parameters, request.code
            );
        }
        scene
    }

    /// Checks what must hold at the end of every story.
    pub fn end(self) {
        invariants::hold(&self.aws);
        self.moves_by_hand_only();
        for operation in self
            .operations()
            .iter()
            .filter(|one| objects::is_finished(one))
        {
            assert!(
                operation["status"]["completionTime"].is_string(),
                "{operation:#}"
            );
        }
        for controller in &self.controllers {
            let log = controller.log();
            assert!(!log.contains("panicked"), "a controller panicked:\n{log}");
        }
    }
}

impl Policy {
    /// A policy of [`TEAM`] that acts on `app/…`, without waiting longer than it must.
    pub fn acting(name: &str) -> Self {
        let spec = json!({
            "selector": {"include": [{"namePrefix": "app/"}]},
            "mode": "Remediate",
            "checkInterval": "30s",
            "remediation": {"confirmAfter": "30s", "limits": {"maxConcurrent": 20}, "circuitBreaker": {"stuckPercent": 100, "minStuck": 1000}},
        });
        Self {
            namespace: TEAM.to_owned(),
            name: name.to_owned(),
            spec,
        }
    }

    /// A policy that only looks.
    pub fn observing(name: &str) -> Self {
        Self::acting(name).but(&json!({"mode": "Observe"}))
    }

    /// The same on names that begin so.
    #[must_use]
    pub fn selecting(mut self, prefix: &str) -> Self {
        self.spec["selector"] = json!({"include": [{"namePrefix": prefix}]});
        self
    }

    /// The same in another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The same, but for these fields of the spec.
    #[must_use]
    pub fn but(mut self, changes: &Value) -> Self {
        merge(&mut self.spec, changes);
        self
    }

    /// As it is applied.
    pub fn object(&self) -> Value {
        json!({
            "apiVersion": "secretrotation.dev/v1alpha1",
            "kind": "SecretRotationPolicy",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self.spec,
        })
    }
}

/// Puts `changes` over `base`, field by field; null takes a field away.
fn merge(base: &mut Value, changes: &Value) {
    let (Value::Object(base), Value::Object(changes)) = (&mut *base, changes) else {
        *base = changes.clone();
        return;
    };
    for (key, change) in changes {
        if change.is_null() {
            base.remove(key);
        } else {
            merge(base.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for tests, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}
