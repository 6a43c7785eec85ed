//! A story: a cluster, a simulated AWS and controllers, with everything that a test does and waits for.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fixtures::{merged, resource};
use jiff::Timestamp;
use secret_rotation_simulator::{Options, SecretSnapshot, Simulator};
use serde_json::{Value, json};
use testenv::cluster::{ADMIN, Cluster};
use testenv::pool::{Borrowed, Pool};
use testenv::project;

use crate::api_server::ApiServer;
use crate::controller::{self, Controller};
use crate::release::Release;
use crate::{invariants, objects};

/// The maximum time for anything to become true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// The interval between two checks of a condition.
const PAUSE: Duration = Duration::from_millis(100);

/// How long the controller sends no request to AWS once it has done what it can.
const SILENCE: Duration = Duration::from_millis(500);

/// The maximum wait for such a silence: a request may hang, and a controller may have many requests to send.
const IMPATIENCE: Duration = Duration::from_secs(5);

/// The maximum wait for the effect of a jump of the clock: a policy that is suspended or has no controller is not checked,
/// and a large account is never silent.
const EFFECT: Duration = Duration::from_secs(1);

/// An approval counts only if the operation is younger than the admission policies by more than this: the five seconds in
/// which API servers load a new policy, and the fraction of a second that Kubernetes does not store.
const GUARDS_ARE_OLDER: Duration = Duration::from_secs(6);

/// The annotation that requests a check.
const CHECK_REQUESTED: &str = "secretrotation.dev/check-requested-at";

/// The namespace of most stories.
pub const TEAM: &str = "team-payments";

/// Users in addition to the administrator. They have no permissions until a story grants some.
const USERS: [&str; 5] = ["alice", "bob", "eve", "mallory", "wanda"];

/// The manifests that are installed for most stories.
const INSTALLED: [&str; 4] = [
    "deploy/crds",
    "deploy/controller/namespace.yaml",
    "deploy/controller/rbac.yaml",
    "deploy/admission",
];

/// API servers on which these manifests are installed, and nothing else.
static SERVERS: Pool = Pool::new(&USERS, install);

/// A running story. Dropping it stops everything.
#[derive(Debug)]
pub struct Story {
    // Dropped in this order: clients before the servers that they call.
    pub controllers: Vec<Controller>,
    pub aws: Simulator,
    pub cluster: Borrowed,
    api_server: ApiServer,
    tokens: AtomicU64,
}

/// A policy to apply: the fields that most stories need, and the changes of this story.
#[derive(Clone, Debug)]
pub struct Policy {
    namespace: String,
    name: String,
    spec: Value,
}

/// Returns the seconds until AWS's clock next shows 18:00 UTC. Rotation windows end with the day, so a story that starts at
/// another hour would have another result.
fn until_evening(aws: &Simulator) -> f64 {
    const DAY: i64 = 24 * 3600;
    const EVENING: i64 = 18 * 3600;
    let wait = (EVENING - aws.now().as_second()).rem_euclid(DAY);
    Duration::from_secs(wait.unsigned_abs()).as_secs_f64()
}

impl Story {
    /// Takes an API server on which `deploy/` is installed, and starts AWS. No controller runs yet, and `USERS` have no
    /// permissions.
    pub fn begin(estate: &str) -> Self {
        Self::on(SERVERS.take().expect("an API server starts"), estate)
    }

    /// Starts a new API server with these users and without the product, and AWS.
    pub fn bare(users: &[&str], estate: &str) -> Self {
        let cluster = Cluster::start(users).expect("an API server starts");
        Self::on(Borrowed::own(cluster), estate)
    }

    fn on(cluster: Borrowed, estate: &str) -> Self {
        let aws = Simulator::start(Options::default()).expect("the simulator starts");
        aws.jump(until_evening(&aws));
        aws.add(estate).expect("a valid estate");
        let story = Self {
            controllers: Vec::new(),
            aws,
            api_server: ApiServer::of(&cluster.kubeconfig(ADMIN)),
            cluster,
            tokens: AtomicU64::new(0),
        };
        story.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": TEAM}}));
        story
    }

    /// Applies a part of a release's manifests.
    pub fn install(&self, release: &Release, below: &str) {
        let manifests = release.manifests(below);
        self.cluster.apply(&manifests).expect("the manifests apply");
    }

    /// Starts another replica, with exactly the permissions of `deploy/`.
    pub fn start_controller(&mut self) -> &Controller {
        self.start_controller_with(&[])
    }

    /// Starts another replica with further arguments.
    pub fn start_controller_with(&mut self, arguments: &[&str]) -> &Controller {
        self.start_controller_as(|command| {
            command.args(arguments);
        })
    }

    /// Starts another replica with further arguments and environment variables.
    pub fn start_controller_as(&mut self, adjust: impl FnOnce(&mut Command)) -> &Controller {
        self.start_program(controller::binary(), adjust)
    }

    /// Starts another replica of a release.
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

    /// Applies profile `default`, which allows everything to every namespace, with changes.
    pub fn profile(&self, changes: &Value) {
        self.profile_called("default", changes);
    }

    /// Applies a profile of another name, which allows everything to everyone except for the changes.
    pub fn profile_called(&self, name: &str, changes: &Value) {
        let everything = json!({
            "regions": ["eu-west-1"],
            "allowedNamespaces": {"names": ["*"]},
            "allowedSecrets": [{"namePrefix": "*"}],
            "allowedActions": ["Rotate", "ClearPending"],
            "minCheckInterval": "1s",
            "maxConcurrentPerFunction": 100,
            "rateLimit": {"readsPerSecond": 100, "writesPerSecond": 50},
        });
        let spec = merged(everything, changes);
        self.apply(&resource("AWSAccessProfile", "", name, &spec));
    }

    /// Applies a policy.
    pub fn apply_policy(&self, policy: &Policy) {
        self.apply(&policy.object());
    }

    /// Applies an object; panics with the message of the API server if it is refused.
    pub fn apply(&self, object: &Value) {
        self.try_apply(object).expect("the object applies");
    }

    /// Applies an object; the error is the message of the API server.
    pub fn try_apply(&self, object: &Value) -> anyhow::Result<()> {
        self.cluster.apply_text(&object.to_string())
    }

    /// Runs `kubectl` as a user with a text on standard input; the error is the message of the API server.
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

    /// Changes an object of [`TEAM`], given as kind and name, as the administrator. Panics if the API server refuses.
    pub fn patch(&self, object: &[&str], changes: &Value) -> String {
        let answer = self.patch_as(ADMIN, object, changes);
        answer.expect("the administrator may change it")
    }

    /// Changes an object of [`TEAM`], given as kind and name, as a user. The error is the answer of the API server.
    pub fn patch_as(&self, user: &str, object: &[&str], changes: &Value) -> Result<String, String> {
        let changes = changes.to_string();
        let how = ["-n", TEAM, "--type=merge", "-p", &changes];
        self.kubectl_as(user, &[&["patch"], object, &how].concat(), "")
    }

    /// Returns a secret as it really is at AWS.
    pub fn inspect(&self, secret: &str) -> SecretSnapshot {
        self.aws.inspect(secret).expect("the secret exists")
    }

    /// Returns an object of [`TEAM`], or null.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        self.api_server.get(kind, TEAM, name)
    }

    /// Returns all objects of a resource in all namespaces.
    pub fn list(&self, kind: &str) -> Vec<Value> {
        if let Some(list) = self.api_server.list(kind) {
            return list;
        }
        let text = self.kubectl(&["get", kind, "-A", "-o", "json"]);
        let mut list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
        list["items"]
            .as_array_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Returns all operations.
    pub fn operations(&self) -> Vec<Value> {
        self.list("sro")
    }

    /// Returns all operations on a secret, oldest first.
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

    /// Returns whether an event with this reason exists in [`TEAM`].
    pub fn tells(&self, reason: &str) -> bool {
        let events = self.list("events.events.k8s.io");
        events.iter().any(|event| event["reason"] == reason)
    }

    /// Makes the controller reconcile every policy and every unfinished operation immediately.
    pub fn poke(&self) {
        let token = self.tokens.fetch_add(1, Ordering::Relaxed).to_string();
        let check = (CHECK_REQUESTED, token.as_str());
        self.api_server.annotate("srp", &self.list("srp"), check);
        let mut operations = self.operations();
        operations.retain(|one| !objects::is_finished(one));
        let look = ("story/look", token.as_str());
        self.api_server.annotate("sro", &operations, look);
    }

    /// Requests a check of a policy, and waits until it is complete.
    pub fn check(&self, policy: &str) {
        let token = format!("check-{}", self.tokens.fetch_add(1, Ordering::Relaxed));
        let ask = format!("{CHECK_REQUESTED}={token}");
        self.kubectl(&["annotate", "srp", policy, "-n", TEAM, "--overwrite", &ask]);
        self.eventually("the check is complete", || {
            self.get("srp", policy)["status"]["lastHandledRequest"] == *token
        });
    }

    /// Waits until a condition is true.
    pub fn eventually(&self, what: &str, holds: impl FnMut() -> bool) {
        self.until(what, None, holds);
    }

    /// Waits until a condition is true, and moves AWS's clock forward by so many seconds again and again.
    pub fn while_time_flies(&self, what: &str, leap: f64, holds: impl FnMut() -> bool) {
        self.until(what, Some(leap), holds);
    }

    fn until(&self, what: &str, leap: Option<f64>, mut holds: impl FnMut() -> bool) {
        let began = now();
        while began.elapsed() < PATIENCE {
            let is_true = holds();
            match leap {
                // Other effects of the last jump are still in progress.
                Some(_) if is_true => return self.wait_for_silence(EFFECT),
                None if is_true => return,
                Some(leap) => self.leap(leap),
                None => thread::sleep(PAUSE),
            }
        }
        panic!("it never came true that {what}\n{}", self.scene());
    }

    /// Moves AWS's clock, and waits until the controller has done what it can do then, so that the story does not see the
    /// state before the jump.
    fn leap(&self, seconds: f64) {
        // A jump during a request would look like a request that took this long.
        self.wait_for_silence(IMPATIENCE);
        self.aws.jump(seconds);
        self.poke();
        self.wait_for_checks();
        self.wait_for_silence(EFFECT);
    }

    /// Waits until the checks that the last jump requested are complete. A busy machine may be silent because they have not
    /// begun, and requests that come faster than checks would leave no time for anything else.
    fn wait_for_checks(&self) {
        let began = now();
        let is_checked = |policy: &Value| {
            let asked = &policy["metadata"]["annotations"][CHECK_REQUESTED];
            policy["spec"]["suspend"] == true || policy["status"]["lastHandledRequest"] == *asked
        };
        while began.elapsed() < EFFECT && !self.list("srp").iter().all(is_checked) {
            thread::sleep(PAUSE / 2);
        }
    }

    fn wait_for_silence(&self, at_most: Duration) {
        let began = now();
        let mut asked = usize::MAX;
        let mut silent_since = now();
        while silent_since.elapsed() < SILENCE && began.elapsed() < at_most {
            let asked_now = self.aws.calls().values().sum();
            if asked_now != asked {
                asked = asked_now;
                silent_since = now();
            }
            thread::sleep(SILENCE / 10);
        }
    }

    /// Waits until an operation that is created now can be approved: the admission policies must be old enough.
    pub fn until_approvals_count(&self) {
        let guards = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        let times = "jsonpath={.items[*].metadata.creationTimestamp}";
        let times = self.kubectl(&["get", guards, "-o", times]);
        let created = times
            .split_whitespace()
            .map(|time| time.parse().expect("a time"));
        let newest: Timestamp = created.max().expect("admission policies are installed");
        let age = wall_clock().duration_since(newest).unsigned_abs();
        self.meanwhile(GUARDS_ARE_OLDER.saturating_sub(age));
    }

    /// Waits until an operation that is created now can be approved, after a change of the admission policies. Their age does
    /// not show such a change.
    pub fn until_approvals_count_again(&self) {
        self.meanwhile(GUARDS_ARE_OLDER);
    }

    /// Waits for a time in which nothing may change.
    pub fn meanwhile(&self, pause: Duration) {
        thread::sleep(pause);
    }

    /// Checks that AWSCURRENT was moved and deletions were canceled only if a person requested it.
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

    /// Describes everything that helps to understand a failed story.
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

    /// Checks what must be true at the end of every story.
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
    /// Returns a policy of [`TEAM`] that acts on `app/…`, with the shortest allowed waits.
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

    /// Returns a policy in mode Observe.
    pub fn observing(name: &str) -> Self {
        Self::acting(name).but(&json!({"mode": "Observe"}))
    }

    /// Selects the names with this prefix instead.
    #[must_use]
    pub fn selecting(mut self, prefix: &str) -> Self {
        self.spec["selector"] = json!({"include": [{"namePrefix": prefix}]});
        self
    }

    /// Sets another namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// Changes fields of the spec.
    #[must_use]
    pub fn but(mut self, changes: &Value) -> Self {
        self.spec = merged(self.spec, changes);
        self
    }

    /// Returns the object to apply.
    pub fn object(&self) -> Value {
        resource(
            "SecretRotationPolicy",
            &self.namespace,
            &self.name,
            &self.spec,
        )
    }
}

/// Applies the manifests of most stories, and waits until the API server serves the CRDs and enforces the admission policies.
fn install(cluster: &Cluster) -> anyhow::Result<()> {
    for manifests in INSTALLED {
        cluster.apply(&project::root().join(manifests))?;
    }
    let wait = ["wait", "--for=condition=Established", "crd", "--all"];
    project::output(cluster.kubectl().args(wait)).map(drop)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for tests, outside the product"
)]
fn now() -> Instant {
    Instant::now()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the API server of a story and the story share a clock"
)]
fn wall_clock() -> Timestamp {
    Timestamp::now()
}
